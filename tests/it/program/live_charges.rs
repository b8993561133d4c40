//! Figures of real control groups, of the version that has the memory controller here.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::child::Target;
use crate::support::groups::MemoryGroups;
use crate::support::{TempDir, program, run, skip};

const ALL: &str = "charged,left,limit,cg-swap,events,pressure";
const MIB: u64 = 1 << 20;
/// Each CPU charges up to 64 pages in advance, and the processes of other tests run meanwhile.
const SLACK: u64 = 2 * MIB;

fn groups(test: &str) -> Option<MemoryGroups> {
    MemoryGroups::make(test).map_err(|why| skip(test, &why)).ok()
}

/// The rows of a report by control group, and its notes.
fn report(more: &[&str]) -> (Vec<Value>, String) {
    let ran = run(["--json", "--by", "cgroup", "--columns", ALL].iter().chain(more));
    let document: Value = serde_json::from_str(&ran.stdout()).expect("JSON");
    (document["programs"].as_array().expect("rows").clone(), document["notes"].to_string())
}

fn row<'a>(rows: &'a [Value], name: &str) -> &'a Value {
    let is_named = |row: &&Value| row["name"].as_str().is_some_and(|path| path.ends_with(name));
    rows.iter().find(is_named).unwrap_or_else(|| panic!("no {name} in {rows:?}"))
}

/// The name of a group, as the end of its path.
fn end(groups: &MemoryGroups, below: &str) -> String {
    let dir = groups.dir(below);
    let top = groups.dir("");
    let parent = top.parent().expect("a mount");
    format!("/{}", dir.strip_prefix(parent).expect("below").display())
}

fn number(row: &Value, key: &str) -> u64 {
    row[key].as_u64().unwrap_or_else(|| panic!("{key} of {row}"))
}

/// The parent is fuller than the child, so its limit is the nearer one.
#[test]
fn the_fullest_level_decides() {
    let Some(groups) = groups("the_fullest_level_decides") else { return };
    groups.limit("", 128 * MIB);
    let (one, other) = (groups.add("one"), groups.add("other"));
    groups.limit("one", 96 * MIB);
    let target = Target::start_in(&one, "touch 20480");
    let beside = Target::start_in(&other, "touch 61440");
    [&target, &beside].iter().for_each(|one| one.wait_for_state(one.pid(), 'T'));
    let pids = format!("{},{}", target.pid(), beside.pid());
    let (rows, _) = report(&["-p", &pids]);
    assert_eq!(rows.len(), 2, "a selection has no row of other groups: {rows:?}");
    let row = row(&rows, &end(&groups, "one"));
    assert!(number(row, "charged") >= number(row, "pss_anon"), "{row}");
    assert!(number(row, "charged").abs_diff(groups.charged("one")) <= SLACK, "{row}");
    assert_eq!(number(row, "limit"), 128 * MIB);
    let path = row["limit_path"].as_str().expect("a path");
    assert!(path.ends_with(&end(&groups, "")), "{row}");
    assert_eq!(row["limit_kind"], "max");
    let left = 128 * MIB - groups.charged("");
    assert!(number(row, "left").abs_diff(left) <= SLACK, "{left} {row}");
    assert_eq!(row["events"]["oom_kill"], 0);
    assert_eq!(
        row["pressure"].is_null(),
        !groups.is_unified || !Path::new("/proc/pressure").exists()
    );
    // Above the processes nothing is charged but what the kernel needs for the groups.
    let (rows, _) = report(&[]);
    let total: u64 = rows.iter().filter_map(|row| row["charged"].as_u64()).sum();
    assert!(total >= groups.charged(""), "{rows:?}");
    // The nearest limit of the child itself.
    groups.limit("one", 24 * MIB);
    let (rows, _) = report(&["-p", &pids]);
    assert_eq!(number(super::live_charges::row(&rows, &end(&groups, "one")), "limit"), 24 * MIB);
}

/// Pages stay charged to the group that touched them first.
#[test]
fn moved_processes_are_charged_elsewhere() {
    let Some(groups) = groups("moved_processes_are_charged_elsewhere") else { return };
    let from = groups.add("from");
    groups.add("to");
    let target = Target::start_in(&from, "touch 20480");
    target.wait_for_state(target.pid(), 'T');
    groups.set("to", "cgroup.procs", &target.pid().to_string());
    let pid = target.pid().to_string();
    let (rows, _) = report(&["-p", &pid]);
    let to = row(&rows, &end(&groups, "to"));
    assert!(number(to, "ram") > 20 * MIB && number(to, "charged") < 2 * MIB, "{to}");
    assert_eq!(to["charged_elsewhere"], true);
    let table = run(["-p", &pid, "--by", "cgroup", "--columns", "ram,charged,name"]).stdout();
    assert!(table.contains("/to (1) charged elsewhere\n"), "{table}");
    let (rows, _) = report(&[]);
    let from = row(&rows, &end(&groups, "from"));
    assert!(number(from, "charged") >= 20 * MIB, "{from}");
    assert_eq!((number(from, "count"), number(from, "ram")), (0, 0));
}

/// The page cache of a process that ended.
#[test]
fn a_group_without_a_process_has_a_row() {
    let Some(groups) = groups("a_group_without_a_process_has_a_row") else { return };
    let (dir, files) = (groups.add("ended"), TempDir::new("charged"));
    let words = "echo $$ >\"$0\"/cgroup.procs && exec dd if=/dev/zero of=\"$1\" bs=1M count=12";
    let mut writer = Command::new("sh");
    writer.args(["-c", words]).arg(&dir).arg(files.path().join("file"));
    assert!(writer.output().expect("sh").status.success(), "{writer:?}");
    let (rows, notes) = report(&[]);
    let ended = row(&rows, &end(&groups, "ended"));
    assert!(number(ended, "charged") >= 12 * MIB, "{ended}");
    assert_eq!((number(ended, "count"), number(ended, "ram")), (0, 0));
    let parts = &ended["charged_parts"];
    assert!(number(parts, "unmapped_file") >= 12 * MIB - SLACK, "{ended}");
    assert!(notes.contains("charged and mapped by no process: "), "{notes}");
}

#[test]
fn an_oom_kill_counts_once() {
    let Some(groups) = groups("an_oom_kill_counts_once") else { return };
    let dir = groups.add("small");
    let small = Target::start_in(&dir, "touch 1024");
    small.wait_for_state(small.pid(), 'T');
    groups.limit("small", 24 * MIB);
    let files = TempDir::new("oom");
    let file = |name: &str| files.path().join(name).display().to_string();
    let saved = |name: &str| {
        let (pid, file) = (small.pid().to_string(), file(name));
        let ran =
            run(["--json", "--output-file", &file, "-p", &pid, "--by", "cgroup", "--columns", ALL]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr());
        let text = std::fs::read_to_string(file).expect("a report");
        let document: Value = serde_json::from_str(&text).expect("JSON");
        document["programs"][0]["events"].clone()
    };
    let before = saved("before");
    let mut big = Target::start_in(&dir, "touch 200000");
    assert!(big.ends(), "the kernel ends it");
    let after = saved("after");
    let change = |event: &str| number(&after, event) - number(&before, event);
    assert_eq!(change("oom_kill"), 1, "{before} {after}");
    // Linux 6.18 was seen to leave the counters of version 1 at 0.
    assert!(change("max") > 0 || !groups.is_unified, "{before} {after}");
    assert_eq!(after["high"].is_null(), !groups.is_unified);
    let mut diff = program();
    diff.args(["diff", "--json", &file("before"), &file("after")]);
    let text = crate::support::output(diff).stdout();
    let diff: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(diff["rows"][0]["change"]["events"]["oom_kill"], 1, "{text}");
}

/// In a namespace of control groups, the paths of others and of older mounts begin with `/..`.
#[test]
fn a_namespace_shows_its_own_groups() {
    const TEST: &str = "a_namespace_shows_its_own_groups";
    let Some(groups) = groups(TEST) else { return };
    let (dir, point) = (groups.add("inside"), TempDir::new("cgroup-namespace"));
    let kind = if groups.is_unified { "cgroup2" } else { "cgroup -o memory" };
    let run = "\"$1\" --no-header --by cgroup --columns charged,name -p $$";
    let mount = format!("mkdir \"$2\"/a && mount -t {kind} none \"$2\"/a");
    let words = format!(
        "echo $$ >\"$0\"/cgroup.procs && exec unshare -C -m sh -c '{run}; {mount} && {run}' \
         \"$0\" \"$@\""
    );
    let mut inside = Command::new("sh");
    inside.args(["-c", &words]).arg(&dir).arg(env!("CARGO_BIN_EXE_psm-uring")).arg(point.path());
    let ran = inside.output().expect("sh");
    let (stdout, stderr) =
        (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    if !ran.status.success() {
        return skip(TEST, &format!("no namespace can be made: {}", stderr.escape_debug()));
    }
    let rows: Vec<&str> = stdout.lines().map(str::trim).collect();
    assert!(rows[0].starts_with("-  / (1)"), "{stdout}");
    assert!(stderr.contains("1 process is in control groups that are not visible"), "{stderr}");
    assert!(rows[2].ends_with("  / (1)") && !rows[2].starts_with('-'), "{stdout}");
}
