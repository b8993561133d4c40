//! What every process of a run is asked: which name, which memory file, and what else.

use regex::bytes::Regex;

use super::{NameRule, ProcFile};
use crate::units::{Pid, labels};

/// Where memory figures come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// `smaps_rollup`, and `smaps` for a process that has no rollup (kernels before 4.14).
    #[default]
    Auto,
    /// `smaps_rollup` only.
    Rollup,
    /// `smaps` only: slower, and the only one that can tell the heap.
    Smaps,
}

labels!(Source {
    Auto => "auto", "smaps_rollup, or smaps where there is none";
    Rollup => "rollup", "smaps_rollup only";
    Smaps => "smaps", "smaps only: every mapping";
});

impl Source {
    /// The file that is asked first.
    pub fn memory_file(self) -> ProcFile {
        match self {
            Source::Auto | Source::Rollup => ProcFile::SmapsRollup,
            Source::Smaps => ProcFile::Smaps,
        }
    }
}

/// What every process of a run is asked.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Which name.
    pub name_rule: NameRule,
    /// Which memory file.
    pub source: Source,
    /// Only processes whose name matches are measured.
    pub filter: Option<Regex>,
    /// Only processes of these users are measured, ascending; of all, when there is none.
    pub users: Vec<u32>,
    /// Who owns it. One file more.
    pub owner: bool,
    /// In which control group it is. One file more.
    pub cgroup: bool,
    /// When it started. One file more.
    pub start_time: bool,
    /// Most likely threads of the kernel, ascending: they are asked for that first. A hint that
    /// saves requests and decides nothing.
    pub kernel_threads: Vec<Pid>,
}

impl Plan {
    /// Whether a process of this name is to be measured.
    pub(super) fn selects(&self, name: &[u8]) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.is_match(name))
    }

    /// Whether a process of this owner is to be measured.
    pub fn selects_owner(&self, uid: Option<u32>) -> bool {
        self.users.is_empty() || uid.is_some_and(|uid| self.users.binary_search(&uid).is_ok())
    }

    /// Whether the owner is needed.
    pub(super) fn asks_owner(&self) -> bool {
        self.owner || !self.users.is_empty()
    }

    /// Whether more is asked than name and memory.
    pub fn asks_more(&self) -> bool {
        self.asks_owner() || self.cgroup || self.start_time
    }

    /// The file that names a process.
    pub fn name_file(&self) -> ProcFile {
        match self.name_rule {
            NameRule::Title | NameRule::Cmdline => ProcFile::Cmdline,
            NameRule::Script => ProcFile::Arguments,
            NameRule::Comm => ProcFile::Comm,
            NameRule::Exe => ProcFile::Exe,
        }
    }
}
