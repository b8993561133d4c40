//! The state machine of one process being measured: it names the next file, takes the bytes, and
//! ends with a fate. It does no I/O. Engines only transfer bytes, so they cannot disagree.
//!
//! Name and memory are read as a *pair*: open the memory file, open and read the name, read the
//! memory. The open ties the memory file to the address space of that moment, and a read fails
//! (`ESRCH`, or an empty text) once that address space is gone. So a read of the memory proves that
//! since before the read of the name the process has not exec'ed and its id has not changed hands.
//!
//! ```text
//!   owner? ─── Status ─ kernel thread, zombie, exiting ───────────────► Done
//!                │ alive └───── of another user ────────────────────► Done
//!   filter? ── Name ── not selected ──────────────────────────────────► Done
//!                │ selected
//!   cgroup? ── Cgroup
//!                ▼              another file has the name: once more with exe, comm, arguments
//!   walk? ──── Statm ─ big ─► Status ─ gain ─► Maps ─► Pair with pagemap, paced ─► Statm ─► Done
//!                │ small       │ none                                torn: once more ┘
//!                ▼             ▼
//!   ──────────► Pair: memory opened, name, memory ────────────────────► Done
//!                ▲      │         └─ end of the path in doubt: Comm ──► Done
//!                │      │ no address space (any more)
//!                │      ▼
//!                │    Status ── kernel thread, zombie, exiting ───────► Done
//!                │     │   └─── alive, so it exec'ed: once more, or ──► Done
//!                └─────┴─ leader dead: Tasks, then again with a thread; if it ends, Status again
//! ```
//!
//! Only files that the plan asks for are read. Owner and control group are those of the moment
//! before the pair: they can change at any time, and nothing proves them.
//!
//! - `resume` goes on with the open files of an earlier survey
//! - `walker` walks over page tables
//! - `want`   the reads that it asks for
#![forbid(unsafe_code)]

mod resume;
mod walker;
mod want;

use std::sync::Arc;

use self::walker::Walker;
pub use self::want::{ReadNext, Want};
use super::memory::{Memory, Step};
use super::name::{NameNeed, NameSource};
use super::plan::Plan;
use super::status::{self, ProcessKind, StatFigures};
use super::{CgroupPaths, Fate, ProcFile, RelPath, cgroup, name};
use crate::smaps::{NamedMappings, SharedMapping, Smaps};
use crate::units::{Errno, Kib, Pid};

/// One process being measured. A probe is restarted for every process and keeps its buffers, so
/// that a process costs no allocation. Not to be confused with the probe of opcodes in io_uring.
#[derive(Debug, Default)]
pub struct Probe {
    pid: Pid,
    plan: Arc<Plan>,
    /// The thread whose files are read instead, if the leader is dead.
    task: Option<Pid>,
    state: State,
    /// The text of the current file, unless it is the memory file.
    text: Vec<u8>,
    name: Vec<u8>,
    uid: Option<u32>,
    page_tables: Option<Kib>,
    /// The paths of the control groups, back to back: [`CgroupPaths::store`].
    cgroups: Vec<u8>,
    charged_len: usize,
    stat: StatFigures,
    memory: Memory,
    /// The number of times in a row that the memory file did not exist. The first time, the id may
    /// have changed hands.
    missed_files: u8,
    name_source: NameSource,
    name_need: NameNeed,
    /// The address space was lost once, and the process was started again.
    is_second_try: bool,
    /// The thread ended once, and another one was looked for.
    has_lost_thread: bool,
    /// The memory is open since an earlier survey.
    is_open: bool,
    /// So is the file of the name.
    is_name_open: bool,
    /// The name is known from an earlier survey, and not read.
    is_name_known: bool,
    /// The memory is from the rollup of the leader.
    is_from_rollup: bool,
    smaps: Option<Smaps>,
    mappings: Vec<SharedMapping>,
    walker: Walker,
}

impl Probe {
    /// A probe without a process.
    pub fn new() -> Self {
        Probe::default()
    }

    /// Starts with another process.
    pub fn restart(&mut self, pid: Pid, plan: &Arc<Plan>) {
        self.take_up(pid, plan);
        self.begin();
        if self.plan.kernel_threads.binary_search(&pid).is_ok() {
            self.status(StatusReason::First);
        }
    }

    fn take_up(&mut self, pid: Pid, plan: &Arc<Plan>) {
        self.pid = pid;
        self.plan = Arc::clone(plan);
        self.task = None;
        self.is_second_try = false;
        self.has_lost_thread = false;
        self.missed_files = 0;
        self.reopen();
    }

    /// The current process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// The files to open and read next; `None` once the fate is known.
    pub fn want(&self) -> Option<Want> {
        match self.state {
            State::One(file) | State::Memory(file) => Some(Want::One(file)),
            State::Status(_) => Some(Want::One(ProcFile::Status)),
            State::Pair(memory) => Some(Want::Pair { name: self.name_file(), memory }),
            State::Done(_) => None,
        }
    }

    /// Whether the memory file of the current pair, which is open, is still to be read. It is not
    /// if the read of the name showed that the process is gone.
    pub fn awaits_memory(&self) -> bool {
        matches!(self.state, State::Memory(_))
    }

    /// Whether the probe waits for this file. Results of other files are ignored.
    pub fn expects(&self, file: ProcFile) -> bool {
        match self.want() {
            Some(Want::One(wanted)) => file == wanted,
            Some(Want::Pair { name, memory }) => file == memory || file == name,
            None => false,
        }
    }

    /// The path of a file of this process.
    pub fn path(&self, file: ProcFile) -> RelPath {
        // The `stat` of a thread counts its own faults alone.
        file.path(self.pid, self.task.filter(|_| file != ProcFile::Stat))
    }

    /// The fate of the process; `None` while there is more to read.
    pub fn fate(&self) -> Option<Fate> {
        match self.state {
            State::Done(fate) => Some(fate),
            _ => None,
        }
    }

    /// The name, as far as it is known.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The effective user, as far as it is known.
    pub fn uid(&self) -> Option<u32> {
        self.uid
    }

    /// The page tables, as far as they are known.
    pub fn page_tables(&self) -> Option<Kib> {
        self.page_tables
    }

    /// The control groups, as far as they are known.
    pub fn cgroup(&self) -> Option<CgroupPaths<'_>> {
        CgroupPaths::load(&self.cgroups, self.charged_len)
    }

    /// The figures of `stat`, as far as they are known.
    pub fn stat(&self) -> StatFigures {
        self.stat
    }

    /// The memory, once the fate is [`Fate::Measured`].
    pub fn smaps(&self) -> Option<&Smaps> {
        self.smaps.as_ref()
    }

    /// The mappings of objects that other processes may map, if the [`Plan`] asks for them.
    pub fn mappings(&self) -> &[SharedMapping] {
        &self.mappings
    }

    /// All mappings by name, if the [`Plan`] asks for them, once the fate is [`Fate::Measured`].
    pub(crate) fn named_mappings(&self) -> Option<&NamedMappings> {
        self.memory.named()
    }

    /// Takes the bytes of one read into a buffer of `room` bytes. No bytes are the end of the file.
    /// Fewer than `room` are not, unless the file is one record.
    pub fn feed(&mut self, file: ProcFile, bytes: &[u8], room: usize) -> ReadNext {
        if !self.expects(file) {
            return ReadNext::Done;
        }
        match file {
            ProcFile::SmapsRollup | ProcFile::Smaps => return self.feed_memory(file, bytes, room),
            ProcFile::Maps => return self.feed_maps(bytes),
            ProcFile::Pagemap => return self.feed_pagemap(bytes),
            _ => {}
        }
        let free = file.text_max() - self.text.len();
        self.text.extend_from_slice(&bytes[..bytes.len().min(free)]);
        if bytes.len() == room && bytes.len() < free {
            return ReadNext::Continue;
        }
        self.text_read(file);
        ReadNext::Done
    }

    /// The first read of an open file.
    pub fn first_read(&self, file: ProcFile) -> ReadNext {
        match self.walker.first_window().filter(|_| file == ProcFile::Pagemap) {
            Some(window) => ReadNext::Window(window),
            None => ReadNext::Continue,
        }
    }

    /// Takes the error of the open or of a read of a file.
    pub fn fail(&mut self, file: ProcFile, errno: Errno) {
        if !self.expects(file) {
            return;
        }
        match (file, errno) {
            // Kernel threads have no binary, binaries of other users may be refused, and the kernel
            // prints no path of more than a page. The process is measured without it.
            (
                ProcFile::Exe,
                Errno::NOENT
                | Errno::SRCH
                | Errno::ACCES
                | Errno::PERM
                | Errno::NAME_TOO_LONG
                | Errno::NOT_SUPPORTED,
            ) => self.nothing_read(file),
            // The memory is known, or will show that the process is gone. The name is cut without.
            (
                ProcFile::Comm,
                Errno::NOENT | Errno::SRCH | Errno::ACCES | Errno::PERM | Errno::NOT_SUPPORTED,
            ) if matches!(self.name_need, NameNeed::Doubt { .. }) => self.nothing_read(file),
            // The process is gone, which the memory file shows as well; the kernel has no control
            // groups; or the path is too long.
            (
                ProcFile::Cgroup | ProcFile::Stat,
                Errno::NOENT | Errno::SRCH | Errno::ACCES | Errno::PERM | Errno::NAME_TOO_LONG,
            ) => self.nothing_read(file),
            // Without the right to read them, or on their end: the rollup shows which.
            (ProcFile::Maps | ProcFile::Pagemap, _) => self.leave_walk(),
            (_, Errno::NOENT | Errno::SRCH) if self.is_open(file) => self.open_file_lost(file),
            // Only an estimate is lacking.
            (ProcFile::Statm, _) if self.plan.walk.is_none() => self.leave_walk(),
            (ProcFile::SmapsRollup, Errno::NOENT) if self.plan.source.has_smaps() => {
                self.pair(ProcFile::Smaps);
            }
            // The process is gone, or the kernel has no such memory file.
            (ProcFile::SmapsRollup | ProcFile::Smaps, Errno::NOENT) => {
                self.missed_files += 1;
                self.status(StatusReason::Loss);
            }
            (ProcFile::SmapsRollup | ProcFile::Smaps, Errno::SRCH) => self.memory_lost(),
            // A directory that replaces `/proc` may have a file with a number for a name:
            // `ENOTDIR`.
            (_, Errno::NOENT | Errno::SRCH | Errno::NOTDIR) if self.task.is_some() => {
                self.thread_gone();
            }
            (_, Errno::NOENT | Errno::SRCH | Errno::NOTDIR) => self.done(Fate::Gone),
            (_, Errno::ACCES | Errno::PERM) => self.done(Fate::Denied),
            (_, errno) => self.done(Fate::Failed(errno)),
        }
    }

    /// A file that the process is measured without cannot be read, or not to its end: a part of a
    /// path would be another path.
    fn nothing_read(&mut self, file: ProcFile) {
        self.text.clear();
        self.text_read(file);
    }

    /// The text of a file is complete.
    fn text_read(&mut self, file: ProcFile) {
        match self.state {
            State::Status(reason) => self.status_read(reason),
            _ if file == ProcFile::Tasks => self.tasks_read(),
            _ if file == ProcFile::Cgroup => self.cgroup_read(),
            _ if file == ProcFile::Stat => self.stat_read(),
            _ if file == ProcFile::Statm => self.statm_read(),
            _ => self.name_read(file),
        }
    }

    fn memory_lost(&mut self) {
        if self.is_open {
            let plan = Arc::clone(&self.plan);
            return self.restart(self.pid, &plan);
        }
        self.missed_files = 0;
        self.status(StatusReason::Loss);
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

    /// The memory file is complete.
    fn measured(&mut self, file: ProcFile) {
        match self.memory.finish() {
            Ok((smaps, mappings)) => {
                if let NameNeed::Other(source) = self.name_need {
                    // The file of a thread may have the name.
                    if self.is_open {
                        return self.memory_lost();
                    }
                    self.name_source = source;
                    return self.pair(file);
                }
                self.mappings = mappings;
                self.is_from_rollup = file == ProcFile::SmapsRollup;
                self.accept(smaps);
            }
            Err(_) => self.done(Fate::Malformed),
        }
    }

    /// The memory is known.
    fn accept(&mut self, smaps: Smaps) {
        self.smaps = Some(smaps);
        match self.name_need {
            NameNeed::Doubt { .. } => self.one(ProcFile::Comm),
            _ => self.named(),
        }
    }

    /// Name and memory are known. The name may have changed since it passed the filter.
    fn named(&mut self) {
        let fate = if self.plan.selects_owner(self.uid) { Fate::Measured } else { Fate::Malformed };
        self.done(if self.plan.selects(&self.name) { fate } else { Fate::NotSelected });
    }

    fn name_read(&mut self, file: ProcFile) {
        if let (NameNeed::Doubt { is_alone }, ProcFile::Comm | ProcFile::Exe) =
            (self.name_need, file)
        {
            self.name_need = name::settle(&mut self.name, is_alone, file, &self.text);
            return match self.name_need {
                NameNeed::Doubt { .. } => self.one(ProcFile::Exe),
                _ if self.smaps.is_some() => self.named(),
                _ => self.select(),
            };
        }
        self.take_name(file);
        match self.state {
            State::Pair(memory) => self.state = State::Memory(memory),
            _ => self.name_taken(),
        }
    }

    /// The text of a name that is read alone, for the filter, is taken.
    fn name_taken(&mut self) {
        match self.name_need {
            NameNeed::Nothing => self.select(),
            NameNeed::Doubt { .. } => self.one(ProcFile::Comm),
            NameNeed::Other(source) => {
                self.name_source = source;
                match self.name_file() {
                    ProcFile::Comm => self.status(StatusReason::Name),
                    file => self.one(file),
                }
            }
        }
    }

    fn take_name(&mut self, file: ProcFile) {
        let (rule, source) = (self.plan.name_rule, self.name_source);
        self.name_need = name::take(rule, source, file, &self.text, &mut self.name);
    }

    fn status_read(&mut self, reason: StatusReason) {
        match status::kind(&self.text, self.text.len() < ProcFile::Status.text_max()) {
            ProcessKind::User => self.lives(reason),
            ProcessKind::KernelThread => self.done(Fate::KernelThread),
            ProcessKind::Zombie => self.done(Fate::Zombie),
            // No kernel wrote it: the memory shows whether the process is alive.
            _ if reason != StatusReason::Loss && !status::has_threads(&self.text) => {
                self.lives(reason);
            }
            ProcessKind::Leaderless if self.task.is_none() => self.one(ProcFile::Tasks),
            ProcessKind::Leaderless if !self.has_lost_thread => self.thread_gone(),
            ProcessKind::Leaderless | ProcessKind::Exiting => self.done(Fate::Gone),
        }
    }

    /// `status` shows that the process is alive and has an address space, or shows nothing.
    fn lives(&mut self, reason: StatusReason) {
        match reason {
            StatusReason::First => self.owner_read(),
            StatusReason::Size => self.size_read(),
            StatusReason::Name => {
                self.take_name(ProcFile::Status);
                self.name_taken();
            }
            // The address space is another one than before, or its file does not exist.
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

    /// The leader is dead: start again with the first other thread.
    fn tasks_read(&mut self) {
        let mut tasks = self.text.split(|byte| *byte == b'\n').filter_map(Pid::parse);
        match tasks.find(|task| *task != self.pid) {
            Some(task) => {
                self.task = Some(task);
                self.reopen();
                self.begin();
            }
            None => self.done(Fate::Zombie),
        }
    }

    /// The thread that replaces the leader has ended or is about to. The process may have other
    /// threads, or it exec'ed, which made the thread its leader: `status` shows which. A new pair
    /// would not do, because the memory of this one may still be in flight.
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
        let page_tables = self.plan.page_tables.then(|| status::page_tables(&self.text));
        self.page_tables = page_tables.flatten();
        // A process of unknown owner is malformed if it has memory.
        if self.uid.is_none() || self.plan.selects_owner(self.uid) {
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
        let paths = cgroup::paths(&self.text);
        self.charged_len = paths.map_or(0, |paths| paths.store(&mut self.cgroups));
        self.begin_stat();
    }

    fn stat_read(&mut self) {
        self.stat = StatFigures::parse(&self.text);
        self.begin_memory();
    }

    fn begin(&mut self) {
        self.name_source = NameSource::Rule;
        self.name_need = NameNeed::Nothing;
        self.smaps = None;
        self.is_from_rollup = false;
        self.mappings.clear();
        self.walker.restart();
        self.name.clear();
        (self.uid, self.page_tables) = (None, None);
        self.cgroups.clear();
        self.charged_len = 0;
        self.stat = StatFigures::default();
        if self.plan.asks_status() {
            self.status(StatusReason::First);
        } else {
            self.begin_name();
        }
    }

    /// With a filter the name is read first, alone: other processes are not measured. Of a process
    /// with open files the last name was selected; the pair reads the next.
    fn begin_name(&mut self) {
        if self.plan.filter.is_some() && !self.is_open {
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
        if self.plan.stat {
            self.one(ProcFile::Stat);
        } else {
            self.begin_memory();
        }
    }

    fn one(&mut self, file: ProcFile) {
        self.text.clear();
        self.state = State::One(file);
    }

    fn status(&mut self, reason: StatusReason) {
        self.text.clear();
        self.state = State::Status(reason);
    }

    fn pair(&mut self, memory: ProcFile) {
        self.text.clear();
        self.memory.begin(self.plan.mappings);
        if self.is_name_known {
            self.state = State::Memory(memory);
            return;
        }
        self.name.clear();
        self.name_need = NameNeed::Nothing;
        self.walker.begin_pair(memory);
        self.state = State::Pair(memory);
    }

    fn name_file(&self) -> ProcFile {
        match self.name_source {
            NameSource::Rule | NameSource::Interpreted(_) => self.plan.name_file(),
            NameSource::Exe | NameSource::LinkedExe => ProcFile::Exe,
            NameSource::Comm | NameSource::BracketedComm => ProcFile::Comm,
        }
    }

    fn done(&mut self, fate: Fate) {
        self.state = State::Done(fate);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// One file is being read: a name, the control groups, `stat`, `statm`, `maps` or the list of
    /// threads.
    One(ProcFile),
    /// `status` is being read.
    Status(StatusReason),
    /// The memory file is being opened and the name read.
    Pair(ProcFile),
    /// The name is known, the memory is being read.
    Memory(ProcFile),
    Done(Fate),
}

/// The reason for a read of `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StatusReason {
    /// It is the first file: the plan asks for the owner, or the process may be a kernel thread.
    First,
    /// The text of the name says nothing: the name comes from `status`.
    Name,
    /// The process is big: the choice between rollup and walk.
    Size,
    /// The address space does not exist, or not any more.
    Loss,
}

impl Default for State {
    fn default() -> State {
        State::Done(Fate::NotSelected)
    }
}
