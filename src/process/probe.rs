//! One process being measured: says what it wants to read next, is fed the bytes, and knows in
//! the end what became of it. Does no I/O: engines carry its requests and answers, so they
//! cannot disagree.
//!
//! Name and memory are read as a *pair*: open the memory file, open and read the name, read the
//! memory. The kernel ties the memory file to the address space at its open and refuses to read it
//! (`ESRCH`, or an empty text) once that address space is gone. So memory that was read proves that
//! nothing was exec'ed, and no process id given to another process, since before the name was read.
//!
//! ```text
//!   owner? ─── Status ─ kernel thread, zombie, exiting ───────────────► Done
//!                │ alive └───── of another user ────────────────────► Done
//!   filter? ── Name ── not selected ──────────────────────────────────► Done
//!                │ selected
//!   cgroup? ── Cgroup
//!                ▼              name was empty: once more with comm
//!   ──────────► Pair: memory opened, name, memory ────────────────────► Done
//!                ▲      │ no address space (any more)
//!                │      ▼
//!                │    Status ── kernel thread, zombie, exiting ───────► Done
//!                │     │   └─── alive, so it exec'ed: once more, or ──► Done
//!                └─────┴─ leader dead: Tasks, and again with a thread; if it ends, Status again
//! ```
//!
//! What is not asked for is not read. Owner and control group may change whenever they like, so
//! they are those of the moment before the pair, and nothing vouches for them.

use std::sync::Arc;

use super::memory::{Memory, Step};
use super::plan::{Plan, Source};
use super::status::{self, ProcessKind};
use super::{Fate, ProcFile, RelPath, cgroup, name};
use crate::smaps::Smaps;
use crate::units::{Errno, Pid};

/// The state of one process being measured. Made once and restarted for every process, so that
/// nothing is allocated per process.
#[derive(Debug, Default)]
pub struct Probe {
    pid: Pid,
    plan: Arc<Plan>,
    /// The thread whose files stand for the process, when its leader is dead.
    task: Option<Pid>,
    state: State,
    /// The text of the file at hand, unless it is memory.
    text: Vec<u8>,
    name: Vec<u8>,
    uid: Option<u32>,
    /// The path of its control group; empty when it is not known.
    cgroup: Vec<u8>,
    start_time: Option<u64>,
    memory: Memory,
    /// How often in a row there was no file of it. Once, the id may have been given away.
    missed_files: u8,
    /// The name that the rule asks for is empty: comm names it.
    is_nameless: bool,
    /// It lost its address space once already and was begun again.
    is_second_try: bool,
    /// The thread ended once already, and another one was looked for.
    has_lost_thread: bool,
    smaps: Option<Smaps>,
}

impl Probe {
    /// A probe of no process yet. Its buffers grow to what names need and are kept.
    pub fn new() -> Self {
        Probe::default()
    }

    /// Begins with another process.
    pub fn restart(&mut self, pid: Pid, plan: &Arc<Plan>) {
        self.pid = pid;
        self.plan = Arc::clone(plan);
        self.task = None;
        self.is_second_try = false;
        self.has_lost_thread = false;
        self.missed_files = 0;
        self.begin();
        if self.plan.kernel_threads.binary_search(&pid).is_ok() {
            self.status(StatusReason::First);
        }
    }

    /// The process at hand.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// What to open and read next, or `None` when all is known.
    pub fn want(&self) -> Option<Want> {
        match self.state {
            State::One(file) | State::Memory(file) => Some(Want::One(file)),
            State::Status(_) => Some(Want::One(ProcFile::Status)),
            State::Pair(memory) => Some(Want::Pair { name: self.name_file(), memory }),
            State::Done(_) => None,
        }
    }

    /// Whether the memory file of the pair at hand, already open, is still to be read: not when
    /// its name told that the process is gone.
    pub fn awaits_memory(&self) -> bool {
        matches!(self.state, State::Memory(_))
    }

    /// Whether this file is part of what is wanted: answers to anything else change nothing.
    pub fn expects(&self, file: ProcFile) -> bool {
        match self.want() {
            Some(Want::One(wanted)) => file == wanted,
            Some(Want::Pair { name, memory }) => file == memory || file == name,
            None => false,
        }
    }

    /// Where a file of this process stands.
    pub fn path(&self, file: ProcFile) -> RelPath {
        file.path(self.pid, self.task)
    }

    /// What became of the process; `None` while there is more to read.
    pub fn fate(&self) -> Option<Fate> {
        match self.state {
            State::Done(fate) => Some(fate),
            _ => None,
        }
    }

    /// Its name, as far as it is known.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The user it acts as, as far as it is known.
    pub fn uid(&self) -> Option<u32> {
        self.uid
    }

    /// The path of its control group; empty when it is not known.
    pub fn cgroup(&self) -> &[u8] {
        &self.cgroup
    }

    /// When it started, in clock ticks since boot, as far as it is known.
    pub fn start_time(&self) -> Option<u64> {
        self.start_time
    }

    /// Its memory, once its fate is [`Fate::Measured`].
    pub fn smaps(&self) -> Option<&Smaps> {
        self.smaps.as_ref()
    }

    /// Takes what one read of a file returned, into a buffer of `room` bytes. No bytes are the
    /// end of the file; fewer than `room` are not, unless the file is one record.
    pub fn feed(&mut self, file: ProcFile, bytes: &[u8], room: usize) -> ReadNext {
        if !self.expects(file) {
            return ReadNext::Done;
        }
        if file.is_memory() {
            return self.feed_memory(file, bytes, room);
        }
        let free = file.text_max() - self.text.len();
        self.text.extend_from_slice(&bytes[..bytes.len().min(free)]);
        if bytes.len() == room && bytes.len() < free {
            return ReadNext::Continue;
        }
        self.text_read(file);
        ReadNext::Done
    }

    /// Takes the failure of the open or of a read of a file.
    pub fn fail(&mut self, file: ProcFile, errno: Errno) {
        if !self.expects(file) {
            return;
        }
        match ErrorMeaning::of(file, errno) {
            ErrorMeaning::DoWithout => self.text_read(file),
            ErrorMeaning::NoFile
                if file == ProcFile::SmapsRollup && self.plan.source == Source::Auto =>
            {
                self.pair(ProcFile::Smaps);
            }
            ErrorMeaning::NoFile => {
                self.missed_files += 1;
                self.status(StatusReason::Loss);
            }
            ErrorMeaning::NoAddressSpace => self.memory_lost(),
            ErrorMeaning::Gone if self.task.is_some() => self.thread_gone(),
            ErrorMeaning::Gone => self.done(Fate::Gone),
            ErrorMeaning::Denied => self.done(Fate::Denied),
            ErrorMeaning::Failed(errno) => self.done(Fate::Failed(errno)),
        }
    }

    /// The text of a file is complete.
    fn text_read(&mut self, file: ProcFile) {
        match self.state {
            State::Status(why) => self.status_read(why),
            _ if file == ProcFile::Tasks => self.tasks_read(),
            _ if file == ProcFile::Cgroup => self.cgroup_read(),
            _ if file == ProcFile::Stat => self.stat_read(),
            _ => self.name_read(file),
        }
    }

    fn memory_lost(&mut self) {
        (self.missed_files, self.state) = (0, State::Status(StatusReason::Loss));
        self.text.clear();
    }

    fn feed_memory(&mut self, file: ProcFile, bytes: &[u8], room: usize) -> ReadNext {
        match self.memory.feed(file, bytes, room) {
            Step::Continue => return ReadNext::Continue,
            Step::Verify => return ReadNext::Verify,
            Step::Lost => self.memory_lost(),
            Step::Whole => self.measured(file),
        }
        ReadNext::Done
    }

    /// All of the memory file was read.
    fn measured(&mut self, file: ProcFile) {
        match self.memory.finish() {
            Ok(smaps) => {
                if self.name.is_empty() && !self.is_nameless {
                    self.is_nameless = true;
                    return self.pair(file);
                }
                self.smaps = Some(smaps);
                // The name that passed the filter may have been another one.
                let is_selected = self.plan.selects(&self.name);
                self.done(if is_selected { Fate::Measured } else { Fate::NotSelected });
            }
            Err(_) => self.done(Fate::Malformed),
        }
    }

    fn name_read(&mut self, file: ProcFile) {
        name::take(self.plan.name_rule, file, &self.text, &mut self.name);
        match self.state {
            State::Pair(memory) => self.state = State::Memory(memory),
            _ if self.name.is_empty() => self.status(StatusReason::Name),
            _ => self.select(),
        }
    }

    fn status_read(&mut self, why: StatusReason) {
        match status::kind(&self.text, self.text.len() < ProcFile::Status.text_max()) {
            ProcessKind::KernelThread => self.done(Fate::KernelThread),
            ProcessKind::Zombie => self.done(Fate::Zombie),
            ProcessKind::Leaderless if self.task.is_none() => self.one(ProcFile::Tasks),
            ProcessKind::Leaderless if !self.has_lost_thread => self.thread_gone(),
            ProcessKind::Leaderless | ProcessKind::Exiting => self.done(Fate::Gone),
            ProcessKind::User => self.lives(why),
        }
    }

    /// Status says that it lives and has an address space.
    fn lives(&mut self, why: StatusReason) {
        match why {
            StatusReason::First => self.owner_read(),
            StatusReason::Name => {
                self.is_nameless = true;
                name::take(self.plan.name_rule, ProcFile::Status, &self.text, &mut self.name);
                self.select();
            }
            // It is another address space than before, or there is no file of it.
            StatusReason::Loss if self.is_second_try && self.missed_files > 1 => {
                self.done(Fate::Failed(Errno::NOENT));
            }
            StatusReason::Loss if self.is_second_try => self.done(Fate::Changed),
            StatusReason::Loss => {
                self.is_second_try = true;
                self.begin();
            }
        }
    }

    /// The leader is dead: go on with the first other thread, name and all.
    fn tasks_read(&mut self) {
        let mut tasks = self.text.split(|byte| *byte == b'\n').filter_map(Pid::parse);
        match tasks.find(|task| *task != self.pid) {
            Some(task) => {
                self.task = Some(task);
                self.begin();
            }
            None => self.done(Fate::Zombie),
        }
    }

    /// The thread that stood for the process is gone or going, which says nothing of the process:
    /// it may have other threads, or have exec'ed, which makes the thread its leader. Status tells.
    /// (And not a new pair: the memory of this one may still be on its way.)
    fn thread_gone(&mut self) {
        self.task = None;
        self.missed_files = 0;
        if std::mem::replace(&mut self.has_lost_thread, true) {
            self.done(Fate::Changed);
        } else {
            self.status(StatusReason::Loss);
        }
    }

    fn owner_read(&mut self) {
        self.uid = if self.plan.asks_owner() { status::owner(&self.text) } else { None };
        if self.plan.selects_owner(self.uid) {
            self.begin_name();
        } else {
            self.done(Fate::NotSelected);
        }
    }

    fn select(&mut self) {
        if self.plan.selects(&self.name) {
            self.begin_cgroup();
        } else {
            self.done(Fate::NotSelected);
        }
    }

    fn cgroup_read(&mut self) {
        self.cgroup.extend_from_slice(cgroup::path(&self.text).unwrap_or_default());
        self.begin_stat();
    }

    fn stat_read(&mut self) {
        self.start_time = status::start_time(&self.text);
        self.pair(self.plan.source.memory_file());
    }

    fn begin(&mut self) {
        self.is_nameless = false;
        self.smaps = None;
        self.name.clear();
        self.uid = None;
        self.cgroup.clear();
        self.start_time = None;
        if self.plan.asks_owner() {
            self.status(StatusReason::First);
        } else {
            self.begin_name();
        }
    }

    /// With a filter the name comes first, alone: what is not selected is not measured.
    fn begin_name(&mut self) {
        if self.plan.filter.is_some() {
            self.one(self.plan.name_file());
        } else {
            self.begin_cgroup();
        }
    }

    fn begin_cgroup(&mut self) {
        if self.plan.cgroup {
            self.one(ProcFile::Cgroup);
        } else {
            self.begin_stat();
        }
    }

    fn begin_stat(&mut self) {
        if self.plan.start_time {
            self.one(ProcFile::Stat);
        } else {
            self.pair(self.plan.source.memory_file());
        }
    }

    fn one(&mut self, file: ProcFile) {
        self.text.clear();
        self.state = State::One(file);
    }

    fn status(&mut self, why: StatusReason) {
        self.text.clear();
        self.state = State::Status(why);
    }

    fn pair(&mut self, memory: ProcFile) {
        self.text.clear();
        self.name.clear();
        self.memory = Memory::default();
        self.state = State::Pair(memory);
    }

    fn name_file(&self) -> ProcFile {
        if self.is_nameless { ProcFile::Comm } else { self.plan.name_file() }
    }

    fn done(&mut self, fate: Fate) {
        self.state = State::Done(fate);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// One file is being read: a name, the control groups or the list of tasks.
    One(ProcFile),
    /// Status is being read.
    Status(StatusReason),
    /// The memory file is being opened and the name read.
    Pair(ProcFile),
    /// The name is known (or has to come from status), the memory is being read.
    Memory(ProcFile),
    Done(Fate),
}

/// Why status is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StatusReason {
    /// It is the first that is asked: for the owner, or for a thread of the kernel.
    First,
    /// What the rule asks for is empty: the name has to come from there.
    Name,
    /// There is no address space, or not that one any more.
    Loss,
}

impl Default for State {
    fn default() -> State {
        State::Done(Fate::NotSelected)
    }
}

/// What a probe wants to be read next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// One file, opened and read to its end.
    One(ProcFile),
    /// Open the memory file, then open and read the name, then read the memory.
    Pair {
        /// The file that names the process.
        name: ProcFile,
        /// The file with its memory.
        memory: ProcFile,
    },
}

/// Whether the file at hand has more to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadNext {
    /// Read on from where the last read ended.
    Continue,
    /// Read a little from the beginning once more, to see whether the process still has the
    /// address space that was read.
    Verify,
    /// This file is done.
    Done,
}

/// What an error says of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ErrorMeaning {
    /// This cannot be told. The rest is worth reading without it.
    DoWithout,
    /// There is no address space, or not that one any more.
    NoAddressSpace,
    /// The process is gone, or this kernel has no such memory file.
    NoFile,
    /// The process, or the thread that stands for it, is gone.
    Gone,
    /// This user may not.
    Denied,
    /// Nothing of the above.
    Failed(Errno),
}

impl ErrorMeaning {
    /// The meaning of an error of this file.
    fn of(file: ProcFile, errno: Errno) -> ErrorMeaning {
        match (file, errno) {
            // Kernel threads have no binary, other users' may be refused: comm is the name.
            (
                ProcFile::Exe,
                Errno::NOENT | Errno::SRCH | Errno::ACCES | Errno::PERM | Errno::NOT_SUPPORTED,
            ) => Self::DoWithout,
            // Gone, which memory tells; or a kernel without control groups; or too long a path.
            (
                ProcFile::Cgroup | ProcFile::Stat,
                Errno::NOENT | Errno::SRCH | Errno::ACCES | Errno::PERM | Errno::NAME_TOO_LONG,
            ) => Self::DoWithout,
            (ProcFile::SmapsRollup | ProcFile::Smaps, Errno::SRCH) => Self::NoAddressSpace,
            (ProcFile::SmapsRollup | ProcFile::Smaps, Errno::NOENT) => Self::NoFile,
            // A number that is no directory is no process: proc has none, what stands in for it may.
            (_, Errno::NOENT | Errno::SRCH | Errno::NOTDIR) => Self::Gone,
            (_, Errno::ACCES | Errno::PERM) => Self::Denied,
            (_, errno) => Self::Failed(errno),
        }
    }
}
