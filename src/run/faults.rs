//! The column of major page faults, which needs the counters of two reports.

use super::Surveyed;
use super::settings::Settings;
use crate::program::{FaultCounts, Faults};
use crate::sys::this_process;

/// The counters of the last report.
#[derive(Default)]
pub(super) struct FaultSeries {
    before: Option<FaultCounts>,
}

impl FaultSeries {
    /// The faults since the last report, if the run asks for them. They are unknown in the first
    /// one, and in a directory that replaces `/proc`, whose start times are of another boot.
    pub(super) fn next(&mut self, settings: &Settings, surveyed: &Surveyed) -> Option<Faults> {
        if !settings.finds_faults {
            return None;
        }
        let ticks = this_process::ticks_per_second();
        let now = FaultCounts::new(surveyed.began, ticks, surveyed.survey.processes());
        let before = self.before.take().filter(|_| settings.root.is_procfs());
        let faults = before.map(|before| now.since(&before)).unwrap_or_default();
        self.before = Some(now);
        Some(faults)
    }
}
