//! The rows that changed from one report to another. A figure that either report lacks has no
//! difference.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{Amounts, Column, FaultRate, RowWords, Snapshot, SnapshotRow};
use crate::host::GroupEvents;
use crate::units::Kib;

/// A difference in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Delta(pub i64);

impl Delta {
    /// The difference between two amounts, unknown if one of them is.
    fn between(before: Option<Kib>, after: Option<Kib>) -> Option<Delta> {
        let signed = |kib: Kib| i64::try_from(kib.0).unwrap_or(i64::MAX);
        before.zip(after).map(|(before, after)| Delta(signed(after) - signed(before)))
    }

    /// The amount without its sign.
    pub fn size(self) -> Kib {
        Kib(self.0.unsigned_abs())
    }
}

/// Machine formats are in bytes.
impl Serialize for Delta {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0.saturating_mul(1024))
    }
}

/// The reports that have a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// Both.
    Stayed,
    /// Only the later one.
    New,
    /// Only the earlier one.
    Gone,
}

/// One row of either report, and its figures in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiffRow<'a> {
    /// The row, as in the later report if both have it.
    pub row: &'a SnapshotRow,
    /// The title if the key has no other one in either report, else the key. The later name of a
    /// process.
    pub name: &'a [u8],
    /// Its figures.
    pub amounts: BeforeAfter,
}

/// Figures in two reports; `None` where the report lacks the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BeforeAfter {
    /// The differences. A row that a report lacks had nothing.
    pub change: Change,
    /// The figures in the earlier report.
    pub before: Option<Amounts>,
    /// The figures in the later report.
    pub after: Option<Amounts>,
}

/// The differences of all figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The number of processes.
    pub count: i64,
    /// RAM.
    pub ram: Option<Delta>,
    /// The share of swap.
    pub swap: Option<Delta>,
    /// The memory that is charged to control groups, if both reports have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charged: Option<Delta>,
    /// The swap that is charged to them, under the same condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cg_swap: Option<Delta>,
    /// Page tables, under the same condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_tables: Option<Delta>,
    /// Memory that GPU drivers hold, under the same condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Delta>,
    /// Pages that the kernel may take back, under the same condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lazyfree: Option<Delta>,
    /// The events at their limits, under the same condition: below 0 if a group was made anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<EventsChange>,
    /// The major page faults per second, if both reports have them and the row is a process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub faults: Option<FaultRate>,
}

/// The differences of numbers of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventsChange(pub [(&'static str, Option<i64>); 5]);

impl EventsChange {
    fn between(before: Option<GroupEvents>, after: Option<GroupEvents>) -> Option<EventsChange> {
        let (before, after) = (before?.all(), after?.all());
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        Some(EventsChange(std::array::from_fn(|place| {
            let (event, now) = after[place];
            let both = before[place].1.zip(now);
            (event, both.map(|(then, now)| signed(now) - signed(then)))
        })))
    }

    /// Whether a number differs.
    pub fn is_any(&self) -> bool {
        self.0.iter().any(|(_, change)| change.is_some_and(|change| change != 0))
    }
}

impl Serialize for EventsChange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0)
    }
}

impl BeforeAfter {
    /// Compares the figures.
    pub fn new(before: Option<Amounts>, after: Option<Amounts>) -> BeforeAfter {
        BeforeAfter::over(before, after, None)
    }

    /// The same of reports with this time between them.
    fn over(
        before: Option<Amounts>,
        after: Option<Amounts>,
        interval: Option<Duration>,
    ) -> BeforeAfter {
        // Those of a process that ended are unknown. One that the earlier report lacks may have
        // begun before it.
        let faults = before.zip(after).and_then(|(before, after)| {
            let more = after.major_faults?.saturating_sub(before.major_faults?);
            FaultRate::new(Some(more), interval)
        });
        let [then, now] = [before, after].map(|amounts| amounts.unwrap_or(Amounts::NOTHING));
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let change = Change {
            count: signed(now.count) - signed(then.count),
            ram: Delta::between(then.ram, now.ram),
            swap: Delta::between(then.swap, now.swap),
            charged: Delta::between(then.charged, now.charged),
            cg_swap: Delta::between(then.cg_swap, now.cg_swap),
            page_tables: Delta::between(then.page_tables, now.page_tables),
            gpu: Delta::between(then.gpu, now.gpu),
            lazyfree: Delta::between(then.lazyfree, now.lazyfree),
            events: EventsChange::between(then.events, now.events),
            faults,
        };
        BeforeAfter { change, before, after }
    }

    /// The reports that have the row.
    pub fn presence(&self) -> Presence {
        match self {
            BeforeAfter { before: None, .. } => Presence::New,
            BeforeAfter { after: None, .. } => Presence::Gone,
            _ => Presence::Stayed,
        }
    }
}

impl Change {
    /// The difference of an amount.
    pub fn get(&self, column: Column) -> Option<Delta> {
        match column {
            Column::Ram => self.ram,
            Column::Swap => self.swap,
            Column::Charged => self.charged,
            Column::CgSwap => self.cg_swap,
            Column::PageTables => self.page_tables,
            Column::Gpu => self.gpu,
            Column::LazyFree => self.lazyfree,
            _ => None,
        }
    }

    /// The same without figures that a report lacks in every row: a row of one report alone would
    /// have a difference to nothing.
    fn of_both(self, [before, after]: [&Snapshot; 2]) -> Change {
        let is_in_both = |column| before.has(column) && after.has(column);
        let both = |column| self.get(column).filter(|_| is_in_both(column));
        Change {
            charged: both(Column::Charged),
            cg_swap: both(Column::CgSwap),
            page_tables: both(Column::PageTables),
            gpu: both(Column::Gpu),
            lazyfree: both(Column::LazyFree),
            events: self.events.filter(|_| is_in_both(Column::Events)),
            ..self
        }
    }

    /// Whether a difference reaches the threshold, or may reach it because it is unknown.
    fn reaches(&self, threshold: Threshold) -> bool {
        let is_large = |delta: Option<Delta>| delta.is_none_or(|d| d.size() >= threshold.size);
        // Most reports lack these.
        let others = [self.charged, self.cg_swap, self.page_tables, self.gpu, self.lazyfree];
        let is_other_large = others.iter().flatten().any(|delta| delta.size() >= threshold.size);
        let has_event = self.events.is_some_and(|events| events.is_any())
            || self.faults.is_some_and(|rate| rate.count > 0);
        is_large(self.ram)
            || is_large(self.swap)
            || is_other_large
            || (self.count != 0 || has_event) && threshold.counts
    }
}

/// The least change of a row that a diff shows.
#[derive(Clone, Copy, Debug)]
pub struct Threshold {
    /// The difference of RAM or of swap.
    pub size: Kib,
    /// Whether any difference in the number of processes is enough.
    pub counts: bool,
}

/// Two reports, compared.
#[derive(Debug, PartialEq, Eq)]
pub struct Diff<'a> {
    /// The words for rows.
    pub words: RowWords,
    /// The rows that changed enough; the largest growth is last.
    pub rows: Vec<DiffRow<'a>>,
    /// The number of rows that changed less.
    pub left_out: usize,
    /// Whether some of those changed by an amount that a table shows.
    pub leaves_changes_out: bool,
    /// The totals of both reports.
    pub total: BeforeAfter,
}

/// Compares two reports.
pub fn diff<'a>(before: &'a Snapshot, after: &'a Snapshot, threshold: Threshold) -> Diff<'a> {
    let times = before.at.zip(after.at);
    let has_faults = before.has(Column::Faults);
    let interval = times.and_then(|(then, now)| now.checked_sub(then)).filter(|_| has_faults);
    let kept = after.rows.iter().map(|row| {
        let then = before.find(row.identity(), row.start_time);
        let is_titled = row.pid.is_some() || then.is_none_or(|then| then.name == row.name);
        // Without a start time it may be another process.
        let interval = interval.filter(|_| row.start_time.is_some());
        let then_amounts = then.map(|then| then.amounts);
        let amounts = BeforeAfter::over(then_amounts, Some(row.amounts), interval);
        DiffRow { row, name: if is_titled { &row.name } else { &row.key }, amounts }
    });
    let gone = before.rows.iter().filter(|r| after.find(r.identity(), r.start_time).is_none());
    let gone = gone.map(|row| {
        let amounts = BeforeAfter::new(Some(row.amounts), None);
        DiffRow { row, name: &row.name, amounts }
    });
    let mut rows: Vec<DiffRow<'_>> = kept.chain(gone).collect();
    let total = BeforeAfter::new(Some(before.total), Some(after.total));
    let faults = FaultRate::new(faults_of(&rows), interval);
    let mut total = BeforeAfter { change: Change { faults, ..total.change }, ..total };
    for amounts in rows.iter_mut().map(|row| &mut row.amounts).chain([&mut total]) {
        amounts.change = amounts.change.of_both([before, after]);
    }
    let all = rows.len();
    rows.retain(|row| row.amounts.change.reaches(threshold));
    rows.sort_unstable_by(|a, b| a.sort_key().cmp(&b.sort_key()));
    Diff {
        words: after.words,
        left_out: all - rows.len(),
        leaves_changes_out: !threshold.counts,
        rows,
        total,
    }
}

/// The faults of the processes that both reports have: the others have none to compare. `None` if
/// there is no such process, or if those of one are unknown.
fn faults_of(rows: &[DiffRow<'_>]) -> Option<u64> {
    let stayed = rows.iter().filter(|row| row.amounts.presence() == Presence::Stayed);
    let counts = stayed.map(|row| row.amounts.change.faults.map(|rate| rate.count));
    counts.reduce(|sum, more| Some(sum?.saturating_add(more?))).flatten()
}

impl<'a> DiffRow<'a> {
    /// Growth of RAM first; the rest makes the order unique.
    fn sort_key(&self) -> impl Ord + use<'a> {
        let Change { count, ram, swap, charged, cg_swap, page_tables, gpu, lazyfree, .. } =
            self.amounts.change;
        let others = (charged, cg_swap, gpu, page_tables, lazyfree);
        (ram, swap, others, count, self.name, self.row.pid, self.row.start_time)
    }
}

impl Diff<'_> {
    /// Keeps the rows that changed most, at most `rows_max` of them.
    pub fn keep(&mut self, rows_max: usize) {
        self.leaves_changes_out |= self.rows.len() >= rows_max;
        let excess = self.rows.len().saturating_sub(rows_max);
        let size = |row: &DiffRow<'_>| row.amounts.change.ram.map_or(Kib(u64::MAX), Delta::size);
        let mut sizes: Vec<Kib> = self.rows.iter().map(size).collect();
        sizes.sort_unstable();
        for least in sizes.into_iter().take(excess) {
            if let Some(place) = self.rows.iter().position(|row| size(row) == least) {
                self.rows.remove(place);
                self.left_out += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Grouping;
    use super::*;
    use crate::process::NameRule;
    use crate::units::Pid;

    fn row(name: &str, count: u64, ram: Option<u64>) -> SnapshotRow {
        let (ram, swap) = (ram.map(Kib), Some(Kib(0)));
        let amounts = Amounts { count, ram, swap, ..Amounts::default() };
        let (key, name) = (Vec::new(), name.into());
        SnapshotRow { key, name, pid: None, start_time: None, amounts }
    }

    fn snapshot(rows: &[SnapshotRow]) -> Snapshot {
        Snapshot::new(Grouping::Program, NameRule::Title, rows.to_vec(), Amounts::default())
    }

    fn shown<'a>(diff: &Diff<'a>) -> Vec<(&'a str, Presence, Option<i64>)> {
        let one = |row: &DiffRow<'a>| {
            let name = std::str::from_utf8(row.name).expect("UTF-8");
            let ram = row.amounts.change.ram.map(|delta| delta.0);
            (name, row.amounts.presence(), ram)
        };
        diff.rows.iter().map(one).collect()
    }

    #[test]
    fn the_largest_growth_is_last() {
        use Presence::{Gone, New, Stayed};
        let before = snapshot(&[
            row("same", 1, Some(7)),
            row("less", 1, Some(9)),
            row("more", 1, Some(5)),
            row("gone", 2, Some(30)),
            row("stuck", 1, Some(3)),
            row("moved", 1, Some(3)),
        ]);
        let after = snapshot(&[
            row("more", 1, Some(8)),
            row("same", 1, Some(7)),
            row("less", 1, Some(8)),
            row("new", 1, Some(20)),
            row("stuck", 1, None),
            row("moved", 2, Some(3)),
        ]);
        let diff_of =
            |least| diff(&before, &after, Threshold { size: Kib(least), counts: least == 1 });
        assert_eq!(
            shown(&diff_of(1)),
            [
                ("stuck", Stayed, None),
                ("gone", Gone, Some(-30)),
                ("less", Stayed, Some(-1)),
                ("moved", Stayed, Some(0)),
                ("more", Stayed, Some(3)),
                ("new", New, Some(20)),
            ]
        );
        assert_eq!(diff_of(1).left_out, 1);
        let biggest = [("stuck", Stayed, None), ("gone", Gone, Some(-30)), ("new", New, Some(20))];
        let mut kept = diff_of(1);
        kept.keep(3);
        assert_eq!((&shown(&kept)[..], kept.left_out), (&biggest[..], 4));
        let few = diff_of(4);
        assert_eq!((&shown(&few)[..], few.left_out), (&biggest[..], 4));
    }

    /// Titles that change are one row with the sum of their processes; a title that stays is shown.
    #[test]
    fn rows_of_one_key_are_one_row() {
        let before = snapshot(&[
            row("db: poller #1 [idle 3 sec]", 1, Some(10)),
            row("db: poller #2 [got 1 value]", 2, Some(20)),
            row("web: worker", 1, Some(5)),
        ]);
        let after = snapshot(&[
            row("db: poller #1 [idle 4 sec]", 2, Some(21)),
            row("db: housekeeper", 1, Some(13)),
            row("web: worker", 1, Some(6)),
            row("new: b [2]", 1, Some(1)),
            row("new: a [1]", 1, Some(1)),
        ]);
        let diff = diff(&before, &after, Threshold { size: Kib(1), counts: true });
        use Presence::{New, Stayed};
        assert_eq!(
            shown(&diff),
            [("web: worker", Stayed, Some(1)), ("new", New, Some(2)), ("db", Stayed, Some(4))]
        );
        assert_eq!(diff.rows[2].amounts.change.count, 0);
    }

    #[test]
    fn a_partly_measured_program_has_no_difference() {
        let before =
            snapshot(&[row("java", 10, Some(500)), row("java", 1, None), row("sh", 1, Some(3))]);
        let rows: Vec<_> = before.rows.iter().map(|row| row.amounts).collect();
        assert_eq!(
            rows.iter().map(|row| (row.count, row.ram)).collect::<Vec<_>>(),
            [(11, None), (1, Some(Kib(3)))]
        );
        let after = snapshot(&[row("java", 11, Some(550)), row("sh", 1, Some(3))]);
        let diff = diff(&before, &after, Threshold { size: Kib(1), counts: true });
        assert_eq!(shown(&diff), [("java", Presence::Stayed, None)]);
    }

    #[test]
    fn a_reused_process_id_is_another_row() {
        let process = |start, name: &str, ram| {
            let (pid, start_time) = (Some(Pid(7)), Some(start));
            let rows = vec![SnapshotRow { pid, start_time, ..row(name, 1, Some(ram)) }];
            Snapshot::new(Grouping::Pid, NameRule::Title, rows, Amounts::default())
        };
        let least = Threshold { size: Kib(1), counts: true };
        let (then, renamed, reused) = (process(1, "a", 5), process(1, "b", 6), process(2, "a", 5));
        assert_eq!(shown(&diff(&then, &renamed, least)), [("b", Presence::Stayed, Some(1))]);
        assert_eq!(diff(&then, &reused, least).rows.len(), 2);
    }
}
