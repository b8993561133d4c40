//! The columns `freed` and `shared-outside`: the processes of each shown row are walked once more,
//! as a group.

use std::collections::{HashMap, HashSet};

use super::settings::Settings;
use super::slots::Slots;
use crate::engine::{Survey, Surveyor, Timeouts};
use crate::error::Error;
use crate::process::{Fate, Freed, NameRule, Plan, Source, WalkRule};
use crate::program::{FreedMemory, Labels, Program, Programs};
use crate::sys::host_files;
use crate::units::Pid;

/// Processes of a row may end while it is walked: then the others are walked again.
const TRIES_MAX: usize = 3;

/// The rows of a report as groups of processes.
pub(super) struct Groups<'a> {
    pub(super) settings: &'a Settings,
    pub(super) survey: &'a Survey,
    pub(super) slots: &'a Slots,
    pub(super) labels: &'a Labels<'a>,
    /// Processes in the address space of another, whose pages count once.
    pub(super) sharing: &'a HashMap<Pid, Pid>,
}

impl Groups<'_> {
    /// Finds the figures of the shown rows, if a column needs them. A row with a process that
    /// cannot be walked has none.
    ///
    /// # Errors
    /// As [`Surveyor::survey`].
    pub(super) fn find(
        &self,
        surveyor: &mut Surveyor,
        programs: &mut Programs<'_>,
        timeouts: &Timeouts,
    ) -> Result<(), Error> {
        let Some(rule) = self.settings.plan.walk.filter(|_| self.settings.finds_freed) else {
            return Ok(());
        };
        let plan = Plan {
            source: Source::Pagemap,
            walk: Some(WalkRule { is_forced: true, is_whole_host: true, ..rule }),
            freed: Some(host_files::dying_segments(&self.settings.root).into()),
            name_rule: NameRule::Comm,
            ..Plan::default()
        };
        let groups = self.by_label();
        for row in &mut programs.rows {
            let pids = pids_of(row, &groups);
            if let Some((mapped, pids)) = walk(surveyor, pids, &plan, timeouts)? {
                let group: HashSet<Pid> = pids.into_iter().collect();
                let swap = self.slots.freed_by(&group, self.survey, rule.page_bytes);
                row.set_freed(FreedMemory { mapped, swap });
            }
        }
        Ok(())
    }

    fn by_label(&self) -> HashMap<&[u8], Vec<Pid>> {
        let mut groups: HashMap<&[u8], Vec<Pid>> = HashMap::new();
        for one in self.survey.processes().filter(|one| !self.sharing.contains_key(&one.pid)) {
            groups.entry(self.labels.label(&one)).or_default().push(one.pid);
        }
        groups
    }
}

/// The processes of a row, ascending.
fn pids_of(row: &Program<'_>, groups: &HashMap<&[u8], Vec<Pid>>) -> Vec<Pid> {
    let own = row.pid.map(|pid| vec![pid]);
    let mut pids = own.or_else(|| groups.get(row.name).cloned()).unwrap_or_default();
    pids.sort_unstable();
    pids
}

/// The memory of a group that returns with it, and the processes of the group that still exist;
/// `None` if none does. The group is walked again without those that ended, and if a walk was
/// repeated, which counts pages twice. Another reason for a missing walk lasts.
fn walk(
    surveyor: &mut Surveyor,
    mut pids: Vec<Pid>,
    plan: &Plan,
    timeouts: &Timeouts,
) -> Result<Option<(Freed, Vec<Pid>)>, Error> {
    for _ in 0..TRIES_MAX {
        let survey = surveyor.survey(&pids, plan, timeouts)?;
        if let Some(freed) = survey.freed() {
            return Ok(Some((freed, pids)));
        }
        let left = left(&survey);
        if left.len() == pids.len() && !survey.is_walk_repeated() {
            break;
        }
        pids = left;
    }
    Ok(None)
}

/// The processes of a survey that have not ended, ascending. A zombie has no memory left.
fn left(survey: &Survey) -> Vec<Pid> {
    let missing = survey.missing().into_iter().filter(|(_, fate)| *fate != Fate::Gone);
    let measured = survey.processes().map(|one| one.pid);
    let mut left: Vec<Pid> = measured.chain(missing.map(|(pid, _)| pid)).collect();
    left.sort_unstable();
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{EngineKind, Tuning};
    use crate::sys::proc_root::ProcRoot;
    use std::time::{Duration, Instant};

    #[test]
    fn a_row_without_processes_frees_nothing_known() {
        assert!(Survey::default().freed().is_none());
    }

    #[test]
    fn a_zombie_leaves_its_group() {
        let root = ProcRoot::open("/proc".as_ref()).expect("a /proc");
        let mut child = std::process::Command::new("true").spawn().expect("a child");
        let own = Pid(std::process::id());
        let mut pids = [own, Pid(child.id())];
        pids.sort_unstable();
        let tuning = Tuning::new(Some(1), None, Source::Auto);
        let mut surveyor = Surveyor::open(EngineKind::Sync, &root, tuning).expect("an engine");
        let timeouts = Timeouts { stuck_after: Duration::from_secs(60), deadline: None };
        let until = Instant::now() + Duration::from_secs(60);
        let survey = loop {
            let survey = surveyor.survey(&pids, &Plan::default(), &timeouts).expect("a survey");
            if survey.coverage().zombies == 1 || Instant::now() > until {
                break survey;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        child.wait().expect("a child of ours");
        assert_eq!((left(&survey), survey.coverage().zombies), (vec![own], 1));
    }
}
