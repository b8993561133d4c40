//! The program does not measure unselected processes: it reads fewer files.

use crate::program::grouping::grouped;
use crate::support::{output, program, run};

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

/// `/proc` opens threads, which have the memory of their process.
#[test]
fn a_thread_stands_for_its_process() {
    let own = std::process::id();
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let (ids, id) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        ids.send(psm_uring::sys::threads::thread_id()).expect("a receiver");
        receiver.recv()
    });
    let other = id.recv().expect("an id");
    for list in [format!("{own},{other}"), other.to_string()] {
        let ran = run(["-p", &list, "--by", "pid", "--columns", "pid", "--no-header"]);
        let text = ran.stdout();
        assert_eq!(text.lines().next().map(str::trim), Some(own.to_string().as_str()), "{text}");
        assert_eq!(text.lines().count(), 2, "a row and the total: {text}");
        let note = format!("PID {other} (of process {own}) is a thread; its process counts, once");
        assert!(ran.stderr().contains(&note), "{}", ran.stderr());
    }
    drop(sender);
    drop(thread.join());
}
