//! What was measured, in a form that can be kept and compared.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Candidate, source_word};
use crate::engine::{EngineKind, Survey, Tuning};
use crate::error::Error;
use crate::process::Source;
use crate::sys::host;

/// Tells this form from others; a number that is not 1 means another meaning of the fields.
const SCHEMA: &str = "psm-uring.bench.v1";

/// One run of `bench`.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Record {
    schema: String,
    pub(super) host: Host,
    pub(super) source: String,
    /// Processes listed in the last round.
    pub(super) listed: usize,
    pub(super) rounds: usize,
    /// Open, read, close alone, on as many threads as CPUs.
    pub(super) floor: Spread,
    pub(super) engines: Vec<Figures>,
}

/// Where it was measured.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) kernel: String,
    pub(super) cpus: usize,
    pub(super) version: String,
}

/// The times of all rounds, in microseconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(super) struct Spread {
    pub(super) median_us: f64,
    pub(super) min_us: f64,
    pub(super) max_us: f64,
}

/// One engine with its parameters.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Figures {
    pub(super) engine: String,
    pub(super) workers: usize,
    /// Processes in flight; `uring` only.
    pub(super) depth: Option<usize>,
    pub(super) time: Spread,
    /// How many times the floor it takes.
    pub(super) to_floor: f64,
    /// How many times the first record of `threads` it takes, where that was measured.
    pub(super) to_threads: Option<f64>,
    pub(super) us_per_process: f64,
    pub(super) measured: usize,
    pub(super) operations: u64,
    pub(super) enters: u64,
    pub(super) reads: u64,
    pub(super) bytes: u64,
}

impl Host {
    pub(super) fn this() -> Host {
        let (name, kernel) = host::name_and_kernel();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Host { name, kernel, cpus: host::cpus(), version }
    }
}

impl Spread {
    fn of(mut times: Vec<Duration>) -> Spread {
        times.sort_unstable();
        let us = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1e6);
        Spread {
            median_us: us(times.get(times.len() / 2)),
            min_us: us(times.first()),
            max_us: us(times.last()),
        }
    }
}

impl Figures {
    /// What one survey did; the times come later.
    pub(super) fn of(kind: EngineKind, tuning: Tuning, survey: &Survey) -> Figures {
        let io = survey.io();
        Figures {
            engine: kind.word().to_owned(),
            workers: tuning.workers,
            depth: (kind == EngineKind::Uring).then_some(tuning.depth),
            measured: survey.coverage().measured,
            operations: io.operations,
            enters: io.enters,
            reads: io.reads,
            bytes: io.bytes,
            ..Figures::default()
        }
    }

    pub(super) fn label(&self) -> String {
        let workers = self.workers;
        let depth = self.depth.map_or_else(String::new, |depth| format!(", depth {depth}"));
        format!("{} ({workers} workers{depth})", self.engine)
    }

    fn is_same_as(&self, other: &Figures) -> bool {
        (&self.engine, self.workers, self.depth) == (&other.engine, other.workers, other.depth)
    }

    fn operations_per_process(&self) -> f64 {
        self.operations as f64 / self.measured.max(1) as f64
    }
}

impl Record {
    pub(super) fn new(
        host: Host,
        source: Source,
        listed: usize,
        floor: Vec<Duration>,
        candidates: Vec<Candidate>,
    ) -> Record {
        let rounds = floor.len();
        let floor = Spread::of(floor);
        let mut engines: Vec<Figures> = candidates.into_iter().map(Candidate::figures).collect();
        let threads = engines.iter().find(|one| one.engine == EngineKind::Threads.word());
        let threads = threads.map(|one| one.time.median_us);
        for one in &mut engines {
            one.to_floor = one.time.median_us / floor.median_us;
            one.to_threads = threads.map(|threads| one.time.median_us / threads);
            one.us_per_process = one.time.median_us / one.measured.max(1) as f64;
        }
        let (schema, source) = (SCHEMA.to_owned(), source_word(source).to_owned());
        Record { schema, host, source, listed, rounds, floor, engines }
    }

    pub(super) fn to_json(&self) -> String {
        // Plain numbers and strings: there is nothing in it that JSON cannot hold.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    pub(super) fn save(&self, path: &Path) -> Result<(), Error> {
        std::fs::write(path, self.to_json()).map_err(|error| Error::file("write", path, &error))
    }

    pub(super) fn load(path: &Path) -> Result<Record, Error> {
        let text = std::fs::read(path).map_err(|error| Error::file("read", path, &error))?;
        let record: Record = serde_json::from_slice(&text)
            .map_err(|error| Error::file("read as a record of bench", path, &error))?;
        if record.schema != SCHEMA {
            let found = format!("it says {:?}, wanted {SCHEMA:?}", record.schema);
            return Err(Error::file("read as a record of bench", path, &found));
        }
        Ok(record)
    }

    /// One line for every figure that is more than `max_ratio` times what it was. Times are held
    /// against the floor of their own run, so that a slower host is no regression.
    pub(super) fn worse_than(&self, before: &Record, max_ratio: f64) -> Vec<String> {
        let mut lines = Vec::new();
        for now in &self.engines {
            let Some(then) = before.engines.iter().find(|then| then.is_same_as(now)) else {
                continue;
            };
            let figures = [
                ("times the floor", now.to_floor, then.to_floor),
                (
                    "operations per process",
                    now.operations_per_process(),
                    then.operations_per_process(),
                ),
            ];
            for (what, is, was) in figures {
                if is > was * max_ratio {
                    let ratio = is / was;
                    let label = now.label();
                    lines.push(format!(
                        "{label}: {is:.2} {what}, was {was:.2}: {ratio:.2} times, allowed \
                         {max_ratio:.2}"
                    ));
                }
            }
        }
        lines
    }
}

impl Candidate {
    fn figures(self) -> Figures {
        Figures { time: Spread::of(self.times), ..self.figures }
    }
}
