//! The destination of the report: a reader that exits, a full disk, a closed descriptor; and the
//! output of `--stats`. Checks no figures.

use std::fs::{File, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use crate::support::{Ran, assert_one_line, output, program, skip, wait};

/// Runs on a fixture with standard output that is not a pipe of the test.
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

/// When the reader exits, SIGPIPE ends the program silently, as it ends others.
#[test]
fn closed_pipe_is_quiet() {
    for arguments in [&[][..], &["--total"], &["--by", "pid"], &["--engine", "sync"], &["-h"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = program();
        command.args(["--proc-root", "ordinary"]).args(arguments);
        let mut child = command.stdout(writer).stderr(Stdio::piped()).spawn().expect("it starts");
        let status = wait(&mut child, &command);
        assert_eq!(status.signal(), Some(libc::SIGPIPE), "{arguments:?}: {status}");
        let mut stderr = String::new();
        let mut pipe = child.stderr.take().expect("piped");
        std::io::Read::read_to_string(&mut pipe, &mut stderr).expect("a pipe can be read");
        assert_eq!(stderr, "", "{arguments:?}");
    }
}

/// If standard output is closed, the next opened file could take its descriptor; the program must
/// not write the report into that file, nor lose it silently.
#[test]
fn closed_standard_output_is_an_error() {
    for arguments in ["", "--total", "--help", "--version"] {
        let mut command = std::process::Command::new("sh");
        command.current_dir(crate::support::tree("ordinary"));
        let program = env!("CARGO_BIN_EXE_psm-uring");
        let line = format!("exec \"$0\" --proc-root . {arguments} >&-");
        command.args(["-c", &line, program]);
        let ran = output(command);
        assert_one_line(&ran, "Bad file descriptor");
        assert_eq!(ran.code, Some(1), "{arguments}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    for arguments in [&[][..], &["--total"]] {
        let Ok(full) = OpenOptions::new().write(true).open("/dev/full") else {
            return skip("a_full_disk_is_an_error", "there is no /dev/full");
        };
        let ran = run_into(full, arguments);
        assert_one_line(&ran, "No space left on device");
        assert_eq!(ran.code, Some(1), "{arguments:?}");
    }
}

#[test]
fn unwritable_output_is_an_error() {
    let read_only = File::open("/dev/null").expect("/dev/null");
    let ran = run_into(read_only, &[]);
    assert_one_line(&ran, "Bad file descriptor");
    assert_eq!(ran.code, Some(1));
}

/// A standard error that accepts no data does not lose the report.
#[test]
fn full_standard_error_ends_no_run() {
    let Ok(full) = OpenOptions::new().write(true).open("/dev/full") else {
        return skip("full_standard_error_ends_no_run", "there is no /dev/full");
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
