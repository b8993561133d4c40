//! Groups of a fixture, and of a process on this host.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::rules::{table, whole};
use crate::support::{Ran, TempDir, copy_dir, program, run, tree};

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

/// Also of processes without a usable `status`, which a selection of users does not understand.
#[test]
fn processes_of_unknown_owner_count() {
    let dir = TempDir::new("unknown-owner");
    for pid in ["401", "418"] {
        copy_dir(&tree("malformed").join(pid), &dir.path().join(pid));
    }
    copy_dir(&tree("malformed").join("401"), &dir.path().join("402"));
    std::fs::write(dir.path().join("402/status"), "").expect("a file of ours");
    let of = |words: &[&str]| {
        let mut command = program();
        command.args(["--engine", "sync", "--unit", "B", "--proc-root"]).arg(dir.path());
        command.args(words);
        crate::support::output(command)
    };
    let total = |ran: &Ran| ran.stdout().lines().last().expect("a total").to_owned();
    let expected = total(&of(&[]));
    for words in ["--by pid", "--by user", "--by unit", "--columns ram,swap,shared,user"] {
        let ran = of(&words.split(' ').collect::<Vec<_>>());
        let numbers = |total: &str| total.split_whitespace().nth(1).map(str::to_owned);
        assert_eq!(numbers(&total(&ran)), numbers(&expected), "{words}: {}", ran.stdout());
    }
    let ran = of(&["--by", "user"]);
    assert!(ran.stdout().contains(" (unknown) (2)"), "{}", ran.stdout());
    let ran = of(&["--user", "0", "--strict"]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr());
    let note = "measured 1 of 3 processes; 2 not understood (PID 402, 418): its user or figures";
    assert!(ran.stderr().contains(note), "{}", ran.stderr());
}

/// With version 1 the memory hierarchy is the one that is charged and limited, also where it is the
/// root; systemd's knows the units. A container may be known to only one of them.
#[test]
fn each_grouping_reads_its_hierarchy() {
    let version_1 = |memory: &str, systemd: &str| {
        format!("12:cpuset:/\n5:memory:{memory}\n1:name=systemd:{systemd}\n0::/\n")
    };
    let slurmd = "/system.slice/slurmd.service";
    let step = |job: u32| version_1(&format!("/slurm/uid_1000/job_{job}/step_0/task_0"), slurmd);
    let payload = "/machine.slice/machine-deb.scope/payload/system.slice/cron.service";
    let cases = [
        // Two jobs of one daemon.
        (step(17), "/slurm/uid_1000/job_17/step_0/task_0", "slurmd.service", "slurm:17"),
        (step(18), "/slurm/uid_1000/job_18/step_0/task_0", "slurmd.service", "slurm:18"),
        // Without MemoryAccounting= the root is charged.
        (version_1("/", "/system.slice/cron.service"), "/", "cron.service", "(no container)"),
        // systemd-nspawn makes its payload in the hierarchy of systemd alone.
        (
            version_1("/machine.slice", payload),
            "/machine.slice",
            "machine-deb.scope/cron.service",
            "nspawn:deb",
        ),
        // A manager without units.
        (version_1("/lxc/web", "/"), "/lxc/web", "(no unit)", "lxc:web"),
        // OpenRC has a hierarchy of its own.
        ("4:memory:/\n1:name=openrc:/sshd\n0::/\n".into(), "/", "openrc:sshd", "(no container)"),
        // No hierarchy charges memory: cgroup_disable=memory.
        ("1:name=systemd:/a.service\n0::/\n".into(), "/a.service", "a.service", "(no container)"),
        ("0::/openrc.nginx\n".into(), "/openrc.nginx", "openrc:nginx", "(no container)"),
    ];
    let copy = TempDir::new("hierarchies");
    copy_dir(&tree("grouped"), copy.path());
    for (place, (text, cgroup, unit, container)) in cases.iter().enumerate() {
        let pid = (701 + place).to_string();
        std::fs::write(copy.path().join(&pid).join("cgroup"), text).expect("a copy of ours");
        let root = copy.path().to_str().expect("UTF-8");
        let ran = |arguments: &[&str]| {
            let given = ["--proc-root", root, "-p", &pid, "--engine", "sync", "--no-header"];
            let text = run([&given, arguments].concat()).stdout();
            text.lines().next().unwrap_or_default().trim().to_owned()
        };
        for (by, label) in [("cgroup", cgroup), ("unit", unit), ("container", container)] {
            assert_eq!(ran(&["--by", by, "--columns", "name"]), format!("{label} (1)"), "{text}");
            assert_eq!(ran(&["--by", by, "--columns", "cgroup"]), **cgroup, "{text}");
        }
    }
}

/// Different containers have different rows and keys, measured or not; one container has one row.
#[test]
fn equal_names_of_containers_are_told_apart() {
    let rows = table("### Equal names\n");
    assert!(rows.len() >= 7, "{} rows", rows.len());
    let words = |cell: &str| cell.split("` `").map(whole).collect::<Vec<String>>();
    for row in rows {
        let (paths, labels) = (words(&row[0]), words(&row[1]));
        let by = if labels[0].contains(".service") { "unit" } else { "container" };
        for is_read in [true, false] {
            let copy = made(&paths, is_read);
            let expected: BTreeSet<&str> = labels.iter().map(String::as_str).collect();
            let root = copy.path().to_str().expect("UTF-8");
            let given = ["--proc-root", root, "--engine", "sync", "--by", by, "-o"];
            let document = run([&given[..], &["json"]].concat()).stdout();
            let document: Value = serde_json::from_str(&document).expect("JSON");
            let list = if is_read { "programs" } else { "unknown" };
            let list = document[list].as_array().unwrap_or_else(|| panic!("{document:#}"));
            let found = |field: &str| -> Vec<&str> {
                list.iter().filter_map(|one| one[field].as_str()).collect()
            };
            assert_eq!(found("name").len(), expected.len(), "{list:?}");
            assert_eq!(found("name").into_iter().collect::<BTreeSet<_>>(), expected);
            // A row has the same key if no other row is there.
            let alone = paths.iter().map(|path| key_alone(path, is_read, by));
            let alone: BTreeSet<String> = alone.collect();
            let keys: BTreeSet<String> = found("key").into_iter().map(str::to_owned).collect();
            assert_eq!(keys, alone, "{list:?}");
            let metrics = run([&given[..], &["openmetrics"]].concat()).stdout();
            for key in alone.iter().filter(|_| is_read) {
                let label = format!("psm_uring_ram_bytes{{{by}=\"{key}\"}} ");
                assert!(metrics.contains(&label), "{label}: {metrics}");
            }
        }
    }
}

/// The key of the only row of a report.
fn key_alone(path: &str, is_read: bool, by: &str) -> String {
    let copy = made(&[path.to_owned()], is_read);
    let root = copy.path().to_str().expect("UTF-8");
    let ran = run(["--proc-root", root, "--engine", "sync", "--by", by, "-o", "csv"]);
    let row = ran.stdout().lines().nth(1).expect("a row").to_owned();
    row.rsplit(',').next().unwrap_or_default().to_owned()
}

/// A container is the same row in two reports, though another one of its name has started.
#[test]
fn a_second_container_of_a_name_changes_no_key() {
    let path = |user: u32| format!("/user/{user}.user/lxc/web");
    let report = |paths: &[String], name: &str| {
        let copy = made(paths, true);
        let root = copy.path().to_str().expect("UTF-8");
        let file = std::env::temp_dir().join(format!("psm-uring-{}-{name}", std::process::id()));
        let given = ["--proc-root", root, "--engine", "sync", "--by", "container", "--json"];
        std::fs::write(&file, run(given).stdout()).expect("a file of ours");
        file
    };
    let before = report(&[path(1000)], "before");
    let after = report(&[path(1000), path(1001)], "after");
    let ran = run([OsStr::new("diff"), before.as_os_str(), after.as_os_str()]);
    for file in [before, after] {
        std::fs::remove_file(file).expect("a file of ours");
    }
    let text = ran.stdout();
    assert_eq!(text.matches("(new)").count(), 1, "{text}");
    assert!(text.contains("(1 row alike)") && !text.contains("(gone)"), "{text}");
}

/// A key in JSON has marks for control characters, and for bytes that are not UTF-8.
#[test]
fn a_saved_container_of_any_name_is_the_same_row() {
    let paths = ["/lxc.payload.a\u{1b}b", "/lxc.payload.c\u{fffd}d", "/lxc.payload.e"];
    let copy = made(&paths.map(str::to_owned), true);
    let root = copy.path().to_str().expect("UTF-8");
    std::fs::write(copy.path().join("9/cgroup"), b"0::/lxc.payload.e\xff\x85\n").expect("a file");
    let saved = TempDir::new("saved-containers");
    let file = saved.path().join("report.json");
    let file = file.to_str().expect("UTF-8");
    for by in ["container", "unit"] {
        let given = ["--proc-root", root, "--engine", "sync", "--by", by];
        run([&given[..], &["--json", "--output-file", file]].concat());
        let since = ["--watch", "1s", "--count", "1", "--since", file];
        let text = run([&given[..], &since].concat()).stdout();
        assert!(text.contains("alike)"), "{by}: {text}");
        assert!(!text.contains("(new)") && !text.contains("(gone)"), "{by}: {text}");
    }
}

/// Processes in these control groups, whose memory can be read or not.
fn made(paths: &[String], is_read: bool) -> TempDir {
    let copy = TempDir::new("nested");
    let status = "Name:\tx\nUid:\t0\t0\t0\t0\nVmSize:\t9 kB\nVmRSS:\t 9 kB\nVmSwap:\t 0 kB\n";
    let rollup = "1000-2000 ---p 00000000 00:00 0 [rollup]\nRss: 8 kB\nPss: 8 kB\n\
                  Private_Clean: 0 kB\nPrivate_Dirty: 8 kB\nSwap: 0 kB\nSwapPss: 0 kB\n";
    for (pid, path) in (7..).zip(paths) {
        let dir = copy.path().join(pid.to_string());
        std::fs::create_dir(&dir).expect("a directory of ours");
        let cgroup = format!("0::{path}\n");
        let files = [("cmdline", "x\0"), ("comm", "x\n"), ("cgroup", &cgroup), ("status", status)];
        for (name, text) in files.into_iter().chain(is_read.then_some(("smaps_rollup", rollup))) {
            std::fs::write(dir.join(name), text).expect("a file of ours");
        }
    }
    copy
}

/// A real process: by its program, by its owner, by the group that the kernel reports.
#[test]
fn a_process_of_this_host() {
    let directory = TempDir::new("grouping");
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
    let group = match groups.contains(":memory:") {
        true => path_of(":memory:"),
        false => ["0::", "name=systemd:"].into_iter().find_map(path_of),
    };
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
