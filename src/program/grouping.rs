//! The meaning of a row, and its label.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{Column, GroupName, Unread, container, unit};
use crate::process::{self, CgroupPaths, NameRule, ProcessUsage};
use crate::units::{Labelled, Pid, labels};

/// The label of an unknown owner or control group.
const UNKNOWN: &[u8] = b"(unknown)";

/// The labels of all processes in no unit, and in no container.
const NO_UNIT: &[u8] = b"(no unit)";
const NO_CONTAINER: &[u8] = b"(no container)";

/// The meaning of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grouping {
    /// All processes of one name.
    #[default]
    Program,
    /// One process.
    Pid,
    /// One process, below its parent.
    Tree,
    /// All processes of one effective user.
    User,
    /// All processes of one control group.
    Cgroup,
    /// All processes of one systemd unit.
    Unit,
    /// All processes of one container.
    Container,
}

labels!(Grouping {
    Program => "program", "All processes of one name";
    Pid => "pid" | "process", "One process";
    Tree => "tree", "One process, below its parent";
    User => "user", "All processes of one user";
    Cgroup => "cgroup", "All processes of one control group";
    Unit => "unit" | "service" | "systemd", "All processes of one systemd unit";
    Container => "container" | "docker" | "pod", "All processes of one container";
});

impl Grouping {
    /// Whether rows need the user of a process.
    pub fn needs_owner(self) -> bool {
        self == Grouping::User
    }

    /// Whether rows need the control group of a process.
    pub fn needs_cgroup(self) -> bool {
        matches!(self, Grouping::Cgroup | Grouping::Unit | Grouping::Container)
    }

    /// Whether rows are labelled with names of programs.
    pub fn needs_name(self) -> bool {
        matches!(self, Grouping::Program | Grouping::Pid | Grouping::Tree)
    }

    /// Whether a row is a process.
    pub fn is_process(self) -> bool {
        matches!(self, Grouping::Pid | Grouping::Tree)
    }

    /// The key of a row with this name: it stays the same when the text of a title changes, and
    /// whatever other rows there are. `placed` is the label with all details.
    pub fn key<'a>(
        self,
        rule: NameRule,
        name: &'a [u8],
        placed: &'a [u8],
        process: Option<Pid>,
    ) -> Cow<'a, [u8]> {
        match (self, process) {
            (Grouping::Program, _) => process::key(rule, name),
            (Grouping::Pid | Grouping::Tree, Some(pid)) => Cow::Owned(pid.to_string().into_bytes()),
            _ => Cow::Borrowed(placed),
        }
    }

    /// Whether a label leaves out details that no other label of the report needs.
    pub fn has_short_labels(self) -> bool {
        matches!(self, Grouping::Unit | Grouping::Container)
    }

    /// The words for rows of this meaning.
    pub fn words(self) -> RowWords {
        RowWords { by: self.label(), title: self.titles()[1], count: Column::Count.header() }
    }

    /// The header of the labels in a table: with a number after each label, and without.
    pub fn titles(self) -> [&'static str; 2] {
        match self {
            Grouping::Program => ["PROCESS (COUNT)", "PROCESS"],
            Grouping::Pid | Grouping::Tree => ["PROCESS (PID)", "PROCESS"],
            Grouping::User => ["USER (COUNT)", "USER"],
            Grouping::Cgroup => ["CGROUP (COUNT)", "CGROUP"],
            Grouping::Unit => ["UNIT (COUNT)", "UNIT"],
            Grouping::Container => ["CONTAINER (COUNT)", "CONTAINER"],
        }
    }
}

/// The words for the rows of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowWords {
    /// The meaning of a row: in a report of programs as in `--by`.
    pub by: &'static str,
    /// The header of the labels in a table.
    pub title: &'static str,
    /// The header of the number of processes, or of other parts.
    pub count: &'static str,
}

/// Names of users by their ids.
pub type UserNames = HashMap<u32, Vec<u8>>;

/// The common attribute of the processes in a row, if it is not the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Attribute<'run> {
    Owner(Option<u32>),
    Cgroup(Option<&'run [u8]>),
    Unit(Option<&'run [u8]>),
    Container(Option<CgroupPaths<'run>>),
}

/// Labels with all details, by those that lack some.
#[derive(Debug, Default)]
pub struct PlacedLabels(HashMap<Vec<u8>, Vec<u8>>);

impl PlacedLabels {
    /// The label with all details.
    pub fn of<'a>(&'a self, label: &'a [u8]) -> &'a [u8] {
        self.0.get(label).map_or(label, Vec::as_slice)
    }
}

/// The labels of rows.
#[derive(Debug)]
pub struct Labels<'run> {
    pub(super) grouping: Grouping,
    pub(super) users: Option<&'run UserNames>,
    /// Each label is made once, whatever the number of processes; names are their own labels.
    made: HashMap<Attribute<'run>, Vec<u8>>,
    /// The labels with all details, by those labels that lack some.
    pub(super) placed: PlacedLabels,
    /// The rule of names whose keys are the labels, and these keys.
    keyed: Option<NameRule>,
    keys: HashMap<&'run [u8], Cow<'run, [u8]>>,
}

impl<'run> Labels<'run> {
    /// Makes the labels of these processes; the id is the label of a user without a name.
    pub fn new(
        processes: impl Iterator<Item = ProcessUsage<'run>>,
        grouping: Grouping,
        users: Option<&'run UserNames>,
    ) -> Labels<'run> {
        Labels::of_all(processes, [].into_iter(), &[], grouping, users)
    }

    /// Makes the labels of these processes, of control groups, and of processes whose memory could
    /// not be read.
    pub fn of_all(
        processes: impl Iterator<Item = ProcessUsage<'run>>,
        groups: impl Iterator<Item = &'run [u8]>,
        unread: &[&Unread<'run>],
        grouping: Grouping,
        users: Option<&'run UserNames>,
    ) -> Labels<'run> {
        let of = |process: ProcessUsage<'run>| attribute(grouping, process.uid, process.cgroup);
        let of_unread = |one: &&Unread<'run>| attribute(grouping, one.glimpse.uid, one.cgroup);
        let processes = processes.filter_map(of).chain(unread.iter().filter_map(of_unread));
        let groups = groups.filter_map(|path| attribute_of_group(grouping, path));
        let mut named = HashMap::new();
        for attribute in processes.chain(groups) {
            named.entry(attribute).or_insert_with(|| name(attribute, users));
        }
        let made = told_apart(&named);
        let placed = named.into_iter().map(|(attribute, name)| (&made[&attribute], name.placed));
        let placed = placed.filter(|(label, placed)| *label != placed);
        let placed = PlacedLabels(placed.map(|(label, placed)| (label.clone(), placed)).collect());
        Labels { grouping, users, made, placed, keyed: None, keys: HashMap::new() }
    }

    /// Makes keys the labels. A row of programs has all names of one key.
    #[must_use]
    pub fn with_keys(
        mut self,
        processes: impl Iterator<Item = ProcessUsage<'run>>,
        rule: NameRule,
    ) -> Labels<'run> {
        if self.grouping == Grouping::Program {
            self.keyed = Some(rule);
            let key =
                |process: ProcessUsage<'run>| (process.name, process::key(rule, process.name));
            self.keys = processes.map(key).collect();
        }
        let PlacedLabels(placed) = std::mem::take(&mut self.placed);
        for label in self.made.values_mut() {
            if let Some(placed) = placed.get(label) {
                label.clone_from(placed);
            }
        }
        self
    }

    /// The label of a row of processes in a control group.
    pub(super) fn of_group<'a>(&'a self, path: &'a [u8]) -> &'a [u8] {
        let made = attribute_of_group(self.grouping, path).and_then(|known| self.made.get(&known));
        made.map_or(UNKNOWN, Vec::as_slice)
    }

    /// Whether a row has all processes in no unit, or in no container.
    pub(super) fn is_rest(&self, label: &[u8]) -> bool {
        match self.grouping {
            Grouping::Unit => label == NO_UNIT,
            Grouping::Container => label == NO_CONTAINER,
            _ => false,
        }
    }

    /// The label of the row of a process.
    pub fn label<'a>(&'a self, process: &ProcessUsage<'a>) -> &'a [u8] {
        let made = attribute(self.grouping, process.uid, process.cgroup)
            .and_then(|known| self.made.get(&known));
        let key = || self.keys.get(process.name).map_or(process.name, |key| key);
        made.map_or_else(key, Vec::as_slice)
    }

    /// The label of the row of a process whose memory could not be read: comm replaces the name.
    pub(super) fn of_unread(&self, unread: &Unread<'_>) -> Vec<u8> {
        let Unread { glimpse, cgroup, .. } = unread;
        match (attribute(self.grouping, glimpse.uid, *cgroup), self.keyed) {
            (Some(attribute), _) => self.made.get(&attribute).map_or(UNKNOWN, |made| made).to_vec(),
            (None, Some(rule)) => process::key(rule, &glimpse.comm).into_owned(),
            (None, None) => glimpse.comm.clone(),
        }
    }
}

/// The name of a row, with all details.
fn name(attribute: Attribute<'_>, users: Option<&UserNames>) -> GroupName {
    let plain = |name: &[u8]| Some(GroupName::plain(name));
    let known = match attribute {
        Attribute::Owner(uid) => uid.and_then(|uid| plain(&user_name(users, uid))),
        Attribute::Cgroup(path) => path.and_then(plain),
        Attribute::Unit(path) => path.and_then(|path| unit(path).or(plain(NO_UNIT))),
        Attribute::Container(paths) => paths.and_then(|paths| {
            // A runtime may leave one of the hierarchies alone.
            let found = container(paths.charged).or_else(|| container(paths.managed));
            found.or(plain(NO_CONTAINER))
        }),
    };
    known.unwrap_or(GroupName::plain(UNKNOWN))
}

/// The shortest label of each row that no other row has, short or long. Rows of one placed name are
/// one row.
fn told_apart<'run>(
    named: &HashMap<Attribute<'run>, GroupName>,
) -> HashMap<Attribute<'run>, Vec<u8>> {
    // The placed name of all rows that may have a label; none if they are different rows.
    let mut owners: HashMap<&[u8], Option<&[u8]>> = HashMap::new();
    for GroupName { short, whole, placed } in named.values() {
        for label in [short, whole, placed] {
            let owner = owners.entry(label).or_insert(Some(placed));
            *owner = owner.filter(|owner| owner == placed);
        }
    }
    let is_alone = |label: &[u8]| owners.get(label).is_some_and(Option::is_some);
    let label = |GroupName { short, whole, placed }: &GroupName| {
        [short, whole].into_iter().find(|label| is_alone(label)).unwrap_or(placed).clone()
    };
    named.iter().map(|(attribute, name)| (*attribute, label(name))).collect()
}

/// The name of a user, or the id of a user without a name.
pub fn user_name(users: Option<&UserNames>, uid: u32) -> Vec<u8> {
    let name = users.and_then(|users| users.get(&uid));
    name.cloned().unwrap_or_else(|| uid.to_string().into_bytes())
}

fn attribute(
    grouping: Grouping,
    uid: Option<u32>,
    paths: Option<CgroupPaths<'_>>,
) -> Option<Attribute<'_>> {
    match grouping {
        Grouping::Program | Grouping::Pid | Grouping::Tree => None,
        Grouping::User => Some(Attribute::Owner(uid)),
        Grouping::Cgroup => Some(Attribute::Cgroup(paths.map(|paths| paths.charged))),
        Grouping::Unit => Some(Attribute::Unit(paths.map(|paths| paths.managed))),
        Grouping::Container => Some(Attribute::Container(paths)),
    }
}

fn attribute_of_group(grouping: Grouping, path: &[u8]) -> Option<Attribute<'_>> {
    match grouping {
        Grouping::Program | Grouping::Pid | Grouping::Tree | Grouping::User => None,
        Grouping::Cgroup => Some(Attribute::Cgroup(Some(path))),
        Grouping::Unit => Some(Attribute::Unit(Some(path))),
        Grouping::Container => {
            Some(Attribute::Container(Some(CgroupPaths { charged: path, managed: path })))
        }
    }
}
