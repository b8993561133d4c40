//! What was answered for a process during one survey, and the fate that follows: the rules in
//! words, once more and apart from the program's own.

use psm_uring::process::{Fate, Plan, ProcFile, Source};
use psm_uring::units::Errno;

use super::life::LifeId;
use super::world::Place;

/// What kind of process a status text told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    User,
    Kernel,
    /// Its address space is gone, and it is no zombie yet.
    Exiting,
    Zombie,
    /// A dead leader with threads that live.
    Leaderless,
}

/// What an answer said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    Nothing,
    Name,
    Memory,
    /// Memory without a text: the address space is gone, or never was.
    NoMemory,
    /// There is no file for its memory, whatever became of the process.
    NoFile,
    /// Memory that is no smaps.
    Malformed,
    /// The thread that stood for the process is gone.
    NoThread,
    Status(Kind),
    Tasks,
    /// The control groups, which decide nothing.
    Group,
}

/// What must become of a process that nothing happens to while it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Measured(LifeId),
    Fate(Fate),
}

/// What an error means.
enum Meaning {
    /// The process can still be measured.
    Bearable(Word),
    Final(Fate),
}

/// One process in one survey.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    /// What was to be expected when it was first asked; `None` before.
    pub expected: Option<Expected>,
    /// The life it had then, counted from the first of its id.
    pub first_life: usize,
    /// Something happened to it since: an event of its script, or a fault.
    pub is_touched: bool,
    /// It left its id, or was leaving.
    pub has_left: bool,
    /// How often it was found without its memory, or without a file for it, or without its thread.
    pub losses: u32,
    /// It slept for so long that it was given up while others went on.
    pub is_given_up: bool,
    /// How often there was no file for its memory, of one and the same thread.
    missed_files: u32,
    decided: Option<Fate>,
    before: Word,
    last: Word,
}

impl Default for Log {
    fn default() -> Log {
        Log {
            expected: None,
            first_life: 0,
            is_touched: false,
            has_left: false,
            losses: 0,
            is_given_up: false,
            missed_files: 0,
            decided: None,
            before: Word::Nothing,
            last: Word::Nothing,
        }
    }
}

impl Log {
    /// Takes note of one answer, in the order the engine got them.
    pub fn answered(&mut self, plan: &Plan, place: Place, answer: Result<Word, Errno>) {
        // What is decided is decided, and the rest of a chain changes nothing.
        let is_rest = self.last == Word::NoThread && place.task.is_some();
        if self.decided.is_some() || is_rest {
            return;
        }
        let word = match answer.map_err(|errno| meaning(place, errno, plan)) {
            Ok(word) | Err(Meaning::Bearable(word)) => word,
            Err(Meaning::Final(fate)) => return self.decided = Some(fate),
        };
        if word == Word::Group {
            return;
        }
        let is_lost = matches!(word, Word::NoMemory | Word::NoFile | Word::NoThread);
        self.losses += u32::from(is_lost);
        self.missed_files += u32::from(word == Word::NoFile);
        if matches!(word, Word::NoThread | Word::NoMemory) {
            self.missed_files = 0;
        }
        self.before = std::mem::replace(&mut self.last, word);
    }

    /// The fate of a process that was neither measured nor given up.
    pub fn fate(&self) -> Fate {
        self.decided.unwrap_or_else(|| match (self.before, self.last) {
            (_, Word::Status(Kind::Zombie | Kind::Leaderless) | Word::Tasks) => Fate::Zombie,
            (_, Word::Status(Kind::Kernel)) => Fate::KernelThread,
            (_, Word::Status(Kind::Exiting)) => Fate::Gone,
            // It had no name of its own, and the one in its status is not wanted.
            (Word::Name, Word::Status(Kind::User)) | (_, Word::Name) => Fate::NotSelected,
            // It is well, and nothing more was asked: it is another user's.
            (Word::Nothing | Word::Tasks | Word::Status(Kind::User), Word::Status(Kind::User)) => {
                Fate::NotSelected
            }
            (Word::NoFile, Word::Status(Kind::User)) if self.missed_files > 1 => {
                Fate::Failed(Errno::NOENT)
            }
            (_, Word::Status(Kind::User) | Word::NoThread) => Fate::Changed,
            (_, Word::Malformed) => Fate::Malformed,
            // All of it was read, and the name that came with it is not wanted.
            (_, Word::Memory) => Fate::NotSelected,
            (_, Word::Nothing | Word::NoMemory | Word::NoFile | Word::Group) => {
                panic!("it was not finished: {self:?}")
            }
        })
    }
}

fn meaning(place: Place, errno: Errno, plan: &Plan) -> Meaning {
    let Place { file, task, .. } = place;
    let is_memory = matches!(file, ProcFile::Smaps | ProcFile::SmapsRollup);
    match errno.0 {
        // No binary, or it may not be told: comm will do.
        libc::ENOENT | libc::ESRCH | libc::EACCES | libc::EPERM | libc::EOPNOTSUPP
            if file == ProcFile::Exe =>
        {
            Meaning::Bearable(Word::Name)
        }
        // It is told without a group.
        libc::ENOENT | libc::ESRCH | libc::EACCES | libc::EPERM | libc::ENAMETOOLONG
            if file == ProcFile::Cgroup =>
        {
            Meaning::Bearable(Word::Group)
        }
        // An old kernel: smaps will do.
        libc::ENOENT if file == ProcFile::SmapsRollup && plan.source == Source::Auto => {
            Meaning::Bearable(Word::Nothing)
        }
        libc::ESRCH if is_memory => Meaning::Bearable(Word::NoMemory),
        // Status tells whether the process is gone.
        libc::ENOENT if is_memory => Meaning::Bearable(Word::NoFile),
        libc::ENOENT | libc::ESRCH | libc::ENOTDIR => match task {
            Some(_) => Meaning::Bearable(Word::NoThread),
            None => Meaning::Final(Fate::Gone),
        },
        libc::EACCES | libc::EPERM => Meaning::Final(Fate::Denied),
        other => Meaning::Final(Fate::Failed(Errno(other))),
    }
}
