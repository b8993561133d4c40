//! The submitting thread never opens or reads a file of a target, because either call can block
//! forever in a stuck process. `strace` checks this from outside.

use std::path::PathBuf;
use std::process::Command;

use crate::support::child::Target;
use crate::support::failures::{Failures, check, check_eq};
use crate::support::survey::has_uring;
use crate::support::{output, skip};
use regex::Regex;

const CALLS: &str =
    "execve,open,openat,openat2,read,pread64,readv,preadv,preadv2,readlink,readlinkat";

/// A file that is removed on drop.
struct Trace(PathBuf);

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Runs the program under strace. `None` if strace is missing or may not trace.
fn trace(arguments: &[&str]) -> Option<String> {
    let name = format!("psm-uring-trace-{}-{:?}", std::process::id(), std::thread::current().id());
    let file = Trace(std::env::temp_dir().join(name.replace(['(', ')'], "")));
    let strace = |program: &str| {
        let mut command = Command::new("strace");
        let calls = format!("trace={CALLS},io_uring_enter");
        command.args(["-f", "-y", "-s", "64", "-e", &calls, "-o"]);
        command.arg(&file.0).arg(program);
        command
    };
    // Missing, or not allowed to trace (containers): the test proves nothing.
    let tried = strace("true").output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        return None;
    }
    let mut command = strace(env!("CARGO_BIN_EXE_psm-uring"));
    command.args(arguments);
    let ran = output(command);
    assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.stderr());
    let text = std::fs::read(&file.0).expect("the trace");
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// Calls of the main thread that touch a file of another process: by path, absolute or below an
/// open `/proc`, or by descriptor. Listing threads, reading sizes and reading its own descriptors
/// are allowed.
fn touches(trace: &str) -> Vec<String> {
    let path = regex(r#""(?:/proc/|\./)?([0-9]+)/(?:task/[0-9]+/)?([a-z_]+)""#);
    let descriptor = regex(r"^[a-z0-9]+\([0-9]+</proc/([0-9]+)/(?:task/[0-9]+/)?([a-z_]+)");
    let line_of = regex(r"^([0-9]+) +(.*)$");
    let lines = || trace.lines().filter_map(|line| line_of.captures(line));
    let main = lines().next().expect("the trace begins with execve")[1].to_owned();
    let mut found = Vec::new();
    for line in lines().filter(|line| line[1] == main) {
        let call = &line[2];
        let touched = path.captures(call).or_else(|| descriptor.captures(call));
        let is_touched =
            touched.is_some_and(|file| file[1] != main && !matches!(&file[2], "task" | "statm"));
        found.extend(is_touched.then(|| call.to_owned()));
    }
    found
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a regular expression")
}

#[test]
fn the_loop_thread_touches_no_target() {
    const TEST: &str = "the_loop_thread_touches_no_target";
    if !has_uring(TEST) {
        return;
    }
    let targets = [
        Target::stopped("touch 100"),
        Target::stopped_as(b"", "touch 100"),
        Target::stopped("mappings 500"),
        Target::stopped("leaderless 100"),
        Target::start_as(b"zombie", "exit"),
    ];
    targets[4].wait_for_state(targets[4].pid(), 'Z');
    let mut pids: Vec<String> = targets.iter().map(|target| target.pid().to_string()).collect();
    pids.extend(targets[3].children(1, 'Z').iter().map(ToString::to_string));
    let list = pids.join(",");
    for options in [
        &[][..],
        &["--depth", "1"],
        &["--name", "exe"],
        &["--name", "comm"],
        &["--name", "script"],
        &["--by", "unit"],
        &["--by", "user", "--filter", "target"],
        &["--filter", "target"],
        &["--by", "pid", "--output", "ndjson"],
        &["--source", "smaps"],
        &["--heap", "--filter", "target", "--name", "cmdline"],
    ] {
        let with = |engine| [&["--pid", &list, "--engine", engine][..], options].concat();
        let Some(traced) = trace(&with("uring")) else {
            return skip(TEST, "strace is missing, or may not trace here");
        };
        let touched = touches(&traced);
        assert!(touched.is_empty(), "{options:?}\n{}", touched.join("\n"));
    }
    // The same check must detect an engine that does touch its targets.
    let sync = trace(&["--pid", &list, "--engine", "threads", "--workers", "1"]);
    let sync = sync.expect("strace was there before");
    assert!(sync.contains("smaps_rollup"), "the trace of threads shows no reads:\n{sync}");
}

/// The workers get requests while the loop thread reads the sizes of further processes.
#[test]
fn workers_do_not_wait_for_all_sizes() {
    const TEST: &str = "workers_do_not_wait_for_all_sizes";
    /// 32 entries are eight chains or, where CPUs are contended, the opens of sixteen processes.
    const AT_ONCE: usize = 16;
    /// Eight entries.
    const AT_FIRST: usize = 4;
    if !has_uring(TEST) {
        return;
    }
    let targets: Vec<Target> = (0..3 * AT_ONCE).map(|_| Target::stopped("touch 1")).collect();
    let pids: Vec<String> = targets.iter().map(|target| target.pid().to_string()).collect();
    let Some(traced) = trace(&["--pid", &pids.join(","), "--engine", "uring"]) else {
        return skip(TEST, "strace is missing, or may not trace here");
    };
    let submission = regex(r"io_uring_enter\([^,]*, [1-9]");
    let mut by_submission = vec![0];
    for line in traced.lines() {
        match by_submission.last_mut() {
            Some(sizes) if line.contains("/statm\", ") => *sizes += 1,
            _ if submission.is_match(line) => by_submission.push(0),
            _ => {}
        }
    }
    let sizes: usize = by_submission.iter().sum();
    // A process without the right to walk reads no sizes.
    if sizes == 0 {
        return skip(TEST, "the sizes of processes are not read here");
    }
    assert_eq!(sizes, pids.len(), "sizes by submission: {by_submission:?}");
    let is_early = by_submission.iter().all(|count| *count <= AT_ONCE);
    assert!(is_early, "sizes by submission: {by_submission:?}");
    let first = by_submission.iter().find(|count| **count > 0).copied();
    assert!(first <= Some(AT_FIRST), "sizes by submission: {by_submission:?}");
    let before = traced.lines().take_while(|line| !line.contains("/statm\", "));
    let looks: Vec<_> = before.filter(|line| line.contains("/self/task\"")).collect();
    assert!(looks.is_empty(), "looks at workers that have no request: {looks:?}");
}

/// Classifies calls as touching or not, on lines as strace prints them.
#[test]
fn touching_is_seen() {
    let mut failures = Failures::new();
    for (call, is_touch) in [
        (r#"openat(3</proc>, "123/smaps_rollup", O_RDONLY) = 5</proc/123/smaps_rollup>"#, true),
        (r#"openat(3</proc>, "123/task/124/cmdline", O_RDONLY) = -1 EACCES"#, true),
        (r#"openat(AT_FDCWD</root>, "/proc/123/status", O_RDONLY) = 5</proc/123/status>"#, true),
        (r#"readlink("/proc/123/exe", "/bin/x", 64) = 6"#, true),
        (r#"pread64(5</proc/123/smaps>, "5", 1, 0) = 1"#, true),
        (r#"read(5</proc/123/task/124/comm>, "x\n", 64) = 2"#, true),
        (r#"openat(3</proc>, "123/task", O_RDONLY|O_DIRECTORY) = 5</proc/123/task>"#, false),
        (r#"openat(3</proc>, "123/statm", O_RDONLY) = 5</proc/123/statm>"#, false),
        (r#"readlink("/proc/self/fd/5", "/usr/bin/x", 64) = 10"#, false),
        (r#"read(5</proc/9/cgroup>, "0::/\n", 64) = 5"#, false),
        (r#"openat(AT_FDCWD</root>, "/lib/libc.so.6", O_RDONLY) = 3</lib/libc.so.6>"#, false),
    ] {
        let trace = format!("9     execve(\"/bin/psm-uring\") = 0\n9     {call}\n");
        check_eq!(failures, touches(&trace).len(), usize::from(is_touch), "{call}");
        let other = format!("9     execve(\"/bin/psm-uring\") = 0\n10    {call}\n");
        check!(failures, touches(&other).is_empty(), "a thread that is not the loop: {call}");
    }
}
