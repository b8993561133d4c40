//! The ring of the kernel: io_uring, used so that nothing blocks the thread that submits.
//!
//! procfs has no asynchronous reads: the kernel hands every request to a worker thread of ours
//! (io-wq). What decides speed is therefore how many workers run, and that one worker carries a
//! whole process:
//!
//! ```text
//!   OPENAT smaps_rollup ─link→ OPENAT cmdline ─link→ READ cmdline ─hard link→ READ smaps_rollup
//!   ASYNC, SKIP                SKIP                  CQE                      CQE
//! ```
//!
//! - ASYNC on the head gives the chain to a worker without a try in the submitting thread, where
//!   an open can block on the target's `exec_update_lock`, and lets the kernel start workers.
//! - Every slot has two direct descriptors. Opening into one closes what was there, so no close
//!   is needed, and none can race with the next chain.
//! - The link behind a read is hard because every read here is short, which breaks a soft one.
//! - SKIP leaves out the completions of opens that succeed; one that fails tells, and silences
//!   the rest of its chain.
//!
//! On kernels without one of these ([`Features`]) the ring goes *staged*: the same steps, each
//! queued when the one before has completed, with ordinary descriptors.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use io_uring::squeue::{Entry, Flags};
use io_uring::types::{DestinationSlot, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, opcode};

use super::{Completion, Fetch, From, Place, Request, Ring, RingStats, WorkerStates};
use crate::process::{ProcFile, RelPath};
use crate::sys::buffer::{Buffer, BufferArena};
use crate::sys::host;
use crate::sys::proc_root::{self, ProcRoot};
use crate::units::Errno;

/// The most submission queue entries we ask for: what an unprivileged `RLIMIT_MEMLOCK` of 64 KiB
/// allows.
const ENTRIES_MAX: u32 = 256;
const ENTRIES_MIN: u32 = 8;
/// The longest chain: two opens, two reads.
const CHAIN_MAX: usize = 4;
/// The most slots. Stuck processes keep theirs for ever, so there are more than anybody needs to
/// have in flight.
const SLOTS_MAX: usize = 2048;
/// The most that is useful in flight: more requests only wait in the kernel instead of here.
pub const DEPTH_MAX: usize = 256;

/// How often and how long to wait while the kernel refuses to take requests.
const REFUSALS_MAX: u32 = 100;
const REFUSAL_PAUSE: Duration = Duration::from_millis(1);
/// The completion of a request that only wakes workers. No slot has this number.
const NUDGE: u64 = u64::MAX;

/// Parts of io_uring that newer kernels have. Each is probed for, and done without where missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// `IORING_SETUP_SUBMIT_ALL` (5.18): a bad request does not stop the batch.
    pub submit_all: bool,
    /// `IORING_SETUP_COOP_TASKRUN` (5.19): completions do not interrupt the submitting thread.
    pub coop_taskrun: bool,
    /// `IORING_SETUP_SINGLE_ISSUER` (6.0): one thread submits.
    pub single_issuer: bool,
    /// `IORING_FEAT_LINKED_FILE` (5.17) and a sparse table of direct descriptors (5.19): one chain
    /// opens and reads. Without: staged.
    pub chains: bool,
    /// `IORING_FEAT_CQE_SKIP` (5.17): opens that succeed post nothing.
    pub skip_success: bool,
    /// `IORING_REGISTER_IOWQ_MAX_WORKERS` (5.15): the number of workers is ours to set.
    pub worker_limit: bool,
}

impl Features {
    /// Everything this program can use.
    pub const ALL: Features = Features {
        submit_all: true,
        coop_taskrun: true,
        single_issuer: true,
        chains: true,
        skip_success: true,
        worker_limit: true,
    };
}

/// What a ring is to be like.
#[derive(Clone, Copy, Debug)]
pub struct RingSetup {
    /// How many processes are asked at once, as long as none is stuck.
    pub depth: usize,
    /// Worker threads that may run at once.
    pub workers: usize,
    /// Features that may be used; tests leave some out to run what older kernels run.
    pub allowed: Features,
}

/// io_uring on a directory of processes.
pub struct KernelRing {
    ring: IoUring,
    root: ProcRoot,
    features: Features,
    /// Made when first used, up to `slots_max`, within the capacity the vector began with.
    slots: Vec<Slot>,
    slots_max: usize,
    /// Completions as the kernel wrote them: copied out first, acted on after.
    raw: Vec<(u64, i32)>,
    /// Completions that are known and not yet reaped.
    ready: VecDeque<Completion>,
    in_flight: usize,
    worker_limit: usize,
    /// How often the kernel has refused to take requests in a row.
    refusals: u32,
    began: Instant,
    stats: RingStats,
}

/// What the ring keeps of one slot. Never moves: the kernel reads the paths from here.
#[derive(Default)]
struct Slot {
    /// The fetches whose completion is owed, by place; here the kernel may write their buffers.
    pending: [Option<Fetch>; 2],
    /// Tells completions of a chain that is over (cancelled rest) from those of the present one.
    generation: u32,
    /// The ordinary descriptors by place; only when staged.
    files: [Option<OwnedFd>; 2],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    Open = 0,
    Read = 1,
}

/// What a request carries through the kernel: slot, which of its files, open or read, generation.
#[derive(Clone, Copy)]
struct Tag {
    slot: usize,
    place: Place,
    op: Op,
    generation: u32,
}

impl Tag {
    fn encode(self) -> u64 {
        let low = (self.slot as u64) << 2 | (self.place as u64) << 1 | self.op as u64;
        u64::from(self.generation) << 32 | low
    }

    fn decode(user_data: u64) -> Tag {
        let low = user_data & u64::from(u32::MAX);
        Tag {
            slot: int(low >> 2),
            place: if low & 2 == 0 { Place::First } else { Place::Second },
            op: if low & 1 == 0 { Op::Open } else { Op::Read },
            generation: int(user_data >> 32),
        }
    }
}

impl KernelRing {
    /// Sets up a ring and proves that it works: a directory is opened and read through it, by a
    /// worker, and must answer as a directory does.
    ///
    /// # Errors
    /// `ENOSYS`: the kernel has no io_uring. `EPERM`: sysctl `kernel.io_uring_disabled`, a seccomp
    /// profile or a security module forbids it. `ENOMEM`: `RLIMIT_MEMLOCK` is too small for even
    /// the smallest ring. `ECANCELED`: no worker thread can be had (`RLIMIT_NPROC`, `pids.max`).
    /// `EOPNOTSUPP`: the kernel (before 5.11) lacks what cannot be done without.
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
        let slots_max = table.unwrap_or(SLOTS_MAX);
        let mut ring = KernelRing {
            ring,
            root,
            features,
            slots: Vec::with_capacity(slots_max),
            slots_max,
            raw: Vec::with_capacity(2 * depth),
            ready: VecDeque::with_capacity(2 * depth),
            in_flight: 0,
            worker_limit: 0,
            refusals: 0,
            began: Instant::now(),
            stats: RingStats::default(),
        };
        ring.limit_workers(setup.workers);
        ring.prove()?;
        Ok(ring)
    }

    /// What this kernel has of what we can use.
    pub fn features(&self) -> Features {
        self.features
    }

    /// A ring can be set up and still answer nothing, when no worker can be started. So open and
    /// read something for real: the root itself, which needs no process and answers `EISDIR`.
    fn prove(&mut self) -> Result<(), Errno> {
        const PATIENCE: Duration = Duration::from_secs(2);
        let path = RelPath::root();
        let buffer = BufferArena::new().buffer(1);
        self.fetch(0, Request::One(Fetch { file: ProcFile::Comm, path, buffer }));
        let begin = self.now();
        while self.now() - begin < PATIENCE {
            self.submit_and_wait(1, PATIENCE)?;
            match self.reap().map(|done| done.result) {
                None => {}
                Some(Err(Errno(libc::EISDIR))) => return Ok(()),
                Some(Err(errno)) => return Err(errno),
                Some(Ok(())) => return Err(Errno(libc::EOPNOTSUPP)),
            }
        }
        Err(Errno(libc::ETIMEDOUT))
    }

    /// Makes room for one chain, which must not be torn apart by a submission in between.
    fn make_room(&mut self, entries: usize) {
        let queue = self.ring.submission();
        if queue.capacity() - queue.len() < entries {
            drop(queue);
            // A failure here shows again, and is told, when the caller waits.
            let _ = self.ring.submit();
            self.stats.enters += 1;
        }
    }

    fn push(&mut self, entry: Entry, tag: Tag) {
        let entry = entry.user_data(tag.encode());
        // SAFETY: what the entry points to lives until its completion: buffers in `pending`, which
        // is emptied by completions only and forgotten on drop; paths and segments are read by the
        // kernel at submission (IORING_FEAT_SUBMIT_STABLE, checked in `new`), and stand in `pending`.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        debug_assert!(pushed.is_ok(), "make_room made room");
        if pushed.is_err() {
            self.complete(tag, Err(Errno(libc::EBUSY)));
        }
        self.stats.operations += 1;
    }

    fn open_entry(&self, slot: usize, place: Place) -> Entry {
        let (path, is_link) = match self.pending(slot, place) {
            Some(fetch) => (fetch.path.with_nul().as_ptr(), fetch.file == ProcFile::Exe),
            None => (c"".as_ptr().cast(), false),
        };
        let dir = Fd(self.root.as_fd().as_raw_fd());
        let open = opcode::OpenAt::new(dir, path.cast());
        if is_link {
            open.flags(libc::O_PATH | libc::O_CLOEXEC).build()
        } else if self.features.chains {
            // A direct descriptor is never inherited, and refuses O_CLOEXEC.
            let index = DestinationSlot::try_from_slot_target(direct(slot, place)).ok();
            open.flags(libc::O_RDONLY).file_index(index).build()
        } else {
            open.flags(libc::O_RDONLY | libc::O_CLOEXEC).build()
        }
    }

    fn read_entry(&self, slot: usize, place: Place, from: From) -> Option<Entry> {
        let buffer = &self.pending(slot, place)?.buffer;
        // An offset of -1 goes on where the descriptor's last read ended.
        let (offset, len) = match from {
            From::On => (u64::MAX, buffer.room()),
            From::Beginning => (0, 1),
        };
        let (fd, kind) = match &self.slots[slot].files[place as usize] {
            Some(file) => (Fd(file.as_raw_fd()), Flags::empty()),
            None => (Fd(int(direct(slot, place))), Flags::FIXED_FILE),
        };
        let read = match buffer.segments().filter(|_| from == From::On) {
            Some(segments) => opcode::Readv::new(fd, segments.as_ptr().cast(), int(segments.len()))
                .offset(offset)
                .build(),
            None => opcode::Read::new(fd, buffer.as_kernel_ptr(), int(len)).offset(offset).build(),
        };
        Some(read.flags(kind))
    }

    fn pending(&self, slot: usize, place: Place) -> Option<&Fetch> {
        self.slots[slot].pending[place as usize].as_ref()
    }

    fn push_open(&mut self, slot: usize, place: Place, flags: Flags) {
        let generation = self.slots[slot].generation;
        let entry = self.open_entry(slot, place).flags(flags);
        self.push(entry, Tag { slot, place, op: Op::Open, generation });
    }

    fn push_read(&mut self, slot: usize, place: Place, from: From, flags: Flags) {
        let generation = self.slots[slot].generation;
        if let Some(entry) = self.read_entry(slot, place, from) {
            self.push(entry.flags(flags), Tag { slot, place, op: Op::Read, generation });
        }
    }

    /// Queues all steps of a request as one chain.
    fn push_chain(&mut self, slot: usize) {
        self.make_room(CHAIN_MAX);
        let open = match self.features.skip_success {
            true => Flags::IO_LINK | Flags::SKIP_SUCCESS,
            false => Flags::IO_LINK,
        };
        let is_pair = self.pending(slot, Place::Second).is_some();
        let is_link = self.pending(slot, Place::First).is_some_and(|f| f.file == ProcFile::Exe);
        if is_pair {
            self.push_open(slot, Place::Second, open | Flags::ASYNC);
        }
        let head = if is_pair { Flags::empty() } else { Flags::ASYNC };
        match (is_link, is_pair) {
            // A link is opened and not read; without it the memory is still worth reading.
            (true, true) => self.push_open(slot, Place::First, Flags::IO_HARDLINK),
            (true, false) => self.push_open(slot, Place::First, head),
            (false, _) => {
                self.push_open(slot, Place::First, open | head);
                let behind = if is_pair { Flags::IO_HARDLINK } else { Flags::empty() };
                self.push_read(slot, Place::First, From::On, behind);
            }
        }
        if is_pair {
            self.push_read(slot, Place::Second, From::On, Flags::empty());
        }
    }

    fn limit_workers(&mut self, workers: usize) {
        let limit: u32 = int(workers);
        if self.features.worker_limit && self.worker_limit != workers {
            let set = self.ring.submitter().register_iowq_max_workers(&mut [limit; 2]);
            self.features.worker_limit = set.is_ok();
            self.worker_limit = workers;
        }
    }

    /// Queues the next step of a request alone.
    fn push_step(&mut self, slot: usize, place: Place, op: Op, from: From) {
        self.make_room(1);
        match op {
            Op::Open => self.push_open(slot, place, Flags::ASYNC),
            Op::Read => self.push_read(slot, place, from, Flags::ASYNC),
        }
    }

    /// Takes one completion of the kernel.
    fn completed(&mut self, tag: Tag, result: i32) {
        let Some(slot) = self.slots.get(tag.slot) else { return };
        if slot.generation != tag.generation || slot.pending[tag.place as usize].is_none() {
            // The cancelled rest of a chain that broke: its fetches were completed with it.
            return;
        }
        let result = usize::try_from(result).map_err(|_| Errno(-result));
        match (tag.op, result) {
            (Op::Open, Ok(fd)) => self.opened(tag, int(fd)),
            (Op::Open, Err(errno)) => self.not_opened(tag, errno),
            (Op::Read, result) => {
                self.complete_read(tag, result);
                self.first_is_done(tag);
            }
        }
    }

    fn opened(&mut self, tag: Tag, fd: i32) {
        let is_link = self.pending(tag.slot, tag.place).is_some_and(|f| f.file == ProcFile::Exe);
        if self.features.chains && !is_link {
            return; // The read is on its way. Seen only where successes cannot be skipped.
        }
        // SAFETY: a successful OPENAT without a direct descriptor made this one, and nobody else
        // has it.
        let file = unsafe { OwnedFd::from_raw_fd(fd) };
        if is_link {
            self.complete_with(tag, proc_root::link_target(file.as_fd()));
            return self.first_is_done(tag);
        }
        self.slots[tag.slot].files[tag.place as usize] = Some(file);
        match tag.place {
            Place::First => self.push_step(tag.slot, tag.place, Op::Read, From::On),
            Place::Second => self.push_step(tag.slot, Place::First, Op::Open, From::On),
        }
    }

    fn not_opened(&mut self, tag: Tag, errno: Errno) {
        let is_link = self.pending(tag.slot, tag.place).is_some_and(|f| f.file == ProcFile::Exe);
        self.complete(tag, Err(errno));
        if is_link {
            return self.first_is_done(tag);
        }
        // The chain broke here: what was linked behind it never runs.
        for place in [Place::First, Place::Second] {
            self.complete(Tag { place, ..tag }, Err(Errno::CANCELED));
        }
    }

    /// Staged, the memory of a pair is read when the name was; chained, it is on its way.
    fn first_is_done(&mut self, tag: Tag) {
        let is_staged = self.slots[tag.slot].files[1].is_some();
        if tag.place == Place::First && is_staged && self.pending(tag.slot, Place::Second).is_some()
        {
            self.push_step(tag.slot, Place::Second, Op::Read, From::On);
        }
    }

    /// Completes a fetch whose text is here already.
    fn complete_with(&mut self, tag: Tag, text: Result<Vec<u8>, Errno>) {
        let result = text.map(|text| {
            if let Some(fetch) = &mut self.slots[tag.slot].pending[tag.place as usize] {
                // One byte is left free, to say that this is all.
                let len = text.len().min(fetch.buffer.room() - 1);
                fetch.buffer.put(&text[..len]);
            }
        });
        self.complete(tag, result);
    }

    /// Completes a fetch whose bytes the kernel wrote.
    fn complete_read(&mut self, tag: Tag, result: Result<usize, Errno>) {
        let result = result.map(|len| {
            if let Some(fetch) = &mut self.slots[tag.slot].pending[tag.place as usize] {
                // SAFETY: this is the completion of the one read into this buffer.
                unsafe { fetch.buffer.set_filled(len) };
            }
        });
        self.complete(tag, result);
    }

    fn complete(&mut self, tag: Tag, result: Result<(), Errno>) {
        let Tag { slot, place, .. } = tag;
        if let Some(fetch) = self.slots[slot].pending[place as usize].take() {
            self.in_flight -= 1;
            self.ready.push_back(Completion { slot, place, result, buffer: fetch.buffer });
        }
    }

    /// Takes what the kernel has completed.
    fn drain(&mut self) {
        let mut raw = std::mem::take(&mut self.raw);
        raw.extend(self.ring.completion().map(|entry| (entry.user_data(), entry.result())));
        for (user_data, result) in raw.drain(..) {
            self.completed(Tag::decode(user_data), result);
        }
        self.raw = raw;
    }
}

impl Ring for KernelRing {
    fn slots_max(&self) -> usize {
        self.slots_max
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn workers(&self) -> WorkerStates {
        let (running, blocked) = host::ring_workers();
        WorkerStates { running, blocked }
    }

    fn set_worker_limit(&mut self, workers: usize) {
        if self.features.worker_limit && self.worker_limit != workers {
            self.limit_workers(workers);
            // A higher limit starts nobody by itself; the next request that is queued does.
            self.make_room(1);
            let nudge = opcode::Nop::new().build().flags(Flags::ASYNC).user_data(NUDGE);
            // SAFETY: a NOP points to nothing.
            let _ = unsafe { self.ring.submission().push(&nudge) };
        }
    }

    fn fetch(&mut self, slot: usize, request: Request) {
        while self.slots.len() <= slot && self.slots.len() < self.slots_max {
            self.slots.push(Slot::default());
        }
        let (first, second) = match request {
            Request::One(fetch) => (fetch, None),
            Request::Pair { name, memory } => (name, Some(memory)),
        };
        self.in_flight += 1 + usize::from(second.is_some());
        let file = first.file;
        let state = &mut self.slots[slot];
        debug_assert!(state.pending.iter().all(Option::is_none), "the slot is free");
        state.generation = state.generation.wrapping_add(1);
        state.pending = [Some(first), second];
        state.files = [None, None];
        let tag = Tag { slot, place: Place::First, op: Op::Read, generation: state.generation };
        if file == ProcFile::Tasks {
            let tasks = match self.pending(slot, Place::First) {
                Some(fetch) => self.root.tasks(&fetch.path),
                None => Ok(Vec::new()),
            };
            return self.complete_with(tag, tasks);
        }
        if self.features.chains {
            self.push_chain(slot);
        } else {
            let is_pair = self.pending(slot, Place::Second).is_some();
            let head = if is_pair { Place::Second } else { Place::First };
            self.push_step(slot, head, Op::Open, From::On);
        }
    }

    fn read_more(&mut self, slot: usize, place: Place, from: From, buffer: Buffer) {
        // Nothing will be opened any more, so neither file nor path matter.
        let fetch = Fetch { file: ProcFile::Smaps, path: RelPath::root(), buffer };
        self.slots[slot].pending[place as usize] = Some(fetch);
        self.in_flight += 1;
        self.push_step(slot, place, Op::Read, from);
    }

    fn submit_and_wait(&mut self, at_least: usize, timeout: Duration) -> Result<(), Errno> {
        self.drain();
        let wanted = at_least.min(self.in_flight + self.ready.len());
        let timespec = Timespec::from(timeout);
        let args = SubmitArgs::new().timespec(&timespec);
        let missing = wanted.saturating_sub(self.ready.len());
        self.stats.enters += 1;
        let entered = self.ring.submitter().submit_with_args(missing, &args);
        self.drain();
        match entered.map_err(Errno::from) {
            // Time is over, or a signal came: the caller looks and comes again.
            Err(Errno(libc::ETIME | libc::EINTR)) => Ok(()),
            // The completion queue was full and is drained now, or the kernel is out of memory
            // for a moment. A moment has an end.
            Err(Errno(libc::EBUSY | libc::EAGAIN)) if self.refusals < REFUSALS_MAX => {
                self.refusals += 1;
                std::thread::sleep(REFUSAL_PAUSE);
                Ok(())
            }
            Err(errno) => Err(errno),
            Ok(_) => {
                self.refusals = 0;
                Ok(())
            }
        }
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
        // Whatever is still pending may be written by the kernel: see `buffer`.
        for slot in &mut self.slots {
            slot.pending.iter_mut().filter_map(Option::take).for_each(std::mem::forget);
        }
    }
}

/// The direct descriptor of a slot's file.
fn direct(slot: usize, place: Place) -> u32 {
    int(2 * slot + place as usize)
}

/// A small number (slots, segments, bytes of one buffer) in the width the kernel takes.
fn int<Wide, Narrow: TryFrom<Wide> + Default>(number: Wide) -> Narrow {
    let fits = Narrow::try_from(number);
    debug_assert!(fits.is_ok(), "slots and buffers are small");
    fits.unwrap_or_default()
}

/// Registers two direct descriptors for every slot, as many as the limit of open files allows.
fn register_table(ring: &IoUring, depth: usize) -> Option<usize> {
    let mut slots = SLOTS_MAX;
    while slots >= depth {
        if ring.submitter().register_files_sparse(int(2 * slots)).is_ok() {
            return Some(slots);
        }
        slots /= 2;
    }
    None
}

/// Creates the ring with as many features and entries as this kernel and its limits allow.
fn build(depth: usize, allowed: Features) -> Result<(IoUring, Features), Errno> {
    let mut features = allowed;
    let wanted = u32::try_from(depth * CHAIN_MAX).unwrap_or(ENTRIES_MAX);
    let mut entries = wanted.next_power_of_two().clamp(ENTRIES_MIN, ENTRIES_MAX);
    loop {
        let mut builder = IoUring::builder();
        if features.submit_all {
            builder.setup_submit_all();
        }
        if features.coop_taskrun {
            builder.setup_coop_taskrun();
        }
        if features.single_issuer {
            builder.setup_single_issuer();
        }
        match builder.build(entries).map_err(Errno::from) {
            Ok(ring) => return Ok((ring, features)),
            // A flag is unknown: leave out the newest, then the next.
            Err(Errno(libc::EINVAL)) if features.single_issuer => features.single_issuer = false,
            Err(Errno(libc::EINVAL)) if features.coop_taskrun => features.coop_taskrun = false,
            Err(Errno(libc::EINVAL)) if features.submit_all => features.submit_all = false,
            // The memory limit: a smaller ring only means more calls.
            Err(Errno(libc::ENOMEM)) if entries > ENTRIES_MIN => entries /= 2,
            Err(errno) => return Err(errno),
        }
    }
}
