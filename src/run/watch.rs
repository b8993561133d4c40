//! One report after another, each below a line with its time: redrawn in place on a terminal,
//! separated by blank lines elsewhere.
//!
//! Nothing needs to be undone at the end: a signal ends the program as it ends any other.
//!
//! The terminal is drawn with ECMA-48 (`CUP`, `EL`, `ED`) and `DECAWM`, so that a line never takes
//! two.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::diff::{self, SavedFile};
use super::facts::Clock;
use super::settings::{self, Settings};
use super::{Outcome, Session, output};
use crate::error::Error;
use crate::program::{self, Order, Snapshot};
use crate::report::escape::Charset;
use crate::report::{self, Format, Report, SavedReport};
use crate::sys::terminal;
use crate::units::{Kib, Labelled};

/// Lines of a diff that are not rows: header, rows that changed less, total.
const DIFF_LINES_AROUND: usize = 3;
/// The time between two looks at the size of the terminal.
const SIZE_LOOK: Duration = Duration::from_millis(200);

/// The report of `--since`. The settings get the figures that it has.
///
/// # Errors
/// It cannot be read.
pub(super) fn load_since(settings: &mut Settings) -> Result<Option<SavedFile>, Error> {
    let path = settings.watch.as_ref().and_then(|watch| watch.since.as_deref());
    let since = path.map(|path| diff::load(path, SavedReport::parse)).transpose()?;
    if let Some(since) = &since {
        settings.compare_with(&since.report.snapshot);
    }
    Ok(since)
}

/// Makes a report at every interval, up to the number that `--count` gives.
pub(super) fn watch(
    settings: &Settings,
    watch: &settings::Watch,
    since: Option<SavedFile>,
) -> Result<Outcome, Error> {
    if let Some(since) = &since {
        let rules = (&settings.rules, settings.rules.by.label());
        diff::check(since, rules, "this report")?;
        diff::note_missing(&[since]);
        if since.report.is_earlier {
            diff::note_earlier(since);
        }
    }
    let is_table = settings.output.format == Format::Table && settings.output.file.is_none();
    let is_live = is_table && terminal::stdout_is_redrawn();
    let screen = is_live.then(Screen::default);
    let has_marks = watch.has_marks;
    let (is_first, before, every) = (true, None, watch.every);
    let mut series =
        Series { settings, every, is_table, is_first, since, screen, has_marks, before };
    let mut session = Session::open(settings)?;
    let mut outcome = Outcome::Printed;
    let mut next = Instant::now();
    for _ in 0..watch.reports_max {
        series.wait(next, &mut session)?;
        if is_live {
            session.forget_notes(terminal::terminal_columns());
        }
        let order = series.fitted_order();
        let ended = session.report(order, Clock::start(), |report| series.show(report))?;
        if ended != Outcome::Printed {
            outcome = ended;
        }
        // An interval that a slow report missed is skipped.
        next = (next + watch.every).max(Instant::now());
    }
    Ok(outcome)
}

/// A series of reports, and what the next one needs of the last.
struct Series<'a> {
    settings: &'a Settings,
    every: Duration,
    /// Whether tables are printed one below the other.
    is_table: bool,
    is_first: bool,
    /// The report that all others are compared with.
    since: Option<SavedFile>,
    /// The terminal on which each report replaces the last one.
    screen: Option<Screen>,
    /// Whether marks show changes since the last report.
    has_marks: bool,
    before: Option<Snapshot>,
}

impl Series<'_> {
    /// Waits until the next report is due. Redraws the last one when the terminal changes its size.
    fn wait(&self, next: Instant, session: &mut Session<'_>) -> Result<(), Error> {
        let left = || next.saturating_duration_since(Instant::now());
        let Some(screen) = &self.screen else {
            sleep(left());
            return Ok(());
        };
        let mut size = terminal_size();
        while !left().is_zero() {
            sleep(left().min(SIZE_LOOK));
            if std::mem::replace(&mut size, terminal_size()) != size && !self.is_first {
                output::write_text(&self.settings.output, &screen.redraw())?;
                session.reprint_notes(terminal::terminal_columns());
            }
        }
        Ok(())
    }

    /// The order of rows; on a terminal no more rows than fit.
    fn fitted_order(&self) -> Order {
        let Settings { order, has_host, .. } = *self.settings;
        let fitting = self.screen.as_ref().map(|screen| screen.rows_max(has_host));
        let top = order.top.into_iter().chain(fitting).min();
        Order { top: top.filter(|_| self.since.is_none()), ..order }
    }

    fn show(&mut self, report: &Report<'_>) -> Result<(), Error> {
        let mut text = match &self.since {
            Some(since) => self.diff(since, report),
            None => {
                let host_lines =
                    self.screen.as_ref().map_or(usize::MAX, |_| host_lines(report.notes.len()));
                output::render(self.settings, report, self.before.as_ref(), host_lines)?
            }
        };
        self.before = self.has_marks.then(|| snapshot(report));
        let above = format!("{}, every {:?}: {}", time(report), self.every, host(report));
        if let Some(screen) = &mut self.screen {
            text = screen.draw(above, text, self.settings.order.reverse, report);
        } else if self.is_table && !report.is_total {
            let gap = if self.is_first { "" } else { "\n" };
            text.insert_str(0, &format!("{gap}{above}\n"));
        }
        self.is_first = false;
        output::write_text(&self.settings.output, &text)
    }

    /// The changes since the saved report.
    fn diff(&self, since: &SavedFile, report: &Report<'_>) -> String {
        let table = output::table_options(self.settings);
        let now = snapshot(report);
        let threshold = diff::threshold(Kib(0), table.unit);
        let mut diff = program::diff(&since.report.snapshot, &now, threshold);
        let lines = self.screen.as_ref().map_or(usize::MAX, |screen| screen.lines(report));
        diff.keep(lines.saturating_sub(DIFF_LINES_AROUND).max(1));
        if self.settings.order.reverse {
            diff.rows.reverse();
        }
        report::diff(&diff, &table)
    }
}

/// Lines of a table that are not rows, before the first one is known: header, rest, total; and the
/// lines of `--host`.
const LINES_AROUND: usize = 3;
const HOST_LINES: usize = 22;
/// The least number of rows for programs above the memory of the host, and of lines for that: all,
/// swap, pressure, and a few parts.
const ROWS_MIN: usize = 5;
const HOST_LINES_MIN: usize = 9;
/// The line above the table, and the line of the cursor.
const LINES_OWN: usize = 2;
/// A mark replaces lines that do not fit, if there are enough lines to spare one.
const LINES_WITH_MARK: usize = 4;

fn snapshot(report: &Report<'_>) -> Snapshot {
    let facts = report.facts;
    Snapshot::from_programs(report.programs, facts.rules.name, facts.started)
}

/// The time of a report in UTC.
fn time(report: &Report<'_>) -> String {
    let at = report.facts.started_at.get(..19).unwrap_or_default();
    at.replace('T', " ") + " UTC"
}

fn host(report: &Report<'_>) -> String {
    output::charset().name(report.facts.host.as_bytes())
}

/// A terminal that shows the last report.
#[derive(Default)]
struct Screen {
    /// Lines of the last table that were not rows, and of the notes below it.
    around: Option<usize>,
    notes: usize,
    /// The line above that table, and the table.
    above: String,
    table: String,
    keeps_beginning: bool,
}

impl Screen {
    /// The number of rows that fit, as far as the last table shows. One row is always shown, unless
    /// the memory of the host, which matters more, needs its line.
    fn rows_max(&self, has_host: bool) -> usize {
        let host = if has_host { HOST_LINES.min(host_lines(self.notes)) } else { 0 };
        let usual = LINES_AROUND + host;
        let around = self.around.unwrap_or(usual) + self.notes + LINES_OWN;
        height().saturating_sub(around).max(usize::from(!has_host))
    }

    /// The number of lines that a table of this report may have.
    fn lines(&self, report: &Report<'_>) -> usize {
        lines_beside(report.notes.len())
    }

    /// Draws a table. A line that is too wide ends in `…`. A table that is too long keeps its
    /// beginning if the biggest row is there, else its header and its end.
    fn draw(
        &mut self,
        above: String,
        table: String,
        keeps_beginning: bool,
        report: &Report<'_>,
    ) -> String {
        let lines = table.lines().count();
        self.around = Some(lines.saturating_sub(report.programs.rows.len()));
        self.notes = report.notes.len();
        (self.above, self.table, self.keeps_beginning) = (above, table, keeps_beginning);
        self.redraw()
    }

    /// Draws the last table again, as it fits now.
    fn redraw(&self) -> String {
        let size = (lines_beside(self.notes), terminal::terminal_columns().unwrap_or(usize::MAX));
        draw(&self.above, &self.table, size, self.keeps_beginning, output::charset())
    }
}

/// The number of lines for a table beside so many notes.
fn lines_beside(notes: usize) -> usize {
    height().saturating_sub(notes + LINES_OWN).max(1)
}

/// The number of lines for the memory of the host, which leaves rows for programs.
fn host_lines(notes: usize) -> usize {
    lines_beside(notes).saturating_sub(LINES_AROUND + ROWS_MIN).max(HOST_LINES_MIN)
}

fn height() -> usize {
    terminal::terminal_lines().unwrap_or(usize::MAX)
}

fn terminal_size() -> [Option<usize>; 2] {
    [terminal::terminal_columns(), terminal::terminal_lines()]
}

fn draw(
    above: &str,
    table: &str,
    (lines_max, columns): (usize, usize),
    keeps_beginning: bool,
    charset: Charset,
) -> String {
    const HOME: &str = "\x1b[H";
    const CLEAR_LINE: &str = "\x1b[K";
    const CLEAR_BELOW: &str = "\x1b[J";
    const NO_WRAP: &str = "\x1b[?7l";
    const WRAP: &str = "\x1b[?7h";
    let lines: Vec<&str> = table.lines().collect();
    let mut text = format!("{NO_WRAP}{HOME}");
    let cut = charset.cut_mark().to_string();
    for line in [above].into_iter().chain(fitting(&lines, &cut, lines_max, keeps_beginning)) {
        // Erased first: after a full line the cursor is on its last character.
        text.extend([CLEAR_LINE, &report::cut_line(line, columns, charset), "\n"]);
    }
    text + CLEAR_BELOW + WRAP
}

/// The lines of a table that fit. The memory of the host, below an empty line, matters more than
/// rows, and its end, with the sums, most.
fn fitting<'a>(
    lines: &[&'a str],
    cut: &'a str,
    lines_max: usize,
    keeps_beginning: bool,
) -> Vec<&'a str> {
    let excess = lines.len().saturating_sub(lines_max);
    if excess == 0 {
        return lines.to_vec();
    }
    if let Some(empty) = lines.iter().rposition(|line| line.is_empty()) {
        let (rows, host) = lines.split_at(empty);
        return match rows.len().checked_sub(excess) {
            Some(rows_max @ 2..) => [&fitting(rows, cut, rows_max, keeps_beginning), host].concat(),
            _ => fitting(&host[1..], cut, lines_max, false),
        };
    }
    let mark = [cut].into_iter().filter(|_| lines_max >= LINES_WITH_MARK);
    let room = lines_max - mark.clone().count();
    if keeps_beginning {
        return lines[..room].iter().copied().chain(mark).collect();
    }
    let head = lines.iter().copied().take(usize::from(lines_max > 1));
    let rest = &lines[lines.len() - (room - head.len())..];
    head.chain(mark).chain(rest.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_table_keeps_the_lines_that_matter() {
        let drawn = |lines, keeps_beginning| {
            let text = draw(
                "now",
                "head\n1\n2\n3\ntotal\n",
                (lines, 80),
                keeps_beginning,
                Charset::Unicode,
            );
            let inner = text.strip_prefix("\x1b[?7l\x1b[H").and_then(|text| {
                text.strip_suffix("\x1b[J\x1b[?7h").map(|text| text.replace("\x1b[K", ""))
            });
            inner.expect("a frame").replace('\n', " ")
        };
        for keeps_beginning in [false, true] {
            assert_eq!(drawn(5, keeps_beginning), "now head 1 2 3 total ");
        }
        assert_eq!(drawn(4, false), "now head … 3 total ");
        assert_eq!(drawn(4, true), "now head 1 2 … ");
        assert_eq!(drawn(3, false), "now head 3 total ");
        assert_eq!(drawn(3, true), "now head 1 2 ");
        assert_eq!(drawn(1, false), "now total ");
    }

    #[test]
    fn the_host_is_kept_before_rows() {
        let lines = ["head", "1", "2", "total", "", "HOST", "slab", "free", "ALL", "swap"];
        let shown = |lines_max, is_reversed| fitting(&lines, "…", lines_max, is_reversed).join(" ");
        assert_eq!(shown(10, false), lines.join(" "));
        assert_eq!(shown(9, false), "head 2 total  HOST slab free ALL swap");
        assert_eq!(shown(9, true), "head 1 2  HOST slab free ALL swap");
        assert_eq!(shown(8, false), "head total  HOST slab free ALL swap");
        for is_reversed in [false, true] {
            assert_eq!(shown(7, is_reversed), "HOST slab free ALL swap");
            assert_eq!(shown(4, is_reversed), "HOST … ALL swap");
            assert_eq!(shown(1, is_reversed), "swap");
        }
    }
}
