//! What was measured, in a form that can be kept and compared.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::once::Once;
use super::{Candidate, source_word};
use crate::engine::EngineKind;
use crate::error::Error;
use crate::process::Source;
use crate::sys::file;
use crate::sys::this_process;
use crate::sys::threads;
use crate::units::Errno;

/// Tells this form from others; another number means another meaning of the fields.
const SCHEMA: &str = "psm-uring.bench.v2";

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

/// One engine with its parameters: medians of all rounds.
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
    /// CPU time of all threads, the kernel's workers among them: hardly moved by other load.
    pub(super) cpu: Spread,
    /// How many times the CPU time of the first record of `threads`.
    pub(super) cpu_to_threads: Option<f64>,
    /// The part of the CPU time that was spent in user space, over all rounds.
    pub(super) user_part: f64,
    pub(super) measured: u64,
    pub(super) operations: u64,
    pub(super) enters: u64,
    pub(super) reads: u64,
    pub(super) bytes: u64,
}

impl Host {
    pub(super) fn this() -> Host {
        let (name, kernel) = this_process::name_and_kernel();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Host { name, kernel, cpus: threads::cpus(), version }
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
    fn of(candidate: &Candidate, floor: &Spread) -> Figures {
        let Candidate { kind, tuning, rounds } = candidate;
        let spread = |part: fn(&Once) -> Duration| Spread::of(rounds.iter().map(part).collect());
        let time = spread(|once| once.time);
        let measured = median(rounds, |once| once.measured as u64);
        let sum = |part: fn(&Once) -> Duration| -> Duration { rounds.iter().map(part).sum() };
        let cpu = sum(|once| once.user + once.system).as_secs_f64();
        Figures {
            engine: kind.word().to_owned(),
            workers: tuning.workers,
            depth: (*kind == EngineKind::Uring).then_some(tuning.depth),
            time,
            to_floor: ratio(time.median_us, floor.median_us),
            us_per_process: ratio(time.median_us, measured as f64),
            cpu: spread(|once| once.user + once.system),
            user_part: ratio(sum(|once| once.user).as_secs_f64(), cpu),
            measured,
            operations: median(rounds, |once| once.operations),
            enters: median(rounds, |once| once.enters),
            reads: median(rounds, |once| once.reads),
            bytes: median(rounds, |once| once.bytes),
            ..Figures::default()
        }
    }

    pub(super) fn label(&self) -> String {
        label(&self.engine, self.workers, self.depth)
    }

    fn operations_per_process(&self) -> f64 {
        ratio(self.operations as f64, self.measured as f64)
    }
}

/// What tells one engine with its parameters from another.
pub(super) fn label(engine: &str, workers: usize, depth: Option<usize>) -> String {
    let depth = depth.map_or_else(String::new, |depth| format!(", depth {depth}"));
    format!("{engine} ({workers} workers{depth})")
}

fn median(rounds: &[Once], part: fn(&Once) -> u64) -> u64 {
    let mut parts: Vec<u64> = rounds.iter().map(part).collect();
    parts.sort_unstable();
    parts.get(parts.len() / 2).copied().unwrap_or(0)
}

/// A quotient that JSON can hold: 0 when there is nothing to divide by.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

impl Record {
    pub(super) fn new(
        source: Source,
        listed: usize,
        floor: Vec<Duration>,
        candidates: &[Candidate],
    ) -> Record {
        let rounds = floor.len();
        let floor = Spread::of(floor);
        let mut engines: Vec<Figures> =
            candidates.iter().map(|candidate| Figures::of(candidate, &floor)).collect();
        let threads = engines.iter().find(|one| one.engine == EngineKind::Threads.word());
        let threads = threads.map(|one| (one.time.median_us, one.cpu.median_us));
        for one in &mut engines {
            one.to_threads = threads.map(|(time, _)| ratio(one.time.median_us, time));
            one.cpu_to_threads = threads.map(|(_, cpu)| ratio(one.cpu.median_us, cpu));
        }
        let (schema, source) = (SCHEMA.to_owned(), source_word(source).to_owned());
        Record { schema, host: Host::this(), source, listed, rounds, floor, engines }
    }

    pub(super) fn labels(&self) -> Vec<String> {
        self.engines.iter().map(Figures::label).collect()
    }

    pub(super) fn to_json(&self) -> String {
        // Plain numbers and strings: there is nothing in it that JSON cannot hold.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    pub(super) fn save(&self, path: &Path) -> Result<(), Error> {
        let written = std::fs::write(path, self.to_json()).map_err(Errno::from);
        written.map_err(|errno| Error::refused("write", path, &errno))
    }

    pub(super) fn load(path: &Path) -> Result<Record, Error> {
        let text = file::read(path);
        let text = text.map_err(|why| Error::refused("read", path, &why))?;
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
            let label = now.label();
            let Some(then) = before.engines.iter().find(|then| then.label() == label) else {
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
                    let times = ratio(is, was);
                    lines.push(format!(
                        "{label}: {is:.2} {what}, was {was:.2}: {times:.2} times, allowed \
                         {max_ratio:.2}"
                    ));
                }
            }
        }
        lines
    }
}
