//! What a row stands for, and what it goes by.

use std::collections::HashMap;

use super::{container, unit};
use crate::process::{Glimpse, ProcessUsage};
use crate::units::labels;

/// Where owner or control group cannot be told.
const UNKNOWN: &[u8] = b"(unknown)";

/// What a row stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grouping {
    /// All processes of one name.
    #[default]
    Program,
    /// One process.
    Pid,
    /// All processes that act as one user.
    User,
    /// All processes of one control group.
    Cgroup,
    /// All processes of one unit of systemd.
    Unit,
    /// All processes of one container.
    Container,
}

labels!(Grouping {
    Program => "program", "All processes of one name";
    Pid => "pid" | "process", "One process";
    User => "user", "All processes of one user";
    Cgroup => "cgroup", "All processes of one control group";
    Unit => "unit" | "service" | "systemd", "All processes of one systemd unit";
    Container => "container" | "docker" | "pod", "All processes of one container";
});

impl Grouping {
    /// Whether rows need to know who owns a process.
    pub fn needs_owner(self) -> bool {
        self == Grouping::User
    }

    /// Whether rows need to know where a process is grouped.
    pub fn needs_cgroup(self) -> bool {
        matches!(self, Grouping::Cgroup | Grouping::Unit | Grouping::Container)
    }

    /// Whether rows go by the names of programs.
    pub fn needs_name(self) -> bool {
        matches!(self, Grouping::Program | Grouping::Pid)
    }

    /// What the rows are, for the head of a table: with a number behind, and without.
    pub fn titles(self) -> [&'static str; 2] {
        match self {
            Grouping::Program => ["PROCESS (COUNT)", "PROCESS"],
            Grouping::Pid => ["PROCESS (PID)", "PROCESS"],
            Grouping::User => ["USER (COUNT)", "USER"],
            Grouping::Cgroup => ["CGROUP (COUNT)", "CGROUP"],
            Grouping::Unit => ["UNIT (COUNT)", "UNIT"],
            Grouping::Container => ["CONTAINER (COUNT)", "CONTAINER"],
        }
    }
}

/// Names of users by their ids.
pub type UserNames = HashMap<u32, Vec<u8>>;

/// What a process has in common with the others of its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place<'run> {
    Owner(Option<u32>),
    Group(Option<&'run [u8]>),
}

/// What the rows of a report go by, where that is not the name of a program.
#[derive(Debug)]
pub struct Labels<'run> {
    grouping: Grouping,
    users: &'run UserNames,
    /// Each is made once, however many processes there are.
    made: HashMap<Place<'run>, Vec<u8>>,
}

impl<'run> Labels<'run> {
    /// The labels of these processes.
    pub fn of(
        processes: impl Iterator<Item = ProcessUsage<'run>>,
        grouping: Grouping,
        users: &'run UserNames,
    ) -> Labels<'run> {
        let mut labels = Labels { grouping, users, made: HashMap::new() };
        for place in processes.filter_map(|process| place(grouping, &process)) {
            if !labels.made.contains_key(&place) {
                let label = labels.label(place);
                labels.made.insert(place, label);
            }
        }
        labels
    }

    /// The process under the label of its row; under its own name, where rows go by that.
    pub fn apply<'a>(&'a self, process: ProcessUsage<'a>) -> ProcessUsage<'a> {
        let label = place(self.grouping, &process).and_then(|place| self.made.get(&place));
        ProcessUsage { name: label.map_or(process.name, Vec::as_slice), ..process }
    }

    /// What the row of a process goes by that was not measured in time: comm stands for its name,
    /// and its group was not asked.
    pub fn of_glimpse(&self, glimpse: &Glimpse) -> Vec<u8> {
        match self.grouping {
            Grouping::Program | Grouping::Pid => glimpse.comm.clone(),
            Grouping::User => self.label(Place::Owner(glimpse.uid)),
            Grouping::Cgroup | Grouping::Unit | Grouping::Container => UNKNOWN.to_vec(),
        }
    }

    fn label(&self, place: Place<'_>) -> Vec<u8> {
        let none = |what: &[u8]| what.to_vec();
        match (place, self.grouping) {
            (Place::Owner(None) | Place::Group(None), _) => none(UNKNOWN),
            (Place::Owner(Some(uid)), _) => user_name(self.users, uid),
            (Place::Group(Some(path)), Grouping::Unit) => {
                unit(path).unwrap_or_else(|| none(b"(no unit)"))
            }
            (Place::Group(Some(path)), Grouping::Container) => {
                container(path).unwrap_or_else(|| none(b"(no container)"))
            }
            (Place::Group(Some(path)), _) => path.to_vec(),
        }
    }
}

/// The name of a user, or the number of one without a name.
pub fn user_name(users: &UserNames, uid: u32) -> Vec<u8> {
    users.get(&uid).cloned().unwrap_or_else(|| uid.to_string().into_bytes())
}

fn place<'run>(grouping: Grouping, process: &ProcessUsage<'run>) -> Option<Place<'run>> {
    match grouping {
        Grouping::Program | Grouping::Pid => None,
        Grouping::User => Some(Place::Owner(process.uid)),
        Grouping::Cgroup | Grouping::Unit | Grouping::Container => {
            Some(Place::Group(process.cgroup))
        }
    }
}
