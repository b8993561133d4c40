//! `psm-uring diff`: the changes between two saved reports.

use std::path::Path;

use super::settings::check_unit;
use crate::cli::DiffOptions;
use crate::error::Error;
use crate::process::NameRule;
use crate::program::{self, Amounts, BeforeAfter, Diff, Grouping, SnapshotRow, Threshold};
use crate::report::{self, DiffFormat, DiffTableOptions, ParsedReport, Unit, escape};
use crate::sys::{file, stdio, terminal};
use crate::units::{Kib, Labelled};

/// Compares two reports, and prints the changes.
///
/// # Errors
/// A report cannot be read, the two cannot be compared, or the output cannot be written.
pub(crate) fn diff(options: &DiffOptions) -> Result<(), Error> {
    let format = if options.json { DiffFormat::Json } else { options.output };
    let is_table = format == DiffFormat::Table;
    let unit = check_unit(options.unit, is_table)?;
    let before = SavedReport::load(&options.before)?;
    let after = SavedReport::load(&options.after)?;
    after.check(&before.rules, &file::name(&options.before))?;
    let unit = unit.unwrap_or(if is_table { Unit::default() } else { Unit::Bytes });
    let diff = before.diff(&after.saved.rows, options.min_delta, unit.least_shown());
    let diff = diff.reversed(options.reverse);
    let look = DiffTableOptions {
        grouping: before.rules.by,
        leaves_out: options.min_delta > Kib(0),
        unit,
        no_header: options.no_header,
        terminal: terminal::terminal_columns(),
        is_colored: options.color.is_wanted(terminal::likes_color()),
    };
    let (total, reports) = (before.total(after.saved.total), [&before.saved, &after.saved]);
    let text = match format {
        DiffFormat::Table => report::diff(&diff, &total, look),
        DiffFormat::Json => report::diff_json(&diff, &total, reports),
    };
    stdio::write_stdout(text.as_bytes()).map_err(Error::Output)?;
    SavedReport::note_missing(&[&before, &after]);
    Ok(())
}

/// The rules that two reports must share to be compared.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) by: Grouping,
    pub(super) name: NameRule,
    /// The options that select processes.
    pub(super) selection: Option<String>,
}

/// A saved report, and its path.
#[derive(Debug)]
pub(super) struct SavedReport {
    path: Box<Path>,
    rules: Rules,
    saved: ParsedReport,
}

impl SavedReport {
    /// Reads a saved report; `-` is standard input.
    pub(super) fn load(path: &Path) -> Result<SavedReport, Error> {
        let text = file::read(path).map_err(|why| Error::refused("read", path, &why))?;
        let saved = ParsedReport::read(&text);
        let saved = saved.map_err(|why| Error::file("read as a report", path, &why))?;
        let ParsedReport { by, name, .. } = saved;
        let rules = Rules { by, name, selection: saved.selection.clone() };
        Ok(SavedReport { path: path.into(), rules, saved })
    }

    /// Refuses a comparison with a report of other rules: their rows have nothing in common.
    pub(super) fn check(&self, rules: &Rules, other: &str) -> Result<(), Error> {
        if self.rules == *rules {
            return Ok(());
        }
        let why =
            format!("it was made with {}, {other} with {}", self.rules.label(), rules.label());
        Err(Error::file("compare", &self.path, &why))
    }

    /// Rows that changed by at least `min_delta` or, if it is 0, by the smallest amount that the
    /// unit shows.
    pub(super) fn diff(&self, rows: &[SnapshotRow], min_delta: Kib, least_shown: Kib) -> Diff {
        let is_all = min_delta == Kib(0);
        let size = if is_all { least_shown } else { min_delta };
        program::diff(&self.saved.rows, rows, Threshold { size, counts: is_all })
    }

    /// The totals of this report and of a later one.
    pub(super) fn total(&self, after: Amounts) -> BeforeAfter {
        BeforeAfter { before: self.saved.total, after }
    }

    /// Notes on standard error that a process missing in one report looks new or gone in the diff.
    pub(super) fn note_missing(reports: &[&SavedReport]) {
        let note = |report: &&SavedReport| {
            let (count, path) = (report.saved.missing, file::name(&report.path));
            let (s, one) = if count == 1 { ("", "that one") } else { ("es", "one of them") };
            (count > 0).then(|| {
                format!(
                    "psm-uring: {path} is missing {count} process{s} that could not be measured; a \
                     row shown as new or gone may be {one}\n"
                )
            })
        };
        let mut notes: Vec<String> = reports.iter().filter_map(note).collect();
        notes.dedup();
        stdio::write_stderr(notes.concat().as_bytes());
    }
}

impl Rules {
    fn label(&self) -> String {
        let selection = self.selection.as_deref().map(escape::typed);
        let selection = selection.map_or_else(String::new, |words| format!(" {words}"));
        format!("--by {} --name {}{selection}", self.by.label(), self.name.label())
    }
}
