//! The figures of control groups, if a column needs them.

use super::settings::Settings;
use crate::engine::{Survey, Timeouts};
use crate::host::{CgroupMount, GroupPlan, GroupTree};
use crate::process::ProcessUsage;
use crate::program::{Charges, Column, Labels, Programs};
use crate::report::charge;
use crate::sys::cgroups::{self, GroupQuestions};

/// The tree of control groups; `None` if it is not asked for, or if there is none.
pub(super) struct FoundGroups {
    plan: Option<GroupPlan>,
    tree: Option<(CgroupMount, GroupTree)>,
}

/// The questions for every group that these columns need; `None` if they need none.
pub(super) fn plan(columns: &[Column]) -> Option<GroupPlan> {
    let needs = |column| columns.contains(&column);
    let has_figures = columns.iter().any(|column| column.is_of_groups());
    (has_figures || needs(Column::Oom)).then(|| GroupPlan {
        charge: needs(Column::Charged),
        limits: needs(Column::Left) || needs(Column::Limit),
        swap: needs(Column::CgSwap),
        events: needs(Column::Events),
        pressure: needs(Column::Pressure),
        oom: needs(Column::Oom),
    })
}

/// Reads the groups. Only groups below the mount are found.
pub(super) fn read(settings: &Settings, survey: &Survey, left: &Timeouts) -> FoundGroups {
    let plan = settings.groups;
    let given = || settings.cgroup_mount.clone();
    let own = || settings.root.is_own().then(cgroups::mount).flatten();
    let mount = plan.and_then(|plan| Some((plan, given().or_else(own)?)));
    let tree = mount.map(|(plan, mount)| {
        let path = |one: ProcessUsage<'_>| Some(one.cgroup?.charged.to_vec());
        let has_idle = has_idle(settings) && has_figures(&plan);
        let measured = has_idle.then(|| survey.processes().filter_map(path).collect());
        let asked = GroupQuestions { mount: mount.clone(), plan, measured };
        (mount, cgroups::read(asked, left.patience()))
    });
    FoundGroups { plan, tree }
}

/// Whether rows have figures of groups.
fn has_figures(plan: &GroupPlan) -> bool {
    *plan != GroupPlan { oom: plan.oom, ..GroupPlan::default() }
}

/// A selection leaves out groups without a process, too.
fn has_idle(settings: &Settings) -> bool {
    settings.rules.selection.is_none()
}

impl FoundGroups {
    /// The paths of all groups.
    pub(super) fn paths(&self) -> impl Iterator<Item = &[u8]> {
        let groups = self.tree.iter().flat_map(|(_, tree)| &tree.groups);
        groups.map(|group| &group.path[..])
    }

    /// The mount and the tree, if there are any.
    pub(super) fn tree(&self) -> Option<(&CgroupMount, &GroupTree)> {
        self.tree.as_ref().map(|(mount, tree)| (mount, tree))
    }

    /// The figures of the rows of these processes; `None` if they are not asked for.
    pub(super) fn charges<'run>(
        &'run self,
        settings: &Settings,
        processes: impl Iterator<Item = ProcessUsage<'run>>,
        labels: &'run Labels<'run>,
    ) -> Option<Charges<'run>> {
        self.plan.filter(has_figures)?;
        let Some((mount, tree)) = &self.tree else { return Some(Charges::default()) };
        let charges = Charges::find(mount, tree, processes, labels, has_idle(settings));
        Some(charges.beside(settings.amounts_of_processes()))
    }

    /// The notes on rows with these charges.
    pub(super) fn notes(
        &self,
        settings: &Settings,
        charges: Option<&Charges<'_>>,
        programs: &Programs<'_>,
    ) -> Vec<String> {
        let Some(plan) = self.plan else { return Vec::new() };
        let unknown = charge::unknown(has_figures(&plan), plan.oom);
        let Some((mount, tree)) = &self.tree else {
            return vec![charge::no_mount(unknown, settings.root.is_own())];
        };
        if tree.groups.is_empty() && tree.first_unread.is_none() && !tree.is_cut {
            if !tree.has_controller {
                return vec![charge::no_controller(unknown, mount)];
            }
            // No group has a limit.
            return has_figures(&plan).then(|| charge::no_group(mount)).into_iter().collect();
        }
        let Some(charges) = charges else {
            let gaps = [charge::unread(tree), tree.is_cut.then(charge::cut)];
            return gaps.into_iter().flatten().collect();
        };
        let levels = charge::deciding_levels(programs).filter(|_| plan.limits);
        let beyond = plan.charge.then(|| charge::beyond_processes(programs)).flatten();
        let cut = tree.is_cut.then(charge::cut);
        let outside = charge::outside(charges.outside);
        let undivided = charge::undivided(charges.undivided);
        let gaps = [charge::unread(tree), undivided, outside, cut];
        levels.into_iter().chain(beyond).chain(gaps.into_iter().flatten()).collect()
    }
}
