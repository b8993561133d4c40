//! Finds kernel threads without a request for each.
//!
//! A host has hundreds of them, and each would cost an engine a request or more. The children of
//! `kthreadd` are kernel threads, except for usermode helpers, which have memory. So a child is
//! skipped only with a proof.

use crate::process::{self, Fate, KTHREADD, ProcFile};
use crate::sys::proc_root::ProcRoot;
use crate::sys::this_process;
use crate::units::{Errno, Pid};

/// The kernel threads of one survey.
pub(super) struct KernelThreads<'a> {
    root: &'a ProcRoot,
    /// `kthreadd` and its children, ascending. Empty if the kernel does not list them.
    pub(super) likely: Vec<Pid>,
    is_own: bool,
    has_deadline: bool,
}

impl KernelThreads<'_> {
    /// Finds the likely kernel threads; none if `kthreadd` is not listed, as with a choice of
    /// processes.
    pub(super) fn find<'a>(
        root: &'a ProcRoot,
        listed: &[Pid],
        has_deadline: bool,
    ) -> KernelThreads<'a> {
        let is_host = listed.contains(&KTHREADD);
        let likely = if is_host { children_of_kthreadd(root) } else { Vec::new() };
        let is_own = !likely.is_empty() && root.is_own();
        KernelThreads { root, likely, is_own, has_deadline }
    }

    /// Whether a process is a kernel thread for certain. With a deadline this may cost a read of
    /// `status`: a thread that the engine does not reach in time would count as missing.
    pub(super) fn is_proven(&self, pid: Pid) -> bool {
        let has_no_memory = || self.is_own && this_process::has_memory(pid) == Some(false);
        let has_status =
            || self.has_deadline && fate_at_once(self.root, pid) == Some(Fate::KernelThread);
        self.likely.binary_search(&pid).is_ok() && (has_no_memory() || has_status())
    }
}

fn children_of_kthreadd(root: &ProcRoot) -> Vec<Pid> {
    let status = root.read_whole(ProcFile::Status, KTHREADD, None);
    let children = root.read_whole(ProcFile::Children, KTHREADD, Some(KTHREADD));
    let (Ok(status), Ok(children)) = (status, children) else { return Vec::new() };
    let mut threads = process::kernel_threads(&status, &children);
    threads.sort_unstable();
    threads
}

/// The fate of a process without memory, by its `status`, which never blocks; `None` if the process
/// may have memory.
pub(super) fn fate_at_once(root: &ProcRoot, pid: Pid) -> Option<Fate> {
    match root.read_once(ProcFile::Status, pid) {
        Ok(status) => process::fate_of_memoryless(&status),
        Err(Errno::NOENT | Errno::SRCH) => Some(Fate::Gone),
        Err(_) => None,
    }
}
