//! What a number of probes found.
//!
//! Names stand in one run of bytes, so that a process costs no allocation of its own, and so that
//! a thread can fill a tally that outlives it.

use super::IoStats;
use crate::process::{Coverage, Fate, Probe, ProcessUsage};
use crate::smaps::Smaps;
use crate::units::Pid;

/// The results of an engine, or of one of its threads.
#[derive(Debug, Default)]
pub struct Tally {
    rows: Vec<Row>,
    names: Vec<u8>,
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

impl Tally {
    /// A tally with room for so many processes.
    pub(super) fn with_room(processes: usize) -> Tally {
        const USUAL_NAME: usize = 24;
        Tally {
            rows: Vec::with_capacity(processes),
            names: Vec::with_capacity(processes * USUAL_NAME),
            ..Tally::default()
        }
    }

    /// Takes over what a finished probe knows.
    pub(super) fn take(&mut self, probe: &Probe) {
        let Some(fate) = probe.fate() else { return };
        self.pass_over(probe.pid(), fate);
        if let (Fate::Measured, Some(smaps)) = (fate, probe.smaps()) {
            self.names.extend_from_slice(probe.name());
            let name_end = self.names.len();
            self.rows.push(Row { pid: probe.pid(), name_end, smaps: *smaps });
        }
    }

    /// Takes note of a process by its fate alone.
    pub(super) fn pass_over(&mut self, pid: Pid, fate: Fate) {
        self.coverage.count(fate);
        if fate.is_missing() {
            self.missing.push((pid, fate));
        }
    }

    /// Takes note that a process was not finished in time.
    pub(super) fn give_up(&mut self, pid: Pid) {
        self.pass_over(pid, Fate::TimedOut);
    }

    pub(super) fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    pub(super) fn missing(&self) -> &[(Pid, Fate)] {
        &self.missing
    }

    pub(super) fn processes(&self) -> impl Iterator<Item = ProcessUsage<'_>> + Clone {
        let mut begin = 0;
        self.rows.iter().map(move |row| {
            let name = &self.names[begin..row.name_end];
            begin = row.name_end;
            ProcessUsage { pid: row.pid, name, smaps: row.smaps }
        })
    }
}
