//! `psm-uring bench` on a fixture: what it prints, keeps and compares, and what it refuses. Times
//! are none of its business.

mod support;

use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::Value;
use support::{Ran, TempDir, copy_dir, run, tree};

fn bench(arguments: &[&str]) -> Ran {
    let root = if arguments.contains(&"--proc-root") { &[][..] } else { &["--proc-root=ordinary"] };
    run(["bench", "-n", "2"].iter().chain(root).chain(arguments))
}

/// A file of this test's own.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{name}.json"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of ours is UTF-8")
}

/// A record of `threads` and `sync`, changed as the test needs it.
fn record(name: &str, change: impl FnOnce(&mut Value)) -> PathBuf {
    let path = file(name);
    let ran = bench(&["--engines", "threads,sync", "--save", text(&path)]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr());
    let json = std::fs::read(&path).expect("a record");
    let mut record = serde_json::from_slice(&json).expect("JSON");
    change(&mut record);
    std::fs::write(&path, record.to_string()).expect("a file of ours");
    path
}

fn assert_refused(ran: &Ran, why: &str) {
    assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""), "{}", ran.stderr());
    let last = ran.stderr().lines().last().unwrap_or_default().to_owned();
    assert!(last.starts_with("psm-uring: cannot compare: ") && last.contains(why), "{last}");
}

#[test]
fn every_engine_has_its_figures() {
    let ran = bench(&["--json", "--engines", "auto,threads,sync", "--workers", "1,2"]);
    assert_eq!((ran.code, ran.stderr().as_str()), (Some(0), ""));
    let record: Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    assert_eq!((&record["listed"], &record["rounds"]), (&12.into(), &2.into()));
    for (key, kind) in [("name", true), ("kernel", true), ("version", true), ("cpus", false)] {
        let value = &record["host"][key];
        assert!(value.is_string() == kind && value.is_number() != kind, "{key}: {value}");
    }
    let engines = record["engines"].as_array().expect("a list");
    assert!(engines.len() >= 3, "{engines:?}");
    for one in engines {
        assert_eq!(one["measured"], 12, "{one}");
        for key in ["to_floor", "us_per_process", "operations", "reads", "bytes"] {
            assert!(one[key].as_f64().is_some_and(|figure| figure > 0.0), "{key}: {one}");
        }
        let time = ["min_us", "median_us", "max_us"].map(|key| one["time"][key].as_f64());
        assert!(time[0] > Some(0.0) && time.is_sorted(), "{one}");
    }
    let ratio = |one: &Value| one["to_threads"].as_f64();
    let threads = engines.iter().find(|one| one["engine"] == "threads").expect("threads");
    assert_eq!(ratio(threads), Some(1.0));
}

#[test]
fn the_table_has_a_row_for_each() {
    let ran = bench(&["--engines", "threads,sync"]);
    let table = ran.stdout();
    let first: Vec<&str> =
        table.lines().skip(1).filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(first, ["engine", "threads", "sync", "floor"], "{table}");
    assert!(table.starts_with("12 processes listed, rollup, 2 rounds; kernel "), "{table}");
}

#[test]
fn what_got_worse_is_named() {
    let same = record("same", |_| {});
    let against = ["--engines", "threads,sync", "--against"];
    let ran = bench(&[&against[..], &[text(&same), "--max-ratio", "1e6"]].concat());
    assert_eq!((ran.code, ran.stderr().as_str()), (Some(0), ""));
    let better = record("better", |record| {
        let one = &mut record["engines"][1];
        let operations = one["operations"].as_u64().expect("a number");
        one["operations"] = (operations / 2).into();
    });
    let ran = bench(&[&against[..], &[text(&better), "--max-ratio", "1.9"]].concat());
    assert_eq!(ran.code, Some(4), "{}", ran.stderr());
    let line = ran.stderr();
    assert!(line.contains("psm-uring: sync (1 workers): "), "{line}");
    assert!(line.contains(" operations per process, was ") && line.contains(": 2.0"), "{line}");
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let same = record("refused", |_| {});
    let against = |more: &[&str]| bench(&[&["--against", text(&same)], more].concat());
    assert_refused(&against(&["--engines", "sync", "--source", "smaps"]), "it measured --source");
    let workers = ["--engines", "threads", "--workers", "7"];
    assert_refused(&against(&workers), "no engine, workers and depth in common, it has threads");
    let other = record("schema", |record| record["schema"] = "something else".into());
    let ran = bench(&["--against", text(&other)]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr().contains("as a record of bench"), "{}", ran.stderr());
}

/// The floor has no timeouts: it would wait for ever.
#[test]
fn who_does_not_answer_ends_it() {
    let copy = TempDir::new("bench-stuck");
    copy_dir(&tree("ordinary"), copy.path());
    let file = copy.path().join("101/smaps_rollup");
    std::fs::remove_file(&file).expect("it was copied");
    mknodat(CWD, &file, FileType::Fifo, Mode::RUSR, 0).expect("a FIFO");
    for engine in ["auto", "threads"] {
        let ran = bench(&["--proc-root", text(copy.path()), "--engines", engine]);
        assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""), "{}", ran.stderr());
        let told = ran.stderr();
        let why = "PID 101 does not answer; bench reads without giving up and would wait for ever: \
                   run it where nothing is stuck";
        assert!(told.contains(why) && told.lines().count() == 1, "{told}");
    }
}

/// A part that is missing on either side is told, the rest is compared.
#[test]
fn what_is_not_compared_is_told() {
    let same = record("part", |_| {});
    let engines = ["--engines", "sync,threads", "--workers", "7"];
    let ran = bench(&[&["--against", text(&same), "--max-ratio", "1e6"], &engines[..]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr());
    let told = ran.stderr();
    assert!(told.contains("psm-uring: not compared: threads (7 workers) is not in "), "{told}");
    assert!(told.contains(" is not measured now\n"), "{told}");
}
