//! Rows of control groups without a process, and control groups without figures.

use super::charges::{ALL, report, rows};
use crate::support::groups::lay_out;
use crate::support::{TempDir, copy_dir, run, tree};

/// The only process of a group may have been killed: its events remain, and so does its row.
#[test]
fn groups_with_events_alone_have_a_row() {
    let cgroups = TempDir::new("charges-killed");
    lay_out("v2.txt", cgroups.path());
    for (group, killed) in [("killed.service", 1), ("quiet.service", 0)] {
        let dir = cgroups.path().join("system.slice").join(group);
        std::fs::create_dir(&dir).expect("a directory of ours");
        let events = format!("low 0\nhigh 0\nmax 7\noom 1\noom_kill {killed}\n");
        let events = if killed > 0 { &events } else { "low 0\nhigh 0\nmax 0\noom 0\n" };
        for (file, text) in [
            ("memory.current", "0\n"),
            ("memory.swap.current", "0\n"),
            ("memory.max", "31457280\n"),
            ("memory.events", events),
            ("cgroup.procs", ""),
        ] {
            std::fs::write(dir.join(file), text).expect("a file of ours");
        }
    }
    for (by, [killed, quiet]) in [
        ("unit", ["killed.service", "quiet.service"]),
        ("cgroup", ["/system.slice/killed.service", "/system.slice/quiet.service"]),
    ] {
        let words = ["--json", "--by", by, "--columns", "events,name"];
        let (_, found) = rows(&report(&tree("grouped"), cgroups.path(), &words));
        let row = &found[killed];
        assert_eq!((&row["events"]["oom_kill"], &row["count"]), (&1.into(), &0.into()), "{row}");
        assert!(!found.contains_key(quiet), "{by}");
        let words = ["--json", "--by", by, "--columns", "charged,name"];
        let (_, found) = rows(&report(&tree("grouped"), cgroups.path(), &words));
        assert!(!found.contains_key(killed), "{by}: the column was not asked for");
    }
}

/// Without its own groups the figures of another host are unknown, never 0.
#[test]
fn another_host_needs_its_groups() {
    let words = ["--proc-root", "grouped", "--by", "unit", "--columns", ALL, "-p", "701"];
    let ran = run(words);
    let row = ran.stdout().lines().nth(1).expect("a row").to_owned();
    let cells: Vec<&str> = row.split_whitespace().skip(1).collect();
    assert_eq!(cells, ["-", "-", "-", "-", "-", "-", "cron.service", "(1)"], "{row}");
    assert!(
        ran.stderr().contains("name its control groups with --cgroup-root"),
        "{}",
        ran.stderr()
    );
}

/// No file has a figure: one note has the reason and the remedy.
#[test]
fn groups_without_the_controller_have_a_note() {
    let (cgroups, root) = (TempDir::new("charges-no-memory"), TempDir::new("charges-no-memory-p"));
    std::fs::create_dir_all(cgroups.path().join("system.slice")).expect("a directory of ours");
    copy_dir(&tree("grouped"), root.path());
    for (controllers, reason) in [
        ("cpuset cpu io\n", "has no memory controller of control groups; mount "),
        ("cpu memory\n", "has the memory controller; enable it with +memory in "),
    ] {
        let file = cgroups.path().join("cgroup.controllers");
        std::fs::write(file, controllers).expect("a file of ours");
        for (columns, unknown) in [
            ("charged,left", "charges are unknown: "),
            ("oom", "the OOM killer's next choices in control groups are unknown: "),
            ("left,oom", "charges and the OOM killer's next choices in control groups are "),
        ] {
            let words = ["--by", "unit", "--columns", columns];
            let ran = report(root.path(), cgroups.path(), &words);
            let told = ran.stderr();
            let notes = told.lines().filter(|line| line.contains(reason));
            // Without a group there is no limit, and no choice at it.
            let is_off = controllers.contains("memory");
            let count = usize::from(columns != "oom" || !is_off);
            assert_eq!(notes.count(), count, "{controllers}{columns}: {told}");
            let unknown = if is_off { "charges are unknown: " } else { unknown };
            assert_eq!(told.contains(unknown), count > 0, "{controllers}{columns}: {told}");
        }
    }
    // Version 1 without a group.
    let cgroups = TempDir::new("charges-no-group");
    for file in ["memory.usage_in_bytes", "release_agent"] {
        std::fs::write(cgroups.path().join(file), "1\n").expect("a file of ours");
    }
    let words = ["--by", "unit", "--columns", "charged,oom"];
    let told = report(root.path(), cgroups.path(), &words).stderr();
    assert!(told.contains("charges are unknown: no control group is below /"), "{told}");
}
