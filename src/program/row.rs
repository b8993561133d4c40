//! One row of a report: processes that go by one name, or one process.

use super::{Grouping, Usage};
use crate::process::ProcessUsage;
use crate::smaps::Smaps;
use crate::units::{Kib, Pid};

/// One row of a report.
#[derive(Clone, Copy, Debug)]
pub struct Program<'run> {
    /// The name of all its processes.
    pub name: &'run [u8],
    /// The process, when rows are processes.
    pub pid: Option<Pid>,
    /// How many processes it has.
    pub count: u64,
    /// Their memory.
    pub usage: Usage,
    /// Hugetlb pages that more than one process maps. The kernel counts them whole in every one
    /// and does not say who shares with whom, so the largest figure stands for the program.
    shared_hugetlb: Kib,
}

impl<'run> Program<'run> {
    pub(super) fn new(process: &ProcessUsage<'run>, grouping: Grouping) -> Program<'run> {
        let pid = (grouping == Grouping::Pid).then_some(process.pid);
        let name = process.name;
        Program { name, pid, count: 0, usage: Usage::default(), shared_hugetlb: Kib(0) }
    }

    pub(super) fn add(&mut self, smaps: &Smaps) {
        self.usage.add(&Usage::of(smaps));
        self.shared_hugetlb = self.shared_hugetlb.max(smaps.shared_hugetlb());
    }

    pub(super) fn finish(&mut self) {
        self.usage.ram += self.shared_hugetlb;
        self.usage.shared += self.shared_hugetlb;
    }
}
