//! The fate of a real process without readable memory: zombies, processes without their first
//! thread, kernel threads, processes that exit. Needs no privilege unless noted.

use std::process::Command;
use std::time::Duration;

use crate::support::child::Target;
use crate::support::failures::{Failures, check};
use crate::support::{Ran, output, run, skip, until};
use rustix::process::Signal;

/// Time limit for a process to reach its state.
const QUIET_LIMIT: Duration = Duration::from_secs(20);

#[test]
fn zombies_are_counted() {
    let mut failures = Failures::new();
    let zombie = Target::start_as(b"zombie", "exit");
    zombie.wait_for_state(zombie.pid(), 'Z');
    for engine in ["sync", "threads", "auto"] {
        for source in ["auto", "smaps"] {
            let pid = zombie.pid().to_string();
            let ran = run(["-p", &pid, "--stats", "--engine", engine, "--source", source]);
            assert_eq!(ran.code, Some(0), "{}", ran.stderr());
            let processes = ran.stat("processes");
            check!(
                failures,
                processes.contains("1 listed: 0 measured, 0 kernel threads, 1 zombie"),
                "{processes}"
            );
        }
    }
}

/// The kernel tears down the memory of a process before it becomes a zombie. In between the process
/// is no kernel thread.
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

/// The first thread is dead, the memory remains.
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
    let mut failures = Failures::new();
    let status = std::fs::read_to_string("/proc/2/status").unwrap_or_default();
    if !status.starts_with("Name:\tkthreadd\n") {
        return skip("kernel_threads_are_counted", "process 2 is not kthreadd (PID namespace)");
    }
    for name in ["title", "comm", "exe", "cmdline"] {
        let ran = run(["--pid", "2", "--stats", "--name", name]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr());
        let processes = ran.stat("processes");
        check!(
            failures,
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

/// A run by a user without access to other processes under this `hidepid`. `None`: not possible.
fn run_hidden(hidepid: &str, arguments: &str) -> Option<Ran> {
    let mut command = Command::new("unshare");
    let program = env!("CARGO_BIN_EXE_psm-uring");
    let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    let script = format!(
        "mount -t proc -o hidepid={hidepid} proc /proc && {nobody} test -x {program} || exit 77
         {nobody} {program} {arguments}"
    );
    command.args(["-m", "sh", "-c", &script]);
    let ran = output(command);
    (![Some(77), Some(127)].contains(&ran.code) && rustix::process::getuid().is_root())
        .then_some(ran)
}

/// The report counts processes that `/proc` does not list as missing.
#[test]
fn hidden_processes_are_reported() {
    for hidepid in ["2", "4"] {
        let Some(ran) = run_hidden(hidepid, "--total") else {
            return skip("hidden_processes_are_reported", "needs root, unshare, setpriv, mount");
        };
        let told = "psm-uring: processes of other users are hidden and not in the report (proc is";
        assert!(ran.stderr().starts_with(told), "{}", ran.stderr());
        assert_eq!((ran.code, ran.stderr().lines().count()), (Some(0), 1), "{}", ran.stderr());
        let strict = run_hidden(hidepid, "--total --strict").expect("as before");
        assert_eq!((strict.code, strict.stderr()), (Some(3), ran.stderr()));
        let one = run_hidden(hidepid, "--pid 1").expect("as before");
        assert_eq!((one.code, one.stdout().as_str()), (Some(1), ""));
        assert!(one.stderr().contains("the mount option hidepid="), "{}", one.stderr());
    }
}

/// A selection of processes that `/proc` does not list has no figures, and 0 is none.
#[test]
fn selections_of_hidden_processes_have_no_total() {
    let ran = |words: &str| run_hidden("2", words);
    if ran("--total").is_none() {
        return skip(
            "selections_of_hidden_processes_have_no_total",
            "needs root, unshare, setpriv, mount",
        );
    }
    let ran = |words: &str| ran(words).expect("as before");
    for words in ["-u 0 -t", "-f no_such_name -t", "-u 0 --json -t", "maps -u 0 -t"] {
        let ran = ran(words);
        assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""), "{words}");
        let told = ran.stderr();
        assert!(told.starts_with("psm-uring: no total: no row: --"), "{words}: {told}");
        assert!(told.contains(" listed ") && told.contains("are hidden"), "{words}: {told}");
    }
    for (words, absent, expected) in [
        ("-u 0", "0.0", "\n#        -  "),
        ("-u 0 --by user -o csv", "total,0", "\ntotal,,,,0,"),
        ("-u 0 --json", "\"ram\": 0", "\"total\": null"),
        ("-u 0 -o openmetrics", "total_ram_bytes", "psm_uring_complete 0"),
        ("maps -u 0", "0.0", "\n#        -  "),
        ("maps -u 0 --json", "\"ram\": 0", "\"total\": null"),
    ] {
        let ran = ran(words);
        let text = ran.stdout();
        assert!(ran.code == Some(0) && !text.contains(absent), "{words}: {text}");
        assert!(text.contains(expected), "{words}: {text}");
    }
}

/// A deadline does not count a kernel thread as a missing process.
#[test]
fn kernel_threads_do_not_time_out() {
    for engine in ["sync", "threads", "auto"] {
        let ran = run(["--engine", engine, "--deadline", "0"]);
        let text = ran.stdout() + &ran.stderr();
        assert!(!text.contains("kthreadd"), "{engine}: {text}");
    }
}
