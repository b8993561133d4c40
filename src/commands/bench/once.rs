//! One survey in a process of its own, so that it finds what a run of the program finds: no worker
//! of a ring before it, no thread, no warm memory of ours.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{BenchOptions, Candidate};
use crate::engine::{Survey, Surveyor, Timeouts};
use crate::error::{self, Error};
use crate::process::{Fate, Plan};
use crate::run::{list_all, open_root};
use crate::sys::this_process;
use crate::units::{Errno, Pid};

/// Healthy hosts only: the floor would wait for a stuck process for ever.
const STUCK_AFTER: Duration = Duration::from_secs(2);

/// What one survey took and did.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(super) struct Once {
    /// To set the engine up and to survey.
    pub(super) time: Duration,
    /// CPU time of all threads in user space, the kernel's workers among them.
    pub(super) user: Duration,
    /// The same in the kernel.
    pub(super) system: Duration,
    pub(super) measured: usize,
    /// Processes whose memory it should have measured, and did not.
    pub(super) unknown: usize,
    pub(super) operations: u64,
    pub(super) enters: u64,
    pub(super) reads: u64,
    pub(super) bytes: u64,
}

impl Once {
    /// Sets the engine up and surveys once, in this process.
    pub(super) fn measure(candidate: &Candidate, options: &BenchOptions) -> Result<Once, Error> {
        let root = open_root(&options.proc_root)?;
        let pids = list_all(&root)?;
        let plan = Plan { source: options.source, ..Plan::default() };
        let timeouts = Timeouts { stuck_after: STUCK_AFTER, deadline: None };
        let (began, (user, system)) = (Instant::now(), this_process::cpu_times());
        let mut surveyor = Surveyor::open(candidate.kind, &root, candidate.tuning)?;
        let survey = surveyor.survey(&pids, &plan, &timeouts)?;
        let (time, (user_now, system_now)) = (began.elapsed(), this_process::cpu_times());
        // Not dropped: the process ends without waiting for anything.
        std::mem::forget(surveyor);
        check_all_answer(&survey)?;
        let io = survey.io();
        Ok(Once {
            time,
            user: user_now.saturating_sub(user),
            system: system_now.saturating_sub(system),
            measured: survey.coverage().measured,
            unknown: survey.coverage().unknown(),
            operations: io.operations,
            enters: io.enters,
            reads: io.reads,
            bytes: io.bytes,
        })
    }

    /// The same in a process of its own.
    pub(super) fn run(candidate: &Candidate, options: &BenchOptions) -> Result<Once, Error> {
        let label = candidate.label();
        let cannot = |why: &dyn std::fmt::Display| Error::Bench(format!("{label}: {why}"));
        let mut command = Command::new("/proc/self/exe");
        command.stdin(Stdio::null()).args(arguments(candidate, options));
        let output = command.output().map_err(|error| {
            let errno = Errno::from(error);
            let remedy = error::start_remedy(errno).unwrap_or("check that /proc is mounted");
            cannot(&format!("cannot start it: {errno}; {remedy}"))
        })?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr);
            let told = told.trim().trim_start_matches("psm-uring: ");
            return Err(cannot(&format!("{told} ({})", output.status)));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| cannot(&error))
    }

    pub(super) fn to_json(self) -> String {
        // Numbers only: there is nothing in it that JSON cannot hold.
        serde_json::to_string(&self).unwrap_or_default()
    }
}

fn check_all_answer(survey: &Survey) -> Result<(), Error> {
    let is_stuck = |(_, fate): &&(Pid, Fate)| *fate == Fate::TimedOut;
    let Some((pid, _)) = survey.missing().iter().find(is_stuck).copied() else { return Ok(()) };
    Err(Error::Bench(format!(
        "PID {pid} does not answer; bench reads without giving up and would wait for ever: run it \
         where nothing is stuck"
    )))
}

/// The command line of a process that measures once.
fn arguments<'a>(candidate: &Candidate, options: &'a BenchOptions) -> Vec<std::ffi::OsString> {
    let Candidate { kind, tuning, .. } = candidate;
    let root: &'a Path = &options.proc_root;
    let mut words = vec!["bench".into(), "--once".into(), "--proc-root".into(), root.into()];
    let source = super::source_word(options.source);
    words.extend(["--source", source, "--engines", kind.word()].map(Into::into));
    words.push(format!("--workers={}", tuning.workers).into());
    words.push(format!("--depth={}", tuning.depth).into());
    words
}
