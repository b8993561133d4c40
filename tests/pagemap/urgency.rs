//! The priority of the threads that walk page tables.

use std::process::{Command, Stdio};
use std::time::Duration;

use psm_uring::units::Pid;
use rustix::process::{Pid as Thread, getpriority_process, setpriority_process};

use super::alone;
use super::support::skip;
use super::support::survey::has_uring;
use super::zoo::Zoo;

/// Gibibytes of addresses: a walk takes some 300 ms.
const SPARSE: &str = "40";
const HIGHEST: i32 = -20;
/// Names of threads: those of the program, and workers of its ring.
const OWN: &str = "psm-uring";
const WORKER: &str = "iou-wrk-";

/// A walk takes the CPU from all other work, because the process that it reads waits for it. A
/// report that waits for the next one does not, nor one that walks nothing.
#[test]
fn only_walks_have_the_highest_priority() {
    const TEST: &str = "urgency::only_walks_have_the_highest_priority";
    let _alone = alone();
    let zoo = match Zoo::start(&["sparse", SPARSE]) {
        Ok(zoo) => zoo,
        Err(why) => return skip(TEST, &why),
    };
    let usual = getpriority_process(None).expect("a priority of our own");
    if setpriority_process(None, usual - 1).is_err() {
        return skip(TEST, "root may not raise a priority here");
    }
    setpriority_process(None, usual).expect("a lower priority");
    let pid = zoo.pids()[0];
    let has_uring = has_uring(TEST);
    let threads = [("auto", OWN), ("auto", WORKER), ("threads", OWN), ("sync", OWN)];
    for (engine, thread) in threads.into_iter().filter(|(_, name)| has_uring || *name == OWN) {
        let found = highest_by_time("pagemap", engine, pid, thread);
        // The threads may be seen first during the walk.
        assert!(found.ends_with(&[HIGHEST, usual]), "{thread} of {engine}: {found:?}");
    }
    assert_eq!(highest_by_time("rollup", "auto", pid, OWN), [usual]);
}

/// The changes of the highest priority among the threads of a watch with this name, until a walk or
/// the second report ends.
fn highest_by_time(source: &str, engine: &str, pid: Pid, thread: &str) -> Vec<i32> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_psm-uring"));
    command.args(["--source", source, "--engine", engine, "--watch", "3s", "--count", "2"]);
    command.args(["--pid", &pid.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut watch = command.spawn().expect("the program");
    let mut found = Vec::new();
    while watch.try_wait().expect("a child of ours").is_none() {
        found.extend(priorities(watch.id(), thread).min());
        found.dedup();
        if let [.., HIGHEST, _] = found[..] {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let _ = watch.kill();
    let _ = watch.wait();
    found
}

/// The priorities of the threads of a process whose names begin like this.
fn priorities(process: u32, name: &str) -> impl Iterator<Item = i32> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten();
    tasks.filter_map(move |task| {
        let task = task.ok()?;
        let comm = std::fs::read_to_string(task.path().join("comm")).ok()?;
        let thread = Thread::from_raw(task.file_name().to_str()?.parse().ok()?)?;
        comm.starts_with(name).then(|| getpriority_process(Some(thread)).ok())?
    })
}
