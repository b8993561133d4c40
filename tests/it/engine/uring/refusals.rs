//! A kernel that refuses `io_uring_enter` occasionally or permanently: `strace` injects the errors.
//! The engine loses nothing, counts nothing twice, and the table is identical to the byte.

use std::os::unix::fs::symlink;
use std::process::Command;

use crate::support::failures::{Failures, check, check_eq};
use crate::support::survey::has_uring;
use crate::support::{Ran, TempDir, output, program, skip, tree};

/// More processes than queue entries, so that the queue fills repeatedly.
const PROCESSES: u32 = 600;

/// Many links to one process of a fixture.
fn crowd(name: &str) -> TempDir {
    let crowd = TempDir::new(name);
    for n in 0..PROCESSES {
        symlink(tree("ordinary/111"), crowd.path().join((1000 + n).to_string())).expect("a link");
    }
    crowd
}

/// Runs the program on the crowd, with a result injected into its calls of `io_uring_enter`.
fn inject(crowd: &TempDir, fault: &str, engine: &str) -> Ran {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=io_uring_enter"]);
    command.args(["-e", &format!("inject=io_uring_enter:{fault}"), "--"]);
    command.arg(program().get_program());
    command
        .args(["--depth", "256", "--stats", "--engine", engine, "--proc-root"])
        .arg(crowd.path());
    output(command)
}

fn may_inject(test: &str) -> bool {
    let tried = Command::new("strace").args(["-f", "-qq", "true"]).output();
    let may = tried.is_ok_and(|tried| tried.status.success());
    if !may {
        skip(test, "strace is missing, or may not trace here");
    }
    may && has_uring(test)
}

#[test]
fn refusals_that_end_lose_nothing() {
    let mut failures = Failures::new();
    if !may_inject("refusals_that_end_lose_nothing") {
        return;
    }
    let crowd = crowd("refusals");
    let expected =
        crate::support::run(["--engine", "sync", "--proc-root", &crowd.path().to_string_lossy()]);
    for fault in [
        "error=EINTR:when=2+3",
        "error=EAGAIN:when=3+2",
        "error=EAGAIN:when=5..40",
        "error=EBUSY:when=4+2",
        "retval=0:when=3+2",
    ] {
        let ran = inject(&crowd, fault, "uring");
        check_eq!(failures, ran.code, Some(0), "{fault}: {}", ran.stderr());
        check_eq!(failures, ran.stdout(), expected.stdout(), "{fault}: {}", ran.stderr());
        check!(
            failures,
            ran.stderr().contains("600 listed: 600 measured"),
            "{fault}: {}",
            ran.stderr()
        );
    }
}

/// The first enters succeed; then the threads finish the rest.
#[test]
fn refusals_for_good_end_the_ring() {
    let mut failures = Failures::new();
    if !may_inject("refusals_for_good_end_the_ring") {
        return;
    }
    let crowd = crowd("for-good");
    let expected =
        crate::support::run(["--engine", "sync", "--proc-root", &crowd.path().to_string_lossy()]);
    for (fault, reason) in [
        ("error=EINTR:when=6+", "Interrupted system call"),
        ("error=EAGAIN:when=4+", "Resource temporarily unavailable"),
        ("error=EBUSY:when=9+", "Device or resource busy"),
        ("error=EBADF:when=3+", "Bad file descriptor"),
        ("error=ENOMEM:when=7+", "Cannot allocate memory"),
        // The kernel took part of the queue: a chain may be torn.
        ("retval=1:when=5+", "Cannot allocate memory"),
    ] {
        let ran = inject(&crowd, fault, "auto");
        check_eq!(failures, ran.code, Some(0), "{fault}: {}", ran.stderr());
        check_eq!(failures, ran.stdout(), expected.stdout(), "{fault}: {}", ran.stderr());
        let engine = ran.stat("engine");
        check!(
            failures,
            engine.starts_with("threads (uring: ") && engine.contains(reason),
            "{engine}"
        );
        let ran = inject(&crowd, fault, "uring");
        check_eq!(failures, (ran.code, ran.stdout().as_str()), (Some(1), ""), "{fault}");
        check!(failures, ran.stderr().contains(reason), "{fault}: {}", ran.stderr());
    }
}
