//! `psm-uring bench` on a fixture: its output, its records, its comparisons, its errors. The test
//! does not check its times.

use std::path::{Path, PathBuf};

use crate::support::{Ran, TempDir, copy_dir, make_fifo, run, tree};
use serde_json::Value;

fn bench(arguments: &[&str]) -> Ran {
    let root = if arguments.contains(&"--proc-root") { &[][..] } else { &["--proc-root=ordinary"] };
    run(["bench", "-n", "2"].iter().chain(root).chain(arguments))
}

/// A file for this test only.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{name}.json"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of ours is UTF-8")
}

/// A record of `threads` and `sync`, with the changes of the test.
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
    for (key, kind) in
        [("host", true), ("kernel", true), ("machine", true), ("version", true), ("cpus", false)]
    {
        let value = &record["about"][key];
        assert!(value.is_string() == kind && value.is_number() != kind, "{key}: {value}");
    }
    assert_eq!(record["of"], serde_json::json!({ "source": "rollup", "rounds": 2 }));
    let runs = record["runs"].as_array().expect("a list");
    let (floor, engines) = runs.split_last().expect("a floor behind the engines");
    assert_eq!((&floor["name"], &floor["listed"]["all"]), (&"floor".into(), &vec![12, 12].into()));
    assert!(engines.len() >= 3, "{engines:?}");
    for one in engines {
        assert_eq!(one["measured"]["min"], 12, "{one}");
        for key in ["cpu_ns", "operations", "reads", "bytes"] {
            assert!(one[key]["median"].as_u64().is_some_and(|figure| figure > 0), "{key}: {one}");
        }
        for key in ["voluntary_switches", "involuntary_switches"] {
            assert!(one[key]["median"].is_u64(), "{key}: {one}");
        }
    }
    for one in runs {
        let wall = ["min", "median", "max"].map(|key| one["wall_ns"][key].as_u64());
        assert!(wall[0] > Some(0) && wall.is_sorted(), "{one}");
        assert_eq!(one["wall_ns"]["all"].as_array().map(Vec::len), Some(2), "{one}");
    }
}

#[test]
fn the_table_has_a_row_for_each() {
    let ran = bench(&["--engines", "threads,sync"]);
    let table = ran.stdout();
    let rows: Vec<Vec<&str>> =
        table.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    let first: Vec<&str> = rows.iter().filter_map(|row| row.first().copied()).collect();
    let engines = ["engine", "threads", "sync"];
    assert_eq!(first, [&engines[..], &["floor"], &engines].concat(), "{table}");
    assert!(table.starts_with("12 processes listed, rollup, 2 rounds; kernel "), "{table}");
    // Engine, workers, depth, time with its unit, range, time per process with its unit, ratios.
    let threads = &rows[1];
    assert_eq!((threads[2], threads[10]), ("-", "1.00"), "{table}");
    let above_zero = |word: &str| word.parse::<f64>().is_ok_and(|figure| figure > 0.0);
    assert!(above_zero(threads[8]) && above_zero(threads[11]), "{table}");
    // Engine, workers, depth, CPU time with its unit, ratio, part in user space, switches.
    assert_eq!(rows[5].last(), Some(&"switches"), "{table}");
    assert_eq!((rows[6].len(), rows[6][5]), (8, "1.00"), "{table}");
    assert!(table.lines().skip(1).all(|line| line.len() <= 80), "wider than a terminal\n{table}");
}

#[test]
fn worse_figures_are_named() {
    let same = record("same", |_| {});
    let against = ["--engines", "threads,sync", "--against"];
    let ran = bench(&[&against[..], &[text(&same), "--max-ratio", "1e6"]].concat());
    assert_eq!((ran.code, ran.stderr().as_str()), (Some(0), ""));
    let ratios =
        crate::support::sources::regex(r"(?m)^[a-z]+ \(\d workers\): .*, was .*: \d.* times$");
    assert_eq!(ratios.find_iter(&ran.stdout()).count(), 4, "{}", ran.stdout());
    let better = record("better", |record| {
        let median = &mut record["runs"][1]["operations"]["median"];
        *median = (median.as_u64().expect("a number") / 2).into();
    });
    let ran = bench(&[&against[..], &[text(&better), "--max-ratio", "1.9"]].concat());
    assert_eq!(ran.code, Some(4), "{}", ran.stderr());
    let line = ran.stderr();
    assert!(line.contains("psm-uring: sync (1 workers): "), "{line}");
    assert!(line.contains(" operations per process, was ") && line.contains(": 2.0"), "{line}");
}

#[test]
fn records_that_differ_in_kind_are_refused() {
    let same = record("refused", |_| {});
    let against = |more: &[&str]| bench(&[&["--against", text(&same)], more].concat());
    assert_refused(&against(&["--engines", "sync", "--source", "smaps"]), "it measured --source");
    let workers = ["--engines", "threads", "--workers", "7"];
    assert_refused(&against(&workers), "no engine, workers and depth in common, it has threads");
}

/// The error for a record of an earlier version names its schema, not a missing key.
#[test]
fn records_of_another_schema_are_refused() {
    for (name, text_of_file) in [
        ("older", r#"{"schema": "psm-uring.bench.v2", "host": {"cpus": 2}, "engines": []}"#),
        ("none", "{}"),
    ] {
        let path = file(name);
        std::fs::write(&path, text_of_file).expect("a file of ours");
        let ran = bench(&["--against", text(&path)]);
        assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""), "{}", ran.stderr());
        let line = ran.stderr();
        assert!(line.contains("as a record of bench") && line.contains("its schema is "), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
}

/// The floor has no timeouts: it would wait forever.
#[test]
fn stuck_processes_end_it() {
    let copy = TempDir::new("bench-stuck");
    copy_dir(&tree("ordinary"), copy.path());
    let file = copy.path().join("101/smaps_rollup");
    std::fs::remove_file(&file).expect("it was copied");
    make_fifo(&file);
    for engine in ["auto", "threads"] {
        let ran = bench(&["--proc-root", text(copy.path()), "--engines", engine]);
        assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""), "{}", ran.stderr());
        let line = ran.stderr();
        let why = "PID 101 is stuck; bench has no timeout and would wait without end: run it on a \
                   host without stuck processes";
        assert!(line.contains(why) && line.lines().count() == 1, "{line}");
    }
}

/// The comparison names engines that only one record contains, and compares the others.
#[test]
fn engines_that_are_not_compared_are_named() {
    let same = record("part", |_| {});
    let engines = ["--engines", "sync,threads", "--workers", "7"];
    let ran = bench(&[&["--against", text(&same), "--max-ratio", "1e6"], &engines[..]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr());
    let notes = ran.stderr();
    assert!(notes.contains("psm-uring: not compared: threads (7 workers) is not in "), "{notes}");
    assert!(notes.contains(" is not measured now\n"), "{notes}");
}

/// Each engine in three ways, which the ratios compare.
#[test]
fn a_watch_is_measured_in_three_ways() {
    let ran = bench(&["--watch", "--engines", "threads,sync"]);
    assert_eq!((ran.code, ran.stderr().as_str()), (Some(0), ""));
    let table = ran.stdout();
    let rows = table.lines().skip(2).map(|line| line.split_once("  ").expect("a row").0);
    let ways = ["threads, opens", "threads, names", "threads, watch"];
    let of_sync = ["sync, opens", "sync, names", "sync, watch"];
    assert_eq!(rows.collect::<Vec<_>>(), [ways, of_sync].concat(), "{table}");
    let json = bench(&["--watch", "--engines", "sync", "--json"]);
    let record: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(record["runs"].as_array().map(Vec::len), Some(3));
    assert_eq!(record["of"]["watch"], true);
    assert_eq!(bench(&["--watch", "--against", "x"]).code, Some(2));
}
