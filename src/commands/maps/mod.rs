//! `psm-uring maps`: what the memory of processes is made of. Rows are mappings, summed by name
//! over processes.
//!
//! - `column`  the columns
//! - `usage`   the figures of a row
//! - `rows`    processes to rows
//! - `table`   the table for people
//! - `formats` CSV and OpenMetrics
//! - `json`    JSON, and saved reports read back
#![forbid(unsafe_code)]

mod column;
mod formats;
mod json;
mod rows;
mod table;
mod usage;

use clap::Args;

use self::column::{MapColumn, TABLE_COLUMNS};
use self::formats::{CSV_COLUMNS, CsvOptions};
use self::json::MapsFacts;
use self::rows::{MapOrder, Maps, Outer};
use crate::cli::words::{long_help, short_help, words};
use crate::cli::{Options, OutputOptions, ReadOptions, SelectOptions, TOP_MAX, number};
use crate::error::Error;
use crate::process::{NameRule, Source};
use crate::program::{Column, Grouping};
use crate::report::notes::{Missing, Note};
use crate::report::{self, Facts, Format, SavedReport, Unit, escape};
use crate::run::{self, Clock, Outcome, Session, Settings, once};
use crate::sys::host_files::{self, MeminfoFile};
use crate::sys::terminal;
use crate::units::labels;

/// Of so many mappings that a process may have, a process that is near has a note.
const NEAR_LIMIT_PERCENT: u64 = 80;

const MAPS_EXAMPLES: &str = "\
Examples:
  psm-uring maps -n 20                     the 20 biggest mappings of the host
  psm-uring maps -f postgres               one program, over all its processes
  psm-uring maps -p 4711 --sort mappings   one process, by number of mappings
  psm-uring maps --by program -n 5         the five biggest programs, and five mappings of each
  psm-uring maps --json | psm-uring diff monday.json -  growth since a saved report";

const MAPS_RULES: &str = "\
Full smaps is read, as with --source smaps, and mappings of one name are summed: a path, [heap],
[stack], [anon:NAME] (prctl PR_SET_VMA_ANON_NAME), memfd:NAME, (anonymous). (deleted) marks a file
without a directory entry. Files of one path in different containers are one row. Big processes,
whose reads take more than 20 ms, are left out, with a note, unless --pid, --filter or --big is
given.";

/// The options of `psm-uring maps`.
#[derive(Args, Debug)]
#[command(before_help = MAPS_EXAMPLES, after_long_help = MAPS_RULES)]
pub(crate) struct MapsOptions {
    /// The processes.
    #[command(flatten)]
    select: SelectOptions,

    /// Read big processes too, whose own work waits meanwhile
    ///
    /// A read of smaps keeps a process from mapping memory. Without this option or a selection by
    /// --pid or --filter, processes are left out for which that is estimated to take more than
    /// 20 ms: about 1 GiB of resident pages.
    #[arg(long, help_heading = "Filtering")]
    big: bool,

    /// The meaning of a row
    #[arg(long, value_name = "WHAT", default_value = "mapping", value_parser = words::<MapsBy>(),
          help_heading = "Grouping", help = short_help::<MapsBy>("Group by"),
          long_help = long_help::<MapsBy>("Group by"),
          hide_possible_values = true, hide_default_value = true)]
    by: MapsBy,

    /// How programs are named
    #[arg(long, value_name = "RULE", default_value = "title", value_parser = words::<NameRule>(),
          help_heading = "Grouping", help = short_help::<NameRule>("Name programs by"),
          long_help = long_help::<NameRule>("Name programs by"),
          hide_possible_values = true)]
    name: NameRule,

    /// The columns, from left to right
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = words::<MapColumn>(),
          help_heading = "Display", help = "Columns, from left to right: see --help",
          long_help = long_help::<MapColumn>("Columns, from left to right"),
          hide_possible_values = true)]
    columns: Vec<MapColumn>,

    /// Sort by this column, the biggest last
    #[arg(short, long, value_name = "COLUMN", default_value = "ram",
          value_parser = words::<MapColumn>(), help_heading = "Display",
          hide_possible_values = true)]
    sort: MapColumn,

    /// Print the biggest row first
    #[arg(short, long, help_heading = "Display", hide_short_help = true)]
    reverse: bool,

    /// Only the N biggest rows; one more row sums up the others
    ///
    /// With --by program, the N biggest programs and the N biggest mappings of each. With --sort
    /// name the first N rows are shown.
    #[arg(short = 'n', long, value_name = "N", value_parser = number::<0, TOP_MAX>,
          allow_negative_numbers = true, help_heading = "Display")]
    top: Option<usize>,

    /// Print only the total RAM, in bytes unless --unit is given
    #[arg(short, long, help_heading = "Display")]
    total: bool,

    /// The output.
    #[command(flatten)]
    out: OutputOptions,

    /// The measurement.
    #[command(flatten)]
    read: ReadOptions,
}

/// The meaning of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum MapsBy {
    #[default]
    Mapping,
    Program,
}

labels!(MapsBy {
    Mapping => "mapping", "All mappings of one name";
    Program => "program", "All processes of one name, and below them their mappings";
});

/// The meaning of rows and names.
struct MapsRules {
    by: MapsBy,
    name: NameRule,
}

/// Prints the mappings.
///
/// # Errors
/// As for the table.
pub(crate) fn maps(options: MapsOptions) -> Result<Outcome, Error> {
    let mut clock = Clock::start();
    let MapsOptions { big, by, name, ref columns, sort, reverse, .. } = options;
    let columns = once(columns.to_vec())?;
    let table = table_options(options);
    let settings = Settings::of_mappings(&table, by == MapsBy::Program, big)?;
    if settings.output.format == Format::OpenMetrics && !columns.is_empty() {
        let why = "--columns is not for openmetrics; leave it out";
        return Err(Error::Usage(why.to_owned()));
    }
    let mut session = Session::open(&settings)?;
    clock.phase("set up");
    let meminfo = MeminfoFile::new(&settings.root);
    let surveyed = session.survey(&mut clock)?;
    let measured = session.measure(&surveyed, &clock, &meminfo)?;
    let missing = measured.missing(&settings);
    let outer = match (by, settings.output.format) {
        (MapsBy::Mapping, _) => Outer::All,
        (MapsBy::Program, Format::OpenMetrics) => Outer::Key(name),
        (MapsBy::Program, _) => Outer::Program,
    };
    let order = MapOrder { key: sort, reverse, top: settings.order.top };
    let maps = rows::group(&measured, outer, order, !missing.is_complete());
    let limit = host_files::max_map_count(&settings.root);
    let mut notes = session.notes(&measured, &missing, maps.swap_is_unshared);
    let is_noted = by == MapsBy::Program || !settings.pids.is_empty();
    let own = [sharing_note(maps.sharing), fullest_note(&maps, limit, is_noted)];
    notes.extend(own.into_iter().flatten().map(Note::from));
    let lines: Vec<String> = notes.iter().map(Note::line).collect();
    let report = MapsReport {
        settings: &settings,
        rules: &MapsRules { by, name },
        maps: &maps,
        columns: &columns,
        limit,
        missing: &missing,
        notes: &lines,
        facts: &session.facts(&clock),
    };
    run::write_text(&settings.output, &report.text()?)?;
    Ok(session.end(clock, &missing, measured.survey, notes))
}

/// Reads a saved report, of mappings or of programs.
///
/// # Errors
/// The reason why the text is neither, and the remedy.
pub(crate) fn parse_saved(text: &[u8]) -> Result<SavedReport, String> {
    json::parse(text).unwrap_or_else(|| SavedReport::parse(text))
}

/// The options of the table that selects and measures the same.
fn table_options(options: MapsOptions) -> Options {
    let MapsOptions { select, name, reverse, top, total, out, read, .. } = options;
    Options {
        select,
        by: Grouping::Program,
        name,
        columns: Vec::new(),
        sort: Column::Ram,
        reverse,
        top,
        heap: false,
        total,
        host: false,
        out,
        watch: None,
        count: None,
        since: None,
        source: Source::Smaps,
        gentle: false,
        cgroup_root: None,
        read,
    }
}

/// A report, and the facts around it.
struct MapsReport<'a> {
    settings: &'a Settings,
    rules: &'a MapsRules,
    maps: &'a Maps<'a>,
    /// Those of `--columns`.
    columns: &'a [MapColumn],
    limit: Option<u64>,
    missing: &'a Missing<'a>,
    notes: &'a [String],
    facts: &'a Facts,
}

impl MapsReport<'_> {
    fn text(&self) -> Result<String, Error> {
        let MapsReport { settings, maps, rules, .. } = *self;
        let output = &settings.output;
        let is_total = settings.is_total;
        let is_terminal = output.file.is_none() && terminal::stdout_is_terminal();
        let is_by_program = rules.by == MapsBy::Program;
        let total = match &maps.total {
            None if is_total => return Err(Error::NoTotal(self.missing.lines().join("; "))),
            total => total.map(|total| total.ram).unwrap_or_default(),
        };
        Ok(match output.format {
            Format::Table if is_total => report::total(total, output.unit.unwrap_or(Unit::Bytes)),
            Format::Table => {
                let columns = self.columns(&TABLE_COLUMNS);
                table::table(maps, is_by_program, columns, &run::table_options(settings))
            }
            Format::Json => self.json(false),
            Format::Ndjson => self.json(true),
            Format::Csv => {
                let (columns, no_header) = (self.columns(&CSV_COLUMNS), output.no_header);
                let rule = rules.name;
                let options =
                    CsvOptions { columns, is_by_program, rule, no_header, is_total, is_terminal };
                formats::csv(maps, &options)
            }
            Format::OpenMetrics => {
                let kind = (is_by_program, is_total, is_terminal);
                formats::openmetrics(maps, kind, self.limit, (self.facts, self.missing))
            }
        })
    }

    fn columns<'c>(&'c self, usual: &'c [MapColumn]) -> &'c [MapColumn] {
        if self.columns.is_empty() { usual } else { self.columns }
    }

    fn json(&self, is_one_line: bool) -> String {
        let MapsReport { settings, maps, rules, limit, missing, notes, facts, .. } = *self;
        let is_total = settings.is_total;
        let facts = MapsFacts { facts, rules, missing, notes, is_total, limit };
        json::json(maps, &facts, is_one_line)
    }
}

/// A note on processes whose mappings are those of another one.
fn sharing_note(processes: usize) -> Option<String> {
    let (who, verb) = if processes == 1 { ("process", "runs") } else { ("processes", "run") };
    let note = || {
        format!(
            "{processes} {who} {verb} in the address space of another one (vfork, CLONE_VM): its \
             mappings count once"
        )
    };
    (processes > 0).then(note)
}

/// A note on the process with the most mappings: if it is near the limit, or if processes or
/// programs are looked at.
fn fullest_note(maps: &Maps<'_>, limit: Option<u64>, is_noted: bool) -> Option<String> {
    let fullest = maps.fullest.as_ref()?;
    let count = fullest.mappings;
    let is_near = limit.is_some_and(|limit| count >= limit / 100 * NEAR_LIMIT_PERCENT);
    let of = limit.map_or_else(String::new, |limit| format!(" of {limit} (vm.max_map_count)"));
    let name = escape::name(fullest.name.0);
    let note =
        format!("the most mappings of one process: PID {} {name} has {count}{of}", fullest.pid);
    (is_noted || is_near).then_some(note)
}

#[cfg(test)]
mod tests {
    use super::rows::Fullest;
    use super::*;
    use crate::report::Name;
    use crate::units::Pid;

    #[test]
    fn a_process_near_the_limit_has_a_note() {
        let maps = |mappings| Maps {
            fullest: Some(Fullest { pid: Pid(7), name: Name(b"db\n"), mappings }),
            ..Maps::default()
        };
        let note = |mappings, limit, is_noted| fullest_note(&maps(mappings), limit, is_noted);
        assert_eq!(note(52_000, Some(65_530), false), None);
        assert_eq!(note(52_000, None, false), None);
        let near = "the most mappings of one process: PID 7 db\\n has 53000 of 65530 \
                    (vm.max_map_count)";
        assert_eq!(note(53_000, Some(65_530), false).as_deref(), Some(near));
        let alone = "the most mappings of one process: PID 7 db\\n has 9";
        assert_eq!(note(9, None, true).as_deref(), Some(alone));
        assert_eq!(fullest_note(&Maps::default(), Some(1), true), None);
    }
}
