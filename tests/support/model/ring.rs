//! The trait `Ring` over the model: time advances only here.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use psm_uring::process::PageCounts;
use psm_uring::sys::buffer::Buffer;
use psm_uring::sys::ring::pace::Pace;
use psm_uring::sys::ring::{Completion, Fetcher, Half, ReadFrom, Request, RingStats, WorkerStates};
use psm_uring::units::Errno;

use super::super::tables::Frames;
use super::Micros;
use super::slots::Model;

/// The limit of consecutive calls without progress: more than the longest timeouts need.
const IDLE_ENTERS_MAX: u64 = 20_000;

/// The engine's handle of the model, the test holds the other one; and the length of its sleeps.
pub struct ModelRing(pub Rc<RefCell<Model>>, pub Pace, pub Frames);

impl Fetcher for ModelRing {
    fn fetch(&mut self, slot: usize, request: Request) {
        self.0.borrow_mut().fetch(slot, request);
    }

    fn read_more(&mut self, slot: usize, half: Half, from: ReadFrom, buffer: Buffer) {
        self.0.borrow_mut().read_more(slot, half, from, buffer);
    }

    fn submit_and_wait(&mut self, at_least: usize, timeout: Duration) -> Result<(), Errno> {
        let model = &mut *self.0.borrow_mut();
        submit(model)?;
        let mut time = micros(timeout);
        if model.trouble.early_returns > 0 && model.dice.percent(20) {
            model.trouble.early_returns -= 1;
            time = model.dice.below(time + 1);
        }
        let (now, before) = (model.world.now, model.stats);
        let owed = model.owed();
        let wanted = if owed == 0 { usize::MAX } else { at_least.min(owed) };
        let can_sleep = model.can_sleep && owed > 0 && wanted > 1;
        match self.1.pause().filter(|_| can_sleep) {
            Some(pause) => model.wait(usize::MAX, now + time.min(micros(pause))),
            None => model.wait(wanted, now + time),
        }
        model.drain();
        self.1.learn(model.stats.completed - before.completed, before.in_flight());
        Ok(())
    }

    fn reap(&mut self) -> Option<Completion> {
        self.0.borrow_mut().reap()
    }

    fn slots_max(&self) -> usize {
        self.0.borrow().slots_max()
    }

    fn places_max(&self) -> usize {
        self.0.borrow().places.len()
    }

    fn close(&mut self, place: usize) {
        self.0.borrow_mut().close(place);
    }

    fn now(&self) -> Duration {
        Duration::from_micros(self.0.borrow().world.now)
    }

    fn workers(&mut self, stuck_after: Duration) -> WorkerStates {
        let timeouts = micros(stuck_after);
        let mut model = self.0.borrow_mut();
        let (running, blocked) = (model.pool.running(), model.pool.blocked());
        let stuck = model.look(timeouts);
        WorkerStates { running, blocked, stuck, ..WorkerStates::default() }
    }

    fn executing(&self, _: &WorkerStates) -> Vec<usize> {
        self.0.borrow().pool.at_work()
    }

    fn set_worker_limit(&mut self, workers: usize) {
        self.0.borrow_mut().pool.wish_limit(workers);
    }

    fn wake_workers(&mut self, count: usize) {
        self.0.borrow_mut().pool.nudge(count);
    }

    fn set_urgent(&mut self, is_urgent: bool) {
        self.0.borrow_mut().is_urgent = is_urgent;
    }

    fn pages(&mut self) -> &mut dyn PageCounts {
        &mut self.2
    }

    fn stats(&self) -> RingStats {
        self.0.borrow().stats
    }
}

/// Hands queued requests to the workers.
fn submit(model: &mut Model) -> Result<(), Errno> {
    let enter = model.stats.enters;
    model.stats.enters += 1;
    // A call takes time even without a wait.
    model.world.now += 1 + model.dice.below(3);
    if let Some((_, errno)) = model.trouble.fails_at.filter(|(at, _)| enter >= *at) {
        model.world.faults.injected += 1;
        return Err(errno);
    }
    let idle = model.idle_enters();
    assert!(idle < IDLE_ENTERS_MAX, "{idle} calls, and nothing moves: it waits for ever");
    model.pool.submit();
    Ok(())
}

fn micros(time: Duration) -> Micros {
    Micros::try_from(time.as_micros()).expect("a time of this world")
}
