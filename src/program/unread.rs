//! Rows of processes whose memory could not be read: it is unknown, some figures of `status` are
//! not.

use std::collections::BTreeMap;
use std::ops::Add;

use serde::Serialize;

use super::{Column, Labels, Order, Uniform, order};
use crate::process::{CgroupPaths, Glimpse};
use crate::units::{Kib, Pid, labels};

/// A process whose memory could not be read.
#[derive(Clone, Debug)]
pub struct Unread<'run> {
    /// The process.
    pub pid: Pid,
    /// The reason.
    pub obstacle: Obstacle,
    /// The figures of `status`, which never blocks.
    pub glimpse: Glimpse,
    /// The control groups, if the run asked for them and they are known.
    pub cgroup: Option<CgroupPaths<'run>>,
}

/// The reason that the memory of a process could not be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// The process timed out.
    #[default]
    TimedOut,
    /// The kernel has no memory file.
    NoSmaps,
    /// A read would stall the process.
    LeftOut,
}

labels!(Obstacle {
    TimedOut => "timed out", "The process did not answer in time";
    NoSmaps => "no smaps", "The kernel has neither smaps_rollup nor smaps";
    LeftOut => "left out", "A read would stall the process";
});

/// A row of processes whose memory is unknown.
#[derive(Clone, Debug, Default)]
pub struct Unknown<'run> {
    /// The label; comm replaces other names, which can block as long as the memory.
    pub name: Vec<u8>,
    /// The process, if the row has one process.
    pub pid: Option<Pid>,
    /// The reason.
    pub obstacle: Obstacle,
    /// The number of processes.
    pub count: u64,
    /// The effective user, which `status` has for stuck processes too.
    pub uid: Uniform<u32>,
    /// The path of the control group whose memory is charged: foreign bytes.
    pub cgroup: Uniform<&'run [u8]>,
    /// The known figures.
    pub known: Known,
}

/// The figures that are known of processes whose memory is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Known {
    /// Resident pages; shared pages are counted whole in each process.
    pub rss: Option<Kib>,
    /// Swapped pages, counted the same way.
    pub swap: Option<Kib>,
}

/// The rows of unknown memory that `--top` cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownRest {
    /// The number of rows.
    pub rows: usize,
    /// The reason, if all rows have the same.
    pub obstacle: Option<Obstacle>,
    /// The sum of the known figures.
    pub known: Known,
}

impl UnknownRest {
    fn sum(rows: &[Unknown<'_>]) -> UnknownRest {
        let mut known = Known::default();
        rows.iter().for_each(|row| known.add(row.known.rss, row.known.swap));
        let first = rows.first().map(|row| row.obstacle);
        let obstacle = first.filter(|first| rows.iter().all(|row| row.obstacle == *first));
        UnknownRest { rows: rows.len(), obstacle, known }
    }
}

impl Known {
    fn add(&mut self, rss: Option<Kib>, swap: Option<Kib>) {
        self.rss = self.rss.into_iter().chain(rss).reduce(Kib::add);
        self.swap = self.swap.into_iter().chain(swap).reduce(Kib::add);
    }
}

/// The rows in the order of the report, and the sum of those that `--top` cuts.
pub(super) fn rows<'run>(
    unread: &[&Unread<'run>],
    labels: &Labels<'_>,
    order: Order,
) -> (Vec<Unknown<'run>>, Option<UnknownRest>) {
    let mut rows = unknown(unread, labels);
    sort(&mut rows, order);
    let rest = order::cut(&mut rows, order).map(|cut| UnknownRest::sum(&cut));
    if order.reverse {
        rows.reverse();
    }
    (rows, rest)
}

/// Makes one row for each label and reason, or for each process.
fn unknown<'run>(unread: &[&Unread<'run>], labels: &Labels<'_>) -> Vec<Unknown<'run>> {
    let mut rows: BTreeMap<(Vec<u8>, Option<Pid>, Obstacle), Unknown<'run>> = BTreeMap::new();
    for one @ Unread { pid, obstacle, glimpse, cgroup } in unread {
        let process = labels.grouping.is_process().then_some(*pid);
        let row = rows.entry((labels.of_unread(one), process, *obstacle));
        let path = cgroup.map(|paths| paths.charged);
        let row = row.and_modify(|row| {
            row.pid = None;
            row.uid.join(glimpse.uid);
            row.cgroup.join(path);
        });
        let (uid, cgroup) = (Uniform::new(glimpse.uid), Uniform::new(path));
        let first = || Unknown { pid: Some(*pid), uid, cgroup, ..Unknown::default() };
        let row = row.or_insert_with(first);
        row.count += 1;
        row.known.add(glimpse.rss, glimpse.swap);
    }
    rows.into_iter().map(|((name, _, obstacle), row)| Unknown { name, obstacle, ..row }).collect()
}

/// Sorts by user or by resident pages, the best estimate of RAM. The rows are sorted by name and
/// process id already, and equal rows stay so.
fn sort(rows: &mut [Unknown<'_>], order: Order) {
    match order.key {
        Column::User => rows.sort_by_key(|row| (order::rank(row.uid), row.known.rss)),
        Column::Cgroup => rows.sort_by_key(|row| (order::rank(row.cgroup), row.known.rss)),
        _ if order.is_by_text() => {}
        _ => rows.sort_by_key(|row| row.known.rss),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Grouping;
    use super::*;

    #[test]
    fn known_figures_are_summed() {
        let stuck = |pid, rss, swap| Unread {
            pid: Pid(pid),
            obstacle: Obstacle::TimedOut,
            glimpse: Glimpse { comm: b"db".to_vec(), rss, swap, ..Glimpse::default() },
            cgroup: None,
        };
        let (kib, none) = (|kib| Some(Kib(kib)), None);
        let all = [stuck(1, kib(5), kib(7)), stuck(2, none, none), stuck(3, kib(1), kib(2))];
        let unknown =
            |grouping| unknown(&all.each_ref(), &Labels::new(std::iter::empty(), grouping, None));
        let [row] = &unknown(Grouping::Program)[..] else { panic!("one program") };
        assert_eq!((row.count, row.known), (3, Known { rss: kib(6), swap: kib(9) }));
        let by_pid = unknown(Grouping::Pid);
        assert_eq!(by_pid[1].known, Known::default(), "unknown is not 0");
        let rest = UnknownRest::sum(&by_pid);
        assert_eq!((rest.rows, rest.obstacle), (3, Some(Obstacle::TimedOut)));
        assert_eq!(rest.known, row.known);
    }

    #[test]
    fn the_biggest_row_of_a_user_is_last() {
        let row = |pid, uid, rss| Unknown {
            pid: Some(Pid(pid)),
            uid: Uniform::new(uid),
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
