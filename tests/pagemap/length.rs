//! The length of windows on a slow host: `strace` delays the calls that bring them.

use std::process::Command;

use super::alone;
use super::support::{output, skip};
use super::zoo::Zoo;

const MIB: u64 = 208;
/// The reads with two windows each of 24, 20, 16 and 12 KiB, and then of 8 KiB, which describe 4
/// MiB. With windows of 24 KiB alone there are about 25.
const READS_MIN: u64 = 8 + (MIB - 72) / 4;

/// Walks the process under `strace`. Returns the number of reads.
fn reads(engine: &str, pid: &str, options: &[&str]) -> u64 {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=pread64,io_uring_enter"]);
    strace.args(options).arg(env!("CARGO_BIN_EXE_psm-uring"));
    strace.args(["--source=pagemap", "--stats", "-p", pid, "--engine", engine]);
    let told = output(strace).stderr();
    // `operations  2 in 10 enters, 1 reads, 30 bytes`
    let line = told.lines().find(|line| line.starts_with("operations"));
    let count = line.and_then(|line| line.split_whitespace().rev().nth(3));
    count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{told}"))
}

/// The delay is within the time of a read, and of the wait for one.
#[test]
fn windows_are_short_on_a_slow_host() {
    const TEST: &str = "length::windows_are_short_on_a_slow_host";
    let _alone = alone();
    let tried = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        return skip(TEST, "strace cannot trace here");
    }
    let zoo = match Zoo::start(&["anon", &MIB.to_string()]) {
        Ok(zoo) => zoo,
        Err(why) => return skip(TEST, &why),
    };
    let pid = zoo.pids()[0].to_string();
    for engine in ["sync", "threads", "auto"] {
        let delay = ["-e", "inject=pread64,io_uring_enter:delay_exit=1000"];
        let slow = reads(engine, &pid, &delay);
        assert!(slow >= READS_MIN, "{engine}: {slow} reads, {READS_MIN} at the least");
    }
}
