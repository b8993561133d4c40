//! Reports again and again, each of what is there then: drawn over the last one on a terminal, one
//! after another elsewhere.
//!
//! Nothing is set up that would have to be undone: it ends like any program, by a signal.

use std::time::{Duration, Instant};

use super::clock::Clock;
use super::session::Session;
use super::{Outcome, output};
use crate::cli::Options;
use crate::diff;
use crate::error::Error;
use crate::program::{self, Amounts, Change, LastLook, Least, Seen};
use crate::report::{self, Format, GrowthOptions, Report, Saved};
use crate::sys::stdio;

/// Lines of a table that are no rows: the line above it, head, rows that were cut, total.
const LINES_AROUND: usize = 4;

/// Makes a report every so often, as often as `--count` says.
pub(super) fn watch(options: &Options, every: Duration) -> Result<Outcome, Error> {
    let is_live = stdio::stdout_is_terminal() && options.output_file.is_none();
    check(options)?;
    let since = options.since.as_deref().map(diff::load).transpose()?;
    let mut watch = Watch { every, is_live, is_first: true, since, before: None, lines_below: 1 };
    watch.check_since(options)?;
    let mut session = Session::open(options)?;
    let mut outcome = Outcome::Printed;
    let mut next = Instant::now();
    for _ in 0..options.count.unwrap_or(usize::MAX) {
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        if is_live {
            session.forget_told();
        }
        let options = &watch.fitted(options);
        let mut clock = Clock::start();
        let ended = session.report(options, &mut clock, |report| watch.show(options, report))?;
        if ended != Outcome::Printed {
            outcome = ended;
        }
        // What took longer than the interval is not made up for.
        next = (next + every).max(Instant::now());
    }
    Ok(outcome)
}

/// A stream of reports has a form of its own; a file holds one at a time.
fn check(options: &Options) -> Result<(), Error> {
    let is_stream = matches!(options.format(), Format::Table | Format::Ndjson);
    if !is_stream && options.output_file.is_none() {
        return Err(Error::Usage(
            "--watch writes one report after another: use --output ndjson or table, or \
             --output-file, which holds the last one"
                .to_owned(),
        ));
    }
    if options.since.is_some() && (options.format() != Format::Table || options.total) {
        return Err(Error::Usage(
            "--since shows a table of what grew; leave out --output, --json and --total".to_owned(),
        ));
    }
    Ok(())
}

/// What is known between two reports.
struct Watch {
    every: Duration,
    is_live: bool,
    is_first: bool,
    /// The report that all are held against.
    since: Option<Saved>,
    before: Option<LastLook>,
    /// Lines of the terminal below the table: the last notes, and that of the cursor.
    lines_below: usize,
}

impl Watch {
    fn check_since(&self, options: &Options) -> Result<(), Error> {
        match (&self.since, &options.since) {
            (Some(saved), Some(path)) => {
                diff::check_alike(path, saved, &options.by, &options.name)?;
                diff::tell_missing(path, saved);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// On a terminal, no more rows than it has lines for.
    fn fitted(&self, options: &Options) -> Options {
        let lines = stdio::terminal_lines().filter(|_| self.is_live && self.since.is_none());
        let fitting =
            lines.map(|lines| lines.saturating_sub(self.lines_below + LINES_AROUND).max(1));
        let top = options.top.into_iter().chain(fitting).min();
        Options { top, ..options.clone() }
    }

    fn show(&mut self, options: &Options, report: &Report<'_>) -> Result<(), Error> {
        let mut text = match &self.since {
            Some(saved) => growth(options, saved, report),
            None => output::render(options, report, self.before.as_ref())?,
        };
        self.lines_below = 1 + report.notes.iter().map(|note| lines_of(note)).sum::<usize>();
        self.before = Some(LastLook::of(report.programs, options.by));
        if options.format() == Format::Table && options.output_file.is_none() {
            text = self.frame(&text, report);
        }
        self.is_first = false;
        output::write_text(options, &text)
    }

    /// A table among others: over the last one on a terminal, else a blank line behind it.
    fn frame(&self, table: &str, report: &Report<'_>) -> String {
        if !self.is_live {
            let is_one_line = report.is_total;
            let gap = if self.is_first || is_one_line { "" } else { "\n" };
            return format!("{gap}{table}");
        }
        let at = report.facts.started_at.get(..19).unwrap_or_default().replace('T', " ");
        let above = format!("{} UTC, every {:?}: {}", at, self.every, report.facts.host);
        let lines = stdio::terminal_lines().unwrap_or(usize::MAX);
        draw(&above, table, lines.saturating_sub(1 + self.lines_below), self.is_first)
    }
}

/// How many lines of the terminal a note takes.
fn lines_of(note: &str) -> usize {
    let columns = stdio::terminal_columns().unwrap_or(usize::MAX);
    ("psm-uring: ".len() + note.chars().count()).div_ceil(columns)
}

/// Draws lines over what a terminal shows (ECMA-48: `CUP`, `EL`, `ED`). Of a table that is too long
/// the end is shown, where the biggest rows are.
fn draw(above: &str, table: &str, lines_max: usize, is_first: bool) -> String {
    const HOME: &str = "\x1b[H";
    const CLEAR_LINE: &str = "\x1b[K";
    const CLEAR_BELOW: &str = "\x1b[J";
    let lines: Vec<&str> = table.lines().collect();
    let excess = lines.len().saturating_sub(lines_max.max(2));
    let mut text = if is_first { format!("{HOME}{CLEAR_BELOW}") } else { HOME.to_owned() };
    let head = lines.iter().take(usize::from(excess > 0));
    let rest = lines.iter().skip(if excess > 0 { excess + 1 } else { 0 });
    for line in [&above].into_iter().chain(head).chain(rest) {
        text.extend([line, CLEAR_LINE, "\n"]);
    }
    text + CLEAR_BELOW
}

/// What grew since a saved report.
fn growth(options: &Options, saved: &Saved, report: &Report<'_>) -> String {
    let rows = Seen::all(report.programs, options.by);
    let unit = options.unit.unwrap_or_default();
    let least = Least { size: unit.least_shown(), counts: true };
    let total = Change::between(&saved.total, &Amounts::total(report.programs));
    let is_file = options.output_file.is_some();
    let look = GrowthOptions {
        unit,
        no_header: options.no_header,
        reverse: options.reverse,
        terminal: stdio::terminal_columns().filter(|_| !is_file),
        is_colored: options.color.is_wanted(!is_file && stdio::likes_color()),
    };
    report::growth(&program::growth(&saved.rows, &rows, least), &total, look)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_table_the_end_is_drawn() {
        let table = "head\n1\n2\n3\ntotal\n";
        let drawn = |lines, is_first| draw("now", table, lines, is_first);
        let whole = "\x1b[Hnow\x1b[K\nhead\x1b[K\n1\x1b[K\n2\x1b[K\n3\x1b[K\ntotal\x1b[K\n\x1b[J";
        assert_eq!(drawn(5, false), whole);
        let cut = "\x1b[H\x1b[Jnow\x1b[K\nhead\x1b[K\n3\x1b[K\ntotal\x1b[K\n\x1b[J";
        assert_eq!(drawn(3, true), cut);
    }
}
