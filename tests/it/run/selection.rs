//! What is not selected is not measured: fewer files are read.

use crate::program::grouping::grouped;
use crate::support::{output, program};

/// What is not selected is not measured: with a filter fewer memory files are read.
#[test]
fn what_is_not_selected_is_not_read() {
    let bytes = |arguments: &[&str]| {
        let mut command = program();
        command.args(["--proc-root", "ordinary", "--stats", "--engine", "sync"]).args(arguments);
        let text = output(command).stderr();
        let line = text.lines().find(|line| line.starts_with("operations")).expect("a line");
        let words: Vec<&str> = line.split_whitespace().collect();
        let place = words.iter().position(|word| *word == "bytes").expect("bytes");
        words[place - 1].parse::<u64>().expect("a number")
    };
    let (all, one, none) = (bytes(&[]), bytes(&["-f", "^java$"]), bytes(&["-f", "nothing"]));
    assert!(none < 2000 && none < one, "names alone: {none} of {all} bytes");
    assert!(one < none + 1500, "one rollup: {one} of {all} bytes");
}

/// What is not selected is not measured: of others only `status` is read.
#[test]
fn other_users_are_not_read() {
    let reads = |user: &str| {
        let text = grouped(["--stats", "-u", user]).stderr();
        let line = text.lines().find(|line| line.starts_with("operations")).expect("a line");
        let words: Vec<&str> = line.split_whitespace().collect();
        let place = words.iter().position(|word| *word == "reads,").expect("reads");
        words[place - 1].parse::<usize>().expect("a number")
    };
    let processes = 21;
    assert_eq!(reads("4242"), processes, "a status each");
    assert_eq!(reads("1001"), processes + 2, "one more with name and memory");
    assert_eq!(reads("1001,33,33"), processes + 4);
}
