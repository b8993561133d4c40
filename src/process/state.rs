//! How far a probe is: what is being read, and why.

use super::{Fate, ProcFile, Want};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// One file is being read: a name, the control groups or the list of tasks.
    One(ProcFile),
    /// Status is being read.
    Status(Why),
    /// The memory file is being opened and the name read.
    Pair(ProcFile),
    /// The name is known (or has to come from status), the memory is being read.
    Memory(ProcFile),
    Done(Fate),
}

/// Why status is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It is the first that is asked: for the owner, or for a thread of the kernel.
    First,
    /// What the rule asks for is empty: the name has to come from there.
    Name,
    /// There is no address space, or not that one any more.
    Loss,
}

impl State {
    /// What to open and read next, where this file names the process.
    pub(super) fn want(self, name: ProcFile) -> Option<Want> {
        match self {
            State::One(file) | State::Memory(file) => Some(Want::One(file)),
            State::Status(_) => Some(Want::One(ProcFile::Status)),
            State::Pair(memory) => Some(Want::Pair { name, memory }),
            State::Done(_) => None,
        }
    }

    /// Whether this file is part of that.
    pub(super) fn expects(self, name: ProcFile, file: ProcFile) -> bool {
        match self.want(name) {
            Some(Want::One(wanted)) => file == wanted,
            Some(Want::Pair { name, memory }) => file == memory || file == name,
            None => false,
        }
    }
}
