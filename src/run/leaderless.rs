//! Processes whose leading thread is dead: its files lack memory, descriptors and, with version 1,
//! the control group; those of another thread have them.

use crate::process::{self, ProcFile};
use crate::sys::proc_root::ProcRoot;
use crate::units::Pid;

/// A living thread, and its `status`. Never blocks.
pub(super) fn living_thread(root: &ProcRoot, pid: Pid) -> Option<(Pid, Vec<u8>)> {
    let threads = root.text(ProcFile::Tasks, pid, None).ok()?;
    let mut threads = threads.split(|byte| *byte == b'\n').filter_map(Pid::parse);
    threads.find_map(|thread| {
        let status = root.read_whole(ProcFile::Status, pid, Some(thread)).ok()?;
        process::has_memory(&status).then_some((thread, status))
    })
}
