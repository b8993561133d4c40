//! How many workers a ring needs: as many as there are CPUs while they compute, and more while they
//! sleep, each in another process.
//!
//! Workers sleep in two ways. In a lock that nobody releases they are *blocked* look after look. In
//! reads of pages from swap they sleep too briefly to be caught at it; but each such read is one
//! more time that a worker went to sleep, and CPUs that nobody uses.

use std::time::Duration;

use crate::sys::ring::WorkerStates;

/// How often workers are looked after.
const TICK: Duration = Duration::from_millis(5);
/// The same at first, and while their number grows.
const TICK_GROWING: Duration = Duration::from_millis(1);
/// Looking at a worker takes a few microseconds; with many, this much longer between looks.
const TICK_PER_WORKER: Duration = Duration::from_micros(100);
/// Workers added for each that is blocked: the next requests may block as well.
const ADDED_PER_BLOCKED: usize = 4;
/// The most workers for reads that sleep briefly. More gain nothing (2,000 titles in swap: 38 ms
/// with 64 threads, 33 with 256) and press on a disk that has enough to do.
const SLEEPERS_MAX: usize = 64;
/// CPUs are in use when workers ran for so much of the time.
const IN_USE: f64 = 0.8;

/// The number of workers from look to look.
pub(super) struct WorkerScaling {
    /// Workers while nobody sleeps: one for each CPU.
    workers: usize,
    /// Workers that brief sleep has called for.
    sleepers: usize,
    /// Workers that the last look allowed.
    limit: usize,
    was_blocked: bool,
    last: Sample,
    next_at: Duration,
}

/// What was seen, as sums since the beginning.
#[derive(Clone, Copy)]
struct Sample {
    at: Duration,
    sleeps: u64,
    cpu: Duration,
    finished: usize,
}

impl WorkerScaling {
    /// Begins a survey.
    pub(super) fn new(workers: usize, now: Duration, states: &WorkerStates) -> WorkerScaling {
        let last = Sample { at: now, sleeps: states.sleeps, cpu: states.cpu, finished: 0 };
        let next_at = now + TICK_GROWING;
        WorkerScaling {
            workers,
            sleepers: workers,
            limit: workers,
            was_blocked: false,
            last,
            next_at,
        }
    }

    /// When to look again.
    pub(super) fn next_look(&self) -> Duration {
        self.next_at
    }

    /// How many workers may be at work from now on, with so many of them blocked, so many
    /// processes finished so far and so many in flight.
    pub(super) fn look(
        &mut self,
        now: Duration,
        states: &WorkerStates,
        blocked: usize,
        [finished, in_flight]: [usize; 2],
    ) -> usize {
        let look = Sample { at: now, sleeps: states.sleeps, cpu: states.cpu, finished };
        if self.is_sleepy(&look, in_flight) {
            self.sleepers = (2 * self.sleepers).min(SLEEPERS_MAX).max(self.workers);
        }
        // SnapshotRow once, a worker may be in a lock of the ring itself, which is over in a moment.
        let is_doubtful = blocked > 0 && !self.was_blocked;
        let lasting = if is_doubtful { 0 } else { blocked };
        let limit = self.sleepers.max(self.workers + ADDED_PER_BLOCKED * lasting);
        let tick = if is_doubtful || limit > self.limit { TICK_GROWING } else { TICK };
        let seen = u32::try_from(states.running + states.blocked).unwrap_or(u32::MAX);
        self.next_at = now + tick + TICK_PER_WORKER.saturating_mul(seen);
        self.was_blocked = blocked > 0;
        self.last = look;
        self.limit = limit;
        limit
    }

    /// Whether reads sleep, others wait for a worker, and there is a CPU for one.
    fn is_sleepy(&self, look: &Sample, in_flight: usize) -> bool {
        let sleeps = look.sleeps.saturating_sub(self.last.sleeps);
        let finished = look.finished.saturating_sub(self.last.finished) as u64;
        let cpu = look.cpu.saturating_sub(self.last.cpu).as_secs_f64();
        let all = look.at.saturating_sub(self.last.at).as_secs_f64() * self.workers as f64;
        in_flight > self.sleepers && sleeps > 0 && 2 * sleeps >= finished && cpu < IN_USE * all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// What four looks say, one a millisecond, when in each so many processes finish, workers go to
    /// sleep so often, and run for so long.
    fn looks(finished: usize, sleeps: u64, cpu: Duration, blocked: usize) -> [usize; 4] {
        let mut states = WorkerStates { running: 2, blocked, ..WorkerStates::default() };
        let mut pace = WorkerScaling::new(2, Duration::ZERO, &states);
        let mut done = 0;
        [1, 2, 3, 4].map(|look| {
            states.sleeps += sleeps;
            states.cpu += cpu;
            done += finished;
            pace.look(MS * look, &states, blocked, [done, 100])
        })
    }

    #[test]
    fn workers_that_compute_are_enough() {
        assert_eq!(looks(50, 3, MS * 2, 0), [2; 4]);
    }

    #[test]
    fn reads_that_sleep_briefly_get_more() {
        assert_eq!(looks(10, 12, MS, 0), [4, 8, 16, 32]);
    }

    #[test]
    fn no_more_when_cpus_are_in_use() {
        assert_eq!(looks(10, 12, MS * 2, 0), [2; 4]);
    }

    #[test]
    fn blocked_workers_are_replaced_when_it_lasts() {
        assert_eq!(looks(0, 0, MS, 1), [2, 6, 6, 6]);
    }
}
