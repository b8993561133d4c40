//! Requests to entries of the submission queue, and entries to chains.
//!
//! Entries hold raw pointers. They stay valid because a fetch moves into its slot before an entry
//! is pushed, and leaves the slot only when the kernel has finished with it:
//!
//! ```text
//!            fetch                  push, enter                  complete
//!   engine ────────► slot.pending ──────────────► kernel ──────────────────► engine
//!                    owns the fetch               reads the pointers         owns the buffer
//!
//!   pointer   points into        the kernel uses it       valid until
//!   path      slot.pending       at submission            complete: slots never move
//!   segments  the buffer's arena at submission            complete: the buffer keeps its arena
//!   buffer    the buffer's arena until it completes       complete: the buffer keeps its arena
//! ```
//!
//! - Slots never move: `fetch` asserts that their number stays within the capacity of `slots`.
//! - `fetch` and `read_more` assert that `pending` is empty: no fetch is replaced in flight.
//! - `complete` is called for an operation that the kernel has completed, and for the operations
//!   behind one that failed, which the kernel cancels. `Drop` forgets pending buffers.
//! - `IORING_FEAT_SUBMIT_STABLE`, which `new` requires: after a submission the kernel uses neither
//!   paths nor segments. So `read_more` may replace the path.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use io_uring::opcode;
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{DestinationSlot, Fd, Fixed, SubmitArgs, Timespec};

use super::{KernelRing, Queued, int};
use crate::process::ProcFile;
use crate::sys::ring::{Fetch, Half, Opening, ReadFrom};
use crate::units::Errno;

/// The longest chain: two opens, two reads.
pub(super) const CHAIN_MAX: usize = 4;
/// The number of queued entries at which the ring submits them. A submission holds the lock of the
/// ring while the kernel copies the paths, and workers that install a descriptor spin on it.
const SUBMIT_AT: usize = 32;
/// The same while about as many are queued as are in flight: workers sleep, or soon will.
const SUBMIT_AT_FIRST: usize = 2 * CHAIN_MAX;
/// The number of times in a row that the kernel may refuse requests, and the pause after each
/// refusal.
const REFUSALS_MAX: u32 = 100;
const REFUSAL_PAUSE: Duration = Duration::from_millis(1);
/// The tag of a request that only wakes workers. No slot has this number.
pub(super) const NUDGE: u64 = u64::MAX;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Open = 0,
    Read = 1,
}

/// The tag of a request, which its completion returns.
#[derive(Clone, Copy)]
pub(super) struct Tag {
    pub(super) slot: usize,
    pub(super) half: Half,
    pub(super) op: Op,
    pub(super) generation: u32,
}

impl Tag {
    pub(super) fn encode(self) -> u64 {
        let low = (self.slot as u64) << 2 | (self.half as u64) << 1 | self.op as u64;
        u64::from(self.generation) << 32 | low
    }

    pub(super) fn decode(user_data: u64) -> Tag {
        let low = user_data & u64::from(u32::MAX);
        Tag {
            slot: int(low >> 2),
            half: if low & 2 == 0 { Half::First } else { Half::Second },
            op: if low & 1 == 0 { Op::Open } else { Op::Read },
            generation: int(user_data >> 32),
        }
    }
}

impl KernelRing {
    pub(super) fn is_link(&self, slot: usize, half: Half) -> bool {
        self.pending(slot, half).is_some_and(|fetch| fetch.file == ProcFile::Exe)
    }

    pub(super) fn pending(&self, slot: usize, half: Half) -> Option<&Fetch> {
        self.slots[slot].pending[half as usize].as_ref()
    }

    /// Makes room in the queue for a whole chain, because a submission in between would tear it
    /// apart. False: the ring is broken, and the next wait returns the reason. Then nothing is
    /// queued.
    fn make_room(&mut self, entries: usize) -> bool {
        while self.broken.is_none() {
            let queue = self.ring.submission();
            if queue.capacity() - queue.len() >= entries {
                return true;
            }
            drop(queue);
            self.enter(0, Duration::ZERO);
        }
        false
    }

    /// Submits the queue, and waits for completions if any are wanted. Requests that the kernel
    /// refuses temporarily stay queued, for a limited number of times.
    pub(super) fn enter(&mut self, wanted: usize, timeout: Duration) {
        if self.broken.is_some() {
            return;
        }
        self.send_opens();
        let queued = self.ring.submission().len();
        let timespec = Timespec::from(timeout);
        let args = SubmitArgs::new().timespec(&timespec);
        self.stats.enters += 1;
        let entered = self.ring.submitter().submit_with_args(wanted, &args);
        self.collect();
        match entered.map_err(Errno::from) {
            // Out of memory in the middle of the queue. The rest of a chain that is torn there
            // would read the old files of its slot, which are those of another process.
            Ok(taken @ 1..) if taken < queued => self.broken = Some(Errno(libc::ENOMEM)),
            Ok(0) if queued > 0 => self.refused(Errno(libc::EAGAIN)),
            // Done, or timed out.
            Ok(_) | Err(Errno(libc::ETIME)) => self.refusals = 0,
            // The completion queue was full and is empty now; the kernel is temporarily out of
            // memory; or a signal interrupted the call.
            Err(errno @ Errno(libc::EBUSY | libc::EAGAIN | libc::EINTR)) => self.refused(errno),
            Err(errno) => self.broken = Some(errno),
        }
    }

    fn refused(&mut self, errno: Errno) {
        self.refusals += 1;
        if self.refusals > REFUSALS_MAX {
            self.broken = Some(errno);
        } else if errno != Errno(libc::EINTR) {
            std::thread::sleep(REFUSAL_PAUSE);
        }
    }

    fn push(&mut self, entry: Entry, flags: Flags, tag: Tag) {
        let entry = entry.flags(flags).user_data(tag.encode());
        // SAFETY: every pointer of the entry is into `pending` of a slot or into the arena of a
        // buffer there. They stay valid until the kernel has finished with them: see the top.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        // Also in release builds: the rest of a chain would read the files of another process.
        assert!(pushed.is_ok(), "make_room made room");
        self.stats.operations += 1;
        // The requests behind the head of a chain are in its queue.
        let head = self.slots[tag.slot].queued[Half::First as usize];
        let is_read_first = match flags.contains(Flags::ASYNC) {
            true => tag.op == Op::Read,
            false => head.is_some_and(|head| head.is_read_first),
        };
        let queued = Queued { number: self.stats.operations, op: tag.op, is_read_first };
        self.slots[tag.slot].queued[tag.half as usize] = Some(queued);
    }

    fn open_entry(&self, slot: usize, half: Half) -> Entry {
        let (path, is_link) = match self.pending(slot, half) {
            Some(fetch) => (fetch.path.with_nul().as_ptr(), fetch.file == ProcFile::Exe),
            None => (c"".as_ptr().cast(), false),
        };
        let dir = Fd(self.root.as_fd().as_raw_fd());
        let open = opcode::OpenAt::new(dir, path.cast());
        if is_link {
            open.flags(libc::O_PATH | libc::O_CLOEXEC).build()
        } else if self.features.direct_descriptors {
            // A direct descriptor is never inherited, and does not accept O_CLOEXEC.
            let index = DestinationSlot::try_from_slot_target(self.direct(slot, half)).ok();
            open.flags(libc::O_RDONLY).file_index(index).build()
        } else {
            open.flags(libc::O_RDONLY | libc::O_CLOEXEC).build()
        }
    }

    fn read_entry(&self, slot: usize, half: Half) -> Option<Entry> {
        let Fetch { buffer, from, .. } = self.pending(slot, half)?;
        let state = &self.slots[slot];
        // An offset of -1 is the current position of the descriptor, which is the end of the text
        // if the file stayed open.
        let (offset, len) = match (*from, state.openings[half as usize]) {
            (ReadFrom::Beginning, _) => (0, 1),
            (ReadFrom::At(window), _) => (window.offset, window.len.min(buffer.room())),
            (ReadFrom::Current, Opening::Slot) => (u64::MAX, buffer.room()),
            (ReadFrom::Current, _) => (state.positions[half as usize], buffer.room()),
        };
        let (fd, kind) = match self.ordinary(slot, half) {
            Some(file) => (Fd(file.as_raw_fd()), Flags::empty()),
            None => (Fd(int(self.direct(slot, half))), Flags::FIXED_FILE),
        };
        let read = match buffer.segments().filter(|_| *from == ReadFrom::Current) {
            Some(segments) => opcode::Readv::new(fd, segments.as_ptr().cast(), int(segments.len()))
                .offset(offset)
                .build(),
            None => opcode::Read::new(fd, buffer.as_kernel_ptr(), int(len)).offset(offset).build(),
        };
        Some(read.flags(kind))
    }

    /// The ordinary descriptor of an open file, if it has one.
    fn ordinary(&self, slot: usize, half: Half) -> Option<&OwnedFd> {
        let slot = &self.slots[slot];
        match slot.openings[half as usize].place() {
            None => slot.files[half as usize].as_ref(),
            Some(place) => self.places.get(place)?.as_ref(),
        }
    }

    /// The direct descriptor of a slot's file.
    fn direct(&self, slot: usize, half: Half) -> u32 {
        match self.slots[slot].openings[half as usize].place() {
            None => int(2 * slot + half as usize),
            Some(place) => int(2 * self.slots_max + place),
        }
    }

    /// Whether a file is open before the request: the keeper opened it, or it stayed open.
    fn is_open(&self, slot: usize, half: Half) -> bool {
        let opening = self.slots[slot].openings[half as usize];
        matches!(opening, Opening::Open(_)) || self.ordinary(slot, half).is_some()
    }

    fn push_open(&mut self, slot: usize, half: Half, flags: Flags) {
        let generation = self.slots[slot].generation;
        let entry = self.open_entry(slot, half);
        self.push(entry, flags, Tag { slot, half, op: Op::Open, generation });
    }

    fn push_read(&mut self, slot: usize, half: Half, flags: Flags) {
        let generation = self.slots[slot].generation;
        if let Some(entry) = self.read_entry(slot, half) {
            self.push(entry, flags, Tag { slot, half, op: Op::Read, generation });
        }
    }

    /// Queues the first request of a fetch, or all of them, and submits a long queue.
    pub(super) fn push_fetch(&mut self, slot: usize) {
        let mut halves = [Half::First, Half::Second].into_iter();
        match halves.find(|half| self.is_for_keeper(slot, *half)) {
            Some(half) if self.features.chains => {
                self.push_step(slot, half, Op::Open);
            }
            None if self.features.chains => self.push_chain(slot),
            _ => self.push_opens(slot),
        }
        let queued = self.ring.submission().len();
        let submit_at = if self.in_flight <= queued { SUBMIT_AT_FIRST } else { SUBMIT_AT };
        if queued >= submit_at {
            // Workers that this call starts inherit the policy.
            self.set_policy(SUBMIT_AT);
            self.enter(0, Duration::ZERO);
        }
    }

    /// Queues all steps of a request as one chain.
    pub(super) fn push_chain(&mut self, slot: usize) {
        if !self.make_room(CHAIN_MAX) {
            return;
        }
        let open = match self.features.skip_success {
            true => Flags::IO_LINK | Flags::SKIP_SUCCESS,
            false => Flags::IO_LINK,
        };
        let is_pair = self.pending(slot, Half::Second).is_some();
        let is_link = self.is_link(slot, Half::First);
        let [is_open, is_memory_open] =
            [Half::First, Half::Second].map(|half| self.is_open(slot, half));
        let mut head = Flags::ASYNC;
        if is_pair && !is_memory_open {
            self.push_open(slot, Half::Second, open | head);
            head = Flags::empty();
        }
        // If the name cannot be read, the memory still is. A link is opened and not read.
        let behind = if is_pair { Flags::IO_HARDLINK } else { Flags::empty() };
        if is_link {
            self.push_open(slot, Half::First, behind | head);
        } else {
            if !is_open {
                self.push_open(slot, Half::First, open | head);
                head = Flags::empty();
            }
            self.push_read(slot, Half::First, behind | head);
        }
        if is_pair {
            self.push_read(slot, Half::Second, Flags::empty());
        }
    }

    /// Queues the opens of a request in steps.
    pub(super) fn push_opens(&mut self, slot: usize) {
        if self.is_open(slot, Half::First) {
            return self.push_step(slot, Half::First, Op::Read);
        }
        let is_opened =
            self.pending(slot, Half::Second).is_some() && !self.is_open(slot, Half::Second);
        if is_opened {
            self.push_step(slot, Half::Second, Op::Open);
        }
        if !is_opened || !self.is_name_opened_later(slot) {
            self.push_step(slot, Half::First, Op::Open);
        }
    }

    /// Whether the name is opened after the memory. Like the memory, a link can block, and so can
    /// any file of a directory that replaces `/proc`: at most one request of a slot may.
    pub(super) fn is_name_opened_later(&self, slot: usize) -> bool {
        self.is_link(slot, Half::First) || !self.is_own_proc
    }

    /// Queues one step of a request alone.
    pub(super) fn push_step(&mut self, slot: usize, half: Half, op: Op) {
        if op == Op::Open && self.is_for_keeper(slot, half) {
            let generation = self.slots[slot].generation;
            return self.push_to_keeper(Tag { slot, half, op, generation });
        }
        if !self.make_room(1) {
            return;
        }
        match op {
            Op::Open => self.push_open(slot, half, Flags::ASYNC),
            Op::Read => self.push_read(slot, half, Flags::ASYNC),
        }
    }

    /// Queues requests that do nothing, for this many workers of each kind: a higher limit alone
    /// does not start workers; the next queued request does. Bounded workers carry out opens and
    /// chains that begin with one. Reads of direct descriptors in steps are for unbounded ones, as
    /// their file is not known when they are queued (`io_prep_async_work`, io_uring/io_uring.c). So
    /// are reads of files that stayed open, and chains that begin with one.
    pub(super) fn push_nudges(&mut self, count: usize) {
        const NO_FILE: Fixed = Fixed(u32::MAX);
        let nop = opcode::Nop::new().build();
        let read = opcode::Read::new(NO_FILE, std::ptr::null_mut(), 0).build();
        let has_unbounded =
            self.features.direct_descriptors && (!self.features.chains || self.places_max > 0);
        let of_each_kind = if has_unbounded { &[nop, read][..] } else { &[nop] };
        for nudge in (0..count).flat_map(|_| of_each_kind) {
            let nudge = nudge.clone().flags(Flags::ASYNC).user_data(NUDGE);
            if !self.push_without_slot(&nudge) {
                return;
            }
            self.nudges += 1;
        }
    }

    /// Queues a request without memory: a NOP, a poll, or a read of no bytes, which fails because
    /// the table has no such file. False if the ring is broken.
    pub(super) fn push_without_slot(&mut self, entry: &Entry) -> bool {
        // SAFETY: the entry has no pointer, or null for no bytes.
        self.make_room(1) && unsafe { self.ring.submission().push(entry) }.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::setup::{Features, RingSetup};
    use super::*;
    use crate::process::ProcFile::{Comm, SmapsRollup};
    use crate::sys::buffer::BufferArena;
    use crate::sys::proc_root::ProcRoot;
    use crate::sys::ring::{Fetcher, Request};
    use crate::units::Pid;

    /// The queues of a worker that the requests of a chain are in, of files to open and of open
    /// ones.
    #[test]
    fn a_chain_is_in_one_queue() {
        let root = ProcRoot::open("/proc".as_ref()).expect("a /proc");
        let allowed = Features { defer_taskrun: false, ..Features::ALL };
        let setup = RingSetup { depth: 4, workers: 1, allowed, keeps_files: true };
        let Ok(mut ring) = KernelRing::new(root, setup) else { return };
        if !ring.features().chains || ring.places_max() < 2 {
            return; // An old kernel, or few descriptors.
        }
        let arena = BufferArena::with_room(0);
        let mut queues = |openings: [Opening; 2]| {
            let fetch = |file: ProcFile, opening| {
                let path = file.path(Pid(std::process::id()), None);
                Fetch { file, path, opening, from: ReadFrom::Current, buffer: arena.buffer(4096) }
            };
            let [name, memory] = openings;
            let (name, memory) = (fetch(Comm, name), fetch(SmapsRollup, memory));
            ring.fetch(0, Request::Pair { name, memory });
            let found = ring.slots[0].queued.map(|queued| queued.map(|it| it.is_read_first));
            for _ in 0..2 {
                while ring.reap().is_none() {
                    ring.submit_and_wait(1, Duration::from_secs(10)).expect("a ring");
                }
            }
            found
        };
        let (opened, open) = ([0, 1].map(Opening::Place), [0, 1].map(Opening::Open));
        assert_eq!(queues(opened), [Some(false); 2]);
        assert_eq!(queues(open), [Some(true); 2]);
        assert_eq!(queues([Opening::Slot, Opening::Open(1)]), [Some(false); 2]);
    }
}
