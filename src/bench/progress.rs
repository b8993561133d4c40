//! A line on standard error while it takes long, and only for somebody who watches.

use std::time::{Duration, Instant};

use crate::sys::stdio;

/// Progress is shown when the whole takes longer than this.
const SHOWN_AFTER: Duration = Duration::from_secs(1);

/// Wiped out when it is dropped.
pub(super) struct Progress {
    began: Instant,
    rounds: usize,
    is_shown: bool,
}

impl Progress {
    pub(super) fn new(rounds: usize) -> Progress {
        Progress { began: Instant::now(), rounds, is_shown: false }
    }

    pub(super) fn show(&mut self, round: usize, what: &str) {
        if self.began.elapsed() >= SHOWN_AFTER && stdio::stderr_is_terminal() {
            self.is_shown = true;
            let line = format!("\r\x1b[Kround {round} of {}: {what}", self.rounds);
            stdio::write_stderr(line.as_bytes());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            stdio::write_stderr(b"\r\x1b[K");
        }
    }
}
