//! File systems in memory. Nothing here waits for a device or a server.
//!
//! The path of a mount can lead through a server that is dead. `RESOLVE_CACHED` (Linux 5.12) looks
//! a path up without asking any file system, and a mount keeps its path in the cache. Where that
//! fails, only paths through file systems that answer at once are opened.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, StatFs};
use rustix::io::Errno as Io;

use super::if_there;
use crate::host::{Mount, Mounts, Tmpfs};
use crate::units::{Errno, Kib};

/// Every file system in memory once, however often it is mounted.
///
/// # Errors
/// A lack of descriptors.
pub(super) fn all(mounts: &Mounts) -> Result<Vec<Tmpfs>, Errno> {
    let mut places: HashMap<(u32, u32), usize> = HashMap::new();
    let mut found: Vec<Tmpfs> = Vec::new();
    for mount in mounts.in_memory() {
        let place = *places.entry(mount.device).or_insert(found.len());
        if found.get(place).is_some_and(|known| known.used.is_some()) {
            continue;
        }
        let system = if_there(look(mount, mounts.is_near(mount)))?;
        let used = system.flatten().and_then(|system| used(&system));
        let tmpfs = Tmpfs { point: mount.point.clone(), used };
        match found.get_mut(place) {
            Some(known) if tmpfs.used.is_some() => *known = tmpfs,
            Some(_) => {}
            None => found.push(tmpfs),
        }
    }
    Ok(found)
}

/// The file system of a mount; `None` if its path leads to another one by now, or to ramfs.
fn look(mount: &Mount, is_near: bool) -> Result<Option<StatFs>, Errno> {
    let open = open(mount, is_near)?;
    let device = rustix::fs::fstat(&open)?.st_dev;
    let device = (rustix::fs::major(device), rustix::fs::minor(device));
    let system = rustix::fs::fstatfs(&open)?;
    let is_tmpfs = system.f_type == libc::TMPFS_MAGIC;
    Ok((is_tmpfs && device == mount.device).then_some(system))
}

fn open(mount: &Mount, is_near: bool) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::CACHED | ResolveFlags::NO_SYMLINKS;
    match rustix::fs::openat2(CWD, &mount.point, flags, Mode::empty(), resolve) {
        // The kernel does not know the call, a filter forbids it, or sysfs wants to be asked.
        Err(Io::NOSYS | Io::INVAL | Io::PERM | Io::AGAIN) if is_near => {
            Ok(rustix::fs::openat(CWD, &mount.point, flags | OFlags::NOFOLLOW, Mode::empty())?)
        }
        found => Ok(found?),
    }
}

/// The pages in use, in memory or in swap. Without a size limit the kernel does not count them.
fn used(system: &StatFs) -> Option<Kib> {
    let blocks = system.f_blocks.checked_sub(system.f_bfree).filter(|_| system.f_blocks > 0)?;
    let block_bytes = u64::try_from(system.f_bsize).ok()?;
    Some(Kib(blocks.saturating_mul(block_bytes) / 1024))
}
