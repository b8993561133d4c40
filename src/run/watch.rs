//! Reports again and again, each of what is there then: drawn over the last one on a terminal, one
//! after another elsewhere.
//!
//! Nothing is set up that would have to be undone: it ends like any program, by a signal.

use std::time::{Duration, Instant};

use super::diff::{Rules, SavedReport};
use super::facts::{self, Clock};
use super::{Outcome, Session, output};
use crate::cli::Options;
use crate::error::Error;
use crate::program::{Amounts, PreviousReport, SnapshotRow};
use crate::report::{self, DiffTableOptions, Format, Report, escape};
use crate::sys::resize::Resizes;
use crate::sys::terminal;
use crate::units::Kib;

/// Lines of a table of growth that are no rows: head, rows that changed less, total.
const GROWTH_LINES_AROUND: usize = 3;

/// Makes a report every so often, as often as `--count` says.
pub(super) fn watch(options: &Options, every: Duration) -> Result<Outcome, Error> {
    check(options)?;
    let since = options.since.as_deref().map(SavedReport::load).transpose()?;
    if let Some(since) = &since {
        since.check(&rules(options), "this report")?;
        SavedReport::tell_missing(&[since]);
    }
    let is_table = options.format() == Format::Table && options.output_file.is_none();
    let is_live = is_table && terminal::stdout_is_redrawn();
    let screen = is_live.then(|| Screen::new(every));
    let has_marks = has_marks(options);
    let mut watch = Watch { is_table, is_first: true, since, screen, has_marks, before: None };
    // Before the session, which may start threads.
    let resizes = is_live.then(Resizes::hold);
    let mut session = Session::open(options)?;
    let mut outcome = Outcome::Printed;
    let mut next = Instant::now();
    for _ in 0..options.count.unwrap_or(usize::MAX) {
        match &resizes {
            Some(resizes) => {
                while resizes.wait(next) {
                    watch.redraw(options)?;
                    session.tell_again(terminal::terminal_columns());
                }
            }
            None => std::thread::sleep(next.saturating_duration_since(Instant::now())),
        }
        if is_live {
            session.forget_told(terminal::terminal_columns());
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

/// Whether rows show how they changed since the last report: a table of all of them does.
fn has_marks(options: &Options) -> bool {
    options.format() == Format::Table && !options.total && options.since.is_none()
}

/// What a saved report must have been made with.
fn rules(options: &Options) -> Rules {
    Rules { by: options.by, name: options.name, selection: facts::selection(options) }
}

/// What is known between two reports.
struct Watch {
    /// Whether tables stand one behind the other.
    is_table: bool,
    is_first: bool,
    /// The report that all are held against.
    since: Option<SavedReport>,
    /// Where each is drawn over the last one.
    screen: Option<Screen>,
    /// Whether marks tell how rows changed, and what they had in the last one.
    has_marks: bool,
    before: Option<PreviousReport>,
}

impl Watch {
    /// On a terminal, no more rows than it has lines for.
    fn fitted(&self, options: &Options) -> Options {
        let fitting = self.screen.as_ref().map(|screen| screen.rows_max(options.summary));
        let top = options.top.into_iter().chain(fitting).min();
        Options { top: if self.since.is_some() { None } else { top }, ..options.clone() }
    }

    fn show(&mut self, options: &Options, report: &Report<'_>) -> Result<(), Error> {
        let mut text = match &self.since {
            Some(since) => self.diff(since, options, report),
            None => output::render(options, report, self.before.as_ref())?,
        };
        self.before = self.has_marks.then(|| PreviousReport::of(report.programs, options.by));
        if let Some(screen) = &mut self.screen {
            text = screen.draw(text, options.reverse, report);
        } else if self.is_table && !self.is_first && !report.is_total {
            text.insert(0, '\n');
        }
        self.is_first = false;
        output::write_text(options, &text)
    }

    /// The last report as it fits now, without looking again.
    fn redraw(&self, options: &Options) -> Result<(), Error> {
        let drawn = self.screen.as_ref().filter(|_| !self.is_first).map(Screen::redraw);
        drawn.map_or(Ok(()), |text| output::write_text(options, &text))
    }

    /// What grew since the saved report.
    fn diff(&self, since: &SavedReport, options: &Options, report: &Report<'_>) -> String {
        let table = output::look(options, report.columns);
        let rows = SnapshotRow::all(report.programs, options.by);
        let mut diff = since.diff(&rows, Kib(0), table.unit.least_shown());
        let lines = self.screen.as_ref().map_or(usize::MAX, |screen| screen.lines(report));
        let rows_max = lines.saturating_sub(GROWTH_LINES_AROUND).max(1);
        diff.keep(rows_max);
        let diff = diff.reversed(options.reverse);
        let look = DiffTableOptions {
            grouping: table.grouping,
            leaves_out: diff.rows.len() == rows_max,
            unit: table.unit,
            no_header: table.no_header,
            terminal: table.terminal,
            is_colored: table.is_colored,
        };
        report::diff(&diff, &since.total(Amounts::total(report.programs)), look)
    }
}

/// Lines of a table that are no rows, before one was seen: head, rows that were cut, total; and
/// those of `--summary`.
const LINES_AROUND: usize = 3;
const SUMMARY_LINES: usize = 20;
/// The line above the table, and that of the cursor.
const LINES_OWN: usize = 2;
/// Stands for lines that do not fit, where there are so many that one can be spared.
const CUT: &str = "…";
const LINES_WITH_MARK: usize = 4;

/// What is drawn on.
pub(super) struct Screen {
    every: Duration,
    /// Lines of the last table that were no rows, and of the notes below it.
    around: Option<usize>,
    notes: usize,
    /// The line above that table, and the table.
    above: String,
    table: String,
    keeps_beginning: bool,
}

impl Screen {
    /// A screen for a report every so often.
    pub(super) fn new(every: Duration) -> Screen {
        let (above, table) = (String::new(), String::new());
        Screen { every, around: None, notes: 0, above, table, keeps_beginning: false }
    }

    /// How many rows fit, as far as is known from the last table. Of a table alone one is shown
    /// always; a summary matters more.
    pub(super) fn rows_max(&self, has_summary: bool) -> usize {
        let usual = LINES_AROUND + if has_summary { SUMMARY_LINES } else { 0 };
        let around = self.around.unwrap_or(usual) + self.notes + LINES_OWN;
        height().saturating_sub(around).max(usize::from(!has_summary))
    }

    /// How many lines a table of this report may have.
    pub(super) fn lines(&self, report: &Report<'_>) -> usize {
        lines_beside(report.notes.len())
    }

    /// Draws a table. What is too wide ends in `…`. If it is too long, its end is left out when
    /// what matters stands at the beginning, else what is behind the head.
    pub(super) fn draw(
        &mut self,
        table: String,
        keeps_beginning: bool,
        report: &Report<'_>,
    ) -> String {
        let lines = table.lines().count();
        self.around = Some(lines.saturating_sub(report.programs.rows.len()));
        self.notes = report.notes.len();
        let at = report.facts.started_at.get(..19).unwrap_or_default().replace('T', " ");
        let host = escape::name(report.facts.host.as_bytes());
        self.above = format!("{at} UTC, every {:?}: {host}", self.every);
        (self.table, self.keeps_beginning) = (table, keeps_beginning);
        self.redraw()
    }

    /// Draws the last table again, as it fits now.
    pub(super) fn redraw(&self) -> String {
        let size = (lines_beside(self.notes), terminal::terminal_columns().unwrap_or(usize::MAX));
        draw(&self.above, &self.table, size, self.keeps_beginning)
    }
}

/// How many lines there are for a table with so many notes.
fn lines_beside(notes: usize) -> usize {
    height().saturating_sub(notes + LINES_OWN).max(1)
}

fn height() -> usize {
    terminal::terminal_lines().unwrap_or(usize::MAX)
}

fn draw(
    above: &str,
    table: &str,
    (lines_max, columns): (usize, usize),
    keeps_beginning: bool,
) -> String {
    const HOME: &str = "\x1b[H";
    const CLEAR_LINE: &str = "\x1b[K";
    const CLEAR_BELOW: &str = "\x1b[J";
    const NO_WRAP: &str = "\x1b[?7l";
    const WRAP: &str = "\x1b[?7h";
    let lines: Vec<&str> = table.lines().collect();
    let mut text = format!("{NO_WRAP}{HOME}");
    for line in [above].into_iter().chain(fitting(&lines, lines_max, keeps_beginning)) {
        // Before, not behind: the cursor stays on the last character of a full line.
        text.extend([CLEAR_LINE, &report::cut_line(line, columns), "\n"]);
    }
    text + CLEAR_BELOW + WRAP
}

/// The lines of a table that fit. The summary below an empty line matters more than rows, and its
/// end, where the sums are, most.
fn fitting<'a>(lines: &[&'a str], lines_max: usize, keeps_beginning: bool) -> Vec<&'a str> {
    let excess = lines.len().saturating_sub(lines_max);
    if excess == 0 {
        return lines.to_vec();
    }
    if let Some(empty) = lines.iter().rposition(|line| line.is_empty()) {
        let (rows, summary) = lines.split_at(empty);
        return match rows.len().checked_sub(excess) {
            Some(rows_max @ 2..) => [&fitting(rows, rows_max, keeps_beginning), summary].concat(),
            _ => fitting(&summary[1..], lines_max, false),
        };
    }
    let mark = [CUT].into_iter().filter(|_| lines_max >= LINES_WITH_MARK);
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
    use crate::commands::table_options;

    #[test]
    fn rows_are_remembered_where_marks_are_shown() {
        let shown = |words: &str| {
            let words: Vec<&str> =
                ["psm-uring", "--watch"].into_iter().chain(words.split_whitespace()).collect();
            has_marks(&table_options(&words).expect("words that make sense"))
        };
        assert!(shown("") && shown("--by pid") && shown("--output-file x"));
        for words in ["-o ndjson", "--json --output-file x", "--since x", "--total"] {
            assert!(!shown(words), "{words}");
        }
    }

    #[test]
    fn of_a_long_table_what_matters_is_drawn() {
        let drawn = |lines, keeps_beginning| {
            let text = draw("now", "head\n1\n2\n3\ntotal\n", (lines, 80), keeps_beginning);
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
    fn a_summary_is_kept_and_rows_are_not() {
        let lines = ["head", "1", "2", "total", "", "HOST", "slab", "free", "ALL", "swap"];
        let shown = |lines_max, is_reversed| fitting(&lines, lines_max, is_reversed).join(" ");
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
