//! Threads of this process and the CPUs that they may run on: spawning, states, scheduling policy.

use std::io::Write;
use std::mem::MaybeUninit;

use rustix::fs::{Mode, OFlags, RawDir};
use rustix::path::DecInt;
use rustix::thread::CpuSet;

use super::memory;
use crate::units::Pid;

/// What a thread of this program needs of stack: it calls nothing deep.
const STACK_BYTES: usize = 128 * 1024;

/// Starts a thread that allocates up to `bytes`, unless the host refuses one (`RLIMIT_NPROC`,
/// `pids.max`) or memory would not be enough for the rest of a run over `processes` processes.
/// Returns whether it was started.
///
/// A thread that finds no memory for its own setup would abort the whole program
/// (`__cxa_thread_atexit_impl` of the C library).
pub fn spawn(bytes: usize, processes: usize, work: impl FnOnce() + Send + 'static) -> bool {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    memory::has_room(STACK_BYTES + bytes, processes) && thread.spawn(work).is_ok()
}

/// CPUs that this process may run on (`sched_getaffinity(2)`, cgroup quotas included).
pub fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
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

/// What a thread of this process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadState {
    /// On a CPU or waiting for one (`R`).
    Running,
    /// Waiting for something that only a fatal signal interrupts (`D`): a lock, a page, a disk.
    Blocked,
    /// Waiting for work (`S`), or anything else.
    Idle,
}

/// The id of the calling thread.
pub fn thread_id() -> u32 {
    rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs()
}

/// What a thread of this process is doing, from `/proc/self/task/TID/stat`; `None` when it ended
/// or there is no `/proc` of our own. Never blocks: it is our own process. Allocates nothing.
pub fn thread_state(thread: u32) -> Option<ThreadState> {
    state_of(read_of_thread(DecInt::new(thread).as_bytes(), b"/stat", &mut [0; STAT_BYTES])?)
}

/// How often a thread of this process was given a CPU so far (third number of
/// `/proc/self/task/TID/schedstat`, Documentation/scheduler/sched-stats.rst). `None` where the
/// kernel does not count, which it tells as 0 of a thread that has run. Allocates nothing.
pub fn times_run(thread: u32) -> Option<u64> {
    let mut room = [0; STAT_BYTES];
    let text = read_of_thread(DecInt::new(thread).as_bytes(), b"/schedstat", &mut room)?;
    let times = std::str::from_utf8(text).ok()?.split_whitespace().nth(2)?.parse().ok();
    times.filter(|times| *times > 0)
}

/// Tells what each worker of the rings of this process is doing, by the worker's id. Allocates
/// nothing: a long survey looks every few milliseconds.
pub fn ring_workers(mut tell: impl FnMut(u32, ThreadState)) {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let Ok(dir) = rustix::fs::open("/proc/self/task", flags, Mode::empty()) else { return };
    let mut listing = [MaybeUninit::uninit(); 4096];
    let mut threads = RawDir::new(&dir, &mut listing);
    while let Some(Ok(thread)) = threads.next() {
        let (name, mut room) = (thread.file_name().to_bytes(), [0; STAT_BYTES]);
        let Some(stat) = read_of_thread(name, b"/stat", &mut room) else { continue };
        // The kernel names them after the thread that submits, `iou-wrk-1234`, by a number that is
        // not ours in a PID namespace.
        let is_worker = stat.windows(9).any(|bytes| bytes == b"(iou-wrk-");
        let worker = Pid::parse(name).filter(|_| is_worker);
        if let (Some(Pid(worker)), Some(state)) = (worker, state_of(stat)) {
            tell(worker, state);
        }
    }
}

/// The letter behind the name, which stands in parentheses and may hold some itself.
fn state_of(stat: &[u8]) -> Option<ThreadState> {
    let behind = stat.iter().rposition(|byte| *byte == b')')? + 2;
    Some(match stat.get(behind)? {
        b'R' => ThreadState::Running,
        b'D' => ThreadState::Blocked,
        _ => ThreadState::Idle,
    })
}

/// More than stands before the state.
const STAT_BYTES: usize = 256;

/// The start of a file of one thread of this process. Allocates nothing.
fn read_of_thread<'a>(
    thread: &[u8],
    file: &[u8],
    room: &'a mut [u8; STAT_BYTES],
) -> Option<&'a [u8]> {
    let mut path = [0; 48];
    let mut free = &mut path[..];
    for part in [b"/proc/self/task/", thread, file] {
        free.write_all(part).ok()?;
    }
    let len = 48 - free.len();
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(&path[..len], flags, Mode::empty()).ok()?;
    let len = rustix::io::read(&file, &mut room[..]).ok()?;
    room.get(..len)
}

/// Asks the scheduler not to interrupt others when a thread of ours wakes (`SCHED_BATCH`,
/// `sched(7)`). Threads started later inherit it.
///
/// A worker of the ring wakes the submitting thread for every request it frees. Without this the
/// submitting thread takes the CPU from a worker each time, finds nothing to do and sleeps again.
/// A policy that the user chose (`chrt(1)`) stays.
///
/// Called by number, because musl answers `ENOSYS` to both instead of asking the kernel.
pub fn prefer_throughput() {
    const THIS_THREAD: libc::pid_t = 0;
    // SAFETY: numbers only; the call changes nothing.
    let policy = unsafe { libc::syscall(libc::SYS_sched_getscheduler, THIS_THREAD) };
    if policy != libc::c_long::from(libc::SCHED_OTHER) {
        return;
    }
    // The kernel's `struct sched_param`, which is a single number; that of musl has more.
    let priority: libc::c_int = 0;
    let (call, batch) = (libc::SYS_sched_setscheduler, libc::SCHED_BATCH);
    // SAFETY: the pointer is valid for reads of a number; a failure leaves all as it was.
    unsafe { libc::syscall(call, THIS_THREAD, batch, &raw const priority) };
}
