//! The descriptors of GPU devices that a process has open, and whether there are any.
//!
//! Names of descriptors are looked at without asking the file: the kernel makes the target of a
//! link from names in memory, while `stat(2)` would ask a dead server. A driver makes the text of
//! `fdinfo`, and may wait for its own locks: calls are for threads that may wait.

use std::fs::File;
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, RawDir};

use super::host_files::{TEXT_MAX, read_text};
use super::proc_root::ProcRoot;
use crate::process::{FDINFO_MAX, has_gpu_driver, is_gpu_link};
use crate::units::{Errno, Pid};

/// The most descriptors of a process: the usual limit of the kernel (`fs.nr_open`).
const DESCRIPTORS_MAX: usize = 1 << 20;
/// The most of them on GPU devices.
const CLIENTS_MAX: usize = 4096;
/// The start of the target of a link, which is enough to know a device.
const LINK_BYTES: usize = 128;
/// The buffer for a listing, on the stack of a thread.
const LISTING_BYTES: usize = 8 * 1024;

/// Whether the host has a driver of GPUs; `None` if it does not tell.
pub fn has_driver(root: &ProcRoot) -> Option<bool> {
    read_text(root, "devices", TEXT_MAX).ok().map(|text| has_gpu_driver(&text))
}

/// Hands over the text of each descriptor of a GPU device, by the leader of a process or by this
/// thread of it. Returns the number of all descriptors.
///
/// # Errors
/// Those of `open(2)`, `getdents64(2)`, `readlink(2)` and `read(2)`; `E2BIG` for too many
/// descriptors. One that is closed meanwhile is none.
pub fn for_each(
    root: &ProcRoot,
    pid: Pid,
    thread: Option<Pid>,
    mut each: impl FnMut(&[u8]),
) -> Result<usize, Errno> {
    let owner = thread.map_or_else(|| pid.to_string(), |thread| format!("{pid}/task/{thread}"));
    let dir = open(root, &format!("{owner}/fd"), OFlags::DIRECTORY)?;
    let mut room = [MaybeUninit::uninit(); LISTING_BYTES];
    let mut entries = RawDir::new(&dir, &mut room);
    let (mut listed, mut clients, mut text) = (0, 0, Vec::new());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let Some(fd) = Pid::parse(entry.file_name().to_bytes()) else { continue };
        listed += 1;
        let mut link = [MaybeUninit::uninit(); LINK_BYTES];
        match rustix::fs::readlinkat_raw(&dir, entry.file_name(), &mut link) {
            Ok((target, _)) if is_gpu_link(target) => clients += 1,
            // Closed meanwhile, or no link, in a directory that replaces `/proc`.
            Ok(_) | Err(rustix::io::Errno::NOENT | rustix::io::Errno::INVAL) => continue,
            Err(errno) => return Err(errno.into()),
        }
        if listed > DESCRIPTORS_MAX || clients > CLIENTS_MAX {
            return Err(Errno(libc::E2BIG));
        }
        match open(root, &format!("{owner}/fdinfo/{fd}"), OFlags::NONBLOCK) {
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
            Ok(file) => {
                text.clear();
                File::from(file).take(FDINFO_MAX as u64).read_to_end(&mut text)?;
                each(&text);
            }
        }
    }
    Ok(listed)
}

fn open(root: impl AsFd, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(root, path, flags, Mode::empty())?)
}
