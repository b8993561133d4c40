//! Rows of processes whose memory is not known, and what is known of them all the same.

use std::collections::BTreeMap;
use std::ops::Add;

use super::{Column, Grouping, Order, Uniform, order};
use crate::process::Glimpse;
use crate::units::{Kib, Pid};

/// A process that could not be measured in time, and what can still be told of it.
#[derive(Clone, Debug)]
pub struct TimedOut {
    /// The process.
    pub pid: Pid,
    /// What its row goes by: foreign bytes.
    pub name: Vec<u8>,
    /// What the kernel tells without waiting.
    pub glimpse: Glimpse,
}

/// A row of processes whose memory is not known.
#[derive(Clone, Debug, Default)]
pub struct Unknown {
    /// What they go by: comm, as other names can take as long as the memory; or a group's label.
    pub name: Vec<u8>,
    /// The process, if it is one.
    pub pid: Option<Pid>,
    /// How many there are.
    pub count: u64,
    /// The user they act as, by id: `status` tells it of the stuck, too.
    pub uid: Uniform<u32>,
    /// What is known all the same.
    pub known: Known,
}

/// What the kernel still tells of processes whose memory is not known; `None` when it does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Resident pages, shared ones counted whole in each process.
    pub rss: Option<Kib>,
    /// Swapped pages, counted likewise.
    pub swap: Option<Kib>,
}

impl Known {
    fn add(&mut self, rss: Option<Kib>, swap: Option<Kib>) {
        self.rss = self.rss.into_iter().chain(rss).reduce(Kib::add);
        self.swap = self.swap.into_iter().chain(swap).reduce(Kib::add);
    }
}

/// Processes of one name in one row.
pub(super) fn unknown(timed_out: &[TimedOut], grouping: Grouping) -> Vec<Unknown> {
    let mut rows: BTreeMap<(&[u8], Option<Pid>), Unknown> = BTreeMap::new();
    for TimedOut { pid, name, glimpse } in timed_out {
        let key = (grouping == Grouping::Pid).then_some(*pid);
        let row = rows.entry((name, key)).or_default();
        row.count += 1;
        row.pid = (row.count == 1).then_some(*pid);
        match row.count {
            1 => row.uid = Uniform::of(glimpse.uid),
            _ => row.uid.join(glimpse.uid),
        }
        row.known.add(glimpse.rss, glimpse.swap);
    }
    let named = |((name, _), row): (_, _)| Unknown { name: <[u8]>::to_vec(name), ..row };
    rows.into_iter().map(named).collect()
}

/// By user if asked for; else, and among equals, by what is resident, as the best guess at RAM.
/// They come by name and process id, and stay so where that is equal.
pub(super) fn sort(rows: &mut [Unknown], order: Order) {
    match order.key {
        Column::User => rows.sort_by_key(|row| (order::key(row.uid), row.known.rss)),
        _ if order.is_by_text() => {}
        _ => rows.sort_by_key(|row| row.known.rss),
    }
}

pub(super) fn known(rows: &[Unknown]) -> Known {
    rows.iter().fold(Known::default(), |mut sum, row| {
        sum.add(row.known.rss, row.known.swap);
        sum
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_stuck_processes_is_summed() {
        let stuck = |pid, rss, swap| TimedOut {
            pid: Pid(pid),
            name: b"db".to_vec(),
            glimpse: Glimpse { rss, swap, ..Glimpse::default() },
        };
        let (kib, none) = (|kib| Some(Kib(kib)), None);
        let all = [stuck(1, kib(5), kib(7)), stuck(2, none, none), stuck(3, kib(1), kib(2))];
        let [row] = &unknown(&all, Grouping::Program)[..] else { panic!("one program") };
        assert_eq!((row.count, row.known), (3, Known { rss: kib(6), swap: kib(9) }));
        let by_pid = unknown(&all, Grouping::Pid);
        assert_eq!(by_pid[1].known, Known::default(), "missing is never 0");
        assert_eq!(known(&by_pid), row.known);
    }

    #[test]
    fn of_one_user_the_biggest_is_last() {
        let row = |pid, uid, rss| Unknown {
            pid: Some(Pid(pid)),
            uid: Uniform::of(uid),
            known: Known { rss: Some(Kib(rss)), swap: None },
            ..Unknown::default()
        };
        let mut rows =
            [row(1, Some(7), 9), row(2, Some(7), 5), row(3, None, 8), row(4, Some(3), 7)];
        let mut pids = |key| {
            sort(&mut rows, Order { key, ..Order::default() });
            rows.each_ref().map(|row| row.pid.map_or(0, |pid| pid.0))
        };
        assert_eq!(pids(Column::User), [3, 4, 2, 1]);
        assert_eq!(pids(Column::Ram), [2, 4, 3, 1]);
    }
}
