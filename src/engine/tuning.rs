//! How an engine is set up: how many workers, how many processes in flight.

use crate::process::Source;
use crate::sys::threads;
use crate::sys::ring::kernel::{DEPTH_MAX, Features};

/// Processes in flight for each worker. The submitting thread does not interrupt workers (see
/// [`threads::prefer_throughput`]), so there must be enough to do until it gets a CPU: a tick of the
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
        let workers = workers.unwrap_or_else(threads::cpus);
        let per_worker = match source {
            Source::Smaps => SMAPS_PER_WORKER,
            Source::Auto | Source::Rollup => PER_WORKER,
        };
        let depth = depth.unwrap_or(workers.saturating_mul(per_worker)).min(DEPTH_MAX);
        Tuning { workers, depth, features: Features::ALL }
    }
}
