//! The operating system: all system calls, and all `unsafe` code of the program.
//!
//! It promises to the floors above: no call is undefined behaviour, whatever safe code does; memory
//! that the kernel may still write to is neither freed nor reused; every failure returns its error
//! number.
//!
//! - `proc_root`    `/proc` or a directory that replaces it: list, open, read
//! - `ring`         requests in, completions out: io_uring behind a trait
//! - `buffer`       memory that is lent to the kernel
//! - `threads`      threads of this process: spawn, states, scheduling, CPUs
//! - `memory`       the allocator, and a check before large allocations
//! - `this_process` resource usage, limits, address spaces, exit
//! - `keeper`       the process that holds a capability, and the start that drops it here
//! - `keeper_client` the requests to that process
//! - `privileges`   the rights of this process to read others
//! - `users`        names of users
//! - `pages`        the number of mappings of page frames
//! - `host_files`   files with the memory of the whole host
//! - `cgroups`      the tree of control groups
//! - `gpu_files`    descriptors of GPU devices
//! - `readers`      threads that read small files of processes and control groups
//! - `tmpfs`        file systems in memory
//! - `file`         files that the caller names: replace, read
//! - `stdio`        standard output and error, with every error reported
//! - `terminal`     size, colour, redrawing
#![allow(unsafe_code)]

pub mod buffer;
pub mod cgroups;
pub mod file;
pub mod gpu_files;
pub mod host_files;
pub mod keeper;
pub mod keeper_client;
pub mod memory;
pub mod pages;
pub mod privileges;
pub mod proc_root;
pub mod readers;
pub mod ring;
pub mod stdio;
pub mod terminal;
pub mod this_process;
pub mod threads;
mod tmpfs;
pub mod users;

use crate::units::Errno;

/// Turns a failure to read an optional file into `None`, but not a lack of descriptors.
fn if_there<T>(found: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match found {
        Err(errno) if errno.is_lack_of_descriptors() => Err(errno),
        found => Ok(found.ok()),
    }
}

impl From<rustix::io::Errno> for Errno {
    fn from(errno: rustix::io::Errno) -> Errno {
        Errno(errno.raw_os_error())
    }
}
