//! Rows as they were seen at one look, and what makes them the same ones at another.

use super::{Column, Grouping, Program, Programs, Unknown, Usage};
use crate::units::{Kib, Pid};
use std::collections::HashMap;

/// What makes rows of two looks the same one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// All processes of one name.
    Name(Vec<u8>),
    /// A process: its id, and when it started, for ids are given again. In clock ticks since boot
    /// (`starttime`, `proc_pid_stat(5)`).
    Process(Pid, Option<u64>),
}

/// A row as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotRow {
    /// The same row has the same one later.
    pub identity: Identity,
    /// How it is shown; a process may change its name.
    pub name: Vec<u8>,
    /// How much there was of it.
    pub amounts: Amounts,
}

/// What two rows have in common that may be the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Name(Vec<u8>),
    Process(Pid),
}

impl Identity {
    pub(super) fn key(&self) -> Key {
        match self {
            Identity::Name(name) => Key::Name(name.clone()),
            Identity::Process(pid, _) => Key::Process(*pid),
        }
    }

    /// Whether a row of the same key is the same, as far as anybody knows.
    pub(super) fn is(&self, other: &Identity) -> bool {
        match (self, other) {
            (Identity::Process(_, Some(start)), Identity::Process(_, Some(other))) => {
                start == other
            }
            _ => true,
        }
    }

    /// The process, if it is one.
    pub fn pid(&self) -> Option<Pid> {
        match self {
            Identity::Name(_) => None,
            Identity::Process(pid, _) => Some(*pid),
        }
    }

    fn of(name: &[u8], pid: Option<Pid>, start_time: Option<u64>, grouping: Grouping) -> Identity {
        match pid.filter(|_| grouping == Grouping::Pid) {
            Some(pid) => Identity::Process(pid, start_time),
            None => Identity::Name(name.to_vec()),
        }
    }

    /// That of a row.
    pub fn of_row(row: &Program<'_>, grouping: Grouping) -> Identity {
        Identity::of(row.name, row.pid, row.start_time, grouping)
    }
}

impl SnapshotRow {
    /// Every row of a report.
    pub fn all(programs: &Programs<'_>, grouping: Grouping) -> Vec<SnapshotRow> {
        let unknown = |row: &Unknown| SnapshotRow {
            identity: Identity::of(&row.name, row.pid, None, grouping),
            name: row.name.clone(),
            amounts: Amounts { count: row.count, ..Amounts::default() },
        };
        let known = programs.rows.iter().map(|row| SnapshotRow::known(row, grouping));
        SnapshotRow::merged(known.chain(programs.unknown.iter().map(unknown)))
    }

    pub(super) fn known(row: &Program<'_>, grouping: Grouping) -> SnapshotRow {
        SnapshotRow {
            identity: Identity::of_row(row, grouping),
            name: row.name.to_vec(),
            amounts: Amounts::of(row.count, &row.usage),
        }
    }

    /// Rows of the same identity in one: a program may have processes that were measured and others
    /// that were not, and then nobody knows what all of it has.
    pub fn merged(rows: impl Iterator<Item = SnapshotRow>) -> Vec<SnapshotRow> {
        let mut merged: Vec<SnapshotRow> = Vec::new();
        let mut places: HashMap<Key, usize> = HashMap::new();
        for row in rows {
            let place = *places.entry(row.identity.key()).or_insert(merged.len());
            match merged.get_mut(place) {
                Some(seen) => seen.amounts.add(&row.amounts),
                None => merged.push(row),
            }
        }
        merged
    }
}

/// How much there was; `None` is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// The number of processes.
    pub count: u64,
    /// RAM.
    pub ram: Option<Kib>,
    /// The share of swap.
    pub swap: Option<Kib>,
}

impl Amounts {
    /// What a row has that is not there; the default is what nobody knows.
    pub const NOTHING: Amounts = Amounts { count: 0, ram: Some(Kib(0)), swap: Some(Kib(0)) };

    fn add(&mut self, other: &Amounts) {
        let sum = |a: Option<Kib>, b: Option<Kib>| a.zip(b).map(|(a, b)| a + b);
        self.count += other.count;
        self.ram = sum(self.ram, other.ram);
        self.swap = sum(self.swap, other.swap);
    }

    fn of(count: u64, usage: &Usage) -> Amounts {
        Amounts { count, ram: usage.get(Column::Ram), swap: usage.get(Column::Swap) }
    }

    /// The sum of a report.
    pub fn total(programs: &Programs<'_>) -> Amounts {
        let known = |usage: &Usage| Amounts::of(programs.count, usage);
        programs.total.as_ref().map_or_else(Amounts::default, known)
    }
}

/// RAM of every row at the last look.
#[derive(Clone, Debug, Default)]
pub struct PreviousReport {
    rows: HashMap<Key, (Identity, Option<Kib>)>,
    /// Whether there were no others, which were cut.
    is_whole: bool,
}

impl PreviousReport {
    /// Remembers the rows of a report.
    pub fn of(programs: &Programs<'_>, grouping: Grouping) -> PreviousReport {
        let cut = programs.cut.iter().map(|row| SnapshotRow::known(row, grouping));
        let rows = SnapshotRow::all(programs, grouping).into_iter().chain(cut);
        let row = |seen: SnapshotRow| (seen.identity.key(), (seen.identity, seen.amounts.ram));
        let is_whole = programs.unknown_rest.is_none();
        PreviousReport { rows: rows.map(row).collect(), is_whole }
    }

    fn row(&self, identity: &Identity) -> Option<&(Identity, Option<Kib>)> {
        self.rows.get(&identity.key()).filter(|(then, _)| then.is(identity))
    }

    /// What a row had; `None` when nobody knows.
    pub fn ram(&self, identity: &Identity) -> Option<Kib> {
        self.row(identity).and_then(|(_, ram)| *ram)
    }

    /// Whether a row was not there.
    pub fn is_new(&self, identity: &Identity) -> bool {
        self.is_whole && self.row(identity).is_none()
    }
}
