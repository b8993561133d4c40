//! The program as a sentence: open, list, survey, group, write, tell.
//!
//! - `session` one engine, and the reports that it makes
//! - `columns` which columns there are, and which memory file they need
//! - `output`  which form, and where to
//! - `progress` a line for somebody who watches
//! - `users`   which users are asked for, and their names
//! - `sharing` which processes run in the memory of others
//! - `missing` what a report lacks, and why
//! - `facts`   how a report was come by
//! - `clock`   how long it took
//! - `watch`   again and again
//! - `screen`  one report over the other
#![forbid(unsafe_code)]

mod clock;
mod columns;
mod facts;
mod missing;
mod output;
mod progress;
mod screen;
mod session;
mod sharing;
mod users;
mod watch;

use std::path::Path;

use self::clock::Clock;
pub(crate) use self::progress::Progress;
use self::session::Session;
use crate::cli::Options;
use crate::error::Error;
use crate::sys::proc_root::ProcRoot;
use crate::units::Pid;

/// How a run ended that printed its report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything is in it, or nobody insisted.
    Printed,
    /// Memory of some process is missing, and `--strict` was given.
    Incomplete,
    /// A limit that the caller set was exceeded.
    Exceeded,
}

/// Measures, and prints the report that the options ask for.
///
/// # Errors
/// There is no report, or not all of it was written.
pub fn run(options: &Options) -> Result<Outcome, Error> {
    if let Some(every) = options.watch {
        return watch::watch(options, every);
    }
    let mut clock = Clock::start();
    let mut session = Session::open(options)?;
    clock.phase("set up");
    session.report(options, &mut clock, |report| output::write(options, report))
}

/// Opens the directory of processes.
pub(crate) fn open_root(path: &Path) -> Result<ProcRoot, Error> {
    ProcRoot::open(path).map_err(|errno| Error::NoProc(path.to_owned(), errno))
}

/// Lists every process. There is at least our own.
pub(crate) fn list_all(root: &ProcRoot) -> Result<Vec<Pid>, Error> {
    let path = || root.path().to_owned();
    let pids = root.pids().map_err(|errno| Error::Listing(path(), errno))?;
    if pids.is_empty() { Err(Error::NoProcesses(path())) } else { Ok(pids) }
}
