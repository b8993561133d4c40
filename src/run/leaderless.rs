//! Processes whose leading thread is dead: its `status` has no figures of memory, that of another
//! thread has.

use crate::process::{self, ProcFile};
use crate::sys::proc_root::ProcRoot;
use crate::units::Pid;

/// The `status` of a living thread. Never blocks.
pub(super) fn living_status(root: &ProcRoot, pid: Pid) -> Option<Vec<u8>> {
    let threads = root.text(ProcFile::Tasks, pid, None).ok()?;
    let mut threads = threads.split(|byte| *byte == b'\n').filter_map(Pid::parse);
    threads.find_map(|thread| {
        let status = root.read_whole(ProcFile::Status, pid, Some(thread)).ok()?;
        process::has_memory(&status).then_some(status)
    })
}
