//! The command line of the table and of `diff`: options, values, errors, help.
//!
//! - `parse`       from a word to a value
//! - `words`       the words for the enums of other floors
//! - `usage_error` a wrong command line, on one line
//! - `help`        the short help
#![forbid(unsafe_code)]

mod help;
mod parse;
mod usage_error;
pub(crate) mod words;

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueHint};
use regex::bytes::Regex;

pub(crate) use self::help::help;
pub use self::parse::User;
pub(crate) use self::parse::{number, ratio};
pub(crate) use self::usage_error::usage_error;
pub use self::words::word_of;
use crate::engine::EngineKind;
use crate::error::Error;
use crate::process::{NameRule, Source};
use crate::program::{Column, Grouping};
use crate::report::{Color, DiffFormat, Format, Unit};
use crate::sys::ring::kernel::DEPTH_MAX;
use crate::units::{Kib, Pid};

/// More threads than this only wait for each other.
pub(crate) const WORKERS_MAX: usize = 1024;

/// More processes than any Linux has at a time (`PID_MAX_LIMIT`, include/linux/threads.h).
const TOP_MAX: usize = 4 << 20;

pub(crate) const EXAMPLES: &str = "\
Examples:
  psm-uring                       every program, the biggest last
  psm-uring -n 10                 the ten biggest
  psm-uring -f 'celery|nginx'     programs whose name matches
  psm-uring --by unit -u alice    the systemd units of a user
  psm-uring --deadline 1s -n 10   a host in trouble: what can be had at once";

pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  the report was printed; what it lacks is told on standard error
  1  no report, or it could not be written; one line on standard error says why
  2  the command line makes no sense
  3  the report lacks the memory of a process, and --strict was given
  4  bench: a figure is worse than --max-ratio allows
A reader that leaves early, as in `psm-uring | head -1`, ends it silently by SIGPIPE.";

pub(crate) const ENVIRONMENT: &str = "\
Environment:
  COLUMNS         how wide a line may be on a terminal, instead of what the terminal says
  LINES           how many of them --watch may draw, likewise
  NO_COLOR        no colour, unless --color always
  CLICOLOR_FORCE  colour, even in a pipe or a file
  CLICOLOR        0: no colour
  TERM            dumb: no colour; dumb or not set: nothing is drawn over another";

pub(crate) const AMOUNTS: &str = "\
Amounts are in units of 1,024. RAM is the proportional set size (PSS): each page divided by the
number of processes that map it, so that programs add up. SHARED is the part of RAM that others
map too, SWAPPED the proportional share of swap.";

/// Which table, and how to come by it.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Only programs whose name matches
    ///
    /// Others are not measured. A regular expression of Rust's regex crate, found anywhere in the
    /// name unless ^ and $ say otherwise. (?i) before it ignores case.
    #[arg(short, long, value_name = "REGEX", value_parser = parse::filter, help_heading = "Select")]
    pub filter: Option<Regex>,

    /// Only these processes: 1,42,4711
    #[arg(short, long, value_name = "LIST", value_parser = parse::pid, value_delimiter = ',',
          help_heading = "Select")]
    pub pid: Vec<Pid>,

    /// Only processes of these users, names or ids: root,1000
    ///
    /// Who a process acts as (the effective user) decides. Others are not measured.
    #[arg(short, long, value_name = "LIST", value_parser = parse::user, value_delimiter = ',',
          help_heading = "Select")]
    pub user: Vec<User>,

    /// What a row stands for
    #[arg(long, value_name = "WHAT", default_value = "program",
          help_heading = "Group", help = words::brief::<Grouping>("A row is a"),
          long_help = words::whole::<Grouping>("What a row stands for"),
          hide_possible_values = true, hide_default_value = true)]
    pub by: Grouping,

    /// Which name a program goes by
    #[arg(long, value_name = "RULE", default_value = "title",
          help_heading = "Group", help = words::brief::<NameRule>("Name"),
          long_help = words::whole::<NameRule>("Which name a program goes by"),
          hide_possible_values = true)]
    pub name: NameRule,

    /// The columns, from left to right
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Show",
          value_parser = words::ListedColumn, ignore_case = true,
          help = "Columns, from left to right: see --help",
          long_help = words::whole::<Column>("The columns, from left to right; pss is ram"),
          hide_possible_values = true)]
    pub columns: Vec<Column>,

    /// Sort by this column, the biggest last
    #[arg(
        short,
        long,
        value_name = "COLUMN",
        default_value = "ram",
        ignore_case = true,
        help_heading = "Show",
        help = "Sort by this column, the biggest last",
        hide_possible_values = true
    )]
    pub sort: Column,

    /// The biggest first
    #[arg(short, long, help_heading = "Show", hide_short_help = true)]
    pub reverse: bool,

    /// Only the N biggest rows; the others are summed up
    #[arg(short = 'n', long, value_name = "N", value_parser = parse::number::<0, TOP_MAX>,
          help_heading = "Show")]
    pub top: Option<usize>,

    /// A column for the heap; reads full smaps, which is slower
    #[arg(long, help_heading = "Show", hide_short_help = true, conflicts_with = "columns")]
    pub heap: bool,

    /// Only the sum of RAM, in bytes unless --unit is given
    #[arg(short, long, help_heading = "Show")]
    pub total: bool,

    /// The memory of the host beside that of the programs
    ///
    /// Every part of it once, and what stays unattributed; with json and openmetrics, too. What is
    /// in what stands in the README.
    #[arg(long, help_heading = "Show", conflicts_with = "total")]
    pub summary: bool,

    /// The unit of all amounts [default: MiB]
    #[arg(long, value_name = "UNIT", ignore_case = true, help_heading = "Show",
          hide_short_help = true,
          help = words::brief::<Unit>("The unit of all amounts"),
          long_help = words::whole::<Unit>("The unit of all amounts, MiB unless given"),
          hide_possible_values = true)]
    pub unit: Option<Unit>,

    /// Leave out the head of the table
    #[arg(long, help_heading = "Show", hide_short_help = true)]
    pub no_header: bool,

    /// When there is colour
    #[arg(long, value_name = "WHEN", default_value = "auto", help_heading = "Show",
          long_help = words::whole::<Color>("When there is colour"), hide_short_help = true,
          hide_possible_values = true)]
    pub color: Color,

    /// The form of the report
    #[arg(short, long, value_name = "FORM", default_value = "table", help_heading = "Show",
          help = words::brief::<Format>("Form"),
          long_help = words::whole::<Format>("The form of the report, table unless given"),
          hide_possible_values = true, hide_default_value = true)]
    pub output: Format,

    /// The same as --output json
    #[arg(long, help_heading = "Show", hide_short_help = true, conflicts_with = "output")]
    pub json: bool,

    /// Replace this file with the report, at once and as a whole
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Show",
          hide_short_help = true)]
    pub output_file: Option<PathBuf>,

    /// Again every TIME, or 2 s; drawn over the last one
    ///
    /// Marks tell how rows changed since the last time: + grew, - shrank, * is new. Over the last
    /// one on a terminal; elsewhere tables follow each other with a blank line between, or
    /// documents of --output ndjson; --output-file holds the last one. Ctrl-C ends it.
    #[arg(short, long, value_name = "TIME", value_parser = parse::interval, num_args = 0..=1,
          default_missing_value = "2s", help_heading = "Again")]
    pub watch: Option<Duration>,

    /// So many times, then end
    #[arg(long, value_name = "N", value_parser = parse::number::<1, { usize::MAX }>,
          requires = "watch", help_heading = "Again", hide_short_help = true)]
    pub count: Option<usize>,

    /// Show what grew since this report, which --json wrote
    #[arg(long, value_name = "FILE", requires = "watch", value_hint = ValueHint::FilePath,
          conflicts_with_all = ["top", "columns", "heap", "sort", "summary"],
          help_heading = "Again", hide_short_help = true)]
    pub since: Option<PathBuf>,

    /// How files are read
    #[arg(long, value_name = "ENGINE", default_value = "auto", help_heading = "How",
          long_help = words::whole::<EngineKind>("How files are read"), hide_short_help = true,
          hide_possible_values = true)]
    pub engine: EngineKind,

    /// Where memory figures come from
    #[arg(long, value_name = "FILE", default_value = "auto", help_heading = "How",
          long_help = words::whole::<Source>("Where memory figures come from"),
          hide_short_help = true, hide_possible_values = true)]
    pub source: Source,

    /// Threads that read at once, 1 to 1024 [default: number of CPUs]
    #[arg(long, value_name = "N", value_parser = parse::number::<1, WORKERS_MAX>,
          help_heading = "How", hide_short_help = true)]
    pub workers: Option<usize>,

    /// Processes asked at once by the engine uring, 1 to 1024 [default: by workers and source]
    #[arg(long, value_name = "N", value_parser = parse::number::<1, DEPTH_MAX>,
          help_heading = "How", hide_short_help = true)]
    pub depth: Option<usize>,

    /// Give up a read that sleeps this long in its target: 2s, 500ms, 1m
    #[arg(long, value_name = "TIME", value_parser = parse::stuck_after, default_value = "2s",
          help_heading = "How", hide_short_help = true)]
    pub stuck_after: Duration,

    /// Give up what is not finished by then: 500ms, 2s, 1m
    ///
    /// What is known is printed. Counted from the start of the program; with --watch, from that of
    /// each report.
    #[arg(long, value_name = "TIME", value_parser = parse::duration, help_heading = "How")]
    pub deadline: Option<Duration>,

    /// Exit with 3 when memory of a process is missing
    ///
    /// Missing are those that were denied, timed out, not asked, changed while they were read,
    /// not understood, or failed; not those that left.
    #[arg(long, help_heading = "How", hide_short_help = true)]
    pub strict: bool,

    /// The directory of processes
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/proc",
        value_hint = ValueHint::DirPath,
        help_heading = "How",
        hide_short_help = true
    )]
    pub proc_root: PathBuf,

    /// Tell on standard error how it went: engine, operations, time, memory
    #[arg(long, action = ArgAction::SetTrue, help_heading = "How", hide_short_help = true)]
    pub stats: bool,
}

/// Refuses a unit that does not suit the form: a table has any, all others are in bytes, so that
/// nobody has to know later which it was.
///
/// # Errors
/// Another unit than bytes, for another form than the table.
pub(crate) fn check_unit(is_table: bool, unit: Option<Unit>) -> Result<(), Error> {
    match unit {
        None | Some(Unit::Bytes) => Ok(()),
        Some(_) if is_table => Ok(()),
        Some(_) => Err(Error::Usage(
            "--unit is for the table; all other formats are in bytes: leave it out".to_owned(),
        )),
    }
}

impl Options {
    /// The form of the report.
    pub fn format(&self) -> Format {
        if self.json { Format::Json } else { self.output }
    }
}

const DIFF_EXAMPLES: &str = "\
Examples:
  psm-uring --json --output-file monday.json      save a report
  psm-uring diff monday.json tuesday.json         what grew most is last
  psm-uring --json | psm-uring diff monday.json - against now
  psm-uring diff --min-delta 10MiB a.json b.json  what changed by 10 MiB or more";

const DIFF_RULES: &str = "\
Rows are the same if they have the same name; in reports made with --by pid, if process id and
start time are the same. Both reports must be made with the same --by and --name, and whole:
without --top and --total. A figure that one of them lacks gives -, not a number. They may come
through pipes, as with <(psm-uring --json) in bash; one that is silent for a minute is given up.";

/// Which reports to compare.
#[derive(Args, Debug)]
#[command(before_help = DIFF_EXAMPLES, after_long_help = DIFF_RULES)]
pub struct DiffOptions {
    /// The earlier report, as --json writes it
    #[arg(value_name = "A.json")]
    pub before: PathBuf,

    /// The later report; - is standard input
    #[arg(value_name = "B.json")]
    pub after: PathBuf,

    /// Leave out what changed less: 10MiB, 512KiB, 1GiB
    ///
    /// By itself, what changed by less than is shown.
    #[arg(long, value_name = "SIZE", value_parser = parse::size, default_value = "0",
          hide_default_value = true)]
    pub min_delta: Kib,

    /// What grew most first
    #[arg(short, long)]
    pub reverse: bool,

    /// The form of the comparison
    #[arg(short, long, value_name = "FORM", default_value = "table",
          help = words::brief::<DiffFormat>("Form"),
          long_help = words::whole::<DiffFormat>("The form of the comparison"),
          hide_possible_values = true, hide_default_value = true)]
    pub output: DiffFormat,

    /// The same as --output json
    #[arg(long, conflicts_with = "output")]
    pub json: bool,

    /// The unit of all amounts [default: MiB]
    #[arg(long, value_name = "UNIT", ignore_case = true,
          help = words::brief::<Unit>("The unit of all amounts"), hide_possible_values = true)]
    pub unit: Option<Unit>,

    /// Leave out the head of the table
    #[arg(long)]
    pub no_header: bool,

    /// When there is colour
    #[arg(long, value_name = "WHEN", default_value = "auto",
          help = words::brief::<Color>("When there is colour"), hide_possible_values = true,
          hide_default_value = true)]
    pub color: Color,
}

impl DiffOptions {
    /// The form of the comparison.
    pub fn format(&self) -> DiffFormat {
        if self.json { DiffFormat::Json } else { self.output }
    }
}
