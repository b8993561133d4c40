//! `psm-uring diff`: two saved reports, and what grew from one to the other.
#![forbid(unsafe_code)]

use std::path::Path;

use crate::cli::DiffOptions;
use crate::error::Error;
use crate::program::{self, Change, Least};
use crate::report::{self, GrowthOptions, Saved};
use crate::run::Outcome;
use crate::sys::stdio;
use crate::units::Kib;

/// The name of standard input.
const STDIN: &str = "-";

/// Compares two reports, and prints what grew and shrank.
///
/// # Errors
/// A report cannot be read, or the two cannot be compared, or the table cannot be written.
pub fn diff(options: &DiffOptions) -> Result<Outcome, Error> {
    let (before, after) = (load(&options.before)?, load(&options.after)?);
    if [&before.by, &before.name] != [&after.by, &after.name] {
        let words = |saved: &Saved| format!("--by {} --name {}", saved.by, saved.name);
        let why = format!("it was made with {}, the other with {}", words(&after), words(&before));
        return Err(Error::file("compare", &options.after, &why));
    }
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
    Ok(Outcome::Printed)
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
