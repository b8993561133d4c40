//! What a report lacks, why, and whether it is a report at all.

use crate::cli::{Options, User};
use crate::error::Error;
use crate::process::{Coverage, Fate, Glimpse, Plan, ProcFile, Source};
use crate::program::{Column, Labels, Programs, TimedOut};
use crate::report::notes::{Access, Missing};
use crate::sys::privileges;
use crate::sys::privileges::Privileges;
use crate::sys::proc_root::ProcRoot;
use crate::units::{Errno, Pid};

/// The mount option of proc that may keep processes out of the report: all that were not listed,
/// or those asked for by id that are not there.
pub(super) fn hidepid(
    options: &Options,
    root: &ProcRoot,
    coverage: &Coverage,
    privileges: Privileges,
) -> Option<String> {
    let is_asked = options.pid.is_empty() || coverage.gone > 0;
    is_asked.then(|| root.hidepid(privileges)).flatten()
}

/// Nobody there is a mistake, not an empty report; nor is it a report when every read failed.
pub(super) fn check_outcome(
    options: &Options,
    coverage: &Coverage,
    missing: &[(Pid, Fate)],
    hidepid: Option<&str>,
) -> Result<(), Error> {
    let Coverage { measured, kernel_threads, gone, failed, .. } = *coverage;
    let listed = coverage.listed();
    if gone == listed && options.pid.is_empty() {
        return Err(Error::NoProcesses(options.proc_root.clone()));
    }
    if gone == listed {
        let pids = options.pid.clone();
        return Err(match hidepid {
            Some(option) => Error::Hidden(pids, option.to_owned()),
            None => Error::NoSuchProcess(pids),
        });
    }
    let failures = || {
        missing.iter().filter_map(|(pid, fate)| match fate {
            Fate::Failed(errno) => Some((*pid, *errno)),
            _ => None,
        })
    };
    // A lack of descriptors says nothing of any process: where none was measured it is the reason,
    // whatever became of the others.
    if measured == 0
        && let Some((pid, errno)) = failures().find(|(_, errno)| errno.is_lack_of_descriptors())
    {
        return Err(Error::NothingRead(pid, errno));
    }
    match failures().next() {
        Some((_, Errno::NOENT)) if measured == 0 && options.source == Source::Rollup => {
            Err(Error::NoRollup)
        }
        // Threads of the kernel are told without a read of theirs.
        Some((pid, errno)) if failed + gone + kernel_threads == listed => {
            Err(Error::NothingRead(pid, errno))
        }
        _ => Ok(()),
    }
}

/// What `status` tells of the processes that were given up. It never blocks.
pub(super) fn glimpses(root: &ProcRoot, missing: &[(Pid, Fate)]) -> Vec<TimedOut> {
    let status = |pid| root.read_once(ProcFile::Status, pid).unwrap_or_default();
    let timed_out = |(pid, _): &(Pid, Fate)| {
        let glimpse = Glimpse::from_status(&status(*pid));
        TimedOut { pid: *pid, name: glimpse.comm.clone(), glimpse }
    };
    missing.iter().filter(|(_, fate)| *fate == Fate::TimedOut).map(timed_out).collect()
}

/// Those that have a row though their memory is not known. The name that a filter wants may not be
/// known either: then comm stands for it. The others are told on standard error.
pub(super) fn with_row(plan: &Plan, timed_out: &[TimedOut], labels: &Labels<'_>) -> Vec<TimedOut> {
    let is_match = |comm: &[u8]| plan.filter.as_ref().is_none_or(|filter| filter.is_match(comm));
    let is_wanted =
        |one: &&TimedOut| is_match(&one.glimpse.comm) && plan.selects_owner(one.glimpse.uid);
    let label = |one: &TimedOut| TimedOut { name: labels.of_glimpse(&one.glimpse), ..one.clone() };
    timed_out.iter().filter(is_wanted).map(label).collect()
}

/// The users as they were asked for.
pub(super) fn user_words(options: &Options) -> String {
    options.user.iter().map(User::to_string).collect::<Vec<_>>().join(",")
}

/// What this user may look at.
pub(super) fn access(may: Privileges) -> Access {
    match may {
        _ if may.is_in_user_namespace => Access::Namespaced,
        _ if may.may_trace => Access::Full(privileges::security_modules().join(", ")),
        _ if may.is_root => Access::RootWithout,
        _ if may.may_perfmon => Access::Perfmon,
        _ => Access::Ordinary,
    }
}

/// What there is to say besides the report, for standard error.
pub(super) fn notes(
    options: &Options,
    columns: &[Column],
    missing: &Missing<'_>,
    programs: &Programs<'_>,
) -> Vec<String> {
    let mut lines = missing.lines();
    let is_swap = |column: &Column| matches!(column, Column::Swap | Column::Footprint);
    let is_shown = columns.iter().any(is_swap) && !options.total;
    if programs.swap_is_unshared && is_shown {
        let why = "this kernel has no SwapPss (4.3 or newer has)";
        lines.push(format!("SWAPPED counts shared pages whole in each process: {why}"));
    }
    lines
}
