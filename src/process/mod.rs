//! What we ask of one process, and what we learned. Knows the files of `/proc/PID`, does no I/O.
//!
//! - `cgroup`  the text of `cgroup`
//! - `file`    the files, their paths, how they are read
//! - `memory`  the memory file, read by read
//! - `name`    argument list, comm and exe to a program's name
//! - `script`  the arguments of an interpreter to the name of its script
//! - `status`  the lines of `status` that we need
//! - `plan`    what all processes of a run are asked
//! - `probe`   one process being measured: says what it wants, is fed bytes
#![forbid(unsafe_code)]

mod cgroup;
mod file;
mod memory;
mod name;
mod plan;
mod probe;
mod script;
mod status;

pub use file::{PATH_MAX, ProcFile, RelPath, TEXT_MAX};
pub use name::{NAME_MAX, NameRule};
pub use plan::{Plan, Source};
pub use probe::{Probe, ReadNext, Want};

use crate::smaps::Smaps;
use crate::units::{Errno, Kib, Pid};

/// One process that was measured.
#[derive(Clone, Copy, Debug)]
pub struct ProcessUsage<'run> {
    /// Its process id.
    pub pid: Pid,
    /// The name that the [`NameRule`] gives it: foreign bytes, to be escaped before any output.
    pub name: &'run [u8],
    /// Its memory.
    pub smaps: Smaps,
    /// The user it acts as (the effective id), where the [`Plan`] asks for it and the kernel tells.
    pub uid: Option<u32>,
    /// The path of its control group, likewise: foreign bytes.
    pub cgroup: Option<&'run [u8]>,
    /// When it started, in clock ticks since boot (`starttime`, `proc_pid_stat(5)`), where that was
    /// asked for and told: with its id it is one process for ever.
    pub start_time: Option<u64>,
}

/// What can still be told of a process whose memory could not be read in time: the kernel
/// answers these without waiting for anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Glimpse {
    /// comm: foreign bytes, to be escaped before any output.
    pub comm: Vec<u8>,
    /// The letter of its state, `D` for an uninterruptible wait.
    pub state: Option<char>,
    /// Resident pages, shared ones counted whole: `VmRSS`.
    pub rss: Option<Kib>,
    /// Swapped pages, shared ones counted whole: `VmSwap`.
    pub swap: Option<Kib>,
    /// The user it acts as.
    pub uid: Option<u32>,
}

impl Glimpse {
    /// Reads the text of `status`.
    pub fn from_status(text: &[u8]) -> Glimpse {
        status::glimpse(text)
    }
}

/// The thread of the kernel that starts all others (`kthreadd`), in the first PID namespace.
pub const KTHREADD: Pid = Pid(2);

/// `kthreadd` and the kernel threads that it started, from its `status` and `children`; none when
/// that process is an ordinary one, as in a container.
pub fn kernel_threads(status: &[u8], children: &[u8]) -> Vec<Pid> {
    if fate_of_memoryless(status) != Some(Fate::KernelThread) {
        return Vec::new();
    }
    let children = children.split(|byte| *byte == b' ').filter_map(Pid::parse);
    children.chain([KTHREADD]).collect()
}

/// What became of a process without memory, from its `status`; `None` when it may have some.
pub fn fate_of_memoryless(status: &[u8]) -> Option<Fate> {
    match status::kind(status, true) {
        status::ProcessKind::KernelThread => Some(Fate::KernelThread),
        status::ProcessKind::Zombie => Some(Fate::Zombie),
        status::ProcessKind::Exiting => Some(Fate::Gone),
        status::ProcessKind::User | status::ProcessKind::Leaderless => None,
    }
}

/// The process that started this one, from its `status`; 0 when it is of another PID namespace.
pub fn parent(status: &[u8]) -> Option<Pid> {
    status::parent(status)
}

/// How the measuring of one process ended. Every listed process ends in exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Name and memory are known.
    Measured,
    /// The selection leaves it out; its memory was not read.
    NotSelected,
    /// A thread of the kernel: no address space, no memory of its own.
    KernelThread,
    /// Dead, and not yet waited for by its parent: no address space any more.
    Zombie,
    /// It left between the listing and the last read, or was leaving: it is no zombie yet and has
    /// no address space any more.
    Gone,
    /// It exec'ed while it was read, or the thread that was read ended, and once more when it
    /// was read again.
    Changed,
    /// The kernel refuses its files to this user (`EACCES`, `EPERM`).
    Denied,
    /// A read did not come back in time: a worker was at it in the end.
    TimedOut,
    /// It was not its turn, or not again: time was over before a worker took up its next file, or
    /// what is stuck had taken all the room.
    NotAsked,
    /// The kernel's text was not understood.
    Malformed,
    /// A read failed with an error that none of the above explains.
    Failed(Errno),
}

impl Fate {
    /// Every fate; an error stands for all errors.
    pub const ALL: [Fate; 11] = [
        Fate::Measured,
        Fate::NotSelected,
        Fate::KernelThread,
        Fate::Zombie,
        Fate::Gone,
        Fate::Changed,
        Fate::Denied,
        Fate::TimedOut,
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
            Fate::NotAsked => "not_asked",
            Fate::Malformed => "malformed",
            Fate::Failed(_) => "failed",
        }
    }

    /// Whether somebody who asked for this process is owed a word.
    pub fn is_missing(self) -> bool {
        use Fate::{KernelThread, Measured, NotSelected, Zombie};
        !matches!(self, Measured | NotSelected | KernelThread | Zombie)
    }
}

/// How many processes ended in which [`Fate`].
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
            Fate::NotAsked => &mut self.not_asked,
            Fate::Malformed => &mut self.malformed,
            Fate::Failed(_) => &mut self.failed,
        }
    }

    /// Adds what another part of the same run counted.
    pub fn add(&mut self, other: &Coverage) {
        for fate in Fate::ALL {
            *self.counter(fate) += other.get(fate);
        }
    }

    /// All of them: the number of processes that were listed.
    pub fn listed(&self) -> usize {
        Fate::ALL.into_iter().map(|fate| self.get(fate)).sum()
    }

    /// Those whose memory belongs into the report and is not in it. One that left while it was
    /// read is not among them: it has no memory any more.
    pub fn unknown(&self) -> usize {
        let late = self.timed_out + self.not_asked;
        self.changed + self.denied + late + self.malformed + self.failed
    }
}
