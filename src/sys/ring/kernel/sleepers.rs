//! Workers that have not run for a while.
//!
//! A worker that every check finds asleep is not necessarily stuck: a read of pages from swap
//! sleeps a hundred times, each time for a moment. A worker that has not got a CPU since the first
//! of these checks has slept all the time.
//!
//! A check takes time and can be interrupted for long. So a worker counts as asleep from the moment
//! at which both of its files are read, until the start of the check. If it woke between the two
//! reads and waits for a CPU, the next check finds it running, or another count.

use std::time::Duration;

/// A worker that a check has found asleep.
#[derive(Clone, Copy)]
struct Sleeper {
    thread: u32,
    /// The number of times that it got a CPU.
    times: u64,
    /// The first of the checks since then.
    since: Duration,
}

/// The workers that the last check has found asleep. Allocates only while their number grows.
#[derive(Default)]
pub(super) struct Sleepers {
    found: Vec<Sleeper>,
    /// Those of the check before, ordered by thread.
    before: Vec<Sleeper>,
}

impl Sleepers {
    /// Starts a check.
    pub(super) fn start_check(&mut self) {
        std::mem::swap(&mut self.found, &mut self.before);
        self.before.sort_unstable_by_key(|sleeper| sleeper.thread);
        self.found.clear();
    }

    /// Records a worker that is asleep after it has got a CPU `times` times, both read before
    /// `now`.
    pub(super) fn record(&mut self, thread: u32, times: u64, now: Duration) {
        let known = self.before.binary_search_by_key(&thread, |sleeper| sleeper.thread);
        let known = known.ok().map(|index| self.before[index]);
        let since = known.filter(|known| known.times == times).map_or(now, |known| known.since);
        self.found.push(Sleeper { thread, times, since });
    }

    /// The number of workers that have slept since then or longer.
    pub(super) fn count_since(&self, since: Duration) -> usize {
        self.found.iter().filter(|sleeper| sleeper.since <= since).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_ran_starts_anew() {
        let mut sleepers = Sleepers::default();
        // Three checks: threads, and how often each ran, in no order.
        for (second, seen) in [
            &[(7, 70), (5, 50), (9, 90)][..],
            &[(9, 91), (7, 70), (5, 50)],
            &[(5, 50), (9, 91), (6, 1)],
        ]
        .into_iter()
        .enumerate()
        {
            sleepers.start_check();
            let now = Duration::from_secs(second as u64);
            seen.iter().for_each(|(thread, times)| sleepers.record(*thread, *times, now));
        }
        let since = |seconds| sleepers.count_since(Duration::from_secs(seconds));
        assert_eq!([0, 1, 2].map(since), [1, 2, 3]);
    }
}
