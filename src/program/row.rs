//! One row of a report: all processes of one label, or one process.

use super::{Column, Grouping, RowCharge, RowFaults, RowOom, Share, TreePlace, Usage};
use crate::host::GroupEvents;
use crate::process::{Freed, GpuMemory, ProcessUsage};
use crate::smaps::Smaps;
use crate::units::{Kib, Labelled, Pid};

/// Charges and processes are read one after the other, and the share of a page that others map
/// changes as they begin and end: a smaller excess is none, nor is one of up to 1/64.
const EXCESS_MIN: Kib = Kib(128);

/// One row of a report.
#[derive(Clone, Copy, Debug)]
pub struct Program<'run> {
    /// The label.
    pub name: &'run [u8],
    /// The process, if the row has one process.
    pub pid: Option<Pid>,
    /// The start of that process in clock ticks since boot, if the run asked for it.
    pub start_time: Option<u64>,
    /// The number of processes.
    pub count: u64,
    /// The effective user.
    pub uid: Uniform<u32>,
    /// The path of the control group whose memory is charged: foreign bytes.
    pub cgroup: Uniform<&'run [u8]>,
    /// The memory.
    pub usage: Usage,
    /// The memory that returns when its processes end, if the run asked for it and it is known.
    pub freed: Option<FreedMemory>,
    /// The figures of its control groups, if the run asked for them.
    pub charge: Option<RowCharge<'run>>,
    /// The major page faults of its processes, as far as the run asked for them.
    pub faults: RowFaults,
    /// The host memory that GPU drivers hold, if the run asked for it and it is known.
    pub gpu: Option<GpuMemory>,
    /// The figures of the OOM killer, if the run asked for them.
    pub oom: RowOom,
    /// Its place among processes, if rows are a tree.
    pub tree: Option<TreePlace>,
}

/// The memory that returns when all processes of a row end.
#[derive(Clone, Copy, Debug)]
pub struct FreedMemory {
    /// Memory that they map.
    pub mapped: Freed,
    /// Memory in swap.
    pub swap: Kib,
}

impl FreedMemory {
    /// All that returns.
    pub fn sum(&self) -> Kib {
        let Freed { anon, shmem, hugetlb, .. } = self.mapped;
        anon + shmem + hugetlb + self.swap
    }

    /// At most this much, the RAM and swap of the row: they were read before, and the processes may
    /// have grown since.
    pub fn at_most(mut self, most: Kib) -> FreedMemory {
        let mut excess = self.sum().saturating_sub(most);
        let Freed { anon, shmem, hugetlb, .. } = &mut self.mapped;
        for part in [anon, shmem, hugetlb, &mut self.swap] {
            let cut = excess.min(*part);
            *part = part.saturating_sub(cut);
            excess = excess.saturating_sub(cut);
        }
        self
    }
}

impl<'run> Program<'run> {
    /// A row of one process, without its memory: see [`Program::add`].
    pub(super) fn new(
        name: &'run [u8],
        process: &ProcessUsage<'run>,
        grouping: Grouping,
    ) -> Program<'run> {
        Program {
            pid: Some(process.pid),
            // A row of another grouping is the same one with another process.
            start_time: process.stat.start_time.filter(|_| grouping.is_process()),
            count: 1,
            uid: Uniform::new(process.uid),
            ..Program::idle(name, Uniform::new(process.cgroup.map(|paths| paths.charged)), |_| true)
        }
    }

    /// A row of control groups without a process. Figures that the run did not ask for are unknown.
    pub(super) fn idle(
        name: &'run [u8],
        cgroup: Uniform<&'run [u8]>,
        is_asked: impl Fn(Column) -> bool,
    ) -> Program<'run> {
        let mut usage = Usage::NOTHING;
        for column in Column::ALL.iter().filter(|column| !is_asked(**column)) {
            usage.set(*column, None);
        }
        Program {
            name,
            pid: None,
            start_time: None,
            count: 0,
            uid: Uniform::Unknown,
            cgroup,
            usage,
            freed: None,
            charge: None,
            faults: RowFaults::NONE,
            gpu: usage.get(Column::Gpu).map(|_| GpuMemory::default()),
            oom: RowOom::default(),
            tree: None,
        }
    }

    /// Sets the memory that returns.
    pub fn set_freed(&mut self, freed: FreedMemory) {
        self.usage.set(Column::Freed, Some(freed.sum()));
        self.usage.set(Column::SharedOutside, Some(freed.mapped.outside));
        self.freed = Some(freed);
    }

    /// Sets the figures of control groups.
    pub(super) fn set_charge(&mut self, charge: RowCharge<'run>) {
        let limit = charge.limit.map(|level| level.limit);
        self.usage.set(Column::Charged, charge.charged);
        self.usage.set(Column::CgSwap, charge.swap);
        self.usage.set(Column::Limit, limit.map(|limit| limit.limit));
        self.usage.set(Column::Left, limit.map(|limit| limit.left));
        self.charge = Some(charge);
    }

    /// Whether the processes hold more than their groups are charged for: a page stays charged to
    /// the group that touched it first. Hugetlb pages are charged to no group. `None` if unknown.
    pub fn is_charged_elsewhere(&self) -> Option<bool> {
        let charged = self.usage.get(Column::Charged)?;
        let hugetlb = self.usage.get(Column::Hugetlb).unwrap_or_default();
        Some(exceeds(self.usage.get(Column::Ram)?.saturating_sub(hugetlb), charged))
    }

    /// Counts another process, without its memory.
    pub(super) fn join(&mut self, process: &ProcessUsage<'run>) {
        self.count += 1;
        (self.pid, self.start_time) = (None, None);
        self.uid.join(process.uid);
        self.cgroup.join(process.cgroup.map(|paths| paths.charged));
    }

    pub(super) fn add(
        &mut self,
        smaps: &Smaps,
        share: &Share,
        page_tables: Option<Kib>,
        gpu: Option<GpuMemory>,
    ) {
        let mut usage = Usage::new(smaps, share, page_tables);
        usage.set(Column::Gpu, gpu.map(|gpu| gpu.most));
        self.usage.add(&usage);
        self.gpu = sum_of_gpu(self.gpu, gpu);
    }
}

/// The sum of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    /// The number of rows.
    pub rows: usize,
    /// The number of processes.
    pub count: u64,
    /// The memory.
    pub usage: Usage,
    /// The events at limits, if the run asked for them and they are known.
    pub events: Option<GroupEvents>,
    /// The major page faults, under the same conditions.
    pub faults: RowFaults,
    /// The memory that GPU drivers hold, under the same conditions.
    pub gpu: Option<GpuMemory>,
}

/// A sum with an unknown amount is unknown.
fn sum_of_gpu(sum: Option<GpuMemory>, more: Option<GpuMemory>) -> Option<GpuMemory> {
    let (mut sum, more) = sum.zip(more)?;
    sum += more;
    Some(sum)
}

impl Rest {
    pub(super) fn sum(rows: &[Program<'_>]) -> Rest {
        let events = rows.iter().map(|row| row.charge.and_then(|charge| charge.events));
        let events = events.reduce(|sum, more| Some(sum?.sum(&more?))).flatten();
        let (usage, faults) = (Usage::NOTHING, RowFaults::NONE);
        let gpu = Some(GpuMemory::default());
        let mut rest = Rest { rows: rows.len(), count: 0, usage, events, faults, gpu };
        for row in rows {
            rest.count += row.count;
            rest.usage.add(&row.usage);
            rest.faults.add(row.faults);
            rest.gpu = sum_of_gpu(rest.gpu, row.gpu);
        }
        if !rows.is_empty() {
            // They have no limit in common.
            rest.usage.set(Column::Left, None);
            rest.usage.set(Column::Limit, None);
            // A subtree counts in that of the parent again.
            rest.usage.set(Column::Subtree, None);
            rest.usage.set(Column::SubtreeSwap, None);
        }
        rest
    }
}

/// A value of all processes in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Uniform<T> {
    /// The value is unknown, or the run did not ask for it.
    #[default]
    Unknown,
    /// All processes have this value.
    Same(T),
    /// The values differ, or only some are known.
    Mixed,
}

impl<T: Copy + PartialEq> Uniform<T> {
    /// The value of one process.
    pub(super) fn new(value: Option<T>) -> Uniform<T> {
        value.map_or(Uniform::Unknown, Uniform::Same)
    }

    /// Adds the value of another process.
    pub(super) fn join(&mut self, value: Option<T>) {
        if *self != Uniform::new(value) {
            *self = Uniform::Mixed;
        }
    }
}

/// Whether memory of processes exceeds a charge that was read later.
fn exceeds(Kib(ram): Kib, Kib(charged): Kib) -> bool {
    ram.saturating_sub(charged) > EXCESS_MIN.0.max(ram / 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_frees_at_most_what_it_held() {
        let kib = |[anon, shmem, hugetlb, swap]: [u64; 4]| FreedMemory {
            mapped: Freed {
                anon: Kib(anon),
                shmem: Kib(shmem),
                hugetlb: Kib(hugetlb),
                ..Freed::default()
            },
            swap: Kib(swap),
        };
        for (most, expected) in
            [(11, [4, 3, 2, 1]), (10, [4, 3, 2, 1]), (7, [1, 3, 2, 1]), (2, [0, 0, 1, 1])]
        {
            let freed = kib([4, 3, 2, 1]).at_most(Kib(most));
            let Freed { anon, shmem, hugetlb, .. } = freed.mapped;
            assert_eq!([anon, shmem, hugetlb, freed.swap], expected.map(Kib), "{most}");
        }
    }

    #[test]
    fn a_small_excess_is_none() {
        for (ram, charged, expected) in [
            (128, 0, false),
            (129, 0, true),
            (1128, 1000, false),
            (1129, 1000, true),
            (64_000, 63_000, false),
            (64_000, 62_999, true),
            (1000, 2000, false),
        ] {
            assert_eq!(exceeds(Kib(ram), Kib(charged)), expected, "{ram} {charged}");
        }
    }

    #[test]
    fn different_values_are_mixed() {
        for (first, then, expected) in [
            (Some(1), Some(1), Uniform::Same(1)),
            (Some(1), Some(2), Uniform::Mixed),
            (Some(1), None, Uniform::Mixed),
            (None, Some(1), Uniform::Mixed),
            (None, None, Uniform::Unknown),
        ] {
            let mut value = Uniform::new(first);
            value.join(then);
            assert_eq!(value, expected);
            value.join(then);
            assert_eq!(value, expected);
        }
    }
}
