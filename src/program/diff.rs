//! How rows grew from one look to the next. What was not known at one of the two has not grown by
//! any number.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::snapshot::Key;
use super::{Amounts, Identity, SnapshotRow};
use crate::units::Kib;

/// A difference in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Delta(pub i64);

impl Delta {
    /// From one amount to another. Where one is unknown, so is the difference.
    fn between(before: Option<Kib>, after: Option<Kib>) -> Option<Delta> {
        let signed = |kib: Kib| i64::try_from(kib.0).unwrap_or(i64::MAX);
        before.zip(after).map(|(before, after)| Delta(signed(after) - signed(before)))
    }

    /// The same in bytes.
    pub fn bytes(self) -> i64 {
        self.0.saturating_mul(1024)
    }

    /// How much it is, up or down.
    pub fn size(self) -> Kib {
        Kib(self.0.unsigned_abs())
    }
}

/// Whether a row was there at both looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It was.
    Stayed,
    /// Only at the later one.
    New,
    /// Only at the earlier one.
    Gone,
}

impl Presence {
    /// A word for it.
    pub fn word(self) -> &'static str {
        match self {
            Presence::Stayed => "stayed",
            Presence::New => "new",
            Presence::Gone => "gone",
        }
    }
}

/// A row, and by how much it grew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffRow {
    /// The row.
    pub identity: Identity,
    /// The later name.
    pub name: Vec<u8>,
    /// When it was there.
    pub presence: Presence,
    /// What it had; nothing when it was not there.
    pub looks: BeforeAfter,
}

/// How much there was at each of two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeforeAfter {
    /// The earlier one.
    pub before: Amounts,
    /// The later one.
    pub after: Amounts,
}

/// By how much the amounts differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The number of processes.
    pub count: i64,
    /// RAM.
    pub ram: Option<Delta>,
    /// The share of swap.
    pub swap: Option<Delta>,
}

impl BeforeAfter {
    /// From one to the other.
    pub fn change(&self) -> Change {
        let BeforeAfter { before, after } = self;
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        Change {
            count: signed(after.count) - signed(before.count),
            ram: Delta::between(before.ram, after.ram),
            swap: Delta::between(before.swap, after.swap),
        }
    }
}

impl Change {
    /// Whether it differs enough, or nobody knows by how much.
    fn is_worth_a_row(&self, least: Threshold) -> bool {
        let is_large = |delta: Option<Delta>| delta.is_none_or(|delta| delta.size() >= least.size);
        is_large(self.ram) || is_large(self.swap) || self.count != 0 && least.counts
    }
}

impl Diff {
    /// Keeps the rows that changed most, if there are more than so many.
    pub fn keep(&mut self, rows: usize) {
        let excess = self.rows.len().saturating_sub(rows);
        let size = |row: &DiffRow| row.looks.change().ram.map_or(Kib(u64::MAX), Delta::size);
        let mut sizes: Vec<Kib> = self.rows.iter().map(size).collect();
        sizes.sort_unstable();
        for least in sizes.into_iter().take(excess) {
            if let Some(place) = self.rows.iter().position(|row| size(row) == least) {
                self.rows.remove(place);
                self.alike += 1;
            }
        }
    }

    /// What grew most first, if so wished.
    pub fn reversed(mut self, reverse: bool) -> Diff {
        if reverse {
            self.rows.reverse();
        }
        self
    }
}

/// What is worth a row.
#[derive(Clone, Copy, Debug)]
pub struct Threshold {
    /// A difference of RAM or swap by so much.
    pub size: Kib,
    /// A difference in the number of processes.
    pub counts: bool,
}

/// All rows of two looks.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Those that differ enough; what grew most is last.
    pub rows: Vec<DiffRow>,
    /// How many do not.
    pub alike: usize,
}

/// Compares two looks. Rows that differ by less are only counted.
pub fn diff(before: &[SnapshotRow], after: &[SnapshotRow], least: Threshold) -> Diff {
    let mut gone: HashMap<Key, &SnapshotRow> =
        before.iter().map(|seen| (seen.identity.key(), seen)).collect();
    let mut rows = Vec::new();
    for seen in after {
        let key = seen.identity.key();
        let is_it = gone.get(&key).is_some_and(|then| then.identity.is(&seen.identity));
        let then = if is_it { gone.remove(&key) } else { None };
        let (presence, before) = match then {
            Some(then) => (Presence::Stayed, then.amounts),
            None => (Presence::New, Amounts::NOTHING),
        };
        rows.push(grown(seen, presence, BeforeAfter { before, after: seen.amounts }));
    }
    for seen in gone.into_values() {
        let looks = BeforeAfter { before: seen.amounts, after: Amounts::NOTHING };
        rows.push(grown(seen, Presence::Gone, looks));
    }
    let all = rows.len();
    rows.retain(|row| row.looks.change().is_worth_a_row(least));
    rows.sort_unstable_by(by_growth);
    Diff { alike: all - rows.len(), rows }
}

fn grown(seen: &SnapshotRow, presence: Presence, looks: BeforeAfter) -> DiffRow {
    DiffRow { identity: seen.identity.clone(), name: seen.name.clone(), presence, looks }
}

fn by_growth(a: &DiffRow, b: &DiffRow) -> Ordering {
    let key = |row: &DiffRow| {
        let Change { count, ram, swap } = row.looks.change();
        (ram, swap, count)
    };
    let by_name = || a.name.cmp(&b.name).then_with(|| a.identity.cmp(&b.identity));
    key(a).cmp(&key(b)).then_with(by_name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Pid;

    fn seen(name: &str, count: u64, ram: Option<u64>) -> SnapshotRow {
        let identity = Identity::Name(name.into());
        let amounts = Amounts { count, ram: ram.map(Kib), swap: Some(Kib(0)) };
        SnapshotRow { identity, name: name.into(), amounts }
    }

    fn told(diff: &Diff) -> Vec<(String, Presence, Option<i64>)> {
        let name = |row: &DiffRow| String::from_utf8_lossy(&row.name).into_owned();
        let delta = |row: &DiffRow| row.looks.change().ram.map(|delta| delta.0);
        diff.rows.iter().map(|row| (name(row), row.presence, delta(row))).collect()
    }

    #[test]
    fn what_grew_most_is_last() {
        use Presence::{Gone, New, Stayed};
        let before = [
            seen("same", 1, Some(7)),
            seen("less", 1, Some(9)),
            seen("more", 1, Some(5)),
            seen("gone", 2, Some(30)),
            seen("dark", 1, Some(3)),
            seen("moved", 1, Some(3)),
        ];
        let after = [
            seen("more", 1, Some(8)),
            seen("same", 1, Some(7)),
            seen("less", 1, Some(8)),
            seen("new", 1, Some(20)),
            seen("dark", 1, None),
            seen("moved", 2, Some(3)),
        ];
        let growth_of =
            |least| diff(&before, &after, Threshold { size: Kib(least), counts: least == 1 });
        assert_eq!(
            told(&growth_of(1)),
            [
                ("dark", Stayed, None),
                ("gone", Gone, Some(-30)),
                ("less", Stayed, Some(-1)),
                ("moved", Stayed, Some(0)),
                ("more", Stayed, Some(3)),
                ("new", New, Some(20)),
            ]
            .map(|(name, presence, delta)| (name.to_owned(), presence, delta))
        );
        assert_eq!(growth_of(1).alike, 1);
        let mut kept = growth_of(1);
        kept.keep(3);
        let names: Vec<String> = told(&kept).into_iter().map(|row| row.0).collect();
        assert_eq!((names, kept.alike), (["dark", "gone", "new"].map(str::to_owned).into(), 4));
        let few = growth_of(4);
        let names: Vec<String> = told(&few).into_iter().map(|row| row.0).collect();
        assert_eq!((names, few.alike), (["dark", "gone", "new"].map(str::to_owned).into(), 4));
    }

    #[test]
    fn what_is_known_in_part_is_one_row() {
        let both = [seen("java", 10, Some(500)), seen("java", 1, None), seen("sh", 1, Some(3))];
        let merged = SnapshotRow::merged(both.into_iter());
        let rows: Vec<_> = merged.iter().map(|row| (row.amounts.count, row.amounts.ram)).collect();
        assert_eq!(rows, [(11, None), (1, Some(Kib(3)))]);
        let least = Threshold { size: Kib(1), counts: true };
        let after = [seen("java", 11, Some(550)), seen("sh", 1, Some(3))];
        let diff = diff(&merged, &after, least);
        assert_eq!(told(&diff), [("java".to_owned(), Presence::Stayed, None)]);
    }

    #[test]
    fn a_process_is_the_one_that_started_then() {
        let process = |start, name: &str, ram| {
            let identity = Identity::Process(Pid(7), Some(start));
            SnapshotRow { identity, ..seen(name, 1, Some(ram)) }
        };
        let least = Threshold { size: Kib(1), counts: true };
        let renamed = diff(&[process(1, "a", 5)], &[process(1, "b", 6)], least);
        assert_eq!(told(&renamed), [("b".to_owned(), Presence::Stayed, Some(1))]);
        let reused = diff(&[process(1, "a", 5)], &[process(2, "a", 5)], least);
        assert_eq!(reused.rows.len(), 2);
    }
}
