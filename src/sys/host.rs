//! The machine and this process, as far as the program needs to know them.

use std::time::Duration;

/// CPUs that this process may run on (`sched_getaffinity(2)`, cgroup quotas included).
pub fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The most memory this process ever had resident, in KiB (`getrusage(2)`, `ru_maxrss`).
pub fn peak_rss_kib() -> u64 {
    u64::try_from(usage().ru_maxrss).unwrap_or(0)
}

/// CPU time of all threads of this process so far: in user space, in the kernel. Workers of the
/// ring are threads of the process and are counted.
pub fn cpu_times() -> (Duration, Duration) {
    let usage = usage();
    (duration(usage.ru_utime), duration(usage.ru_stime))
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
}

fn usage() -> libc::rusage {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is valid for writes of an rusage.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) };
    // SAFETY: all-zero bytes are an rusage, and the kernel may have filled it in.
    unsafe { usage.assume_init() }
}

/// Asks the scheduler not to interrupt others when a thread of ours wakes (`SCHED_BATCH`,
/// `sched(7)`). Threads started later inherit it.
///
/// A worker of the ring wakes the submitting thread for every request it frees. Without this the
/// submitting thread takes the CPU from a worker each time, finds nothing to do and sleeps again.
pub fn prefer_throughput() {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: 0 is this thread, the pointer is valid for reads; a failure leaves all as it was.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameters) };
}

/// Ends the process at once: no destructors, no waiting for requests that may never complete.
pub fn exit(code: u8) -> ! {
    // SAFETY: `_exit` has no preconditions; output is written unbuffered before.
    unsafe { libc::_exit(code.into()) }
}
