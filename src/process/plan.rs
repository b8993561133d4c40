//! The questions for every process of a run: name, memory file, owner, page tables, control group,
//! start time, parent, faults.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use regex::bytes::Regex;

use super::walk::WalkRule;
use super::{NameRule, ProcFile};
use crate::units::{Pid, labels};

/// The source of memory figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// `smaps_rollup`, `pagemap` for big processes, and `smaps` for a process that has no rollup
    /// (kernels before 4.14).
    #[default]
    Auto,
    /// `smaps_rollup` only.
    Rollup,
    /// `smaps` only: slower, and the only source of the heap.
    Smaps,
    /// `pagemap` for every process, small ones too.
    Pagemap,
}

labels!(Source {
    Auto => "auto", "smaps_rollup, pagemap for big processes, smaps where there is no rollup";
    Rollup => "rollup", "smaps_rollup only";
    Smaps => "smaps", "smaps only: every mapping";
    Pagemap => "pagemap", "pagemap, so that no process waits: as root only";
});

impl Source {
    /// Whether `smaps` replaces a rollup that does not exist.
    pub(super) fn has_smaps(self) -> bool {
        matches!(self, Source::Auto | Source::Pagemap)
    }

    /// The file that is read first, unless page tables are walked.
    pub fn memory_file(self) -> ProcFile {
        match self {
            Source::Auto | Source::Rollup | Source::Pagemap => ProcFile::SmapsRollup,
            Source::Smaps => ProcFile::Smaps,
        }
    }
}

/// The mappings of a process to keep beside its sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MappingsWanted {
    /// None.
    #[default]
    Nothing,
    /// Those of objects that other processes may map.
    Shared,
    /// All, summed by name.
    ByName,
}

/// A process that waits longer for its `mmap_lock` than this is disturbed.
pub const LONG_HOLD: Duration = Duration::from_millis(20);

/// The longest hold of the `mmap_lock` of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldLimit {
    /// The estimate of a process that is still read.
    pub time: Duration,
    /// The size of a page.
    pub page_bytes: u64,
}

/// The questions for every process of a run.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The rule for names.
    pub name_rule: NameRule,
    /// The source of memory figures.
    pub source: Source,
    /// Walk page tables, if this process may.
    pub walk: Option<WalkRule>,
    /// Find the memory that returns when all processes of the survey end. The ids of System V
    /// segments that are marked to be destroyed.
    pub freed: Option<Arc<[u64]>>,
    /// Measure only processes whose name matches.
    pub filter: Option<Regex>,
    /// Measure only processes of these users, ascending; empty: all users.
    pub users: Vec<u32>,
    /// Ask for the owner. One more file.
    pub owner: bool,
    /// Ask for the size of the page tables. One more file, that of the owner.
    pub page_tables: bool,
    /// Ask for the control group. One more file.
    pub cgroup: bool,
    /// Ask for start time, parent and major faults. One more file.
    pub stat: bool,
    /// The mappings to keep. Only smaps has them.
    pub mappings: MappingsWanted,
    /// Leave out processes of which a read would hold the `mmap_lock` for longer. One more file.
    pub hold_max: Option<HoldLimit>,
    /// Read the name of a process in one of so many surveys of a series. The other surveys use the
    /// last name, if the files of the process stayed open. `None`: the survey is not one of the
    /// series, as that of a part of the processes; it neither uses nor keeps nor closes open files.
    pub surveys_per_name: Option<NonZeroU32>,
    /// Likely kernel threads, ascending: their `status` is read first. A hint that saves requests
    /// and decides nothing.
    pub kernel_threads: Vec<Pid>,
}

impl Plan {
    /// Whether to measure a process of this name.
    pub(super) fn selects(&self, name: &[u8]) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.is_match(name))
    }

    /// Whether to measure a process of this owner.
    pub fn selects_owner(&self, uid: Option<u32>) -> bool {
        self.users.is_empty() || uid.is_some_and(|uid| self.users.binary_search(&uid).is_ok())
    }

    /// Whether to read the owner.
    pub(super) fn asks_owner(&self) -> bool {
        self.owner || !self.users.is_empty()
    }

    /// Whether to read `status` of every process.
    pub(super) fn asks_status(&self) -> bool {
        self.asks_owner() || self.page_tables
    }

    /// Whether to read more than name and memory.
    pub fn asks_more(&self) -> bool {
        self.asks_status() || self.cgroup || self.stat
    }

    /// The file with the name of a process.
    pub fn name_file(&self) -> ProcFile {
        match self.name_rule {
            NameRule::Title | NameRule::Cmdline => ProcFile::Cmdline,
            NameRule::Script => ProcFile::Arguments,
            NameRule::Comm => ProcFile::Comm,
            NameRule::Exe => ProcFile::Exe,
        }
    }
}
