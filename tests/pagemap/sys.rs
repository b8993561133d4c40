//! `cachestat(2)`, which has no safe form.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{Error, Result};
use std::os::fd::AsRawFd;

/// Since Linux 6.5; include/uapi/asm-generic/unistd.h.
const SYS_CACHESTAT: libc::c_long = 451;

/// The pages of a range of a file of shared memory that are in swap (`nr_evicted`).
pub fn evicted_pages(file: &File, offset: u64, len: u64) -> Result<u64> {
    // `struct cachestat_range` and `struct cachestat` of include/uapi/linux/mman.h.
    let range = [offset, len];
    let mut counts = [0_u64; 5];
    let (fd, from, to) = (file.as_raw_fd(), range.as_ptr(), counts.as_mut_ptr());
    // SAFETY: the kernel reads the range and writes the counts; both are locals of these sizes.
    let done = unsafe { libc::syscall(SYS_CACHESTAT, fd, from, to, 0) };
    if done == 0 { Ok(counts[3]) } else { Err(Error::last_os_error()) }
}
