//! What the kernel alone costs: the same files opened, read and closed on as many threads as there
//! are CPUs, nothing looked at. No engine can be faster by more than what it leaves out.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::process::{ProcFile, Source};
use crate::sys::proc_root::ProcRoot;
use crate::sys::threads;
use crate::units::Pid;

const READ_BYTES: usize = 16 * 1024;

/// The time of one pass over all processes.
pub(super) fn measure(root: &ProcRoot, pids: &[Pid], source: Source) -> Duration {
    let memory = source.memory_file();
    let next = AtomicUsize::new(0);
    let pass = || {
        let mut room = vec![0; READ_BYTES];
        while let Some(pid) = pids.get(next.fetch_add(1, Ordering::Relaxed)) {
            read(root, *pid, memory, &mut room);
            read(root, *pid, ProcFile::Cmdline, &mut room);
        }
    };
    let began = Instant::now();
    std::thread::scope(|scope| (0..threads::cpus()).for_each(|_| drop(scope.spawn(pass))));
    began.elapsed()
}

/// Reads to the end; whatever fails costs what it costs.
fn read(root: &ProcRoot, pid: Pid, file: ProcFile, room: &mut [u8]) {
    let Ok(mut open) = root.open_file(file, &file.path(pid, None)) else { return };
    while open.read(room).is_ok_and(|len| len > 0 && !file.is_one_record()) {}
}
