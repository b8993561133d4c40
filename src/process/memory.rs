//! The memory file of one process, read by read: when it is whole, and when it proves nothing.
//! Knows nothing of names or of other files.

use super::ProcFile;
use crate::smaps::{Malformed, Scanner, Smaps};

/// A rollup has 25 lines. What is longer than this is none, and may never end.
const RECORD_BYTES_MAX: u64 = 64 * 1024;
/// The same of smaps: the text of six million mappings, a hundred times `vm.max_map_count`.
const SMAPS_BYTES_MAX: u64 = 4 << 30;

/// What one read of the memory file means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There is more to read.
    Continue,
    /// All was read; one byte from the beginning tells whether it was all of it.
    Verify,
    /// There is no address space, or not that one any more.
    Lost,
    /// All of it was read, or more than there can be.
    Whole,
}

/// A memory file on its way to figures.
#[derive(Debug, Default)]
pub(super) struct Memory {
    scanner: Scanner,
    bytes: u64,
    /// It is no smaps: there is more text than any process has.
    is_endless: bool,
    /// All was read, and one more read tells whether it was all of it.
    is_read: bool,
}

impl Memory {
    /// Takes what one read returned, into a buffer of `room` bytes.
    pub(super) fn feed(&mut self, file: ProcFile, bytes: &[u8], room: usize) -> Step {
        if self.is_read {
            return if bytes.is_empty() { Step::Lost } else { Step::Whole };
        }
        let bytes_max = if file.is_one_record() { RECORD_BYTES_MAX } else { SMAPS_BYTES_MAX };
        self.bytes += bytes.len() as u64;
        self.is_endless = self.bytes > bytes_max;
        if self.is_endless {
            return Step::Whole;
        }
        self.scanner.feed(bytes);
        if !bytes.is_empty() && (bytes.len() == room || !file.is_one_record()) {
            return Step::Continue;
        }
        if self.bytes == 0 {
            return Step::Lost;
        }
        // The text of a process that dies or execs half-way ends like any other.
        self.is_read = !file.is_one_record();
        if self.is_read { Step::Verify } else { Step::Whole }
    }

    /// The sums, when all was read, and room for another file.
    pub(super) fn finish(&mut self) -> Result<Smaps, Malformed> {
        let Memory { scanner, is_endless, .. } = std::mem::take(self);
        if is_endless { Err(Malformed) } else { scanner.finish() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_end_is_no_smaps() {
        let sizes = [(ProcFile::SmapsRollup, RECORD_BYTES_MAX), (ProcFile::Smaps, SMAPS_BYTES_MAX)];
        for (file, most) in sizes {
            let mut memory = Memory { bytes: most - 8, ..Memory::default() };
            assert_eq!(memory.feed(file, b"12345678", 8), Step::Continue);
            assert_eq!(memory.feed(file, b"9", 8), Step::Whole);
            assert_eq!(memory.finish(), Err(Malformed));
        }
    }
}
