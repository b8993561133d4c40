//! A progress line on standard error, on a terminal and after one second.

use std::time::{Duration, Instant};

use crate::engine::{Progress, Survey, Surveyor, Timeouts};
use crate::error::Error;
use crate::process::Plan;
use crate::sys::stdio;
use crate::sys::terminal;
use crate::units::Pid;

/// The line is shown once a survey takes longer than this.
const SHOWN_AFTER: Duration = Duration::from_secs(1);
/// A number that changes more often cannot be read.
const SHOWN_EVERY: Duration = Duration::from_millis(100);

/// The line, erased on drop.
pub(crate) struct ProgressLine {
    next: Instant,
    is_shown: bool,
}

impl ProgressLine {
    pub(crate) fn new() -> ProgressLine {
        ProgressLine::since(Instant::now())
    }

    fn since(began: Instant) -> ProgressLine {
        ProgressLine { next: began + SHOWN_AFTER, is_shown: false }
    }

    /// Replaces the line, if it is due.
    pub(crate) fn show(&mut self, line: impl FnOnce() -> String) {
        if self.is_time(Instant::now()) && terminal::stderr_is_redrawn() {
            self.is_shown = true;
            stdio::write_stderr(format!("\r\x1b[K{}", line()).as_bytes());
        }
    }

    /// Whether a line is due. Then the next one is due a while later.
    fn is_time(&mut self, now: Instant) -> bool {
        let is_time = now >= self.next;
        if is_time {
            self.next = now + SHOWN_EVERY;
        }
        is_time
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if self.is_shown {
            stdio::write_stderr(b"\r\x1b[K");
        }
    }
}

/// A survey with a progress line.
pub(super) fn survey(
    surveyor: &mut Surveyor,
    pids: &[Pid],
    plan: &Plan,
    timeouts: &Timeouts,
) -> Result<Survey, Error> {
    let mut line = ProgressLine::new();
    surveyor
        .survey_with_progress(pids, plan, timeouts, &mut |progress| line.show(|| words(&progress)))
}

/// Reads mappings, with a progress line.
pub(super) fn survey_mappings(
    surveyor: &mut Surveyor,
    pids: &[Pid],
    timeouts: &Timeouts,
) -> Survey {
    let mut line = ProgressLine::new();
    surveyor.survey_mappings(pids, timeouts, &mut |progress| line.show(|| words(&progress)))
}

/// `1,240 of 5,812, 3 slow`
fn words(progress: &Progress) -> String {
    let Progress { finished, listed, held } = *progress;
    let slow = if held > 0 { format!(", {} slow", grouped(held)) } else { String::new() };
    format!("{} of {}{slow}", grouped(finished), grouped(listed))
}

/// A number with commas between groups of three digits.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_one_second_ten_lines_a_second_are_due() {
        let began = Instant::now();
        let mut progress = ProgressLine::since(began);
        let mut is_time = |ms| progress.is_time(began + Duration::from_millis(ms));
        let due: Vec<u64> = (0..1300).filter(|ms| is_time(*ms)).collect();
        assert_eq!(due, [1000, 1100, 1200]);
        assert!(is_time(5000) && !is_time(5099) && is_time(5100), "counted from the last line");
    }

    #[test]
    fn words_are_short() {
        let words = |finished, listed, held| words(&Progress { finished, listed, held });
        assert_eq!(words(0, 7, 0), "0 of 7");
        assert_eq!(words(1240, 5812, 3), "1,240 of 5,812, 3 slow");
        assert_eq!(words(999, 1_000_000, 1000), "999 of 1,000,000, 1,000 slow");
    }
}
