//! The answers for a process during one survey, and the fate that follows: the rules once more,
//! independent of the program.

use psm_uring::process::{Fate, Plan, ProcFile, Source};
use psm_uring::units::Errno;

use super::life::LifeId;
use super::world::Place;

/// The kind of process that a status text describes.
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

/// The content of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    Nothing,
    Name,
    Memory,
    /// Memory without a text: the address space is gone, or never existed.
    NoMemory,
    /// There is no file for its memory, in any state of the process.
    NoFile,
    /// Memory text that is not smaps.
    Malformed,
    /// The thread that represents the process is gone.
    NoThread,
    Status(Kind),
    Tasks,
    /// Control groups, size and addresses, which do not affect the fate.
    Aside,
}

/// The expected fate of a process without events during its reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Measured(LifeId),
    Fate(Fate),
}

/// The meaning of an error.
enum Meaning {
    /// The process is still measurable.
    Bearable(Word),
    Final(Fate),
}

/// One process in one survey.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    /// The expectation at the first request; `None` before.
    pub expected: Option<Expected>,
    /// The life at that time, counted from the first of its id.
    pub first_life: usize,
    /// An event after that time: an event of its script, or a fault.
    pub is_touched: bool,
    /// The process has left its id, or is leaving.
    pub has_left: bool,
    /// The number of times that its memory, the file for it, or its thread was missing.
    pub losses: u32,
    /// It slept long enough that the engine gave it up while others continued.
    pub is_given_up: bool,
    /// The last answer was a window of its page tables.
    pub is_walking: bool,
    /// The number of times that the memory file of one and the same thread was missing.
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
            is_walking: false,
            missed_files: 0,
            decided: None,
            before: Word::Nothing,
            last: Word::Nothing,
        }
    }
}

impl Log {
    /// Records one answer, in the order of arrival at the engine.
    pub fn answered(&mut self, plan: &Plan, place: Place, answer: Result<Word, Errno>) {
        self.is_walking = place.file == ProcFile::Pagemap && answer == Ok(Word::Memory);
        // A decided fate is final; the rest of a chain does not change it.
        let is_rest = self.last == Word::NoThread && place.task.is_some();
        if self.decided.is_some() || is_rest {
            return;
        }
        let word = match answer.map_err(|errno| meaning(place, errno, plan)) {
            Ok(word) | Err(Meaning::Bearable(word)) => word,
            Err(Meaning::Final(fate)) => return self.decided = Some(fate),
        };
        if word == Word::Aside {
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

    /// The file that stayed open has no figures any more: the process begins anew.
    pub fn begin_anew(&mut self) {
        (self.before, self.last) = (Word::Nothing, Word::Nothing);
    }

    /// The fate of a process that is neither measured nor given up.
    pub fn fate(&self) -> Fate {
        self.decided.unwrap_or_else(|| match (self.before, self.last) {
            (_, Word::Status(Kind::Zombie | Kind::Leaderless) | Word::Tasks) => Fate::Zombie,
            (_, Word::Status(Kind::Kernel)) => Fate::KernelThread,
            (_, Word::Status(Kind::Exiting)) => Fate::Gone,
            // The process has no name of its own, and the filter excludes the one in its status.
            (Word::Name, Word::Status(Kind::User)) | (_, Word::Name) => Fate::NotSelected,
            // The process is healthy, and the chain ends here: it belongs to another user. Behind
            // memory, the file that stayed open lacked the name, and the process began anew.
            (
                Word::Nothing | Word::Tasks | Word::Memory | Word::Status(Kind::User),
                Word::Status(Kind::User),
            ) => Fate::NotSelected,
            (Word::NoFile, Word::Status(Kind::User)) if self.missed_files > 1 => {
                Fate::Failed(Errno::NOENT)
            }
            (_, Word::Status(Kind::User) | Word::NoThread) => Fate::Changed,
            (_, Word::Malformed) => Fate::Malformed,
            // All reads are complete, and the filter excludes the name.
            (_, Word::Memory) => Fate::NotSelected,
            (_, Word::Nothing | Word::NoMemory | Word::NoFile | Word::Aside) => {
                panic!("it was not finished: {self:?}")
            }
        })
    }
}

fn meaning(place: Place, errno: Errno, plan: &Plan) -> Meaning {
    let Place { file, task, .. } = place;
    let is_memory = matches!(file, ProcFile::Smaps | ProcFile::SmapsRollup);
    match errno.0 {
        // No binary, or no access to it: comm is the fallback.
        libc::ENOENT
        | libc::ESRCH
        | libc::EACCES
        | libc::EPERM
        | libc::ENAMETOOLONG
        | libc::EOPNOTSUPP
            if file == ProcFile::Exe =>
        {
            Meaning::Bearable(Word::Name)
        }
        // The report shows it without a group.
        libc::ENOENT | libc::ESRCH | libc::EACCES | libc::EPERM | libc::ENAMETOOLONG
            if file == ProcFile::Cgroup =>
        {
            Meaning::Bearable(Word::Aside)
        }
        // A rollup replaces the walk.
        _ if matches!(file, ProcFile::Maps | ProcFile::Pagemap) => Meaning::Bearable(Word::Aside),
        // An old kernel: smaps is the fallback.
        libc::ENOENT if file == ProcFile::SmapsRollup && plan.source == Source::Auto => {
            Meaning::Bearable(Word::Nothing)
        }
        libc::ESRCH if is_memory => Meaning::Bearable(Word::NoMemory),
        // Status shows whether the process is gone.
        libc::ENOENT if is_memory => Meaning::Bearable(Word::NoFile),
        libc::ENOENT | libc::ESRCH | libc::ENOTDIR => match task {
            Some(_) => Meaning::Bearable(Word::NoThread),
            None => Meaning::Final(Fate::Gone),
        },
        libc::EACCES | libc::EPERM => Meaning::Final(Fate::Denied),
        other => Meaning::Final(Fate::Failed(Errno(other))),
    }
}
