//! The product: one thread, many processes in flight.
//!
//! ```text
//!   pids ─► slot: probe, buffers ── fetch ─► ring ─► workers of the kernel
//!              ▲                                        │
//!              └── feed, then the next fetch ◄── reap ◄─┘      done ─► tally
//! ```
//!
//! A slot is a place for one process. Its buffers move into the ring with a fetch and come back
//! with the completion.
//!
//! The loop never opens or reads a file of a process itself: either can block for ever.

use std::time::Duration;

use bumpalo::Bump;

use super::tally::Tally;
use super::{Engine, Survey, Tuning};
use crate::error::Error;
use crate::process::{Plan, Probe, ProcFile, Progress, Source, TEXT_MAX, Want};
use crate::sys::buffer::{Buffer, BufferArena};
use crate::sys::host;
use crate::sys::proc_root::ProcRoot;
use crate::sys::ring::kernel::{KernelRing, RingSetup};
use crate::sys::ring::{Completion, Fetch, From, Place, Request, Ring};
use crate::units::{Errno, Pid};

/// How long one wait lasts at the most.
const TICK: Duration = Duration::from_millis(50);
/// Room for a rollup: 25 lines. A longer one takes another read.
const ROLLUP_BYTES: usize = 1024;
/// Segments of one vectored read of smaps: 128 KiB, more than most processes print.
const SMAPS_SEGMENTS: usize = 64;

/// The engine `uring`, over a ring.
pub struct Uring<R: Ring = KernelRing> {
    ring: R,
    slots: Vec<Slot>,
    memory: Memory,
}

/// What the slots' second buffers are made for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    Rollup,
    Smaps,
}

struct Slot {
    probe: Probe,
    /// What the fetches in flight are for, by place; `None` when there is none.
    fetched: [Option<ProcFile>; 2],
    is_pair: bool,
    /// The buffers, where they are not with the ring: text, memory.
    text: Option<Buffer>,
    memory: Option<Buffer>,
}

impl Uring {
    /// Sets up a ring that works here, or says why not.
    ///
    /// # Errors
    /// Those of [`KernelRing::new`].
    pub fn open(root: &ProcRoot, tuning: Tuning) -> Result<Uring, Errno> {
        let setup = RingSetup {
            slots: tuning.depth,
            workers: u32::try_from(tuning.workers).unwrap_or(u32::MAX),
            allowed: tuning.features,
        };
        host::prefer_throughput();
        let ring = KernelRing::new(root.try_clone()?, setup)?;
        let slots = ring.slots();
        Ok(Uring::over(ring, slots))
    }
}

impl<R: Ring> Uring<R> {
    /// The engine over any ring, with so many processes in flight.
    pub fn over(ring: R, depth: usize) -> Uring<R> {
        let slots = std::iter::repeat_with(Slot::new).take(depth).collect();
        Uring { ring, slots, memory: Memory::Rollup }
    }

    /// Gives every slot the buffers that the plan needs.
    fn equip(&mut self, plan: &Plan) {
        let memory = match plan.source {
            Source::Smaps => Memory::Smaps,
            Source::Auto | Source::Rollup => Memory::Rollup,
        };
        let is_new = self.slots.first().is_some_and(|slot| slot.text.is_none());
        if !is_new && self.memory == memory {
            return;
        }
        self.memory = memory;
        let arena = BufferArena::new();
        for slot in &mut self.slots {
            slot.text = Some(arena.buffer(TEXT_MAX));
            slot.memory = Some(match memory {
                Memory::Rollup => arena.buffer(ROLLUP_BYTES),
                Memory::Smaps => arena.segmented_buffer(SMAPS_SEGMENTS),
            });
        }
    }
}

impl<R: Ring> Engine for Uring<R> {
    fn survey<'run>(
        &mut self,
        pids: &[Pid],
        plan: &Plan,
        arena: &'run Bump,
    ) -> Result<Survey<'run>, Error> {
        self.equip(plan);
        let before = self.ring.stats();
        let mut tally = Tally::with_room(pids.len());
        let mut waiting = pids.iter();
        let mut free: Vec<usize> = (0..self.slots.len()).collect();
        loop {
            while let Some(index) = free.pop() {
                let Some(pid) = waiting.next() else {
                    free.push(index);
                    break;
                };
                let slot = &mut self.slots[index];
                slot.probe.restart(*pid, plan);
                slot.advance(index, plan, &mut self.ring);
            }
            let busy = self.slots.len() - free.len();
            if busy == 0 {
                break;
            }
            self.ring.submit_and_wait(batch(busy), TICK).map_err(Error::Ring)?;
            while let Some(done) = self.ring.reap() {
                let index = done.slot;
                let slot = &mut self.slots[index];
                slot.take(done, plan, &mut tally, &mut self.ring).map_err(Error::Ring)?;
                if slot.is_idle() && !slot.advance(index, plan, &mut self.ring) {
                    tally.take(&slot.probe);
                    free.push(index);
                }
            }
        }
        let after = self.ring.stats();
        tally.io.operations = after.operations - before.operations;
        tally.io.enters = after.enters - before.enters;
        Ok(Tally::survey(&[tally], arena))
    }
}

/// How many completions to wait for. One at a time wakes this thread for every file, and takes a
/// CPU from the workers each time; waiting for all would let them run dry.
fn batch(busy: usize) -> usize {
    (busy / 4).max(1)
}

impl Slot {
    fn new() -> Slot {
        Slot { probe: Probe::new(), fetched: [None; 2], is_pair: false, text: None, memory: None }
    }

    fn is_idle(&self) -> bool {
        self.fetched.iter().all(Option::is_none)
    }

    /// Fetches what the probe wants next. False: it wants nothing more.
    fn advance<R: Ring>(&mut self, index: usize, plan: &Plan, ring: &mut R) -> bool {
        let want = self.probe.want(plan);
        self.is_pair = matches!(want, Some(Want::Pair { .. }));
        let request = match want {
            None => return false,
            Some(Want::One(file)) => self.fetch(Place::First, file).map(Request::One),
            Some(Want::Pair { name, memory }) => {
                let name = self.fetch(Place::First, name);
                let memory = self.fetch(Place::Second, memory);
                name.zip(memory).map(|(name, memory)| Request::Pair { name, memory })
            }
        };
        debug_assert!(request.is_some(), "an idle slot has its buffers");
        if let Some(request) = request {
            ring.fetch(index, request);
        }
        true
    }

    fn fetch(&mut self, place: Place, file: ProcFile) -> Option<Fetch> {
        let buffer = self.buffer_place(file).take()?;
        self.fetched[place as usize] = Some(file);
        Some(Fetch { file, path: self.probe.path(file), buffer })
    }

    fn buffer_place(&mut self, file: ProcFile) -> &mut Option<Buffer> {
        if file.is_memory() { &mut self.memory } else { &mut self.text }
    }

    /// Feeds one completion to the probe, and reads on if the file has more.
    fn take<R: Ring>(
        &mut self,
        done: Completion,
        plan: &Plan,
        tally: &mut Tally,
        ring: &mut R,
    ) -> Result<(), Errno> {
        let Some(file) = self.fetched[done.place as usize].take() else { return Ok(()) };
        let Completion { slot, place, result, buffer } = done;
        if result.is_ok() {
            tally.io.reads += 1;
            tally.io.bytes += buffer.bytes().len() as u64;
        }
        let is_head = self.is_pair == (place == Place::Second);
        let progress = match result {
            Ok(()) => self.probe.feed(plan, file, buffer.bytes(), buffer.room()),
            // The head of a chain was not even tried: there is no worker to be had.
            Err(Errno::CANCELED) if is_head && self.probe.expects(plan, file) => {
                return Err(Errno::CANCELED);
            }
            // The tail of a chain that broke: the failure of the other file says why.
            Err(Errno::CANCELED) => Progress::Turn,
            Err(errno) => {
                self.probe.fail(plan, file, errno);
                Progress::Turn
            }
        };
        let from = match progress {
            Progress::ReadOn => From::On,
            Progress::Rewind => From::Beginning,
            Progress::Turn => {
                *self.buffer_place(file) = Some(buffer);
                return Ok(());
            }
        };
        self.fetched[place as usize] = Some(file);
        ring.read_more(slot, place, from, buffer);
        Ok(())
    }
}
