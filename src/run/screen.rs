//! A terminal on which each report is drawn over the last one (ECMA-48: `CUP`, `EL`, `ED`; and
//! `DECAWM`, so that a line is never two).

use std::time::Duration;

use crate::report::{self, Report, escape};
use crate::sys::stdio;

/// Lines of a table that are no rows, before one was seen: head, rows that were cut, total; and
/// those of `--summary`.
const LINES_AROUND: usize = 3;
const SUMMARY_LINES: usize = 20;
/// The line above the table, and that of the cursor.
const LINES_OWN: usize = 2;

/// What is drawn on.
pub(super) struct Screen {
    every: Duration,
    /// Lines of the last table that were no rows, and of the notes below it.
    around: Option<usize>,
    notes: usize,
}

impl Screen {
    /// A screen for a report every so often.
    pub(super) fn new(every: Duration) -> Screen {
        Screen { every, around: None, notes: 0 }
    }

    /// How many rows fit, as far as is known from the last table.
    pub(super) fn rows_max(&self, has_summary: bool) -> usize {
        let usual = LINES_AROUND + if has_summary { SUMMARY_LINES } else { 0 };
        let around = self.around.unwrap_or(usual) + self.notes + LINES_OWN;
        height().saturating_sub(around).max(1)
    }

    /// How many lines a table of this report may have.
    pub(super) fn lines(&self, report: &Report<'_>) -> usize {
        height().saturating_sub(report.notes.len() + LINES_OWN).max(1)
    }

    /// Draws a table. What is too wide ends in `…`. If it is too long, its end is left out when
    /// what matters stands at the beginning, else what is behind the head.
    pub(super) fn draw(
        &mut self,
        table: &str,
        keeps_beginning: bool,
        report: &Report<'_>,
    ) -> String {
        let lines = table.lines().count();
        self.around = Some(lines.saturating_sub(report.programs.rows.len()));
        self.notes = report.notes.len();
        let at = report.facts.started_at.get(..19).unwrap_or_default().replace('T', " ");
        let host = escape::name(report.facts.host.as_bytes());
        let above = format!("{at} UTC, every {:?}: {host}", self.every);
        let columns = stdio::terminal_columns().unwrap_or(usize::MAX);
        draw(&above, table, (self.lines(report), columns), keeps_beginning)
    }
}

fn height() -> usize {
    stdio::terminal_lines().unwrap_or(usize::MAX)
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
    let excess = lines.len().saturating_sub(lines_max);
    let has_head = excess > 0 && lines_max > 1 && !keeps_beginning;
    let rest = match excess {
        0 => &lines[..],
        _ if keeps_beginning => &lines[..lines_max],
        _ => &lines[excess + usize::from(has_head)..],
    };
    let mut text = format!("{NO_WRAP}{HOME}");
    for line in [&above].into_iter().chain(lines.iter().take(usize::from(has_head))).chain(rest) {
        // Before, not behind: the cursor stays on the last character of a full line.
        text.extend([CLEAR_LINE, &report::cut_line(line, columns), "\n"]);
    }
    text + CLEAR_BELOW + WRAP
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(drawn(3, false), "now head 3 total ");
        assert_eq!(drawn(3, true), "now head 1 2 ");
        assert_eq!(drawn(1, false), "now total ");
    }
}
