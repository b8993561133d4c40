//! The table of faults in `docs/RELIABILITY.md`: the tests that it names exist, and it contains
//! every test of `tests/hostile`. Does not check the faults.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::support::failures::{Failures, check, check_eq};

/// The minimum number of faults with a test.
const FAULTS_MIN: usize = 48;

fn path(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of all tests in files below a directory.
fn tests_below(dir: &str) -> BTreeSet<String> {
    let test = Regex::new(r"#\[test\]\s*(?:#\[.*\]\s*)*fn ([a-z0-9_]+)\(").expect("a pattern");
    let (mut tests, mut waiting) = (BTreeSet::new(), vec![path(dir)]);
    while let Some(path) = waiting.pop() {
        if let Ok(entries) = std::fs::read_dir(&path) {
            waiting.extend(entries.map(|entry| entry.expect("a directory entry").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            tests.extend(test.captures_iter(&read(&path)).map(|found| found[1].to_owned()));
        }
    }
    tests
}

/// The number of each fault and the tests that show it.
fn faults() -> Vec<(usize, BTreeSet<String>)> {
    let name = Regex::new(r"`([a-z0-9_]+)`").expect("a pattern");
    let text = read(&path("docs/RELIABILITY.md"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let number = cells.get(1)?.parse().ok()?;
        assert_eq!(cells.len(), 6, "four cells: {line}");
        let names: BTreeSet<String> =
            name.captures_iter(cells[4]).map(|found| found[1].to_owned()).collect();
        assert!(!names.is_empty() || cells[4] == "no test", "a test, or `no test`: {line}");
        Some((number, names))
    };
    text.lines().filter_map(row).collect()
}

#[test]
fn every_named_test_exists() {
    let mut failures = Failures::new();
    let tests: BTreeSet<String> =
        ["tests", "src", "benches"].iter().flat_map(|dir| tests_below(dir)).collect();
    for (number, names) in faults() {
        for name in names {
            check!(failures, tests.contains(&name), "fault {number}: there is no test `{name}`");
        }
    }
}

#[test]
fn every_hostile_test_is_named() {
    let mut failures = Failures::new();
    let named: BTreeSet<String> = faults().into_iter().flat_map(|fault| fault.1).collect();
    for test in tests_below("tests/hostile") {
        // Not a test, but the entry of target processes.
        let is_named = test == "child" || named.contains(&test);
        check!(
            failures,
            is_named,
            "`{test}` is in no row of docs/RELIABILITY.md: say what it shows"
        );
    }
}

#[test]
fn faults_are_numbered_and_enough() {
    let mut failures = Failures::new();
    let faults = faults();
    for (n, (number, _)) in faults.iter().enumerate() {
        check_eq!(failures, *number, n + 1, "numbers go up one by one");
    }
    let shown = faults.iter().filter(|(_, names)| !names.is_empty()).count();
    assert!(shown >= FAULTS_MIN, "{shown} faults have a test, not {FAULTS_MIN}");
}
