//! The product: one thread, many processes in flight.
//!
//! ```text
//!   pids ─► slot: probe, buffers ── fetch ─► ring ─► workers of the kernel
//!              ▲                                        │
//!              └── feed, then the next fetch ◄── reap ◄─┘      done ─► tally
//! ```
//!
//! A slot is a place for one process. Its buffers move into the ring with a fetch and come back
//! with the completion. Usually two files are fetched at once, the name's and the memory's; what
//! turns out not to be wanted is thrown away.
//!
//! The loop never opens or reads a file of a process itself: either can block for ever.

use std::time::Duration;

use bumpalo::Bump;

use super::tally::Tally;
use super::{Engine, Survey, Tuning};
use crate::error::Error;
use crate::process::{Plan, Probe, ProcFile, Progress, Source, TEXT_MAX};
use crate::sys::buffer::{Buffer, BufferArena};
use crate::sys::proc_root::ProcRoot;
use crate::sys::ring::kernel::{KernelRing, RingSetup};
use crate::sys::ring::{Completion, Fetch, Ring};
use crate::units::{Errno, Pid};

/// How long one wait lasts at the most.
const TICK: Duration = Duration::from_millis(50);
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
    /// What the two fetches in flight are for; `None` when there is none.
    fetched: [Option<ProcFile>; 2],
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
                Memory::Rollup => arena.buffer(TEXT_MAX),
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
                slot.take(done, plan, &mut tally, &mut self.ring);
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
    (busy / 2).max(1)
}

impl Slot {
    fn new() -> Slot {
        Slot { probe: Probe::new(), fetched: [None; 2], text: None, memory: None }
    }

    fn is_idle(&self) -> bool {
        self.fetched.iter().all(Option::is_none)
    }

    /// Fetches what the probe wants next. False: it wants nothing more.
    fn advance<R: Ring>(&mut self, index: usize, plan: &Plan, ring: &mut R) -> bool {
        let Some(file) = self.probe.want() else { return false };
        let second = self.probe.likely_next(plan);
        self.fetched = [Some(file), second];
        let first = self.fetch(file);
        let second = second.and_then(|file| self.fetch(file));
        if let Some(first) = first {
            ring.fetch(index, first, second);
        }
        true
    }

    fn fetch(&mut self, file: ProcFile) -> Option<Fetch> {
        let buffer = if file.is_memory() { &mut self.memory } else { &mut self.text };
        let buffer = buffer.take();
        debug_assert!(buffer.is_some(), "an idle slot has its buffers");
        Some(Fetch { file, path: self.probe.path(file), buffer: buffer? })
    }

    /// Feeds one completion to the probe, and reads on if the file has more.
    fn take<R: Ring>(&mut self, done: Completion, plan: &Plan, tally: &mut Tally, ring: &mut R) {
        let Some(file) = self.fetched[done.nth].take() else { return };
        if let Ok(len) = done.result {
            tally.io.reads += 1;
            tally.io.bytes += len as u64;
        }
        // What was fetched along may not be wanted after all.
        if self.probe.want() == Some(file) {
            match done.result {
                Ok(len) => {
                    let room = done.buffer.len();
                    if self.probe.feed(plan, &done.buffer[..len], room) == Progress::ReadOn {
                        self.fetched[done.nth] = Some(file);
                        return ring.read_on(done.slot, done.nth, done.buffer);
                    }
                }
                Err(errno) => self.probe.fail(plan, errno),
            }
        }
        let place = if file.is_memory() { &mut self.memory } else { &mut self.text };
        *place = Some(done.buffer);
    }
}
