//! Threads of the kernel that take CPU time from measured processes.

use std::fs;

use rustix::process::Pid;

use super::sys;

/// The threads of the kernel, which are the children of kthreadd.
pub(crate) fn kernel_threads() -> Vec<Pid> {
    let threads = fs::read_to_string("/proc/2/task/2/children").unwrap_or_default();
    let pids = threads.split_whitespace().filter_map(|pid| pid.parse().ok());
    pids.filter_map(Pid::from_raw).collect()
}

/// Threads that sample memory for DAMON, which run on idle CPUs alone until the end (`SCHED_IDLE`),
/// and the policy that each had. Beside 10,000 processes one takes up to half of two CPUs, now from
/// one command, now from another, and 2 ms at a time from a reader that holds a lock, at nice 19
/// too. Only a run that a signal ends leaves them there.
pub(crate) struct QuietMonitors(Vec<(Pid, i32)>);

impl QuietMonitors {
    pub(crate) fn start() -> QuietMonitors {
        let is_monitor = |pid: &Pid| {
            let comm = fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero()));
            comm.is_ok_and(|comm| comm.starts_with("kdamond"))
        };
        let quiet = kernel_threads().into_iter().filter(is_monitor).filter_map(|pid| {
            let had = sys::policy(pid)?;
            sys::set_policy(pid, libc::SCHED_IDLE).is_ok().then_some((pid, had))
        });
        QuietMonitors(quiet.collect())
    }
}

impl Drop for QuietMonitors {
    fn drop(&mut self) {
        for (pid, had) in &self.0 {
            // It may have ended.
            let _ = sys::set_policy(*pid, *had);
        }
    }
}
