//! The number of workers of a ring: one per CPU while they compute, more while they sleep, each in
//! another process. In steps, opens and reads have that many each.
//!
//! Workers sleep in two ways. In a lock that is not released they are *blocked* at every check. In
//! reads of pages from swap they sleep too briefly to be seen asleep; but every such read adds one
//! to the count of sleeps, and leaves a CPU idle.

use std::time::Duration;

use crate::engine::Tuning;
use crate::sys::ring::WorkerStates;

/// The time between two checks of the workers.
const TICK: Duration = Duration::from_millis(5);
/// The same at first, and while their number grows.
const TICK_GROWING: Duration = Duration::from_millis(1);
/// The time between two checks, in times of the last one, and its maximum. The check of hundreds of
/// workers takes tens of milliseconds where CPUs are busy, and meanwhile nothing is reaped.
const TICK_PER_CHECK: u32 = 4;
const TICK_MAX: Duration = Duration::from_millis(200);
/// Workers added for each blocked one: the next requests may block as well.
const ADDED_PER_BLOCKED: usize = 4;
/// The maximum number of workers for reads that sleep briefly. More gain nothing (2,000 titles in
/// swap: 38 ms with 64 threads, 33 with 256) and load a disk that is busy already.
const SLEEPERS_MAX: usize = 64;
/// CPUs are busy if workers ran for this part of the time.
const BUSY: f64 = 0.8;

/// The number of workers from check to check.
pub(super) struct WorkerScaling {
    /// Workers while none sleeps: one per CPU.
    workers: usize,
    /// Workers while reads sleep briefly.
    sleepers: usize,
    /// The result of the last check.
    limit: usize,
    was_blocked: bool,
    last: Counts,
    next_at: Duration,
}

/// Counters at one moment.
#[derive(Clone, Copy)]
struct Counts {
    at: Duration,
    sleeps: u64,
    cpu: Duration,
    finished: usize,
}

impl WorkerScaling {
    /// Starts a survey.
    pub(super) fn new(tuning: &Tuning, now: Duration, states: &WorkerStates) -> WorkerScaling {
        let last = Counts { at: now, sleeps: states.sleeps, cpu: states.cpu, finished: 0 };
        let (workers, sleepers) = (tuning.workers, tuning.ring_workers);
        let next_at = now + TICK_GROWING;
        WorkerScaling { workers, sleepers, limit: sleepers, was_blocked: false, last, next_at }
    }

    /// The time of the next check.
    pub(super) fn next_check(&self) -> Duration {
        self.next_at
    }

    /// The number of workers that may run from now on, by begin and end of the check, the number of
    /// workers that are blocked, of processes finished so far and of processes in flight.
    pub(super) fn update(
        &mut self,
        [began, now]: [Duration; 2],
        states: &WorkerStates,
        blocked: usize,
        [finished, in_flight]: [usize; 2],
    ) -> usize {
        let sample = Counts { at: began, sleeps: states.sleeps, cpu: states.cpu, finished };
        if self.sleeps_briefly(&sample, in_flight) {
            self.sleepers = (2 * self.sleepers).min(SLEEPERS_MAX).max(self.workers);
        }
        // A worker that is blocked at one check only may be in a short-lived lock of the ring.
        let is_doubtful = blocked > 0 && !self.was_blocked;
        let lasting = if is_doubtful { 0 } else { blocked };
        let limit = self.sleepers.max(self.workers + ADDED_PER_BLOCKED * lasting);
        let tick = if is_doubtful || limit > self.limit { TICK_GROWING } else { TICK };
        let spared = TICK_PER_CHECK * now.saturating_sub(began);
        self.next_at = now + tick.max(spared.min(TICK_MAX));
        self.was_blocked = blocked > 0;
        self.last = sample;
        self.limit = limit;
        limit
    }

    /// Whether reads sleep, other requests wait for a worker, and a CPU is idle.
    fn sleeps_briefly(&self, sample: &Counts, in_flight: usize) -> bool {
        let sleeps = sample.sleeps.saturating_sub(self.last.sleeps);
        let finished = sample.finished.saturating_sub(self.last.finished) as u64;
        let cpu = sample.cpu.saturating_sub(self.last.cpu).as_secs_f64();
        let all = sample.at.saturating_sub(self.last.at).as_secs_f64() * self.workers as f64;
        in_flight > self.sleepers && sleeps > 0 && 2 * sleeps >= finished && cpu < BUSY * all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Source;

    const MS: Duration = Duration::from_millis(1);

    fn tuning(ring_workers: usize) -> Tuning {
        Tuning { ring_workers, ..Tuning::new(Some(2), None, Source::Auto) }
    }

    #[test]
    fn long_checks_are_rare() {
        let states = WorkerStates { running: 2, ..WorkerStates::default() };
        for (took, next) in [(0, 5), (2, 10), (20, 100), (100, 300)] {
            let mut scaling = WorkerScaling::new(&tuning(2), Duration::ZERO, &states);
            scaling.update([MS, MS + took * MS], &states, 0, [0, 100]);
            assert_eq!(scaling.next_check(), MS + next * MS, "a check of {took} ms");
        }
    }

    /// The limits of four checks, one a millisecond. Between two of them, this many processes
    /// finish, workers go to sleep this often and run for this long.
    fn limits(finished: usize, sleeps: u64, cpu: Duration, blocked: usize) -> [usize; 4] {
        let mut states = WorkerStates { running: 2, blocked, ..WorkerStates::default() };
        let mut scaling = WorkerScaling::new(&tuning(2), Duration::ZERO, &states);
        let mut done = 0;
        [1, 2, 3, 4].map(|check| {
            states.sleeps += sleeps;
            states.cpu += cpu;
            done += finished;
            scaling.update([MS * check; 2], &states, blocked, [done, 100])
        })
    }

    #[test]
    fn workers_that_compute_are_enough() {
        assert_eq!(limits(50, 3, MS * 2, 0), [2; 4]);
    }

    #[test]
    fn reads_that_sleep_briefly_get_more_workers() {
        assert_eq!(limits(10, 12, MS, 0), [4, 8, 16, 32]);
    }

    #[test]
    fn busy_cpus_get_no_more_workers() {
        assert_eq!(limits(10, 12, MS * 2, 0), [2; 4]);
    }

    #[test]
    fn a_host_short_of_memory_keeps_its_workers() {
        let states = WorkerStates { running: 2, ..WorkerStates::default() };
        let mut scaling = WorkerScaling::new(&tuning(8), Duration::ZERO, &states);
        assert_eq!(scaling.update([MS; 2], &states, 0, [50, 100]), 8);
    }

    #[test]
    fn workers_blocked_twice_are_replaced() {
        assert_eq!(limits(0, 0, MS, 1), [2, 6, 6, 6]);
    }
}
