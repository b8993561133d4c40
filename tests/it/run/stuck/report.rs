//! The program measures every other process, counts the stuck ones, and exits.

use std::process::Command;

use super::{ENGINES, Tree};

use crate::support::failures::{Failures, check, check_eq};
use crate::support::{TempDir, copy_dir, program, skip, tree};

#[test]
fn others_are_measured() {
    let mut failures = Failures::new();
    let tree = Tree::with_stuck("others", &[101, 110, 140]);
    for engine in ENGINES {
        let options = ["--engine", engine, "--stuck-after", "200ms", "--stats"];
        let ran = tree.run(program(), &options);
        check_eq!(failures, ran.code, Some(0), "{engine}: {}", ran.stderr());
        let told = ran.stderr();
        check!(failures, told.contains("12 listed: 9 measured"), "{engine}: {told}");
        check!(failures, told.contains("3 timed out"), "{engine}: {told}");
        let table = ran.stdout();
        check!(failures, table.contains("java (1)"), "{engine}:\n{table}");
        let row = "         -         -         -  nginx (1) timed out";
        check!(failures, table.contains(row), "{engine}:\n{table}");
    }
}

#[test]
fn the_deadline_bounds_the_run() {
    let mut failures = Failures::new();
    let tree = Tree::with_stuck("deadline", &[101]);
    for engine in ENGINES {
        // Only the deadline ends the run; a test on a machine without emulation measures how soon.
        let options =
            ["--engine", engine, "--deadline", "100ms", "--stuck-after", "1m", "--strict"];
        let ran = tree.run(program(), &options);
        check_eq!(failures, ran.code, Some(3), "{engine}: {}", ran.stderr());
    }
    // A deadline beyond the range of the clock is no deadline.
    for engine in ENGINES {
        let ran = tree.run(
            program(),
            &["--engine", engine, "--deadline", "1e18", "--stuck-after", "50ms", "-p", "120"],
        );
        check_eq!(failures, ran.code, Some(0), "{engine}: {}", ran.stderr());
    }
}

/// The deadline also cuts off names that are read but slow to match: tens of milliseconds each.
#[test]
fn the_deadline_bounds_a_slow_filter() {
    let mut failures = Failures::new();
    const COPIES: u32 = 200;
    const SLOW: &str = "(?:[a-z]{1,40}){1,40}[0-9]";
    let crowd = TempDir::new("slow-filter");
    for pid in 1000..1000 + COPIES {
        let copy = crowd.path().join(pid.to_string());
        copy_dir(&tree("ordinary").join("101"), &copy);
        std::fs::write(copy.join("cmdline"), "ab".repeat(1000)).expect("a file of ours");
    }
    let crowd = Tree(crowd);
    for engine in ENGINES {
        let ran = crowd
            .run(program(), &["--engine", engine, "--deadline", "100ms", "-f", SLOW, "--stats"]);
        check_eq!(failures, ran.code, Some(0), "{engine}: {}", ran.stderr());
        let (stats, listed) = (ran.stderr(), format!("{COPIES} listed"));
        check!(
            failures,
            stats.contains(&listed) && !stats.contains(" 0 not asked"),
            "{engine}: {stats}"
        );
    }
}

/// When all threads sleep and no more can start, the report also counts unread processes.
#[test]
fn without_more_threads_the_rest_is_counted() {
    let mut failures = Failures::new();
    const TEST: &str = "without_more_threads_the_rest_is_counted";
    let tree = Tree::with_stuck("few", &[101, 102, 103, 110]);
    let limited = || {
        let mut command = Command::new("prlimit");
        command.args(["--nofile=10:10", env!("CARGO_BIN_EXE_psm-uring")]);
        command
    };
    if Command::new("prlimit").arg("--version").output().is_err() {
        return skip(TEST, "prlimit is missing");
    }
    for engine in ["sync", "threads"] {
        let options = ["--engine", engine, "--stuck-after", "100ms", "--stats"];
        let ran = tree.run(limited(), &options);
        check_eq!(failures, ran.code, Some(0), "{engine}: {}", ran.stderr());
        check!(failures, ran.stderr().contains("12 listed"), "{engine}: {}", ran.stderr());
        check!(
            failures,
            ran.stderr().contains(" timed out (PID 101 nginx in state S"),
            "{}",
            ran.stderr()
        );
        check!(
            failures,
            ran.stderr().contains(" not asked: stuck processes took all"),
            "{}",
            ran.stderr()
        );
    }
}

/// With `--proc-root`, any file of the directory may not answer: the program gives up a worker's
/// read, and no other read waits for it.
#[test]
fn no_file_is_waited_for() {
    let mut failures = Failures::new();
    const FILES: [&str; 16] = [
        "2/cmdline",
        "2/comm",
        "2/status",
        "2/task/2/children",
        "30",
        "30/cgroup",
        "30/cmdline",
        "30/comm",
        "30/smaps",
        "30/smaps_rollup",
        "30/stat",
        "30/status",
        "40/task",
        "meminfo",
        "pressure/memory",
        "version",
    ];
    for file in FILES {
        let copy = Tree(TempDir::new("silent"));
        copy_dir(&tree("kernel-threads"), copy.0.path());
        for one in ["30/cgroup", "30/stat"] {
            std::fs::write(copy.0.path().join(one), "").expect("a file of ours");
        }
        copy.silence(file);
        for engine in ENGINES {
            for words in [
                "--columns user,cgroup,ram,name --summary --watch 100ms --count 2",
                "--by pid --json --name script --deadline 300ms",
                "--filter . --name comm --source smaps",
            ] {
                let timeouts = ["--stuck-after", "100ms", "--engine", engine];
                let arguments: Vec<&str> = words.split(' ').chain(timeouts).collect();
                let ran = copy.run(program(), &arguments);
                check_eq!(failures, ran.code, Some(0), "{file}, {words}: {}", ran.stderr());
            }
        }
    }
}

/// The program does not read a file without an end to its end. A process id has one spelling.
#[test]
fn no_file_is_read_without_end() {
    let mut failures = Failures::new();
    let copy = Tree(TempDir::new("endless"));
    copy_dir(&tree("ordinary"), copy.0.path());
    copy_dir(&tree("ordinary").join("101"), &copy.0.path().join("0101"));
    let file = copy.0.path().join("110/smaps_rollup");
    std::fs::remove_file(&file).expect("it was copied");
    std::os::unix::fs::symlink("/dev/zero", file).expect("a link of ours");
    for engine in ENGINES {
        let ran = copy.run(program(), &["--engine", engine, "--stats"]);
        check_eq!(failures, ran.code, Some(0), "{engine}: {}", ran.stderr());
        let told = ran.stderr();
        check!(failures, told.contains("12 listed: 11 measured"), "{engine}: {told}");
        check!(failures, told.contains(" 1 not understood (PID 110)"), "{engine}: {told}");
    }
}

/// The user comes from `status`, which never blocks; the control group can block.
#[test]
fn users_of_stuck_processes_are_shown() {
    let mut failures = Failures::new();
    let copy = Tree(TempDir::new("users"));
    copy_dir(&tree("grouped"), copy.0.path());
    // Two processes share a name, with one user or two.
    for (pid, comm) in [(703, "alone"), (708, "redis"), (709, "redis"), (706, "two"), (707, "two")]
    {
        copy.silence(&format!("{pid}/smaps_rollup"));
        let status = copy.0.path().join(format!("{pid}/status"));
        let text = std::fs::read_to_string(&status).expect("status");
        let (_, rest) = text.split_once('\n').expect("lines");
        std::fs::write(status, format!("Name:\t{comm}\n{rest}")).expect("a file of ours");
    }
    let told = [("alone", "0"), ("redis", "999"), ("two", "*")];
    for engine in ENGINES {
        let ask = |words: &str| {
            let usual =
                ["--engine", engine, "--stuck-after", "100ms", "--columns", "user,cgroup,name"];
            let arguments: Vec<&str> = usual.into_iter().chain(words.split_whitespace()).collect();
            let ran = copy.run(program(), &arguments);
            assert_eq!(ran.code, Some(0), "{engine}: {}", ran.stderr());
            ran.stdout()
        };
        let (table, csv, json) = (ask("-s name"), ask("-o csv"), ask("--json"));
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        for (name, user) in told {
            let row =
                table.lines().find(|line| line.contains(&format!("  {name} ("))).expect(&table);
            let cells: Vec<&str> = row.split_whitespace().take(2).collect();
            check_eq!(failures, cells, [user, "-"], "{engine}:\n{table}");
            let record = format!("unknown,{user},,{name},{name}\r\n");
            check!(failures, csv.contains(&record), "{engine}: no {record} in\n{csv}");
            let unknown = json["unknown"].as_array().expect("rows");
            let row = unknown.iter().find(|row| row["name"] == name).expect(name);
            check_eq!(failures, row["user"], user, "{engine}: {row}");
            check_eq!(failures, row["uid"].as_u64(), user.parse().ok(), "{engine}: {row}");
        }
        let by_user = ask("-s user");
        let rows = by_user.lines().filter(|line| line.contains(" timed out"));
        let users: Vec<&str> = rows.filter_map(|line| line.split_whitespace().next()).collect();
        check_eq!(failures, users, ["0", "999", "*"], "{engine}:\n{by_user}");
    }
}

/// A read that just began does not count as sleeping.
#[test]
fn no_patience_is_refused() {
    let ran = crate::support::run(["--stuck-after", "0"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr().contains("20ms or more"), "{}", ran.stderr());
}
