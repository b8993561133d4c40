//! Workers that have not run for a while.
//!
//! To be found asleep at each look is not to be stuck: a worker that reads pages from swap sleeps
//! a hundred times, each time for a moment. One that was not given a CPU since it was first found
//! asleep has slept all the time.
//!
//! A look takes time, and may be interrupted for long. So each worker is found asleep only when
//! both its files were read, and how long it has slept is judged by when the look began.

use std::time::Duration;

/// A worker that was found asleep.
#[derive(Clone, Copy)]
struct Sleeper {
    thread: u32,
    /// How often it was given a CPU in its life.
    times: u64,
    /// When it was first found asleep since.
    since: Duration,
}

/// Those that were found asleep at the last look. Allocates only while they become more.
#[derive(Default)]
pub(super) struct Sleepers {
    found: Vec<Sleeper>,
    /// At the look before, in the order of their threads.
    before: Vec<Sleeper>,
}

impl Sleepers {
    /// Begins another look.
    pub(super) fn start_check(&mut self) {
        std::mem::swap(&mut self.found, &mut self.before);
        self.before.sort_unstable_by_key(|sleeper| sleeper.thread);
        self.found.clear();
    }

    /// A worker was asleep when it had been given a CPU so often; both were read before `now`.
    pub(super) fn record(&mut self, thread: u32, times: u64, now: Duration) {
        let known = self.before.binary_search_by_key(&thread, |sleeper| sleeper.thread);
        let known = known.ok().map(|index| self.before[index]);
        let since = known.filter(|known| known.times == times).map_or(now, |known| known.since);
        self.found.push(Sleeper { thread, times, since });
    }

    /// How many have slept since then or longer.
    pub(super) fn count_since(&self, since: Duration) -> usize {
        self.found.iter().filter(|sleeper| sleeper.since <= since).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ran_has_not_slept() {
        let mut sleepers = Sleepers::default();
        // Three looks at threads and at how often these ran, in no order.
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
