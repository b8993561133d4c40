//! How a report was come by: for the report itself, and for `--stats`.

use std::time::{Duration, Instant};

use crate::cli::{Options, word_of};
use crate::engine::{Survey, Surveyor};
use crate::process::Source;
use crate::report::{self, Facts};
use crate::sys::{clock, stdio, this_process};

pub(super) fn facts(options: &Options, surveyor: &Surveyor, clock: &Clock) -> Facts {
    let (host, kernel) = this_process::name_and_kernel();
    Facts {
        version: env!("CARGO_PKG_VERSION"),
        host,
        kernel,
        engine: surveyor.kind().word(),
        fallback: surveyor.fallback().map(|errno| errno.to_string()),
        source: word_of(&options.source),
        by: word_of(&options.by),
        name: word_of(&options.name),
        selection: selection(options),
        started: clock.started,
        started_at: clock::utc(clock.started),
        duration: clock.elapsed(),
    }
}

/// The options that select processes, one after another in a fixed order.
pub(crate) fn selection(options: &Options) -> Option<String> {
    let filter = options.filter.as_ref().map(|filter| format!("--filter {filter}"));
    let list = |option: &str, mut values: Vec<String>| {
        values.sort();
        values.dedup();
        (!values.is_empty()).then(|| format!("--{option} {}", values.join(",")))
    };
    let pids = list("pid", options.pid.iter().map(ToString::to_string).collect());
    let users = list("user", options.user.iter().map(ToString::to_string).collect());
    let words: Vec<String> = filter.into_iter().chain(pids).chain(users).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

pub(super) fn tell_stats(source: Source, surveyor: &Surveyor, survey: &Survey, clock: &Clock) {
    let (tuning, io) = (surveyor.tuning(), survey.io());
    let stats = report::RunStats {
        engine: surveyor.kind().word(),
        fallback: surveyor.fallback().map(|errno| errno.to_string()),
        workers: tuning.workers,
        depth: tuning.depth,
        source: source_words(source),
        coverage: survey.coverage(),
        io: [io.operations, io.enters, io.reads, io.bytes],
        phases: clock.phases.clone(),
        cpu: this_process::cpu_times(),
        peak_rss: this_process::peak_rss(),
    };
    stdio::write_stderr(report::stats(&stats).as_bytes());
}

fn source_words(source: Source) -> &'static str {
    match source {
        Source::Smaps => "smaps",
        Source::Rollup => "smaps_rollup",
        Source::Auto => "smaps_rollup, smaps where there is none",
    }
}

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
