//! The column of the OOM killer: the figures of all processes of the host, and its settings.

use super::groups::FoundGroups;
use super::leaderless::living_thread;
use super::settings::Settings;
use crate::engine::Timeouts;
use crate::process::{self, OomFigures, ProcFile};
use crate::program::{OomEstimate, OomHost, estimate_oom};
use crate::report::oom;
use crate::sys::host_files::{self, MeminfoFile};
use crate::sys::proc_root::ProcRoot;
use crate::sys::{readers, this_process, threads};
use crate::units::{Errno, Kib, Pid};

/// Each CPU keeps less than this many pages of a counter to itself (`percpu_counter_batch`,
/// lib/percpu_counter.c).
const BATCH_MIN: u64 = 32;

/// The facts for a report with the column.
pub(super) struct FoundOom {
    tasks: Vec<(Pid, OomFigures)>,
    host: OomHost,
    panics_in_groups: bool,
    /// Processes that are listed, and did not answer.
    unread: usize,
}

/// Reads the figures of all processes, selected or not: each may be chosen. `None` if no column
/// needs them.
pub(super) fn read(
    settings: &Settings,
    meminfo: &MeminfoFile<'_>,
    left: &Timeouts,
) -> Option<FoundOom> {
    if !settings.finds_oom {
        return None;
    }
    let root = &settings.root;
    let pids = root.pids().unwrap_or_default();
    let wanted = pids.len();
    let answers = readers::ask_processes(root, pids, left.patience(), figures);
    let known = answers.into_iter().filter_map(|(pid, answer)| Some((pid, answer.ok()?)));
    let mut known: Vec<(Pid, Option<OomFigures>)> = known.collect();
    known.sort_unstable_by_key(|(pid, _)| *pid);
    let unread = wanted - known.len();
    let tasks: Vec<(Pid, OomFigures)> =
        known.into_iter().filter_map(|(pid, figures)| Some((pid, figures?))).collect();
    let (mut host, panics_in_groups) = (host(root, meminfo), panics_in_groups(root));
    let mut miscounts = tasks.iter().filter_map(|(_, task)| task.miscount(host.page_bytes));
    // Then `status` shows the counters that the killer compares, that of swap among them.
    if miscounts.next() == Some(0) && miscounts.all(|pages| pages == 0) {
        host.error_pages = 0;
    }
    Some(FoundOom { tasks, host, panics_in_groups, unread })
}

/// The figures of one process; `None` if it is gone.
fn figures(root: &ProcRoot, pid: Pid) -> Result<Option<OomFigures>, Errno> {
    let status = match root.text(ProcFile::Status, pid, None) {
        Err(Errno::NOENT | Errno::SRCH) => return Ok(None),
        status => status?,
    };
    let living = process::is_leaderless(&status).then(|| living_thread(root, pid)).flatten();
    let (thread, living) = living.unzip();
    let figures = OomFigures::parse(&status, living.as_deref());
    // Neither a kernel thread nor a zombie has a score.
    if figures.is_exempt {
        return Ok(Some(figures));
    }
    let text = |file, thread| root.text(file, pid, thread).ok();
    let (score, adj) = (text(ProcFile::OomScore, None), text(ProcFile::OomScoreAdj, None));
    // It ended meanwhile.
    if adj.is_none() && !root.has(ProcFile::Status, pid) {
        return Ok(None);
    }
    let cgroup = text(ProcFile::Cgroup, thread);
    let figures = figures.with_stat(&text(ProcFile::Stat, thread).unwrap_or_default());
    Ok(Some(figures.with_texts(score.as_deref(), adj.as_deref(), cgroup.as_deref())))
}

/// Whether the kernel panics at the limit of a control group, too (`check_panic_on_oom`,
/// mm/oom_kill.c).
fn panics_in_groups(root: &ProcRoot) -> bool {
    host_files::vm_setting(root, "panic_on_oom") == Some(2)
}

fn host(root: &ProcRoot, meminfo: &MeminfoFile<'_>) -> OomHost {
    let is_set = |name: &str| host_files::vm_setting(root, name).is_some_and(|value| value != 0);
    let obstacle = if panics_in_groups(root) {
        Some("vm.panic_on_oom is 2: the kernel panics instead, also for control groups")
    } else if is_set("panic_on_oom") {
        Some("vm.panic_on_oom is set: the kernel panics instead")
    } else if is_set("oom_kill_allocating_task") {
        Some("vm.oom_kill_allocating_task is set: the process that allocates is killed")
    } else {
        None
    };
    let cpus = threads::cpus_online() as u64;
    OomHost {
        memory: meminfo.all_memory().unwrap_or_default(),
        swap: meminfo.swap_total().unwrap_or(Kib(0)),
        is_unswapped: host_files::vm_setting(root, "swappiness") == Some(0),
        page_bytes: this_process::page_bytes(),
        error_pages: cpus * BATCH_MIN.max(2 * cpus),
        obstacle,
    }
}

impl FoundOom {
    /// The likely choices.
    pub(super) fn estimate<'run>(&'run self, groups: &'run FoundGroups) -> OomEstimate<'run> {
        let tree = groups.tree().filter(|_| !self.panics_in_groups);
        estimate_oom(&self.tasks, tree, self.host)
    }

    /// The notes on the estimate.
    pub(super) fn notes(&self, estimate: &OomEstimate<'_>) -> Vec<String> {
        let choices = oom::choices(estimate);
        choices.into_iter().chain(oom::unread(self.unread + estimate.unknown)).collect()
    }
}
