//! The memory of a row: what is shown of smaps, and how it is summed up.

use crate::smaps::Smaps;
use crate::units::Kib;

/// The memory of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Proportional set size and hugetlb pages, which the kernel keeps out of it.
    pub ram: Kib,
    /// The part of `ram` that other processes share.
    pub shared: Kib,
    /// The proportional share of swap.
    pub swap: Kib,
    /// The part of `ram` in heaps grown by `brk(2)`; 0 unless full smaps was read.
    pub heap: Kib,
}

impl Usage {
    /// The memory of one process.
    pub(super) fn of(smaps: &Smaps) -> Usage {
        let ram = smaps.pss() + smaps.private_hugetlb();
        Usage {
            ram,
            shared: ram.saturating_sub(smaps.uss() + smaps.private_hugetlb()),
            swap: smaps.swap(),
            heap: smaps.heap(),
        }
    }

    pub(super) fn add(&mut self, other: &Usage) {
        self.ram += other.ram;
        self.shared += other.shared;
        self.swap += other.swap;
        self.heap += other.heap;
    }
}
