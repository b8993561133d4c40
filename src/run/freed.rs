//! The columns `freed` and `shared-outside`: the processes of each shown row are walked once more,
//! as a group.

use std::collections::{HashMap, HashSet};

use super::Measured;
use super::settings::Settings;
use super::vfork::SharedSpaces;
use crate::engine::{Survey, Surveyor, Timeouts};
use crate::error::Error;
use crate::process::{Coverage, Fate, Freed, NameRule, Plan, ProcessUsage, Source, WalkRule};
use crate::program::{Column, FreedMemory, Labels, Program, Programs, Share, Shares, Usage};
use crate::report::stall::{self, NotFreed};
use crate::sys::host_files;
use crate::units::{Kib, Pid};

/// Processes of a row may end while it is walked: then the others are walked again.
const TRIES_MAX: usize = 3;

/// The rows of a report, each as a group of processes.
pub(super) struct FreedRows<'a> {
    pub(super) settings: &'a Settings,
    pub(super) measured: &'a Measured<'a>,
    pub(super) labels: &'a Labels<'a>,
}

impl FreedRows<'_> {
    /// Finds the figures of the shown rows, if a column needs them. A row with a process that
    /// cannot be walked has none, nor has one with pages that hide their users; returns notes on
    /// these.
    ///
    /// # Errors
    /// As [`Surveyor::survey`].
    pub(super) fn find(
        &self,
        surveyor: &mut Surveyor,
        programs: &mut Programs<'_>,
        left: &dyn Fn() -> Timeouts,
    ) -> Result<Vec<String>, Error> {
        let Some(Ok(rule)) = self.settings.frames else { return Ok(Vec::new()) };
        let walk = WalkRule { is_forced: true, is_whole_host: true, ..rule };
        let segments = host_files::dying_segments(&self.settings.root);
        let plan = Plan {
            source: Source::Pagemap,
            walk: Some(walk),
            freed: Some(segments.as_slice().into()),
            name_rule: NameRule::Comm,
            ..Plan::default()
        };
        let Measured { survey, surveyed, common, spaces, .. } = self.measured;
        let processes: HashMap<Pid, ProcessUsage<'_>> =
            survey.processes().map(|one| (one.pid, one)).collect();
        let rows = self.by_label();
        let users = users_of_spaces(spaces);
        let figure_of =
            |pids: &HashSet<Pid>, column| figure_of(pids, &processes, &common.shares, column);
        let mut unknown: Vec<(NotFreed, &[u8])> = Vec::new();
        for row in &mut programs.rows {
            let spaces = RowSpaces::new(members_of(row, &rows), &users, &spaces.owners);
            if spaces == RowSpaces::default() {
                // Its processes could not be measured, or run in address spaces of other rows.
                continue;
            }
            let (mapped, walked) = match walk_group(surveyor, &spaces, &plan, left)? {
                Ok(walked) => walked,
                Err(why) => {
                    unknown.push((why, row.name));
                    continue;
                }
            };
            let hugetlb = figure_of(&spaces.dying, Column::Hugetlb);
            let outside = mapped.outside
                + hugetlb.saturating_sub(mapped.alone_hugetlb)
                + figure_of(&spaces.staying, Column::Ram);
            let swap = surveyed.slots.freed_by(&walked, survey, rule.page_bytes)
                + common.swap_freed_by(&spaces.dying, &segments);
            let freed = FreedMemory { mapped: Freed { outside, ..mapped }, swap };
            let held = row.usage.get(Column::Ram).zip(row.usage.get(Column::Swap));
            row.set_freed(held.map_or(freed, |(ram, swap)| freed.at_most(ram + swap)));
        }
        Ok(stall::not_freed(&unknown))
    }

    /// The processes of each label.
    fn by_label(&self) -> HashMap<&[u8], Vec<Pid>> {
        let mut rows: HashMap<&[u8], Vec<Pid>> = HashMap::new();
        for one in self.measured.survey.processes() {
            rows.entry(self.labels.label(&one)).or_default().push(one.pid);
        }
        rows
    }
}

/// The users of each shared address space, by its owner, the first one.
fn users_of_spaces(spaces: &SharedSpaces) -> HashMap<Pid, Vec<Pid>> {
    let SharedSpaces { owners, outside, .. } = spaces;
    let inside = owners.iter().map(|(pid, owner)| (*owner, *pid));
    let mut users: HashMap<Pid, Vec<Pid>> = HashMap::new();
    for (owner, pid) in inside.chain(outside.iter().copied()) {
        users.entry(owner).or_insert_with(|| vec![owner]).push(pid);
    }
    users
}

/// A figure that these processes count.
fn figure_of(
    pids: &HashSet<Pid>,
    processes: &HashMap<Pid, ProcessUsage<'_>>,
    shares: &Shares,
    column: Column,
) -> Kib {
    let figures = pids.iter().filter_map(|pid| {
        let smaps = &processes.get(pid)?.smaps;
        let share = shares.get(pid).copied().unwrap_or_else(|| Share::whole(smaps));
        Usage::new(smaps, &share, None).get(column)
    });
    figures.sum()
}

/// The address spaces of a row, each by its owner. One ends with the last process that uses it.
#[derive(Debug, Default, PartialEq, Eq)]
struct RowSpaces {
    dying: HashSet<Pid>,
    staying: HashSet<Pid>,
}

impl RowSpaces {
    /// `users` has the processes of shared address spaces, by the owner, and `owners` the owner of
    /// each other process.
    fn new(
        members: Vec<Pid>,
        users: &HashMap<Pid, Vec<Pid>>,
        owners: &HashMap<Pid, Pid>,
    ) -> RowSpaces {
        let members: HashSet<Pid> = members.into_iter().collect();
        let ends = |owner: &Pid| {
            users.get(owner).is_none_or(|users| users.iter().all(|pid| members.contains(pid)))
        };
        let own = members.iter().copied().filter(|pid| !owners.contains_key(pid));
        let (dying, staying) = own.partition(ends);
        RowSpaces { dying, staying }
    }
}

/// The processes of a row.
fn members_of(row: &Program<'_>, rows: &HashMap<&[u8], Vec<Pid>>) -> Vec<Pid> {
    let own = row.pid.map(|pid| vec![pid]);
    own.or_else(|| rows.get(row.name).cloned()).unwrap_or_default()
}

/// The memory of a group that returns with it, and its walk, or the reason that it is unknown. The
/// group is walked again without those that ended, and if a walk was repeated, which counts pages
/// twice. Another reason for a missing walk lasts.
fn walk_group(
    surveyor: &mut Surveyor,
    spaces: &RowSpaces,
    plan: &Plan,
    left: &dyn Fn() -> Timeouts,
) -> Result<Result<(Freed, Survey), NotFreed>, Error> {
    if spaces.dying.is_empty() && !spaces.staying.is_empty() {
        return Ok(Ok((Freed::default(), Survey::default())));
    }
    let mut pids: Vec<Pid> = spaces.dying.iter().copied().collect();
    pids.sort_unstable();
    for _ in 0..TRIES_MAX {
        let survey = surveyor.survey(&pids, plan, &left())?;
        match survey.freed() {
            Some(freed) if freed.unknown_hugetlb > Kib(0) => return Ok(Err(NotFreed::HiddenUsers)),
            Some(freed) => return Ok(Ok((freed, survey))),
            None => {}
        }
        if let Some(why) = lasting_reason(&survey.coverage()) {
            return Ok(Err(why));
        }
        let living = living(&survey);
        if living.len() == pids.len() && !survey.is_walk_repeated() {
            break;
        }
        pids = living;
    }
    Ok(Err(NotFreed::Changed))
}

/// The reason that another walk would fail like this one.
fn lasting_reason(coverage: &Coverage) -> Option<NotFreed> {
    let Coverage { left_out, timed_out, not_asked, denied, malformed, failed, .. } = *coverage;
    if left_out > 0 {
        Some(NotFreed::Sparse)
    } else if timed_out + not_asked > 0 {
        Some(NotFreed::Late)
    } else {
        (denied + malformed + failed > 0).then_some(NotFreed::Unread)
    }
}

/// The processes of a survey that have not ended, ascending. A zombie has no memory left.
fn living(survey: &Survey) -> Vec<Pid> {
    let missing = survey.missing().into_iter().filter(|(_, fate)| *fate != Fate::Gone);
    let measured = survey.processes().map(|one| one.pid);
    let mut living: Vec<Pid> = measured.chain(missing.map(|(pid, _)| pid)).collect();
    living.sort_unstable();
    living
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{EngineKind, Tuning};
    use crate::sys::proc_root::ProcRoot;
    use std::time::{Duration, Instant};

    #[test]
    fn an_address_space_ends_with_its_last_user() {
        let pids = |pids: &[u32]| pids.iter().copied().map(Pid).collect::<HashSet<Pid>>();
        let users = HashMap::from([(Pid(2), [2, 5, 7].map(Pid).to_vec())]);
        let owners = HashMap::from([5, 7].map(|pid| (Pid(pid), Pid(2))));
        for (members, dying, staying) in [
            (&[2, 5, 7, 9][..], &[2, 9][..], &[][..]),
            (&[2, 5, 9], &[9], &[2]),
            (&[2], &[], &[2]),
            (&[5, 7], &[], &[]),
            (&[1, 9], &[1, 9], &[]),
        ] {
            let members_of_row = members.iter().copied().map(Pid).collect();
            let spaces = RowSpaces::new(members_of_row, &users, &owners);
            let expected = RowSpaces { dying: pids(dying), staying: pids(staying) };
            assert_eq!(spaces, expected, "{members:?}");
        }
    }

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
        assert_eq!((living(&survey), survey.coverage().zombies), (vec![own], 1));
    }
}
