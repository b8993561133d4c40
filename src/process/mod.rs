//! The questions for one process, and the answers. Knows the files of `/proc/PID`, does no I/O.
//!
//! - `plan`    the questions for every process of a run
//! - `probe`   the state machine of one process: wants files, takes bytes
//! - `file`    the files, their paths, how to read them
//! - `memory`  the memory file, read by read
//! - `name`    argument list, comm and exe to the name of a program
//! - `title`   `argv[0]` to a title
//! - `key`     a name to its stable key
//! - `script`  the arguments of an interpreter to the name of its script
//! - `interpreters` the table of interpreters and their options
//! - `refusal` the reason that the kernel refuses a process
//! - `status`  the texts of `status` and `stat`
//! - `cgroup`  the text of `cgroup`
//! - `oom`     a process as the OOM killer sees it
//! - `gpu`     the host memory of GPU clients
//! - `walk`    page tables to figures
#![forbid(unsafe_code)]

mod cgroup;
mod file;
mod gpu;
mod interpreters;
mod key;
mod memory;
mod name;
mod oom;
mod plan;
mod probe;
mod refusal;
mod script;
mod status;
mod title;
mod walk;

pub use cgroup::CgroupPaths;
pub use file::{PATH_MAX, ProcFile, RelPath, TEXT_MAX};
pub use gpu::{FDINFO_MAX, GpuClient, GpuMemory, GpuPool, has_gpu_driver, is_gpu_link};
pub use key::key;
pub use name::{NAME_MAX, NameRule};
pub use oom::OomFigures;
pub use plan::{HoldLimit, LONG_HOLD, MappingsWanted, Plan, Source};
pub use probe::{Probe, ReadNext, Want};
pub use refusal::{Credentials, Refusal};
pub use status::{
    Glimpse, KTHREADD, StatFigures, fate_of_memoryless, has_memory, is_leaderless, kernel_threads,
    mapped_hugetlb, parent, process_of,
};
pub use walk::{
    Freed, FreedShare, GENTLE_WINDOW_BYTES, GroupSlots, PAUSE, PageCounts, SlotBorders, SlotRun,
    WINDOW_BYTES, WalkRule, Window, WindowLength, hold,
};

use crate::smaps::Smaps;
use crate::units::{Errno, Kib, Pid};

/// One measured process.
#[derive(Clone, Copy, Debug)]
pub struct ProcessUsage<'run> {
    /// The process id.
    pub pid: Pid,
    /// The name by the [`NameRule`]: foreign bytes, to be escaped before any output.
    pub name: &'run [u8],
    /// The memory.
    pub smaps: Smaps,
    /// The effective user, if the [`Plan`] asks for it and it is known.
    pub uid: Option<u32>,
    /// The control groups, under the same conditions.
    pub cgroup: Option<CgroupPaths<'run>>,
    /// The page tables, under the same conditions.
    pub page_tables: Option<Kib>,
    /// The figures of `stat`, under the same conditions.
    pub stat: StatFigures,
}

/// The outcome of one process. Every listed process has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Name and memory are known.
    Measured,
    /// A filter excludes it; its memory was not read.
    NotSelected,
    /// A kernel thread: it has no address space.
    KernelThread,
    /// It is dead and its parent has not waited for it: it has no address space any more.
    Zombie,
    /// It exited between the listing and the last read, or is exiting: it has no address space any
    /// more and is not yet a zombie.
    Gone,
    /// Twice during a read it exec'ed, or the thread that was read ended.
    Changed,
    /// The kernel refuses its files (`EACCES`, `EPERM`).
    Denied,
    /// A worker did not finish a read in time.
    TimedOut,
    /// A read would stall it for too long, and nothing selects it; its memory was not read.
    LeftOut,
    /// No worker took up its next file before the deadline, or stuck processes occupied all slots.
    NotAsked,
    /// The kernel's text could not be parsed.
    Malformed,
    /// A read failed with another error.
    Failed(Errno),
}

impl Fate {
    /// Every fate, with one value for all errors.
    pub const ALL: [Fate; 12] = [
        Fate::Measured,
        Fate::NotSelected,
        Fate::KernelThread,
        Fate::Zombie,
        Fate::Gone,
        Fate::Changed,
        Fate::Denied,
        Fate::TimedOut,
        Fate::LeftOut,
        Fate::NotAsked,
        Fate::Malformed,
        Fate::Failed(Errno(0)),
    ];

    /// The word of machine formats.
    pub fn label(self) -> &'static str {
        match self {
            Fate::Measured => "measured",
            Fate::NotSelected => "not_selected",
            Fate::KernelThread => "kernel_threads",
            Fate::Zombie => "zombies",
            Fate::Gone => "gone",
            Fate::Changed => "changed",
            Fate::Denied => "denied",
            Fate::TimedOut => "timed_out",
            Fate::LeftOut => "left_out",
            Fate::NotAsked => "not_asked",
            Fate::Malformed => "not_understood",
            Fate::Failed(_) => "failed",
        }
    }

    /// Whether the report must name the process as missing.
    pub fn is_missing(self) -> bool {
        use Fate::{KernelThread, Measured, NotSelected, Zombie};
        !matches!(self, Measured | NotSelected | KernelThread | Zombie)
    }
}

/// The number of processes per [`Fate`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// [`Fate::Measured`].
    pub measured: usize,
    /// [`Fate::NotSelected`].
    pub not_selected: usize,
    /// [`Fate::KernelThread`].
    pub kernel_threads: usize,
    /// [`Fate::Zombie`].
    pub zombies: usize,
    /// [`Fate::Gone`].
    pub gone: usize,
    /// [`Fate::Changed`].
    pub changed: usize,
    /// [`Fate::Denied`].
    pub denied: usize,
    /// [`Fate::TimedOut`].
    pub timed_out: usize,
    /// [`Fate::LeftOut`].
    pub left_out: usize,
    /// [`Fate::NotAsked`].
    pub not_asked: usize,
    /// [`Fate::Malformed`].
    pub malformed: usize,
    /// [`Fate::Failed`].
    pub failed: usize,
}

impl Coverage {
    /// Counts one more process.
    pub fn count(&mut self, fate: Fate) {
        *self.counter(fate) += 1;
    }

    /// The number of processes that ended in a fate.
    pub fn get(mut self, fate: Fate) -> usize {
        *self.counter(fate)
    }

    fn counter(&mut self, fate: Fate) -> &mut usize {
        match fate {
            Fate::Measured => &mut self.measured,
            Fate::NotSelected => &mut self.not_selected,
            Fate::KernelThread => &mut self.kernel_threads,
            Fate::Zombie => &mut self.zombies,
            Fate::Gone => &mut self.gone,
            Fate::Changed => &mut self.changed,
            Fate::Denied => &mut self.denied,
            Fate::TimedOut => &mut self.timed_out,
            Fate::LeftOut => &mut self.left_out,
            Fate::NotAsked => &mut self.not_asked,
            Fate::Malformed => &mut self.malformed,
            Fate::Failed(_) => &mut self.failed,
        }
    }

    /// Adds the counts of another part of the same run.
    pub fn add(&mut self, other: &Coverage) {
        for fate in Fate::ALL {
            *self.counter(fate) += other.get(fate);
        }
    }

    /// The number of listed processes.
    pub fn listed(&self) -> usize {
        Fate::ALL.into_iter().map(|fate| self.get(fate)).sum()
    }

    /// The number of processes whose memory is missing in the report. A process that exited during
    /// the read is not one of them: it has no memory any more.
    pub fn unknown(&self) -> usize {
        let late = self.timed_out + self.not_asked;
        self.changed + self.denied + self.left_out + late + self.malformed + self.failed
    }
}
