//! What was measured, as it is kept under `benches/record`: every round of every command, the host
//! and the crowd. One run a line, so that a person can compare two of them.

use std::time::Duration;

use serde::Serialize;

use super::candidate::{Candidate, Work};
use super::crowd::{Kind, Spec};
use super::harness::about::{self, About, Labels};
use super::usage::Ran;

/// What stood around; no crowd is the host as it is.
#[derive(Serialize)]
struct Around {
    crowd: &'static str,
    processes: usize,
    mappings: usize,
    private_pages: usize,
    shared_pages: usize,
}

/// All runs of one command.
#[derive(Serialize)]
pub(crate) struct Run {
    pub(crate) name: String,
    command: String,
    version: String,
    pub(crate) wall_us: Vec<u64>,
    pub(crate) user_us: Vec<u64>,
    pub(crate) system_us: Vec<u64>,
    /// The most of all rounds.
    pub(crate) peak_kib: u64,
    /// The sums that it printed.
    pub(crate) total_kib: Vec<u64>,
    pub(crate) work: Option<Work>,
}

impl Run {
    pub(crate) fn of(candidate: &Candidate) -> Run {
        Run {
            name: candidate.name.clone(),
            command: candidate.typed.clone(),
            version: candidate.version(),
            wall_us: Vec::new(),
            user_us: Vec::new(),
            system_us: Vec::new(),
            peak_kib: 0,
            total_kib: Vec::new(),
            work: None,
        }
    }

    pub(crate) fn add(&mut self, ran: &Ran, total_kib: f64) {
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.wall_us.push(us(ran.wall));
        self.user_us.push(us(ran.user));
        self.system_us.push(us(ran.system));
        self.peak_kib = self.peak_kib.max(ran.peak_kib);
        self.total_kib.push(Duration::from_secs_f64(total_kib).as_secs());
    }

    /// As the program itself says, where it does; else as its parent is told.
    pub(crate) fn peak_kib(&self) -> u64 {
        self.work.map_or(self.peak_kib, |work| work.peak_kib)
    }

    /// The part of all CPU time that was spent in user space. Of all rounds together: the kernel
    /// counts in ticks that are longer than what one round spends there.
    pub(crate) fn user_part(&self) -> f64 {
        self.user_us.iter().sum::<u64>() as f64 / self.cpu_us().iter().sum::<u64>() as f64
    }

    pub(crate) fn cpu_us(&self) -> Vec<u64> {
        self.user_us.iter().zip(&self.system_us).map(|(user, system)| user + system).collect()
    }
}

/// The text of a record.
pub(crate) fn to_json(labels: &Labels, spec: Option<&Spec>, runs: &[Run]) -> String {
    let around = spec.map(|spec| Around {
        crowd: spec.kind.word(),
        processes: spec.processes,
        // These are counted for forked members only.
        mappings: if matches!(spec.kind, Kind::Small | Kind::Many) { spec.mappings } else { 0 },
        private_pages: spec.private,
        shared_pages: spec.shared,
    });
    about::to_json(&About::this("psm-uring.commands.v1", labels), &around, runs)
}
