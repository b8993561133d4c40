//! The figures of a row of mappings, and the parts of a process in memory that several processes
//! hold.

use serde::Serialize;

use super::column::MapColumn;
use crate::program::Share;
use crate::smaps::MappingSums;
use crate::units::Kib;

/// The figures of a row; `None` is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct MapUsage {
    pub(super) ram: Kib,
    pub(super) uss: Kib,
    pub(super) rss: Option<Kib>,
    pub(super) swap: Option<Kib>,
    pub(super) mappings: u64,
    /// The number of processes; unknown of several rows, which can have the same ones.
    pub(super) processes: Option<u64>,
    /// The most mappings that one process has of the row; unknown in the same way.
    pub(super) most: Option<u64>,
}

impl MapUsage {
    /// The sum of no mappings.
    pub(super) const NOTHING: MapUsage = MapUsage {
        ram: Kib(0),
        uss: Kib(0),
        rss: Some(Kib(0)),
        swap: Some(Kib(0)),
        mappings: 0,
        processes: Some(0),
        most: Some(0),
    };

    /// The amount of a column.
    pub(super) fn amount(&self, column: MapColumn) -> Option<Kib> {
        match column {
            MapColumn::Ram => Some(self.ram),
            MapColumn::Uss => Some(self.uss),
            MapColumn::Rss => self.rss,
            MapColumn::Swap => self.swap,
            _ => None,
        }
    }

    /// The number in a column.
    pub(super) fn number(&self, column: MapColumn) -> Option<u64> {
        match column {
            MapColumn::Mappings => Some(self.mappings),
            MapColumn::Processes => self.processes,
            MapColumn::Most => self.most,
            _ => None,
        }
    }

    /// Adds the mappings of a process, whose figures of swap may be unknown.
    pub(super) fn add(&mut self, sums: &MappingSums, has_swap: bool) {
        let hugetlb = sums.private_hugetlb + sums.shared_hugetlb;
        self.ram += sums.pss + hugetlb;
        self.uss += sums.uss + sums.private_hugetlb;
        self.rss = self.rss.map(|rss| rss + sums.rss);
        self.swap = self.swap.filter(|_| has_swap).map(|swap| swap + sums.swap);
        self.mappings += sums.mappings;
    }

    /// Counts one process with this many mappings.
    pub(super) fn count(&mut self, mappings: u64) {
        self.processes = self.processes.map(|processes| processes + 1);
        self.most = self.most.max(Some(mappings));
    }

    /// Adds the amounts of another row.
    pub(super) fn join(&mut self, other: &MapUsage) {
        let sum = |a: Option<Kib>, b: Option<Kib>| a.zip(b).map(|(a, b)| a + b);
        self.ram += other.ram;
        self.uss += other.uss;
        self.rss = sum(self.rss, other.rss);
        self.swap = sum(self.swap, other.swap);
        self.mappings += other.mappings;
    }
}

/// Sets the pages that the kernel counts whole in each process to the share of this one, in
/// proportion to what its mappings count. So the sum over names is that of the table.
pub(super) fn apportion(entries: &mut [(usize, MappingSums)], share: &Share) {
    let private = Apportioned::new(share.private_hugetlb, entries, |sums| sums.private_hugetlb);
    let shared = Apportioned::new(share.shared_hugetlb, entries, |sums| sums.shared_hugetlb);
    let swapped: Kib = entries.iter().map(|(_, sums)| sums.swap).sum();
    let beyond = share.swap.unwrap_or_default().saturating_sub(swapped);
    let beyond = Apportioned::new(beyond, entries, |sums| sums.swap_beyond);
    let parts = private.zip(shared).zip(beyond);
    for ((_, sums), ((private, shared), beyond)) in entries.iter_mut().zip(parts) {
        (sums.private_hugetlb, sums.shared_hugetlb) = (private, shared);
        sums.swap += beyond;
    }
}

/// An amount in parts that are proportional to weights and add up to it.
struct Apportioned {
    amount: u128,
    weights: std::vec::IntoIter<u64>,
    all: u128,
    /// The weights so far, and their part of the amount.
    before: (u128, u128),
}

impl Apportioned {
    fn new(
        amount: Kib,
        entries: &[(usize, MappingSums)],
        weight: fn(&MappingSums) -> Kib,
    ) -> Apportioned {
        let weights: Vec<u64> = entries.iter().map(|(_, sums)| weight(sums).0).collect();
        let all = weights.iter().map(|weight| u128::from(*weight)).sum();
        let (amount, weights) = (u128::from(amount.0), weights.into_iter());
        Apportioned { amount, weights, all, before: (0, 0) }
    }
}

impl Iterator for Apportioned {
    type Item = Kib;

    fn next(&mut self) -> Option<Kib> {
        let weight = self.before.0 + u128::from(self.weights.next()?);
        let part = self.amount * weight / self.all.max(1);
        let (_, before) = std::mem::replace(&mut self.before, (weight, part));
        Some(Kib(u64::try_from(part - before).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_to_the_share() {
        let sums = |private, shared, swap, beyond| MappingSums {
            private_hugetlb: Kib(private),
            shared_hugetlb: Kib(shared),
            swap: Kib(swap),
            swap_beyond: Kib(beyond),
            ..MappingSums::default()
        };
        let mut entries = [
            (0, sums(2048, 0, 5, 0)),
            (1, sums(0, 2048, 0, 10)),
            (2, sums(0, 0, 1, 0)),
            (3, sums(2048, 4096, 0, 20)),
        ];
        let share = Share {
            private_hugetlb: Kib(4096),
            shared_hugetlb: Kib(1000),
            swap: Some(Kib(6 + 10)),
        };
        apportion(&mut entries, &share);
        let parts = entries.map(|(_, s)| (s.private_hugetlb.0, s.shared_hugetlb.0, s.swap.0));
        assert_eq!(parts, [(2048, 0, 5), (0, 333, 3), (0, 0, 1), (2048, 667, 7)]);
    }
}
