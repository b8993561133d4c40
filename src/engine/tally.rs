//! What a number of probes found.
//!
//! Names, and control groups where they are asked for, stand in one run of bytes, so that a process
//! costs no allocation of its own, and so that a thread can fill a tally that outlives it.

use super::IoStats;
use crate::process::{Coverage, Fate, Probe, ProcessUsage};
use crate::smaps::Smaps;
use crate::units::Pid;

/// The results of an engine, or of one of its threads.
#[derive(Debug, Default)]
pub struct Tally {
    rows: Vec<Row>,
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
    cgroup_end: usize,
    uid: Option<u32>,
    start_time: Option<u64>,
    smaps: Smaps,
}

impl Tally {
    /// A tally with room for so many processes.
    pub(super) fn with_room(processes: usize) -> Tally {
        const USUAL_NAME: usize = 24;
        Tally {
            rows: Vec::with_capacity(processes),
            texts: Vec::with_capacity(processes * USUAL_NAME),
            ..Tally::default()
        }
    }

    /// Takes over what a finished probe knows.
    pub(super) fn take(&mut self, probe: &Probe) {
        let Some(fate) = probe.fate() else { return };
        self.pass_over(probe.pid(), fate);
        if let (Fate::Measured, Some(smaps)) = (fate, probe.smaps()) {
            self.texts.extend_from_slice(probe.name());
            let name_end = self.texts.len();
            self.texts.extend_from_slice(probe.cgroup());
            let (pid, uid, cgroup_end) = (probe.pid(), probe.uid(), self.texts.len());
            let start_time = probe.start_time();
            self.rows.push(Row { pid, name_end, cgroup_end, uid, start_time, smaps: *smaps });
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
            let Row { pid, name_end, cgroup_end, uid, start_time, smaps } = *row;
            let name = &self.texts[begin..name_end];
            let cgroup = Some(&self.texts[name_end..cgroup_end]).filter(|path| !path.is_empty());
            begin = cgroup_end;
            ProcessUsage { pid, name, smaps, uid, cgroup, start_time }
        })
    }
}
