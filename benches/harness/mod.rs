//! Timing for benches: interleaved rounds, median and spread, and every answer checked.
//!
//! `cargo bench` measures. `cargo test` runs the same benches once, tiny, so that they cannot rot.

#![allow(dead_code, unreachable_pub)] // Each bench uses its part.

pub mod about;

use std::time::{Duration, Instant};

/// Whether to measure, or only to see that the benches still work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `cargo bench`.
    Measure,
    /// `cargo test`.
    Smoke,
}

impl Mode {
    /// Cargo passes `--bench` when it is to be measured.
    pub fn of_this_run() -> Mode {
        if std::env::args().any(|arg| arg == "--bench") { Mode::Measure } else { Mode::Smoke }
    }

    /// How many rounds to time.
    pub fn rounds(self, measured: usize) -> usize {
        if self == Mode::Measure { measured } else { 1 }
    }
}

/// One thing to time. Panics when its answer is wrong.
pub struct Candidate<'a> {
    /// What stands in the table.
    pub name: &'a str,
    /// What is done before each repetition and not timed.
    pub prepare: Box<dyn FnMut() + 'a>,
    /// One repetition.
    pub run: Box<dyn FnMut() + 'a>,
}

impl<'a> Candidate<'a> {
    /// Names a closure.
    pub fn new(name: &'a str, run: impl FnMut() + 'a) -> Candidate<'a> {
        Candidate { name, prepare: Box::new(|| ()), run: Box::new(run) }
    }

    /// Does this before each repetition.
    pub fn after(self, prepare: impl FnMut() + 'a) -> Candidate<'a> {
        Candidate { prepare: Box::new(prepare), ..self }
    }
}

/// The times of one candidate, sorted.
pub struct Times(Vec<Duration>);

impl Times {
    /// The middle one.
    pub fn median(&self) -> Duration {
        self.0[self.0.len() / 2]
    }

    /// All of them, in nanoseconds.
    pub fn nanoseconds(&self) -> Vec<u64> {
        self.0.iter().map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)).collect()
    }

    /// The shortest and the longest.
    pub fn spread(&self) -> (Duration, Duration) {
        (self.0[0], self.0[self.0.len() - 1])
    }
}

/// Times all candidates in turn, round by round, so that a slow moment of the machine meets all.
pub fn interleave(candidates: &mut [Candidate<'_>], rounds: usize) -> Vec<Times> {
    let mut times = vec![Vec::with_capacity(rounds); candidates.len()];
    candidates.iter_mut().for_each(|candidate| (candidate.run)()); // warm-up
    for _ in 0..rounds {
        for (candidate, times) in candidates.iter_mut().zip(&mut times) {
            (candidate.prepare)();
            let began = Instant::now();
            (candidate.run)();
            times.push(began.elapsed());
        }
    }
    let sorted = |mut times: Vec<Duration>| {
        times.sort_unstable();
        Times(times)
    };
    times.into_iter().map(sorted).collect()
}
