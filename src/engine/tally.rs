//! What a number of probes found.
//!
//! Names, and control groups where they are asked for, stand in one run of bytes, so that a process
//! costs no allocation of its own, and so that a thread can fill a tally that outlives it.

use super::IoStats;
use crate::process::{Coverage, Fate, Plan, Probe, ProcessUsage};
use crate::smaps::Smaps;
use crate::units::Pid;

/// The results of an engine, or of one of its threads.
#[derive(Debug, Default)]
pub struct Tally {
    rows: Vec<Row>,
    /// What else is known of some, in the same order: of nobody unless it was asked for.
    places: Vec<Place>,
    /// Names and control groups, one behind the other.
    texts: Vec<u8>,
    /// Processes that are neither measured nor left out on purpose.
    missing: Vec<(Pid, Fate)>,
    coverage: Coverage,
    pub(super) io: IoStats,
}

#[derive(Debug)]
struct Row {
    pid: Pid,
    name_end: usize,
    smaps: Smaps,
}

#[derive(Debug)]
struct Place {
    /// Whose it is.
    row: usize,
    cgroup_end: usize,
    uid: Option<u32>,
    start_time: Option<u64>,
}

impl Tally {
    /// A tally with room for so many processes.
    pub(super) fn with_room(processes: usize, plan: &Plan) -> Tally {
        const USUAL_NAME: usize = 24;
        Tally {
            rows: Vec::with_capacity(processes),
            places: Vec::with_capacity(if plan.asks_more() { processes } else { 0 }),
            texts: Vec::with_capacity(processes * USUAL_NAME),
            ..Tally::default()
        }
    }

    /// Takes over what a finished probe knows.
    pub(super) fn record(&mut self, probe: &Probe) {
        let Some(fate) = probe.fate() else { return };
        self.skip(probe.pid(), fate);
        if let (Fate::Measured, Some(smaps)) = (fate, probe.smaps()) {
            self.texts.extend_from_slice(probe.name());
            let (pid, name_end) = (probe.pid(), self.texts.len());
            self.place(probe);
            self.rows.push(Row { pid, name_end, smaps: *smaps });
        }
    }

    /// Takes over what was asked besides of the process that has the next row.
    fn place(&mut self, probe: &Probe) {
        let (uid, start_time) = (probe.uid(), probe.start_time());
        if uid.is_some() || start_time.is_some() || !probe.cgroup().is_empty() {
            self.texts.extend_from_slice(probe.cgroup());
            let (row, cgroup_end) = (self.rows.len(), self.texts.len());
            self.places.push(Place { row, cgroup_end, uid, start_time });
        }
    }

    /// Takes note of a process by its fate alone.
    pub(super) fn skip(&mut self, pid: Pid, fate: Fate) {
        self.coverage.count(fate);
        if fate.is_missing() {
            self.missing.push((pid, fate));
        }
    }

    /// Takes note that a process was not finished in time.
    pub(super) fn time_out(&mut self, pid: Pid) {
        self.skip(pid, Fate::TimedOut);
    }

    /// Judges once more who was given up, as long as somebody knows better.
    pub(super) fn reclassify(&mut self, better: impl Fn(Pid) -> Option<Fate>) {
        let given_up = |(_, fate): &(Pid, Fate)| matches!(fate, Fate::TimedOut | Fate::NotAsked);
        let (late, rest) = std::mem::take(&mut self.missing).into_iter().partition(given_up);
        self.missing = rest;
        let late: Vec<(Pid, Fate)> = late;
        (self.coverage.timed_out, self.coverage.not_asked) = (0, 0);
        for (pid, fate) in late {
            self.skip(pid, better(pid).unwrap_or(fate));
        }
    }

    pub(super) fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    pub(super) fn missing(&self) -> &[(Pid, Fate)] {
        &self.missing
    }

    pub(super) fn processes(&self) -> impl Iterator<Item = ProcessUsage<'_>> + Clone {
        let (mut begin, mut places) = (0, self.places.iter().peekable());
        self.rows.iter().enumerate().map(move |(index, row)| {
            let Row { pid, name_end, smaps } = *row;
            let name = &self.texts[begin..name_end];
            let place = places.next_if(|place| place.row == index);
            begin = place.map_or(name_end, |place| place.cgroup_end);
            let cgroup = Some(&self.texts[name_end..begin]).filter(|path| !path.is_empty());
            let uid = place.and_then(|place| place.uid);
            let start_time = place.and_then(|place| place.start_time);
            ProcessUsage { pid, name, smaps, uid, cgroup, start_time }
        })
    }
}
