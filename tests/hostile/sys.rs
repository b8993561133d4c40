//! System calls of the cases without a safe form.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::File;
use std::io::{Error, Result};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use psm_uring::units::Pid;

const PAGE: usize = 4096;

fn done(result: i32) -> Result<()> {
    if result == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}

/// Mounts a FUSE file system with a server on this device.
pub fn mount_fuse(device: &File, target: &str) -> Result<()> {
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
    let (target, options) = (CString::new(target)?, CString::new(options)?);
    let (source, kind) = (c"dead".as_ptr(), c"fuse".as_ptr());
    let flags = libc::MS_NOSUID | libc::MS_NODEV;
    // SAFETY: all are strings that end with a zero and outlive the call.
    done(unsafe { libc::mount(source, target.as_ptr(), kind, flags, options.as_ptr().cast()) })
}

/// Detaches a mount now; it ends for existing users when they release it.
pub fn unmount(target: &str) -> Result<()> {
    let target = CString::new(target)?;
    // SAFETY: a string that ends with a zero.
    done(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) })
}

fn map(file: Option<&File>, rights: i32, flags: i32) -> Result<*mut u8> {
    let fd = file.map_or(-1, AsRawFd::as_raw_fd);
    // SAFETY: a new mapping at an address of the kernel's choice affects no existing mapping.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), PAGE, rights, flags, fd, 0) };
    if start == libc::MAP_FAILED { Err(Error::last_os_error()) } else { Ok(start.cast()) }
}

/// Maps a page of anonymous memory, which takes the memory lock for writing.
pub fn map_anonymous() -> Result<()> {
    map(None, libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS).map(drop)
}

/// Maps a page of the file, does not touch it, and returns its address.
pub fn map_untouched(file: &File) -> Result<u64> {
    map(Some(file), libc::PROT_READ, libc::MAP_SHARED).map(|start| start.addr() as u64)
}

/// Writes to a mapped page of the file and maps another over it: with the memory lock held the
/// kernel writes the page to the file first (`fuse_vma_close`), and waits.
pub fn dirty_and_cover(file: &File) -> Result<()> {
    let page = map(Some(file), libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED)?;
    // SAFETY: the page is mapped for writing.
    unsafe { page.write_volatile(1) };
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    // SAFETY: this process owns the page and holds no reference to it.
    let covered = unsafe { libc::mmap(page.cast(), PAGE, libc::PROT_READ, flags, -1, 0) };
    if covered == libc::MAP_FAILED { Err(Error::last_os_error()) } else { Ok(()) }
}

/// Restores the default action of a signal for the command. The parent of the tests may ignore it,
/// as a shell does with `SIGINT` for background jobs.
pub fn heed(command: &mut Command, signal: i32) {
    let heed = move || {
        // SAFETY: the default action runs no code of this process.
        let before = unsafe { libc::signal(signal, libc::SIG_DFL) };
        if before == libc::SIG_ERR { Err(Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: the closure makes one system call and allocates nothing.
    unsafe { command.pre_exec(heed) };
}

/// Makes a system call of the command, and of all its descendants, fail with an error number.
pub fn refuse(command: &mut Command, call: i64, errno: i32) {
    let call = u32::try_from(call).expect("numbers of system calls are small");
    let refusal = libc::SECCOMP_RET_ERRNO | errno.unsigned_abs();
    install(command, call, refusal);
}

/// Installs a filter of system calls: one number gets this answer, all others pass.
fn install(command: &mut Command, call: u32, answer: u32) {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const IS_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    let step = |code: u32, k, jt, jf| {
        let code = u16::try_from(code).expect("codes have 16 bits");
        libc::sock_filter { code, jt, jf, k }
    };
    // The number is the first field of `struct seccomp_data`.
    let mut steps = [
        step(LOAD, 0, 0, 0),
        step(IS_EQUAL, call, 0, 1),
        step(RETURN, answer, 0, 0),
        step(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let install = move || {
        let program = libc::sock_fprog { len: 4, filter: steps.as_mut_ptr() };
        // SAFETY: takes numbers only.
        done(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
        let filter = &raw const program;
        // SAFETY: the program and its four steps outlive the call.
        done(unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, filter) })
    };
    // SAFETY: the closure makes two system calls and allocates nothing.
    unsafe { command.pre_exec(install) };
}

/// A process that a tracer stopped. Dropping it detaches. It belongs to the thread that created it.
pub struct Traced(i32);

impl Traced {
    pub fn stop(pid: Pid) -> Result<Traced> {
        let pid = i32::try_from(pid.0).expect("process ids are small");
        let nothing = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: this request takes no addresses.
        let seized = unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, nothing, nothing) };
        if seized < 0 {
            return Err(Error::last_os_error());
        }
        // SAFETY: as above.
        let stopped = unsafe { libc::ptrace(libc::PTRACE_INTERRUPT, pid, nothing, nothing) };
        if stopped < 0 { Err(Error::last_os_error()) } else { Ok(Traced(pid)) }
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let nothing = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: this request takes no addresses; a failure changes no state.
        unsafe { libc::ptrace(libc::PTRACE_DETACH, self.0, nothing, nothing) };
    }
}

/// Sets the length of the arguments of this process in the kernel: `x`es on the first page, zeros
/// behind. `stat` is the text of `/proc/PID/stat` of this process.
pub fn claim_arguments(stat: &str, len: usize) -> Result<()> {
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping at an address of the kernel's choice affects no existing mapping.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), len, rights, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(Error::last_os_error());
    }
    // SAFETY: the mapping is writable, and is longer than a page.
    unsafe { start.cast::<u8>().write_bytes(b'x', PAGE) };
    set_arguments(stat, start.addr(), len)
}

/// Sets the arguments of this process to a page that is missing and never arrives: every reader
/// waits for `userfaultfd(2)`. The error reports that userfaultfd is unavailable.
pub fn claim_held_arguments(stat: &str) -> Result<()> {
    /// `_IOWR(0xaa, 0x3f, struct uffdio_api)` and `_IOWR(0xaa, 0, struct uffdio_register)` of
    /// include/uapi/linux/userfaultfd.h.
    const UFFDIO_API: u64 = 0xc018_aa3f;
    const UFFDIO_REGISTER: u64 = 0xc020_aa00;
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    let page = map(None, rights, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS)?;
    // SAFETY: creates a descriptor, which stays open as long as the process lives.
    let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) };
    let fd = i32::try_from(fd).expect("descriptors are small");
    if fd < 0 {
        return Err(Error::last_os_error());
    }
    let mut api: [u64; 3] = [0xaa, 0, 0];
    // SAFETY: the pointer is valid for reads and writes of the structure.
    done(unsafe { libc::ioctl(fd, UFFDIO_API, api.as_mut_ptr()) })?;
    let is_missing = 1;
    let mut register: [u64; 4] = [page.addr() as u64, PAGE as u64, is_missing, 0];
    // SAFETY: as above; no code of this process touches the page.
    done(unsafe { libc::ioctl(fd, UFFDIO_REGISTER, register.as_mut_ptr()) })?;
    set_arguments(stat, page.addr(), PAGE)
}

/// Sets the address range of the arguments of this process in the kernel.
fn set_arguments(stat: &str, start: usize, len: usize) -> Result<()> {
    // SAFETY: the call only queries and moves nothing.
    let brk = unsafe { libc::sbrk(0) }.addr() as u64;
    let (_, fields) = stat.rsplit_once(") ").expect("a name in parentheses");
    let fields: Vec<&str> = fields.trim_end().split(' ').collect();
    // Numbers of proc_pid_stat(5), of which the third is the first behind the name.
    let field = |number: usize| fields[number - 3].parse::<u64>().expect("an address");
    let [begin, end] = [start as u64, (start + len) as u64];
    // `struct prctl_mm_map`: only the arguments change. No auxv, no other binary.
    let (no_auxv, no_binary) = (0, u64::from(u32::MAX) << 32);
    let map: [u64; 13] = [
        field(26), // code
        field(27),
        field(45), // data
        field(46),
        field(47), // heap
        brk,
        field(28), // stack
        begin,     // arguments
        end,
        field(50), // environment
        field(51),
        no_auxv,
        no_binary,
    ];
    let option = libc::PR_SET_MM_MAP;
    // SAFETY: the map outlives the call; only `/proc` reads arguments from its addresses.
    done(unsafe { libc::prctl(libc::PR_SET_MM, option, &raw const map, size_of_val(&map), 0) })
}
