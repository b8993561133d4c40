//! The program does not measure unselected processes: it reads fewer files.

use crate::program::grouping::grouped;
use crate::support::{output, program};

/// A filter reduces the number of memory files that the program reads.
#[test]
fn unselected_processes_are_not_read() {
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

/// Of processes of other users the program reads only `status`.
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
