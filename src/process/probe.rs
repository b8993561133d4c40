//! One process being measured: says what it wants to read next, is fed the bytes, and knows in
//! the end what became of it. Does no I/O: engines carry its requests and answers, so they
//! cannot disagree.
//!
//! ```text
//!          ┌──────────────── empty ───────────────┐
//!          │                                      ▼          zombie, kernel thread
//!   Cmdline (or Comm, Exe) ── a name ─┐        Status ──────────────────────────► Done
//!          │                          ▼          │ │ leader dead
//!          │ not selected       SmapsRollup ◄────┘ └──► Tasks ──► Cmdline of a thread
//!          ▼                     (or Smaps) ─── no address space ──► Status
//!        Done                         │
//!                                     └── sums ──► Done
//! ```

use regex::bytes::Regex;

use super::name::{self, NAME_MAX, NameRule};
use super::status::{self, Kind};
use super::{Fate, ProcFile, RelPath};
use crate::smaps::{Scanner, Smaps};
use crate::units::{Errno, Pid};

/// The most that is read of a file that is kept as text: cmdline, comm, status, exe, tasks. An
/// argument list of 64 GiB costs no more than one of 4 KiB.
pub const TEXT_MAX: usize = NAME_MAX;

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

/// What every process of a run is asked.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Which name.
    pub name_rule: NameRule,
    /// Which memory file.
    pub source: Source,
    /// Only processes whose name matches are measured.
    pub filter: Option<Regex>,
}

/// Whether the file at hand has more to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Read on from where the last read ended.
    ReadOn,
    /// This file is done; ask [`Probe::want`] again.
    Turn,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Reading(ProcFile),
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
    has_memory_text: bool,
    has_status: bool,
    smaps: Smaps,
}

impl Default for Probe {
    fn default() -> Self {
        Probe::new()
    }
}

impl Probe {
    /// A probe with its buffers, of no process yet.
    pub fn new() -> Self {
        Probe {
            pid: Pid(0),
            task: None,
            state: State::Done(Fate::NotSelected),
            text: Vec::with_capacity(TEXT_MAX),
            name: Vec::with_capacity(NAME_MAX),
            scanner: Scanner::new(),
            has_memory_text: false,
            has_status: false,
            smaps: Smaps::default(),
        }
    }

    /// Begins with another process.
    pub fn restart(&mut self, pid: Pid, plan: &Plan) {
        self.pid = pid;
        self.task = None;
        self.has_status = false;
        self.name.clear();
        self.read(name_file(plan.name_rule));
    }

    /// The process at hand.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// The file to open and read next, or `None` when all is known.
    pub fn want(&self) -> Option<ProcFile> {
        match self.state {
            State::Reading(file) => Some(file),
            State::Done(_) => None,
        }
    }

    /// The file that will be wanted after [`Probe::want`] if that one answers as most do. An
    /// engine may fetch it along, and must throw it away when it is not wanted after all.
    pub fn likely_next(&self, plan: &Plan) -> Option<ProcFile> {
        let name = name_file(plan.name_rule);
        let is_likely = self.want() == Some(name) && name.is_read() && plan.filter.is_none();
        is_likely.then(|| memory_file(plan.source))
    }

    /// Where a file of this process stands.
    pub fn path(&self, file: ProcFile) -> RelPath {
        file.path(self.pid, self.task)
    }

    /// What became of the process; `None` while there is more to read.
    pub fn fate(&self) -> Option<Fate> {
        match self.state {
            State::Reading(_) => None,
            State::Done(fate) => Some(fate),
        }
    }

    /// Its name, as far as it is known.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Its memory, once its fate is [`Fate::Measured`].
    pub fn smaps(&self) -> &Smaps {
        &self.smaps
    }

    /// Takes what one read of the wanted file returned, into a buffer of `room` bytes. No bytes
    /// are the end of the file; fewer than `room` are not, unless the file is one record.
    pub fn feed(&mut self, plan: &Plan, bytes: &[u8], room: usize) -> Progress {
        let State::Reading(file) = self.state else { return Progress::Turn };
        if file.is_memory() {
            self.has_memory_text |= !bytes.is_empty();
            self.scanner.feed(bytes);
        } else {
            let free = TEXT_MAX - self.text.len();
            self.text.extend_from_slice(&bytes[..bytes.len().min(free)]);
        }
        let is_at_end = bytes.is_empty() || file.is_one_record() && bytes.len() < room;
        if !is_at_end && (file.is_memory() || self.text.len() < TEXT_MAX) {
            return Progress::ReadOn;
        }
        self.end(plan, file);
        Progress::Turn
    }

    /// Takes the failure of the open or of a read of the wanted file.
    pub fn fail(&mut self, plan: &Plan, errno: Errno) {
        let State::Reading(file) = self.state else { return };
        match (file, errno) {
            (ProcFile::Exe, Errno::NOENT | Errno::SRCH) => self.read(ProcFile::Status),
            (ProcFile::Exe, _) => self.read(ProcFile::Comm),
            (ProcFile::SmapsRollup, Errno::NOENT) if plan.source == Source::Auto => {
                self.read(ProcFile::Smaps);
            }
            (ProcFile::SmapsRollup | ProcFile::Smaps, Errno::SRCH) => self.no_address_space(),
            (_, Errno::NOENT | Errno::SRCH) => self.done(Fate::Gone),
            (_, Errno::ACCES | Errno::PERM) => self.done(Fate::Denied),
            (_, errno) => self.done(Fate::Failed(errno)),
        }
    }

    fn end(&mut self, plan: &Plan, file: ProcFile) {
        match file {
            ProcFile::Cmdline | ProcFile::Comm | ProcFile::Exe => self.name_read(plan, file),
            ProcFile::Status => self.status_read(plan),
            ProcFile::Tasks => self.tasks_read(plan),
            ProcFile::SmapsRollup | ProcFile::Smaps => self.memory_read(),
        }
    }

    fn name_read(&mut self, plan: &Plan, file: ProcFile) {
        match file {
            ProcFile::Exe => self.name.extend_from_slice(name::exe(&self.text)),
            ProcFile::Cmdline if plan.name_rule == NameRule::Cmdline => {
                name::arguments(&self.text, &mut self.name);
            }
            ProcFile::Cmdline => self.name.extend_from_slice(name::title(&self.text)),
            _ => self.name.extend_from_slice(name::comm(&self.text)),
        }
        if self.name.is_empty() && file != ProcFile::Comm {
            self.read(ProcFile::Status);
        } else {
            self.named(plan);
        }
    }

    fn status_read(&mut self, plan: &Plan) {
        let was_measured = std::mem::replace(&mut self.has_status, true);
        let is_whole = self.text.len() < TEXT_MAX;
        match status::kind(&self.text, is_whole) {
            Kind::KernelThread => self.done(Fate::KernelThread),
            Kind::Zombie => self.done(Fate::Zombie),
            Kind::ZombieLeader if self.task.is_none() => self.read(ProcFile::Tasks),
            Kind::ZombieLeader => self.done(Fate::Zombie),
            Kind::User if was_measured => self.done(Fate::Gone),
            Kind::User => self.comm_from_status(plan),
        }
    }

    fn comm_from_status(&mut self, plan: &Plan) {
        if self.name.is_empty() {
            let is_title = matches!(plan.name_rule, NameRule::Title | NameRule::Cmdline);
            self.name.extend(is_title.then_some(b'['));
            status::comm(&self.text, &mut self.name);
            self.name.extend(is_title.then_some(b']'));
        }
        self.named(plan);
    }

    /// The leader is dead: go on with the first other thread, name and all.
    fn tasks_read(&mut self, plan: &Plan) {
        let mut tasks = self.text.split(|byte| *byte == b'\n').filter_map(Pid::parse);
        match tasks.find(|task| *task != self.pid) {
            Some(task) => {
                self.task = Some(task);
                self.has_status = false;
                self.name.clear();
                self.read(name_file(plan.name_rule));
            }
            None => self.done(Fate::Zombie),
        }
    }

    fn named(&mut self, plan: &Plan) {
        match &plan.filter {
            Some(filter) if !filter.is_match(&self.name) => self.done(Fate::NotSelected),
            _ => self.read(memory_file(plan.source)),
        }
    }

    fn memory_read(&mut self) {
        if !self.has_memory_text {
            return self.no_address_space();
        }
        match std::mem::take(&mut self.scanner).finish() {
            Ok(smaps) => {
                self.smaps = smaps;
                self.done(Fate::Measured);
            }
            Err(_) => self.done(Fate::Malformed),
        }
    }

    /// smaps is empty, or there is "no such process": status tells which kind it is.
    fn no_address_space(&mut self) {
        if self.has_status {
            self.done(Fate::Gone);
        } else {
            self.has_status = true;
            self.read(ProcFile::Status);
        }
    }

    fn read(&mut self, file: ProcFile) {
        self.text.clear();
        if file.is_memory() {
            self.scanner = Scanner::new();
            self.has_memory_text = false;
        }
        self.state = State::Reading(file);
    }

    fn done(&mut self, fate: Fate) {
        self.state = State::Done(fate);
    }
}

fn name_file(rule: NameRule) -> ProcFile {
    match rule {
        NameRule::Title | NameRule::Cmdline => ProcFile::Cmdline,
        NameRule::Comm => ProcFile::Comm,
        NameRule::Exe => ProcFile::Exe,
    }
}

fn memory_file(source: Source) -> ProcFile {
    match source {
        Source::Auto | Source::Rollup => ProcFile::SmapsRollup,
        Source::Smaps => ProcFile::Smaps,
    }
}
