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
//!   filter? ── Name ── not selected ──► Done
//!                │ selected
//!                ▼              name was empty: once more with comm
//!   ──────────► Pair: memory opened, name, memory ─────────────────────► Done
//!                ▲      │ no address space (any more)
//!                │      ▼
//!                │    Status ── kernel thread, zombie, exiting ────────► Done
//!                │     │   └─── alive, so it exec'ed: once more, or ───► Done
//!                └─────┴─ leader dead: Tasks, and again with a thread; if it ends, Status again
//! ```

use super::name::{self, NAME_MAX, NameRule};
use super::plan::{Plan, Source};
use super::status::{self, Kind};
use super::want::{Progress, Want};
use super::{Fate, ProcFile, RelPath};
use crate::smaps::{Scanner, Smaps};
use crate::units::{Errno, Pid};

/// The most that is read of a file that is kept as text: cmdline, comm, status, exe, tasks. An
/// argument list of 64 GiB costs no more than one of 4 KiB.
pub const TEXT_MAX: usize = NAME_MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// One file is being read: a name, status or the list of tasks.
    One(ProcFile),
    /// The memory file is being opened and the name read.
    Pair(ProcFile),
    /// The name is known (or has to come from status), the memory is being read.
    Memory(ProcFile),
    /// All of smaps was read; one more read tells whether it was all of it.
    Verify(ProcFile),
    Done(Fate),
}

/// The state of one process being measured. Made once and restarted for every process, so that
/// nothing is allocated per process.
#[derive(Debug)]
pub struct Probe {
    pid: Pid,
    /// The thread whose files stand for the process, when its leader is dead.
    task: Option<Pid>,
    state: State,
    /// The text of the file at hand, unless it is memory.
    text: Vec<u8>,
    name: Vec<u8>,
    scanner: Scanner,
    has_memory_file: bool,
    has_memory_text: bool,
    /// It may be a thread of the kernel, and nothing else was asked yet.
    is_suspect: bool,
    /// Status is asked for the name, because what the rule asks for is empty.
    status_names: bool,
    /// The name that the rule asks for is empty: comm names it.
    is_nameless: bool,
    /// It lost its address space once already and was begun again.
    is_second_try: bool,
    /// The thread ended once already, and another one was looked for.
    has_lost_thread: bool,
    smaps: Option<Smaps>,
}

impl Default for Probe {
    fn default() -> Self {
        Probe::new()
    }
}

impl Probe {
    /// A probe of no process yet. Its buffers grow to what names need and are kept.
    pub fn new() -> Self {
        Probe {
            pid: Pid(0),
            task: None,
            state: State::Done(Fate::NotSelected),
            text: Vec::new(),
            name: Vec::new(),
            scanner: Scanner::new(),
            has_memory_file: true,
            has_memory_text: false,
            is_suspect: false,
            status_names: false,
            is_nameless: false,
            is_second_try: false,
            has_lost_thread: false,
            smaps: None,
        }
    }

    /// Begins with another process.
    pub fn restart(&mut self, pid: Pid, plan: &Plan) {
        self.pid = pid;
        self.task = None;
        self.is_second_try = false;
        self.has_lost_thread = false;
        self.begin(plan);
        if plan.kernel_threads.binary_search(&pid).is_ok() {
            self.is_suspect = true;
            self.one(ProcFile::Status);
        }
    }

    /// The process at hand.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// What to open and read next, or `None` when all is known.
    pub fn want(&self, plan: &Plan) -> Option<Want> {
        match self.state {
            State::One(file) | State::Memory(file) | State::Verify(file) => Some(Want::One(file)),
            State::Pair(memory) => Some(Want::Pair { name: self.name_file(plan), memory }),
            State::Done(_) => None,
        }
    }

    /// Whether the memory file of the pair at hand, already open, is still to be read: not when
    /// its name told that the process is gone.
    pub fn awaits_memory(&self) -> bool {
        matches!(self.state, State::Memory(_) | State::Verify(_))
    }

    /// Whether this file is part of what is wanted: answers to anything else change nothing.
    pub fn expects(&self, plan: &Plan, file: ProcFile) -> bool {
        match self.state {
            State::One(wanted) | State::Memory(wanted) | State::Verify(wanted) => file == wanted,
            State::Pair(memory) => file == memory || file == self.name_file(plan),
            State::Done(_) => false,
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

    /// Its memory, once its fate is [`Fate::Measured`].
    pub fn smaps(&self) -> Option<&Smaps> {
        self.smaps.as_ref()
    }

    /// Takes what one read of a file returned, into a buffer of `room` bytes. No bytes are the
    /// end of the file; fewer than `room` are not, unless the file is one record.
    pub fn feed(&mut self, plan: &Plan, file: ProcFile, bytes: &[u8], room: usize) -> Progress {
        if !self.expects(plan, file) {
            return Progress::Turn;
        }
        if file.is_memory() {
            return self.feed_memory(plan, file, bytes, room);
        }
        let free = TEXT_MAX - self.text.len();
        self.text.extend_from_slice(&bytes[..bytes.len().min(free)]);
        if bytes.len() == room && self.text.len() < TEXT_MAX {
            return Progress::ReadOn;
        }
        match file {
            ProcFile::Status => self.status_read(plan),
            ProcFile::Tasks => self.tasks_read(plan),
            _ => self.name_read(plan, file),
        }
        Progress::Turn
    }

    /// Takes the failure of the open or of a read of a file.
    pub fn fail(&mut self, plan: &Plan, file: ProcFile, errno: Errno) {
        if !self.expects(plan, file) {
            return;
        }
        match (file, errno) {
            // Kernel threads have no binary, other users' may be refused: comm is the name.
            (
                ProcFile::Exe,
                Errno::NOENT | Errno::SRCH | Errno::ACCES | Errno::PERM | Errno::NOT_SUPPORTED,
            ) => self.name_read(plan, file),
            (ProcFile::SmapsRollup, Errno::NOENT) if plan.source == Source::Auto => {
                self.pair(ProcFile::Smaps);
            }
            (ProcFile::SmapsRollup | ProcFile::Smaps, Errno::SRCH) => self.no_address_space(),
            // The process is gone, or this kernel has no such file: status tells.
            (ProcFile::SmapsRollup | ProcFile::Smaps, Errno::NOENT) => {
                self.has_memory_file = false;
                self.no_address_space();
            }
            (_, Errno::NOENT | Errno::SRCH) if self.task.is_some() => self.thread_gone(),
            (_, Errno::NOENT | Errno::SRCH) => self.done(Fate::Gone),
            (_, Errno::ACCES | Errno::PERM) => self.done(Fate::Denied),
            (_, errno) => self.done(Fate::Failed(errno)),
        }
    }

    fn feed_memory(&mut self, plan: &Plan, file: ProcFile, bytes: &[u8], room: usize) -> Progress {
        if self.state == State::Verify(file) {
            if bytes.is_empty() {
                self.no_address_space();
            } else {
                self.measured(plan, file);
            }
            return Progress::Turn;
        }
        self.has_memory_text |= !bytes.is_empty();
        self.scanner.feed(bytes);
        if !bytes.is_empty() && (bytes.len() == room || !file.is_one_record()) {
            return Progress::ReadOn;
        }
        if !self.has_memory_text {
            self.no_address_space();
        } else if file.is_one_record() {
            self.measured(plan, file);
        } else {
            // The text of a process that dies or execs half-way ends like any other.
            self.state = State::Verify(file);
            return Progress::Rewind;
        }
        Progress::Turn
    }

    /// All of the memory file was read.
    fn measured(&mut self, plan: &Plan, file: ProcFile) {
        match std::mem::take(&mut self.scanner).finish() {
            Ok(smaps) => {
                if self.name.is_empty() && !self.is_nameless {
                    self.is_nameless = true;
                    return self.pair(file);
                }
                self.smaps = Some(smaps);
                // The name that passed the filter may have been another one.
                let is_selected = plan.selects(&self.name);
                self.done(if is_selected { Fate::Measured } else { Fate::NotSelected });
            }
            Err(_) => self.done(Fate::Malformed),
        }
    }

    fn name_read(&mut self, plan: &Plan, file: ProcFile) {
        match file {
            ProcFile::Comm => self.name_by_comm(plan, |text, name| name.extend(name::comm(text))),
            ProcFile::Exe => self.name.extend_from_slice(name::exe(&self.text)),
            ProcFile::Cmdline if plan.name_rule == NameRule::Cmdline => {
                name::arguments(&self.text, &mut self.name);
            }
            _ => self.name.extend_from_slice(name::title(&self.text)),
        }
        match self.state {
            State::Pair(memory) => self.state = State::Memory(memory),
            _ if self.name.is_empty() => {
                self.status_names = true;
                self.one(ProcFile::Status);
            }
            _ => self.select(plan),
        }
    }

    fn status_read(&mut self, plan: &Plan) {
        match status::kind(&self.text, self.text.len() < TEXT_MAX) {
            Kind::KernelThread => self.done(Fate::KernelThread),
            Kind::Zombie => self.done(Fate::Zombie),
            Kind::Leaderless if self.task.is_none() => self.one(ProcFile::Tasks),
            Kind::Leaderless if !self.has_lost_thread => self.thread_gone(),
            Kind::Leaderless | Kind::Exiting => self.done(Fate::Gone),
            Kind::User if self.is_suspect => self.begin(plan),
            Kind::User if std::mem::take(&mut self.status_names) => {
                self.is_nameless = true;
                self.name_by_comm(plan, status::comm);
                self.select(plan);
            }
            // It is alive and has an address space, another one than before, or no file of it.
            Kind::User if self.is_second_try => self.done(match self.has_memory_file {
                true => Fate::Changed,
                false => Fate::Failed(Errno::NOENT),
            }),
            Kind::User => {
                self.is_second_try = true;
                self.begin(plan);
            }
        }
    }

    /// Where comm stands for an empty argument list, it stands in brackets.
    fn name_by_comm(&mut self, plan: &Plan, append: impl FnOnce(&[u8], &mut Vec<u8>)) {
        let is_title = matches!(plan.name_rule, NameRule::Title | NameRule::Cmdline);
        self.name.extend(is_title.then_some(b'['));
        append(&self.text, &mut self.name);
        // The kernel's comm is short. One in a directory that stands in for /proc may not be.
        self.name.truncate(NAME_MAX - 1);
        self.name.extend(is_title.then_some(b']'));
    }

    /// The leader is dead: go on with the first other thread, name and all.
    fn tasks_read(&mut self, plan: &Plan) {
        let mut tasks = self.text.split(|byte| *byte == b'\n').filter_map(Pid::parse);
        match tasks.find(|task| *task != self.pid) {
            Some(task) => {
                self.task = Some(task);
                self.begin(plan);
            }
            None => self.done(Fate::Zombie),
        }
    }

    /// The thread that stood for the process is gone or going, which says nothing of the process:
    /// it may have other threads, or have exec'ed, which makes the thread its leader. Status tells.
    /// (And not a new pair: the memory of this one may still be on its way.)
    fn thread_gone(&mut self) {
        self.task = None;
        self.status_names = false;
        self.has_memory_file = true;
        if std::mem::replace(&mut self.has_lost_thread, true) {
            self.done(Fate::Changed);
        } else {
            self.one(ProcFile::Status);
        }
    }

    fn select(&mut self, plan: &Plan) {
        if plan.selects(&self.name) {
            self.pair(plan.source.memory_file());
        } else {
            self.done(Fate::NotSelected);
        }
    }

    /// smaps is empty or not there, or there is "no such process": status tells which kind it is.
    fn no_address_space(&mut self) {
        self.one(ProcFile::Status);
    }

    /// With a filter the name comes first, alone: what is not selected is not measured.
    fn begin(&mut self, plan: &Plan) {
        self.is_suspect = false;
        self.status_names = false;
        self.is_nameless = false;
        self.smaps = None;
        self.name.clear();
        if plan.filter.is_some() {
            self.one(plan.name_file());
        } else {
            self.pair(plan.source.memory_file());
        }
    }

    fn one(&mut self, file: ProcFile) {
        self.text.clear();
        self.state = State::One(file);
    }

    fn pair(&mut self, memory: ProcFile) {
        self.text.clear();
        self.name.clear();
        self.scanner = Scanner::new();
        self.has_memory_file = true;
        self.has_memory_text = false;
        self.state = State::Pair(memory);
    }

    fn name_file(&self, plan: &Plan) -> ProcFile {
        if self.is_nameless { ProcFile::Comm } else { plan.name_file() }
    }

    fn done(&mut self, fate: Fate) {
        self.state = State::Done(fate);
    }
}
