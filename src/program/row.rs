//! Same row of a report: processes that go by one name, or one process.

use super::Usage;
use crate::process::ProcessUsage;
use crate::smaps::Smaps;
use crate::units::{Kib, Pid};

/// Same row of a report.
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
    pub uid: Uniform<u32>,
    /// The path of their control group: foreign bytes.
    pub cgroup: Uniform<&'run [u8]>,
    /// Their memory.
    pub usage: Usage,
    /// Hugetlb pages that more than one process maps. The kernel counts them whole in every one
    /// and does not say who shares with whom, so the largest figure stands for the program.
    shared_hugetlb: Kib,
}

impl<'run> Program<'run> {
    /// A row of one process, without its memory: see [`Program::add`].
    pub(super) fn new(name: &'run [u8], process: &ProcessUsage<'run>) -> Program<'run> {
        Program {
            name,
            pid: Some(process.pid),
            start_time: process.start_time,
            count: 1,
            uid: Uniform::new(process.uid),
            cgroup: Uniform::new(process.cgroup),
            usage: Usage::NOTHING,
            shared_hugetlb: Kib(0),
        }
    }

    /// Counts another process, without its memory.
    pub(super) fn join(&mut self, process: &ProcessUsage<'run>) {
        self.count += 1;
        (self.pid, self.start_time) = (None, None);
        self.uid.join(process.uid);
        self.cgroup.join(process.cgroup);
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
    pub(super) fn sum(rows: &[Program<'_>]) -> Rest {
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
pub enum Uniform<T> {
    /// Nobody knows, or nobody asked.
    #[default]
    Unknown,
    /// The same of all of them.
    Same(T),
    /// They differ, or it is known of some only.
    Mixed,
}

impl<T: Copy + PartialEq> Uniform<T> {
    /// Of one process.
    pub(super) fn new(value: Option<T>) -> Uniform<T> {
        value.map_or(Uniform::Unknown, Uniform::Same)
    }

    /// Of one process more.
    pub(super) fn join(&mut self, value: Option<T>) {
        if *self != Uniform::new(value) {
            *self = Uniform::Mixed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_is_several() {
        for (first, then, expected) in [
            (Some(1), Some(1), Uniform::Same(1)),
            (Some(1), Some(2), Uniform::Mixed),
            (Some(1), None, Uniform::Mixed),
            (None, Some(1), Uniform::Mixed),
            (None, None, Uniform::Unknown),
        ] {
            let mut common = Uniform::new(first);
            common.join(then);
            assert_eq!(common, expected);
            common.join(then);
            assert_eq!(common, expected);
        }
    }
}
