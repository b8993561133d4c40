//! The length of the sleep after which the submitting thread reaps.
//!
//! A thread that waits for completions is woken by every one of them: a turn in the run queue each
//! time, which is long where CPUs are busy. A thread that sleeps on a timer finds all completions
//! of that time at once, but workers must not run out of requests meanwhile. So a sleep should
//! bring more than an eighth and less than half of the requests in flight: otherwise the next one
//! is twice or half as long. While even the longest brings nothing, waiting costs few wake-ups, and
//! delays nothing.

use std::time::Duration;

const SHORTEST: Duration = Duration::from_micros(100);
const LONGEST: Duration = Duration::from_millis(1);

/// The length of the next sleep.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pause: Duration,
    is_waiting: bool,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { pause: SHORTEST, is_waiting: false }
    }
}

impl Pace {
    /// The time to sleep now; `None` to wait for completions instead.
    pub fn pause(&self) -> Option<Duration> {
        (!self.is_waiting).then_some(self.pause)
    }

    /// Learns from a sleep or a wait that brought `completed` of the requests in flight.
    pub fn learn(&mut self, completed: u64, in_flight: u64) {
        self.is_waiting = completed == 0 && (self.is_waiting || self.pause == LONGEST);
        if 8 * completed < in_flight {
            self.pause = (2 * self.pause).min(LONGEST);
        } else if 2 * completed > in_flight {
            self.pause = (self.pause / 2).max(SHORTEST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pauses of five sleeps or waits (0) which bring so many of 64 requests, in microseconds.
    fn pauses(longest: bool, completed: [u64; 5]) -> [u128; 5] {
        let mut pace = Pace::default();
        if longest {
            pace.pause = LONGEST;
        }
        completed.map(|completed| {
            let pause = pace.pause();
            pace.learn(completed, 64);
            pause.map_or(0, |pause| pause.as_micros())
        })
    }

    #[test]
    fn sleeps_that_bring_little_grow() {
        assert_eq!(pauses(false, [0, 7, 0, 0, 1]), [100, 200, 400, 800, 1000]);
    }

    #[test]
    fn sleeps_that_bring_most_shrink() {
        assert_eq!(pauses(false, [0, 0, 33, 64, 64]), [100, 200, 400, 200, 100]);
    }

    #[test]
    fn sleeps_that_bring_enough_stay() {
        assert_eq!(pauses(false, [0, 8, 32, 20, 8]), [100, 200, 200, 200, 200]);
    }

    #[test]
    fn after_the_longest_sleep_without_completions_it_waits() {
        assert_eq!(pauses(true, [1, 0, 0, 1, 1]), [1000, 1000, 0, 0, 1000]);
    }
}
