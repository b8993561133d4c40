//! The allocator: the system's, but a refusal ends the program as any other error does. Who can do
//! with less asks first how much there is.
//!
//! The standard library would abort, which looks like a crash and may write a core dump. Knows
//! nothing of who wanted the memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

use super::stdio;
use super::this_process;

/// Whether so many bytes more could be had now (`RLIMIT_AS`, `RLIMIT_DATA`, and the commit limit
/// where the host has one). The limit of a cgroup does not count: it is about memory in use.
pub fn has_room(bytes: usize) -> bool {
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping wherever the kernel likes touches nothing that is there.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, rights, flags, -1, 0) };
    // SAFETY: the mapping, if it was made, is nobody else's.
    start != libc::MAP_FAILED && unsafe { libc::munmap(start, bytes) } == 0
}

/// Lets all threads share one heap. glibc would give each a heap of its own and reserve 64 MiB of
/// addresses for it, which a limit of addresses counts. They allocate next to nothing.
pub fn share_one_heap() {
    #[cfg(target_env = "gnu")]
    {
        const HEAPS: libc::c_int = 1;
        // SAFETY: it sets a number; called before there are threads.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, HEAPS) };
    }
}

/// Hands out the system's memory, or ends the program.
pub struct OrExit;

// SAFETY: all memory is the system allocator's, with the layouts that the caller promised it.
unsafe impl GlobalAlloc for OrExit {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps what `GlobalAlloc` demands.
        or_exit(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        or_exit(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above; the memory came from the same allocator.
        or_exit(unsafe { System.realloc(memory, layout, size) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above; the memory came from the same allocator.
        unsafe { System.dealloc(memory, layout) };
    }
}

#[inline]
fn or_exit(memory: *mut u8) -> *mut u8 {
    if memory.is_null() {
        tell_and_exit();
    }
    memory
}

/// Allocates nothing.
#[cold]
fn tell_and_exit() -> ! {
    static IS_TOLD: AtomicBool = AtomicBool::new(false);
    // Threads may run out at the same time. One line is enough, and it must get out.
    while IS_TOLD.swap(true, Ordering::Relaxed) {
        rustix::event::pause();
    }
    stdio::write_stderr(
        b"psm-uring: no memory left; raise the limit (ulimit -v, -d, memory of the cgroup), or use \
          fewer --workers and less --depth\n",
    );
    this_process::exit(1)
}
