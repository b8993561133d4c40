//! `psm-uring diff`: two saved reports, and what grew from one to the other.
#![forbid(unsafe_code)]

use std::path::Path;

use clap::ValueEnum;

use crate::cli::{DiffOptions, check_unit};
use crate::error::Error;
use crate::process::NameRule;
use crate::program::{self, Amounts, BeforeAfter, Diff, Grouping, SnapshotRow, Threshold};
use crate::report::{self, DiffFormat, DiffTableOptions, ParsedReport, Unit};
use crate::sys::file;
use crate::sys::stdio;
use crate::sys::terminal;
use crate::units::Kib;

/// Compares two reports, and prints what grew and shrank.
///
/// # Errors
/// A report cannot be read, or the two cannot be compared, or the table cannot be written.
pub(crate) fn diff(options: &DiffOptions) -> Result<(), Error> {
    let is_table = options.format() == DiffFormat::Table;
    check_unit(is_table, options.unit)?;
    let before = SavedReport::load(&options.before)?;
    let after = SavedReport::load(&options.after)?;
    after.check(&before.rules, &file::name(&options.before))?;
    let unit = options.unit.unwrap_or(if is_table { Unit::default() } else { Unit::Bytes });
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
    let text = match options.format() {
        DiffFormat::Table => report::diff(&diff, &total, look),
        DiffFormat::Json => report::diff_json(&diff, &total, reports),
        DiffFormat::Ndjson => report::diff_ndjson(&diff, &total, reports),
        DiffFormat::Csv => report::diff_csv(&diff, &total, options.no_header),
    };
    stdio::write_stdout(text.as_bytes()).map_err(Error::Output)?;
    SavedReport::tell_missing(&[&before, &after]);
    Ok(())
}

/// What rows stand for, what they go by, and of which processes they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// What a row stands for.
    pub(crate) by: Grouping,
    /// What it goes by.
    pub(crate) name: NameRule,
    /// Which processes were selected, in the words of the command line.
    pub(crate) selection: Option<String>,
}

/// A saved report, and where it stands.
#[derive(Debug)]
pub(crate) struct SavedReport {
    path: Box<Path>,
    rules: Rules,
    saved: ParsedReport,
}

impl SavedReport {
    /// Reads a saved report; `-` is standard input.
    pub(crate) fn load(path: &Path) -> Result<SavedReport, Error> {
        let text = file::read(path);
        let text = text.map_err(|why| Error::refused("read", path, &why))?;
        let saved = ParsedReport::read(&text);
        let saved = saved.map_err(|why| Error::file("read as a report", path, &why))?;
        let strange = |what: &str| Error::file("read as a report", path, &format!("its {what}"));
        let rules = Rules {
            by: word(&saved.by).ok_or_else(|| strange("rows stand for something unknown"))?,
            name: word(&saved.name).ok_or_else(|| strange("names follow an unknown rule"))?,
            selection: saved.selection.clone(),
        };
        Ok(SavedReport { path: path.into(), rules, saved })
    }

    /// Rows that stand for other things, go by other names or are a choice of others have nothing
    /// in common.
    pub(crate) fn check(&self, rules: &Rules, other: &str) -> Result<(), Error> {
        let (ours, theirs) = (self.rules.words(), rules.words());
        if ours == theirs {
            return Ok(());
        }
        let why = format!("it was made with {ours}, {other} with {theirs}");
        Err(Error::file("compare", &self.path, &why))
    }

    /// What grew since by at least so much; by itself, by what is shown.
    pub(crate) fn diff(&self, rows: &[SnapshotRow], min_delta: Kib, least_shown: Kib) -> Diff {
        let is_all = min_delta == Kib(0);
        let size = if is_all { least_shown } else { min_delta };
        program::diff(&self.saved.rows, rows, Threshold { size, counts: is_all })
    }

    /// The sums, then and later.
    pub(crate) fn total(&self, after: Amounts) -> BeforeAfter {
        BeforeAfter { before: self.saved.total, after }
    }

    /// What is missing in one report may be what is new in the other. The same is told once.
    pub(crate) fn tell_missing(reports: &[&SavedReport]) {
        let mut lines: Vec<String> = reports.iter().filter_map(|report| report.lacks()).collect();
        lines.dedup();
        stdio::write_stderr(lines.concat().as_bytes());
    }

    fn lacks(&self) -> Option<String> {
        let (count, path) = (self.saved.missing, file::name(&self.path));
        (count > 0).then(|| {
            format!(
                "psm-uring: {path} lacks {count} of the processes that were there: what is new or \
                 gone may be one of them\n"
            )
        })
    }
}

impl Rules {
    fn words(&self) -> String {
        let (by, name) = (crate::cli::word_of(&self.by), crate::cli::word_of(&self.name));
        let selection = self.selection.as_deref().map(report::escape::typed);
        let selection = selection.map_or_else(String::new, |words| format!(" {words}"));
        format!("--by {by} --name {name}{selection}")
    }
}

/// What a word of the command line stands for.
fn word<Word: ValueEnum>(word: &str) -> Option<Word> {
    Word::from_str(word, false).ok()
}
