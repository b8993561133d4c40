//! The memory that returns when all processes of a group end.
//!
//! A page that is mapped `n` times returns when the group has all `n` mappings. Each process sees
//! its pages once per mapping, and the last of `n` sights books the page. So the figures of one
//! process mean nothing alone; their sum over the group does.

use crate::units::Kib;

/// The memory that returns with a group of processes, and memory that stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    /// Anonymous memory.
    pub anon: Kib,
    /// Shared memory of files without a name.
    pub shmem: Kib,
    /// Pages of hugetlbfs.
    pub hugetlb: Kib,
    /// Page cache that no process maps any more: it stays, and can be dropped.
    pub droppable: Kib,
    /// The part of PSS in pages that processes outside the group map too.
    pub outside: Kib,
    /// Pages of hugetlbfs that no process outside the group maps, whether they return or not.
    pub alone_hugetlb: Kib,
    /// Pages of hugetlbfs with an unknown number of users, because their page table is shared.
    pub unknown_hugetlb: Kib,
}

/// Pages of one class, seen by one process on behalf of its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Pages whose last mapping was seen.
    pub(super) whole: u64,
    /// Shares in pages with mappings that were not seen. Negative in the process that sees the last
    /// one, where others have booked shares before.
    pub(super) partly: i64,
}

impl Seen {
    /// Books the `seen`th of `count` mappings of a page, each with this share.
    pub(super) fn mapping(&mut self, seen: u64, count: u64, share: u64) {
        let share = i64::try_from(share).unwrap_or(i64::MAX);
        // More sights than mappings: some have ended meanwhile.
        match seen.cmp(&count) {
            std::cmp::Ordering::Less => self.partly += share,
            std::cmp::Ordering::Equal => {
                self.whole += 1;
                self.partly -= share * i64::try_from(count - 1).unwrap_or(0);
            }
            std::cmp::Ordering::Greater => {}
        }
    }
}

/// The sums of one process for its group, in units that add up without rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FreedShare {
    /// Bytes.
    pub(super) anon: u64,
    pub(super) shmem: u64,
    pub(super) hugetlb: u64,
    pub(super) alone_hugetlb: u64,
    pub(super) unknown_hugetlb: u64,
    pub(super) droppable: u64,
    /// In bytes, times 4096.
    pub(super) outside: i64,
}

impl FreedShare {
    /// The memory of a group, which is the sum over its processes.
    pub fn sum(shares: impl Iterator<Item = FreedShare>) -> Freed {
        let mut sum = FreedShare::default();
        for one in shares {
            sum.anon += one.anon;
            sum.shmem += one.shmem;
            sum.hugetlb += one.hugetlb;
            sum.alone_hugetlb += one.alone_hugetlb;
            sum.unknown_hugetlb += one.unknown_hugetlb;
            sum.droppable += one.droppable;
            sum.outside += one.outside;
        }
        let kib = |bytes: u64| Kib(bytes / 1024);
        Freed {
            anon: kib(sum.anon),
            shmem: kib(sum.shmem),
            hugetlb: kib(sum.hugetlb),
            alone_hugetlb: kib(sum.alone_hugetlb),
            unknown_hugetlb: kib(sum.unknown_hugetlb),
            droppable: kib(sum.droppable),
            outside: super::whole(u64::try_from(sum.outside).unwrap_or(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_mapping_books_the_page() {
        // Three mappings; a process has two of them, another one the third.
        let (mut first, mut second) = (Seen::default(), Seen::default());
        first.mapping(1, 3, 100);
        first.mapping(2, 3, 100);
        assert_eq!(first, Seen { whole: 0, partly: 200 });
        second.mapping(3, 3, 100);
        assert_eq!(second, Seen { whole: 1, partly: -200 });
        // A mapping that ended after it was seen.
        second.mapping(4, 3, 100);
        assert_eq!(second, Seen { whole: 1, partly: -200 });
        let mut alone = Seen::default();
        alone.mapping(1, 1, 100);
        assert_eq!(alone, Seen { whole: 1, partly: 0 });
    }

    #[test]
    fn groups_are_sums() {
        let one = FreedShare { anon: 1024, shmem: 512, outside: 5 << 22, ..FreedShare::default() };
        let other = FreedShare { shmem: 512, outside: -(2 << 22), ..FreedShare::default() };
        let sum = FreedShare::sum([one, other].into_iter());
        let expected = Freed { anon: Kib(1), shmem: Kib(1), outside: Kib(3), ..Freed::default() };
        assert_eq!(sum, expected);
    }
}
