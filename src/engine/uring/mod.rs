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
//! The loop opens and reads no file of a process itself but those that never block
//! (`ProcFile::never_blocks`): anything else can block for ever.

mod scaling;
mod slot;

use std::time::Duration;

use self::scaling::WorkerScaling;
use self::slot::{Buffers, Slot, SlotState};
use super::{Broken, Engine, Progress, Tally, Timeouts, Tuning, left_bytes};
use crate::process::{Fate, Plan};
use crate::sys::memory;
use crate::sys::proc_root::ProcRoot;
use crate::sys::ring::kernel::{KernelRing, RingSetup};
use crate::sys::ring::{Completion, Ring, WorkerStates};
use crate::sys::this_process;
use crate::units::{Errno, Pid};

/// A process that takes this long may be held up by a lock: others go on in its place.
const HELD_AFTER: Duration = Duration::from_millis(50);
/// How long what has come is taken once it is time for something else. All of it belongs into the
/// report, also when time is over, but with a slow filter it could take seconds.
const TAKING_MAX: Duration = Duration::from_millis(10);
/// What a ring needs to be set up: its slots, its queues, and what must be left.
const RING_BYTES: usize = 1536 * 1024;

/// The engine `uring`, over a ring.
pub struct Uring<R: Ring = KernelRing> {
    ring: R,
    slots: Vec<Slot>,
    /// Slots with nothing in flight. Those of stuck processes come back when these wake up.
    free: Vec<usize>,
    depth: usize,
    workers: usize,
    buffers: Buffers,
}

impl Uring {
    /// Sets up a ring that works here, or says why not.
    ///
    /// # Errors
    /// Those of [`KernelRing::new`]; `ENOMEM` also when addresses are short.
    pub fn open(root: &ProcRoot, tuning: Tuning) -> Result<Uring, Errno> {
        let Tuning { workers, depth, features } = tuning;
        let depth = depth.min(this_process::file_pairs());
        if !memory::has_room(RING_BYTES) {
            return Err(Errno::NOMEM);
        }
        let setup = RingSetup { depth, workers, allowed: features };
        let ring = KernelRing::new(root.clone(), setup)?;
        Ok(Uring::over(ring, depth, workers))
    }

    /// Whether it can have more workers when some are stuck. Those that the kernel gives it by
    /// itself, four for each CPU, may all be.
    pub fn can_grow(&self) -> bool {
        self.ring.features().worker_limit
    }
}

impl<R: Ring> Uring<R> {
    /// The engine over any ring, with so many processes in flight and workers at work.
    pub fn over(ring: R, depth: usize, workers: usize) -> Uring<R> {
        let depth = depth.clamp(1, ring.slots_max());
        let buffers = Buffers::new(depth);
        Uring { ring, slots: Vec::new(), free: Vec::new(), depth, workers, buffers }
    }

    /// How many processes may be under way, those that are held up not counted, so that memory is
    /// left for the rest of the run. `None`: so few that some workers would have nothing to do.
    fn affordable(&self, processes: usize, plan: &Plan) -> Option<usize> {
        let free = self.slots.iter().filter(|slot| slot.state == SlotState::Free).count();
        let is_affordable = |depth: &usize| {
            let bytes = depth.saturating_sub(free) * self.buffers.slot_bytes(plan);
            bytes == 0 || memory::has_room(bytes + left_bytes(processes))
        };
        let wanted = self.depth.min(processes);
        let least = wanted.min(self.workers.max(1));
        let depths = std::iter::successors(Some(wanted), |depth| Some(depth / 2));
        depths.take_while(|depth| *depth >= least).find(is_affordable)
    }
}

impl<R: Ring> Engine for Uring<R> {
    fn carry(
        &mut self,
        pids: &[Pid],
        plan: &Plan,
        timeouts: &Timeouts,
        observer: &mut dyn FnMut(Progress),
        tallies: &mut Vec<Tally>,
    ) -> Result<(), Broken> {
        let Some(depth) = self.affordable(pids.len(), plan) else {
            return Err(Broken { errno: Errno::NOMEM, left: pids.to_vec() });
        };
        let before = self.ring.stats();
        let now = self.ring.now();
        let mut run = Run {
            tally: Tally::with_room(pids.len(), plan),
            waiting: pids.iter(),
            depth,
            plan,
            timeouts: *timeouts,
            observer,
            listed: pids.len(),
            began: now,
            alive: now,
            pace: WorkerScaling::new(self.workers, now, &self.ring.workers(timeouts.stuck_after)),
            in_flight: 0,
            held: 0,
            finished: 0,
            started: 1,
            has_all: false,
        };
        let outcome = self.run(&mut run);
        let after = self.ring.stats();
        run.tally.io.operations = after.operations - before.operations;
        run.tally.io.enters = after.enters - before.enters;
        let broken = outcome.map_err(|errno| Broken { errno, left: self.left(&mut run) });
        tallies.push(run.tally);
        broken
    }
}

/// One survey under way.
struct Run<'a> {
    tally: Tally,
    waiting: std::slice::Iter<'a, Pid>,
    /// So many are in flight at once, those that are held up not counted.
    depth: usize,
    plan: &'a Plan,
    timeouts: Timeouts,
    observer: &'a mut dyn FnMut(Progress),
    listed: usize,
    began: Duration,
    /// When the last completion came or a worker was last seen running.
    alive: Duration,
    pace: WorkerScaling,
    /// Slots that are busy, and how many of them are held up and do not count.
    in_flight: usize,
    held: usize,
    finished: usize,
    /// Workers that must have been started by now.
    started: usize,
    has_all: bool,
}

impl Run<'_> {
    /// Slots that are expected to complete soon. `held` is as old as the last look: some of those
    /// may have completed since.
    fn moving(&self) -> usize {
        self.in_flight.saturating_sub(self.held)
    }

    fn next_look(&self) -> Duration {
        let deadline = self.timeouts.deadline.map(|time| self.began.saturating_add(time));
        deadline.map_or(self.pace.next_look(), |deadline| deadline.min(self.pace.next_look()))
    }

    /// Whether time is over.
    fn is_late(&self, now: Duration) -> bool {
        self.timeouts.deadline.is_some_and(|deadline| now - self.began >= deadline)
    }

    /// Whether what is in flight is stuck.
    fn is_stuck(&self, now: Duration) -> bool {
        now.saturating_sub(self.alive) >= self.timeouts.stuck_after
    }
}

impl<R: Ring> Uring<R> {
    fn run(&mut self, run: &mut Run<'_>) -> Result<(), Errno> {
        loop {
            self.fill(run);
            // Late processes of earlier surveys may have all the slots: some come back.
            if run.in_flight == 0 && run.waiting.as_slice().is_empty() {
                return Ok(());
            }
            let until = run.next_look().saturating_sub(self.ring.now());
            self.ring.submit_and_wait(self.batch(run), until)?;
            let woken = self.ring.now();
            let (mut now, enough) = (woken, run.next_look().max(woken) + TAKING_MAX);
            while let Some(done) = self.ring.reap() {
                run.alive = now;
                self.take(done, run)?;
                now = self.ring.now();
                if now >= enough {
                    break;
                }
            }
            if now < run.next_look() {
                continue;
            }
            let workers = self.ring.workers(run.timeouts.stuck_after);
            if run.is_late(now) {
                self.give_up(run, &workers);
                let left = self.left(run);
                left.into_iter().for_each(|pid| run.tally.skip(pid, Fate::NotAsked));
                return Ok(());
            }
            self.look_after(run, now, &workers);
            if run.is_stuck(now) {
                self.give_up(run, &workers);
                // Who still waits finds no slot or no worker: somebody else has to go on.
                let is_busy = self.slots.iter().any(|slot| slot.state == SlotState::Busy);
                let is_all = !is_busy && run.waiting.as_slice().is_empty();
                return if is_all { Ok(()) } else { Err(Errno::MFILE) };
            }
        }
    }

    /// Begins processes until as many as wanted are in flight.
    fn fill(&mut self, run: &mut Run<'_>) {
        let now = self.ring.now();
        if run.is_late(now) {
            return;
        }
        // The kernel starts a worker only for a request that comes while all others are at work,
        // so a first burst would be left to a single one: bursts stay short until all are started.
        // One that is held has taken a worker, so two more may come: else stuck processes that
        // stand first hold up all others.
        let mut burst = 2 * (self.workers + run.held) + run.finished;
        if run.started < self.workers && run.moving() >= run.started {
            run.started += 1;
            burst = burst.max(run.moving() + 1);
        }
        let is_short = run.started < self.workers;
        if !is_short && !std::mem::replace(&mut run.has_all, true) {
            self.ring.all_started();
        }
        let depth = if is_short { run.depth.min(burst) } else { run.depth };
        while run.moving() < depth {
            let Some(index) = self.free_slot() else { return };
            let Some(pid) = run.waiting.next() else {
                self.free.push(index);
                return;
            };
            let slot = &mut self.slots[index];
            slot.begin(*pid, run.plan, now);
            run.in_flight += 1;
            run.alive = now;
            slot.advance(index, run.plan, &self.buffers, &mut self.ring);
        }
    }

    /// How many completions to wait for. One at a time wakes this thread for every file; waiting
    /// for all would let the workers run dry. At first each wait is followed by requests that start
    /// one more worker.
    fn batch(&self, run: &Run<'_>) -> usize {
        if run.started < self.workers { 1 } else { (run.moving() / 4).max(1) }
    }

    fn free_slot(&mut self) -> Option<usize> {
        if self.free.is_empty() && self.slots.len() < self.ring.slots_max() {
            self.slots.push(Slot::new());
            self.free.push(self.slots.len() - 1);
        }
        self.free.pop()
    }

    fn take(&mut self, done: Completion, run: &mut Run<'_>) -> Result<(), Errno> {
        let index = done.slot;
        let Some(slot) = self.slots.get_mut(index) else { return Ok(()) };
        if slot.state != SlotState::Busy {
            // Too late: it was given up and counted. With all it was lent it is like any other.
            if slot.state == SlotState::Abandoned && slot.take_back(done) {
                slot.state = SlotState::Free;
                self.free.push(index);
            }
            return Ok(());
        }
        slot.take(done, run.plan, &mut run.tally.io, &mut self.ring)?;
        if slot.is_idle() && !slot.advance(index, run.plan, &self.buffers, &mut self.ring) {
            run.tally.record(&slot.probe);
            run.finished += 1;
            slot.state = SlotState::Free;
            run.in_flight -= 1;
            self.free.push(index);
        }
        Ok(())
    }

    /// BeforeAfter whether anything still moves, gives up who is stuck, and lets more workers run when
    /// some sleep.
    fn look_after(&mut self, run: &mut Run<'_>, now: Duration, states: &WorkerStates) {
        if states.running > 0 {
            run.alive = now;
        }
        // None has work to wait for while requests are in flight and nothing moves.
        let is_stalled = now.saturating_sub(run.alive) >= HELD_AFTER;
        let blocked = states.blocked + if is_stalled { states.idle } else { 0 };
        // Most of the old ones may only wait for a worker: a blocked worker excuses one of them,
        // unless it is one that was left behind before.
        let abandoned = self.slots.iter().filter(|slot| slot.state == SlotState::Abandoned).count();
        run.held = self.older(now, HELD_AFTER).min(blocked.saturating_sub(abandoned));
        self.give_up_stuck(run, states.stuck.saturating_sub(abandoned));
        let limit = run.pace.look(now, states, blocked, [run.finished, run.in_flight]);
        self.ring.set_worker_limit(limit);
        let Run { finished, listed, held, .. } = *run;
        (run.observer)(Progress { finished, listed, held });
    }

    /// How many processes are under way for so long.
    fn older(&self, now: Duration, age: Duration) -> usize {
        let busy = self.slots.iter().filter(|slot| slot.state == SlotState::Busy);
        busy.filter(|slot| now.saturating_sub(slot.since) >= age).count()
    }

    /// Gives up processes that are stuck while others go on. Which worker has which process, the
    /// kernel does not tell. But one that has slept for so long has a process that was begun
    /// before, and no two have the same one, for a slot has one request at work at a time: a chain,
    /// or a step. So when they are as many as such processes, each of these is stuck.
    fn give_up_stuck(&mut self, run: &mut Run<'_>, sleepers: usize) {
        // Later than the look at the workers, so that no process of a sleeper is left out.
        let (now, timeouts) = (self.ring.now(), run.timeouts.stuck_after);
        let old = self.older(now, timeouts);
        if old == 0 || sleepers < old {
            return;
        }
        let busy = self.slots.iter_mut().filter(|slot| slot.state == SlotState::Busy);
        for slot in busy.filter(|slot| now.saturating_sub(slot.since) >= timeouts) {
            slot.abandon(&mut run.tally);
        }
        run.in_flight -= old;
        run.finished += old;
        run.held = run.held.saturating_sub(old);
    }

    /// Gives up those that a worker is at. What else is in flight only waits for one: its turn has
    /// not come any more than that of those who were never begun.
    fn give_up(&mut self, run: &mut Run<'_>, workers: &WorkerStates) {
        for index in self.ring.at_work(workers) {
            let slot = &mut self.slots[index];
            if slot.state == SlotState::Busy {
                slot.abandon(&mut run.tally);
            }
        }
    }

    /// Those that were neither measured nor given up. None is begun any more, and nobody waits for
    /// what is in flight.
    fn left(&mut self, run: &mut Run<'_>) -> Vec<Pid> {
        let mut left = Vec::new();
        for slot in self.slots.iter_mut().filter(|slot| slot.state == SlotState::Busy) {
            slot.state = SlotState::Abandoned;
            left.push(slot.probe.pid());
        }
        left.extend(run.waiting.by_ref().copied());
        left
    }
}
