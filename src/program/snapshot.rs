//! The rows of one report, for comparison with another.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Column, Grouping, Program, Programs, RowWords, Usage};
use crate::host::GroupEvents;
use crate::process::NameRule;
use crate::units::{Kib, Pid};

/// The rows of one report: all of them, whatever `--top` hides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The meaning of a row.
    pub grouping: Grouping,
    /// The words for rows.
    pub words: RowWords,
    /// The rule of names, which makes the keys.
    rule: NameRule,
    /// Sorted by key or process, each once: rows of one key are merged.
    pub(super) rows: Vec<SnapshotRow>,
    /// Sorted by name or process, each once.
    names: Vec<SnapshotRow>,
    /// The total of the report.
    pub total: Amounts,
    /// Whether `rows` lacks no row.
    pub is_whole: bool,
    /// The start of the run since the Unix epoch, if known.
    pub(super) at: Option<Duration>,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotRow {
    /// The key, which [`Snapshot::new`] sets: it stays the same when a title changes. Before, the
    /// label with all details; empty if the name has them.
    pub key: Vec<u8>,
    /// The name, or the key if the row has several names.
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
    /// The memory that is charged to control groups, if the run asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charged: Option<Kib>,
    /// The swap that is charged to them, under the same condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cg_swap: Option<Kib>,
    /// Page tables, if the run asked for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_tables: Option<Kib>,
    /// Memory that GPU drivers hold, if the run asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Kib>,
    /// Pages that the kernel may take back, shared ones whole: no total has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lazyfree: Option<Kib>,
    /// The events at their limits, if the run asked for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<GroupEvents>,
    /// The major page faults since the process began, if the run asked for them and rows are
    /// processes: others lose those of each process that ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub major_faults: Option<u64>,
}

/// Rows of two reports are the same row if their identities are equal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Identity<'a> {
    Text(&'a [u8]),
    Process(Pid),
}

impl Snapshot {
    /// Rows of one identity become one row: a program can have processes that were measured and
    /// others that were not, and then its figures are unknown.
    pub fn new(
        grouping: Grouping,
        rule: NameRule,
        mut rows: Vec<SnapshotRow>,
        total: Amounts,
    ) -> Snapshot {
        for row in &mut rows {
            let placed = if row.key.is_empty() { &row.name } else { &row.key };
            row.key = grouping.key(rule, &row.name, placed, row.pid).into_owned();
        }
        let names = merged(rows, SnapshotRow::name_identity);
        let rows = merged(names.clone(), SnapshotRow::identity);
        let words = grouping.words();
        Snapshot { grouping, words, rule, rows, names, total, is_whole: true, at: None }
    }

    /// Sets the start of the run.
    #[must_use]
    pub fn taken_at(self, at: Option<Duration>) -> Snapshot {
        Snapshot { at, ..self }
    }

    /// The rows of a report of something else, whose names are their keys.
    pub fn of_names(words: RowWords, rows: Vec<SnapshotRow>, total: Amounts) -> Snapshot {
        // The label of a user is its key as well.
        let snapshot = Snapshot::new(Grouping::User, NameRule::Title, rows, total);
        Snapshot { words, ..snapshot }
    }

    /// The rows of a report that was just made.
    pub fn from_programs(programs: &Programs<'_>, rule: NameRule, at: Duration) -> Snapshot {
        let grouping = programs.grouping;
        let process = |pid: Option<Pid>| pid.filter(|_| grouping.is_process());
        let known = programs.rows.iter().chain(&programs.cut).map(|row| SnapshotRow {
            key: programs.placed.of(row.name).to_vec(),
            name: row.name.to_vec(),
            pid: process(row.pid),
            start_time: row.start_time,
            amounts: Amounts {
                events: row.charge.and_then(|charge| charge.events),
                major_faults: process(row.pid).and(row.faults.all),
                ..Amounts::new(row.count, Some(&row.usage))
            },
        });
        let unknown = programs.unknown.iter().map(|row| SnapshotRow {
            key: programs.placed.of(&row.name).to_vec(),
            name: row.name.clone(),
            pid: process(row.pid),
            start_time: None,
            amounts: Amounts::new(row.count, None),
        });
        let total = Amounts::new(programs.count, programs.total.as_ref());
        // As in a saved report, where the total lacks it.
        let total = Amounts { events: programs.events, lazyfree: None, ..total };
        let is_whole = programs.unknown_rest.is_none();
        let rows = known.chain(unknown).collect();
        let snapshot = Snapshot::new(grouping, rule, rows, total).taken_at(Some(at));
        Snapshot { is_whole, ..snapshot }
    }

    /// Whether a row has this figure, of those that not every run has.
    pub fn has(&self, column: Column) -> bool {
        self.rows.iter().any(|row| row.amounts.has(column))
    }

    /// This row of a later report, as it was under the same name; a label that may have become
    /// longer under the same key.
    pub fn row(&self, programs: &Programs<'_>, row: &Program<'_>) -> Option<&SnapshotRow> {
        if self.grouping.has_short_labels() {
            return self.find(Identity::Text(programs.placed.of(row.name)), None);
        }
        let identity = Identity::new(row.name, self.process(row));
        let place = self.names.binary_search_by(|row| row.name_identity().cmp(&identity)).ok()?;
        self.names.get(place).filter(|then| !then.is_other(row.start_time))
    }

    /// Whether a row of a later report is new: no name of its key was there.
    pub fn is_new(&self, programs: &Programs<'_>, row: &Program<'_>) -> bool {
        let process = self.process(row);
        let key = programs.key(self.rule, row.name, process);
        self.is_whole && self.find(Identity::new(&key, process), row.start_time).is_none()
    }

    fn process(&self, row: &Program<'_>) -> Option<Pid> {
        row.pid.filter(|_| self.grouping.is_process())
    }

    pub(super) fn find(
        &self,
        identity: Identity<'_>,
        start_time: Option<u64>,
    ) -> Option<&SnapshotRow> {
        let place = self.rows.binary_search_by(|row| row.identity().cmp(&identity)).ok()?;
        self.rows.get(place).filter(|row| !row.is_other(start_time))
    }
}

/// Sorts rows by identity, and merges those of one identity.
fn merged(
    mut rows: Vec<SnapshotRow>,
    identity: impl Fn(&SnapshotRow) -> Identity<'_>,
) -> Vec<SnapshotRow> {
    rows.sort_by(|a, b| identity(a).cmp(&identity(b)));
    rows.dedup_by(|next, row| {
        let is_same = identity(next) == identity(row);
        if is_same {
            row.amounts.add(&next.amounts);
            if next.name != row.name {
                row.name.clone_from(&row.key);
            }
        }
        is_same
    });
    rows
}

impl SnapshotRow {
    pub(super) fn identity(&self) -> Identity<'_> {
        Identity::new(&self.key, self.pid)
    }

    fn name_identity(&self) -> Identity<'_> {
        Identity::new(&self.name, self.pid)
    }

    /// Processes of one id are the same unless their start times differ.
    fn is_other(&self, start_time: Option<u64>) -> bool {
        self.start_time.zip(start_time).is_some_and(|(then, now)| then != now)
    }
}

impl<'a> Identity<'a> {
    fn new(text: &'a [u8], process: Option<Pid>) -> Identity<'a> {
        process.map_or(Identity::Text(text), Identity::Process)
    }
}

impl Amounts {
    /// The figures of a row that does not exist.
    pub const NOTHING: Amounts = Amounts {
        count: 0,
        ram: Some(Kib(0)),
        swap: Some(Kib(0)),
        charged: Some(Kib(0)),
        cg_swap: Some(Kib(0)),
        page_tables: Some(Kib(0)),
        gpu: Some(Kib(0)),
        lazyfree: Some(Kib(0)),
        events: Some(GroupEvents::NONE),
        major_faults: Some(0),
    };

    fn new(count: u64, usage: Option<&Usage>) -> Amounts {
        let get = |column| usage.and_then(|usage| usage.get(column));
        Amounts {
            count,
            ram: get(Column::Ram),
            swap: get(Column::Swap),
            charged: get(Column::Charged),
            cg_swap: get(Column::CgSwap),
            page_tables: get(Column::PageTables),
            gpu: get(Column::Gpu),
            lazyfree: get(Column::LazyFree),
            events: None,
            major_faults: None,
        }
    }

    /// Whether it has this figure, of those that not every run has.
    fn has(&self, column: Column) -> bool {
        match column {
            Column::Charged => self.charged.is_some(),
            Column::CgSwap => self.cg_swap.is_some(),
            Column::PageTables => self.page_tables.is_some(),
            Column::Gpu => self.gpu.is_some(),
            Column::LazyFree => self.lazyfree.is_some(),
            Column::Events => self.events.is_some(),
            Column::Faults => self.major_faults.is_some(),
            _ => false,
        }
    }

    fn add(&mut self, other: &Amounts) {
        let sum = |a: Option<Kib>, b: Option<Kib>| a.zip(b).map(|(a, b)| a + b);
        self.count = self.count.saturating_add(other.count);
        self.ram = sum(self.ram, other.ram);
        self.swap = sum(self.swap, other.swap);
        self.charged = sum(self.charged, other.charged);
        self.cg_swap = sum(self.cg_swap, other.cg_swap);
        self.page_tables = sum(self.page_tables, other.page_tables);
        self.gpu = sum(self.gpu, other.gpu);
        self.lazyfree = sum(self.lazyfree, other.lazyfree);
        self.events = self.events.zip(other.events).map(|(a, b)| a.sum(&b));
        // Rows of one process are never merged.
        self.major_faults = None;
    }
}
