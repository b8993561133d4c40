//! The operating system: all system calls, and all `unsafe` of the program.
//!
//! This floor promises: no call is undefined behaviour, whatever safe code does; memory that the
//! kernel may still write is neither freed nor handed out again; every failure is an [`Errno`].
//!
//! - `proc_root`    `/proc` or a directory that replaces it: listing, opening, reading
//! - `host_files`   the files with the memory of the host
//! - `users`        names of users
//! - `buffer`       memory that can be lent to the kernel
//! - `ring`         requests in, completions out: io_uring behind a trait
//! - `memory`       the allocator, and checks of memory limits
//! - `threads`      threads and CPUs: spawning, states, scheduling policy
//! - `privileges`   capabilities, user namespace, security modules
//! - `this_process` resource usage, limits, exit
//! - `terminal`     size and colour of the terminal
//! - `stdio`        standard output and standard error, with every error
//! - `file`         report files: written in one step, read back
#![allow(unsafe_code)]

pub mod buffer;
pub mod file;
pub mod host_files;
pub mod memory;
pub mod privileges;
pub mod proc_root;
pub mod ring;
pub mod stdio;
pub mod terminal;
pub mod this_process;
pub mod threads;
pub mod users;

use crate::units::Errno;

/// Turns a file that is missing or unreadable into `None`. A lack of descriptors stays an error.
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
