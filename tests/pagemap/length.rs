//! The length of windows on a slow host: `strace` delays the calls that bring them.

use std::process::Command;

use super::alone;
use super::parties::reads_and_bytes;
use super::support::{output, skip};
use super::zoo::Zoo;

const MIB: u64 = 208;
/// The reads with two windows each of 24, 20, 16 and 12 KiB, and then of 8 KiB, which describe 4
/// MiB. With windows of 24 KiB alone there are about 25.
const READS_MIN: u64 = 8 + (MIB - 72) / 4;

/// Walks the process with a delay of a millisecond within the time of a read, or of the wait for
/// one. Returns the number of reads.
fn reads(engine: &str, pid: &str) -> u64 {
    const CALLS: &str = "pread64,io_uring_enter";
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={CALLS}")]);
    strace.args(["-e", &format!("inject={CALLS}:delay_exit=1000")]);
    strace.arg(env!("CARGO_BIN_EXE_psm-uring"));
    strace.args(["--source=pagemap", "--stats", "-p", pid, "--engine", engine]);
    reads_and_bytes(&output(strace).stderr()).0
}

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
        let reads = reads(engine, &pid);
        assert!(reads >= READS_MIN, "{engine}: {reads} reads, {READS_MIN} at the least");
    }
}
