//! The machine and this process, as far as the program needs to know them.

use std::io::Write;
use std::mem::MaybeUninit;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, RawDir};
use rustix::path::DecInt;

use crate::units::{Kib, Pid};

/// Security modules that have a say when one process reads of another's memory (the hook
/// `ptrace_access_check`; yama has it too, and looks at debuggers only).
const SECURITY_MODULES: [&str; 5] = ["selinux", "apparmor", "smack", "landlock", "bpf"];

/// CPUs that this process may run on (`sched_getaffinity(2)`, cgroup quotas included).
pub fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The CPUs that this process may run on, but for the one it is on; `None` when there is no other.
pub fn other_cpus() -> Option<libc::cpu_set_t> {
    const THIS_THREAD: libc::pid_t = 0;
    let mut cpus = MaybeUninit::<libc::cpu_set_t>::zeroed();
    let bytes = size_of::<libc::cpu_set_t>();
    // SAFETY: the pointer is valid for writes of so many bytes.
    let told = unsafe { libc::sched_getaffinity(THIS_THREAD, bytes, cpus.as_mut_ptr()) };
    // SAFETY: all-zero bytes are a set of CPUs, and the kernel may have filled it in.
    let mut cpus = unsafe { cpus.assume_init() };
    let own = rustix::thread::sched_getcpu();
    // A machine with more CPUs than the set has room for.
    if told != 0 || own >= 8 * bytes {
        return None;
    }
    // SAFETY: the set is valid for writes, and has room for this CPU: see above.
    unsafe { libc::CPU_CLR(own, &mut cpus) };
    // SAFETY: the set is valid for reads.
    let others = unsafe { libc::CPU_COUNT(&cpus) };
    (others > 0).then_some(cpus)
}

/// The names of the host and of its kernel's release (`uname(2)`).
pub fn name_and_kernel() -> (String, String) {
    let names = rustix::system::uname();
    let text = |name: &std::ffi::CStr| name.to_string_lossy().into_owned();
    (text(names.nodename()), text(names.release()))
}

/// What decides whether this program may look into other users' processes (`capabilities(7)`).
#[derive(Clone, Copy, Debug)]
pub struct Privileges {
    /// Whether it runs as root.
    pub is_root: bool,
    /// `CAP_SYS_PTRACE`.
    pub may_trace: bool,
    /// `CAP_PERFMON`, or `CAP_SYS_ADMIN`, which stands for it.
    pub may_perfmon: bool,
    /// Whether all of that is worth nothing outside of a user namespace.
    pub is_in_user_namespace: bool,
}

/// The privileges of this thread.
pub fn privileges() -> Privileges {
    use rustix::thread::{CapabilitySet, capabilities};
    let sets = capabilities(None);
    let has = |any| sets.is_ok_and(|sets| sets.effective.intersects(any));
    Privileges {
        is_root: rustix::process::geteuid().is_root(),
        may_trace: has(CapabilitySet::SYS_PTRACE),
        may_perfmon: has(CapabilitySet::PERFMON | CapabilitySet::SYS_ADMIN),
        is_in_user_namespace: is_in_user_namespace(),
    }
}

/// The first user namespace maps every id to itself (`user_namespaces(7)`).
fn is_in_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map");
    map.is_ok_and(|map| !map.split_whitespace().eq(["0", "0", "4294967295"]))
}

/// Whether this thread is in a group (`in_group_p`, kernel/groups.c).
pub(super) fn is_in_group(group: u32) -> bool {
    use rustix::process::{getegid, getgroups};
    let is_it = |gid: rustix::process::Gid| gid.as_raw() == group;
    is_it(getegid()) || getgroups().is_ok_and(|groups| groups.into_iter().any(is_it))
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

/// The security modules that may have refused a read, none where securityfs is not mounted or not
/// to be read.
pub fn security_modules() -> Vec<&'static str> {
    let active = std::fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    those_that_refuse(&active)
}

/// Of a list with commas between.
fn those_that_refuse(active: &str) -> Vec<&'static str> {
    let is_active = |name: &&str| active.trim_end().split(',').any(|active| active == *name);
    SECURITY_MODULES.into_iter().filter(is_active).collect()
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
    let times = str::from_utf8(text).ok()?.split_whitespace().nth(2)?.parse().ok();
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

/// Ends the process as one whose reader left: by `SIGPIPE`, which the standard library had set
/// aside. A shell shows 141.
pub fn end_by_closed_pipe() -> ! {
    // SAFETY: the default action runs no code of this process.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    // SAFETY: no memory is touched; the signal is sent to the calling thread.
    unsafe { libc::raise(libc::SIGPIPE) };
    // It was blocked by who started us.
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

    #[test]
    fn only_who_can_refuse_is_suspected() {
        let active = "lockdown,capability,landlock,yama,apparmor,ima,evm\n";
        assert_eq!(those_that_refuse(active), ["apparmor", "landlock"]);
        assert_eq!(those_that_refuse("capability,selinux"), ["selinux"]);
        assert!(those_that_refuse("capability,yama").is_empty());
        assert!(those_that_refuse("").is_empty());
    }
}
