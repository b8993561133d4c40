//! Workers, as in io-wq: a limited number of requests makes progress at once, a blocked one keeps
//! its worker, and a higher limit takes effect only with the next submission.

use std::collections::VecDeque;

use psm_uring::sys::ring::Half;

use super::dice::Dice;
use super::fault::Op;
use super::{Micros, NEVER};

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    pub slot: usize,
    pub half: Half,
    pub op: Op,
    /// The worker carries out all later steps too.
    pub is_chain: bool,
}

/// A worker with its request.
#[derive(Clone, Copy, Debug)]
pub struct Active {
    pub job: Job,
    pub since: Micros,
    /// The time at which it is done.
    pub until: Micros,
    pub is_blocked: bool,
}

/// All workers, and the requests that wait for one.
pub struct Pool {
    /// Requests in the submission queue.
    queued: Vec<Job>,
    /// Requests that wait for a worker.
    waiting: VecDeque<Job>,
    pub active: Vec<Active>,
    limit: usize,
    wished_limit: usize,
    /// A submission starts a worker only when all others are busy or asleep, and at most one;
    /// otherwise the maximum number of workers runs.
    is_lazy: bool,
    width: usize,
    nudges: usize,
    /// Requests get their worker in any order.
    is_unfair: bool,
}

impl Pool {
    pub fn new(limit: usize, is_lazy: bool, is_unfair: bool) -> Pool {
        Pool {
            queued: Vec::new(),
            waiting: VecDeque::new(),
            active: Vec::new(),
            limit,
            wished_limit: limit,
            is_lazy,
            width: 1,
            nudges: 0,
            is_unfair,
        }
    }

    pub fn queue(&mut self, job: Job) {
        self.queued.push(job);
    }

    pub fn wish_limit(&mut self, limit: usize) {
        self.wished_limit = limit;
    }

    /// Queues requests that do nothing.
    pub fn nudge(&mut self, count: usize) {
        self.nudges += count;
    }

    pub fn submit(&mut self) {
        let is_busy = self.active.len() >= self.width;
        let asked = usize::from(!self.queued.is_empty()) + std::mem::take(&mut self.nudges);
        if is_busy {
            self.width = (self.width + asked).min(self.wished_limit);
        }
        self.limit = self.wished_limit;
        self.waiting.extend(self.queued.drain(..));
    }

    /// A request that gets a worker now.
    pub fn next_job(&mut self, dice: &mut Dice) -> Option<Job> {
        let is_room = self.active.len() < self.limit;
        let is_width = !self.is_lazy || self.running() < self.width;
        if self.waiting.is_empty() || !is_room || !is_width {
            return None;
        }
        let index = if self.is_unfair { dice.index(self.waiting.len()) } else { 0 };
        self.waiting.remove(index)
    }

    /// The first worker to finish, if it finishes by then.
    pub fn next_done(&mut self, by: Micros) -> Option<Active> {
        let first = (0..self.active.len()).min_by_key(|index| self.active[*index].until)?;
        let is_due = self.active[first].until <= by && self.active[first].until != NEVER;
        is_due.then(|| self.active.swap_remove(first))
    }

    /// Whether a slot has pending work.
    pub fn has(&self, slot: usize) -> bool {
        let jobs = self.queued.iter().chain(&self.waiting);
        jobs.chain(self.active.iter().map(|active| &active.job)).any(|job| job.slot == slot)
    }

    /// Slots with a request on a worker.
    pub fn at_work(&self) -> Vec<usize> {
        self.active.iter().map(|active| active.job.slot).collect()
    }

    pub fn running(&self) -> usize {
        self.active.len() - self.blocked()
    }

    pub fn blocked(&self) -> usize {
        self.active.iter().filter(|active| active.is_blocked).count()
    }

    /// The slots with workers that are blocked for this long.
    pub fn sleepers(&self, now: Micros, timeouts: Micros) -> Vec<usize> {
        let is_asleep = |active: &&Active| active.is_blocked && now - active.since >= timeouts;
        self.active.iter().filter(is_asleep).map(|active| active.job.slot).collect()
    }

    /// Workers that are blocked for ever finish at some later time.
    pub fn release(&mut self, mut moment: impl FnMut() -> Micros) {
        for active in self.active.iter_mut().filter(|active| active.until == NEVER) {
            active.until = moment();
        }
    }
}
