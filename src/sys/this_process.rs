//! This process and the address spaces that it compares: resource usage, limits, exit.

use std::mem::MaybeUninit;
use std::time::Duration;

use rustix::process::Signal;

use crate::units::{Kib, Pid};

/// The names of the host and of its kernel's release (`uname(2)`).
pub fn name_and_kernel() -> (String, String) {
    let names = rustix::system::uname();
    let text = |name: &std::ffi::CStr| name.to_string_lossy().into_owned();
    (text(names.nodename()), text(names.release()))
}

/// Whether two processes have one address space (`kcmp(2)`); `None` when the kernel does not say.
/// Waits for an exec of either to get done.
pub fn share_memory(one: Pid, other: Pid) -> Option<bool> {
    const KCMP_VM: libc::c_int = 1;
    let (one, other) = (i32::try_from(one.0).ok()?, i32::try_from(other.0).ok()?);
    // SAFETY: numbers go in, a number comes out.
    let order = unsafe { libc::syscall(libc::SYS_kcmp, one, other, KCMP_VM, 0, 0) };
    (order >= 0).then_some(order == 0)
}

/// Whether a process is there and has an address space; `None` when it is not there, or the kernel
/// does not say. It is asked to move none of its pages (`move_pages(2)`, mm/migrate.c: `EINVAL`
/// without memory), which never blocks and costs less than a microsecond.
pub fn has_memory(pid: Pid) -> Option<bool> {
    let pid = i32::try_from(pid.0).ok()?;
    let none = std::ptr::null::<libc::c_void>();
    let (pages, flags): (libc::c_ulong, libc::c_int) = (0, 0);
    // SAFETY: no pages, so no pointer is followed, and nothing is moved.
    let moved = unsafe { libc::syscall(libc::SYS_move_pages, pid, pages, none, none, none, flags) };
    match std::io::Error::last_os_error().raw_os_error() {
        _ if moved >= 0 => Some(true),
        Some(libc::EINVAL) => Some(false),
        _ => None,
    }
}

/// The most memory this program ever had resident: `VmHWM` of `/proc/self/status`. `ru_maxrss`
/// would not do: it begins with what the parent had before the exec.
pub fn peak_rss() -> Option<Kib> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    value.trim().strip_suffix(" kB")?.parse().ok().map(Kib)
}

/// CPU time of all threads of this process so far: in user space, in the kernel. Workers of the
/// ring are threads of the process and are counted.
pub fn cpu_times() -> (Duration, Duration) {
    let usage = usage(libc::RUSAGE_SELF);
    (duration(usage.ru_utime), duration(usage.ru_stime))
}

/// How often the other threads of this process went to sleep so far (voluntary switches), and for
/// how long they were on a CPU: for the thread that submits, its workers.
pub fn other_threads() -> (u64, Duration) {
    let [all, own] = [libc::RUSAGE_SELF, libc::RUSAGE_THREAD].map(usage);
    let cpu = |usage: &libc::rusage| duration(usage.ru_utime) + duration(usage.ru_stime);
    let sleeps = u64::try_from(all.ru_nvcsw - own.ru_nvcsw).unwrap_or(0);
    (sleeps, cpu(&all).saturating_sub(cpu(&own)))
}

/// What the kernel tells as seconds and microseconds (`getrusage(2)`, `wait4(2)`).
pub fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
}

fn usage(whose: libc::c_int) -> libc::rusage {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is valid for writes of an rusage.
    unsafe { libc::getrusage(whose, usage.as_mut_ptr()) };
    // SAFETY: all-zero bytes are an rusage, and the kernel may have filled it in.
    unsafe { usage.assume_init() }
}

/// How many processes may have their two files open at once: the limit of open files, raised to
/// what is allowed, less those for standard streams, `/proc` and the ring.
pub fn file_pairs() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const RESERVED: u64 = 8;
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // A refusal leaves the old limit.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit.saturating_sub(RESERVED) / 2).unwrap_or(usize::MAX).max(1)
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

/// Ends the process at once: no destructors, no waiting for requests that may never complete.
pub fn exit(code: u8) -> ! {
    // SAFETY: `_exit` has no preconditions; output is written unbuffered before.
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
