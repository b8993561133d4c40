//! A place for one process in the ring: its probe, and the buffers that travel with its requests.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::series::KnownProcess;
use crate::engine::{IoStats, Tally};
use crate::process::{
    Plan, Probe, ProcFile, ReadNext, Source, TEXT_MAX, WINDOW_BYTES, Want, Window, WindowLength,
};
use crate::sys::buffer::{Buffer, BufferArena, SEGMENT_BYTES, SEGMENT_MEMORY};
use crate::sys::ring::{Completion, Failure, Fetch, Fetcher, Half, Opening, ReadFrom, Request};
use crate::units::{Errno, Pid};

/// Room for a rollup: 25 lines. A longer one takes another read.
const ROLLUP_BYTES: usize = 1024;
/// Segments of one vectored read of smaps: 126 KiB, more than most processes print.
const SMAPS_SEGMENTS: usize = 42;
/// The maximum size of all smaps buffers. With more slots each buffer is smaller, and a long text
/// takes more reads.
const SMAPS_BYTES_MAX: usize = 8 << 20;

/// Allocates the buffers of slots.
pub(super) struct Buffers {
    arena: BufferArena,
    smaps_segments: usize,
}

impl Buffers {
    /// Buffers for this many slots.
    pub(super) fn new(slots: usize) -> Buffers {
        let share = SMAPS_BYTES_MAX / SEGMENT_BYTES / slots;
        let smaps_segments = share.clamp(1, SMAPS_SEGMENTS);
        Buffers { arena: BufferArena::with_room(0), smaps_segments }
    }

    /// Takes the memory for the buffers of this many further slots at once.
    pub(super) fn reserve(&mut self, slots: usize, plan: &Plan) {
        // The buffers of earlier slots keep their arena.
        self.arena = BufferArena::with_room(slots * self.buffers_bytes(plan));
    }

    /// The memory of a slot and its buffers.
    pub(super) fn slot_bytes(&self, plan: &Plan) -> usize {
        // The list of slots doubles as it grows.
        2 * size_of::<Slot>() + self.buffers_bytes(plan)
    }

    /// The memory of the buffers that every slot needs. A process that is walked under
    /// `Source::Auto` takes a window more, one without a rollup a buffer for smaps.
    fn buffers_bytes(&self, plan: &Plan) -> usize {
        let memory = match plan.source {
            Source::Smaps => self.smaps_segments * SEGMENT_MEMORY,
            Source::Auto | Source::Rollup => ROLLUP_BYTES,
            Source::Pagemap => WINDOW_BYTES,
        };
        let name = plan.name_file();
        let arguments = if name == ProcFile::Arguments { name.text_max() } else { 0 };
        memory + arguments + TEXT_MAX
    }

    fn allocate(&self, file: ProcFile) -> Buffer {
        match file {
            ProcFile::SmapsRollup => self.arena.buffer(ROLLUP_BYTES),
            ProcFile::Smaps => self.arena.segmented_buffer(self.smaps_segments),
            ProcFile::Pagemap => self.arena.buffer(WINDOW_BYTES),
            // One read must be enough: the memory is read once it completes.
            ProcFile::Arguments => self.arena.buffer(file.text_max()),
            _ => self.arena.buffer(TEXT_MAX),
        }
    }
}

/// The state of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlotState {
    /// Nothing is in flight.
    Free,
    /// A process is being measured.
    Busy,
    /// A request is in flight whose process is counted already. Until it completes, the slot stays
    /// as it is.
    Abandoned,
}

/// Two places in the ring, for the files of a process that stay open.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlacePair(pub(super) usize);

impl PlacePair {
    /// The places of the memory and of the name.
    pub(super) fn places(self) -> [usize; 2] {
        [2 * self.0, 2 * self.0 + 1]
    }
}

/// A place for one process.
pub(super) struct Slot {
    pub(super) probe: Probe,
    pub(super) state: SlotState,
    /// The process in the survey before, if that measured it, and the places for its files.
    pub(super) known: Option<KnownProcess<PlacePair>>,
    pub(super) places: Option<PlacePair>,
    /// The time at which the process was started, or its last window was read.
    since: Duration,
    /// The next window, which is not read before the end of a pause.
    paused: Option<(Half, Window)>,
    /// The files in flight, by half.
    in_flight: [Option<ProcFile>; 2],
    /// The buffers that are not in the ring, allocated at first use.
    text: Option<Buffer>,
    arguments: Option<Buffer>,
    rollup: Option<Buffer>,
    smaps: Option<Buffer>,
    pagemap: Option<Buffer>,
}

impl Slot {
    pub(super) fn new() -> Slot {
        Slot {
            probe: Probe::new(),
            state: SlotState::Free,
            known: None,
            places: None,
            since: Duration::ZERO,
            paused: None,
            in_flight: [None; 2],
            text: None,
            arguments: None,
            rollup: None,
            smaps: None,
            pagemap: None,
        }
    }

    /// Starts a process. Its files are open in their places, or stay open there.
    pub(super) fn start(
        &mut self,
        pid: Pid,
        plan: &Arc<Plan>,
        now: Duration,
        known: Option<KnownProcess<PlacePair>>,
        places: Option<PlacePair>,
    ) {
        (self.known, self.places) = (known, places);
        match &mut self.known {
            None => self.probe.restart(pid, plan),
            Some(known) => known.start(&mut self.probe, pid, plan),
        }
        self.state = SlotState::Busy;
        self.since = now;
    }

    /// Whether the process has been in flight for this long.
    pub(super) fn is_older(&self, now: Duration, age: Duration) -> bool {
        let is_waiting = self.state == SlotState::Busy && !self.is_paused();
        is_waiting && now.saturating_sub(self.since) >= age
    }

    /// Whether nothing is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.iter().all(Option::is_none)
    }

    /// Fetches what the probe wants next. False: it wants nothing more.
    pub(super) fn fetch_next<F: Fetcher>(
        &mut self,
        index: usize,
        buffers: &Buffers,
        length: WindowLength,
        ring: &mut F,
    ) -> bool {
        let Some(want) = self.probe.want() else { return false };
        let mut fetch = |half, file| self.fetch(half, file, buffers, length);
        let request = match want {
            Want::One(file) => Request::One(fetch(Half::First, file)),
            Want::Pair { name, memory } => Request::Pair {
                name: fetch(Half::First, name),
                memory: fetch(Half::Second, memory),
            },
        };
        ring.fetch(index, request);
        true
    }

    fn fetch(
        &mut self,
        half: Half,
        file: ProcFile,
        buffers: &Buffers,
        length: WindowLength,
    ) -> Fetch {
        let path = self.probe.path(file);
        self.in_flight[half as usize] = Some(file);
        let opening = self.opening(file);
        let buffer = self.buffer(file).take().unwrap_or_else(|| buffers.allocate(file));
        let from = match self.probe.first_read(file) {
            ReadNext::Window(window) => ReadFrom::At(length.cut(window)),
            _ => ReadFrom::Current,
        };
        Fetch { file, path, opening, from, buffer }
    }

    fn opening(&self, file: ProcFile) -> Opening {
        let Some(pair) = self.places.filter(|_| self.probe.can_keep(file)) else {
            return Opening::Slot;
        };
        let place = pair.places()[usize::from(file != ProcFile::SmapsRollup)];
        if self.probe.is_open(file) { Opening::Open(place) } else { Opening::Place(place) }
    }

    fn buffer(&mut self, file: ProcFile) -> &mut Option<Buffer> {
        match file {
            ProcFile::SmapsRollup => &mut self.rollup,
            ProcFile::Smaps => &mut self.smaps,
            ProcFile::Pagemap => &mut self.pagemap,
            ProcFile::Arguments => &mut self.arguments,
            _ => &mut self.text,
        }
    }

    /// Whether the next window waits for the end of a pause. Then nothing is in the ring.
    pub(super) fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// Reads the next window, or a part of it.
    pub(super) fn read_next_window<F: Fetcher>(
        &mut self,
        index: usize,
        length: WindowLength,
        ring: &mut F,
    ) {
        let Some((half, window)) = self.paused.take() else { return };
        if let Some(buffer) = self.pagemap.take() {
            ring.read_more(index, half, ReadFrom::At(length.cut(window)), buffer);
        }
    }

    /// Gives the process up in a pause. Then nothing is in flight.
    pub(super) fn end_pause(&mut self) {
        (self.paused, self.in_flight) = (None, [None; 2]);
    }

    /// Times the process out. The buffers in flight stay in the ring.
    pub(super) fn abandon(&mut self, tally: &mut Tally) {
        self.state = SlotState::Abandoned;
        tally.time_out(self.probe.pid());
    }

    /// Takes the buffer of a late completion back. True: it was the last one in flight.
    pub(super) fn reclaim(&mut self, done: Completion) -> bool {
        if let Some(file) = self.in_flight[done.half as usize].take() {
            *self.buffer(file) = Some(done.buffer);
        }
        self.is_idle()
    }

    /// Feeds a completion to the probe, and reads on if the file has more.
    ///
    /// # Errors
    /// `ECANCELED`: the request never ran, because no worker can be started.
    pub(super) fn complete<F: Fetcher>(
        &mut self,
        done: Completion,
        now: Duration,
        io: &mut IoStats,
        ring: &mut F,
    ) -> Result<(), Errno> {
        let Completion { slot, half, result, buffer } = done;
        let Some(file) = self.in_flight[half as usize].take() else { return Ok(()) };
        let mut next = match result {
            Ok(()) => {
                io.reads += 1;
                io.bytes += buffer.bytes().len() as u64;
                self.probe.feed(file, buffer.bytes(), buffer.room())
            }
            Err(Failure::Refused(Errno::CANCELED)) => return Err(Errno::CANCELED),
            // The other file of the pair failed, with the reason.
            Err(Failure::NotTried) => ReadNext::Done,
            Err(Failure::Refused(errno)) => {
                self.probe.fail(file, errno);
                ReadNext::Done
            }
        };
        if next == ReadNext::Count {
            next = self.probe.count(ring.pages());
        }
        let from = match next {
            ReadNext::Continue => ReadFrom::Current,
            ReadNext::Verify => ReadFrom::Beginning,
            ReadNext::Window(window) => {
                self.in_flight[half as usize] = Some(file);
                (self.since, self.paused) = (now, Some((half, window)));
                *self.buffer(file) = Some(buffer);
                return Ok(());
            }
            ReadNext::Count | ReadNext::Done => {
                *self.buffer(file) = Some(buffer);
                return Ok(());
            }
        };
        self.in_flight[half as usize] = Some(file);
        ring.read_more(slot, half, from, buffer);
        Ok(())
    }
}
