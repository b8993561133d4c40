//! The files of one process: their paths, and how to read them.

use std::io::Write;

use super::NAME_MAX;
use crate::units::Pid;

/// A file under `/proc/PID` (`proc(5)`; kernel: fs/proc/base.c, fs/proc/task_mmu.c).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcFile {
    /// The argument list as the process shows it. A read touches the memory of the process: it can
    /// swap in a page, and block on the `mmap_lock`.
    Cmdline,
    /// The same file, up to a larger size: the class of a Java program follows its class path.
    Arguments,
    /// The name of the leading thread, at most 15 bytes. Never blocks.
    Comm,
    /// Facts by line, among them comm, state and number of threads. Never blocks.
    Status,
    /// Facts in one line, among them the start time. Can wait for a stuck exec, as opens of memory
    /// files do (seen in 6.18).
    Stat,
    /// The control groups, one line per hierarchy. Does not wait for a process.
    Cgroup,
    /// The binary, a symbolic link. Its text is the target.
    Exe,
    /// The threads, a directory. Its text is one thread id per line.
    Tasks,
    /// The children of a thread, with blanks between. Exists if the kernel was built with
    /// `CONFIG_PROC_CHILDREN`. Never blocks.
    Children,
    /// The pages of the address space in one line: all, resident, shared. Never blocks.
    Statm,
    /// Every mapping: addresses, permissions, device, path. A few mappings per hold of the lock, or
    /// none (6.17).
    Maps,
    /// The entries of the page tables, eight bytes each, at eight bytes per page from address 0. A
    /// read takes the lock for each table that it visits.
    Pagemap,
    /// The sums over all mappings, computed under one hold of the `mmap_lock` (4.14).
    SmapsRollup,
    /// Every mapping with its figures, a few mappings per hold of the lock.
    Smaps,
    /// The score of the OOM killer. Does not wait for the process.
    OomScore,
    /// The adjustment of that score. Likewise.
    OomScoreAdj,
}

/// The maximum size of nearly every text. An argument list of 64 GiB costs no more than one of 4
/// KiB.
pub const TEXT_MAX: usize = NAME_MAX;

/// The maximum size of a path with its NUL: two ids of ten digits and the names.
pub const PATH_MAX: usize = 48;

/// A path relative to the root of `/proc`, with a NUL for the kernel.
#[derive(Clone, Copy, Debug)]
pub struct RelPath {
    bytes: [u8; PATH_MAX],
    len: usize,
    /// The file, its process, and the thread of the process.
    parts: Option<(ProcFile, Pid, Option<Pid>)>,
}

impl RelPath {
    /// The root itself, which always exists.
    pub fn root() -> RelPath {
        let mut bytes = [0; PATH_MAX];
        bytes[0] = b'.';
        RelPath { bytes, len: 1, parts: None }
    }

    /// The path with its NUL.
    pub fn with_nul(&self) -> &[u8; PATH_MAX] {
        &self.bytes
    }

    /// The file, its process, and the thread if the path names one; `None` for the root.
    pub fn parts(&self) -> Option<(ProcFile, Pid, Option<Pid>)> {
        self.parts
    }

    /// The path without its NUL.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl ProcFile {
    /// The path of the file for a process, or for one of its threads.
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
            ProcFile::Statm => "statm",
            ProcFile::Maps => "maps",
            ProcFile::Pagemap => "pagemap",
            ProcFile::SmapsRollup => "smaps_rollup",
            ProcFile::Smaps => "smaps",
            ProcFile::OomScore => "oom_score",
            ProcFile::OomScoreAdj => "oom_score_adj",
        };
        let mut bytes = [0; PATH_MAX];
        let mut rest = &mut bytes[..PATH_MAX - 1];
        let written = match task {
            None => write!(rest, "{pid}/{name}"),
            Some(task) => write!(rest, "{pid}/task/{task}/{name}"),
        };
        // 10 + "/task/" + 10 + "/" + "oom_score_adj" = 40 bytes at the most.
        debug_assert!(written.is_ok(), "PATH_MAX holds every path");
        let len = PATH_MAX - 1 - rest.len();
        RelPath { bytes, len, parts: Some((self, pid, task)) }
    }

    /// Whether one read returns the whole file if it fits the buffer, so that a read that does not
    /// fill the buffer needs no second one to find the end. A read of smaps, maps or children ends
    /// after about a page.
    pub fn is_one_record(self) -> bool {
        !matches!(self, ProcFile::Smaps | ProcFile::Maps | ProcFile::Children)
    }

    /// The maximum size of its text. Control groups are never cut: there are a dozen hierarchies,
    /// and the kernel prints no path longer than [`TEXT_MAX`].
    pub fn text_max(self) -> usize {
        match self {
            ProcFile::Cgroup | ProcFile::Arguments => 16 * TEXT_MAX,
            _ => TEXT_MAX,
        }
    }

    /// Whether open and read never block, whatever the state of the process, so that a thread that
    /// must not wait can call them. All other files can wait forever for a stuck process or for
    /// a lock that another process holds.
    ///
    /// `comm` copies a name under a spin lock, `status` sums counters, `task` walks a list under
    /// RCU, `children` another one under `tasklist_lock`, `statm` reads counters (fs/proc/array.c,
    /// fs/proc/base.c).
    pub fn never_blocks(self) -> bool {
        use ProcFile::{Children, Comm, Statm, Status, Tasks};
        matches!(self, Comm | Status | Tasks | Children | Statm)
    }

    /// Whether the open ties the file to the address space of that moment.
    pub fn is_memory(self) -> bool {
        use ProcFile::{Maps, Pagemap, Smaps, SmapsRollup};
        matches!(self, SmapsRollup | Smaps | Maps | Pagemap)
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
