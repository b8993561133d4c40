//! Memory that processes hold together: a byte counts once, split among the processes that hold it.
//!
//! The kernel does so for `Pss` and `SwapPss`. It counts whole, in each process, hugetlb pages that
//! another process maps (`Shared_Hugetlb`) and shared memory in swap (`Swap` beyond `SwapPss`). The
//! objects that these pages belong to, and the counters of the host, bound the number of pages.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;

use crate::smaps::Smaps;
use crate::units::{Kib, Pid};

/// The figures of one process in place of those that the kernel counts whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Hugetlb pages that only this process maps.
    pub private_hugetlb: Kib,
    /// The share of hugetlb pages that other processes map too.
    pub shared_hugetlb: Kib,
    /// Memory in swap, with the share of shared memory; `None` if the kernel does not report it.
    pub swap: Option<Kib>,
}

impl Share {
    /// The kernel's figures, without shared memory in swap.
    pub fn whole(smaps: &Smaps) -> Share {
        Share {
            private_hugetlb: smaps.private_hugetlb(),
            shared_hugetlb: smaps.shared_hugetlb(),
            swap: smaps.swap(),
        }
    }
}

/// Maps processes to their shares; the figures of all others are the kernel's.
pub type Shares = HashMap<Pid, Share>;

/// Pages of one object that a process counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedPages {
    /// The process.
    pub pid: Pid,
    /// The bytes of the object that it maps.
    pub range: Range<u64>,
    /// The pages among them that it counts.
    pub amount: Kib,
    /// Whether these are all pages of the range that are in swap.
    pub is_whole: bool,
}

/// An object that processes hold together, and the bounds of its memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedObject {
    pages: Vec<MappedPages>,
    least: u64,
    most: u64,
}

impl MappedObject {
    /// Pages of hugetlbfs. A mapping counts the pages that it has touched, so the union of two
    /// mappings is unknown: at least the greater one, at most the mapped bytes.
    ///
    /// `page` is the size of a page. `is_private`: after a fork, each side may have its own version
    /// of a page. `is_complete`: each process with these pages is known, so each page counts twice.
    pub fn of_hugetlb(
        pages: Vec<MappedPages>,
        page: Kib,
        is_private: bool,
        is_complete: bool,
    ) -> MappedObject {
        let MappedObject { pages, mut most, .. } = MappedObject::of_unknown(pages);
        let is_pair = is_complete && pages.len() > 1;
        // The kernel counts a page of 1 GiB as shared even if one process maps it (6.18).
        if is_pair && page < PAGE_MAX {
            most /= 2;
        }
        let versions = match pages.len() as u64 {
            _ if !is_private => 1,
            count if is_pair => (count / 2).max(1),
            count => count,
        };
        let mapped = pieces(&pages).last().map_or(0, |piece| piece.covered);
        most = most.min(mapped.saturating_mul(versions));
        most -= most % page.0.max(1);
        let least = least(&pages);
        MappedObject { pages, least, most: most.max(least) }
    }

    /// Shared memory in swap. A shared mapping counts all swapped pages of its range, touched or
    /// not; a private one only those that it did not copy, so it may count others than the next.
    pub fn of_swap(pages: Vec<MappedPages>) -> MappedObject {
        let (whole, partial): (Vec<&MappedPages>, Vec<&MappedPages>) =
            pages.iter().partition(|one| one.is_whole);
        let whole = pieces(whole);
        let further = partial.iter().map(|one| one.amount.0.min(uncovered(&whole, &one.range)));
        let most = whole.iter().map(|piece| piece.amount.min(piece.new_kib()));
        let most = most.chain(further).fold(0, u64::saturating_add);
        let least = least(&pages);
        MappedObject { pages, least, most: most.max(least) }
    }

    /// Pages of unknown objects: each process may hold the same ones, even twice, or others.
    pub fn of_unknown(pages: Vec<MappedPages>) -> MappedObject {
        let amounts = || pages.iter().map(|one| one.amount.0);
        let most = amounts().fold(0, u64::saturating_add);
        MappedObject { pages, least: 0, most }
    }
}

impl MappedObject {
    /// The processes, and the amounts that they count.
    pub fn amounts(&self) -> impl Iterator<Item = (Pid, Kib)> {
        self.pages.iter().map(|one| (one.pid, one.amount))
    }

    /// The least memory that it can be.
    pub fn least(&self) -> Kib {
        Kib(self.least)
    }
}

/// A page of this size may count as shared without being so.
const PAGE_MAX: Kib = Kib(1 << 20);

/// One range in ascending order.
struct Piece {
    /// In KiB, as all numbers but the range.
    amount: u64,
    /// The part of the range that no earlier one covers.
    new: Range<u64>,
    /// The part that earlier ones cover.
    old: u64,
    /// The part of the object that this range and earlier ones cover.
    covered: u64,
}

impl Piece {
    fn new_kib(&self) -> u64 {
        (self.new.end - self.new.start) / 1024
    }
}

/// The ranges that are not inside of another.
fn pieces<'a>(pages: impl IntoIterator<Item = &'a MappedPages>) -> Vec<Piece> {
    let mut sorted: Vec<&MappedPages> = pages.into_iter().collect();
    let key = |one: &&MappedPages| (one.range.start, Reverse((one.range.end, one.amount)));
    sorted.sort_by_key(key);
    let (mut end, mut covered) = (0, 0);
    let piece = |one: &MappedPages| {
        let begin = one.range.start.max(end);
        if begin >= one.range.end {
            return None;
        }
        end = one.range.end;
        covered += (end - begin) / 1024;
        let old = (begin - one.range.start) / 1024;
        Some(Piece { amount: one.amount.0, new: begin..end, old, covered })
    };
    sorted.into_iter().filter_map(piece).collect()
}

/// The part of a range that no piece covers, in KiB.
fn uncovered(pieces: &[Piece], range: &Range<u64>) -> u64 {
    let covered_below = |end: u64| {
        let place = pieces.partition_point(|piece| piece.new.start < end);
        let last = place.checked_sub(1).map(|last| &pieces[last]);
        last.map_or(0, |last| last.covered - last.new.end.saturating_sub(end) / 1024)
    };
    let len = range.end.saturating_sub(range.start) / 1024;
    len.saturating_sub(covered_below(range.end).saturating_sub(covered_below(range.start)))
}

/// The least number of KiB with these amounts: pages where no earlier range is are further ones.
fn least(pages: &[MappedPages]) -> u64 {
    let greatest = pages.iter().map(|one| one.amount.0).max().unwrap_or(0);
    let further = pieces(pages).into_iter().map(|piece| piece.amount.saturating_sub(piece.old));
    further.fold(0, u64::saturating_add).max(greatest)
}

/// The parts of all processes in the objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// The part of each process.
    pub parts: HashMap<Pid, Kib>,
    /// Their sum.
    pub total: Kib,
    /// The least that the sum can be. It is less than the total if the kernel does not report which
    /// pages the processes share.
    pub least: Kib,
}

impl Split {
    /// The part of a process.
    pub fn part(&self, pid: Pid) -> Kib {
        self.parts.get(&pid).copied().unwrap_or_default()
    }
}

/// Splits objects among their processes, in proportion to the amounts. All objects together take at
/// most `room`, the host's figure, unless processes had more: that is certain, and the host's
/// figure is of another moment.
pub fn split(objects: &[MappedObject], room: Option<Kib>) -> Split {
    let sum = |amounts: &[u64]| amounts.iter().copied().fold(0, u64::saturating_add);
    let least: Vec<u64> = objects.iter().map(|object| object.least).collect();
    let excess: Vec<u64> = objects.iter().map(|object| object.most - object.least).collect();
    let room = room.map_or(u64::MAX, |room| room.0);
    let certain = sum(&least);
    let excess = in_proportion(&excess, sum(&excess).min(room.saturating_sub(certain)));
    let mut split = Split { least: Kib(certain), ..Split::default() };
    for (object, amount) in objects.iter().zip(least.iter().zip(excess).map(|(a, b)| a + b)) {
        let weights: Vec<u64> = object.pages.iter().map(|one| one.amount.0).collect();
        let parts = in_proportion(&weights, amount);
        for (pages, part) in object.pages.iter().zip(parts) {
            *split.parts.entry(pages.pid).or_default() += Kib(part);
            split.total += Kib(part);
        }
    }
    split
}

/// Divides `whole` by weights, without a remainder.
fn in_proportion(weights: &[u64], whole: u64) -> Vec<u64> {
    let all: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    let (mut weight_before, mut given) = (0, 0);
    let part = |weight: &u64| {
        weight_before += u128::from(*weight);
        // Sums of smaps fit 54 bits, so no number of processes makes this overflow.
        let upto = u128::from(whole) * weight_before / all.max(1);
        let upto = u64::try_from(upto).unwrap_or(whole);
        std::mem::replace(&mut given, upto).abs_diff(upto)
    };
    weights.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Annotations, Column, Grouping, Labels, Order, group};
    use super::*;
    use crate::process::{CgroupPaths, ProcessUsage, StatFigures};
    use crate::smaps::naive;
    use crate::units::Labelled;

    const HUGE: u64 = 2048;

    /// Pages of 2 MiB: where the mapping begins and ends, and the number that it counts.
    fn huge(pid: u32, begin: u64, end: u64, pages: u64) -> MappedPages {
        let range = begin * HUGE * 1024..end * HUGE * 1024;
        MappedPages { pid: Pid(pid), range, amount: Kib(pages * HUGE), is_whole: false }
    }

    fn bounds(pages: &[MappedPages], is_private: bool, is_complete: bool) -> [u64; 2] {
        let page = Kib(HUGE);
        let object = MappedObject::of_hugetlb(pages.to_vec(), page, is_private, is_complete);
        [object.least / HUGE, object.most / HUGE]
    }

    #[test]
    fn hugetlb_pages_have_bounds() {
        // All pages of one pool.
        let pool = [huge(1, 0, 16, 16), huge(2, 0, 16, 16), huge(3, 0, 16, 16)];
        assert_eq!(bounds(&pool, false, true), [16, 16]);
        assert_eq!(bounds(&pool, false, false), [16, 16]);
        // After a fork the child wrote half of the pages, so each has 8 of its own.
        let forked = [huge(1, 0, 16, 8), huge(2, 0, 16, 8)];
        assert_eq!(bounds(&forked, true, true), [8, 8]);
        assert_eq!(bounds(&forked, true, false), [8, 16]);
        // Two halves, whose other processes are unknown.
        assert_eq!(bounds(&[huge(1, 0, 8, 8), huge(2, 8, 16, 8)], false, false), [16, 16]);
        // Pages 0 to 9, 5 to 14 and 12 to 19 of a pool: 5 + 3 of them in two processes each.
        let touched = [huge(1, 0, 90, 5), huge(2, 0, 90, 8), huge(3, 0, 90, 3)];
        assert_eq!(bounds(&touched, false, true), [8, 8]);
        // One process alone; a page of 1 GiB that only it maps counts as shared.
        assert_eq!(bounds(&[huge(1, 0, 16, 7)], false, true), [7, 7]);
        let giant = [huge(1, 0, 1024, 512), huge(2, 0, 1024, 512)];
        let giant = MappedObject::of_hugetlb(giant.to_vec(), PAGE_MAX, false, true);
        assert_eq!([giant.least, giant.most], [1 << 20, 2 << 20]);
    }

    /// Pages 0 to 9, of which a private mapping copied some.
    #[test]
    fn private_mappings_add_to_the_bounds_of_swap() {
        let whole =
            |begin, end, pages| MappedPages { is_whole: true, ..huge(1, begin, end, pages) };
        let bounds = |pages: &[MappedPages]| {
            let object = MappedObject::of_swap(pages.to_vec());
            [object.least / HUGE, object.most / HUGE]
        };
        assert_eq!(bounds(&[huge(1, 0, 10, 3)]), [3, 3]);
        assert_eq!(bounds(&[huge(1, 0, 10, 3), huge(2, 0, 10, 4)]), [4, 7]);
        assert_eq!(bounds(&[huge(1, 0, 10, 3), whole(0, 10, 8)]), [8, 8]);
        assert_eq!(bounds(&[huge(1, 0, 10, 8), whole(2, 5, 2), whole(4, 8, 3)]), [8, 9]);
        assert_eq!(bounds(&[whole(2, 5, 2), huge(1, 0, 4, 3), whole(7, 9, 1)]), [4, 5]);
    }

    #[test]
    fn a_split_has_no_remainder_and_fits_the_room() {
        let pool = || MappedObject::of_unknown(vec![huge(1, 0, 9, 5), huge(2, 0, 9, 5)]);
        let objects = [pool(), pool()];
        for (room, total, least) in
            [(None, 20, 0), (Some(14), 14, 0), (Some(7), 7, 0), (Some(0), 0, 0)]
        {
            let split = split(&objects, room.map(|pages| Kib(pages * HUGE)));
            assert_eq!((split.total, split.least), (Kib(total * HUGE), Kib(least * HUGE)));
            assert_eq!(split.parts.values().copied().sum::<Kib>(), split.total);
        }
        // The least amount stays, whatever the host has in use at another moment.
        let pool = MappedObject::of_swap(vec![huge(1, 0, 9, 5), huge(2, 0, 9, 4)]);
        assert_eq!(split(&[pool], Some(Kib(0))).total, Kib(5 * HUGE));
        assert_eq!(in_proportion(&[1, 1, 1], 100), [33, 33, 34]);
        assert_eq!(in_proportion(&[0, 0], 7), [0, 0]);
        let most = u64::MAX / 1024; // The greatest sum of smaps.
        assert_eq!(in_proportion(&[most, most], most).iter().sum::<u64>(), most);
    }

    /// With pools and shared address spaces, whatever a row is.
    #[test]
    fn every_grouping_has_the_total_of_the_shares() {
        let text = |pid: u64| {
            format!(
                "Pss: {} kB\nPrivate_Clean: 0 kB\nPrivate_Dirty: {pid} kB\n\
                 Shared_Hugetlb: 32768 kB\nPrivate_Hugetlb: 2048 kB\nSwap: 900 kB\n\
                 SwapPss: 100 kB\n",
                pid * 2
            )
        };
        let names = [&b"one"[..], b"two", b"three"];
        let usage = |pid: u32| ProcessUsage {
            pid: Pid(pid),
            name: names[pid as usize % 3],
            smaps: naive::scan(text(pid.into()).as_bytes()).expect("smaps"),
            uid: (pid % 4 > 0).then_some(pid % 4),
            cgroup: CgroupPaths::load(if pid % 2 == 0 { b"/a.service" } else { b"/b.service" }, 10),
            page_tables: None,
            stat: StatFigures::default(),
        };
        let all: Vec<ProcessUsage<'_>> = (1..=30).map(usage).collect();
        // Every third process runs in the memory of the one before it.
        let sharing = (3..=30).step_by(3).map(|pid| (Pid(pid), Pid(pid - 1))).collect();
        let share = |process: &ProcessUsage<'_>| {
            let share = Share {
                private_hugetlb: Kib(2048),
                shared_hugetlb: Kib(1600 + u64::from(process.pid.0)),
                swap: Some(Kib(140)),
            };
            (process.pid, share)
        };
        let shares = &all.iter().map(share).collect();
        let owners: Vec<u64> = (1..=30).filter(|pid| pid % 3 != 0).collect();
        let ram: u64 = owners.iter().map(|pid| pid * 2 + 2048 + 1600 + pid).sum();
        for grouping in Grouping::ALL {
            let labels = Labels::new(all.iter().copied(), *grouping, None);
            let annotations = Annotations::new(&sharing, shares);
            let programs = group(all.iter().copied(), &labels, annotations, Order::default());
            let total = programs.total.expect("processes");
            assert_eq!(total.get(Column::Ram), Some(Kib(ram)), "{grouping:?}");
            assert_eq!(total.get(Column::Swap), Some(Kib(owners.len() as u64 * 140)));
            let rows = programs.rows.iter().filter_map(|row| row.usage.get(Column::Ram));
            assert_eq!(rows.sum::<Kib>(), Kib(ram), "{grouping:?}");
        }
    }
}
