//! The charge of rows: the memory that the kernel charges to their control groups, and how near it
//! is to a limit.
//!
//! A group's charge includes its descendants. Each group belongs to one row, and a row has what is
//! charged to its groups, less what is charged to groups of other rows below them. So no byte
//! counts twice, and the rows add up to the groups below the root.

use std::collections::{HashMap, HashSet};

use super::levels::GroupLevels;
use super::{Column, Labels, Program, Uniform};
use crate::host::{
    CgroupMount, ChargeParts, GroupEvents, GroupLimit, GroupNode, GroupTree, MemoryGroup,
};
use crate::process::ProcessUsage;
use crate::units::Kib;

/// The charge of one row. `None` is unknown, or not asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowCharge<'run> {
    /// The memory that is charged.
    pub charged: Option<Kib>,
    /// The swap that is charged.
    pub swap: Option<Kib>,
    /// The nearest limit of its groups and of the groups above them; `None` also without a limit.
    pub limit: Option<LevelLimit<'run>>,
    /// The events of its groups.
    pub events: Option<GroupEvents>,
    /// The part of the last 10 seconds in which a task waited for memory, in hundredths of a
    /// percent: the highest of its groups.
    pub pressure: Option<u32>,
    /// The parts of the charge.
    pub parts: ChargeParts,
}

/// A limit, and the group that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelLimit<'run> {
    /// The path of the group: foreign bytes.
    pub path: &'run [u8],
    /// The limit.
    pub limit: GroupLimit,
    /// The events at the limits of the group and of those below it, if they are known.
    pub events: Option<GroupEvents>,
    /// The pressure of the group, as in [`RowCharge::pressure`].
    pub pressure: Option<u32>,
    /// Whether the group is above those of the row, which lacks its events and its pressure.
    pub is_above: bool,
}

/// The charges of all rows.
#[derive(Debug, Default)]
pub struct Charges<'run> {
    /// By the label of the row.
    rows: HashMap<&'run [u8], RowCharge<'run>>,
    /// The rows without a process, and their group.
    idle: Vec<(&'run [u8], Uniform<&'run [u8]>)>,
    /// The amounts on request that the run asked for.
    asked: Vec<Column>,
    /// Groups with processes of several rows, whose charge cannot be divided.
    pub undivided: usize,
    /// Processes in groups that are not below the mount.
    pub outside: usize,
}

/// The number of figures that add up.
const SUMS: usize = 12;

/// FigureSums of figures; a figure that is unknown in one term is unknown.
#[derive(Clone, Copy)]
struct FigureSums([Option<i128>; SUMS]);

impl FigureSums {
    const NOTHING: FigureSums = FigureSums([Some(0); SUMS]);

    fn of(memory: &MemoryGroup) -> FigureSums {
        let events = memory.events.all().map(|(_, count)| count);
        let parts = memory.parts.all();
        let kib = |amount: Option<Kib>| amount.map(|Kib(kib)| kib);
        FigureSums(std::array::from_fn(|place| {
            let figure = match place {
                0 => kib(memory.charged),
                1 => kib(memory.swap),
                2..7 => events[place - 2],
                _ => kib(parts[place - 7]),
            };
            figure.map(i128::from)
        }))
    }

    fn add(&mut self, term: FigureSums, sign: i128) {
        for (sum, term) in self.0.iter_mut().zip(term.0) {
            *sum = sum.zip(term).map(|(sum, term)| sum + sign * term);
        }
    }

    /// Figures of groups that were read one after another may differ by less than nothing.
    fn get(&self, place: usize) -> Option<u64> {
        self.0[place].map(|sum| u64::try_from(sum.max(0)).unwrap_or(u64::MAX))
    }

    fn events(&self) -> GroupEvents {
        GroupEvents::from_all(std::array::from_fn(|place| self.get(2 + place)))
    }

    fn parts(&self) -> ChargeParts {
        ChargeParts::from_all(std::array::from_fn(|place| self.get(7 + place).map(Kib)))
    }

    /// The same without events.
    fn without_events(self) -> FigureSums {
        FigureSums(std::array::from_fn(|place| {
            if (2..7).contains(&place) { Some(0) } else { self.0[place] }
        }))
    }

    /// Events alone.
    fn events_alone(self) -> FigureSums {
        FigureSums(std::array::from_fn(|place| {
            if (2..7).contains(&place) { self.0[place] } else { Some(0) }
        }))
    }
}

impl<'run> Charges<'run> {
    /// Finds the charges of the rows of these processes, which have the groups of the tree as far
    /// as they are below the mount. With `has_idle`, groups without a process have rows too; else
    /// the processes are a selection.
    pub fn find(
        mount: &CgroupMount,
        tree: &'run GroupTree,
        processes: impl Iterator<Item = ProcessUsage<'run>>,
        labels: &'run Labels<'run>,
        has_idle: bool,
    ) -> Charges<'run> {
        let (mut rows, mut outside) = (Rows::new(tree, labels), 0);
        for process in processes {
            let path = process.cgroup.map(|paths| paths.charged);
            let below = path.filter(|path| mount.below(path).is_some());
            outside += usize::from(path.is_some() && below.is_none());
            rows.place(labels.label(&process), below);
        }
        rows.leave_out(labels, !has_idle);
        Charges { outside, ..rows.charges(mount.has_local_events, has_idle) }
    }

    /// The same in a run that asked for these amounts on request: rows without a process have 0 of
    /// them, and others unknown.
    #[must_use]
    pub fn beside(self, asked: Vec<Column>) -> Charges<'run> {
        Charges { asked, ..self }
    }

    /// Sets the charges of rows, and adds the rows without a process.
    pub(super) fn apply(&self, rows: &mut Vec<Program<'run>>) {
        let is_asked =
            |column| !Column::ON_REQUEST.contains(&column) || self.asked.contains(&column);
        let idle = self.idle.iter().map(|(label, group)| Program::idle(label, *group, is_asked));
        rows.extend(idle.collect::<Vec<_>>());
        for row in rows {
            row.set_charge(self.rows.get(row.name).copied().unwrap_or_default());
        }
    }
}

/// The row of a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Owner<'run> {
    /// No measured process.
    Path(&'run [u8]),
    Row(&'run [u8]),
    /// Processes of several rows.
    Several,
    /// None: the processes there are not measured.
    LeftOut,
}

impl<'run> Owner<'run> {
    fn label(self) -> Option<&'run [u8]> {
        match self {
            Owner::Path(label) | Owner::Row(label) => Some(label),
            Owner::Several | Owner::LeftOut => None,
        }
    }
}

/// The groups of rows.
struct Rows<'run> {
    groups: &'run [GroupNode],
    levels: GroupLevels<'run>,
    owners: Vec<Owner<'run>>,
    /// The rows of measured processes, and the groups of their processes.
    homes: HashMap<&'run [u8], HashSet<usize>>,
    /// Rows with a process whose charge is unknown.
    unknown: HashSet<&'run [u8]>,
    /// Those of them with a process in a group that is not below the mount.
    outside: HashSet<&'run [u8]>,
}

impl<'run> Rows<'run> {
    fn new(tree: &'run GroupTree, labels: &'run Labels<'run>) -> Rows<'run> {
        let groups = &tree.groups[..];
        Rows {
            groups,
            levels: GroupLevels::new(groups),
            owners: groups.iter().map(|one| Owner::Path(labels.of_group(&one.path))).collect(),
            homes: HashMap::new(),
            unknown: HashSet::new(),
            outside: HashSet::new(),
        }
    }

    /// Adds a process of a row.
    fn place(&mut self, label: &'run [u8], path: Option<&[u8]>) {
        if path.is_none() {
            self.outside.insert(label);
        }
        let home = path.and_then(|path| self.levels.group_at(path));
        let homes = self.homes.entry(label).or_default();
        let Some(home) = home else {
            self.unknown.insert(label);
            return;
        };
        homes.insert(home);
        let owner = &mut self.owners[home];
        *owner = match *owner {
            Owner::Path(_) => Owner::Row(label),
            Owner::Row(known) if known == label => return,
            Owner::Row(_) | Owner::Several | Owner::LeftOut => Owner::Several,
        };
    }

    /// Leaves out groups in no unit, or in no container, that are neither groups of measured
    /// processes nor below one, if other processes are there, or may be because of a selection:
    /// these have nothing to do with the measured ones.
    fn leave_out(&mut self, labels: &Labels<'_>, is_selection: bool) {
        let is_far = |place: usize| match self.owners[place] {
            Owner::Path(label)
                if labels.is_rest(label) && (is_selection || self.groups[place].has_others) =>
            {
                let home = |group| matches!(self.owners[group], Owner::Row(_) | Owner::Several);
                !self.levels.levels(place).any(home)
            }
            _ => false,
        };
        let far: Vec<usize> = (0..self.owners.len()).filter(|place| is_far(*place)).collect();
        far.into_iter().for_each(|place| self.owners[place] = Owner::LeftOut);
    }

    fn charges(mut self, has_local_events: bool, has_idle: bool) -> Charges<'run> {
        let several = |group: &usize| self.owners[*group] == Owner::Several;
        let shared = self.homes.iter().filter(|(_, homes)| homes.iter().any(several));
        let shared: Vec<&[u8]> = shared.map(|(label, _)| *label).collect();
        self.unknown.extend(shared);
        let sums = self.sums(has_local_events);
        let mut members: HashMap<&[u8], Vec<usize>> = HashMap::new();
        for (place, owner) in self.owners.iter().enumerate() {
            owner
                .label()
                .into_iter()
                .for_each(|label| members.entry(label).or_default().push(place));
        }
        let mut charges = Charges {
            undivided: self.owners.iter().filter(|owner| **owner == Owner::Several).count(),
            ..Charges::default()
        };
        for (label, homes) in &self.homes {
            let sums = sums.get(label).filter(|_| !self.unknown.contains(label));
            let charge = self.charge(sums, homes.iter().copied());
            let limit = charge.limit.filter(|_| !self.outside.contains(label));
            charges.rows.insert(label, RowCharge { limit, ..charge });
        }
        let is_idle = |label: &&[u8]| has_idle && !self.homes.contains_key(label);
        for (label, groups) in members.iter().filter(|(label, _)| is_idle(label)) {
            let charge = self.charge(sums.get(label), groups.iter().copied());
            let has_others = groups.iter().any(|place| self.groups[*place].has_others);
            // The events of a group remain when its processes were killed.
            let has_events = charge.events.is_some_and(|events| events.is_any());
            if (charge.charged > Some(Kib(0)) || has_events) && !has_others {
                charges.rows.insert(label, charge);
                charges.idle.push((label, self.group_of(groups)));
            }
        }
        charges.idle.sort_unstable_by_key(|(label, _)| *label);
        charges
    }

    /// The group of a row, which may have others of the row below it.
    fn group_of(&self, groups: &[usize]) -> Uniform<&'run [u8]> {
        let is_below =
            |group: &usize| self.levels.levels(*group).skip(1).any(|above| groups.contains(&above));
        let mut tops = groups.iter().filter(|group| !is_below(group));
        match (tops.next(), tops.next()) {
            (Some(top), None) => Uniform::Same(&self.groups[*top].path),
            _ => Uniform::Mixed,
        }
    }

    /// The sums of every row.
    fn sums(&self, has_local_events: bool) -> HashMap<&'run [u8], FigureSums> {
        let mut sums: HashMap<&'run [u8], FigureSums> = HashMap::new();
        let mut add = |label: Option<&'run [u8]>, term: FigureSums, sign| {
            let Some(label) = label else { return };
            sums.entry(label).or_insert(FigureSums::NOTHING).add(term, sign);
        };
        for (place, group) in self.groups.iter().enumerate() {
            let (label, all) = (self.owners[place].label(), FigureSums::of(&group.memory));
            let above = self.levels.parent(place).map(|parent| self.owners[parent].label());
            if has_local_events {
                add(label, all.events_alone(), 1);
            }
            // What two groups of one row have in common counts once.
            if above != Some(label) || label.is_none() {
                let term = if has_local_events { all.without_events() } else { all };
                add(label, term, 1);
                add(above.flatten(), term, -1);
            }
        }
        sums
    }

    fn charge(
        &self,
        sums: Option<&FigureSums>,
        groups: impl Iterator<Item = usize> + Clone,
    ) -> RowCharge<'run> {
        let levels = groups.clone().flat_map(|group| self.levels.levels(group));
        let levels: HashSet<usize> = levels.collect();
        let knows_limits = levels.iter().all(|level| self.groups[*level].memory.knows_limits);
        let limits = levels.iter().filter_map(|level| {
            let GroupNode { path, memory, .. } = &self.groups[*level];
            let events = Some(memory.events).filter(GroupEvents::is_known);
            let is_above = groups.clone().all(|group| group != *level);
            let (limit, pressure) = (memory.limit?, memory.pressure);
            Some(LevelLimit { path, limit, events, pressure, is_above })
        });
        let nearest = limits.min_by_key(|one| (one.limit.left, one.limit.limit, one.path));
        let pressures = groups.map(|group| self.groups[group].memory.pressure);
        let events = sums.map(FigureSums::events).filter(GroupEvents::is_known);
        RowCharge {
            charged: sums.and_then(|sums| sums.get(0)).map(Kib),
            swap: sums.and_then(|sums| sums.get(1)).map(Kib),
            limit: nearest.filter(|_| knows_limits),
            events,
            pressure: pressures.collect::<Option<Vec<u32>>>().and_then(|all| all.into_iter().max()),
            parts: sums.map(FigureSums::parts).unwrap_or_default(),
        }
    }
}
