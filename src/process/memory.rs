//! The memory file of one process, read by read: when it is whole, and when it proves nothing.
//! Knows nothing of names or of other files.

use super::ProcFile;
use crate::smaps::{Malformed, Scanner, Smaps};

/// What one read of the memory file means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There is more to read.
    ReadOn,
    /// All was read; one byte from the beginning tells whether it was all of it.
    Rewind,
    /// There is no address space, or not that one any more.
    Lost,
    /// All of it was read.
    Whole,
}

/// A memory file on its way to figures.
#[derive(Debug, Default)]
pub(super) struct Memory {
    scanner: Scanner,
    has_text: bool,
    /// All was read, and one more read tells whether it was all of it.
    is_read: bool,
}

impl Memory {
    /// Takes what one read returned, into a buffer of `room` bytes.
    pub(super) fn feed(&mut self, file: ProcFile, bytes: &[u8], room: usize) -> Step {
        if self.is_read {
            return if bytes.is_empty() { Step::Lost } else { Step::Whole };
        }
        self.has_text |= !bytes.is_empty();
        self.scanner.feed(bytes);
        if !bytes.is_empty() && (bytes.len() == room || !file.is_one_record()) {
            return Step::ReadOn;
        }
        if !self.has_text {
            return Step::Lost;
        }
        // The text of a process that dies or execs half-way ends like any other.
        self.is_read = !file.is_one_record();
        if self.is_read { Step::Rewind } else { Step::Whole }
    }

    /// The sums, when all was read, and room for another file.
    pub(super) fn finish(&mut self) -> Result<Smaps, Malformed> {
        std::mem::take(self).scanner.finish()
    }
}
