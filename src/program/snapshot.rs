//! The rows of one report, for comparison with another.

use serde::{Deserialize, Serialize};

use super::{Column, Grouping, Program, Programs, Usage};
use crate::units::{Kib, Pid};

/// The rows of one report: all of them, whatever `--top` hides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The meaning of a row.
    pub grouping: Grouping,
    /// Sorted by identity, each identity once.
    pub(super) rows: Vec<SnapshotRow>,
    /// The total of the report.
    pub total: Amounts,
    /// Whether `rows` lacks no row.
    pub is_whole: bool,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotRow {
    /// The name.
    pub name: Vec<u8>,
    /// The process, if rows are processes.
    pub pid: Option<Pid>,
    /// The start of that process in clock ticks since boot (`starttime`, `proc_pid_stat(5)`), if
    /// known: the kernel reuses process ids.
    pub start_time: Option<u64>,
    /// Its figures.
    pub amounts: Amounts,
}

/// The figures that are compared; `None` is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts {
    /// The number of processes.
    pub count: u64,
    /// RAM.
    pub ram: Option<Kib>,
    /// The share of swap.
    pub swap: Option<Kib>,
}

/// Rows of two reports are the same row if their identities are equal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Identity<'a> {
    Name(&'a [u8]),
    Process(Pid),
}

impl Snapshot {
    /// Rows of one identity become one row: a program can have processes that were measured and
    /// others that were not, and then its figures are unknown.
    pub fn new(grouping: Grouping, mut rows: Vec<SnapshotRow>, total: Amounts) -> Snapshot {
        rows.sort_by(|a, b| a.identity().cmp(&b.identity()));
        rows.dedup_by(|next, row| {
            let is_same = next.identity() == row.identity();
            if is_same {
                row.amounts.add(&next.amounts);
            }
            is_same
        });
        Snapshot { grouping, rows, total, is_whole: true }
    }

    /// The rows of a report that was just made.
    pub fn from_programs(programs: &Programs<'_>) -> Snapshot {
        let grouping = programs.grouping;
        let process = |pid: Option<Pid>| pid.filter(|_| grouping == Grouping::Pid);
        let known = programs.rows.iter().chain(&programs.cut).map(|row| SnapshotRow {
            name: row.name.to_vec(),
            pid: process(row.pid),
            start_time: row.start_time,
            amounts: Amounts::new(row.count, Some(&row.usage)),
        });
        let unknown = programs.unknown.iter().map(|row| SnapshotRow {
            name: row.name.clone(),
            pid: process(row.pid),
            start_time: None,
            amounts: Amounts::new(row.count, None),
        });
        let total = Amounts::new(programs.count, programs.total.as_ref());
        let is_whole = programs.unknown_rest.is_none();
        Snapshot { is_whole, ..Snapshot::new(grouping, known.chain(unknown).collect(), total) }
    }

    /// This row of a later report, as it was.
    pub fn row(&self, row: &Program<'_>) -> Option<&SnapshotRow> {
        let process = row.pid.filter(|_| self.grouping == Grouping::Pid);
        self.find(Identity::new(row.name, process), row.start_time)
    }

    /// Processes of one id are the same unless their start times differ.
    pub(super) fn find(
        &self,
        identity: Identity<'_>,
        start_time: Option<u64>,
    ) -> Option<&SnapshotRow> {
        let place = self.rows.binary_search_by(|row| row.identity().cmp(&identity)).ok()?;
        let row = &self.rows[place];
        let is_reused = row.start_time.zip(start_time).is_some_and(|(then, now)| then != now);
        (!is_reused).then_some(row)
    }
}

impl SnapshotRow {
    pub(super) fn identity(&self) -> Identity<'_> {
        Identity::new(&self.name, self.pid)
    }
}

impl<'a> Identity<'a> {
    fn new(name: &'a [u8], process: Option<Pid>) -> Identity<'a> {
        process.map_or(Identity::Name(name), Identity::Process)
    }
}

impl Amounts {
    /// The figures of a row that does not exist.
    pub const NOTHING: Amounts = Amounts { count: 0, ram: Some(Kib(0)), swap: Some(Kib(0)) };

    fn new(count: u64, usage: Option<&Usage>) -> Amounts {
        let get = |column| usage.and_then(|usage| usage.get(column));
        Amounts { count, ram: get(Column::Ram), swap: get(Column::Swap) }
    }

    fn add(&mut self, other: &Amounts) {
        let sum = |a: Option<Kib>, b: Option<Kib>| a.zip(b).map(|(a, b)| a + b);
        self.count = self.count.saturating_add(other.count);
        self.ram = sum(self.ram, other.ram);
        self.swap = sum(self.swap, other.swap);
    }
}
