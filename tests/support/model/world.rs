//! The answers of every file of every process in every state: those of `fs/proc/base.c` and
//! `fs/proc/task_mmu.c`.

use psm_uring::process::{Plan, ProcFile};
use psm_uring::sys::ring::ReadFrom;
use psm_uring::units::{Errno, Pid};

use super::fault::{Faults, Op};
use super::life::{KERNEL_STATUS, Life, LifeId, lives};
use super::log::{Kind, Word};
use super::seat::{Body, Denial, Seat};
use super::{Micros, NEVER};

/// The time of a rollup is that of so many windows.
const WINDOWS: Micros = 8;

/// Files of an address space.
fn is_memory(file: ProcFile) -> bool {
    use ProcFile::{Maps, Pagemap, Smaps, SmapsRollup};
    matches!(file, Smaps | SmapsRollup | Maps | Pagemap)
}

/// The common properties of all processes.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// `smaps_rollup` exists (4.14).
    pub has_rollup: bool,
    /// Without an address space, the open of a rollup fails (6.16), or on other kernels the read.
    pub refuses_at_open: bool,
}

/// An open file of a process.
#[derive(Clone, Copy, Debug)]
pub struct OpenFile {
    pub seat: usize,
    pub file: ProcFile,
    task: Option<Pid>,
    owner: u32,
    /// The address space of a memory file; for cgroup, the life with the printed groups.
    life: Option<LifeId>,
    at: usize,
}

/// The position in a file.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub seat: usize,
    pub task: Option<Pid>,
    pub file: ProcFile,
}

impl OpenFile {
    pub fn place(&self) -> Place {
        let OpenFile { seat, task, file, .. } = *self;
        Place { seat, task, file }
    }

    /// The same file, read from its beginning.
    pub fn rewound(self) -> OpenFile {
        OpenFile { at: 0, ..self }
    }

    /// The content of its text.
    fn word(&self) -> Word {
        match self.file {
            ProcFile::Cgroup | ProcFile::Statm | ProcFile::Maps => return Word::Aside,
            ProcFile::Pagemap => return Word::Memory,
            _ => {}
        }
        let is_malformed = self.life.is_some_and(|life| lives()[life].is_malformed);
        if is_malformed { Word::Malformed } else { Word::Memory }
    }
}

/// All processes.
pub struct World {
    pub now: Micros,
    pub seats: Vec<Seat>,
    pub kernel: Kernel,
    pub faults: Faults,
    pub plan: &'static Plan,
}

impl World {
    /// The end of the sleep of this step in the process; 0 without a sleep.
    pub fn held_until(&mut self, place: Place, op: Op) -> Micros {
        let seat = &mut self.seats[place.seat];
        seat.settle(self.now);
        let is_memory = is_memory(place.file);
        let is_guarded = is_memory || place.file == ProcFile::Exe;
        let is_arguments = matches!(place.file, ProcFile::Cmdline | ProcFile::Arguments);
        match op {
            _ if seat.memory(place.task).is_none() => 0,
            Op::Open | Op::Link if is_guarded => seat.exec_lock,
            Op::Read if is_memory || is_arguments => seat.memory_lock,
            _ => 0,
        }
    }

    /// The run time of this step, in addition to the time of every step.
    pub fn walk(&self, place: Place, op: Op) -> Micros {
        let walk = self.seats[place.seat].walk;
        match (place.file, op) {
            (ProcFile::Smaps | ProcFile::SmapsRollup, Op::Read) => walk,
            (ProcFile::Pagemap, Op::Read) => walk / WINDOWS,
            _ => 0,
        }
    }

    /// Counts a step of a process, and fails it if a fault applies.
    fn step(&mut self, place: Place, op: Op) -> Result<(), Errno> {
        let (plan, kernel) = (self.plan, self.kernel);
        let seat = &mut self.seats[place.seat];
        seat.settle(self.now);
        if seat.log.expected.is_none() {
            seat.log.expected = Some(seat.expected(plan, kernel));
            seat.log.first_life = seat.life_count;
            seat.log.is_touched = false;
            seat.log.has_left = matches!(seat.body, Body::Absent | Body::Exiting);
        }
        seat.steps += 1;
        match self.faults.strike(place, op) {
            None => Ok(()),
            Some(errno) => {
                seat.log.is_touched = true;
                Err(errno)
            }
        }
    }

    /// Opens a file. For a link, this is the complete operation.
    pub fn open(&mut self, place: Place, op: Op) -> Result<OpenFile, Errno> {
        self.step(place, op)?;
        let Place { seat: index, task, file } = place;
        let (seat, kernel) = (&self.seats[index], self.kernel);
        let memory = seat.memory(task);
        let is_memory = is_memory(file);
        let is_refused = is_memory && file != ProcFile::Smaps && kernel.refuses_at_open;
        let is_guarded = is_memory || file == ProcFile::Exe;
        match (seat.body, seat.denial) {
            (Body::Absent, _) => return Err(Errno::NOENT),
            (_, Denial::All) => return Err(Errno::PERM),
            _ if !seat.has_thread(task) => return Err(Errno::NOENT),
            _ if file == ProcFile::SmapsRollup && !kernel.has_rollup => return Err(Errno::NOENT),
            (_, Denial::Memory) if is_guarded && memory.is_some() => return Err(Errno::ACCES),
            _ if file == ProcFile::Exe && memory.is_none() => return Err(Errno::NOENT),
            _ if is_refused && memory.is_none() => return Err(Errno::SRCH),
            _ => {}
        }
        let life = if is_memory { memory } else { None };
        Ok(OpenFile { seat: index, file, task, owner: seat.owner, life, at: 0 })
    }

    /// Reads at most `room` bytes of a part of the file.
    pub fn read(
        &mut self,
        open: &mut OpenFile,
        from: ReadFrom,
        room: usize,
    ) -> Result<(&'static [u8], Word), Errno> {
        let Place { seat, task, file } = open.place();
        self.step(open.place(), Op::Read)?;
        let seat = &self.seats[seat];
        if from == ReadFrom::Beginning {
            open.at = 0;
        }
        if let Some(rest) = buffered(open) {
            open.at += rest.len().min(room);
            return Ok((&rest[..rest.len().min(room)], open.word()));
        }
        let is_same = seat.body != Body::Absent && seat.owner == open.owner;
        if !is_same || !seat.has_thread(task) {
            return Err(Errno::SRCH);
        }
        let life = seat.life();
        let (text, word): (&'static [u8], _) = match file {
            ProcFile::Cmdline | ProcFile::Arguments if seat.memory(task).is_none() => {
                (&[], Word::Name)
            }
            ProcFile::Cmdline | ProcFile::Arguments => (&life.cmdline, Word::Name),
            ProcFile::Comm if seat.body == Body::Kernel => (b"kworker\n", Word::Name),
            ProcFile::Comm => (&life.comm, Word::Name),
            ProcFile::Exe => (&life.exe, Word::Name),
            ProcFile::Cgroup => {
                open.life = Some(seat.life);
                (&life.cgroup, Word::Aside)
            }
            ProcFile::Statm if seat.memory(task).is_none() => (b"0 0 0 0 0 0 0\n", Word::Aside),
            ProcFile::Statm => (life.statm.as_bytes(), Word::Aside),
            ProcFile::Status => {
                let kind = seat.kind(task);
                (status(life, kind).as_bytes(), Word::Status(kind))
            }
            ProcFile::Maps if open.life != seat.memory(task) => (&[], Word::Aside),
            ProcFile::Pagemap if open.life.is_none() || open.life != seat.memory(task) => {
                (&[], Word::NoMemory)
            }
            _ if open.life.is_none() || open.life != seat.memory(task) => {
                if file == ProcFile::SmapsRollup && open.at == 0 {
                    return Err(Errno::SRCH);
                }
                let is_end = open.at > 0;
                (&[], if is_end { open.word() } else { Word::NoMemory })
            }
            ProcFile::Maps => (life.maps.as_bytes(), Word::Aside),
            ProcFile::Pagemap => {
                let ReadFrom::At(window) = from else { panic!("page tables are read by windows") };
                return Ok((life.entries(window.offset, room), Word::Memory));
            }
            ProcFile::SmapsRollup => (&life.rollup, open.word()),
            _ => (&life.smaps, open.word()),
        };
        let text = text.get(open.at..).unwrap_or_default();
        let len = text.len().min(room);
        open.at += len;
        Ok((&text[..len], word))
    }

    /// The threads of a process, one a line. Never waits.
    pub fn tasks(&mut self, place: Place) -> Result<Vec<u8>, Errno> {
        self.step(place, Op::Open)?;
        let seat = &self.seats[place.seat];
        let leader = seat.pid;
        match (seat.body, seat.denial) {
            (Body::Absent, _) => Err(Errno::NOENT),
            (_, Denial::All) => Err(Errno::PERM),
            (Body::Leaderless(thread), _) => Ok(format!("{leader}\n{thread}\n").into_bytes()),
            _ => Ok(format!("{leader}\n").into_bytes()),
        }
    }

    /// Releases locks that are otherwise held for ever.
    pub fn unlock(&mut self) {
        for seat in &mut self.seats {
            seat.memory_lock = if seat.memory_lock == NEVER { 0 } else { seat.memory_lock };
            seat.exec_lock = if seat.exec_lock == NEVER { 0 } else { seat.exec_lock };
        }
    }
}

/// Text that the kernel has printed and not yet returned: the rest of a record. It arrives in any
/// state of the process.
fn buffered(open: &OpenFile) -> Option<&'static [u8]> {
    if matches!(open.file, ProcFile::Statm | ProcFile::Maps | ProcFile::Pagemap) {
        return None;
    }
    let life = &lives()[open.life?];
    let end = match open.file {
        ProcFile::Smaps => *life.ends.iter().find(|end| **end >= open.at)?,
        ProcFile::Cgroup if open.at > 0 => life.cgroup.len(),
        _ if open.at > 0 => life.rollup.len(),
        _ => 0,
    };
    let is_inside = match open.file {
        ProcFile::Smaps => open.at > 0 && !life.ends.contains(&open.at),
        _ => open.at < end,
    };
    let text = match open.file {
        ProcFile::Smaps => &life.smaps,
        ProcFile::Cgroup => &life.cgroup,
        _ => &life.rollup,
    };
    is_inside.then(|| &text[open.at..end])
}

fn status(life: &'static Life, kind: Kind) -> &'static str {
    match kind {
        Kind::User => &life.status,
        Kind::Kernel => KERNEL_STATUS,
        Kind::Exiting => &life.exiting,
        Kind::Zombie => &life.zombie,
        Kind::Leaderless => &life.leaderless,
    }
}
