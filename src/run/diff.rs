//! `psm-uring diff`: the changes between two saved reports.

use std::path::Path;

use super::output;
use super::settings::check_unit;
use crate::cli::DiffOptions;
use crate::error::Error;
use crate::program::{self, Presence, Threshold};
use crate::report::{self, DiffFormat, Rules, SavedReport, TableOptions, Unit, escape};
use crate::sys::{file, stdio, terminal};
use crate::units::{Kib, Labelled};

/// Compares two reports, and prints the changes. `parse` reads a saved report, or returns the
/// reason why it cannot.
///
/// # Errors
/// A report cannot be read, the two cannot be compared, or the output cannot be written.
pub(crate) fn diff(
    options: &DiffOptions,
    parse: fn(&[u8]) -> Result<SavedReport, String>,
) -> Result<(), Error> {
    let format = if options.json { DiffFormat::Json } else { options.output };
    let is_table = format == DiffFormat::Table;
    let unit = check_unit(options.unit, is_table)?;
    let before = load(&options.before, parse)?;
    let after = load(&options.after, parse)?;
    let (rules, by) = (&before.report.rules, before.report.snapshot.words.by);
    check(&after, (rules, by), &file::name(&options.before))?;
    let unit = unit.unwrap_or(if is_table { Unit::default() } else { Unit::Bytes });
    let threshold = threshold(options.min_delta, unit);
    let mut diff = program::diff(&before.report.snapshot, &after.report.snapshot, threshold);
    if options.reverse {
        diff.rows.reverse();
    }
    let text = match format {
        DiffFormat::Json => report::diff_json(&diff, [&before.report, &after.report]),
        DiffFormat::Table => {
            let table = TableOptions {
                unit,
                no_header: options.no_header,
                terminal: terminal::terminal_columns(),
                is_colored: options.color.is_wanted(terminal::likes_color()),
                charset: output::charset(),
                ..TableOptions::default()
            };
            report::diff(&diff, &table)
        }
    };
    stdio::write_stdout(text.as_bytes()).map_err(Error::Output)?;
    note_missing(&[&before, &after]);
    let has_others = diff.rows.iter().any(|row| row.amounts.presence() != Presence::Stayed);
    if has_others && before.report.is_earlier != after.report.is_earlier {
        note_earlier(if before.report.is_earlier { &before } else { &after });
    }
    Ok(())
}

/// A saved report, and its path.
#[derive(Debug)]
pub(super) struct SavedFile {
    path: Box<Path>,
    pub(super) report: SavedReport,
}

/// Reads a saved report; `-` is standard input.
pub(super) fn load(
    path: &Path,
    parse: fn(&[u8]) -> Result<SavedReport, String>,
) -> Result<SavedFile, Error> {
    let text = file::read(path).map_err(|why| Error::refused("read", path, why))?;
    let report = parse(&text).map_err(|why| Error::file("read as a report", path, &why))?;
    Ok(SavedFile { path: path.into(), report })
}

/// Refuses a comparison with a report of other rules or other rows (`by`): their rows have nothing
/// in common.
pub(super) fn check(file: &SavedFile, rules: (&Rules, &str), other: &str) -> Result<(), Error> {
    let ours = (&file.report.rules, file.report.snapshot.words.by);
    if ours == rules {
        return Ok(());
    }
    let why = format!("it was made with {}, {other} with {}", label(ours), label(rules));
    Err(Error::file("compare", &file.path, &why))
}

fn label((rules, by): (&Rules, &str)) -> String {
    let selection = rules.selection.as_deref().map(escape::argument);
    let selection = selection.map_or_else(String::new, |words| format!(" {words}"));
    // Reports of mappings have words of their own.
    let by = match by {
        "mapping" => "maps --by mapping".to_owned(),
        "program-mapping" => "maps --by program".to_owned(),
        by => format!("--by {by}"),
    };
    format!("{by} --name {}{selection}", rules.name.label())
}

/// Rows that changed by at least `min_delta`, and by an amount that the unit shows.
pub(super) fn threshold(min_delta: Kib, unit: Unit) -> Threshold {
    let is_all = min_delta == Kib(0);
    Threshold { size: min_delta.max(unit.least_shown()), counts: is_all }
}

/// A note on standard error that a row of this report may have another name in the other one.
pub(super) fn note_earlier(file: &SavedFile) {
    let path = file::name(&file.path);
    let note = format!(
        "psm-uring: an earlier version wrote {path} and named some programs differently: a row \
         shown as new or gone may have another name in the other report\n"
    );
    stdio::write_stderr(note.as_bytes());
}

/// Notes on standard error that a process missing in one report looks new or gone in the diff.
pub(super) fn note_missing(files: &[&SavedFile]) {
    let note = |file: &&SavedFile| {
        let (count, path) = (file.report.missing, file::name(&file.path));
        let (s, one) = if count == 1 { ("", "that one") } else { ("es", "one of them") };
        (count > 0).then(|| {
            format!(
                "psm-uring: {path} is missing {count} process{s} that could not be measured; a \
                 row shown as new or gone may be {one}\n"
            )
        })
    };
    let mut notes: Vec<String> = files.iter().filter_map(note).collect();
    notes.dedup();
    stdio::write_stderr(notes.concat().as_bytes());
}
