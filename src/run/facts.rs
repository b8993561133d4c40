//! The facts of a run: for the report, and for `--stats`.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::settings::Settings;
use crate::engine::{EngineKind, Survey, Surveyor};
use crate::process::{Plan, Source};
use crate::report::{self, Facts};
use crate::sys::{stdio, this_process};
use crate::units::Labelled;

pub(super) fn facts(settings: &Settings, surveyor: &Surveyor, clock: &Clock) -> Facts {
    let (host, kernel) = this_process::name_and_kernel();
    Facts {
        version: env!("CARGO_PKG_VERSION"),
        host,
        kernel,
        engine: surveyor.kind().label(),
        fallback: surveyor.fallback().map(|errno| errno.to_string()),
        source: settings.source,
        rules: settings.rules.clone(),
        started: clock.started,
        started_at: humantime::format_rfc3339_millis(UNIX_EPOCH + clock.started).to_string(),
        duration: clock.elapsed(),
    }
}

/// Prints the statistics of a run on standard error.
pub(super) fn print_stats(plan: &Plan, surveyor: &Surveyor, survey: &Survey, clock: &Clock) {
    let (tuning, io) = (surveyor.tuning(), survey.io());
    let (workers, depth) = match surveyor.kind() {
        EngineKind::Uring => (tuning.ring_workers, Some(tuning.depth)),
        _ => (tuning.workers, None),
    };
    let stats = report::RunStats {
        engine: surveyor.kind().label(),
        fallback: surveyor.fallback().map(|errno| errno.to_string()),
        workers,
        depth,
        source: match plan.source {
            Source::Smaps => "smaps",
            Source::Auto if plan.walk.is_some() => "smaps_rollup, pagemap of big processes",
            Source::Auto => "smaps_rollup, smaps where there is none",
            Source::Pagemap if plan.walk.is_some() => "pagemap",
            Source::Rollup | Source::Pagemap => "smaps_rollup",
        },
        coverage: survey.coverage(),
        io: [io.operations, io.enters, io.reads, io.bytes],
        phases: clock.phases.clone(),
        cpu: clock.cpu(),
        peak_rss: this_process::peak_rss(),
    };
    stdio::write_stderr(report::stats(&stats).as_bytes());
}

/// The time of each phase.
pub(crate) struct Clock {
    /// Time of day at the start, since the Unix epoch.
    pub(super) started: Duration,
    run_began: Instant,
    /// CPU time in user space and in the kernel before.
    cpu_before: (Duration, Duration),
    began: Instant,
    pub(super) phases: Vec<(&'static str, Duration)>,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        // 0 on a clock that is not set.
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = Instant::now();
        let cpu_before = this_process::cpu_times();
        Clock { started, run_began: now, cpu_before, began: now, phases: Vec::new() }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.run_began.elapsed()
    }

    /// CPU time in user space and in the kernel so far.
    fn cpu(&self) -> (Duration, Duration) {
        let ((user, system), before) = (this_process::cpu_times(), self.cpu_before);
        (user.saturating_sub(before.0), system.saturating_sub(before.1))
    }

    /// Ends the phase that began when the last one ended.
    pub(crate) fn phase(&mut self, name: &'static str) {
        let now = Instant::now();
        self.phases.push((name, now - self.began));
        self.began = now;
    }
}
