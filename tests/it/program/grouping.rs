//! Groups of a fixture, and of a process on this host.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use crate::support::{Ran, program, run};

pub(crate) fn grouped<I: IntoIterator<Item: AsRef<OsStr>>>(arguments: I) -> Ran {
    let mut command = program();
    command.args(["--proc-root", "grouped", "--engine", "sync"]).args(arguments);
    crate::support::output(command)
}

/// Every grouping contains all processes.
#[test]
fn every_grouping_has_the_same_total() {
    let total = |ran: &Ran| ran.stdout().lines().last().expect("a total").to_owned();
    let expected = total(&grouped(["--unit", "B"]));
    for by in ["pid", "user", "cgroup", "unit", "container"] {
        let ran = grouped(["--unit", "B", "--by", by]);
        assert_eq!(total(&ran), expected, "{by}");
        let head = format!("  {} (", if by == "pid" { "PROCESS" } else { by }.to_uppercase());
        assert!(ran.stdout().lines().next().is_some_and(|line| line.contains(&head)), "{by}");
    }
}

/// A real process: by its program, by its owner, by the group that the kernel reports.
#[test]
fn a_process_of_this_host() {
    let directory = crate::support::TempDir::new("grouping");
    let path = directory.path().join("job-4711.sh");
    std::fs::write(&path, "read line\n").expect("a file of ours");
    let mut command = Command::new("sh");
    command.arg("-u").arg(&path).stdin(Stdio::piped());
    let mut child = command.spawn().expect("a shell");
    let pid = child.id().to_string();
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let path_of = |mark: &str| {
        let mut paths = groups.lines().filter_map(|line| line.split_once(mark));
        paths.next().map(|(_, path)| path).filter(|path| *path != "/")
    };
    let is_none = groups.is_empty();
    let group = ["name=systemd:", ":memory:", "0::"].into_iter().find_map(path_of);
    let group = group.unwrap_or(if is_none { "(unknown)" } else { "/" });
    // Between fork and exec the process runs another program.
    let rows = |arguments: &[&str]| {
        let ran = run([&["-p", &pid, "--no-header"], arguments].concat());
        let row = ran.stdout().lines().next().map(str::to_owned).unwrap_or_default();
        row.trim_end_matches(" (1)").rsplit("  ").next().unwrap_or_default().to_owned()
    };
    let found = crate::support::until(crate::support::RUN_LIMIT, || {
        (rows(&["--name", "script"]) == "job-4711.sh").then_some(())
    });
    assert!(found.is_some(), "{}", rows(&["--name", "script"]));
    for engine in ["sync", "threads", "auto"] {
        assert_eq!(rows(&["--name", "script", "--engine", engine]), "job-4711.sh", "{engine}");
        assert_eq!(rows(&["--by", "cgroup", "--engine", engine]), group, "{engine}");
        let own = rustix::process::geteuid().as_raw().to_string();
        let both = rows(&["--by", "cgroup", "-u", &own, "--engine", engine]);
        assert_eq!(both, group, "{engine}");
    }
    drop(child.stdin.take());
    child.wait().expect("a child of ours");
}
