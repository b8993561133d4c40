//! The operating system: all of its calls, and all `unsafe` of the program.
//!
//! What this floor promises to the ones above: no call here is undefined behaviour, whatever safe
//! code does; memory that the kernel may still write is neither freed nor handed out again; every
//! failure comes back as an [`Errno`].
//!
//! - `proc_root` `/proc` or what stands in for it: listing, opening, reading
//! - `users`     names of users
//! - `machine`   the files that tell of the whole machine
//! - `hidepid`   whether `/proc` hides processes of others
//! - `buffer`    memory that can be lent to the kernel
//! - `ring`      requests in, completions out: io_uring behind a trait
//! - `memory`    the allocator, which tells when there is none left, and how much there is
//! - `thread`    threads that may be refused
//! - `host`      the machine and this process: CPUs, peak memory, CPU time
//! - `replace_file` a file that is replaced as a whole
//! - `saved_file` a report that was saved
//! - `stdio`     standard output and error, byte for byte, with every error told
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

/// What may be missing, or may not be read, as an answer. Without a descriptor there is none.
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
