//! Ways to carry bytes from `/proc` to the probes.
//!
//! Engines differ in how they wait for the kernel, never in what they report: everything that
//! could differ lives in [`Probe`](crate::process::Probe). `sync` is the reference, `threads` the
//! honest rival, `uring` the product.
//!
//! - `surveyor` the engine of a run: choice, fallback, deadline
//! - `threads`  `threads` and `sync`: each thread reads one process at a time
//! - `uring`    one thread, many processes in flight
//! - `backoff`  processes that an earlier survey gave up
//! - `tally`    results on their way from a probe to the survey
#![forbid(unsafe_code)]

mod backoff;
mod surveyor;
mod tally;
mod threads;
mod uring;

use std::time::Duration;

pub use self::surveyor::{EngineKind, Surveyor};
pub use self::tally::Tally;
pub use self::uring::Uring;
use crate::process::{Coverage, Fate, Plan, ProcessUsage, Source};
use crate::sys::ring::kernel::{DEPTH_MAX, Features};
use crate::sys::threads::cpus;
use crate::units::{Errno, Pid};

/// Work that was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoStats {
    /// Requests to the kernel: system calls, or entries of the submission queue.
    pub operations: u64,
    /// Calls of `io_uring_enter(2)`; 0 without a ring.
    pub enters: u64,
    /// Reads that were answered.
    pub reads: u64,
    /// Bytes that were read.
    pub bytes: u64,
}

impl IoStats {
    fn add(&mut self, other: &IoStats) {
        self.operations += other.operations;
        self.enters += other.enters;
        self.reads += other.reads;
        self.bytes += other.bytes;
    }
}

/// How long to wait for the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// A read that sleeps this long in its target is given up. One that runs is waited for.
    pub stuck_after: Duration,
    /// Everything that is not finished by then is given up; counted from the survey's start.
    pub deadline: Option<Duration>,
}

/// How far a survey is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Processes whose fate is known.
    pub finished: usize,
    /// All that are asked.
    pub listed: usize,
    /// Those under way that seem to sleep in their target.
    pub held: usize,
}

/// Every listed process, measured or counted.
#[derive(Debug, Default)]
pub struct Survey {
    tallies: Vec<Tally>,
}

impl From<Vec<Tally>> for Survey {
    /// What an engine found that was called without a [`Surveyor`].
    fn from(tallies: Vec<Tally>) -> Survey {
        Survey { tallies }
    }
}

impl Survey {
    /// Those that were measured, in no particular order.
    pub fn processes(&self) -> impl Iterator<Item = ProcessUsage<'_>> + Clone {
        self.tallies.iter().flat_map(Tally::processes)
    }

    /// Those that are neither measured nor left out on purpose, in order.
    pub fn missing(&self) -> Vec<(Pid, Fate)> {
        let mut missing: Vec<_> = self.tallies.iter().flat_map(Tally::missing).copied().collect();
        missing.sort_unstable_by_key(|(pid, _)| *pid);
        missing
    }

    /// What became of all of them.
    pub fn coverage(&self) -> Coverage {
        let mut sum = Coverage::default();
        self.tallies.iter().for_each(|tally| sum.add(tally.coverage()));
        sum
    }

    /// What it took.
    pub fn io(&self) -> IoStats {
        let mut sum = IoStats::default();
        self.tallies.iter().for_each(|tally| sum.add(&tally.io));
        sum
    }
}

/// An engine broke down. What it finished stands; these processes are left.
#[derive(Debug)]
pub struct Broken {
    /// Why.
    pub errno: Errno,
    /// Processes that no tally knows of.
    pub left: Vec<Pid>,
}

/// A way to read every process once.
pub trait Engine {
    /// Measures every listed process as the plan says, and adds what it found. Whenever it looks
    /// whether anything still moves, it tells the observer, which costs it nothing.
    ///
    /// # Errors
    /// The engine itself failed. A process that cannot be read is no error: it is counted.
    fn carry(
        &mut self,
        pids: &[Pid],
        plan: &Plan,
        timeouts: &Timeouts,
        observer: &mut dyn FnMut(Progress),
        tallies: &mut Vec<Tally>,
    ) -> Result<(), Broken>;
}

/// Processes in flight for each worker. The submitting thread does not interrupt workers (see
/// [`sys_threads::prefer_throughput`]), so there must be enough to do until it gets a CPU: a tick of the
/// scheduler is up to 4 ms, and a small process takes a worker 40 us.
const PER_WORKER: usize = 128;
/// The same when all of smaps is read, which takes far longer, and far larger buffers.
const SMAPS_PER_WORKER: usize = 32;

/// What must be left when an engine takes memory: four times what the C library takes at a time.
const LEFT_BYTES: usize = 512 * 1024;
/// Each process has a row, and a part in the report (2,000 in a table of programs: 300 bytes each,
/// of processes: 570).
const LEFT_BYTES_PER_PROCESS: usize = 512;

/// How much memory an engine must leave to the rest of a run that measures so many processes.
pub(super) fn left_bytes(processes: usize) -> usize {
    LEFT_BYTES + LEFT_BYTES_PER_PROCESS * processes
}

/// How an engine is set up.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Threads that read at once, the kernel's or our own.
    pub workers: usize,
    /// Processes asked at once by `uring`, where memory and open files allow so many.
    pub depth: usize,
    /// Features of io_uring that may be used.
    pub features: Features,
}

impl Tuning {
    /// The given numbers, or where there are none what suits the host and the memory file.
    pub fn new(workers: Option<usize>, depth: Option<usize>, source: Source) -> Tuning {
        let workers = workers.unwrap_or_else(cpus);
        let per_worker = match source {
            Source::Smaps => SMAPS_PER_WORKER,
            Source::Auto | Source::Rollup => PER_WORKER,
        };
        let depth = depth.unwrap_or(workers.saturating_mul(per_worker)).min(DEPTH_MAX);
        Tuning { workers, depth, features: Features::ALL }
    }
}
