//! `psm-uring diff`: two saved reports, and what grew from one to the other.
#![forbid(unsafe_code)]

use std::path::Path;

use crate::cli::{DiffOptions, word_of};
use crate::error::Error;
use crate::process::NameRule;
use crate::program::{self, Change, Grouping, Least};
use crate::report::{self, GrowthOptions, Saved};
use crate::sys::stdio;
use crate::units::Kib;

/// The name of standard input.
const STDIN: &str = "-";

/// Compares two reports, and prints what grew and shrank.
///
/// # Errors
/// A report cannot be read, or the two cannot be compared, or the table cannot be written.
pub fn diff(options: &DiffOptions) -> Result<(), Error> {
    let (before, after) = (load(&options.before)?, load(&options.after)?);
    check_rules(&options.after, &after, &before.by, &before.name)?;
    let unit = options.unit.unwrap_or_default();
    let least = Least {
        size: options.min_delta.max(unit.least_shown()),
        counts: options.min_delta == Kib(0),
    };
    let growth = program::growth(&before.rows, &after.rows, least);
    let total = Change::between(&before.total, &after.total);
    let look = GrowthOptions {
        unit,
        no_header: options.no_header,
        reverse: options.reverse,
        terminal: stdio::terminal_columns(),
        is_colored: options.color.is_wanted(stdio::likes_color()),
    };
    let text = report::growth(&growth, &total, look);
    stdio::write_stdout(text.as_bytes()).map_err(Error::Output)?;
    for (path, saved) in [(&options.before, &before), (&options.after, &after)] {
        tell_missing(path, saved);
    }
    Ok(())
}

/// Reads a saved report; `-` is standard input.
pub(crate) fn load(path: &Path) -> Result<Saved, Error> {
    let text = if path.as_os_str() == STDIN {
        std::io::read_to_string(std::io::stdin()).map(String::into_bytes)
    } else {
        std::fs::read(path)
    };
    let text = text.map_err(|error| Error::file("read", path, &error))?;
    Saved::read(&text).map_err(|why| Error::file("read as a report", path, &why))
}

/// Whether a saved report and one to come can be compared.
pub(crate) fn check_alike(
    path: &Path,
    saved: &Saved,
    by: &Grouping,
    name: &NameRule,
) -> Result<(), Error> {
    check_rules(path, saved, &word_of(by), &word_of(name))
}

/// Rows that stand for other things, or go by other names, have nothing in common.
fn check_rules(path: &Path, saved: &Saved, by: &str, name: &str) -> Result<(), Error> {
    if (&*saved.by, &*saved.name) == (by, name) {
        return Ok(());
    }
    let Saved { by: its_by, name: its_name, .. } = saved;
    let why = format!(
        "it was made with --by {its_by} --name {its_name}, the other with --by {by} --name {name}"
    );
    Err(Error::file("compare", path, &why))
}

/// What is missing in one report may be what is new in the other.
pub(crate) fn tell_missing(path: &Path, saved: &Saved) {
    if saved.missing > 0 {
        let is_stdin = path.as_os_str() == STDIN;
        let path = if is_stdin { "standard input".into() } else { path.to_string_lossy() };
        let count = saved.missing;
        let line = format!(
            "psm-uring: {path} lacks {count} of the processes that were there: what is new or gone \
             may be one of them\n"
        );
        stdio::write_stderr(line.as_bytes());
    }
}
