//! The engine `uring`: one thread, many processes in flight.
//!
//! ```text
//!   pids ─► slot: probe, buffers ── fetch ─► ring ─► workers of the kernel
//!              ▲                                        │
//!              └── feed, then the next fetch ◄── reap ◄─┘      done ─► tally
//! ```
//!
//! A slot is a place for one process. Its buffers move into the ring with a fetch and return with
//! the completion.
//!
//! The thread itself opens and reads only files that never block (`ProcFile::never_blocks`). All
//! others can block forever.
//!
//! - `slot`    a place for one process
//! - `scaling` the number of workers
#![forbid(unsafe_code)]

mod scaling;
mod slot;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use self::scaling::WorkerScaling;
use self::slot::{Buffers, PlacePair, Slot, SlotState};
use super::series::SurveySeries;
use super::{Engine, EngineFailure, Progress, Tally, Timeouts, Tuning};
use crate::process::{Fate, PAUSE, Plan, WindowLength};
use crate::sys::memory;
use crate::sys::proc_root::ProcRoot;
use crate::sys::ring::kernel::{KernelRing, RingSetup, SETUP_BYTES};
use crate::sys::ring::{Completion, Fetcher, WorkerStates};
use crate::sys::this_process;
use crate::units::{Errno, Pid};

/// A process that takes this long may wait for a lock: another one is started in its place.
const HELD_AFTER: Duration = Duration::from_millis(50);
/// The time for which completions are reaped once a check is due. All of them belong in the report,
/// even past the deadline, but with a slow filter they could take seconds.
const REAP_MAX: Duration = Duration::from_millis(10);

/// The engine over a ring.
pub struct Uring<F: Fetcher = KernelRing> {
    ring: F,
    slots: Vec<Slot>,
    /// Slots with nothing in flight. The slot of a stuck process returns when its request
    /// completes.
    free: Vec<usize>,
    /// The files that stay open, in places of the ring, and the places without any.
    series: Option<SurveySeries<PlacePair>>,
    free_places: Vec<PlacePair>,
    window_length: WindowLength,
    tuning: Tuning,
    buffers: Buffers,
}

impl Uring {
    /// Sets up a ring.
    ///
    /// # Errors
    /// Those of [`KernelRing::new`]; `ENOMEM` also if the limit of addresses is too low.
    pub fn open(root: &ProcRoot, tuning: Tuning) -> Result<Uring, Errno> {
        let Tuning { ring_workers, depth, features, keeps_files, .. } = tuning;
        let depth = depth.min(this_process::raise_file_limit());
        if !memory::has_room(SETUP_BYTES, 0) {
            return Err(Errno::NOMEM);
        }
        let setup = RingSetup { depth, workers: ring_workers, allowed: features, keeps_files };
        let ring = KernelRing::new(root.clone(), setup)?;
        Ok(Uring::new(ring, Tuning { depth, ..tuning }))
    }

    /// Whether the number of workers can be raised when some are stuck. The kernel's default, four
    /// per CPU, may all be.
    pub fn can_add_workers(&self) -> bool {
        self.ring.features().worker_limit
    }
}

impl<F: Fetcher> Uring<F> {
    /// The engine over any ring.
    pub fn new(ring: F, tuning: Tuning) -> Uring<F> {
        let depth = tuning.depth.clamp(1, ring.slots_max());
        let (tuning, buffers) = (Tuning { depth, ..tuning }, Buffers::new(depth));
        let series = tuning.keeps_files.then(SurveySeries::default);
        let free_places = (0..ring.places_max() / 2).rev().map(PlacePair).collect();
        let (slots, free, window_length) = (Vec::new(), Vec::new(), WindowLength::default());
        Uring { ring, slots, free, series, free_places, window_length, tuning, buffers }
    }

    fn close(&mut self, pair: PlacePair) {
        pair.places().into_iter().for_each(|place| self.ring.close(place));
        self.free_places.push(pair);
    }

    /// Frees a slot with nothing in flight, and closes the files that do not stay open.
    fn release(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        slot.state = SlotState::Free;
        slot.known = None;
        let places = slot.places.take();
        self.free.push(index);
        places.into_iter().for_each(|pair| self.close(pair));
    }

    /// The pairs of places that are free, have files, or belong to a slot: all of the ring.
    fn place_pairs(&self) -> usize {
        let in_series = self.series.as_ref().map_or(0, SurveySeries::open_pairs);
        let in_slots = self.slots.iter().filter(|slot| slot.places.is_some()).count();
        self.free_places.len() + in_series + in_slots
    }

    /// The number of slots that this depth needs besides the free ones.
    fn slots_to_add(&self, depth: usize) -> usize {
        depth.saturating_sub(self.free.len())
    }

    /// The number of processes in flight, held ones excluded, that leaves memory for the rest of
    /// the run. `None` if some workers would be idle.
    fn affordable_depth(&self, processes: usize, plan: &Plan) -> Option<usize> {
        let is_affordable = |depth: &usize| {
            let bytes = self.slots_to_add(*depth) * self.buffers.slot_bytes(plan);
            bytes == 0 || memory::has_room(bytes, processes)
        };
        let wanted = self.tuning.depth.min(processes);
        let least = wanted.min(self.tuning.workers.max(1));
        let depths = std::iter::successors(Some(wanted), |depth| Some(depth / 2));
        depths.take_while(|depth| *depth >= least).find(is_affordable)
    }
}

/// The files that stay open, if a survey by this plan is one of the series.
fn series_of<'a>(
    series: &'a mut Option<SurveySeries<PlacePair>>,
    plan: &Plan,
) -> Option<&'a mut SurveySeries<PlacePair>> {
    series.as_mut().filter(|_| plan.surveys_per_name.is_some())
}

impl<F: Fetcher> Engine for Uring<F> {
    fn survey(
        &mut self,
        pids: &[Pid],
        plan: &Arc<Plan>,
        timeouts: &Timeouts,
        observer: &mut dyn FnMut(Progress),
        tallies: &mut Vec<Tally>,
    ) -> Result<(), EngineFailure> {
        let Some(depth) = self.affordable_depth(pids.len(), plan) else {
            return Err(EngineFailure { errno: Errno::NOMEM, unfinished: pids.to_vec() });
        };
        let added = self.slots_to_add(depth);
        if added > 0 {
            self.buffers.reserve(added, plan);
        }
        let closed = series_of(&mut self.series, plan).map(|series| series.begin(pids));
        closed.into_iter().flatten().for_each(|pair| self.close(pair));
        let before = self.ring.stats();
        let now = self.ring.now();
        // Before the first request there is nothing to look at.
        let states = match before.operations {
            0 => WorkerStates::default(),
            _ => self.ring.workers(timeouts.stuck_after),
        };
        let mut survey = SurveyState {
            tally: Tally::with_capacity(pids.len(), plan),
            queue: pids.iter(),
            depth,
            slots_planned: self.slots.len() + added,
            plan,
            timeouts: *timeouts,
            observer,
            listed: pids.len(),
            began: now,
            last_active: now,
            scaling: WorkerScaling::new(&self.tuning, now, &states),
            in_flight: 0,
            held: 0,
            finished: 0,
            completed: before.completed,
            paused: VecDeque::new(),
            alone_since: None,
        };
        let outcome = self.run(&mut survey);
        self.ring.pages().forget();
        self.ring.set_urgent(false);
        let after = self.ring.stats();
        survey.tally.io.operations = after.operations - before.operations;
        survey.tally.io.enters = after.enters - before.enters;
        let outcome = outcome.map_err(|errno| {
            let unfinished = self.take_unfinished(&mut survey);
            EngineFailure { errno, unfinished }
        });
        tallies.push(survey.tally);
        debug_assert_eq!(self.place_pairs(), self.ring.places_max() / 2, "no place is lost");
        outcome
    }

    fn forget(&mut self, is_forgotten: &dyn Fn(Pid) -> bool) {
        let closed = self.series.as_mut().map(|series| series.forget(is_forgotten));
        closed.into_iter().flatten().for_each(|pair| self.close(pair));
    }
}

/// The state of one survey.
struct SurveyState<'a> {
    tally: Tally,
    /// Processes that are not started.
    queue: std::slice::Iter<'a, Pid>,
    /// Processes in flight at once, held ones excluded.
    depth: usize,
    /// Slots whose memory is reserved. Further ones replace slots of held processes.
    slots_planned: usize,
    plan: &'a Arc<Plan>,
    timeouts: Timeouts,
    observer: &'a mut dyn FnMut(Progress),
    listed: usize,
    began: Duration,
    /// The time at which the last request completed or a worker was last seen running.
    last_active: Duration,
    scaling: WorkerScaling,
    /// Busy slots, and the number of those that are held.
    in_flight: usize,
    held: usize,
    finished: usize,
    /// Requests of the ring that had completed at the last reap.
    completed: u64,
    /// Slots whose next window may be read at this time, in order.
    paused: VecDeque<(Duration, usize)>,
    /// The time at which the request in flight, a window, was queued, if there is no other.
    alone_since: Option<Duration>,
}

impl SurveyState<'_> {
    /// Slots that should complete soon. `held` is as old as the last check: some of those slots may
    /// have completed since.
    fn moving(&self) -> usize {
        self.in_flight.saturating_sub(self.held)
    }

    fn next_check(&self) -> Duration {
        let next = self.scaling.next_check();
        let deadline = self.timeouts.deadline.map(|time| self.began.saturating_add(time));
        deadline.map_or(next, |deadline| deadline.min(next))
    }

    /// The time of the next check or window.
    fn next_turn(&self) -> Duration {
        let check = self.next_check();
        self.paused.front().map_or(check, |(due, _)| check.min(*due))
    }

    fn is_late(&self, now: Duration) -> bool {
        self.timeouts.deadline.is_some_and(|deadline| now - self.began >= deadline)
    }

    fn is_stuck(&self, now: Duration) -> bool {
        now.saturating_sub(self.last_active) >= self.timeouts.stuck_after
    }
}

impl<F: Fetcher> Uring<F> {
    fn run(&mut self, survey: &mut SurveyState<'_>) -> Result<(), Errno> {
        loop {
            self.submit(survey)?;
            self.read_next_windows(survey);
            // Requests of earlier surveys may hold all slots: then wait until some complete.
            if survey.in_flight == 0 && survey.queue.as_slice().is_empty() {
                return Ok(());
            }
            let timeout = survey.next_turn().saturating_sub(self.ring.now());
            self.ring.submit_and_wait(self.batch(survey), timeout)?;
            let now = self.reap(survey)?;
            if now < survey.next_check() {
                continue;
            }
            let workers = self.ring.workers(survey.timeouts.stuck_after);
            // The kernel cancels most requests that find no worker, but not all.
            if workers.is_none && now.saturating_sub(survey.last_active) >= HELD_AFTER {
                return Err(Errno::CANCELED);
            }
            if survey.is_late(now) {
                self.time_out_executing(survey, &workers);
                self.time_out_paused(survey);
                let unfinished = self.take_unfinished(survey);
                unfinished.into_iter().for_each(|pid| survey.tally.count(pid, Fate::NotAsked));
                return Ok(());
            }
            self.check(survey, now, &workers);
            if survey.is_stuck(now) {
                self.time_out_executing(survey, &workers);
                // The rest finds no slot or no worker: another engine has to measure it.
                let is_busy = self.slots.iter().any(|slot| slot.state == SlotState::Busy);
                let is_all = !is_busy && survey.queue.as_slice().is_empty();
                return if is_all { Ok(()) } else { Err(Errno::MFILE) };
            }
        }
    }

    /// Starts processes until enough are in flight.
    fn submit(&mut self, survey: &mut SurveyState<'_>) -> Result<(), Errno> {
        let mut now = self.ring.now();
        while survey.moving() < survey.depth && !survey.is_late(now) {
            let Some(pid) = survey.queue.as_slice().first() else { break };
            let Some(index) = self.free_slot(survey) else { break };
            survey.queue.next();
            let slot = &mut self.slots[index];
            let known =
                series_of(&mut self.series, survey.plan).and_then(|series| series.take(*pid));
            let files = known.as_ref().map(|known| known.files);
            let places = files.and_then(|open| open.or_else(|| self.free_places.pop()));
            slot.start(*pid, survey.plan, now, known, places);
            survey.in_flight += 1;
            survey.last_active = now;
            slot.fetch_next(index, &self.buffers, self.window_length, &mut self.ring);
            survey.alone_since = None;
            // A file that never blocks has completed; workers wait for the request behind it.
            now = self.reap(survey)?;
        }
        Ok(())
    }

    /// Reads the windows whose pause is over.
    fn read_next_windows(&mut self, survey: &mut SurveyState<'_>) {
        while let Some((due, index)) = survey.paused.front().copied() {
            if due > self.ring.now() {
                return;
            }
            survey.paused.pop_front();
            let is_alone = survey.in_flight - survey.paused.len() == 1;
            survey.alone_since = is_alone.then(|| self.ring.now());
            self.slots[index].read_next_window(index, self.window_length, &mut self.ring);
        }
    }

    /// The number of completions to wait for. One at a time would wake this thread for every file,
    /// all at once would leave the workers idle.
    fn batch(&self, survey: &SurveyState<'_>) -> usize {
        (survey.moving().saturating_sub(survey.paused.len()) / 4).max(1)
    }

    /// A slot with nothing in flight. One beyond the planned ones is made only if memory is left.
    fn free_slot(&mut self, survey: &SurveyState<'_>) -> Option<usize> {
        let index = self.slots.len();
        if self.free.is_empty() && index < self.ring.slots_max() {
            let bytes = self.buffers.slot_bytes(survey.plan);
            if index < survey.slots_planned || memory::has_room(bytes, survey.listed) {
                self.slots.push(Slot::new());
                self.free.push(index);
            }
        }
        self.free.pop()
    }

    /// Handles the completions that have arrived. Returns the time.
    fn reap(&mut self, survey: &mut SurveyState<'_>) -> Result<Duration, Errno> {
        let mut now = self.ring.now();
        // Where processes are read in steps, most requests complete no file.
        let completed = self.ring.stats().completed;
        if std::mem::replace(&mut survey.completed, completed) != completed {
            survey.last_active = now;
        }
        let until = survey.next_check().max(now) + REAP_MAX;
        while let Some(done) = self.ring.reap() {
            survey.last_active = now;
            self.complete(done, now, survey)?;
            now = self.ring.now();
            if now >= until {
                break;
            }
        }
        Ok(now)
    }

    fn complete(
        &mut self,
        done: Completion,
        now: Duration,
        survey: &mut SurveyState<'_>,
    ) -> Result<(), Errno> {
        let index = done.slot;
        let Some(slot) = self.slots.get_mut(index) else { return Ok(()) };
        if slot.state != SlotState::Busy {
            // The process has timed out. With all its buffers back, the slot is free again.
            if slot.state == SlotState::Abandoned && slot.reclaim(done) {
                self.release(index);
            }
            return Ok(());
        }
        if let Some(since) = survey.alone_since.take().filter(|_| done.result.is_ok()) {
            self.window_length.learn(done.buffer.bytes().len(), now.saturating_sub(since));
        }
        slot.complete(done, now, &mut survey.tally.io, &mut self.ring)?;
        if slot.is_paused() {
            self.ring.set_urgent(true);
            survey.paused.push_back((self.ring.now() + PAUSE, index));
            return Ok(());
        }
        let length = self.window_length;
        if slot.is_idle() && !slot.fetch_next(index, &self.buffers, length, &mut self.ring) {
            survey.tally.record(&slot.probe);
            survey.finished += 1;
            survey.in_flight -= 1;
            self.keep(index, survey.plan);
            self.release(index);
        }
        Ok(())
    }

    /// Keeps the files of a finished process open in their places.
    fn keep(&mut self, index: usize, plan: &Plan) {
        let Slot { probe, known, places, .. } = &mut self.slots[index];
        if let Some(series) = series_of(&mut self.series, plan).filter(|_| probe.can_resume()) {
            *places = series.put(probe, known.take(), places.take());
        }
    }

    /// Checks the workers: times out stuck processes, and raises the number of workers if some
    /// sleep.
    fn check(&mut self, survey: &mut SurveyState<'_>, now: Duration, states: &WorkerStates) {
        if states.running > 0 {
            survey.last_active = now;
        }
        // With requests in flight and no completion, an idle worker is not waiting for work.
        let is_stalled = now.saturating_sub(survey.last_active) >= HELD_AFTER;
        let blocked = states.blocked + if is_stalled { states.idle } else { 0 };
        // Most old processes may only wait for a worker. Each blocked worker accounts for one of
        // them, unless it still holds an abandoned one.
        let abandoned = self.slots.iter().filter(|slot| slot.state == SlotState::Abandoned).count();
        survey.held = self.older(now, HELD_AFTER).min(blocked.saturating_sub(abandoned));
        self.time_out_stuck(survey, states.stuck.saturating_sub(abandoned));
        let counts = [survey.finished, survey.in_flight];
        let limit = survey.scaling.update([now, self.ring.now()], states, blocked, counts);
        self.ring.set_worker_limit(limit);
        let of_ring = states.running + states.blocked - states.of_keeper;
        let busy = of_ring.saturating_sub(abandoned);
        self.ring.wake_workers(limit.min(survey.in_flight).saturating_sub(busy));
        let SurveyState { finished, listed, held, .. } = *survey;
        (survey.observer)(Progress { finished, listed, held });
    }

    /// The number of processes that have been in flight for this long.
    fn older(&self, now: Duration, age: Duration) -> usize {
        self.slots.iter().filter(|slot| slot.is_older(now, age)).count()
    }

    /// Times out stuck processes while others make progress. The kernel does not say which worker
    /// has which process. But a worker that has slept for `stuck_after` has a process that was
    /// started before that, and no two sleeping workers have the same process: of the requests of
    /// a slot at most one can block. So if there are as many such workers as such processes,
    /// each of these processes is stuck.
    fn time_out_stuck(&mut self, survey: &mut SurveyState<'_>, sleepers: usize) {
        // Read after the states of the workers, so that every sleeper's process is counted.
        let (now, stuck_after) = (self.ring.now(), survey.timeouts.stuck_after);
        let old = self.older(now, stuck_after);
        if old == 0 || sleepers < old {
            return;
        }
        for slot in self.slots.iter_mut().filter(|slot| slot.is_older(now, stuck_after)) {
            slot.abandon(&mut survey.tally);
        }
        survey.in_flight -= old;
        survey.finished += old;
        survey.held = survey.held.saturating_sub(old);
    }

    /// Times out the processes that a worker has taken up. All others in flight are still queued in
    /// the kernel. They count as not asked, like processes that were never submitted.
    fn time_out_executing(&mut self, survey: &mut SurveyState<'_>, workers: &WorkerStates) {
        for index in self.ring.executing(workers) {
            let slot = &mut self.slots[index];
            if slot.state == SlotState::Busy && !slot.is_paused() {
                slot.abandon(&mut survey.tally);
            }
        }
    }

    /// Times out the processes whose walk is in a pause: no request of theirs is in flight.
    fn time_out_paused(&mut self, survey: &mut SurveyState<'_>) {
        for (_, index) in survey.paused.drain(..) {
            let slot = &mut self.slots[index];
            survey.tally.time_out(slot.probe.pid());
            slot.end_pause();
            self.release(index);
        }
    }

    /// Abandons all busy slots and empties the queue. Returns their processes.
    fn take_unfinished(&mut self, survey: &mut SurveyState<'_>) -> Vec<Pid> {
        let mut unfinished = Vec::new();
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            if slot.state != SlotState::Busy {
                continue;
            }
            unfinished.push(slot.probe.pid());
            if slot.is_paused() {
                slot.end_pause();
                self.release(index);
            } else {
                slot.state = SlotState::Abandoned;
            }
        }
        unfinished.extend(survey.queue.by_ref().copied());
        unfinished
    }
}
