//! Engines: ways to transfer bytes from `/proc` to the probes.
//!
//! Engines differ in how they wait for the kernel, never in what they report: everything that could
//! differ is in [`Probe`](crate::process::Probe).
//!
//! - `surveyor` runs an engine: choice, fallback, deadline
//! - `threads`  `threads` and `sync`: each thread reads one process at a time
//! - `uring`    one thread, many processes in flight
//! - `backoff`  skips processes that were stuck in earlier surveys
//! - `kernel_threads` finds kernel threads without a request for each
//! - `series`   keeps files open from one survey to the next
//! - `tally`    the results of one engine or thread
#![forbid(unsafe_code)]

mod backoff;
mod kernel_threads;
mod series;
mod surveyor;
mod tally;
mod threads;
mod uring;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

pub use self::surveyor::{EngineKind, Surveyor};
pub use self::tally::Tally;
pub use self::uring::Uring;
use crate::process::{
    CgroupPaths, Coverage, Fate, Freed, FreedShare, Plan, ProcessUsage, SlotRun, Source,
};
use crate::smaps::{MappingLog, SharedMapping};
use crate::sys::keeper_client::has_keeper;
use crate::sys::readers::Patience;
use crate::sys::ring::kernel::{DEPTH_MAX, Features};
use crate::sys::threads::{cpus, memory_stall};
use crate::units::{Errno, Kib, Pid};

/// Counters of the I/O of a survey.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoStats {
    /// Requests to the kernel: system calls, or entries of the submission queue.
    pub operations: u64,
    /// Calls of `io_uring_enter(2)`; 0 without a ring.
    pub enters: u64,
    /// Reads that succeeded.
    pub reads: u64,
    /// Bytes read.
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

/// The times to wait for the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// A read that sleeps this long in its target times out. A read that runs does not.
    pub stuck_after: Duration,
    /// Time from the start of the survey to its end, finished or not.
    pub deadline: Option<Duration>,
}

impl Timeouts {
    /// The patience of reads beside a survey.
    pub fn patience(&self) -> Patience {
        (self.stuck_after, self.deadline)
    }
}

/// The progress of a survey.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Processes whose fate is known.
    pub finished: usize,
    /// Processes to measure.
    pub listed: usize,
    /// Processes in flight whose reads seem to sleep.
    pub held: usize,
}

/// Every listed process, measured or counted.
#[derive(Debug, Default)]
pub struct Survey {
    tallies: Vec<Tally>,
}

impl From<Vec<Tally>> for Survey {
    /// The results of an engine that runs without a [`Surveyor`].
    fn from(tallies: Vec<Tally>) -> Survey {
        Survey { tallies }
    }
}

impl Survey {
    /// The measured processes, in no particular order.
    pub fn processes(&self) -> impl Iterator<Item = ProcessUsage<'_>> + Clone {
        self.tallies.iter().flat_map(Tally::processes)
    }

    /// The processes that are neither measured nor left out on purpose, in order.
    pub fn missing(&self) -> Vec<(Pid, Fate)> {
        let mut missing: Vec<_> = self.tallies.iter().flat_map(Tally::missing).copied().collect();
        missing.sort_unstable_by_key(|(pid, _)| *pid);
        missing
    }

    /// The control groups of processes whose memory could not be read, as far as they are known.
    pub fn missing_cgroups(&self) -> HashMap<Pid, CgroupPaths<'_>> {
        self.tallies.iter().flat_map(Tally::missing_cgroups).collect()
    }

    /// Takes the mappings of measured processes, if the plan asked for them.
    pub fn take_mappings(&mut self) -> Vec<(Pid, Vec<SharedMapping>)> {
        self.tallies.iter_mut().flat_map(|tally| std::mem::take(&mut tally.mappings)).collect()
    }

    /// All mappings of measured processes by name, if the plan asked for them: logs, each with its
    /// processes in the same order.
    pub fn mapping_logs(
        &self,
    ) -> impl Iterator<Item = (&MappingLog, impl Iterator<Item = ProcessUsage<'_>>)> {
        self.tallies.iter().map(|tally| (tally.log(), tally.processes()))
    }

    /// The number of processes per fate.
    pub fn coverage(&self) -> Coverage {
        let mut sum = Coverage::default();
        self.tallies.iter().for_each(|tally| sum.add(tally.coverage()));
        sum
    }

    /// The memory that returns when all processes of the survey end; `None` if one of them was not
    /// walked once and whole, or if there is none.
    pub fn freed(&self) -> Option<Freed> {
        let shares = || self.tallies.iter().flat_map(Tally::freed);
        let (walked, listed) = (shares().count(), self.coverage().listed());
        (listed > 0 && walked == listed).then(|| FreedShare::sum(shares().copied()))
    }

    /// Whether a process was walked more than once, because it changed meanwhile.
    pub fn is_walk_repeated(&self) -> bool {
        self.tallies.iter().any(Tally::is_walk_repeated)
    }

    /// The processes that changed so much while they were walked that their figures may be wrong.
    pub fn torn(&self) -> impl Iterator<Item = Pid> {
        self.tallies.iter().flat_map(Tally::torn).copied()
    }

    /// The walked processes with pages in swap, each with its slots.
    pub fn swap_slots(&self) -> impl Iterator<Item = (Pid, &[SlotRun])> {
        self.tallies.iter().flat_map(Tally::swap_slots)
    }

    /// Sets the shares of walked processes in swapped pages, in the order of
    /// [`Survey::swap_slots`]. Until then a shared page counts whole.
    pub fn set_swap_shares(&mut self, shares: Vec<Kib>) {
        let mut shares = shares.into_iter();
        self.tallies.iter_mut().for_each(|tally| tally.set_swap_shares(&mut shares));
    }

    /// The I/O of all processes.
    pub fn io(&self) -> IoStats {
        let mut sum = IoStats::default();
        self.tallies.iter().for_each(|tally| sum.add(&tally.io));
        sum
    }
}

/// The engine itself failed. Its tallies hold the processes that it finished.
#[derive(Debug)]
pub struct EngineFailure {
    /// The error.
    pub errno: Errno,
    /// Processes that are in no tally.
    pub unfinished: Vec<Pid>,
}

/// A way to read every process once.
pub trait Engine {
    /// Measures the processes as the plan says, and adds the results to `tallies`. Reports progress
    /// to the observer whenever it checks its workers.
    ///
    /// # Errors
    /// The engine itself failed. A process that cannot be read is not an error: it is counted.
    fn survey(
        &mut self,
        pids: &[Pid],
        plan: &Arc<Plan>,
        timeouts: &Timeouts,
        observer: &mut dyn FnMut(Progress),
        tallies: &mut Vec<Tally>,
    ) -> Result<(), EngineFailure>;

    /// Closes the files of processes that stayed open, and keeps none of them in the next survey.
    fn forget(&mut self, is_forgotten: &dyn Fn(Pid) -> bool);
}

/// Processes in flight for each worker. The submitting thread seldom preempts workers, so the
/// queue must last until that thread gets a CPU: a tick of the scheduler is up to 4 ms, and a small
/// process takes a worker 40 us.
const PER_WORKER: usize = 128;
/// The same if a keeper opens the memory: then about half of the processes in flight wait for it.
const PER_WORKER_WITH_KEEPER: usize = 2 * PER_WORKER;
/// The same for smaps, whose reads take far longer and need far larger buffers.
const SMAPS_PER_WORKER: usize = 32;

/// Part of the time in which some thread waited for memory, in percent, from which a host counts as
/// short of memory.
const SHORT_OF_MEMORY: f32 = 20.0;
/// Workers per CPU on such a host. Reads then sleep for pages and for the locks of processes that
/// wait for pages.
const WORKERS_PER_CPU_SHORT_OF_MEMORY: usize = 4;

fn ring_workers_per_cpu() -> usize {
    let is_short = memory_stall().is_some_and(|percent| percent >= SHORT_OF_MEMORY);
    if is_short { WORKERS_PER_CPU_SHORT_OF_MEMORY } else { 1 }
}

/// Parameters of an engine.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Threads that read at the same time: the kernel's workers or threads of this process.
    pub workers: usize,
    /// The kernel's workers at the start of a survey in `uring`.
    pub ring_workers: usize,
    /// Processes in flight in `uring`, if memory and open files allow.
    pub depth: usize,
    /// Features of io_uring that may be used.
    pub features: Features,
    /// Whether files stay open from one survey to the next, if the kernel can read them again.
    pub keeps_files: bool,
}

impl Tuning {
    /// The given numbers, or defaults that suit the host and the memory file.
    pub fn new(workers: Option<usize>, depth: Option<usize>, source: Source) -> Tuning {
        let ring_workers = workers.unwrap_or_else(|| cpus() * ring_workers_per_cpu());
        let workers = workers.unwrap_or_else(cpus);
        let per_worker = match source {
            Source::Smaps => SMAPS_PER_WORKER,
            Source::Auto | Source::Rollup | Source::Pagemap if has_keeper() => {
                PER_WORKER_WITH_KEEPER
            }
            Source::Auto | Source::Rollup | Source::Pagemap => PER_WORKER,
        };
        let depth = depth.unwrap_or(workers.saturating_mul(per_worker)).min(DEPTH_MAX);
        let (features, keeps_files) = (Features::ALL, false);
        Tuning { workers, ring_workers, depth, features, keeps_files }
    }
}
