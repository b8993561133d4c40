//! `--by tree` on a real tree of processes, against a naive sum.

use std::collections::{BTreeMap, HashMap};

use psm_uring::units::Pid;
use serde_json::Value;

use crate::support::child::{Target, state, status};
use crate::support::{RUN_LIMIT, TempDir, copy_dir, output, program, run, tree, until};

const PROCESSES: usize = 200;

/// The processes below one, itself included, with their parents, by `status` alone.
fn descendants(top: Pid) -> BTreeMap<Pid, Pid> {
    let entries = std::fs::read_dir("/proc").expect("a /proc").flatten();
    let pids = entries.filter_map(|entry| Pid::parse(entry.file_name().as_encoded_bytes()));
    let parent = |pid: Pid| Pid::parse(status(pid, "PPid:")?.as_bytes());
    let parents: HashMap<Pid, Pid> = pids.filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let is_below = |pid: Pid| {
        let above = std::iter::successors(Some(pid), |pid| parents.get(pid).copied());
        above.take(PROCESSES + 1).any(|pid| pid == top)
    };
    let below = parents.iter().filter(|(pid, _)| is_below(**pid));
    below.map(|(pid, parent)| (*pid, *parent)).collect()
}

/// A tree of stopped processes.
fn fork_tree() -> (Target, BTreeMap<Pid, Pid>) {
    let target = Target::start_as(b"forks", &format!("tree {PROCESSES}"));
    let parents = until(RUN_LIMIT, || {
        let parents = descendants(target.pid());
        let is_ready = || parents.keys().all(|pid| state(*pid) == Some('T'));
        (parents.len() == PROCESSES && is_ready()).then_some(parents)
    });
    (target, parents.expect("a tree of stopped processes"))
}

fn rows(arguments: &[&str]) -> (Value, Vec<Value>) {
    let ran = run(["--json", "--by", "tree"].iter().chain(arguments));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr());
    let document: Value = serde_json::from_str(&ran.stdout()).expect("JSON");
    let rows = document["programs"].as_array().expect("rows").clone();
    (document, rows)
}

fn id(value: &Value) -> Option<Pid> {
    value.as_u64().and_then(|id| u32::try_from(id).ok()).map(Pid)
}

fn number(row: &Value, key: &str) -> u64 {
    row[key].as_u64().unwrap_or_else(|| panic!("{key} of {row}"))
}

/// Compares a report with sums along the parents of `status`.
fn check(document: &Value, rows: &[Value], parents: &BTreeMap<Pid, Pid>, shown: &[Pid]) {
    assert_eq!(rows.len(), shown.len());
    let own: HashMap<Pid, u64> =
        rows.iter().map(|row| (id(&row["pid"]).expect("a pid"), number(row, "ram"))).collect();
    let above = |pid: Pid| std::iter::successors(Some(pid), |pid| parents.get(pid).copied());
    let nearest = |pid: Pid| above(pid).skip(1).find(|pid| own.contains_key(pid));
    let mut last: HashMap<Option<Pid>, u64> = HashMap::new();
    let mut seen: Vec<Pid> = Vec::new();
    for row in rows {
        let pid = id(&row["pid"]).expect("a pid");
        let below: Vec<Pid> =
            own.keys().copied().filter(|one| above(*one).any(|one| one == pid)).collect();
        let sum: u64 = below.iter().map(|pid| own[pid]).sum();
        assert_eq!(
            (number(row, "subtree"), number(row, "subtree_count")),
            (sum, below.len() as u64)
        );
        let parent = nearest(pid);
        assert_eq!(id(&row["parent"]), parent, "{row}");
        let depth = above(pid).skip(1).filter(|pid| own.contains_key(pid)).count();
        assert_eq!(number(row, "depth"), depth as u64);
        assert!(parent.is_none_or(|parent| seen.contains(&parent)), "{pid} is above {parent:?}");
        let before = last.insert(parent, own[&pid]);
        assert!(before <= Some(own[&pid]), "siblings are not sorted: {before:?}, {row}");
        seen.push(pid);
    }
    assert_eq!(number(&document["total"], "ram"), own.values().sum::<u64>());
}

#[test]
fn sums_are_those_of_a_naive_script() {
    let (_target, parents) = fork_tree();
    let list = |pids: &[Pid]| pids.iter().map(Pid::to_string).collect::<Vec<_>>().join(",");
    let all: Vec<Pid> = parents.keys().copied().collect();
    let (document, found) = rows(&["-p", &list(&all)]);
    check(&document, &found, &parents, &all);
    // Own figures are those of the kernel; pages of files are shared with other tests.
    for row in &found {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", row["pid"]));
        let text = text.expect("a child");
        let line = text.lines().find_map(|line| line.strip_prefix("Pss_Anon:")).expect("a line");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        assert_eq!(number(row, "pss_anon"), kib * 1024, "{row}");
    }
    // Ancestors that are not selected are not measured: rows hang below the next one.
    let some: Vec<Pid> = all.iter().copied().filter(|pid| pid.0 % 3 != 0).collect();
    let (document, found) = rows(&["-p", &list(&some)]);
    check(&document, &found, &parents, &some);
    // `--top` cuts rows; what is below the others still counts in their subtrees.
    let (_, top) = rows(&["-p", &list(&all), "-n", "20"]);
    let root = all[0];
    let found_root = top.iter().find(|row| id(&row["pid"]) == Some(root));
    assert_eq!(top.len(), 20);
    assert!(found_root.is_none_or(|row| number(row, "subtree_count") == PROCESSES as u64));
    let is_hung = |row: &Value| match id(&row["parent"]) {
        None => number(row, "depth") == 0,
        Some(parent) => top.iter().any(|row| id(&row["pid"]) == Some(parent)),
    };
    assert!(top.iter().all(is_hung), "{top:?}");
    // Each report of a watch is a tree.
    let ran =
        run(["-o", "ndjson", "-w", "100ms", "--count", "2", "--by", "tree", "-p", &list(&all)]);
    for line in ran.stdout().lines() {
        let document: Value = serde_json::from_str(line).expect("JSON");
        check(&document, document["programs"].as_array().expect("rows"), &parents, &all);
    }
}

/// Children are indented; a blank in a title is not one more level.
#[test]
fn a_table_indents_names() {
    let dir = TempDir::new("tree");
    let stat = |pid: u32, parent: u32| {
        let rest = "1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 500 0 0";
        format!("{pid} (x) S {parent} {rest}\n")
    };
    for (pid, parent, title) in [(101, 1, "top"), (110, 101, "  below"), (120, 110, "last")] {
        let process = dir.path().join(pid.to_string());
        copy_dir(&tree("ordinary").join(pid.to_string()), &process);
        std::fs::write(process.join("stat"), stat(pid, parent)).expect("a file of ours");
        std::fs::write(process.join("cmdline"), format!("{title}\0")).expect("a file of ours");
    }
    let table = |more: &[&str]| {
        let mut command = program();
        command.args(["--by", "tree", "--no-header", "--proc-root"]).arg(dir.path()).args(more);
        let ran = output(command);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr());
        ran.stdout()
    };
    let text = table(&["--columns", "parent,depth,name"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        &lines[..3],
        ["       0  top (101)", "  101  1    \\u{20} below (110)", "  110  2      last (120)",],
        "{text}"
    );
    for arguments in [
        &["--columns", "subtree"][..],
        &["--sort", "subtree-swap"],
        &["--by", "tree", "--sort", "depth"],
        &["--by", "tree", "-o", "openmetrics"],
    ] {
        let ran = run(arguments);
        assert_eq!((ran.code, ran.stderr().lines().count()), (Some(2), 1), "{arguments:?}");
    }
}
