//! The shares of walked processes in swapped pages. A host without swap costs nothing.

use std::collections::HashSet;

use super::settings::Settings;
use crate::engine::{Survey, Surveyor, Timeouts};
use crate::error::Error;
use crate::process::{NameRule, Plan, SlotBorders, Source, WalkRule};
use crate::smaps::{Field, Smaps};
use crate::units::{Kib, Pid};

/// The slots of processes that may share some.
#[derive(Default)]
pub(super) struct Slots {
    known: SlotBorders,
    /// The processes of `known`, by number.
    pids: Vec<Pid>,
    /// Whether no other process can have entries of the same slots.
    is_whole: bool,
}

impl Slots {
    /// The private memory in swap that returns when all processes of a group end, by a walk of the
    /// group. Processes outside a selection, or without known slots, may have entries of the same
    /// ones: then the figure is a lower bound, by the shares of the group in its slots.
    pub(super) fn freed_by(&self, walked: &Survey, survey: &Survey, page_bytes: u64) -> Kib {
        if walked.swap_slots().next().is_none() {
            return Kib(0);
        }
        let group: HashSet<Pid> = walked.processes().map(|one| one.pid).collect();
        let is_other = |process: usize| !group.contains(&self.pids[process]);
        let own = SlotBorders::new(walked.swap_slots().map(|(_, runs)| runs));
        let slots = own.of_group(&self.known, is_other, page_bytes);
        if self.is_whole {
            return slots.alone;
        }
        let measured = survey.processes().filter(|one| group.contains(&one.pid));
        let shares = measured.filter_map(|one| one.smaps.get(Field::SwapPss)).sum();
        slots.certainly_alone(shares)
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
    let of_rows = settings.frames.and_then(Result::ok);
    let of_survey = settings.plan.walk.filter(|_| survey.swap_slots().next().is_some());
    let Some(rule) = of_rows.or(of_survey) else { return Ok(Slots::default()) };
    let walked: HashSet<Pid> = survey.swap_slots().map(|(pid, _)| pid).collect();
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
        // Only their slots are needed: it does not matter that shared memory may be in swap too.
        let walk = Some(WalkRule { is_forced: true, has_swap: false, ..rule });
        let plan =
            Plan { source: Source::Pagemap, walk, name_rule: NameRule::Comm, ..Plan::default() };
        surveyor.survey(&relatives, &plan, timeouts)?
    };
    let has_all = others.swap_slots().count() == relatives.len();
    let slots = survey.swap_slots().chain(others.swap_slots());
    let (pids, runs): (Vec<Pid>, Vec<_>) = slots.unzip();
    let known = SlotBorders::new(runs.into_iter());
    survey.set_swap_shares(known.shares(rule.page_bytes));
    Ok(Slots { known, pids, is_whole: is_whole && has_all })
}
