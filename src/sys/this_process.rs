//! This process: resource usage, limits, exit. And address spaces of other processes, compared.

use std::cmp::Ordering;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, RawFd};
use std::time::Duration;

use rustix::process::Signal;

use crate::units::{Kib, Pid};

/// The name of the host and the release of its kernel (`uname(2)`).
pub fn name_and_kernel() -> (String, String) {
    let names = rustix::system::uname();
    let text = |name: &std::ffi::CStr| name.to_string_lossy().into_owned();
    (text(names.nodename()), text(names.release()))
}

/// The first two numbers of the release of a kernel.
pub(super) fn release_numbers(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|n| n.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

/// The comparison of address spaces (include/uapi/linux/kcmp.h).
pub(super) const KCMP_VM: u64 = 1;

/// Whether two processes share an address space (`kcmp(2)`); `None` if the kernel does not
/// compare them. Waits for an exec of either process.
pub fn share_memory(one: Pid, other: Pid) -> Option<bool> {
    Some(order_memory(one, other)?.is_eq())
}

/// The order of two address spaces, which are equal if they are one, under the same conditions.
pub fn order_memory(one: Pid, other: Pid) -> Option<Ordering> {
    let (one, other) = (i32::try_from(one.0).ok()?, i32::try_from(other.0).ok()?);
    // SAFETY: for this type, `kcmp` takes and returns only numbers.
    let order = unsafe { libc::syscall(libc::SYS_kcmp, one, other, KCMP_VM, 0, 0) };
    match order {
        0 => Some(Ordering::Equal),
        1 => Some(Ordering::Less),
        2 => Some(Ordering::Greater),
        _ => None,
    }
}

/// Whether a process has an address space; `None` if it does not exist or the kernel does
/// not report it. The call moves none of its pages (`move_pages(2)`, mm/migrate.c: `EINVAL` without
/// memory), never blocks and costs less than a microsecond.
pub fn has_memory(pid: Pid) -> Option<bool> {
    let pid = i32::try_from(pid.0).ok()?;
    let none = std::ptr::null::<libc::c_void>();
    let (pages, flags): (libc::c_ulong, libc::c_int) = (0, 0);
    // SAFETY: with 0 pages the kernel follows none of the pointers and moves nothing.
    let moved = unsafe { libc::syscall(libc::SYS_move_pages, pid, pages, none, none, none, flags) };
    match std::io::Error::last_os_error().raw_os_error() {
        _ if moved >= 0 => Some(true),
        Some(libc::EINVAL) => Some(false),
        _ => None,
    }
}

/// The size of a page. Not from rustix: a static build reads `/proc/self/auxv` for it, which a
/// process with a capability may not open, and panics (before Linux 6.4, which has `PR_GET_AUXV`).
pub fn page_bytes() -> u64 {
    // SAFETY: the call takes and returns only numbers.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(bytes).unwrap_or(4096)
}

/// The time since boot, with the time that the host was suspended: that of start times.
pub fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.try_into().unwrap_or_default()
}

/// The clock ticks in a second, the unit of start times.
pub fn ticks_per_second() -> u64 {
    // SAFETY: the call takes and returns only numbers.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks).unwrap_or(100)
}

/// Gives this process the usual priority if it has a lower one.
///
/// # Errors
/// The priority (`nice(2)`), if it may not be raised.
pub fn undo_nice() -> Result<(), i32> {
    use rustix::process::{getpriority_process, setpriority_process};
    let nice = getpriority_process(None).unwrap_or(0);
    let is_usual = nice <= 0 || setpriority_process(None, 0).is_ok();
    if is_usual { Ok(()) } else { Err(nice) }
}

/// The peak resident memory of this program: `VmHWM` of `/proc/self/status`. Unlike `ru_maxrss`, it
/// does not include the peak of the parent before the exec.
pub fn peak_rss() -> Option<Kib> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    value.trim().strip_suffix(" kB")?.parse().ok().map(Kib)
}

/// CPU time of all threads of this process so far, in user space and in the kernel. Workers of the
/// ring are threads of the process.
pub fn cpu_times() -> (Duration, Duration) {
    let usage = usage(libc::RUSAGE_SELF);
    (duration(usage.ru_utime), duration(usage.ru_stime))
}

/// Voluntary and involuntary context switches of all threads of this process so far.
pub fn switches() -> [u64; 2] {
    switches_of(&usage(libc::RUSAGE_SELF))
}

/// Voluntary and involuntary context switches in a usage (`getrusage(2)`, `wait4(2)`).
pub fn switches_of(usage: &libc::rusage) -> [u64; 2] {
    [usage.ru_nvcsw, usage.ru_nivcsw].map(|count| u64::try_from(count).unwrap_or(0))
}

/// The number of times that the other threads of this process went to sleep so far (voluntary
/// switches), and their CPU time. For the submitting thread, these threads are its workers.
pub fn other_threads() -> (u64, Duration) {
    let [all, own] = [libc::RUSAGE_SELF, libc::RUSAGE_THREAD].map(usage);
    let cpu = |usage: &libc::rusage| duration(usage.ru_utime) + duration(usage.ru_stime);
    let sleeps = u64::try_from(all.ru_nvcsw - own.ru_nvcsw).unwrap_or(0);
    (sleeps, cpu(&all).saturating_sub(cpu(&own)))
}

/// Converts a time of the kernel (`getrusage(2)`, `wait4(2)`).
pub fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
}

fn usage(whose: libc::c_int) -> libc::rusage {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to `usage`, which has the size of an rusage.
    unsafe { libc::getrusage(whose, usage.as_mut_ptr()) };
    // SAFETY: an rusage is made of integers, for which the initial zeros are valid.
    unsafe { usage.assume_init() }
}

/// The number of processes that can have two files open at once. Raises the limit of open files to
/// its maximum, and subtracts those for standard streams, `/proc` and the ring.
pub fn raise_file_limit() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const RESERVED: u64 = 8;
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // If this fails, the old limit applies.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit.saturating_sub(RESERVED) / 2).unwrap_or(usize::MAX).max(1)
}

/// The maximum number of files that stay open between surveys. Two, of one process, take 5 KiB of
/// the kernel.
const KEPT_FILES_MAX: usize = 1 << 16;

/// The number of files that may stay open between surveys: half of the limit. A survey needs the
/// other half.
pub fn files_to_keep() -> usize {
    raise_file_limit().min(KEPT_FILES_MAX)
}

/// Makes the table of descriptors large enough for this many, within the limit. To be called while
/// there is one thread: later the kernel waits for an RCU grace period, about 10 ms, each time the
/// table grows (`expand_fdtable`, fs/file.c). If this fails, it does.
pub fn reserve_descriptors(count: usize, any: BorrowedFd<'_>) {
    if let Ok(last) = RawFd::try_from(count.saturating_sub(1)) {
        let _ = rustix::io::fcntl_dupfd_cloexec(any, last);
    }
}

/// Ends the process by `SIGPIPE`, as if the standard library did not ignore that signal. A shell
/// shows 141.
pub fn end_by_closed_pipe() -> ! {
    // SAFETY: the default action runs no code of this process.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::PIPE);
    // The parent process has blocked the signal.
    exit(141)
}

/// Ends the process at once: without destructors, and without waiting for stuck requests.
pub fn exit(code: u8) -> ! {
    // SAFETY: `_exit` has no preconditions. Output is unbuffered, so none is lost.
    unsafe { libc::_exit(code.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory() {
        let own = Pid(std::process::id());
        assert_ne!(has_memory(own), Some(false));
        assert_eq!([u32::MAX, 0x7fff_ffff].map(|pid| has_memory(Pid(pid))), [None; 2]);
        assert_ne!(share_memory(own, own), Some(false));
    }
}
