//! What an error means that the kernel answers an open or a read with, by the file.

use super::ProcFile;
use crate::units::Errno;

/// What an error says of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// This cannot be told. The rest is worth reading without it.
    DoWithout,
    /// There is no address space, or not that one any more.
    NoAddressSpace,
    /// The process is gone, or this kernel has no such memory file.
    NoFile,
    /// The process, or the thread that stands for it, is gone.
    Gone,
    /// This user may not.
    Denied,
    /// Nothing of the above.
    Failed(Errno),
}

/// The meaning of an error of this file.
pub(super) fn of(file: ProcFile, errno: Errno) -> Refusal {
    match (file, errno) {
        // Kernel threads have no binary, other users' may be refused: comm is the name.
        (
            ProcFile::Exe,
            Errno::NOENT | Errno::SRCH | Errno::ACCES | Errno::PERM | Errno::NOT_SUPPORTED,
        ) => Refusal::DoWithout,
        // Gone, which memory tells; or a kernel without control groups; or too long a path.
        (
            ProcFile::Cgroup | ProcFile::Stat,
            Errno::NOENT | Errno::SRCH | Errno::ACCES | Errno::PERM | Errno::NAME_TOO_LONG,
        ) => Refusal::DoWithout,
        (ProcFile::SmapsRollup | ProcFile::Smaps, Errno::SRCH) => Refusal::NoAddressSpace,
        (ProcFile::SmapsRollup | ProcFile::Smaps, Errno::NOENT) => Refusal::NoFile,
        // A number that is no directory is no process: proc has none, what stands in for it may.
        (_, Errno::NOENT | Errno::SRCH | Errno::NOTDIR) => Refusal::Gone,
        (_, Errno::ACCES | Errno::PERM) => Refusal::Denied,
        (_, errno) => Refusal::Failed(errno),
    }
}
