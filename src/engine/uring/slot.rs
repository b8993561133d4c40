//! A place for one process in the ring: its probe, and the buffers that travel with its requests.

use std::time::Duration;

use crate::engine::{IoStats, Tally};
use crate::process::{Plan, Probe, ProcFile, ReadNext, Source, TEXT_MAX, Want};
use crate::sys::buffer::{Buffer, BufferArena, SEGMENT_BYTES};
use crate::sys::ring::{Completion, Failure, Fetch, Place, ReadFrom, Request, Ring};
use crate::units::{Errno, Pid};

/// Room for a rollup: 25 lines. A longer one takes another read.
const ROLLUP_BYTES: usize = 1024;
/// Segments of one vectored read of smaps: 126 KiB, more than most processes print.
const SMAPS_SEGMENTS: usize = 42;
/// What all buffers for smaps may take together. With more slots each is smaller, and a long text
/// takes more reads.
const SMAPS_BYTES_MAX: usize = 8 << 20;

/// Makes the buffers of slots.
pub(super) struct Buffers {
    arena: BufferArena,
    smaps_segments: usize,
}

impl Buffers {
    /// For so many slots.
    pub(super) fn new(slots: usize) -> Buffers {
        let fair = SMAPS_BYTES_MAX / SEGMENT_BYTES / slots;
        Buffers { arena: BufferArena::new(), smaps_segments: fair.clamp(1, SMAPS_SEGMENTS) }
    }

    /// What a slot takes with its buffers, of which an arena keeps up to as much again in store. A
    /// process without a rollup, whose smaps is read instead, may take more.
    pub(super) fn slot_bytes(&self, plan: &Plan) -> usize {
        let memory = match plan.source {
            Source::Smaps => self.smaps_segments * SEGMENT_BYTES,
            Source::Auto | Source::Rollup => ROLLUP_BYTES,
        };
        let name = plan.name_file();
        let arguments = if name == ProcFile::Arguments { name.text_max() } else { 0 };
        size_of::<Slot>() + 2 * (memory + arguments + TEXT_MAX)
    }

    fn make(&self, file: ProcFile) -> Buffer {
        match file {
            ProcFile::SmapsRollup => self.arena.buffer(ROLLUP_BYTES),
            ProcFile::Smaps => self.arena.segmented_buffer(self.smaps_segments),
            // In one read: its memory is read behind it, in the same chain.
            ProcFile::Arguments => self.arena.buffer(file.text_max()),
            _ => self.arena.buffer(TEXT_MAX),
        }
    }
}

/// What became of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlotState {
    /// Nothing is in flight.
    Free,
    /// A process is being measured.
    Busy,
    /// The kernel has not answered: nothing of this slot is touched until it does.
    Abandoned,
}

/// A place for one process.
pub(super) struct Slot {
    pub(super) probe: Probe,
    pub(super) state: SlotState,
    /// When its process was begun.
    pub(super) since: Duration,
    /// What the fetches in flight are for, by place; `None` when there is none.
    fetched: [Option<ProcFile>; 2],
    /// The buffers, made when first needed, where they are not with the ring.
    text: Option<Buffer>,
    arguments: Option<Buffer>,
    rollup: Option<Buffer>,
    smaps: Option<Buffer>,
}

impl Slot {
    pub(super) fn new() -> Slot {
        Slot {
            probe: Probe::new(),
            state: SlotState::Free,
            since: Duration::ZERO,
            fetched: [None; 2],
            text: None,
            arguments: None,
            rollup: None,
            smaps: None,
        }
    }

    pub(super) fn begin(&mut self, pid: Pid, plan: &Plan, now: Duration) {
        self.probe.restart(pid, plan);
        self.state = SlotState::Busy;
        self.since = now;
    }

    /// Whether nothing is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.fetched.iter().all(Option::is_none)
    }

    /// Fetches what the probe wants next. False: it wants nothing more.
    pub(super) fn advance<R: Ring>(
        &mut self,
        index: usize,
        plan: &Plan,
        buffers: &Buffers,
        ring: &mut R,
    ) -> bool {
        let request = match self.probe.want(plan) {
            None => return false,
            Some(Want::One(file)) => Request::One(self.fetch(Place::First, file, buffers)),
            Some(Want::Pair { name, memory }) => Request::Pair {
                name: self.fetch(Place::First, name, buffers),
                memory: self.fetch(Place::Second, memory, buffers),
            },
        };
        ring.fetch(index, request);
        true
    }

    fn fetch(&mut self, place: Place, file: ProcFile, buffers: &Buffers) -> Fetch {
        let path = self.probe.path(file);
        self.fetched[place as usize] = Some(file);
        let buffer = self.buffer(file).take().unwrap_or_else(|| buffers.make(file));
        Fetch { file, path, buffer }
    }

    fn buffer(&mut self, file: ProcFile) -> &mut Option<Buffer> {
        match file {
            ProcFile::SmapsRollup => &mut self.rollup,
            ProcFile::Smaps => &mut self.smaps,
            ProcFile::Arguments => &mut self.arguments,
            _ => &mut self.text,
        }
    }

    /// Gives its process up. What the kernel was lent stays lent.
    pub(super) fn abandon(&mut self, tally: &mut Tally) {
        self.state = SlotState::Abandoned;
        tally.time_out(self.probe.pid());
    }

    /// Takes the buffer of a completion that nobody waits for any more. True: it was the last one.
    pub(super) fn take_back(&mut self, done: Completion) -> bool {
        if let Some(file) = self.fetched[done.place as usize].take() {
            *self.buffer(file) = Some(done.buffer);
        }
        self.is_idle()
    }

    /// Feeds one completion to the probe, and reads on if the file has more.
    ///
    /// # Errors
    /// `ECANCELED` when a request was not even tried, because there is no worker to be had.
    pub(super) fn take<R: Ring>(
        &mut self,
        done: Completion,
        plan: &Plan,
        io: &mut IoStats,
        ring: &mut R,
    ) -> Result<(), Errno> {
        let Completion { slot, place, result, buffer } = done;
        let Some(file) = self.fetched[place as usize].take() else { return Ok(()) };
        let progress = match result {
            Ok(()) => {
                io.reads += 1;
                io.bytes += buffer.bytes().len() as u64;
                self.probe.feed(plan, file, buffer.bytes(), buffer.room())
            }
            Err(Failure::Refused(Errno::CANCELED)) => return Err(Errno::CANCELED),
            // The failure of the other file says why.
            Err(Failure::NotTried) => ReadNext::Done,
            Err(Failure::Refused(errno)) => {
                self.probe.fail(plan, file, errno);
                ReadNext::Done
            }
        };
        let from = match progress {
            ReadNext::Continue => ReadFrom::On,
            ReadNext::Verify => ReadFrom::Beginning,
            ReadNext::Done => {
                *self.buffer(file) = Some(buffer);
                return Ok(());
            }
        };
        self.fetched[place as usize] = Some(file);
        ring.read_more(slot, place, from, buffer);
        Ok(())
    }
}
