//! Threads that may be refused, but never end the program.

use super::memory;

/// What a thread of this program needs of stack: it calls nothing deep.
const STACK_BYTES: usize = 128 * 1024;

/// Starts a thread, unless there is none to be had (`RLIMIT_NPROC`, `pids.max`) or it would leave
/// less memory than so many bytes. Whether it was started.
///
/// A thread that finds no memory for its own beginnings would take the whole program along
/// (`__cxa_thread_atexit_impl` of the C library aborts).
pub fn spawn(left_bytes: usize, work: impl FnOnce() + Send + 'static) -> bool {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    memory::has_room(STACK_BYTES + left_bytes) && thread.spawn(work).is_ok()
}
