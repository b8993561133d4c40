//! Figures of control groups: the fixtures of both versions, and random trees.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use psm_uring::host::{
    CgroupMount, CgroupVersion, GroupLimit, GroupNode, GroupTree, LimitKind, MemoryGroup, Mounts,
};
use psm_uring::process::{CgroupPaths, ProcessUsage, StatFigures};
use psm_uring::program::{
    Annotations, Charges, Column, Grouping, Labels, Order, Shares, group, unit,
};
use psm_uring::smaps::naive;
use psm_uring::units::{Kib, Pid};
use serde_json::Value;

use crate::support::groups::lay_out;
use crate::support::{Ran, Rng, TempDir, cells, copy_dir, output, program, readers, run, tree};

const DOCKER: &str = "3f2a9c81d0b4e6f7a8091b2c3d4e5f60718293a4b5c6d7e8f9012a3b4c5d6e7f";
pub(super) const ALL: &str = "ram,charged,left,limit,cg-swap,events,pressure,name";
const MIB: u64 = 1 << 20;

pub(super) fn report(root: &Path, cgroups: &Path, more: &[&str]) -> Ran {
    let mut command = program();
    command.arg("--proc-root").arg(root).arg("--cgroup-root").arg(cgroups).args(more);
    output(command)
}

/// The document, and its rows by key.
pub(super) fn rows(ran: &Ran) -> (Value, HashMap<String, Value>) {
    let document: Value = serde_json::from_str(&ran.stdout()).expect("JSON");
    let rows = document["programs"].as_array().expect("rows").iter();
    let rows = rows.map(|row| (row["key"].as_str().expect("a key").to_owned(), row.clone()));
    let rows = rows.collect();
    (document, rows)
}

/// Charged, left, limit and its path.
fn figures(row: &Value) -> (Option<u64>, Option<u64>, Option<u64>, Option<&str>) {
    let number = |key: &str| row[key].as_u64();
    (number("charged"), number("left"), number("limit"), row["limit_path"].as_str())
}

#[test]
fn version_2_by_unit() {
    let cgroups = TempDir::new("charges-v2");
    lay_out("v2.txt", cgroups.path());
    let words = ["--json", "--by", "unit", "--columns", ALL];
    let ran = report(&tree("grouped"), cgroups.path(), &words);
    let (document, rows) = rows(&ran);
    let unit = |name: &str| figures(&rows[name]);
    let docker = format!("docker-{DOCKER}.scope");
    // The parent is fuller than the child.
    let slice = Some("/system.slice");
    let both = |charged, path| (Some(charged), Some(MIB), Some(41 * MIB), path);
    assert_eq!(unit("cron.service"), both(12 * MIB, slice));
    assert_eq!(unit("getty@tty1.service"), both(MIB, slice));
    // The group itself, by `memory.high`.
    let path = format!("/system.slice/{docker}");
    let high = (Some(MIB / 2), Some(MIB / 4), Some(MIB * 3 / 4), Some(&path[..]));
    assert_eq!(unit(&docker), high);
    assert_eq!(rows[&docker]["limit_kind"], "high");
    assert_eq!(rows[&docker]["pressure"], 12.05);
    assert_eq!(rows[&docker]["events"]["oom_kill"], 1);
    assert_eq!(rows[&docker]["charged_elsewhere"], true);
    assert_eq!(rows["cron.service"]["charged_elsewhere"], false);
    assert_eq!(rows["cron.service"]["cg_swap"], 4 * MIB);
    // No process, and charged.
    let upload = &rows["upload.service"];
    assert_eq!((&upload["count"], &upload["ram"]), (&0.into(), &0.into()));
    assert_eq!(figures(upload), both(24 * MIB, slice));
    // The slice has no row: each row below it has its signs.
    for row in [upload, &rows["cron.service"]] {
        let signs = (&row["limit_events"]["oom_kill"], &row["limit_pressure"]);
        assert_eq!(signs, (&1.into(), &12.05.into()), "{row}");
        assert_eq!((&row["events"]["oom_kill"], &row["pressure"]), (&0.into(), &0.0.into()));
    }
    let note = "limits of control groups above rows decide LEFT: that of /system.slice for 3 rows \
                (events high 12 max 5 oom 1 oom_kill 1, pressure 12.05)";
    assert!(ran.stderr().contains(note), "{}", ran.stderr());
    for key in ["gpu", "heap", "page_tables", "freed", "shared_outside"] {
        assert_eq!(upload[key], Value::Null, "{key} was not asked for");
    }
    // The memory of a group without the controller is charged to the one above.
    let pipewire = unit("user@1000.service/pipewire.service");
    let slice = Some("/user.slice/user-1000.slice");
    assert_eq!(pipewire, (Some(2 * MIB), Some(6 * MIB), Some(16 * MIB), slice));
    assert_eq!(unit("user@1000.service").0, Some(MIB), "less what is charged to its slices");
    assert_eq!(figures(&rows["init.scope"]), (Some(2 * MIB), None, None, None));
    // The kernel charges nothing to the root.
    assert_eq!(unit("(no unit)").0, None);
    assert_eq!(document["total"]["charged"], Value::Null);
    let note = "charged and mapped by no process: 37.6 MiB file cache and shared memory (up to \
                23.0 MiB of it shared memory, as of ended processes), 1.5 MiB slab";
    assert!(ran.stderr().contains(note), "{}", ran.stderr());
    assert!(ran.stderr().contains("; the most in upload.service (24.0 MiB)"), "{}", ran.stderr());
}

/// Texts of real kernels.
#[test]
fn recorded_groups_have_their_figures() {
    let limit = 30 * MIB;
    for (name, charged, kernel, slab) in [
        ("v2-linux-6.1.txt", 4_435_968, 4096, Some(8192)),
        ("v1-linux-6.18.txt", 4_857_856, 118_784, None),
    ] {
        let cgroups = TempDir::new("charges-recorded");
        lay_out(name, cgroups.path());
        let words = ["--json", "--by", "cgroup", "--columns", ALL];
        let (_, found) = rows(&report(&tree("grouped"), cgroups.path(), &words));
        let row = &found["/rec"];
        let expected = (Some(charged), Some(limit - charged), Some(limit), Some("/rec"));
        assert_eq!(figures(row), expected, "{name}");
        let parts = &row["charged_parts"];
        let part = |key: &str| parts[key].as_u64();
        assert_eq!(part("unmapped_file"), Some(4 * MIB), "{name}");
        assert_eq!((part("kernel"), part("slab")), (Some(kernel), slab), "{name}");
        assert_eq!((row["cg_swap"].as_u64(), part("sockets")), (Some(0), Some(0)), "{name}");
    }
}

/// A group of processes that are not measured, or not selected, is not one without processes.
#[test]
fn groups_of_other_processes_have_no_row() {
    let (cgroups, root) = (TempDir::new("charges-others"), TempDir::new("charges-root"));
    lay_out("v2.txt", cgroups.path());
    copy_dir(&tree("grouped"), root.path());
    std::fs::remove_dir_all(root.path().join("703")).expect("a process of ours");
    let words = ["--json", "--by", "unit", "--columns", ALL];
    let (_, all) = rows(&report(root.path(), cgroups.path(), &words));
    assert!(!all.contains_key("getty@tty1.service") && all.contains_key("upload.service"));
    let selected = [&words[..], &["-p", "701"]].concat();
    let (document, one) = rows(&report(root.path(), cgroups.path(), &selected));
    assert_eq!(one.keys().collect::<Vec<_>>(), ["cron.service"]);
    assert_eq!(document["total"]["charged"], 12 * MIB);
}

/// The row of processes in no unit has their groups, and none of other processes in no unit.
#[test]
fn a_selection_in_no_unit_has_its_own_groups() {
    let cgroups = TempDir::new("charges-no-unit");
    lay_out("v2.txt", cgroups.path());
    for (by, row) in [("unit", "(no unit)"), ("container", "(no container)")] {
        let words = ["--json", "--by", by, "--columns", ALL, "-p"];
        let of = |pid| {
            let words = [&words[..], &[pid]].concat();
            let (document, found) = rows(&report(&tree("grouped"), cgroups.path(), &words));
            assert_eq!(found.keys().collect::<Vec<_>>(), [row], "{by} {pid}");
            (document["total"]["charged"].as_u64(), found[row]["events"]["oom_kill"].as_u64())
        };
        // Less the units below: cron, getty, docker and upload; less the container.
        let less = if by == "unit" { 12 * MIB + MIB + MIB / 2 + 24 * MIB } else { MIB / 2 };
        assert_eq!(of("716"), (Some(40 * MIB - less), Some(0)), "{by}: /system.slice");
    }
}

/// As an ordinary user: the others' groups in no unit are none of the row.
#[test]
fn groups_in_no_unit_of_others_are_left_out() {
    let (cgroups, root) = (TempDir::new("charges-denied"), TempDir::new("charges-denied-root"));
    lay_out("v2.txt", cgroups.path());
    copy_dir(&tree("grouped"), root.path());
    for pid in 701..=719 {
        let dir = root.path().join(pid.to_string());
        match pid {
            701 => {}
            703 => std::fs::write(dir.join("cgroup"), "0::/user.slice\n").expect("ours"),
            _ => std::fs::remove_dir_all(dir).expect("a process of ours"),
        }
    }
    let words = ["--json", "--by", "unit", "--columns", ALL];
    let (_, rows) = rows(&report(root.path(), cgroups.path(), &words));
    // That of the slice of getty@tty1.service. Process 716 is in /system.slice.
    let row = &rows["(no unit)"];
    assert_eq!((&row["count"], &row["charged"]), (&1.into(), &(MIB / 2).into()));
}

/// In a namespace of control groups, `/..` begins the path of a process outside. The group of the
/// same path without it is another one.
#[test]
fn groups_outside_a_namespace_are_unknown() {
    let (cgroups, root) = (TempDir::new("charges-outer"), TempDir::new("charges-outer-root"));
    lay_out("v2.txt", cgroups.path());
    copy_dir(&tree("grouped"), root.path());
    let outer = "/../system.slice/cron.service";
    std::fs::write(root.path().join("703/cgroup"), format!("0::{outer}\n")).expect("ours");
    let words = |by| ["--json", "--by", by, "--columns", ALL];
    let ran = report(root.path(), cgroups.path(), &words("cgroup"));
    let (_, by_cgroup) = rows(&ran);
    let unknown = &by_cgroup[outer];
    assert_eq!((figures(unknown), &unknown["count"]), ((None, None, None, None), &1.into()));
    for key in ["cg_swap", "events", "pressure", "limit_kind", "limit_events"] {
        assert!(unknown[key].is_null(), "{key}: {unknown}");
    }
    let inner = &by_cgroup["/system.slice/cron.service"];
    assert_eq!((&inner["charged"], &inner["count"]), (&(12 * MIB).into(), &2.into()));
    let note = "1 process is in control groups that are not visible here";
    assert!(ran.stderr().contains(note), "{}", ran.stderr());
    // A unit has both.
    let (_, by_unit) = rows(&report(root.path(), cgroups.path(), &words("unit")));
    let unit = &by_unit["cron.service"];
    assert_eq!((figures(unit), &unit["count"]), ((None, None, None, None), &3.into()));
}

/// A copy of `ordinary` in which some processes are in groups of the memory hierarchy.
fn version_1(groups: &[(&str, &str)]) -> TempDir {
    let root = TempDir::new("charges-v1-root");
    copy_dir(&tree("ordinary"), root.path());
    for (pid, path) in groups {
        let text = format!("4:memory:{path}\n2:cpu:/\n1:name=systemd:/docker.service\n0::/\n");
        std::fs::write(root.path().join(pid).join("cgroup"), text).expect("a file of ours");
    }
    root
}

#[test]
fn version_1_by_cgroup_and_by_container() {
    let cgroups = TempDir::new("charges-v1");
    lay_out("v1.txt", &cgroups.path().join("memory"));
    let (web, job) = (format!("/docker/{DOCKER}"), format!("/docker/{DOCKER}/job"));
    let places =
        [("101", "/"), ("102", &web), ("103", &job), ("110", "/flat"), ("111", "/flat/below")];
    let root = version_1(&places);
    let words = |by| ["--json", "--by", by, "--columns", ALL, "-p", "101,102,103,110,111"];
    let (_, by_cgroup) = rows(&report(root.path(), cgroups.path(), &words("cgroup")));
    let memsw = |charged| (Some(charged), Some(MIB / 2), Some(29 * MIB / 2), Some(&web[..]));
    assert_eq!(figures(&by_cgroup[&web]), memsw(8 * MIB), "less the job's 4 MiB");
    assert_eq!(figures(&by_cgroup[&job]), memsw(4 * MIB));
    assert_eq!(by_cgroup[&web]["limit_kind"], "memsw");
    assert_eq!(by_cgroup[&web]["cg_swap"], 2 * MIB);
    let events = &by_cgroup[&web]["events"];
    assert_eq!((&events["max"], &events["oom_kill"]), (&7.into(), &2.into()));
    assert!(events["high"].is_null() && by_cgroup[&web]["pressure"].is_null());
    assert_eq!(figures(&by_cgroup["/"]), (None, None, None, None));
    let flat = (Some(MIB), Some(MIB), Some(2 * MIB), Some("/flat"));
    assert_eq!(figures(&by_cgroup["/flat"]), flat);
    let below = (Some(3 * MIB), None, None, None);
    assert_eq!(figures(&by_cgroup["/flat/below"]), below, "limits above do not hold");
    // The groups of one container: the charge once, the events of each.
    let (_, by_container) = rows(&report(root.path(), cgroups.path(), &words("container")));
    let row = by_container.values().find(|row| row["name"] == "docker:3f2a9c81d0b4");
    let row = row.expect("a container");
    assert_eq!(figures(row), memsw(12 * MIB));
    assert_eq!((&row["events"]["max"], &row["events"]["oom_kill"]), (&8.into(), &3.into()));
    // All processes are of one unit by the hierarchy of systemd, so its groups are, too; one
    // process is charged to no group.
    let (_, by_unit) = rows(&report(root.path(), cgroups.path(), &words("unit")));
    assert_eq!(by_unit["docker.service"]["charged"], Value::Null);
    let words = [&words("unit")[..6], &["102,110"]].concat();
    let (_, by_unit) = rows(&report(root.path(), cgroups.path(), &words));
    assert_eq!(by_unit["docker.service"]["charged"], 9 * MIB);
}

/// Two rows in one group: what is charged cannot be divided.
#[test]
fn a_shared_group_has_no_charge() {
    let cgroups = TempDir::new("charges-shared");
    lay_out("v1.txt", cgroups.path());
    let root = version_1(&[("102", "/flat"), ("103", "/flat")]);
    let text = "4:memory:/flat\n1:name=systemd:/other.service\n";
    std::fs::write(root.path().join("103/cgroup"), text).expect("a file of ours");
    let words = ["--by", "unit", "--columns", "charged,limit,name", "-p", "102,103"];
    let ran = report(root.path(), cgroups.path(), &words);
    let row = "         -       2.0  other.service (1)\n";
    assert!(ran.stdout().contains(row), "{}", ran.stdout());
    assert!(ran.stdout().contains(&row.replace("other", "docker")), "{}", ran.stdout());
    assert!(ran.stderr().contains("1 control group holds processes of several rows"));
}

/// A hybrid host has version 2 in `unified`, beside version 1 without the memory controller.
#[test]
fn hybrid_hosts_have_the_controller_in_either() {
    let cgroups = TempDir::new("charges-hybrid");
    lay_out("v2.txt", &cgroups.path().join("unified"));
    std::fs::create_dir(cgroups.path().join("cpu")).expect("a directory of ours");
    let words = ["--json", "--by", "unit", "--columns", "charged"];
    let (_, found) = rows(&report(&tree("grouped"), cgroups.path(), &words));
    assert_eq!(found["cron.service"]["charged"], 12 * MIB);
    lay_out("v1.txt", &cgroups.path().join("memory"));
    let root = version_1(&[("110", "/flat")]);
    let words = [&words[..], &["-p", "110"]].concat();
    let (_, found) = rows(&report(root.path(), cgroups.path(), &words));
    assert_eq!(found["docker.service"]["charged"], MIB);
}

/// Each column, in each format.
#[test]
fn every_format_has_the_figures() {
    let cgroups = TempDir::new("charges-formats");
    lay_out("v2.txt", cgroups.path());
    let print = |words: &str| {
        let words: Vec<&str> = words.split(' ').collect();
        let ran = report(&tree("grouped"), cgroups.path(), &words);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr());
        ran.stdout()
    };
    let docker = format!("docker-{DOCKER}.scope");
    let columns = "--by unit --columns ram,charged,left,limit,cg-swap,events,pressure,name";
    let table = print(&format!("{columns} --sort events"));
    let lines: Vec<String> = table.lines().map(cells).collect();
    let worst = "0.8 0.5 0.3 0.8 0.0 high 12 max 3 oom 1 oom_kill 1 12.05";
    let worst = format!("{worst} {docker} (1) charged elsewhere, left to memory.high");
    assert_eq!(lines.iter().rev().nth(1), Some(&worst), "the worst event is the biggest row");
    let cron = "0.4 12.0 1.0 41.0 4.0 0 0.00 cron.service (2)".to_owned();
    assert!(lines.contains(&cron), "{table}");
    let csv = print(&format!("{columns} -o csv"));
    let record = "524288,true,262144,786432,high,0,low=0 high=12 max=3 oom=1 oom_kill=1,12.05,";
    assert!(csv.contains(record), "{csv}");
    let head = "row,ram,charged,charged_elsewhere,left,limit,limit_kind,cg_swap,events,pressure,\
                name,key\r\n";
    assert!(csv.contains("\r\ntotal,") && csv.starts_with(head), "{csv}");
    let metrics =
        print("-o openmetrics --by unit --columns charged,left,limit,cg-swap,events,pressure");
    for sample in [
        format!("psm_uring_charged_bytes{{unit=\"{docker}\"}} 524288\n"),
        format!("psm_uring_charged_elsewhere{{unit=\"{docker}\"}} 1\n"),
        "psm_uring_charged_elsewhere{unit=\"cron.service\"} 0\n".to_owned(),
        format!("psm_uring_left_bytes{{unit=\"{docker}\"}} 262144\n"),
        format!("psm_uring_limit_bytes{{unit=\"{docker}\"}} 786432\n"),
        format!("psm_uring_cg_swap_bytes{{unit=\"{docker}\"}} 0\n"),
        format!("psm_uring_events_total{{unit=\"{docker}\",event=\"max\"}} 3\n"),
        format!("psm_uring_pressure_ratio{{unit=\"{docker}\"}} 0.1205\n"),
        "# TYPE psm_uring_events counter\n".to_owned(),
        "# UNIT psm_uring_charged_bytes bytes\n".to_owned(),
    ] {
        assert!(metrics.contains(&sample), "no {sample} in\n{metrics}");
    }
    // The rest adds up what adds up.
    let top = print(
        "--json --by unit --columns charged,left,events -f . -p 701,703,708 -n 1 --sort charged",
    );
    let top: Value = serde_json::from_str(&top).expect("JSON");
    let rest = &top["rest"];
    assert_eq!((&rest["charged"], &rest["left"]), (&(3 * MIB / 2).into(), &Value::Null));
    assert_eq!(
        (&rest["events"]["high"], &top["total"]["events"]["high"]),
        (&12.into(), &12.into())
    );
    readers::validate_or_skip("every_format_has_the_figures", "report", &[format!("{top}\n")]);
}

/// A dash is no limit only if each file was read and understood: else a note names the first group.
#[test]
fn groups_that_were_not_understood_have_a_note() {
    let cgroups = TempDir::new("charges-garbled");
    lay_out("v2.txt", cgroups.path());
    let file = |group: &str, name: &str| cgroups.path().join("system.slice").join(group).join(name);
    let stderr = || {
        let words = ["--by", "unit", "--columns", "charged,left,events,name"];
        report(&tree("grouped"), cgroups.path(), &words).stderr()
    };
    assert!(!stderr().contains("could not be read"), "{}", stderr());
    std::fs::write(file("cron.service", "memory.max"), "12 MiB\n").expect("a file of ours");
    let note = "1 control group could not be read, and figures of its row are unknown: \
                /system.slice/cron.service: memory.max is not understood; look at it";
    assert!(stderr().contains(note), "{}", stderr());
    let refused = file("upload.service", "memory.events");
    std::fs::remove_file(&refused).expect("a file of ours");
    std::fs::create_dir(&refused).expect("a directory of ours");
    std::fs::write(file("cron.service", "memory.max"), "max\n").expect("a file of ours");
    let note = "/system.slice/upload.service: Is a directory";
    assert!(stderr().contains(note), "{}", stderr());
    std::fs::write(file("cron.service", "memory.current"), "-\n").expect("a file of ours");
    let note = "2 control groups could not be read, and figures of their rows are unknown: the \
                first is /system.slice/cron.service: memory.current is not understood";
    assert!(stderr().contains(note), "{}", stderr());
}

/// A group without a process has no process id, its own path, and nothing of what is asked for.
#[test]
fn a_row_without_a_process_has_its_group() {
    let cgroups = TempDir::new("charges-idle");
    lay_out("v2.txt", cgroups.path());
    let columns = "charged,page-tables,pid,cgroup,name";
    let words = ["--by", "unit", "--columns", columns];
    let table = report(&tree("grouped"), cgroups.path(), &words).stdout();
    let line = table.lines().find(|line| line.contains("upload.service")).expect("a row");
    let cells: Vec<&str> = line.split_whitespace().collect();
    let expected = ["24.0", "0.0", "-", "/system.slice/upload.service", "upload.service", "(0)"];
    assert_eq!(cells, expected, "{table}");
    // No process is known to have GPU memory, or not: this row has none.
    let json = ["--json", "--by", "unit", "--columns", "charged,gpu,page-tables"];
    let (document, rows) = rows(&report(&tree("grouped"), cgroups.path(), &json));
    let known: Vec<&Value> = rows.values().filter(|row| !row["gpu"].is_null()).collect();
    assert!(known.iter().all(|row| row["count"] == 0), "{document}");
    let upload = &rows["upload.service"];
    assert_eq!((&upload["gpu"], &upload["page_tables"]), (&0.into(), &0.into()), "{upload}");
    assert!(upload["heap"].is_null() && upload["freed"].is_null(), "{upload}");
    let words = ["-o", "openmetrics", "--by", "unit", "--columns", "charged"];
    let metrics = report(&tree("grouped"), cgroups.path(), &words).stdout();
    assert!(metrics.contains("psm_uring_charged_bytes{unit=\"upload.service\"}"), "{metrics}");
    for family in ["gpu", "heap", "page_tables"] {
        assert!(!metrics.contains(&format!("psm_uring_{family}_bytes")), "{metrics}");
    }
}

/// A saved report has the figures, and later ones are compared with them.
#[test]
fn reports_with_charges_are_compared() {
    let cgroups = TempDir::new("charges-diff");
    lay_out("v2.txt", cgroups.path());
    let saved = |name: &str| {
        let path = cgroups.path().join(name).display().to_string();
        let columns = "charged,cg-swap,events";
        let words = ["--json", "--by", "unit", "--columns", columns, "--output-file", &path];
        assert_eq!(report(&tree("grouped"), cgroups.path(), &words).code, Some(0));
        path
    };
    let before = saved("before.json");
    let set = |group: &str, file: &str, text: &str| {
        let path = cgroups.path().join("system.slice").join(group).join(file);
        std::fs::write(path, text).expect("a file of ours");
    };
    set("cron.service", "memory.current", "14680064\n");
    set("cron.service", "memory.swap.current", "7340032\n");
    let events = "low 0\nhigh 0\nmax 4\noom 1\noom_kill 1\noom_group_kill 0\n";
    set("cron.service", "memory.events", events);
    set("upload.service", "memory.current", "0\n");
    let after = saved("after.json");
    let table = run(["diff", &before, &after]).stdout();
    let expected = [
        "MiB RAM SWAPPED CHARGED CG-SWAP COUNT EVENTS UNIT",
        "0.0 -24.0 upload.service (gone)",
        "0.0 +2.0 +3.0 max +4 oom +1 oom_kill +1 cron.service",
        "(14 rows alike)",
        "# 0.0 - - - TOTAL USED BY PROCESSES",
    ];
    assert_eq!(table.lines().map(cells).collect::<Vec<_>>(), expected, "{table}");
    let words = ["--by", "unit", "--watch", "1s", "--count", "1", "--since", &before];
    let watched = report(&tree("grouped"), cgroups.path(), &words).stdout();
    let lines: Vec<String> = watched.lines().skip(1).map(cells).collect();
    assert_eq!(lines, expected, "{watched}");
    let json = run(["diff", "--json", &before, &after]).stdout();
    let document: Value = serde_json::from_str(&json).expect("JSON");
    let last = &document["rows"][1];
    let changes = ["charged", "cg_swap"].map(|key| last["change"][key].as_u64());
    assert_eq!(changes, [Some(2 * MIB), Some(3 * MIB)]);
    assert_eq!(last["change"]["events"]["oom_kill"], 1);
    readers::validate_or_skip(
        "reports_with_charges_are_compared",
        "diff",
        &[format!("{document}\n")],
    );
}

#[test]
fn columns_need_rows_of_groups() {
    let dir = TempDir::new("charges-nothing");
    let empty = dir.path().display().to_string();
    for (words, why) in [
        ("--columns charged,name", "the column charged is that of control groups: add --by unit"),
        ("--by user --sort left", "the column left is that of control groups: add --by unit"),
        ("--cgroup-root /sys/fs/cgroup", "--cgroup-root is for charged, left"),
        (
            &format!("--by unit --columns charged --cgroup-root {empty}"),
            "has neither cgroup.controllers nor",
        ),
    ] {
        let ran = run(words.split(' '));
        assert_eq!(ran.code, Some(2), "{words}: {}", ran.stderr());
        assert!(ran.stderr().contains(why), "{}", ran.stderr());
    }
}

/// A made-up tree. Each group has memory of its own, and its charge includes what is below it.
struct MadeTree {
    paths: Vec<String>,
    own: Vec<u64>,
    flat: Vec<bool>,
    /// The groups of processes.
    homes: Vec<usize>,
}

impl MadeTree {
    fn random(rng: &mut Rng) -> MadeTree {
        let mut paths: Vec<String> = vec!["/".to_owned()];
        for place in 1..2 + rng.below(12) {
            let above = paths[rng.below(paths.len())].trim_end_matches('/').to_owned();
            let kind = *rng.pick(&["slice", "service", "service", "x"]);
            paths.push(format!("{above}/{}{place}.{kind}", rng.pick(&["a", "b"])));
        }
        paths.sort();
        let all = 0..paths.len();
        MadeTree {
            own: all.clone().map(|_| rng.below(100) as u64).collect(),
            flat: all.clone().map(|_| rng.below(4) == 0).collect(),
            homes: (0..rng.below(8)).map(|_| 1 + rng.below(paths.len() - 1)).collect(),
            paths,
        }
    }

    fn above(&self, group: usize) -> Option<usize> {
        let (above, _) = self.paths[group].rsplit_once('/')?;
        let above = self.paths.iter().position(|path| path == above)?;
        (!self.flat[above]).then_some(above)
    }

    fn charged(&self, group: usize) -> u64 {
        let below = (0..self.paths.len()).filter(|one| self.above(*one) == Some(group));
        self.own[group] + below.map(|one| self.charged(one)).sum::<u64>()
    }

    /// The groups below the root, with a limit in each third.
    fn tree(&self) -> GroupTree {
        let node = |place: usize| {
            let charged = Kib(self.charged(place));
            let left = Kib(1000 - charged.0.min(1000));
            let limit = GroupLimit { kind: LimitKind::Max, limit: Kib(1000), left };
            let memory = MemoryGroup {
                charged: Some(charged),
                limit: (place % 3 == 0).then_some(limit),
                knows_limits: true,
                excludes_descendants: self.flat[place],
                ..MemoryGroup::default()
            };
            GroupNode { path: self.paths[place].clone().into(), memory, has_others: false }
        };
        let groups = (1..self.paths.len()).map(node).collect();
        GroupTree { groups, ..GroupTree::default() }
    }

    /// The least that any level above a group leaves.
    fn left(&self, group: usize) -> Option<u64> {
        let own = (group % 3 == 0).then(|| 1000 - self.charged(group).min(1000));
        let above = self.above(group).filter(|above| *above > 0);
        own.into_iter().chain(above.and_then(|above| self.left(above))).min()
    }
}

#[test]
fn rows_have_the_memory_of_their_groups() {
    let mut rng = Rng::seeded();
    let text = b"Pss: 0 kB\nPrivate_Clean: 0 kB\nPrivate_Dirty: 0 kB\nSwapPss: 0 kB\n";
    let smaps = naive::scan(text).expect("smaps");
    let dir: PathBuf = "/x".into();
    let mount = CgroupMount::at(&dir, CgroupVersion::V2, &Mounts::default());
    for _ in 0..500 {
        let made = MadeTree::random(&mut rng);
        let tree = made.tree();
        let process = |(pid, home): (usize, &usize)| {
            let path = made.paths[*home].as_bytes();
            let cgroup = Some(CgroupPaths { charged: path, managed: path });
            let pid = Pid(u32::try_from(pid).expect("few") + 1);
            let (name, uid, page_tables) = (&b"p"[..], None, None);
            let stat = StatFigures::default();
            ProcessUsage { pid, name, smaps, uid, cgroup, page_tables, stat }
        };
        let processes: Vec<ProcessUsage<'_>> = made.homes.iter().enumerate().map(process).collect();
        for by in [Grouping::Cgroup, Grouping::Unit, Grouping::Container] {
            let all = || processes.iter().copied();
            let paths = tree.groups.iter().map(|group| &group.path[..]);
            let labels = Labels::of_all(all(), paths, &[], by, None);
            let charges = Charges::find(&mount, &tree, all(), &labels, true);
            let (sharing, shares) = (HashMap::new(), Shares::new());
            let annotations =
                Annotations { charges: Some(&charges), ..Annotations::new(&sharing, &shares) };
            let programs = group(all(), &labels, annotations, Order::default());
            let label = |place: usize| {
                let path = made.paths[place].as_bytes();
                match by {
                    Grouping::Unit => unit(path).map_or(b"(no unit)".into(), |unit| unit.short),
                    Grouping::Cgroup => path.to_vec(),
                    _ => b"(no container)".to_vec(),
                }
            };
            let mut expected: HashMap<Vec<u8>, u64> = HashMap::new();
            for place in 1..made.paths.len() {
                *expected.entry(label(place)).or_default() += made.own[place];
            }
            for row in &programs.rows {
                let charged = row.usage.get(Column::Charged);
                assert_eq!(
                    charged,
                    expected.get(row.name).copied().map(Kib),
                    "{by:?} {}",
                    row.name.escape_ascii()
                );
                let homes = made.homes.iter().filter(|home| label(**home) == row.name);
                let members = (1..made.paths.len()).filter(|place| label(*place) == row.name);
                let left = match row.count {
                    0 => members.filter_map(|place| made.left(place)).min(),
                    _ => homes.filter_map(|place| made.left(*place)).min(),
                };
                assert_eq!(row.usage.get(Column::Left), left.map(Kib), "{by:?}");
            }
            let rows = |row: &&Vec<u8>| programs.rows.iter().any(|one| one.name == row.as_slice());
            let missing: u64 =
                expected.iter().filter(|(name, _)| !rows(name)).map(|(_, own)| own).sum();
            assert_eq!(missing, 0, "{by:?}: each charged group has a row");
            let sum = programs.total.and_then(|total| total.get(Column::Charged));
            assert_eq!(sum, Some(Kib(made.own[1..].iter().sum())), "{by:?}");
        }
    }
}
