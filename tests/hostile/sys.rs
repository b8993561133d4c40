//! System calls of the cases that have no safe form.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::File;
use std::io::{Error, Result};
use std::os::fd::AsRawFd;

const PAGE: usize = 4096;

fn done(result: i32) -> Result<()> {
    if result == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}

/// Mounts a FUSE file system whose server holds this device.
pub fn mount_fuse(device: &File, target: &str) -> Result<()> {
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
    let (target, options) = (CString::new(target)?, CString::new(options)?);
    let (source, kind) = (c"dead".as_ptr(), c"fuse".as_ptr());
    let flags = libc::MS_NOSUID | libc::MS_NODEV;
    // SAFETY: all are strings that end with a zero and outlive the call.
    done(unsafe { libc::mount(source, target.as_ptr(), kind, flags, options.as_ptr().cast()) })
}

/// Takes a mount away now, and for those who still use it when they are done.
pub fn unmount(target: &str) {
    let Ok(target) = CString::new(target) else { return };
    // SAFETY: a string that ends with a zero.
    unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) };
}

fn map(file: Option<&File>, rights: i32, flags: i32) -> Result<*mut u8> {
    let fd = file.map_or(-1, AsRawFd::as_raw_fd);
    // SAFETY: a new mapping wherever the kernel likes touches nothing that is there.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), PAGE, rights, flags, fd, 0) };
    if start == libc::MAP_FAILED { Err(Error::last_os_error()) } else { Ok(start.cast()) }
}

/// Maps a page of anonymous memory, which takes the memory lock for writing.
pub fn map_anonymous() -> Result<()> {
    map(None, libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS).map(drop)
}

/// Maps a page of the file, does not touch it, and tells where it is.
pub fn map_untouched(file: &File) -> Result<u64> {
    map(Some(file), libc::PROT_READ, libc::MAP_SHARED).map(|start| start.addr() as u64)
}

/// Writes to a mapped page of the file and maps another over it: with the memory lock held the
/// kernel writes the page to the file first (`fuse_vma_close`), and waits.
pub fn dirty_and_cover(file: &File) -> Result<()> {
    let page = map(Some(file), libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED)?;
    // SAFETY: the page was just mapped for writing.
    unsafe { page.write_volatile(1) };
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    // SAFETY: the page is ours and nobody refers to it.
    let covered = unsafe { libc::mmap(page.cast(), PAGE, libc::PROT_READ, flags, -1, 0) };
    if covered == libc::MAP_FAILED { Err(Error::last_os_error()) } else { Ok(()) }
}
