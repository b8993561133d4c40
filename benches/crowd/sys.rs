//! System calls without a safe form in the standard library or `rustix`.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::io::{Error, Result};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use psm_uring::sys::this_process;
use psm_uring::units::Pid;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// The number of ranges in one call (`IOV_MAX`).
pub(super) const RANGES_MAX: usize = 1024;
/// The highest priority, so that pages go to this area: `SWAP_FLAG_PREFER` and
/// `SWAP_FLAG_PRIO_MASK` of include/linux/swap.h.
const SWAP_FLAGS: i32 = 0x8000 | 0x7fff;

/// A range of addresses of this process or another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) start: usize,
    pub(super) len: usize,
}

impl Range {
    pub(super) fn contains(&self, address: usize) -> bool {
        (self.start..self.start + self.len).contains(&address)
    }

    fn iovec(self) -> libc::iovec {
        let iov_base = std::ptr::with_exposed_provenance_mut(self.start);
        libc::iovec { iov_base, iov_len: self.len }
    }
}

/// Anonymous memory in small pages. Only its own methods access it.
pub(super) struct Area {
    start: *mut u8,
    len: usize,
}

impl Area {
    /// Maps pages that fork copies.
    pub(super) fn private(pages: usize) -> Result<Area> {
        Area::map(pages, libc::MAP_PRIVATE)
    }

    /// Maps areas with these numbers of pages, each a mapping of its own, that fork copies.
    pub(super) fn private_apart(pages_of_each: &[usize]) -> Result<Vec<Area>> {
        let holes = pages_of_each.len() + 1;
        Area::private(pages_of_each.iter().sum::<usize>() + holes)?.cut(pages_of_each)
    }

    /// Maps pages that fork shares.
    pub(super) fn shared(pages: usize) -> Result<Area> {
        Area::map(pages, libc::MAP_SHARED)
    }

    fn map(pages: usize, flags: i32) -> Result<Area> {
        let len = pages.saturating_mul(rustix::param::page_size());
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        let flags = flags | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping at an address that the kernel chooses replaces no other.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, rights, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        // A kernel without huge pages refuses this advice and does not need it.
        // SAFETY: the range was just mapped, and no reference to it exists.
        unsafe { libc::madvise(start, len, libc::MADV_NOHUGEPAGE) };
        start.expose_provenance();
        Ok(Area { start: start.cast(), len })
    }

    pub(super) fn range(&self) -> Range {
        Range { start: self.start.addr(), len: self.len }
    }

    fn page(&self, page: usize) -> *mut u8 {
        let offset = page * rustix::param::page_size();
        assert!(offset < self.len, "page {page} is outside");
        self.start.wrapping_add(offset)
    }

    pub(super) fn write(&self, page: usize) {
        // SAFETY: `page` checks that it is inside of the writable mapping; no reference to it
        // exists.
        unsafe { self.page(page).write_volatile(1) };
    }

    pub(super) fn read(&self, page: usize) {
        // SAFETY: `page` checks that it is inside of the mapping, whose bytes are always
        // initialised.
        unsafe { self.page(page).read_volatile() };
    }

    /// Cuts it into areas with these numbers of pages. An unmapped page separates them, because the
    /// kernel would merge neighbours into one mapping.
    fn cut(self, pages_of_each: &[usize]) -> Result<Vec<Area>> {
        let page = rustix::param::page_size();
        let hole = |start: *mut u8| Area { start, len: page };
        let mut start = self.start;
        let mut areas = Vec::with_capacity(pages_of_each.len());
        for pages in pages_of_each {
            hole(start).unmap()?;
            let area = Area { start: start.wrapping_add(page), len: pages * page };
            start = area.start.wrapping_add(area.len);
            areas.push(area);
        }
        hole(start).unmap()?;
        Ok(areas)
    }

    /// Unmaps the memory.
    pub(super) fn unmap(self) -> Result<()> {
        // SAFETY: the area owns the mapping and is consumed here.
        let done = unsafe { libc::munmap(self.start.cast(), self.len) };
        if done == 0 { Ok(()) } else { Err(Error::last_os_error()) }
    }
}

/// Runs `member`, which does not return, in a child that ends with this process.
pub(super) fn fork(member: impl FnOnce()) -> Result<Pid> {
    let root = std::process::id();
    // SAFETY: the child continues as a copy of this thread. A root has no other thread that could
    // hold a lock, except that of a test binary, which only waits.
    let pid = unsafe { libc::fork() };
    match u32::try_from(pid) {
        Err(_) => Err(Error::last_os_error()),
        Ok(0) => {
            if die_with(Pid(root)).is_ok() {
                member();
            }
            this_process::exit(1)
        }
        Ok(pid) => Ok(Pid(pid)),
    }
}

/// Starts a command that ends with this process.
pub(super) fn spawn(command: &mut Command) -> Result<Pid> {
    let root = Pid(std::process::id());
    // SAFETY: the closure makes two system calls and allocates nothing.
    unsafe { command.pre_exec(move || die_with(root)) };
    command.spawn().map(|child| Pid(child.id()))
}

/// Starts a command in a session of its own, `setsid(2)`.
pub(super) fn start_session(command: &mut Command) {
    // SAFETY: the closure makes one system call and allocates nothing.
    unsafe { command.pre_exec(|| rustix::process::setsid().map(drop).map_err(Error::from)) };
}

/// Ends this process when its parent ends, or fails if the parent has ended already.
pub(super) fn die_with(parent: Pid) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let now = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if now == Some(parent.0) { Ok(()) } else { Err(Error::from_raw_os_error(libc::ESRCH)) }
}

/// The scheduling policy of a thread (`sched(7)`).
pub(super) fn policy(pid: rustix::process::Pid) -> Option<i32> {
    // SAFETY: the call takes and returns only numbers.
    let policy = unsafe { libc::sched_getscheduler(pid.as_raw_nonzero().get()) };
    (policy >= 0).then_some(policy)
}

/// Sets a policy without priorities.
pub(super) fn set_policy(pid: rustix::process::Pid, policy: i32) -> Result<()> {
    let priority = libc::sched_param { sched_priority: 0 };
    let pid = pid.as_raw_nonzero().get();
    // SAFETY: the pointer is to `priority`.
    let done = unsafe { libc::sched_setscheduler(pid, policy, &raw const priority) };
    if done == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}

pub(super) fn swap_on(path: &Path) -> Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: `CString` ends the path with a zero.
    let done = unsafe { libc::swapon(path.as_ptr(), SWAP_FLAGS) };
    if done == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}

pub(super) fn swap_off(path: &Path) -> Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: `CString` ends the path with a zero.
    let done = unsafe { libc::swapoff(path.as_ptr()) };
    if done == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}

/// Mounts the memory controller of control groups, version 1.
pub(super) fn mount_memory_cgroup(dir: &Path) -> Result<()> {
    let dir = CString::new(dir.as_os_str().as_bytes())?;
    let (kind, options) = (c"cgroup".as_ptr(), c"memory".as_ptr().cast());
    // SAFETY: all are strings that end with a zero and outlive the call.
    let done = unsafe { libc::mount(kind, dir.as_ptr(), kind, 0, options) };
    if done == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}

pub(super) fn unmount(dir: &Path) -> Result<()> {
    let dir = CString::new(dir.as_os_str().as_bytes())?;
    // SAFETY: `CString` ends the path with a zero.
    let done = unsafe { libc::umount(dir.as_ptr()) };
    if done == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}

/// Asks the kernel to write pages of another process to swap and to unmap them.
pub(super) fn page_out(process: BorrowedFd<'_>, ranges: &[Range]) -> Result<()> {
    let vectors: Vec<libc::iovec> = ranges.iter().map(|range| range.iovec()).collect();
    let (fd, pointer, count) = (process.as_raw_fd(), vectors.as_ptr(), vectors.len());
    let call = libc::SYS_process_madvise;
    // SAFETY: `vectors` outlives the call; the call does not change bytes of the other process.
    let done = unsafe { libc::syscall(call, fd, pointer, count, libc::MADV_PAGEOUT, 0) };
    if done < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}

/// Reads one byte of each page, so that every page is in memory and mapped.
pub(super) fn touch(process: Pid, pages: &[Range]) -> Result<()> {
    let pid = i32::try_from(process.0).map_err(|_| Error::from_raw_os_error(libc::ESRCH))?;
    for pages in pages.chunks(RANGES_MAX) {
        let theirs: Vec<libc::iovec> =
            pages.iter().map(|page| Range { len: 1, ..*page }.iovec()).collect();
        let mut room = vec![0_u8; theirs.len()];
        let ours = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
        let (count, pointer) = (theirs.len() as libc::c_ulong, theirs.as_ptr());
        // SAFETY: `ours` has room for one byte of each range of the other process.
        let read = unsafe { libc::process_vm_readv(pid, &raw const ours, 1, pointer, count, 0) };
        if read < 0 {
            return Err(Error::last_os_error());
        }
    }
    Ok(())
}

/// Signals that end a program, blocked and read from a descriptor.
pub(super) struct Signals {
    fd: OwnedFd,
    set: libc::sigset_t,
}

impl Signals {
    /// Blocks them in this thread, and `SIGCHLD` as well.
    pub(super) fn block() -> Result<Signals> {
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: the pointer is to a local of this type.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: `sigemptyset` made it an empty set.
        let mut set = unsafe { set.assume_init() };
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGCHLD] {
            // SAFETY: the pointer is to a local, the signal number is valid.
            unsafe { libc::sigaddset(&raw mut set, signal) };
        }
        let old = std::ptr::null_mut();
        // SAFETY: the set is initialised, and null asks for no old set.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, old) };
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        // SAFETY: the set is initialised; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const set, flags) };
        if fd < 0 {
            return Err(Error::last_os_error());
        }
        // SAFETY: a new descriptor, which this function owns.
        Ok(Signals { fd: unsafe { OwnedFd::from_raw_fd(fd) }, set })
    }

    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// The next pending signal, if any.
    pub(super) fn next(&self) -> Option<i32> {
        let mut room = [0; size_of::<libc::signalfd_siginfo>()];
        rustix::io::read(&self.fd, &mut room).ok()?;
        // The number is the first field.
        let number = u32::from_ne_bytes(room[..4].try_into().ok()?);
        i32::try_from(number).ok()
    }

    /// Unblocks the signals in a command.
    pub(super) fn unblock_in(&self, command: &mut Command) {
        let set = self.set;
        let unblock = move || {
            let old = std::ptr::null_mut();
            // SAFETY: the set is initialised, and null asks for no old set.
            unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, old) };
            Ok(())
        };
        // SAFETY: the closure makes one system call and allocates nothing.
        unsafe { command.pre_exec(unblock) };
    }
}

/// The bytes that the kernel read from disks for this process, including the swap area.
pub(super) fn bytes_read_from_disk() -> std::result::Result<u64, String> {
    let io = std::fs::read_to_string("/proc/self/io");
    let io = io.map_err(|error| format!("/proc/self/io: {error}"))?;
    let value = io.lines().find_map(|line| line.strip_prefix("read_bytes: "));
    value.and_then(|value| value.parse().ok()).ok_or_else(|| "no read_bytes".to_owned())
}
