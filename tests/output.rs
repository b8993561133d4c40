//! Where the report goes: a reader that leaves, a disk that is full, a descriptor that is closed;
//! and what `--stats`, `--help` and `--version` say. Knows nothing of the numbers.

mod support;

use std::fs::{File, OpenOptions};
use std::process::Stdio;

use support::{Ran, output, program, run, skip, wait};

/// Runs on a fixture with standard output at something that is not a pipe of ours.
fn run_into(stdout: impl Into<Stdio>, arguments: &[&str]) -> Ran {
    let mut command = program();
    command.args(["--proc-root", "ordinary"]).args(arguments);
    let mut child = command.stdout(stdout).stderr(Stdio::piped()).spawn().expect("it starts");
    let status = wait(&mut child, &command);
    let mut stderr = Vec::new();
    let mut pipe = child.stderr.take().expect("piped");
    std::io::Read::read_to_end(&mut pipe, &mut stderr).expect("a pipe can be read");
    Ran { stdout: Vec::new(), stderr, code: status.code() }
}

fn assert_one_line(ran: &Ran, words: &str) {
    let text = ran.stderr();
    assert!(text.starts_with("psm-uring: ") && text.contains(words), "{text}");
    assert_eq!((text.matches('\n').count(), text.ends_with('\n')), (1, true), "{text}");
}

#[test]
fn closed_pipe_is_quiet() {
    for arguments in [&[][..], &["--total"], &["--by", "pid"], &["--engine", "sync"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let ran = run_into(writer, arguments);
        assert_eq!(ran.stderr(), "", "{arguments:?}");
        assert!(matches!(ran.code, Some(0 | 1)), "{arguments:?}: {:?}", ran.code);
    }
}

#[test]
fn full_disk_is_told() {
    for arguments in [&[][..], &["--total"]] {
        let Ok(full) = OpenOptions::new().write(true).open("/dev/full") else {
            return skip("full_disk_is_told", "there is no /dev/full");
        };
        let ran = run_into(full, arguments);
        assert_one_line(&ran, "No space left on device");
        assert_eq!(ran.code, Some(1), "{arguments:?}");
    }
}

#[test]
fn output_that_takes_nothing_is_told() {
    let read_only = File::open("/dev/null").expect("/dev/null");
    let ran = run_into(read_only, &[]);
    assert_one_line(&ran, "Bad file descriptor");
    assert_eq!(ran.code, Some(1));
}

/// Standard error that takes nothing is no reason to lose the report.
#[test]
fn full_standard_error_is_survived() {
    let Ok(full) = OpenOptions::new().write(true).open("/dev/full") else {
        return skip("full_standard_error_is_survived", "there is no /dev/full");
    };
    let mut command = program();
    command.args(["--proc-root", "vanished", "--stats"]);
    let mut child = command.stdout(Stdio::piped()).stderr(full).spawn().expect("it starts");
    let status = wait(&mut child, &command);
    let mut stdout = String::new();
    let mut pipe = child.stdout.take().expect("piped");
    std::io::Read::read_to_string(&mut pipe, &mut stdout).expect("a pipe can be read");
    assert_eq!(status.code(), Some(0));
    assert!(stdout.contains("TOTAL USED BY PROCESSES"), "{stdout}");
}

/// Nothing is written but the report and the notes: not to a terminal, not to a file.
#[test]
fn help_and_version_go_to_standard_output() {
    for (argument, part) in
        [("--help", "Examples:"), ("-h", "Examples:"), ("--version", "psm-uring ")]
    {
        let ran = run([argument]);
        assert!(ran.stdout().contains(part), "{}", ran.stdout());
        assert_eq!((ran.stderr().as_str(), ran.code), ("", Some(0)));
    }
}

#[test]
fn stats_name_every_fact() {
    for engine in ["sync", "threads", "auto"] {
        let ran = run(["--proc-root", "kernel-threads", "--stats", "--engine", engine]);
        let text = ran.stderr();
        for key in
            ["engine", "workers", "source", "processes", "operations", "time", "CPU", "peak memory"]
        {
            assert!(
                text.lines().any(|line| line.starts_with(key)),
                "{engine}: no {key} in\n{text}"
            );
        }
        let processes = "6 listed: 2 measured, 3 kernel threads, 1 zombies";
        assert!(text.contains(processes), "{engine}:\n{text}");
        let plain = run(["--proc-root", "kernel-threads", "--engine", engine]);
        assert_eq!(ran.stdout, plain.stdout, "--stats changes nothing in the report");
        assert_eq!(plain.stderr(), "", "nothing was left out, so nothing is said");
    }
}

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
