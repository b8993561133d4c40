//! The results of a number of probes.
//!
//! Names and control groups are stored back to back in one buffer, so that a process costs no
//! allocation of its own and a thread can fill a tally that outlives it.

use super::IoStats;
use crate::process::{
    CgroupPaths, Coverage, Fate, FreedShare, Plan, Probe, ProcessUsage, SlotRun, StatFigures,
};
use crate::smaps::{MappingLog, SharedMapping, Smaps};
use crate::units::{Kib, Pid};

/// The results of an engine, or of one of its threads.
#[derive(Debug, Default)]
pub struct Tally {
    rows: Vec<TallyRow>,
    /// Owner, page tables, cgroup and figures of `stat` by row, ascending. Empty unless the plan
    /// asks for them.
    details: Vec<Details>,
    /// Names and control groups, back to back.
    texts: Vec<u8>,
    /// The mappings of measured processes. Empty unless the plan asks for them.
    pub(super) mappings: Vec<(Pid, Vec<SharedMapping>)>,
    /// All mappings by name: a process for each row. Empty unless the plan asks for them.
    log: MappingLog,
    /// Processes that are neither measured nor left out on purpose.
    missing: Vec<(Pid, Fate)>,
    /// The control groups of those that failed: length of the first path, and
    /// [`CgroupPaths::store`]. Empty unless the plan asks for them.
    missing_cgroups: Vec<(Pid, usize, Vec<u8>)>,
    coverage: Coverage,
    /// The slots in swap of walked processes, by row.
    swap_slots: Vec<(usize, Box<[SlotRun]>)>,
    /// Processes that changed while they were walked.
    torn: Vec<Pid>,
    /// Whether a process was walked more than once.
    is_walk_repeated: bool,
    /// The parts of processes in what their group frees.
    freed: Vec<FreedShare>,
    pub(super) io: IoStats,
}

#[derive(Debug)]
struct TallyRow {
    pid: Pid,
    name_end: usize,
    smaps: Smaps,
}

#[derive(Debug)]
struct Details {
    /// The index of the row.
    row: usize,
    charged_len: usize,
    cgroup_end: usize,
    uid: Option<u32>,
    page_tables: Option<Kib>,
    stat: StatFigures,
}

impl Tally {
    /// A tally with capacity for `processes` processes.
    pub(super) fn with_capacity(processes: usize, plan: &Plan) -> Tally {
        const USUAL_NAME: usize = 24;
        Tally {
            rows: Vec::with_capacity(processes),
            details: Vec::with_capacity(if plan.asks_more() { processes } else { 0 }),
            texts: Vec::with_capacity(processes * USUAL_NAME),
            ..Tally::default()
        }
    }

    /// Records a finished probe.
    pub(super) fn record(&mut self, probe: &Probe) {
        let Some(fate) = probe.fate() else { return };
        self.count(probe.pid(), fate);
        if let (Fate::Measured, Some(smaps)) = (fate, probe.smaps()) {
            self.texts.extend_from_slice(probe.name());
            let (pid, name_end) = (probe.pid(), self.texts.len());
            self.record_details(probe);
            self.record_walk(probe);
            self.rows.push(TallyRow { pid, name_end, smaps: *smaps });
            if let Some(named) = probe.named_mappings() {
                self.log.record(pid, named);
            }
            if !probe.mappings().is_empty() {
                self.mappings.push((pid, probe.mappings().to_vec()));
            }
        }
        if let (Fate::Failed(_), Some(paths)) = (fate, probe.cgroup()) {
            let mut text = Vec::new();
            self.missing_cgroups.push((probe.pid(), paths.store(&mut text), text));
        }
    }

    /// Records owner, page tables, cgroup and figures of `stat` for the next row.
    fn record_details(&mut self, probe: &Probe) {
        let (uid, stat) = (probe.uid(), probe.stat());
        let (cgroup, page_tables) = (probe.cgroup(), probe.page_tables());
        if uid.is_some()
            || page_tables.is_some()
            || stat != StatFigures::default()
            || cgroup.is_some()
        {
            let charged_len = cgroup.map_or(0, |paths| paths.store(&mut self.texts));
            let (row, cgroup_end) = (self.rows.len(), self.texts.len());
            self.details.push(Details { row, charged_len, cgroup_end, uid, page_tables, stat });
        }
    }

    /// Records the walk, if there was one, for the next row.
    fn record_walk(&mut self, probe: &Probe) {
        self.freed.extend(probe.freed());
        self.is_walk_repeated |= probe.is_walk_repeated();
        if probe.is_torn() {
            self.torn.push(probe.pid());
        }
        if !probe.swap_slots().is_empty() {
            self.swap_slots.push((self.rows.len(), probe.swap_slots().into()));
        }
    }

    /// The parts of processes in what their group frees.
    pub(super) fn freed(&self) -> &[FreedShare] {
        &self.freed
    }

    /// Whether a process was walked more than once.
    pub(super) fn is_walk_repeated(&self) -> bool {
        self.is_walk_repeated
    }

    /// The processes that changed while they were walked.
    pub(super) fn torn(&self) -> &[Pid] {
        &self.torn
    }

    /// The walked processes with pages in swap, each with its slots.
    pub(super) fn swap_slots(&self) -> impl Iterator<Item = (Pid, &[SlotRun])> {
        self.swap_slots.iter().map(|(row, slots)| (self.rows[*row].pid, &**slots))
    }

    /// Sets the shares of walked processes in swapped pages, in the order of [`Tally::swap_slots`].
    pub(super) fn set_swap_shares(&mut self, shares: &mut impl Iterator<Item = Kib>) {
        for ((row, _), share) in self.swap_slots.iter().zip(shares) {
            self.rows[*row].smaps.set_swap_share(share);
        }
    }

    /// Records a process by its fate alone.
    pub(super) fn count(&mut self, pid: Pid, fate: Fate) {
        self.coverage.count(fate);
        if fate.is_missing() {
            self.missing.push((pid, fate));
        }
    }

    /// Records a process that did not finish in time.
    pub(super) fn time_out(&mut self, pid: Pid) {
        self.count(pid, Fate::TimedOut);
    }

    /// Replaces the fates of unfinished processes where `better` knows the true one.
    pub(super) fn reclassify(&mut self, better: impl Fn(Pid) -> Option<Fate>) {
        let is_unfinished =
            |(_, fate): &(Pid, Fate)| matches!(fate, Fate::TimedOut | Fate::NotAsked);
        let (unfinished, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.missing).into_iter().partition(is_unfinished);
        self.missing = rest;
        (self.coverage.timed_out, self.coverage.not_asked) = (0, 0);
        for (pid, fate) in unfinished {
            self.count(pid, better(pid).unwrap_or(fate));
        }
    }

    /// All mappings by name, if the plan asked for them.
    pub(super) fn log(&self) -> &MappingLog {
        &self.log
    }

    pub(super) fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    pub(super) fn missing(&self) -> &[(Pid, Fate)] {
        &self.missing
    }

    /// The control groups of processes whose memory could not be read, as far as they are known.
    pub(super) fn missing_cgroups(&self) -> impl Iterator<Item = (Pid, CgroupPaths<'_>)> {
        self.missing_cgroups.iter().filter_map(|(pid, charged_len, text)| {
            Some((*pid, CgroupPaths::load(text, *charged_len)?))
        })
    }

    pub(super) fn processes(&self) -> impl Iterator<Item = ProcessUsage<'_>> + Clone {
        let (mut begin, mut details) = (0, self.details.iter().peekable());
        self.rows.iter().enumerate().map(move |(index, row)| {
            let TallyRow { pid, name_end, smaps } = *row;
            let name = &self.texts[begin..name_end];
            let details = details.next_if(|details| details.row == index);
            begin = details.map_or(name_end, |details| details.cgroup_end);
            let charged_len = details.map_or(0, |details| details.charged_len);
            let cgroup = CgroupPaths::load(&self.texts[name_end..begin], charged_len);
            let uid = details.and_then(|details| details.uid);
            let page_tables = details.and_then(|details| details.page_tables);
            let stat = details.map(|details| details.stat).unwrap_or_default();
            ProcessUsage { pid, name, smaps, uid, cgroup, page_tables, stat }
        })
    }
}
