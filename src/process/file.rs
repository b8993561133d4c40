//! The files of one process: which they are, where they stand, how they are read.

use std::io::Write;

use super::NAME_MAX;
use crate::units::Pid;

/// A file under `/proc/PID` (`proc(5)`; kernel: fs/proc/base.c, fs/proc/task_mmu.c).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcFile {
    /// The argument list as the process shows it. Touches the target's memory: may swap in a
    /// page, may block on its `mmap_lock`.
    Cmdline,
    /// The same file, of which more is read: the class of a java stands behind its class path.
    Arguments,
    /// The name of the leading thread, at most 15 bytes. Never blocks.
    Comm,
    /// Facts in lines, among them comm, state and number of threads. Never blocks.
    Status,
    /// Facts in one line, among them when the process started. Was seen to wait for an exec that is
    /// stuck, as opens of memory do (6.18).
    Stat,
    /// The control groups, one hierarchy a line. Waits for no process.
    Cgroup,
    /// The binary, a symbolic link: its text is the link's target.
    Exe,
    /// The threads, a directory: its text is one thread id a line.
    Tasks,
    /// The processes that a thread has started, one after another with blanks between. Exists
    /// where the kernel was built with `CONFIG_PROC_CHILDREN`. Never blocks.
    Children,
    /// The sums over all mappings, made in one walk under one hold of `mmap_lock` (4.14).
    SmapsRollup,
    /// Every mapping with its figures, walked a few mappings at a time.
    Smaps,
}

/// The most that is read of nearly every file that is kept as text. An argument list of 64 GiB
/// costs no more than one of 4 KiB.
pub const TEXT_MAX: usize = NAME_MAX;

/// The longest path we make, with the terminating NUL: two ids of ten digits and the names.
pub const PATH_MAX: usize = 48;

/// A path relative to the root of `/proc`, ended by a NUL for the kernel.
#[derive(Clone, Copy, Debug)]
pub struct RelPath {
    bytes: [u8; PATH_MAX],
    len: usize,
}

impl RelPath {
    /// The root itself: something that is always there to be opened.
    pub fn root() -> RelPath {
        let mut bytes = [0; PATH_MAX];
        bytes[0] = b'.';
        RelPath { bytes, len: 1 }
    }

    /// The path with its terminating NUL.
    pub fn with_nul(&self) -> &[u8; PATH_MAX] {
        &self.bytes
    }

    /// The path without its NUL.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl ProcFile {
    /// Where the file of a process stands, or that of one of its threads.
    pub fn path(self, pid: Pid, task: Option<Pid>) -> RelPath {
        let name = match self {
            ProcFile::Cmdline | ProcFile::Arguments => "cmdline",
            ProcFile::Comm => "comm",
            ProcFile::Status => "status",
            ProcFile::Stat => "stat",
            ProcFile::Cgroup => "cgroup",
            ProcFile::Exe => "exe",
            ProcFile::Tasks => "task",
            ProcFile::Children => "children",
            ProcFile::SmapsRollup => "smaps_rollup",
            ProcFile::Smaps => "smaps",
        };
        let mut bytes = [0; PATH_MAX];
        let mut rest = &mut bytes[..PATH_MAX - 1];
        let written = match task {
            None => write!(rest, "{pid}/{name}"),
            Some(task) => write!(rest, "{pid}/task/{task}/{name}"),
        };
        // 10 + "/task/" + 10 + "/" + "smaps_rollup" = 39 bytes at the most.
        debug_assert!(written.is_ok(), "PATH_MAX holds every path");
        let len = PATH_MAX - 1 - rest.len();
        RelPath { bytes, len }
    }

    /// Whether the kernel hands the file out in one read when there is room for it, so that a
    /// read that left room needs no second one to see the end. Not so for smaps and children,
    /// where a read ends with whatever filled a page.
    pub fn is_one_record(self) -> bool {
        !matches!(self, ProcFile::Smaps | ProcFile::Children)
    }

    /// The most that is read of it when it is kept as text. Of control groups nothing is cut: there
    /// are a dozen hierarchies, and the kernel tells no path longer than [`TEXT_MAX`].
    pub fn text_max(self) -> usize {
        match self {
            ProcFile::Cgroup | ProcFile::Arguments => 16 * TEXT_MAX,
            _ => TEXT_MAX,
        }
    }

    /// Whether it is opened and read at once, whatever state the process is in: by the thread that
    /// must not be held up, if there is no other. All others can wait for ever in a stuck process,
    /// or for locks that somebody else holds.
    ///
    /// `comm` copies a name under a spin lock, `status` sums up counters, `task` walks a list under
    /// RCU, `children` another one under `tasklist_lock` (fs/proc/array.c, fs/proc/base.c).
    pub fn never_blocks(self) -> bool {
        matches!(self, ProcFile::Comm | ProcFile::Status | ProcFile::Tasks | ProcFile::Children)
    }

    /// Whether its text is scanned for memory.
    pub fn is_memory(self) -> bool {
        matches!(self, ProcFile::SmapsRollup | ProcFile::Smaps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_path_fits() {
        let most = Pid(u32::MAX);
        let path = ProcFile::SmapsRollup.path(most, Some(most));
        assert_eq!(path.as_bytes(), b"4294967295/task/4294967295/smaps_rollup");
        assert_eq!(path.with_nul()[path.as_bytes().len()], 0);
        assert_eq!(ProcFile::Exe.path(Pid(1), None).as_bytes(), b"1/exe");
    }
}
