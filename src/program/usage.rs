//! The memory of a row: the figures of smaps that reports show, and their sums.

use super::{Column, Share};
use crate::smaps::{Field, Smaps};
use crate::units::{Kib, Labelled};

/// Amounts of memory, one for each column of amounts.
///
/// An amount that the kernel does not print is unknown, and so is every sum with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage([Option<Kib>; Column::AMOUNTS]);

impl Usage {
    /// The sum of no rows.
    pub const NOTHING: Usage = Usage([Some(Kib(0)); Column::AMOUNTS]);

    /// The memory of one process.
    pub fn new(smaps: &Smaps, share: &Share, page_tables: Option<Kib>) -> Usage {
        let hugetlb = share.private_hugetlb + share.shared_hugetlb;
        let ram = smaps.pss() + hugetlb;
        let uss = smaps.uss() + share.private_hugetlb;
        Usage(std::array::from_fn(|place| match Column::ALL[place] {
            Column::Ram => Some(ram),
            Column::Uss => Some(uss),
            Column::Shared => Some(ram.saturating_sub(uss)),
            Column::Rss => smaps.get(Field::Rss),
            Column::Swap => share.swap,
            Column::Footprint => share.swap.map(|swap| ram + swap),
            Column::PssAnon => smaps.get(Field::PssAnon),
            Column::PssFile => smaps.get(Field::PssFile),
            Column::PssShmem => smaps.get(Field::PssShmem),
            Column::Hugetlb => smaps.get(Field::PrivateHugetlb).map(|_| hugetlb),
            Column::LazyFree => smaps.get(Field::LazyFree),
            Column::PageTables => page_tables,
            Column::Heap => smaps.heap(),
            // Known of rows, not of processes.
            Column::Freed | Column::SharedOutside => None,
            Column::Charged | Column::Left | Column::Limit | Column::CgSwap => None,
            Column::Gpu | Column::Events | Column::Pressure | Column::Faults | Column::Oom => None,
            Column::Subtree | Column::SubtreeSwap => None,
            Column::Parent | Column::Depth => None,
            Column::Count | Column::Pid | Column::Percent | Column::Bar => None,
            Column::User | Column::Cgroup | Column::Name => None,
        }))
    }

    /// The amount of a column.
    pub fn get(&self, column: Column) -> Option<Kib> {
        self.0.get(column as usize).copied().flatten()
    }

    /// Sets an amount that is known of a row alone.
    pub(super) fn set(&mut self, column: Column, amount: Option<Kib>) {
        if let Some(place) = self.0.get_mut(column as usize) {
            *place = amount;
        }
    }

    /// Adds the amounts of another process or row.
    pub fn add(&mut self, other: &Usage) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum = sum.zip(more).map(|(sum, more)| sum + more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smaps::naive;

    fn usage(text: &str) -> Usage {
        let needed = "Pss: 9 kB\nPrivate_Clean: 1 kB\nPrivate_Dirty: 2 kB\n";
        let smaps = naive::scan(format!("{needed}{text}").as_bytes()).expect("smaps");
        Usage::new(&smaps, &Share::whole(&smaps), None)
    }

    #[test]
    fn an_unknown_amount_makes_the_sum_unknown() {
        let (new, old) = (usage("Pss_Anon: 4 kB\nSwapPss: 5 kB\n"), usage("SwapPss: 7 kB\n"));
        assert_eq!(new.get(Column::PssAnon), Some(Kib(4)));
        assert_eq!(new.get(Column::Hugetlb), None);
        assert_eq!(new.get(Column::Count), None);
        let mut sum = Usage::NOTHING;
        sum.add(&new);
        assert_eq!(sum, new);
        sum.add(&old);
        assert_eq!(sum.get(Column::PssAnon), None);
        assert_eq!(sum.get(Column::Swap), Some(Kib(12)));
        assert_eq!(sum.get(Column::Footprint), Some(Kib(30)));
        sum.add(&usage(""));
        assert_eq!((sum.get(Column::Swap), sum.get(Column::Footprint)), (None, None));
        assert_eq!(
            [Column::Ram, Column::Uss, Column::Shared].map(|c| sum.get(c)),
            [27, 9, 18].map(|kib| Some(Kib(kib)))
        );
    }
}
