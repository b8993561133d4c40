//! Results on their way from a probe to the survey.
//!
//! Names stand in one run of bytes, so that a process costs no allocation of its own, and so that
//! a thread can fill a tally that outlives it.

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;

use super::{IoStats, Survey};
use crate::process::{Coverage, Fate, Probe, ProcessUsage};
use crate::smaps::Smaps;
use crate::units::Pid;

/// What a number of probes found.
#[derive(Debug, Default)]
pub(super) struct Tally {
    rows: Vec<Row>,
    names: Vec<u8>,
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
        self.coverage.count(probe.pid(), fate);
        if let (Fate::Measured, Some(smaps)) = (fate, probe.smaps()) {
            self.names.extend_from_slice(probe.name());
            let name_end = self.names.len();
            self.rows.push(Row { pid: probe.pid(), name_end, smaps: *smaps });
        }
    }

    /// Moves everything into the arena of the run.
    pub(super) fn survey<'run>(tallies: &[Tally], arena: &'run Bump) -> Survey<'run> {
        let rows = tallies.iter().map(|tally| tally.rows.len()).sum();
        let mut survey = Survey {
            processes: BumpVec::with_capacity_in(rows, arena),
            coverage: Coverage::default(),
            io: IoStats::default(),
        };
        for tally in tallies {
            let names = arena.alloc_slice_copy(&tally.names);
            let mut begin = 0;
            survey.processes.extend(tally.rows.iter().map(|row| {
                let name = &names[begin..row.name_end];
                begin = row.name_end;
                ProcessUsage { pid: row.pid, name, smaps: row.smaps }
            }));
            survey.coverage.add(&tally.coverage);
            survey.io.add(&tally.io);
        }
        survey
    }
}
