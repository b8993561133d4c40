//! The reads that a probe asks for.

#[cfg(doc)]
use super::Probe;
use crate::process::ProcFile;
use crate::process::walk::Window;

/// The next read of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// One file, opened and read to its end.
    One(ProcFile),
    /// Open the memory file, then open and read the name, then read the memory.
    Pair {
        /// The file with the name.
        name: ProcFile,
        /// The file with the memory.
        memory: ProcFile,
    },
}

/// The next read of the same file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadNext {
    /// Continue where the last read ended.
    Continue,
    /// Read one byte from the beginning again, to verify that the address space still exists.
    Verify,
    /// Read this part of the file, after a pause ([`PAUSE`](crate::process::PAUSE)) since the last
    /// one.
    Window(Window),
    /// Call [`Probe::count`] and go on with its result.
    Count,
    /// None: the file is done.
    Done,
}
