//! The shares of walked processes in swapped pages. A host without swap costs nothing.

use std::collections::{HashMap, HashSet};

use super::settings::Settings;
use crate::engine::{Survey, Surveyor, Timeouts};
use crate::error::Error;
use crate::process::{NameRule, Plan, SlotRun, Source, WalkRule, swap_of_group, swap_shares};
use crate::smaps::{Field, Smaps};
use crate::units::{Kib, Pid};

/// The slots of processes that may share some.
#[derive(Default)]
pub(super) struct Slots(HashMap<Pid, Box<[SlotRun]>>);

impl Slots {
    /// The memory in swap that returns when all processes of a group end. A process whose slots are
    /// unknown contributes nothing, so the figure is a lower bound.
    pub(super) fn freed_by(&self, group: &HashSet<Pid>, survey: &Survey, page_bytes: u64) -> Kib {
        let known = self.0.iter().map(|(pid, runs)| (&**runs, group.contains(pid)));
        let runs: Vec<_> = known.collect();
        let is_alone = |smaps: &Smaps| smaps.get(Field::Swap) == smaps.get(Field::SwapPss);
        let alone = survey.processes().filter(|one| {
            group.contains(&one.pid) && !self.0.contains_key(&one.pid) && is_alone(&one.smaps)
        });
        let alone = alone.filter_map(|one| one.smaps.get(Field::SwapPss)).sum::<Kib>();
        alone + swap_of_group(&runs, page_bytes)
    }
}

/// Finds the shares and sets them, and returns the slots. Forked processes with a rollup that shows
/// shared pages are walked for their slots.
///
/// # Errors
/// As [`Surveyor::survey`].
pub(super) fn resolve(
    surveyor: &mut Surveyor,
    survey: &mut Survey,
    settings: &Settings,
    timeouts: &Timeouts,
) -> Result<Slots, Error> {
    let is_needed = settings.finds_freed || survey.slots().next().is_some();
    let Some(rule) = settings.plan.walk.filter(|_| is_needed) else { return Ok(Slots::default()) };
    let walked: HashSet<Pid> = survey.slots().map(|(pid, _)| pid).collect();
    // Of a selection, processes outside may share the slots.
    let is_whole = rule.is_whole_host;
    let shares_slots =
        |smaps: &Smaps| is_whole && smaps.get(Field::Swap) > smaps.get(Field::SwapPss);
    let mut relatives: Vec<Pid> = survey
        .processes()
        .filter(|one| shares_slots(&one.smaps) && !walked.contains(&one.pid))
        .map(|one| one.pid)
        .collect();
    relatives.sort_unstable();
    let others = if relatives.is_empty() {
        Survey::default()
    } else {
        let walk = Some(WalkRule { is_forced: true, ..rule });
        let plan =
            Plan { source: Source::Pagemap, walk, name_rule: NameRule::Comm, ..Plan::default() };
        surveyor.survey(&relatives, &plan, timeouts)?
    };
    let runs = survey.slots().chain(others.slots()).map(|(_, runs)| runs);
    let shares = swap_shares(&runs.collect::<Vec<&[SlotRun]>>(), rule.page_bytes);
    let known = survey.slots().chain(others.slots());
    let known = Slots(known.map(|(pid, runs)| (pid, runs.into())).collect());
    survey.set_swap_shares(shares);
    Ok(known)
}
