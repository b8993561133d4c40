//! What a probe asks of an engine, file by file. Knows nothing of what the files say.

use super::ProcFile;

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
pub enum Progress {
    /// Read on from where the last read ended.
    ReadOn,
    /// Read a little from the beginning once more, to see whether the process still has the
    /// address space that was read.
    Rewind,
    /// This file is done.
    Turn,
}
