//! Memory limits: the allocator, and a check before large allocations.
//!
//! The allocator is the system's, but a failure ends the program with a message and an exit code.
//! The standard library would abort, which looks like a crash and may write a core dump. Code that
//! can do with less memory calls [`has_room`] first.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

use super::stdio;
use super::this_process;

/// Memory that must stay free: four times what the C library takes at a time.
const RESERVE_BYTES: usize = 512 * 1024;
/// The same for each process, which has a result, a row and a part in the report (2,400 processes:
/// 390 bytes each in a table of programs, 2,100 in one of processes, 3,400 in JSON).
const RESERVE_BYTES_PER_PROCESS: usize = 3584;

/// Whether `bytes` can be allocated now (`RLIMIT_AS`, `RLIMIT_DATA`, and the commit limit if the
/// host has one) and leave enough for the rest of a run over `processes` processes. The limit of a
/// cgroup does not count: it is about memory in use.
pub fn has_room(bytes: usize, processes: usize) -> bool {
    let bytes = bytes + RESERVE_BYTES + processes * RESERVE_BYTES_PER_PROCESS;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: without an address and MAP_FIXED, the kernel replaces no mapping that exists.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, flags, -1, 0) };
    // SAFETY: `mmap` made this mapping of this length, and no pointer into it exists.
    start != libc::MAP_FAILED && unsafe { libc::munmap(start, bytes) } == 0
}

/// Lets all threads share one heap. By default, glibc reserves 64 MiB of addresses for the heap of
/// each thread, which count towards `RLIMIT_AS`. Threads of this program allocate very little.
pub fn share_one_heap() {
    #[cfg(target_env = "gnu")]
    {
        const HEAPS: libc::c_int = 1;
        // SAFETY: it sets a number of the allocator, under the allocator's lock.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, HEAPS) };
    }
}

/// The system's allocator; a failure ends the program.
pub struct OrExit;

// SAFETY: every method passes its arguments to the same method of `System`, which is a
// `GlobalAlloc`, and returns the result unless it is null.
unsafe impl GlobalAlloc for OrExit {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller passes a layout of non-zero size, as this trait demands.
        or_exit(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller passes a layout of non-zero size, as this trait demands.
        or_exit(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: `memory` has this layout and is from `System`, which serves every allocation
        // here. The caller guarantees that `size` is not 0 and does not overflow.
        or_exit(unsafe { System.realloc(memory, layout, size) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: `memory` has this layout and is from `System`, which serves every allocation
        // here.
        unsafe { System.dealloc(memory, layout) };
    }
}

#[inline]
fn or_exit(memory: *mut u8) -> *mut u8 {
    if memory.is_null() {
        report_and_exit();
    }
    memory
}

/// Allocates nothing.
#[cold]
fn report_and_exit() -> ! {
    static IS_REPORTED: AtomicBool = AtomicBool::new(false);
    // Several threads may fail at the same time. The first one prints its line undisturbed.
    while IS_REPORTED.swap(true, Ordering::Relaxed) {
        rustix::event::pause();
    }
    stdio::write_stderr(
        b"psm-uring: no memory left; raise the limit (ulimit -v, -d, memory of the cgroup), or use \
          fewer --workers and less --depth\n",
    );
    this_process::exit(1)
}
