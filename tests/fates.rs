//! What becomes of a real process that has no memory to show: zombies, processes without their
//! first thread, threads of the kernel, processes that leave. Needs no privilege.

mod support;

use std::time::Duration;

use rustix::process::Signal;
use support::child::{Target, become_one};
use support::{run, skip, until};

/// How long to wait for a process to be what it becomes.
const QUIET_LIMIT: Duration = Duration::from_secs(20);

/// What children of the tests become; see `support::child`.
#[test]
fn child() {
    become_one();
}

#[test]
fn zombies_are_counted() {
    let zombie = Target::start_as(b"zombie", "exit");
    zombie.wait_for_state(zombie.pid(), 'Z');
    for engine in ["sync", "threads", "auto"] {
        for source in ["auto", "smaps"] {
            let pid = zombie.pid().to_string();
            let ran = run(["-p", &pid, "--stats", "--engine", engine, "--source", source]);
            assert_eq!(ran.code, Some(0), "{}", ran.stderr());
            let processes = ran.stat("processes");
            assert!(
                processes.contains("1 listed: 0 measured, 0 kernel threads, 1 zombie"),
                "{processes}"
            );
        }
    }
}

/// The kernel takes the memory of a process apart before it is a zombie. Meanwhile it is no thread
/// of the kernel.
#[test]
fn exiting_processes_are_no_kernel_threads() {
    for engine in ["sync", "threads", "auto"] {
        let target = Target::stopped(&format!("touch {}", 256 << 10));
        let pid = target.pid().to_string();
        target.signal(Signal::KILL);
        let ended = until(QUIET_LIMIT, || {
            let ran = run(["-p", &pid, "--stats", "--engine", engine]);
            let is_left = ran.code == Some(1) && ran.stderr().contains("no process with id");
            let processes = if is_left { String::new() } else { ran.stat("processes") };
            assert!(!processes.contains("1 kernel thread,"), "{engine}: {processes}");
            processes.contains("1 zombie,").then_some(())
        });
        assert!(ended.is_some(), "{engine}: it does not end");
    }
}

/// The first thread is dead, the memory lives on.
#[test]
fn leaderless_processes_are_measured() {
    const KIB: u64 = 30_000;
    let target = Target::stopped_as(b"leaderless", &format!("leaderless {KIB}"));
    let child = target.children(1, 'Z')[0];
    for engine in ["sync", "threads", "auto"] {
        for source in ["auto", "smaps"] {
            let list = child.to_string();
            let big = until(QUIET_LIMIT, || {
                let ran = run([
                    "-p",
                    &list,
                    "--unit",
                    "KiB",
                    "--no-header",
                    "--engine",
                    engine,
                    "--source",
                    source,
                ]);
                let rows = ran.rows();
                let [row] = &rows[..] else { panic!("{}", ran.stderr()) };
                assert_eq!(row.name, "leaderless (1)");
                (row.ram >= KIB).then_some(())
            });
            assert!(big.is_some(), "{engine} {source}: its memory is missing");
        }
    }
}

#[test]
fn kernel_threads_are_counted() {
    let status = std::fs::read_to_string("/proc/2/status").unwrap_or_default();
    if !status.starts_with("Name:\tkthreadd\n") {
        return skip("kernel_threads_are_counted", "process 2 is not kthreadd (PID namespace)");
    }
    for name in ["title", "comm", "exe", "cmdline"] {
        let ran = run(["--pid", "2", "--stats", "--name", name]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr());
        let processes = ran.stat("processes");
        assert!(
            processes.contains("1 listed: 0 measured, 1 kernel thread,"),
            "{name}: {processes}"
        );
    }
}

#[test]
fn processes_that_left_are_no_report() {
    let mut target = Target::stopped("touch 4");
    target.end();
    let ran = run(["--pid", &target.pid().to_string()]);
    assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""));
    assert!(ran.stderr().starts_with("psm-uring: no process with id "), "{}", ran.stderr());
}
