//! Major page faults per second: the counters of processes in two reports.
//!
//! A process counts as long as it lives, so the faults of one that ended between the reports are
//! lost: a rate is a lower bound, and never negative.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::process::{ProcessUsage, StatFigures};
use crate::units::Pid;

/// The counters of the processes of one report.
#[derive(Debug)]
pub struct FaultCounts {
    /// The time since boot at which the report began.
    at: Duration,
    /// The same in clock ticks, the unit of start times.
    at_ticks: u64,
    processes: HashMap<Pid, StatFigures>,
}

impl FaultCounts {
    /// The counters of these processes, at a time since boot.
    pub fn new<'run>(
        at: Duration,
        ticks_per_second: u64,
        processes: impl Iterator<Item = ProcessUsage<'run>>,
    ) -> FaultCounts {
        let ticks = at.as_nanos() * u128::from(ticks_per_second) / 1_000_000_000;
        let at_ticks = u64::try_from(ticks).unwrap_or(u64::MAX);
        FaultCounts { at, at_ticks, processes: processes.map(|one| (one.pid, one.stat)).collect() }
    }

    /// The faults since an earlier report.
    pub fn since(&self, before: &FaultCounts) -> Faults {
        let count = |(pid, now): (&Pid, &StatFigures)| Some((*pid, before.faults(*pid, now)?));
        let processes = self.processes.iter().filter_map(count).collect();
        Faults { interval: Some(self.at.saturating_sub(before.at)), processes }
    }

    /// The faults of a process since this report; `None` if unknown.
    fn faults(&self, pid: Pid, now: &StatFigures) -> Option<u64> {
        let (count, start) = (now.major_faults?, now.start_time?);
        let then = self.processes.get(&pid).filter(|then| then.start_time == Some(start));
        match then {
            Some(then) => Some(count.saturating_sub(then.major_faults?)),
            // It began since, perhaps with the id of another process.
            None => (start >= self.at_ticks).then_some(count),
        }
    }
}

/// The faults of processes between two reports.
#[derive(Debug, Default)]
pub struct Faults {
    /// The time between the reports; `None` in the first one.
    pub interval: Option<Duration>,
    /// The processes whose faults are known.
    processes: HashMap<Pid, u64>,
}

impl Faults {
    /// The faults of a process, if they are known.
    pub(super) fn of(&self, pid: Pid) -> Option<u64> {
        self.processes.get(&pid).copied()
    }
}

/// The faults of a row; `None` is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowFaults {
    /// Since its processes began.
    pub all: Option<u64>,
    /// Since the last report.
    pub since: Option<u64>,
}

impl RowFaults {
    /// No faults.
    pub const NONE: RowFaults = RowFaults { all: Some(0), since: Some(0) };
    /// Of no measured process.
    pub const UNKNOWN: RowFaults = RowFaults { all: None, since: None };

    pub(super) fn add(&mut self, more: RowFaults) {
        let sum = |a: Option<u64>, b: Option<u64>| a.zip(b).map(|(a, b)| a.saturating_add(b));
        self.all = sum(self.all, more.all);
        self.since = sum(self.since, more.since);
    }
}

/// Faults in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultRate {
    /// The number of faults.
    pub count: u64,
    /// The time, which is not 0.
    interval: Duration,
}

impl FaultRate {
    /// Faults in a time; `None` if one of them is unknown.
    pub fn new(count: Option<u64>, interval: Option<Duration>) -> Option<FaultRate> {
        let interval = interval.filter(|interval| !interval.is_zero())?;
        Some(FaultRate { count: count?, interval })
    }

    /// The faults per second.
    #[allow(clippy::cast_precision_loss)] // Far below 2 to the 53rd.
    pub fn per_second(self) -> f64 {
        self.count as f64 / self.interval.as_secs_f64()
    }
}

/// With three decimals.
impl Serialize for FaultRate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64((self.per_second() * 1000.0).round() / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HZ: u64 = 100;

    fn counts(at: u64, processes: &[(u32, u64, u64)]) -> FaultCounts {
        let at = Duration::from_millis(at);
        let mut counts = FaultCounts::new(at, HZ, std::iter::empty());
        let stat = |start, count| StatFigures {
            parent: None,
            major_faults: Some(count),
            start_time: Some(start),
        };
        let known = processes.iter().map(|(pid, start, count)| (Pid(*pid), stat(*start, *count)));
        counts.processes = known.collect();
        counts
    }

    /// A process that lives on, one that ended, one of a reused id, one that began, one that the
    /// earlier report lacks, and one whose counter fell.
    #[test]
    fn processes_count_from_the_last_report_or_from_their_start() {
        let before = counts(50_005, &[(1, 10, 7), (2, 20, 900), (3, 30, 800), (6, 60, 5)]);
        let now = counts(
            54_005,
            &[(1, 10, 17), (3, 5_000, 3), (4, 5_200, 4), (5, 4_999, 100), (6, 60, 4)],
        );
        let faults = now.since(&before);
        assert_eq!(faults.interval, Some(Duration::from_secs(4)));
        let of = |pid| faults.of(Pid(pid));
        assert_eq!([1, 2, 3, 4, 5, 6].map(of), [Some(10), None, Some(3), Some(4), None, Some(0)]);
        let rate = FaultRate::new(of(1), faults.interval).expect("known");
        assert_eq!(serde_json::to_string(&rate).expect("a number"), "2.5");
        assert_eq!(FaultRate::new(of(1), Some(Duration::ZERO)), None);
        assert_eq!(FaultRate::new(of(2), faults.interval), None);
    }

    #[test]
    fn an_unknown_counter_makes_the_sum_unknown() {
        let mut sum = RowFaults::NONE;
        sum.add(RowFaults { all: Some(9), since: Some(2) });
        sum.add(RowFaults { all: Some(1), since: None });
        assert_eq!(sum, RowFaults { all: Some(10), since: None });
    }
}
