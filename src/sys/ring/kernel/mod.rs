//! io_uring, used so that nothing blocks the submitting thread.
//!
//! procfs has no asynchronous reads: the kernel passes every request to a worker thread of this
//! process (io-wq). A worker that finishes a request wakes the submitting thread, and that costs
//! little or much, so there are two ways to read a process:
//!
//! ```text
//!   CPUs are free: one chain for one worker
//!
//!   OPENAT smaps_rollup ─link→ OPENAT cmdline ─link→ READ cmdline ─hard link→ READ smaps_rollup
//!   ASYNC, SKIP                SKIP                  CQE                      CQE
//!
//!   the same of files that stayed open
//!
//!   READ cmdline ─hard link→ READ smaps_rollup
//!   ASYNC, CQE               CQE
//!
//!   CPUs are contended: three steps, each queued when the one before has completed
//!
//!   OPENAT smaps_rollup ┐
//!   OPENAT cmdline      ┴───→ READ cmdline ───→ READ smaps_rollup       all ASYNC, all CQE
//! ```
//!
//! - In steps, completions are deferred (`DEFER_TASKRUN`): the submitting thread sleeps on a timer
//!   ([`super::pace`]) and reaps all of them at once. No worker wakes it, so worker and submitting
//!   thread take no turns in the run queue. A chain cannot do that: each of its links would wait
//!   for the submitting thread.
//! - In a chain, one worker reads a whole process: one request to hand over instead of four. Under
//!   `SCHED_BATCH` a wake-up does not preempt the worker, and wake-ups are few.
//! - ASYNC passes a request to a worker without an attempt in the submitting thread, where an open
//!   can block on the target's `exec_update_lock`, and lets the kernel start workers.
//! - Every slot has two direct descriptors. An open into one closes the old file, so no close is
//!   needed, and none can race with the next request.
//! - The link behind a read is hard because every read here is short, which breaks a soft one.
//! - SKIP suppresses the completions of successful opens. A failed open completes, and suppresses
//!   the rest of its chain.
//!
//! Without the [`Features`] of a chain the ring reads in steps too, if need be with ordinary
//! descriptors and without the timer.
//!
//! - `setup`      the features of the kernel, the way to read, and the size of the ring
//! - `submission` requests to entries and chains, and why their pointers are valid
//! - `completion` completions of the kernel to completions of fetches
//! - `opens`      memory files that the keeper opens
//! - `sleepers`   workers that have not run for a while

mod completion;
mod opens;
mod setup;
mod sleepers;
mod submission;

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use super::pace::Pace;
use super::{
    Completion, Fetch, Fetcher, Half, Opening, ReadFrom, Request, RingStats, WorkerStates,
};
use crate::process::{PageCounts, ProcFile, RelPath};
use crate::sys::buffer::Buffer;
use crate::sys::keeper_client;
use crate::sys::pages::KernelPages;
use crate::sys::proc_root::{ONE_LINE_BYTES, ProcRoot};
use crate::sys::this_process;
use crate::sys::threads::{self, ThreadState, Urgent};
use crate::units::Errno;
use io_uring::IoUring;

use self::opens::Opens;
use self::setup::{DirectTable, SLOTS_MAX, build};
pub use self::setup::{Features, RingSetup};
use self::sleepers::Sleepers;
use self::submission::{Op, Tag};

/// The maximum useful depth: more requests only wait in the kernel instead of here.
pub const DEPTH_MAX: usize = 1024;
/// About the number of descriptors of this process that are of no slot.
const DESCRIPTORS_OTHER: usize = 64;

/// The maximum number of nudges in flight.
const NUDGES_MAX: usize = 2 * SLOTS_MAX;

/// io_uring on a directory of processes.
pub struct KernelRing {
    ring: IoUring,
    root: ProcRoot,
    is_own_proc: bool,
    features: Features,
    /// Created at first use, at most `slots_max`, which is the capacity of the vector.
    slots: Vec<RingSlot>,
    slots_max: usize,
    /// The ordinary descriptors of places, up to the last one in use.
    places: Vec<Option<OwnedFd>>,
    places_max: usize,
    /// Completions of the kernel, copied out of its queue and not yet handled.
    raw: VecDeque<(u64, i32)>,
    /// Completions of fetches, not yet reaped.
    ready: VecDeque<Completion>,
    /// Fetches and nudges in flight.
    in_flight: usize,
    nudges: usize,
    sleepers: Sleepers,
    /// The number of requests that had completed at the last check of the workers.
    completed_at_check: u64,
    worker_limit: usize,
    /// Opens by the keeper, if this process has one.
    opens: Option<Opens>,
    /// The number of times in a row that the kernel has refused requests.
    refusals: u32,
    pace: Pace,
    pages: KernelPages,
    /// This ring has set `SCHED_BATCH`.
    is_batch: bool,
    /// The highest priority, while it is wanted; nothing in it if that is not allowed.
    urgent: Option<Option<Urgent>>,
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
    /// The last request, by half, until the file is complete; in steps, until the request is.
    queued: [Option<Queued>; 2],
    /// The errors of opens, only in steps.
    refused: [Option<Errno>; 2],
    /// The ordinary descriptors: of memory that the keeper opened, and of all files if there are no
    /// direct ones.
    files: [Option<OwnedFd>; 2],
    /// The places of files that stay open, by half, and the bytes read of them.
    openings: [Opening; 2],
    positions: [u64; 2],
}

/// Memory for the setup of a ring: slots, and at most half a MiB of queues.
pub const SETUP_BYTES: usize = SLOTS_MAX * size_of::<RingSlot>() + 512 * 1024;

/// A request in flight.
#[derive(Clone, Copy)]
struct Queued {
    /// The number of operations when it was queued.
    number: u64,
    op: Op,
    /// Whether it, or the chain that it is in, begins with the read of an open file.
    is_read_first: bool,
}

impl KernelRing {
    /// Sets up a ring. That can succeed although no worker can be started (`RLIMIT_NPROC`,
    /// `pids.max`): then every request fails with `ECANCELED`.
    ///
    /// # Errors
    /// `ENOSYS`: the kernel has no io_uring. `EPERM`: sysctl `kernel.io_uring_disabled`, a seccomp
    /// profile or a security module forbids it. `ENOMEM`: `RLIMIT_MEMLOCK` is too small for even
    /// the smallest ring. `EOPNOTSUPP`: the kernel (before 5.11) lacks a required feature.
    pub fn new(root: ProcRoot, setup: RingSetup) -> Result<KernelRing, Errno> {
        let depth = setup.depth.clamp(1, DEPTH_MAX);
        let opens = if root.is_proc() { Opens::new(setup.workers) } else { None };
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
        let places = if setup.keeps_files { this_process::files_to_keep() } else { 0 };
        let has_table = features.direct_descriptors;
        let table = has_table.then(|| DirectTable::register(&ring, depth, places)).flatten();
        features.direct_descriptors = table.is_some();
        features.chains &= params.is_feature_linked_file() && features.direct_descriptors;
        features.chains &= !features.defer_taskrun;
        // Without direct descriptors a slot has two ordinary ones, with a keeper one.
        let DirectTable { slots: mut slots_max, places: places_max } =
            table.unwrap_or(DirectTable { slots: SLOTS_MAX, places });
        if table.is_none() || opens.is_some() {
            let processes = this_process::raise_file_limit();
            slots_max = slots_max.min(if places_max > 0 { processes / 2 } else { processes });
            let count = 2 * depth + places_max + DESCRIPTORS_OTHER;
            this_process::reserve_descriptors(count, root.as_fd());
        }
        let mut ring = KernelRing {
            ring,
            is_own_proc: root.is_own(),
            root,
            features,
            slots: Vec::with_capacity(slots_max),
            slots_max,
            places: Vec::new(),
            places_max,
            raw: VecDeque::with_capacity(2 * depth),
            ready: VecDeque::with_capacity(2 * depth),
            in_flight: 0,
            nudges: 0,
            sleepers: Sleepers::default(),
            completed_at_check: 0,
            worker_limit: 0,
            opens,
            refusals: 0,
            pace: Pace::default(),
            pages: KernelPages::default(),
            is_batch: false,
            urgent: None,
            broken: None,
            began: Instant::now(),
            stats: RingStats::default(),
        };
        ring.set_worker_limit(setup.workers);
        if setup.workers <= threads::cpus() {
            ring.start_worker_elsewhere();
        }
        Ok(ring)
    }

    /// The features in use.
    pub fn features(&self) -> Features {
        self.features
    }

    /// Starts the first worker of each kind, on another CPU, where it stays. On the CPU of the
    /// submitting thread the two would take turns, so the worker would be idle at every submission,
    /// and the kernel starts a second worker only while the first is busy. More workers than CPUs
    /// spread by themselves, and one that cannot change its CPU would be the last of them where
    /// CPUs are contended. Kernels before 5.14 offer no choice.
    fn start_worker_elsewhere(&mut self) {
        let cpus = threads::other_cpus();
        let is_set =
            cpus.is_some_and(|cpus| self.ring.submitter().register_iowq_aff(&cpus).is_ok());
        self.push_nudges(1);
        self.enter(0, Duration::ZERO);
        if is_set {
            // Later workers may run on any CPU. If this fails: on any other CPU.
            let _ = self.ring.submitter().unregister_iowq_aff();
        }
    }

    /// A worker wakes this thread for every request that it frees. While this thread waits for
    /// several, it need not take the CPU from a worker for that: it would find nothing to do and
    /// sleep again. The next window of a walk needs this thread at once.
    fn set_policy(&mut self, wanted: usize) {
        let is_batch = wanted > 1 && !self.features.defer_taskrun;
        if is_batch != self.is_batch && threads::set_batch(is_batch) {
            self.is_batch = is_batch;
        }
    }

    /// Submits the queue, and sleeps.
    fn sleep(&mut self, pause: Duration) {
        self.enter(0, Duration::ZERO);
        std::thread::sleep(pause);
    }

    /// Collects completions that the kernel has deferred: it posts them when it is entered, some at
    /// a time, and none when a wait has timed out.
    fn collect_deferred(&mut self) {
        for _ in 0..2 * self.in_flight {
            if self.broken.is_some() || !self.ring.submission().taskrun() {
                break;
            }
            self.enter(0, Duration::ZERO);
        }
    }
}

impl Fetcher for KernelRing {
    fn slots_max(&self) -> usize {
        self.slots_max
    }

    fn places_max(&self) -> usize {
        self.places_max
    }

    /// The release of a procfs file frees a buffer, and the address space of a dead process whose
    /// pages are free already (`smaps_rollup_release`, fs/proc/task_mmu.c).
    fn close(&mut self, place: usize) {
        let ordinary = self.places.get_mut(place).and_then(Option::take);
        if ordinary.is_none() && self.features.direct_descriptors {
            // An empty place is no error.
            let place = int(2 * self.slots_max + place);
            let _ = self.ring.submitter().register_files_update(place, &[-1]);
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn workers(&mut self, stuck_after: Duration) -> WorkerStates {
        self.replace_keeper();
        let (sleeps, cpu) = this_process::other_threads();
        let mut states = WorkerStates { sleeps, cpu, ..WorkerStates::default() };
        let (ring_began, began) = (self.began, self.now());
        let sleepers = &mut self.sleepers;
        sleepers.start_check();
        let mut count = |process, thread, state| match state {
            ThreadState::Running => states.running += 1,
            ThreadState::Idle => states.idle += 1,
            ThreadState::Blocked => {
                states.blocked += 1;
                if let Some(times) = threads::times_run(process, thread) {
                    sleepers.record(thread, times, ring_began.elapsed());
                }
            }
        };
        let mut seen = 0;
        let completed = std::mem::replace(&mut self.completed_at_check, self.stats.completed);
        let is_stalled = completed == self.stats.completed;
        threads::ring_workers(is_stalled, |thread, state| {
            seen += 1;
            count(None, thread, state);
        });
        if let Some(keeper) = self.opens.as_ref().and_then(|_| keeper_client::pid()) {
            // Threads of the keeper that wait for a request are no idle workers.
            let mut of_keeper = 0;
            threads::threads_of(keeper, |thread, state| {
                if state != ThreadState::Idle {
                    of_keeper += 1;
                    count(Some(keeper), thread, state);
                }
            });
            states.of_keeper = of_keeper;
        }
        states.stuck = sleepers.count_since(began.saturating_sub(stuck_after));
        // Requests may wait for a keeper instead.
        let needs_worker = self.in_flight > 0 && self.opens.is_none();
        states.is_none = seen == 0 && self.is_own_proc && needs_worker;
        states
    }

    /// Workers take requests in the order of their queue, one at a time: opens and chains from one,
    /// reads of open files, and chains that begin with one, from another
    /// ([`KernelRing::push_nudges`]). So these are the first ones of each, as many as there are
    /// workers.
    fn executing(&self, workers: &WorkerStates) -> Vec<usize> {
        // A chain is one request, whatever its last step is.
        let most_of_slot = if self.features.chains { 1 } else { 2 };
        let mut queues = [Vec::new(), Vec::new()];
        for (index, slot) in self.slots.iter().enumerate() {
            let is_of_ring = |half: &Half| !self.is_opened_by_keeper(index, *half);
            let halves = [Half::First, Half::Second].into_iter().filter(is_of_ring);
            let queued = halves.filter_map(|half| slot.queued[half as usize]);
            for Queued { number, is_read_first, .. } in queued.take(most_of_slot) {
                queues[usize::from(is_read_first)].push((number, index));
            }
        }
        queues.iter_mut().for_each(|queue| queue.sort_unstable());
        let longest = queues[0].len().max(queues[1].len());
        let first = if self.features.worker_limit { self.worker_limit } else { longest };
        // Without an own `/proc` the workers are unknown.
        let seen = workers.running + workers.blocked + workers.idle - workers.of_keeper;
        let most = if seen > 0 { seen } else { usize::MAX };
        let places = 0..first.min(longest);
        let in_turn =
            places.flat_map(|place| queues.iter().filter_map(move |queue| queue.get(place)));
        let of_keeper = self.opens.iter().flat_map(Opens::executing);
        in_turn.take(most).map(|(_, index)| *index).chain(of_keeper).collect()
    }

    fn set_worker_limit(&mut self, workers: usize) {
        let limit: u32 = int(workers);
        if self.features.worker_limit && self.worker_limit != workers {
            // Of each kind.
            let set = self.ring.submitter().register_iowq_max_workers(&mut [limit; 2]);
            self.features.worker_limit = set.is_ok();
            self.worker_limit = workers;
        }
        if let Some(opens) = &mut self.opens {
            opens.channel.grow(workers);
        }
    }

    fn wake_workers(&mut self, count: usize) {
        // Nudges behind stuck requests do not complete, and new ones still start workers.
        self.push_nudges(count.min(NUDGES_MAX.saturating_sub(self.nudges)));
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
        let (file, path) = (first.file, first.path);
        let state = &mut self.slots[slot];
        // Also in release builds: the kernel may write to a pending buffer.
        assert!(state.pending.iter().all(Option::is_none), "the slot is free");
        state.generation = state.generation.wrapping_add(1);
        state.openings = [first.opening, second.as_ref().map_or(Opening::Slot, |it| it.opening)];
        state.positions = [0, 0];
        state.pending = [Some(first), second];
        (state.files, state.refused) = ([None, None], [None, None]);
        for opening in state.openings {
            let Opening::Place(place) = opening else { continue };
            drop(self.places.get_mut(place).and_then(Option::take));
        }
        let tag = Tag { slot, half: Half::First, op: Op::Read, generation: state.generation };
        // Neither file blocks, and a worker would have to be waited for.
        match file {
            ProcFile::Tasks => {
                let tasks = self.root.tasks(&path);
                self.complete_with(tag, tasks.as_deref().map_err(|errno| *errno));
            }
            ProcFile::Statm => {
                let mut line = [0; ONE_LINE_BYTES];
                let len = self.root.read_at_once(&path, &mut line);
                self.complete_with(tag, len.map(|len| &line[..len]));
            }
            _ => self.push_fetch(slot),
        }
    }

    fn read_more(&mut self, slot: usize, half: Half, from: ReadFrom, buffer: Buffer) {
        // The file is open, so its kind and path do not matter.
        let (file, path, opening) = (ProcFile::Smaps, RelPath::root(), Opening::Slot);
        let fetch = Fetch { file, path, opening, from, buffer };
        let pending = &mut self.slots[slot].pending[half as usize];
        assert!(pending.is_none(), "the file has no read in flight");
        *pending = Some(fetch);
        self.in_flight += 1;
        self.push_step(slot, half, Op::Read);
    }

    fn submit_and_wait(&mut self, at_least: usize, timeout: Duration) -> Result<(), Errno> {
        self.drain();
        let wanted = at_least.saturating_sub(self.ready.len()).min(self.in_flight);
        self.set_policy(wanted);
        let can_sleep = wanted > 1 && self.features.defer_taskrun;
        let before = self.stats;
        match self.pace.pause().filter(|_| can_sleep) {
            _ if self.in_flight == 0 && self.ready.is_empty() => self.sleep(timeout),
            Some(pause) => self.sleep(pause.min(timeout)),
            None => self.enter_with_opens(wanted, timeout),
        }
        self.collect_deferred();
        self.drain();
        self.pace.learn(self.stats.completed - before.completed, before.in_flight());
        self.broken.map_or(Ok(()), Err)
    }

    fn reap(&mut self) -> Option<Completion> {
        self.ready.pop_front()
    }

    fn set_urgent(&mut self, is_urgent: bool) {
        if is_urgent {
            self.urgent.get_or_insert_with(Urgent::with_ring_workers);
        } else {
            self.urgent = None;
        }
    }

    fn pages(&mut self) -> &mut dyn PageCounts {
        &mut self.pages
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
