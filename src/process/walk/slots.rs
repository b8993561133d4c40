//! The shares of processes in swapped pages.
//!
//! An entry of a swapped page names its slot in swap, and no file tells how many entries a slot
//! has. But only entries of forked processes share one, and their rollups show it. So the slots of
//! all walked processes and of these are compared.

use crate::units::Kib;

/// Consecutive slots of a swap area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotRun {
    /// Type of the area and offset in it, as one number.
    pub(super) start: u64,
    pub(super) len: u64,
}

/// Appends a slot.
pub(super) fn push(runs: &mut Vec<SlotRun>, slot: u64) {
    match runs.last_mut() {
        Some(last) if last.start + last.len == slot => last.len += 1,
        _ => runs.push(SlotRun { start: slot, len: 1 }),
    }
}

/// The slots of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupSlots {
    /// The memory of the slots.
    pub all: Kib,
    /// The memory of those that no process outside the group has.
    pub alone: Kib,
    /// The most entries of the group that one slot has.
    pub entries_max: u64,
}

impl GroupSlots {
    /// The memory that certainly has no entries outside the group, if the processes of the group
    /// have these shares (`SwapPss`) in theirs: a slot of `n` entries of the group and others is at
    /// least `1 / (n + 1)` of a page short. The kernel rounds each share down to a KiB, which looks
    /// the same.
    pub fn certainly_alone(&self, shares: Kib) -> Kib {
        let short = self.all.saturating_sub(shares);
        self.all.saturating_sub(Kib(short.0.saturating_mul(self.entries_max + 1)))
    }
}

/// A place where a run of slots of a process begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Border {
    slot: u64,
    begins: bool,
    process: usize,
}

/// The slots of processes, in order.
#[derive(Debug, Default)]
pub struct SlotBorders {
    borders: Vec<Border>,
    processes: usize,
}

impl SlotBorders {
    /// Sorts the slots of processes, which are numbered from 0.
    pub fn new<'a>(processes: impl Iterator<Item = &'a [SlotRun]>) -> SlotBorders {
        let mut all = SlotBorders::default();
        for runs in processes {
            let process = all.processes;
            all.processes += 1;
            for run in runs {
                let end = run.start + run.len;
                all.borders.push(Border { slot: run.start, begins: true, process });
                all.borders.push(Border { slot: end, begins: false, process });
            }
        }
        all.borders.sort_unstable();
        all
    }

    /// The slots of a group, beside those of other processes.
    pub fn of_group(
        &self,
        others: &SlotBorders,
        is_other: impl Fn(usize) -> bool,
        page_bytes: u64,
    ) -> GroupSlots {
        let mut own = self.borders.iter().peekable();
        let others = others.borders.iter().filter(|border| is_other(border.process));
        let mut others = others.peekable();
        let in_order = std::iter::from_fn(|| {
            let is_own = match (own.peek(), others.peek()) {
                (Some(own), Some(other)) => (own.slot, own.begins) <= (other.slot, other.begins),
                (own, _) => own.is_some(),
            };
            let next = if is_own { own.next() } else { others.next() };
            next.map(|border| (border, is_own))
        });
        let (mut members, mut strangers, mut last) = (0_u64, 0_u64, 0);
        let (mut all, mut alone, mut entries_max) = (0, 0, 0);
        for (Border { slot, begins, .. }, is_own) in in_order {
            if members > 0 {
                all += slot - last;
                alone += if strangers == 0 { slot - last } else { 0 };
            }
            last = *slot;
            let entries = if is_own { &mut members } else { &mut strangers };
            *entries = if *begins { *entries + 1 } else { entries.saturating_sub(1) };
            entries_max = entries_max.max(members);
        }
        let [all, alone] = [all, alone].map(|slots| Kib(slots * page_bytes / 1024));
        GroupSlots { all, alone, entries_max }
    }

    /// The share of each process in the pages of its slots: `SwapPss`. A page is divided by the
    /// number of its entries.
    pub fn shares(&self, page_bytes: u64) -> Vec<Kib> {
        let mut shares = vec![0_u64; self.processes];
        // The processes with entries of the current slots; one may have two entries of a slot.
        let mut holders: Vec<usize> = Vec::new();
        let mut last = 0;
        for Border { slot, begins, process } in &self.borders {
            if !holders.is_empty() {
                let share = (page_bytes << super::SHARE_BITS) / holders.len() as u64;
                holders.iter().for_each(|holder| shares[*holder] += (slot - last) * share);
            }
            last = *slot;
            if *begins {
                holders.push(*process);
            } else if let Some(place) = holders.iter().position(|holder| holder == process) {
                holders.swap_remove(place);
            }
        }
        shares.into_iter().map(super::whole).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn swap_shares(processes: &[&[SlotRun]], page_bytes: u64) -> Vec<Kib> {
        SlotBorders::new(processes.iter().copied()).shares(page_bytes)
    }

    /// The slots of some processes, and whether each is in the group.
    fn slots_of_group(all: &[&[SlotRun]], is_member: impl Fn(usize) -> bool) -> GroupSlots {
        let members = (0..all.len()).filter(|place| is_member(*place)).map(|place| all[place]);
        let borders = SlotBorders::new(all.iter().copied());
        SlotBorders::new(members).of_group(&borders, |place| !is_member(place), 4096)
    }

    #[test]
    fn slots_are_divided_by_their_entries() {
        let run = |start, len| SlotRun { start, len };
        let mut parent = Vec::new();
        (100..130).chain([7, 500]).for_each(|slot| push(&mut parent, slot));
        assert_eq!(parent, [run(100, 30), run(7, 1), run(500, 1)]);
        // A child has ten of the slots, another one five of these and one of its own.
        let (child, other) = ([run(110, 10)], [run(115, 5), run(9000, 1)]);
        let shares = swap_shares(&[&parent, &child, &other], 4096);
        // In sixths of a page: five slots of two entries, five of three.
        let expected = [22 * 6 + 5 * 3 + 5 * 2, 5 * 3 + 5 * 2, 5 * 2 + 6];
        assert_eq!(shares, expected.map(|sixths| Kib(sixths * 4 / 6)));
        assert_eq!(swap_shares(&[&[run(1, 2), run(2, 1)]], 4096), [Kib(8)]);
        assert!(swap_shares(&[], 4096).is_empty());
        for (members, pages) in [
            ([true, true, true], 33),
            ([true, true, false], 27),
            ([true, false, false], 22),
            ([false, true, true], 1),
            ([false, true, false], 0),
        ] {
            let runs = [&parent[..], &child, &other];
            let slots = slots_of_group(&runs, |place| members[place]);
            assert_eq!(slots.alone, Kib(pages * 4), "{members:?}");
        }
    }

    /// Shares bound the number of slots that others have entries of, but do not name them.
    #[test]
    fn shares_bound_the_slots_of_a_group() {
        let run = |start, len| [SlotRun { start, len }];
        let (parent, child, other) = (run(0, 100), run(50, 50), run(90, 10));
        let all = [&parent[..], &child, &other];
        let shares = swap_shares(&all, 4096);
        for (members, alone, at_least) in [
            // Of ten slots the group has two of three entries.
            (&[0, 1][..], 90, 90),
            // Of forty slots one of two, of ten one of three.
            (&[0], 50, 100 - 2 * (40 / 2 + 10 * 2 / 3) - 1),
            (&[0, 1, 2], 100, 100),
        ] {
            let slots = slots_of_group(&all, |place| members.contains(&place));
            assert_eq!(slots.alone, Kib(alone * 4), "{members:?}");
            let shares = members.iter().map(|place| shares[*place]).sum();
            let certain = slots.certainly_alone(shares);
            assert!(certain <= slots.alone, "{members:?}: {certain:?}");
            assert!(certain >= Kib(at_least * 4 - 12), "{members:?}: {certain:?}");
        }
    }
    /// Also where the rounding of the kernel and real sharing look alike.
    #[test]
    fn what_is_certain_is_true() {
        let mut seed = 7_u64;
        let mut below = |most: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            (seed >> 33) % most
        };
        for _ in 0..2000 {
            let count = 2 + below(8);
            let runs: Vec<[SlotRun; 1]> =
                (0..count).map(|_| [SlotRun { start: below(6), len: 1 + below(20) }]).collect();
            let members: Vec<bool> = (0..count).map(|_| below(3) > 0).collect();
            let all: Vec<&[SlotRun]> = runs.iter().map(|run| &run[..]).collect();
            let slots = slots_of_group(&all, |place| members[place]);
            let shares = swap_shares(&all, 4096).into_iter().zip(&members);
            let shares = shares.filter(|(_, is_member)| **is_member).map(|(share, _)| share).sum();
            let certain = slots.certainly_alone(shares);
            assert!(certain <= slots.alone, "{runs:?} {members:?}: {certain:?}");
        }
    }
}
