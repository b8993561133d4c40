//! Target processes: a test binary starts itself again and becomes one.
//!
//! The parent ends every child it started; a child ends when its parent dies. Children stop
//! themselves with SIGSTOP when they are ready, so that their memory does not change.
#![allow(unsafe_code)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use psm_uring::units::Pid;
use rustix::process::{Signal, getpid, kill_process, set_parent_process_death_signal};

use super::until;

/// Selects the mode of a test binary.
pub const MODE: &str = "PSM_TEST_CHILD";
const TITLE: &str = "PSM_TEST_TITLE";
const READY_LIMIT: Duration = Duration::from_secs(60);
const PAGE: usize = 4096;

/// A child of the test. Dropping it ends the process.
pub struct Target(Child);

impl Target {
    /// Starts a child with the name `argv0` in the mode `mode` (see [`become_one`]). The test
    /// binary needs a test named `child` that calls [`become_one`].
    pub fn start_as(argv0: &[u8], mode: &str) -> Target {
        Target::start_by(argv0, mode, |command| command)
    }

    /// Starts a child in a control group, so that all of its memory is charged there.
    pub fn start_in(group: &std::path::Path, mode: &str) -> Target {
        Target::start_by(b"target", mode, |command| {
            let mut shell = Command::new("sh");
            let words = "echo $$ >\"$0\"/cgroup.procs && exec \"$@\"";
            shell.args(["-c", words]).arg(group).arg(command.get_program());
            shell.args(command.get_args());
            for (key, value) in command.get_envs() {
                shell.env(key, value.unwrap_or_default());
            }
            shell
        })
    }

    fn start_by(argv0: &[u8], mode: &str, how: impl FnOnce(Command) -> Command) -> Target {
        let program = std::env::current_exe().expect("a path of our own");
        // The test harness accepts UTF-8 only: the child overwrites this name with other names
        // later.
        let is_text = std::str::from_utf8(argv0).is_ok();
        let first = if is_text { argv0.to_vec() } else { vec![b'x'; argv0.len() + 8] };
        let mut command = Command::new(program);
        command
            .arg0(OsStr::from_bytes(&first))
            .env(TITLE, OsStr::from_bytes(argv0))
            .args(["child", "--exact", "--nocapture", "--quiet"])
            .env(MODE, mode);
        let child = how(command).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        Target(child.expect("a child starts"))
    }

    /// Starts a child and waits until it stops itself.
    pub fn stopped_as(argv0: &[u8], mode: &str) -> Target {
        let target = Target::start_as(argv0, mode);
        target.wait_for_state(target.pid(), 'T');
        target
    }

    pub fn stopped(mode: &str) -> Target {
        Target::stopped_as(b"target", mode)
    }

    pub fn pid(&self) -> Pid {
        Pid(self.0.id())
    }

    pub fn wait_for_state(&self, pid: Pid, wanted: char) {
        let found = until(READY_LIMIT, || is_in_state(pid, wanted).then_some(()));
        assert!(found.is_some(), "{pid} is in state {:?}, not {wanted}", state(pid));
    }

    /// The children of the child, once this many exist and all are in this state.
    pub fn children(&self, count: usize, wanted: char) -> Vec<Pid> {
        let children = until(READY_LIMIT, || {
            let children = children_of(self.pid());
            let ready = children.iter().filter(|pid| is_in_state(**pid, wanted)).count();
            (ready == count).then_some(children)
        });
        children.expect("the children of the child are ready")
    }

    /// The id of the child, once it has ended.
    pub fn ended(&mut self) -> Option<Pid> {
        let pid = self.pid();
        self.0.try_wait().ok().flatten().map(|_| pid)
    }

    /// Sends a signal to the child.
    pub fn signal(&self, signal: Signal) {
        let pid = rustix::process::Pid::from_child(&self.0);
        kill_process(pid, signal).expect("a child of ours takes signals");
    }

    /// Waits until the child ends by itself; whether it does.
    pub fn ends(&mut self) -> bool {
        until(READY_LIMIT, || self.0.try_wait().ok().flatten()).is_some()
    }

    /// Ends the child and waits for it, so that no zombie remains.
    pub fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.end();
    }
}

/// Stopped processes with private memory, shared memory and many mappings.
pub struct Targets {
    _targets: [Target; 3],
    pub pids: Vec<Pid>,
    pub list: String,
}

impl Targets {
    pub fn start() -> Targets {
        let targets = [
            Target::stopped("touch 5000"),
            Target::stopped("family 4096 2"),
            Target::stopped("mappings 300"),
        ];
        let mut pids: Vec<Pid> = targets.iter().map(Target::pid).collect();
        pids.extend(targets[1].children(2, 'T'));
        let list = pids.iter().map(Pid::to_string).collect::<Vec<_>>().join(",");
        Targets { _targets: targets, pids, list }
    }
}

/// A line of `/proc/PID/status`. Reads of that file return immediately; reads of `stat`, which is
/// easier to parse, block for ever on a stuck process, and any process of the host may be stuck.
pub fn status(pid: Pid, key: &str) -> Option<String> {
    let text = std::fs::read(format!("/proc/{pid}/status")).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    text.lines().find_map(|line| Some(line.strip_prefix(key)?.trim().to_owned()))
}

pub fn state(pid: Pid) -> Option<char> {
    status(pid, "State:")?.chars().next()
}

/// A process is stopped when all of its threads are. The first often stops before the thread that
/// sent the signal, which runs for a moment and touches pages.
fn is_in_state(pid: Pid, wanted: char) -> bool {
    if wanted != 'T' {
        return state(pid) == Some(wanted);
    }
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    threads.filter_map(|thread| Pid::parse(thread.ok()?.file_name().as_bytes())).all(is_stopped)
}

fn is_stopped(thread: Pid) -> bool {
    state(thread) == Some('T')
}

/// The children of a process, in the order of `/proc`.
pub fn children_of(parent: Pid) -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").expect("a /proc");
    let pids = entries.filter_map(|entry| Pid::parse(entry.ok()?.file_name().as_bytes()));
    let is_child = |pid: &Pid| status(*pid, "PPid:") == Some(parent.to_string());
    pids.filter(is_child).collect()
}

/// Enters the mode that the environment selects, and never returns; without a mode it does nothing.
///
/// - `touch KIB`       private memory of this size, every page touched
/// - `family KIB N`    the same, shared with N forked children
/// - `mappings N`      N mappings of a page
/// - `swapped KIB`     private memory that the kernel swaps out on request
/// - `lazyfree KIB`    private memory that the kernel may take back at any time
/// - `pages KIB`       private memory in pages of the smallest size
/// - `hugetlb N`       N huge pages
/// - `pool N CHILDREN` N huge pages, which forked children write to, each with a comm of its own
/// - `swapped-pool KIB CHILDREN`  shared memory that the kernel swaps out, in the same way
/// - `leaderless KIB`  a child whose first thread is dead and whose second has the memory
/// - `vfork KIB`       the same as touch, and a child that runs in this memory; its parent waits
/// - `clone KIB`       the same, and both continue
/// - `kin KIB`         the same, but the child is one of its parent (`CLONE_PARENT`)
/// - `cold PATH`       a mapped file, whose pages it reads after a signal to continue; then it
///   makes `PATH.PID`
/// - `grow PATH`       private memory, 1 MiB for each file `PATH.0`, `PATH.1` … that appears; then
///   it makes `PATH.0.done`
/// - `tree N`          N processes, each with up to three children and private memory
/// - `retitle`         a second title, after a signal to continue
/// - `pairs KIB N`     N forked children, each of which clones one in its memory as a sibling
/// - `exit`            immediate exit
pub fn become_one() {
    let Ok(mode) = std::env::var(MODE) else { return };
    let words: Vec<&str> = mode.split(' ').collect();
    let number = |n: usize| words[n].parse::<usize>().expect("a number");
    die_with_parent();
    if let Some(title) = std::env::var_os(TITLE).filter(|title| title.to_str().is_none()) {
        set_title(title.as_bytes());
    }
    let mut touched = Vec::new();
    match words[0] {
        "touch" => touched = touch(number(1)),
        "family" => {
            touched = touch(number(1));
            for _ in 0..number(2) {
                fork(stop_for_ever);
            }
        }
        "vfork" | "clone" | "kin" => {
            touched = touch(number(1));
            clone_with_memory(match words[0] {
                "vfork" => libc::CLONE_VFORK,
                "kin" => libc::CLONE_PARENT,
                _ => 0,
            });
        }
        "pairs" => {
            touched = touch(number(1));
            for _ in 0..number(2) {
                fork(|| {
                    // All ids of children are lower than those of the clones.
                    std::thread::sleep(Duration::from_secs(1));
                    clone_with_memory(libc::CLONE_PARENT);
                    stop_for_ever();
                });
            }
        }
        "mappings" => (0..number(1)).for_each(map_page),
        "swapped" => advise(number(1), libc::MADV_NORMAL, libc::MADV_PAGEOUT),
        "lazyfree" => advise(number(1), libc::MADV_NORMAL, libc::MADV_FREE),
        "pages" => advise(number(1), libc::MADV_NOHUGEPAGE, libc::MADV_NORMAL),
        "hugetlb" => write_huge(map_huge(number(1), libc::MAP_PRIVATE), number(1)),
        "pool" => {
            let (pages, start) = (number(1), map_huge(number(1), libc::MAP_SHARED));
            write_huge(start, pages);
            (0..number(2)).for_each(|n| fork_with_comm(n, || write_huge(start, pages)));
        }
        "swapped-pool" => {
            swap_out_shared(number(1) * 1024);
            (0..number(2)).for_each(|n| fork_with_comm(n, || ()));
        }
        "grow" => grow(words[1]),
        "tree" => touched = fork_tree(0, number(1)),
        "cold" => read_mapped(words[1]),
        "retitle" => {
            kill_process(getpid(), Signal::STOP).expect("a signal to itself");
            // The thread that sent the signal runs for a moment.
            std::thread::sleep(Duration::from_millis(200));
            set_title(b"second");
        }
        "leaderless" => {
            let kib = number(1);
            fork(move || leave_a_thread(kib));
        }
        _ => std::process::exit(0),
    }
    std::hint::black_box(&touched);
    stop_for_ever();
}

fn die_with_parent() {
    set_parent_process_death_signal(Some(Signal::KILL)).expect("prctl");
}

pub fn stop_for_ever() {
    loop {
        kill_process(getpid(), Signal::STOP).expect("a signal to itself");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Writes a title over the first argument, as `setproctitle(3)` does. The first argument is longer.
fn set_title(title: &[u8]) {
    // Field 48 of `stat` is the start of the arguments; comm, the second, ends with `) `.
    let stat = std::fs::read("/proc/self/stat").expect("stat");
    let stat = String::from_utf8_lossy(&stat).into_owned();
    let (_, fields) = stat.rsplit_once(") ").expect("stat");
    let begin: usize = fields.split(' ').nth(45).and_then(|text| text.parse().ok()).expect("48");
    let first = std::ptr::with_exposed_provenance_mut::<u8>(begin);
    // SAFETY: the kernel placed the arguments there, writable; the first has 8 bytes more than the
    // title, and no code reads the arguments at this time.
    unsafe { first.write_bytes(0, title.len() + 8) };
    // SAFETY: as above.
    unsafe { first.copy_from(title.as_ptr(), title.len()) };
}

/// Forks the children of the process with this number, which fork theirs; the memory that it
/// touched.
fn fork_tree(number: usize, processes: usize) -> Vec<u8> {
    for child in (3 * number + 1..=3 * number + 3).take_while(|child| *child < processes) {
        fork(|| {
            let touched = fork_tree(child, processes);
            std::hint::black_box(&touched);
            stop_for_ever();
        });
    }
    touch(64 * (1 + number % 7))
}

/// Grows by a round of 1 MiB whenever a file asks for it.
fn grow(path: &str) {
    let mut rounds: Vec<Vec<u8>> = Vec::new();
    loop {
        let file = format!("{path}.{}", rounds.len());
        if std::path::Path::new(&file).exists() {
            rounds.push(touch(1024));
            std::fs::write(file + ".done", b"").expect("a directory of the test");
        }
        std::hint::black_box(&rounds);
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn touch(kib: usize) -> Vec<u8> {
    vec![1; kib * 1024]
}

/// Runs `then`, which does not return, in a child.
pub fn fork(then: impl FnOnce()) -> Pid {
    // SAFETY: the child uses data of this thread only and calls no function with a lock that
    // another thread may hold: signals, sleeping, and in one case a new thread with fresh memory.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        die_with_parent();
        then();
        std::process::abort();
    }
    Pid(pid.unsigned_abs())
}

fn fork_with_comm(n: usize, then: impl FnOnce()) {
    fork(|| {
        then();
        let name = std::ffi::CString::new(format!("member{n}")).expect("no NUL");
        rustix::thread::set_name(&name).expect("prctl");
        stop_for_ever();
    });
}

/// Creates a child that runs in the memory of this process, on a separate stack, with another comm.
fn clone_with_memory(flags: i32) {
    const STACK_BYTES: usize = 64 * 1024;
    extern "C" fn stop(_: *mut libc::c_void) -> i32 {
        die_with_parent();
        rustix::thread::set_name(c"twin").expect("prctl");
        stop_for_ever();
        0
    }
    let stack = map(STACK_BYTES, libc::PROT_READ | libc::PROT_WRITE, 0);
    let flags = flags | libc::CLONE_VM | libc::SIGCHLD;
    // SAFETY: the top of the mapping, where a stack begins.
    let top = unsafe { stack.add(STACK_BYTES) };
    // SAFETY: only the child uses the stack, and it is never unmapped. The child only makes system
    // calls; it shares only `errno` with this thread, and no code here reads it twice.
    let pid = unsafe { libc::clone(stop, top.cast(), flags, std::ptr::null_mut()) };
    assert!(pid >= 0, "clone: {}", std::io::Error::last_os_error());
}

fn leave_a_thread(kib: usize) {
    std::thread::spawn(move || {
        let touched = touch(kib);
        std::hint::black_box(&touched);
        loop {
            std::thread::sleep(Duration::from_secs(1));
        }
    });
    // SAFETY: ends only this thread; its data is never freed.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
}

fn map(len: usize, protection: i32, flags: i32) -> *mut u8 {
    let kind = if flags & libc::MAP_SHARED == 0 { libc::MAP_PRIVATE } else { 0 };
    let flags = kind | libc::MAP_ANONYMOUS | flags;
    // SAFETY: a new mapping at an address of the kernel's choice affects no existing mapping.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
    assert!(start != libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
    start.cast()
}

/// Maps one page with a neighbour of other permissions, so that the kernel does not merge them.
fn map_page(n: usize) {
    let write = if n.is_multiple_of(2) { libc::PROT_WRITE } else { 0 };
    let page = map(PAGE, libc::PROT_READ | write, 0);
    if write != 0 {
        // SAFETY: the page is mapped for writing.
        unsafe { page.write(1) };
    }
}

/// Writes to private memory, with advice to the kernel before and after that.
fn advise(kib: usize, before: i32, after: i32) {
    let len = kib * 1024;
    let start = map(len, libc::PROT_READ | libc::PROT_WRITE, 0);
    // SAFETY: this process owns the range, which is empty.
    unsafe { libc::madvise(start.cast(), len, before) };
    // SAFETY: the range is mapped for writing.
    unsafe { start.write_bytes(1, len) };
    // SAFETY: this process owns the range; the kernel reads swapped pages back on access, and
    // nothing reads freed ones.
    unsafe { libc::madvise(start.cast(), len, after) };
}

/// Writes to shared memory that this process alone maps, and asks the kernel to swap it out until
/// all of it is there. Random bytes, so that a compressed swap does not make it vanish.
fn swap_out_shared(len: usize) {
    let start = map(len, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
    let mut rng = super::Rng::new(1);
    let bytes: Vec<u8> = (0..len).map(|_| rng.byte()).collect();
    // SAFETY: the range is mapped for writing and has the length of `bytes`.
    unsafe { start.copy_from(bytes.as_ptr(), len) };
    drop(bytes);
    for _ in 0..20 {
        // SAFETY: this process owns the range, and the kernel reads swapped pages back on access.
        unsafe { libc::madvise(start.cast(), len, libc::MADV_PAGEOUT) };
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Maps a file, and reads each page after a signal to continue, without read-ahead.
fn read_mapped(path: &str) {
    let file = std::fs::File::open(path).expect("a file of the test");
    let len = usize::try_from(file.metadata().expect("its size").len()).expect("a small file");
    let (read, shared) = (libc::PROT_READ, libc::MAP_SHARED);
    let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
    // SAFETY: a new mapping at an address of the kernel's choice affects no existing mapping.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), len, read, shared, fd, 0) };
    assert!(start != libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
    // SAFETY: this process owns the range.
    unsafe { libc::madvise(start, len, libc::MADV_RANDOM) };
    kill_process(getpid(), Signal::STOP).expect("a signal to itself");
    // The thread that sent the signal runs for a moment.
    std::thread::sleep(Duration::from_millis(200));
    for page in 0..len / PAGE {
        // SAFETY: inside the mapping.
        let place = unsafe { start.cast::<u8>().add(page * PAGE) };
        // SAFETY: the mapping is readable, and the file keeps its size.
        std::hint::black_box(unsafe { place.read_volatile() });
    }
    std::fs::write(format!("{path}.{}", std::process::id()), b"").expect("a directory of the test");
}

const HUGE: usize = 2 << 20;

fn map_huge(pages: usize, kind: i32) -> *mut u8 {
    map(pages * HUGE, libc::PROT_READ | libc::PROT_WRITE, kind | libc::MAP_HUGETLB)
}

/// Writes to each page of [`map_huge`]. A forked child maps no page of shared memory before that.
fn write_huge(start: *mut u8, pages: usize) {
    for page in 0..pages {
        // SAFETY: inside the mapping.
        let place = unsafe { start.add(page * HUGE) };
        // SAFETY: the mapping is writable.
        unsafe { place.write(1) };
    }
}
