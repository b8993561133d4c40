//! The meaning of a row, and its label.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::{Detail, Unread, container, unit};
use crate::process::{self, CgroupPaths, NameRule, ProcessUsage};
use crate::units::{Labelled, Pid, labels};

/// The label of an unknown owner or control group.
const UNKNOWN: &[u8] = b"(unknown)";

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

    /// The key of a row with this label: it stays the same when the text of a title changes.
    pub fn key(self, rule: NameRule, label: &[u8], process: Option<Pid>) -> Cow<'_, [u8]> {
        match (self, process) {
            (Grouping::Program, _) => process::key(rule, label),
            (Grouping::Pid | Grouping::Tree, Some(pid)) => Cow::Owned(pid.to_string().into_bytes()),
            _ => Cow::Borrowed(label),
        }
    }

    /// The words for rows of this meaning.
    pub fn words(self) -> RowWords {
        RowWords { by: self.label(), title: self.titles()[1] }
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
    /// The meaning of a row, as in `--by`.
    pub by: &'static str,
    /// The header of the labels in a table.
    pub title: &'static str,
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

/// The labels of rows.
#[derive(Debug)]
pub struct Labels<'run> {
    pub(super) grouping: Grouping,
    pub(super) users: Option<&'run UserNames>,
    /// Each label is made once, whatever the number of processes; names are their own labels.
    made: HashMap<Attribute<'run>, Vec<u8>>,
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
        let (made, keys) = (HashMap::new(), HashMap::new());
        let mut labels = Labels { grouping, users, made, keyed: None, keys };
        let of = |process: ProcessUsage<'run>| attribute(grouping, process.uid, process.cgroup);
        labels.add(processes.filter_map(of));
        labels
    }

    /// Makes keys the labels of programs, so that a row has all names of one key.
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
        self
    }

    /// Makes the labels of these control groups, too.
    #[must_use]
    pub fn with_groups(mut self, paths: impl Iterator<Item = &'run [u8]>) -> Labels<'run> {
        let grouping = self.grouping;
        self.add(paths.filter_map(|path| attribute_of_group(grouping, path)));
        self
    }

    /// Makes the labels of these processes whose memory could not be read, too.
    #[must_use]
    pub fn with_unread(mut self, unread: &[&Unread<'run>]) -> Labels<'run> {
        let grouping = self.grouping;
        let of = |one: &&Unread<'run>| attribute(grouping, one.glimpse.uid, one.cgroup);
        self.add(unread.iter().filter_map(of));
        self
    }

    fn add(&mut self, attributes: impl Iterator<Item = Attribute<'run>>) {
        let before = self.made.len();
        for attribute in attributes {
            if !self.made.contains_key(&attribute) {
                let label = self.make(attribute, Detail::ShortIds);
                self.made.insert(attribute, label);
            }
        }
        if self.made.len() > before && matches!(self.grouping, Grouping::Unit | Grouping::Container)
        {
            self.tell_apart();
        }
    }

    /// Adds details to equal labels of different units or containers.
    fn tell_apart(&mut self) {
        for detail in [Detail::WholeIds, Detail::Places] {
            let all = self.made.iter();
            let detailed: Vec<(Attribute<'run>, Vec<u8>)> =
                all.map(|(attribute, _)| (*attribute, self.make(*attribute, detail))).collect();
            let mut by_label: HashMap<Vec<u8>, HashSet<&[u8]>> = HashMap::new();
            for (attribute, more) in &detailed {
                by_label.entry(self.made[attribute].clone()).or_default().insert(more);
            }
            for (attribute, more) in &detailed {
                let label = self.made.get_mut(attribute);
                if let Some(label) = label.filter(|label| by_label[*label].len() > 1) {
                    label.clone_from(more);
                }
            }
        }
    }

    /// The label of a row of processes in a control group.
    pub(super) fn of_group<'a>(&'a self, path: &'a [u8]) -> &'a [u8] {
        let made = attribute_of_group(self.grouping, path).and_then(|known| self.made.get(&known));
        made.map_or(UNKNOWN, Vec::as_slice)
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
            (Some(attribute), _) => {
                let made = self.made.get(&attribute).cloned();
                made.unwrap_or_else(|| self.make(attribute, Detail::ShortIds))
            }
            (None, Some(rule)) => process::key(rule, &glimpse.comm).into_owned(),
            (None, None) => glimpse.comm.clone(),
        }
    }

    fn make(&self, attribute: Attribute<'_>, detail: Detail) -> Vec<u8> {
        let known = match attribute {
            Attribute::Owner(uid) => uid.map(|uid| user_name(self.users, uid)),
            Attribute::Cgroup(path) => path.map(<[u8]>::to_vec),
            Attribute::Unit(path) => {
                path.map(|path| unit(path, detail).unwrap_or(b"(no unit)".to_vec()))
            }
            Attribute::Container(paths) => paths.map(|paths| {
                // A runtime may leave one of the hierarchies alone.
                let of = |path| container(path, detail);
                let found = of(paths.charged).or_else(|| of(paths.managed));
                found.unwrap_or(b"(no container)".to_vec())
            }),
        };
        known.unwrap_or(UNKNOWN.to_vec())
    }
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
