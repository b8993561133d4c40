//! The parts of a bench that `psm-uring bench` does not need: a tiny run with the tests, and the
//! commit in a record. Rounds, records and tables are those of `psm_uring::commands::bench`.

#![allow(dead_code, unreachable_pub)] // Each bench uses its part.

use std::fs;

use clap::Args;
use psm_uring::commands::bench::record::about;
use rustix::process::{Pid, getpriority_process, setpriority_process};
use serde_json::Value;

/// Whether this is `cargo test`, which runs each bench once, tiny, so that it stays in working
/// order. `cargo bench` passes `--bench`.
pub fn is_test() -> bool {
    !std::env::args().any(|arg| arg == "--bench")
}

/// The facts about a record that only its caller knows.
#[derive(Args, Clone, Debug)]
pub struct Labels {
    /// For the record: the commit that was built
    #[arg(long, default_value = "")]
    commit: String,

    /// For the record: the day
    #[arg(long, default_value = "")]
    date: String,
}

impl Labels {
    /// The head of a record that is published: without the name of the host and the suffix of the
    /// distributor's kernel.
    pub fn about(&self) -> Value {
        let mut about = about();
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let release =
            about["kernel"].as_str().and_then(|release| release.split(|c| !is_number(c)).next());
        about["kernel"] = release.into();
        about["host"] = "".into();
        about["commit"] = self.commit.as_str().into();
        about["date"] = self.date.as_str().into();
        about["memory_mib"] = (rustix::system::sysinfo().totalram as u64 >> 20).into();
        about
    }
}

/// The threads of the kernel, which are the children of kthreadd.
pub fn kernel_threads() -> Vec<Pid> {
    let threads = fs::read_to_string("/proc/2/task/2/children").unwrap_or_default();
    let pids = threads.split_whitespace().filter_map(|pid| pid.parse().ok());
    pids.filter_map(Pid::from_raw).collect()
}

/// Threads of the kernel that sample memory for DAMON, at the lowest priority until the end, and
/// the priority that each had. Beside 10,000 processes one takes up to half of two CPUs, now from
/// one command, now from another. Only a run that a signal ends leaves them there.
pub struct QuietMonitors(Vec<(Pid, i32)>);

impl QuietMonitors {
    pub fn start() -> QuietMonitors {
        const LOWEST: i32 = 19;
        let is_monitor = |pid: &Pid| {
            let comm = fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero()));
            comm.is_ok_and(|comm| comm.starts_with("kdamond"))
        };
        let quiet = kernel_threads().into_iter().filter(is_monitor).filter_map(|pid| {
            let had = getpriority_process(Some(pid)).ok()?;
            setpriority_process(Some(pid), LOWEST).is_ok().then_some((pid, had))
        });
        QuietMonitors(quiet.collect())
    }
}

impl Drop for QuietMonitors {
    fn drop(&mut self) {
        for (pid, had) in &self.0 {
            // It may have ended.
            let _ = setpriority_process(Some(*pid), *had);
        }
    }
}
