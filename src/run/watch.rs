//! Reports again and again, each of what is there then: drawn over the last one on a terminal, one
//! after another elsewhere.
//!
//! Nothing is set up that would have to be undone: it ends like any program, by a signal.

use std::time::{Duration, Instant};

use super::clock::Clock;
use super::screen::Screen;
use super::session::Session;
use super::{Outcome, facts, output};
use crate::cli::Options;
use crate::diff::{Earlier, Rules};
use crate::error::Error;
use crate::program::{Amounts, LastLook, Seen};
use crate::report::{self, Format, GrowthOptions, Report};
use crate::sys::resize::Resizes;
use crate::sys::terminal;
use crate::units::Kib;

/// Lines of a table of growth that are no rows: head, rows that changed less, total.
const GROWTH_LINES_AROUND: usize = 3;

/// Makes a report every so often, as often as `--count` says.
pub(super) fn watch(options: &Options, every: Duration) -> Result<Outcome, Error> {
    check(options)?;
    let since = options.since.as_deref().map(Earlier::load).transpose()?;
    if let Some(since) = &since {
        since.check(&rules(options), "this report")?;
        Earlier::tell_missing(&[since]);
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
    since: Option<Earlier>,
    /// Where each is drawn over the last one.
    screen: Option<Screen>,
    /// Whether marks tell how rows changed, and what they had in the last one.
    has_marks: bool,
    before: Option<LastLook>,
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
            Some(since) => self.growth(since, options, report),
            None => output::render(options, report, self.before.as_ref())?,
        };
        self.before = self.has_marks.then(|| LastLook::of(report.programs, options.by));
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
    fn growth(&self, since: &Earlier, options: &Options, report: &Report<'_>) -> String {
        let table = output::look(options, report.columns);
        let rows = Seen::all(report.programs, options.by);
        let mut growth = since.growth(&rows, Kib(0), table.unit.least_shown());
        let lines = self.screen.as_ref().map_or(usize::MAX, |screen| screen.lines(report));
        let rows_max = lines.saturating_sub(GROWTH_LINES_AROUND).max(1);
        growth.keep(rows_max);
        let growth = growth.turned(options.reverse);
        let look = GrowthOptions {
            grouping: table.grouping,
            leaves_out: growth.rows.len() == rows_max,
            unit: table.unit,
            no_header: table.no_header,
            terminal: table.terminal,
            is_colored: table.is_colored,
        };
        report::growth(&growth, &since.total(Amounts::total(report.programs)), look)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn rows_are_remembered_where_marks_are_shown() {
        let shown = |words: &str| {
            let words = ["psm-uring", "--watch"].into_iter().chain(words.split_whitespace());
            has_marks(&Cli::try_parse_from(words).expect("words that make sense").options)
        };
        assert!(shown("") && shown("--by pid") && shown("--output-file x"));
        for words in ["-o ndjson", "--json --output-file x", "--since x", "--total"] {
            assert!(!shown(words), "{words}");
        }
    }
}
