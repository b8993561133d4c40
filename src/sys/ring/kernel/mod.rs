//! io_uring, used so that nothing blocks the submitting thread.
//!
//! procfs has no asynchronous reads: the kernel passes every request to a worker thread of this
//! process (io-wq). So speed depends on the number of workers, and on one worker reading a whole
//! process:
//!
//! ```text
//!   OPENAT smaps_rollup ─link→ OPENAT cmdline ─link→ READ cmdline ─hard link→ READ smaps_rollup
//!   ASYNC, SKIP                SKIP                  CQE                      CQE
//! ```
//!
//! - ASYNC on the head passes the chain to a worker without an attempt in the submitting thread,
//!   where an open can block on the target's `exec_update_lock`, and lets the kernel start workers.
//! - Every slot has two direct descriptors. An open into one closes the old file, so no close is
//!   needed, and none can race with the next chain.
//! - The link behind a read is hard because every read here is short, which breaks a soft one.
//! - SKIP suppresses the completions of successful opens. A failed open completes, and suppresses
//!   the rest of its chain.
//!
//! On kernels that lack one of these [`Features`] the ring works in *stages*: the same steps, each
//! queued when the one before has completed, with ordinary descriptors.
//!
//! - `setup`      the features of the kernel, and the size of the ring
//! - `submission` requests to entries and chains, and why their pointers are valid
//! - `completion` completions of the kernel to completions of fetches
//! - `sleepers`   workers that have not run for a while

mod completion;
mod setup;
mod sleepers;
mod submission;

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::{
    Completion, Failure, Fetch, Fetcher, Half, ReadFrom, Request, RingStats, WorkerStates,
};
use crate::process::{ProcFile, RelPath};
use crate::sys::buffer::{Buffer, BufferArena};
use crate::sys::proc_root::ProcRoot;
use crate::sys::this_process;
use crate::sys::threads;
use crate::sys::threads::ThreadState;
use crate::units::Errno;
use io_uring::IoUring;

pub use self::setup::{Features, RingSetup};
use self::setup::{SLOTS_MAX, build, register_table};
use self::sleepers::Sleepers;
use self::submission::{Op, Tag};

/// The maximum useful depth: more requests only wait in the kernel instead of here.
pub const DEPTH_MAX: usize = 1024;

/// io_uring on a directory of processes.
pub struct KernelRing {
    ring: IoUring,
    root: ProcRoot,
    features: Features,
    /// Created at first use, at most `slots_max`, which is the capacity of the vector.
    slots: Vec<RingSlot>,
    slots_max: usize,
    /// Completions of the kernel, copied out of its queue and not yet handled.
    raw: VecDeque<(u64, i32)>,
    /// Completions of fetches, not yet reaped.
    ready: VecDeque<Completion>,
    in_flight: usize,
    sleepers: Sleepers,
    worker_limit: usize,
    /// The number of times in a row that the kernel has refused requests.
    refusals: u32,
    /// The reason why nothing can be queued any more.
    broken: Option<Errno>,
    began: Instant,
    stats: RingStats,
}

/// The requests of one slot. Never moves: the kernel reads paths from here.
#[derive(Default)]
struct RingSlot {
    /// The fetches in flight. The kernel may write to their buffers.
    pending: [Option<Fetch>; 2],
    /// Tells completions of this request from those of an earlier one.
    generation: u32,
    /// The ordinary descriptors, only in stages.
    files: [Option<OwnedFd>; 2],
    /// The number of operations when the last one of this slot was queued.
    queued_at: u64,
}

impl KernelRing {
    /// Sets up a ring and proves that it works: a worker opens and reads a directory through it,
    /// which must fail as it does for directories.
    ///
    /// # Errors
    /// `ENOSYS`: the kernel has no io_uring. `EPERM`: sysctl `kernel.io_uring_disabled`, a seccomp
    /// profile or a security module forbids it. `ENOMEM`: `RLIMIT_MEMLOCK` is too small for even
    /// the smallest ring. `ECANCELED`: no worker can be started (`RLIMIT_NPROC`, `pids.max`).
    /// `EOPNOTSUPP`: the kernel (before 5.11) lacks a required feature.
    pub fn new(root: ProcRoot, setup: RingSetup) -> Result<KernelRing, Errno> {
        let depth = setup.depth.clamp(1, DEPTH_MAX);
        let (ring, mut features) = build(depth, setup.allowed)?;
        let params = ring.params();
        if !(params.is_feature_ext_arg()
            && params.is_feature_submit_stable()
            && params.is_feature_nodrop()
            && params.is_feature_rw_cur_pos())
        {
            return Err(Errno(libc::EOPNOTSUPP));
        }
        features.skip_success &= params.is_feature_skip_cqe_on_success();
        features.chains &= params.is_feature_linked_file();
        let table = if features.chains { register_table(&ring, depth) } else { None };
        features.chains = table.is_some();
        // In stages, a slot has two ordinary descriptors.
        let slots_max = table.unwrap_or_else(|| SLOTS_MAX.min(this_process::raise_file_limit()));
        let mut ring = KernelRing {
            ring,
            root,
            features,
            slots: Vec::with_capacity(slots_max),
            slots_max,
            raw: VecDeque::with_capacity(2 * depth),
            ready: VecDeque::with_capacity(2 * depth),
            in_flight: 0,
            sleepers: Sleepers::default(),
            worker_limit: 0,
            refusals: 0,
            broken: None,
            began: Instant::now(),
            stats: RingStats::default(),
        };
        ring.limit_workers(setup.workers);
        ring.prove_elsewhere()?;
        Ok(ring)
    }

    /// The features in use.
    pub fn features(&self) -> Features {
        self.features
    }

    /// Proves the ring on another CPU: this starts the first worker, which stays on its CPU. On the
    /// CPU of the submitting thread the two would take turns, so the worker would be idle at every
    /// submission, and the kernel starts a second worker only while the first is busy. Kernels
    /// before 5.14 offer no choice.
    fn prove_elsewhere(&mut self) -> Result<(), Errno> {
        let cpus = threads::other_cpus();
        let is_set =
            cpus.is_some_and(|cpus| self.ring.submitter().register_iowq_aff(&cpus).is_ok());
        let proved = self.prove();
        if is_set {
            // Later workers may run on any CPU. If this fails: on any other CPU.
            let _ = self.ring.submitter().unregister_iowq_aff();
        }
        proved
    }

    /// A setup can succeed although no worker can be started. So this opens and reads the root,
    /// which needs no process and fails with `EISDIR`.
    fn prove(&mut self) -> Result<(), Errno> {
        const TIMEOUT: Duration = Duration::from_secs(2);
        let path = RelPath::root();
        let buffer = BufferArena::new().buffer(1);
        self.fetch(0, Request::One(Fetch { file: ProcFile::Comm, path, buffer }));
        let begin = self.now();
        while self.now() - begin < TIMEOUT {
            self.submit_and_wait(1, TIMEOUT)?;
            match self.reap().map(|done| done.result) {
                None | Some(Err(Failure::NotTried)) => {}
                Some(Err(Failure::Refused(Errno(libc::EISDIR)))) => return Ok(()),
                Some(Err(Failure::Refused(errno))) => return Err(errno),
                Some(Ok(())) => return Err(Errno(libc::EOPNOTSUPP)),
            }
        }
        Err(Errno(libc::ETIMEDOUT))
    }

    fn limit_workers(&mut self, workers: usize) {
        let limit: u32 = int(workers);
        if self.features.worker_limit && self.worker_limit != workers {
            let set = self.ring.submitter().register_iowq_max_workers(&mut [limit; 2]);
            self.features.worker_limit = set.is_ok();
            self.worker_limit = workers;
        }
    }
}

impl Fetcher for KernelRing {
    fn slots_max(&self) -> usize {
        self.slots_max
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn workers(&mut self, stuck_after: Duration) -> WorkerStates {
        let (sleeps, cpu) = this_process::other_threads();
        let mut states = WorkerStates { sleeps, cpu, ..WorkerStates::default() };
        let (ring_began, began) = (self.began, self.now());
        let sleepers = &mut self.sleepers;
        sleepers.start_check();
        threads::ring_workers(|thread, state| match state {
            ThreadState::Running => states.running += 1,
            ThreadState::Idle => states.idle += 1,
            ThreadState::Blocked => {
                states.blocked += 1;
                // Read the state again: if the worker woke in between, its count may not show it.
                let times = threads::times_run(thread);
                let is_asleep = threads::thread_state(thread) == Some(ThreadState::Blocked);
                if let Some(times) = times.filter(|_| is_asleep) {
                    sleepers.record(thread, times, ring_began.elapsed());
                }
            }
        });
        states.stuck = sleepers.count_since(began.saturating_sub(stuck_after));
        states
    }

    /// Workers take requests in the order of the queue, one at a time. So these are the first ones,
    /// as many as there are workers.
    fn executing(&self, workers: &WorkerStates) -> Vec<usize> {
        let slots = self.slots.iter().enumerate();
        let in_flight = slots.filter(|(_, slot)| slot.pending.iter().any(Option::is_some));
        let mut line: Vec<_> = in_flight.map(|(index, slot)| (slot.queued_at, index)).collect();
        line.sort_unstable();
        // Without an own `/proc` the workers are unknown.
        let seen = workers.running + workers.blocked + workers.idle;
        let most = if seen > 0 { seen } else { line.len() };
        line.into_iter().take(most).map(|(_, index)| index).collect()
    }

    fn set_worker_limit(&mut self, workers: usize) {
        if self.features.worker_limit && self.worker_limit != workers {
            self.limit_workers(workers);
            self.push_nudge();
        }
    }

    fn all_started(&mut self) {
        threads::prefer_throughput();
    }

    fn fetch(&mut self, slot: usize, request: Request) {
        // Also in release builds: beyond `slots_max`, its capacity, the vector would move.
        assert!(slot < self.slots_max, "the ring has this slot");
        while self.slots.len() <= slot {
            self.slots.push(RingSlot::default());
        }
        let (first, second) = match request {
            Request::One(fetch) => (fetch, None),
            Request::Pair { name, memory } => (name, Some(memory)),
        };
        self.in_flight += 1 + usize::from(second.is_some());
        let file = first.file;
        let state = &mut self.slots[slot];
        // Also in release builds: the kernel may write to a pending buffer.
        assert!(state.pending.iter().all(Option::is_none), "the slot is free");
        state.generation = state.generation.wrapping_add(1);
        state.pending = [Some(first), second];
        state.files = [None, None];
        let tag = Tag { slot, half: Half::First, op: Op::Read, generation: state.generation };
        if file == ProcFile::Tasks {
            let tasks = match self.pending(slot, Half::First) {
                Some(fetch) => self.root.tasks(&fetch.path),
                None => Ok(Vec::new()),
            };
            return self.complete_with(tag, tasks);
        }
        if self.features.chains {
            self.push_chain(slot);
        } else {
            let is_pair = self.pending(slot, Half::Second).is_some();
            let head = if is_pair { Half::Second } else { Half::First };
            self.push_step(slot, head, Op::Open, ReadFrom::Current);
        }
    }

    fn read_more(&mut self, slot: usize, half: Half, from: ReadFrom, buffer: Buffer) {
        // The file is open, so its kind and path do not matter.
        let fetch = Fetch { file: ProcFile::Smaps, path: RelPath::root(), buffer };
        let pending = &mut self.slots[slot].pending[half as usize];
        assert!(pending.is_none(), "the file has no read in flight");
        *pending = Some(fetch);
        self.in_flight += 1;
        self.push_step(slot, half, Op::Read, from);
    }

    fn submit_and_wait(&mut self, at_least: usize, timeout: Duration) -> Result<(), Errno> {
        self.drain();
        let wanted = at_least.min(self.in_flight + self.ready.len());
        self.enter(wanted.saturating_sub(self.ready.len()), timeout);
        self.drain();
        self.broken.map_or(Ok(()), Err)
    }

    fn reap(&mut self) -> Option<Completion> {
        self.ready.pop_front()
    }

    fn stats(&self) -> RingStats {
        self.stats
    }
}

impl Drop for KernelRing {
    fn drop(&mut self) {
        // The kernel may still write to pending buffers: see `buffer`.
        for slot in &mut self.slots {
            slot.pending.iter_mut().filter_map(Option::take).for_each(std::mem::forget);
        }
    }
}

/// Converts a small number (slots, segments, bytes of one buffer) to the type of the kernel.
fn int<Wide, Narrow: TryFrom<Wide>>(number: Wide) -> Narrow {
    let Ok(number) = Narrow::try_from(number) else { panic!("slots and buffers are small") };
    number
}
