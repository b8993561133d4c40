//! The shares of walked processes in swapped pages. A host without swap costs nothing.

use std::collections::HashSet;

use crate::engine::{Survey, Surveyor, Timeouts};
use crate::error::Error;
use crate::process::{NameRule, Plan, SlotRun, Source, WalkRule, swap_shares};
use crate::smaps::{Field, Smaps};
use crate::units::Pid;

/// Finds the shares and sets them. Forked processes with a rollup, whose pages others share, are
/// walked for their slots.
///
/// # Errors
/// As [`Surveyor::survey`].
pub(super) fn resolve(
    surveyor: &mut Surveyor,
    survey: &mut Survey,
    plan: &Plan,
    timeouts: &Timeouts,
) -> Result<(), Error> {
    let Some(rule) = plan.walk.filter(|_| survey.slots().next().is_some()) else { return Ok(()) };
    let walked: HashSet<Pid> = survey.slots().map(|(pid, _)| pid).collect();
    let shares_slots = |smaps: &Smaps| smaps.get(Field::Swap) > smaps.get(Field::SwapPss);
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
    survey.set_swap_shares(shares);
    Ok(())
}
