//! When a report was begun, and how long its phases took.

use std::time::{Duration, Instant};

use crate::sys::clock;

/// The time of each phase.
pub(super) struct Clock {
    /// Since 1970.
    pub(super) started: Duration,
    run_began: Instant,
    began: Instant,
    pub(super) phases: Vec<(&'static str, Duration)>,
}

impl Clock {
    pub(super) fn start() -> Clock {
        let (started, now) = (clock::since_1970(), Instant::now());
        Clock { started, run_began: now, began: now, phases: Vec::new() }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.run_began.elapsed()
    }

    /// Ends the phase that began with the one before.
    pub(super) fn phase(&mut self, name: &'static str) {
        let now = Instant::now();
        self.phases.push((name, now - self.began));
        self.began = now;
    }
}
