//! Threads of this process: spawning, states, scheduling policy, CPUs.

use std::io::Write;
use std::mem::MaybeUninit;
use std::num::NonZeroU64;
use std::sync::OnceLock;

use rustix::fs::{Mode, OFlags, RawDir};
use rustix::path::DecInt;
use rustix::thread::CpuSet;

use super::memory;
use crate::units::Pid;

/// The stack of a thread: no call chain is deep.
const STACK_BYTES: usize = 128 * 1024;

/// The number of threads, at most `wanted`, that memory is enough for: stacks, `bytes` for each
/// thread, and the rest of a run over `processes` processes. To be called before these threads
/// start: the check holds memory for a moment, which a thread may need in that moment.
pub fn affordable(wanted: usize, bytes: usize, processes: usize) -> usize {
    let counts = std::iter::successors(Some(wanted), |count| Some(count / 2));
    let mut counts = counts.take_while(|count| *count > 0);
    counts.find(|count| memory::has_room(count * (STACK_BYTES + bytes), processes)).unwrap_or(0)
}

/// Starts a thread, unless the host refuses one (`RLIMIT_NPROC`, `pids.max`). Returns whether it
/// was started.
///
/// The caller asks [`affordable`] first. A thread that finds no memory for its own setup would
/// abort the whole program (`__cxa_thread_atexit_impl` of the C library).
pub fn spawn(work: impl FnOnce() + Send + 'static) -> bool {
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(work).is_ok()
}

/// The number of CPUs that this process may use (`sched_getaffinity(2)` and cgroup quotas), at the
/// first call: the library reads five files for it, and a run asks several times.
pub fn cpus() -> usize {
    static CPUS: OnceLock<usize> = OnceLock::new();
    *CPUS.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// The number of CPUs of the host that are online.
pub fn cpus_online() -> usize {
    // SAFETY: the call takes and returns only numbers.
    let online = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    usize::try_from(online).unwrap_or(1).max(1)
}

/// The number of threads of the host that run or wait for a CPU, this one included (fourth field of
/// `/proc/loadavg`, `proc_loadavg(5)`); `None` if this process has no `/proc` of its own.
pub fn runnable() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    let (runnable, _) = text.split(' ').nth(3)?.split_once('/')?;
    runnable.parse().ok()
}

/// Part of the last ten seconds in which some thread of the host waited for memory, in percent
/// (`/proc/pressure/memory`, Documentation/accounting/psi.rst); `None` without `CONFIG_PSI`.
pub fn memory_stall() -> Option<f32> {
    let text = std::fs::read_to_string("/proc/pressure/memory").ok()?;
    text.strip_prefix("some avg10=")?.split(' ').next()?.parse().ok()
}

/// Makes the timers of this thread exact, and those of threads that it starts from now on. By
/// default the kernel may delay a timer by 50 us (`PR_SET_TIMERSLACK`, prctl(2)), most of a pause
/// of a walk. Where a filter of system calls forbids prctl, pauses are longer.
pub fn set_exact_timers() {
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
}

/// The highest priority of a thread (`nice(2)`), until it is dropped. No ordinary thread keeps it
/// from a CPU while it holds the `mmap_lock` of a process.
#[derive(Debug)]
pub struct Urgent {
    /// Ring workers have it too.
    has_ring_workers: bool,
    /// The priority before.
    nice: i32,
}

impl Urgent {
    const NICE: i32 = -20;

    /// For the calling thread; `None` if that is not allowed (`CAP_SYS_NICE`, `RLIMIT_NICE`).
    pub fn this_thread() -> Option<Urgent> {
        let nice = rustix::process::getpriority_process(None).ok()?;
        rustix::process::setpriority_process(None, Urgent::NICE).ok()?;
        Some(Urgent { has_ring_workers: false, nice })
    }

    /// The same for ring workers too. Later ones inherit the priority: this thread or another
    /// worker starts them.
    pub fn with_ring_workers() -> Option<Urgent> {
        let mut urgent = Urgent::this_thread()?;
        urgent.has_ring_workers = true;
        set_nice_of_workers(Urgent::NICE);
        Some(urgent)
    }
}

impl Drop for Urgent {
    fn drop(&mut self) {
        // A priority may always be lowered.
        let _ = rustix::process::setpriority_process(None, self.nice);
        if self.has_ring_workers {
            set_nice_of_workers(self.nice);
        }
    }
}

fn set_nice_of_workers(nice: i32) {
    ring_workers(false, |thread, _| {
        let thread = i32::try_from(thread).ok().and_then(rustix::process::Pid::from_raw);
        if thread.is_some() {
            // It may have ended.
            let _ = rustix::process::setpriority_process(thread, nice);
        }
    });
}

/// The CPUs that this process may run on, except the one it is on; `None` if there is no other.
pub fn other_cpus() -> Option<libc::cpu_set_t> {
    let allowed = rustix::thread::sched_getaffinity(None).ok()?;
    let own = rustix::thread::sched_getcpu();
    let is_other = |cpu: &usize| *cpu != own && allowed.is_set(*cpu);
    let mut others = (0..CpuSet::MAX_CPU).filter(is_other).peekable();
    others.peek()?;
    // SAFETY: a `cpu_set_t` is an array of integers, for which zeros are valid.
    let mut cpus: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for cpu in others {
        // SAFETY: it sets a bit of an array, and indexes the array with a check.
        unsafe { libc::CPU_SET(cpu, &mut cpus) };
    }
    Some(cpus)
}

/// The state of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadState {
    /// On a CPU or waiting for one (`R`).
    Running,
    /// Waiting for a lock, a page or a disk; only a fatal signal interrupts the wait (`D`). Or
    /// stopped, by a signal or a debugger (`T`, `t`).
    Blocked,
    /// Waiting for work (`S`), or in any other state.
    Idle,
}

/// The id of the calling thread.
pub fn thread_id() -> u32 {
    rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs()
}

/// The state of a thread of this process, by `/proc/self/task/TID/stat`; `None` if it ended or this
/// process has no `/proc` of its own. Never blocks, as it is this process. Allocates nothing.
pub fn thread_state(thread: u32) -> Option<ThreadState> {
    let thread = DecInt::new(thread);
    state_of(read_of_thread(b"self", thread.as_bytes(), b"/stat", &mut [0; STAT_BYTES])?)
}

/// The number of times that a thread of this process, or of another, got a CPU so far (third number
/// of `/proc/PID/task/TID/schedstat`, Documentation/scheduler/sched-stats.rst). `None` if the
/// kernel does not count, where it prints 0 for a thread that has run. Allocates nothing.
pub fn times_run(process: Option<Pid>, thread: u32) -> Option<u64> {
    let (mut room, thread) = ([0; STAT_BYTES], DecInt::new(thread));
    let process = process.map(|Pid(pid)| DecInt::new(pid));
    let process = process.as_ref().map_or(&b"self"[..], DecInt::as_bytes);
    let text = read_of_thread(process, thread.as_bytes(), b"/schedstat", &mut room)?;
    let times = std::str::from_utf8(text).ok()?.split_whitespace().nth(2)?.parse().ok();
    times.filter(|times| *times > 0)
}

/// Visits each ring worker of this process, with its thread id and state. Allocates nothing: a long
/// survey checks its workers every few milliseconds.
///
/// A worker that waits for work and one whose file waits for a signal (FUSE, a FIFO) are both in
/// the state `S`. With `finds_waits` one more file of each tells them apart: the second is blocked.
pub fn ring_workers(finds_waits: bool, mut visit: impl FnMut(u32, ThreadState)) {
    // `PF_IO_WORKER` (include/linux/sched.h). A worker takes its name, `iou-wrk-1234`, only when it
    // first runs; on a busy host that is late.
    const IO_WORKER: u32 = 0x10;
    let is_worker = |stat: &[u8]| flags_of(stat).is_some_and(|flags| flags & IO_WORKER != 0);
    visit_threads(b"self", is_worker, |thread, state| {
        let is_waiting = finds_waits && state == ThreadState::Idle && waits_for_a_file(thread);
        visit(thread, if is_waiting { ThreadState::Blocked } else { state });
    });
}

/// Whether a ring worker that is asleep has a request, by the function of the kernel in which it
/// sleeps (`proc_pid_wchan`, fs/proc/base.c). Without a name it has none: kernels without symbols
/// print nothing or 0.
fn waits_for_a_file(thread: u32) -> bool {
    let (mut room, thread) = ([0; STAT_BYTES], DecInt::new(thread));
    let function = read_of_thread(b"self", thread.as_bytes(), b"/wchan", &mut room);
    // `io_wq_worker`, and before Linux 6.5 `io_wqe_worker`.
    function.is_some_and(|name| !matches!(name, b"" | b"0") && !name.starts_with(b"io_wq"))
}

/// Visits each thread of another process. Allocates nothing.
pub fn threads_of(process: Pid, visit: impl FnMut(u32, ThreadState)) {
    visit_threads(DecInt::new(process.0).as_bytes(), |_| true, visit);
}

fn visit_threads(
    process: &[u8],
    is_wanted: impl Fn(&[u8]) -> bool,
    mut visit: impl FnMut(u32, ThreadState),
) {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let mut path = [0; PATH_BYTES];
    let Some(path) = join(&mut path, [b"/proc/", process, b"/task"]) else { return };
    let Ok(dir) = rustix::fs::open(path, flags, Mode::empty()) else { return };
    let mut listing = [MaybeUninit::uninit(); 4096];
    let mut threads = RawDir::new(&dir, &mut listing);
    while let Some(Ok(thread)) = threads.next() {
        let (name, mut room) = (thread.file_name().to_bytes(), [0; STAT_BYTES]);
        if matches!(name, b"." | b"..") {
            continue;
        }
        let Some(stat) = read_of_thread(process, name, b"/stat", &mut room) else { continue };
        let worker = Pid::parse(name).filter(|_| is_wanted(stat));
        if let (Some(Pid(worker)), Some(state)) = (worker, state_of(stat)) {
            visit(worker, state);
        }
    }
}

/// The text from the state on, which follows the name. That is in parentheses and can contain some
/// itself.
fn behind_name(stat: &[u8]) -> Option<&[u8]> {
    stat.get(stat.iter().rposition(|byte| *byte == b')')? + 2..)
}

fn state_of(stat: &[u8]) -> Option<ThreadState> {
    Some(match behind_name(stat)?.first()? {
        b'R' => ThreadState::Running,
        b'D' | b'T' | b't' => ThreadState::Blocked,
        _ => ThreadState::Idle,
    })
}

/// The flags, six fields behind the state (`do_task_stat`, fs/proc/array.c).
fn flags_of(stat: &[u8]) -> Option<u32> {
    let field = behind_name(stat)?.split(|byte| *byte == b' ').nth(6)?;
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// Enough for the fields of `stat` up to the flags, behind a name of any length, and for
/// `schedstat`.
const STAT_BYTES: usize = 256;

/// Enough for `/proc/4194304/task/4194304/schedstat`.
const PATH_BYTES: usize = 48;

fn join<'a, const N: usize>(path: &'a mut [u8; PATH_BYTES], parts: [&[u8]; N]) -> Option<&'a [u8]> {
    let mut free = &mut path[..];
    for part in parts {
        free.write_all(part).ok()?;
    }
    let len = PATH_BYTES - free.len();
    Some(&path[..len])
}

/// Reads the start of a file of a thread. Allocates nothing.
fn read_of_thread<'a>(
    process: &[u8],
    thread: &[u8],
    file: &[u8],
    room: &'a mut [u8; STAT_BYTES],
) -> Option<&'a [u8]> {
    let mut path = [0; PATH_BYTES];
    let path = join(&mut path, [b"/proc/", process, b"/task/", thread, file])?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    let len = rustix::io::read(&file, &mut room[..]).ok()?;
    room.get(..len)
}

/// Sets whether a wake-up of this thread has to preempt others: a batch (`SCHED_BATCH`, `sched(7)`)
/// preempts none. Threads that it starts inherit the policy. Returns false if this thread keeps its
/// policy: one that the user chose (`chrt(1)`), or the wanted one.
///
/// Both calls are made by number, because the functions of musl return `ENOSYS`.
pub fn set_batch(is_batch: bool) -> bool {
    const THIS_THREAD: libc::pid_t = 0;
    let (from, to) = match is_batch {
        true => (libc::SCHED_OTHER, libc::SCHED_BATCH),
        false => (libc::SCHED_BATCH, libc::SCHED_OTHER),
    };
    // SAFETY: the call takes and returns only numbers.
    let policy = unsafe { libc::syscall(libc::SYS_sched_getscheduler, THIS_THREAD) };
    if policy != libc::c_long::from(from) {
        return false;
    }
    // The kernel's `struct sched_param` is a single number; that of musl has more fields.
    let priority: libc::c_int = 0;
    let call = libc::SYS_sched_setscheduler;
    // SAFETY: the kernel reads one `c_int` at the pointer, which is to `priority`.
    unsafe { libc::syscall(call, THIS_THREAD, to, &raw const priority) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_and_flags_follow_the_last_parenthesis() {
        let worker = b"31 (a) S 2 (b) R 1 7 7 0 -1 4194384 0 0 0 0\n";
        assert_eq!(state_of(worker), Some(ThreadState::Running));
        assert_eq!(flags_of(worker), Some(0x40_0050));
        assert_eq!(flags_of(b"31 (a) D 1 7"), None);
        assert_eq!(state_of(b"31 (a)"), None);
    }
}
