//! One row of a report: processes that go by one name, or one process.

use super::Usage;
use crate::process::ProcessUsage;
use crate::smaps::Smaps;
use crate::units::{Kib, Pid};

/// One row of a report.
#[derive(Clone, Copy, Debug)]
pub struct Program<'run> {
    /// The name of all its processes.
    pub name: &'run [u8],
    /// The process, if it is one.
    pub pid: Option<Pid>,
    /// When that started, in clock ticks since boot, where it was asked for.
    pub start_time: Option<u64>,
    /// How many processes it has.
    pub count: u64,
    /// The user they act as, by id.
    pub uid: Common<u32>,
    /// The path of their control group: foreign bytes.
    pub cgroup: Common<&'run [u8]>,
    /// Their memory.
    pub usage: Usage,
    /// Hugetlb pages that more than one process maps. The kernel counts them whole in every one
    /// and does not say who shares with whom, so the largest figure stands for the program.
    shared_hugetlb: Kib,
}

impl<'run> Program<'run> {
    pub(super) fn new(name: &'run [u8]) -> Program<'run> {
        Program {
            name,
            pid: None,
            start_time: None,
            count: 0,
            uid: Common::Unknown,
            cgroup: Common::Unknown,
            usage: Usage::NOTHING,
            shared_hugetlb: Kib(0),
        }
    }

    /// One process more, whose memory may be another one's.
    pub(super) fn join(&mut self, process: &ProcessUsage<'run>) {
        self.count += 1;
        if self.count == 1 {
            self.pid = Some(process.pid);
            self.start_time = process.start_time;
            self.uid = Common::of(process.uid);
            self.cgroup = Common::of(process.cgroup);
        } else {
            (self.pid, self.start_time) = (None, None);
            self.uid.join(process.uid);
            self.cgroup.join(process.cgroup);
        }
    }

    pub(super) fn add(&mut self, smaps: &Smaps) {
        self.usage.add(&Usage::of(smaps));
        self.shared_hugetlb = self.shared_hugetlb.max(smaps.shared_hugetlb());
    }

    pub(super) fn finish(&mut self) {
        self.usage.add_shared_hugetlb(self.shared_hugetlb);
    }
}

/// Rows that were cut, summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    /// How many rows they are.
    pub rows: usize,
    /// How many processes they have.
    pub count: u64,
    /// Their memory.
    pub usage: Usage,
}

impl Rest {
    pub(super) fn of(rows: &[Program<'_>]) -> Rest {
        let mut rest = Rest { rows: rows.len(), count: 0, usage: Usage::NOTHING };
        for row in rows {
            rest.count += row.count;
            rest.usage.add(&row.usage);
        }
        rest
    }
}

/// What one row can say of all its processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Common<T> {
    /// Nobody knows, or nobody asked.
    #[default]
    Unknown,
    /// The same of all of them.
    One(T),
    /// They differ, or it is known of some only.
    Several,
}

impl<T: Copy + PartialEq> Common<T> {
    /// Of one process.
    pub(super) fn of(value: Option<T>) -> Common<T> {
        value.map_or(Common::Unknown, Common::One)
    }

    /// Of one process more.
    pub(super) fn join(&mut self, value: Option<T>) {
        if *self != Common::of(value) {
            *self = Common::Several;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_is_several() {
        for (first, then, expected) in [
            (Some(1), Some(1), Common::One(1)),
            (Some(1), Some(2), Common::Several),
            (Some(1), None, Common::Several),
            (None, Some(1), Common::Several),
            (None, None, Common::Unknown),
        ] {
            let mut common = Common::of(first);
            common.join(then);
            assert_eq!(common, expected);
            common.join(then);
            assert_eq!(common, expected);
        }
    }
}
