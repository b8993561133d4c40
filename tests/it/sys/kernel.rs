//! The running kernel: its ring features, compared with those of kernels of its version, and the
//! same table with the ring, without it, and for any user. `scripts/kernels.sh` runs this on many
//! kernels.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use crate::support::child::Targets;
use crate::support::failures::{Failures, check};
use crate::support::survey::{CHAINED, TIMED, has_uring};
use crate::support::{RUN_LIMIT, Ran, TempDir, run, say, skip, until};
use psm_uring::process::ProcFile;
use psm_uring::sys::buffer::{Buffer, BufferArena};
use psm_uring::sys::proc_root::ProcRoot;
use psm_uring::sys::ring::kernel::{Features, KernelRing, RingSetup};
use psm_uring::sys::ring::{Fetch, Fetcher, Half, Opening, ReadFrom, Request, WorkerStates};
use psm_uring::sys::this_process;
use psm_uring::sys::threads::{self, ThreadState};
use psm_uring::units::{Errno, Pid};
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::{getpriority_process, nice};
use rustix::thread::sched_getaffinity;

/// The first kernel whose ring has all required features.
const OLDEST: (u32, u32) = (5, 11);

/// Version and patch level of this kernel.
fn version() -> (u32, u32) {
    let (_, release) = this_process::name_and_kernel();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let mut next = || numbers.next().and_then(Result::ok).unwrap_or_else(|| panic!("{release}"));
    (next(), next())
}

/// Each feature: its name, the version that introduced it, whether it is present.
fn dated(features: Features) -> [(&'static str, (u32, u32), bool); 8] {
    let Features { submit_all, coop_taskrun, single_issuer, defer_taskrun, .. } = features;
    let Features { direct_descriptors, chains, skip_success, worker_limit, .. } = features;
    [
        ("worker_limit", (5, 15), worker_limit),
        ("skip_success", (5, 17), skip_success),
        ("submit_all", (5, 18), submit_all),
        ("coop_taskrun", (5, 19), coop_taskrun),
        ("direct_descriptors", (5, 19), direct_descriptors),
        ("chains", (5, 19), chains),
        ("single_issuer", (6, 0), single_issuer),
        ("defer_taskrun", (6, 1), defer_taskrun),
    ]
}

/// The features of this kernel. A ring has either chains or deferred completions, so there are two.
fn features() -> Result<Features, Errno> {
    let ring = |allowed| {
        let root = ProcRoot::open("/proc".as_ref()).expect("a /proc");
        KernelRing::new(root, RingSetup { depth: 8, workers: 2, allowed, keeps_files: false })
    };
    let timed = ring(TIMED)?.features();
    Ok(Features { defer_taskrun: timed.defer_taskrun, ..ring(CHAINED)?.features() })
}

/// The ways to read on this kernel, in words for the table of docs/KERNELS.md.
fn described(features: Features) -> String {
    let ways = [("chained", features.chains), ("by time", features.defer_taskrun)];
    let mut ways: Vec<&str> =
        ways.into_iter().filter(|(_, is_there)| *is_there).map(|(way, _)| way).collect();
    if ways.is_empty() {
        ways.push("staged");
    }
    let way = ways.join(" and ");
    let missing: Vec<&str> = dated(features)
        .iter()
        .filter(|(_, _, is_there)| !is_there)
        .map(|(name, ..)| *name)
        .collect();
    let missing = if missing.is_empty() { "nothing".to_owned() } else { missing.join(", ") };
    format!("{way}, lacks {missing}")
}

/// Distributions add features to older kernels, so extra features are no error.
#[test]
fn the_ring_has_the_features_of_its_version() {
    let mut failures = Failures::new();
    const TEST: &str = "the_ring_has_the_features_of_its_version";
    let features = match features() {
        Ok(features) => features,
        Err(Errno(libc::EOPNOTSUPP)) => {
            say("io_uring: too old");
            let version = version();
            assert!(version < OLDEST, "{version:?} has what the ring needs");
            return;
        }
        Err(errno) => {
            say(&format!("io_uring: {errno}"));
            assert!(!has_uring(TEST), "a ring for one and not for another: {errno}");
            return;
        }
    };
    say(&format!("io_uring: {}", described(features)));
    for (name, since, is_there) in dated(features) {
        check!(failures, is_there || version() < since, "{name} is missing: {:?}", version());
    }
}

fn ask(pids: &str, source: &str, engine: &str) -> Ran {
    let what = ["--pid", pids, "--by", "pid", "--unit", "KiB", "--stats"];
    run(what.into_iter().chain(["--source", source, "--engine", engine]))
}

/// Stopped processes with private memory, shared memory and many mappings.
#[test]
fn every_engine_prints_the_same_table() {
    const TEST: &str = "every_engine_prints_the_same_table";
    let targets = Targets::start();
    let has_uring = has_uring(TEST);
    for source in ["rollup", "smaps"] {
        for kind in ["threads", "auto", "uring"] {
            if kind == "uring" && !has_uring {
                continue;
            }
            let agreed = until(RUN_LIMIT, || {
                let expected = ask(&targets.list, source, "sync");
                let found = ask(&targets.list, source, kind);
                assert_eq!((expected.code, found.code), (Some(0), Some(0)), "{}", found.stderr());
                assert_eq!(
                    found.stdout().lines().count(),
                    2 + targets.pids.len(),
                    "{}",
                    found.stdout()
                );
                (found.stdout == expected.stdout).then_some(found)
            });
            let found = agreed.unwrap_or_else(|| panic!("{kind} differs from sync, {source}"));
            let used = found.stat("engine");
            match (kind, has_uring) {
                ("auto", false) => assert!(used.starts_with("threads (uring: "), "{used}"),
                ("auto", true) => assert_eq!(used, "uring"),
                _ => assert_eq!(used, kind),
            }
        }
    }
}

/// If the ring is required but missing, a one-line error gives the remedy.
#[test]
fn a_missing_ring_is_reported() {
    if has_uring("a_missing_ring_is_reported") {
        return skip("a_missing_ring_is_reported", "io_uring works here");
    }
    let ran = run(["--engine", "uring"]);
    assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""));
    let told = ran.stderr();
    assert!(told.lines().count() == 1 && told.contains("or leave out --engine uring"), "{told}");
}

/// The scheduling policy of this thread: field 41 of `stat`.
fn policy() -> i32 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("stat of this thread");
    let (_, fields) = stat.rsplit_once(") ").expect("a name in parentheses");
    fields.split(' ').nth(38).and_then(|field| field.parse().ok()).expect("a policy")
}

/// Only while the loop waits for several completions, as a window of a walk needs it at once. With
/// any C library.
#[test]
fn the_loop_is_a_batch_while_it_waits_for_several() {
    const TEST: &str = "the_loop_is_a_batch_while_it_waits_for_several";
    if !has_uring(TEST) {
        return;
    }
    if policy() != libc::SCHED_OTHER {
        return skip(TEST, "the tests run by another policy than the default one");
    }
    // In its own thread: if tests share a thread, the policy would carry over to the next one.
    let policies = std::thread::spawn(|| {
        let (_dir, mut ring) = ring_on_fifos("batch", &[1, 2, 3], 1);
        [1, 2, 3].into_iter().zip(0..).for_each(|(pid, slot)| ring.fetch(slot, fetch(pid)));
        let policies = [1, 3, 2, 1, 0].map(|wanted| {
            ring.submit_and_wait(wanted, Duration::from_millis(1)).expect("a ring");
            policy()
        });
        let has_chains = ring.features().chains;
        std::mem::forget(ring); // A drop waits for its requests.
        (has_chains, policies)
    });
    let (has_chains, policies) = policies.join().expect("policies");
    let (other, batch) =
        (libc::SCHED_OTHER, if has_chains { libc::SCHED_BATCH } else { libc::SCHED_OTHER });
    assert_eq!(policies, [other, batch, batch, other, other]);
}

/// A policy that the user chose stays.
#[test]
fn a_policy_of_the_user_stays() {
    if policy() != libc::SCHED_OTHER {
        return skip(
            "a_policy_of_the_user_stays",
            "the tests run by another policy than the default one",
        );
    }
    let changed = std::thread::spawn(|| {
        let first = [threads::set_batch(false), threads::set_batch(true)];
        (first, threads::set_batch(true), policy(), threads::set_batch(false), policy())
    });
    let expected = ([false, true], false, libc::SCHED_BATCH, true, libc::SCHED_OTHER);
    assert_eq!(changed.join().expect("policies"), expected);
}

/// Bytes for a slot's first file.
fn buffer() -> Buffer {
    BufferArena::with_room(0).buffer(64)
}

/// A ring with so many workers per queue, on processes whose memory files are FIFOs.
fn ring_on_fifos(name: &str, pids: &[u32], workers: usize) -> (TempDir, KernelRing) {
    let dir = TempDir::new(name);
    for pid in pids {
        let process = dir.path().join(pid.to_string());
        std::fs::create_dir(&process).expect("a directory of ours");
        mkfifoat(CWD, process.join("smaps"), Mode::RUSR | Mode::WUSR).expect("a directory of ours");
    }
    let root = ProcRoot::open(dir.path()).expect("a directory");
    let setup = RingSetup { depth: 8, workers, allowed: CHAINED, keeps_files: false };
    (dir, KernelRing::new(root, setup).expect("it was probed"))
}

/// The request for a memory file.
fn fetch(pid: u32) -> Request {
    let (file, from) = (ProcFile::Smaps, ReadFrom::Current);
    let path = file.path(Pid(pid), None);
    Request::One(Fetch { file, path, opening: Opening::Slot, from, buffer: buffer() })
}

/// Reads of open files and chains wait in queues of their own, each with a worker here.
#[test]
fn requests_of_both_queues_are_taken_up() {
    const TEST: &str = "requests_of_both_queues_are_taken_up";
    if !has_uring(TEST) {
        return;
    }
    let (dir, mut ring) = ring_on_fifos("queues", &[1, 2], 1);
    ring.fetch(0, fetch(1));
    // For reading too, so that this open does not wait.
    let mut writer = File::options().read(true).write(true).open(dir.path().join("1/smaps"));
    writer.as_mut().expect("a FIFO").write_all(b"x").expect("a reader");
    let done = until(RUN_LIMIT, || {
        ring.submit_and_wait(1, Duration::from_millis(10)).expect("a ring");
        ring.reap()
    });
    ring.read_more(0, Half::First, ReadFrom::Current, done.expect("a byte").buffer);
    ring.fetch(1, fetch(2));
    ring.submit_and_wait(0, Duration::ZERO).expect("a ring");
    let mut executing = ring.executing(&WorkerStates { blocked: 2, ..WorkerStates::default() });
    executing.sort_unstable();
    std::mem::forget(ring); // A drop waits for its requests.
    assert_eq!(executing, [0, 1]);
}

/// The ring workers that inherited a priority of the calling thread, which tells them apart from
/// those of other tests, and their states.
fn workers_of(nice: i32, finds_waits: bool) -> Vec<(rustix::process::Pid, ThreadState)> {
    let mut workers = Vec::new();
    threads::ring_workers(finds_waits, |thread, state| {
        let thread = i32::try_from(thread).ok().and_then(rustix::process::Pid::from_raw);
        if getpriority_process(thread) == Ok(nice) {
            workers.extend(thread.map(|thread| (thread, state)));
        }
    });
    workers
}

/// The only worker leaves the CPU to the submitting thread. Of more workers than CPUs none is bound
/// to one, where it could wait for a turn while others are free.
#[test]
fn of_many_workers_none_is_bound() {
    const TEST: &str = "of_many_workers_none_is_bound";
    if !has_uring(TEST) {
        return;
    }
    if threads::cpus() < 2 || version() < (5, 14) {
        return skip(TEST, "one CPU, or a kernel that places workers itself");
    }
    for (priority, workers, is_bound) in [(3, 1, true), (4, threads::cpus() + 1, false)] {
        let found = std::thread::spawn(move || {
            let nice = nice(priority).expect("a lower priority");
            let (_dir, mut ring) = ring_on_fifos("bound", &[1], workers);
            ring.fetch(0, fetch(1));
            let found = until(RUN_LIMIT, || {
                ring.submit_and_wait(1, Duration::from_millis(1)).expect("a ring");
                let cpus = |(worker, _): &(rustix::process::Pid, _)| {
                    sched_getaffinity(Some(*worker)).expect("the worker is asleep").count()
                };
                workers_of(nice, false).iter().map(cpus).min()
            });
            std::mem::forget(ring); // A drop waits for its requests.
            found.expect("a worker")
        });
        let all = sched_getaffinity(None).expect("the CPUs of this thread").count();
        let wanted = all - u32::from(is_bound);
        assert_eq!(found.join().expect("a check"), wanted, "{workers} workers on {all} CPUs");
    }
}

/// A wait that a signal would end has the same state as a wait for work. Only the function of the
/// kernel tells them apart, also on a host whose CPUs are busy.
#[test]
fn a_worker_that_waits_for_a_file_is_not_idle() {
    const TEST: &str = "a_worker_that_waits_for_a_file_is_not_idle";
    if !has_uring(TEST) {
        return;
    }
    // Kernels before 5.12 have workers that are no threads of the process.
    if !Path::new("/proc/kallsyms").exists() || version() < (5, 12) {
        return skip(TEST, "the kernel does not say where a worker sleeps");
    }
    let worker = std::thread::spawn(|| {
        let nice = nice(2).expect("a lower priority");
        let (_dir, mut ring) = ring_on_fifos("asleep", &[1], 1);
        ring.fetch(0, fetch(1));
        let blocked = |finds_waits| {
            let workers = workers_of(nice, finds_waits);
            workers.iter().filter(|(_, state)| *state == ThreadState::Blocked).count()
        };
        let is_seen = until(RUN_LIMIT, || {
            ring.submit_and_wait(1, Duration::from_millis(1)).expect("a ring");
            (blocked(true) == 1).then_some(())
        });
        let found = (is_seen.is_some(), blocked(false));
        std::mem::forget(ring); // A drop waits for its requests.
        found
    });
    assert_eq!(worker.join().expect("a check"), (true, 0));
}
