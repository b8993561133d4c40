//! Processes without figures: the reasons, and whether there is a report without them.

use regex::bytes::Regex;

use super::settings::Settings;
use crate::engine::Survey;
use crate::error::Error;
use crate::process::{Coverage, Fate, Glimpse, Plan, ProcFile, Source};
use crate::program::{Column, Programs, TimedOut};
use crate::report::notes::{Access, Missing};
use crate::sys::keeper_client::{self, Right};
use crate::sys::privileges::{self, Privileges};
use crate::sys::proc_root::HidePid;
use crate::units::{Errno, Pid};

/// The processes of a survey that were not measured.
pub(super) struct Unmeasured {
    pub(super) coverage: Coverage,
    fates: Vec<(Pid, Fate)>,
    /// Those that timed out, with the figures of `status`.
    timed_out: Vec<TimedOut>,
    /// The mount option of proc that may hide processes.
    hidepid: Option<String>,
    access: Access,
}

impl Unmeasured {
    /// Finds the processes without figures, and the reasons.
    ///
    /// # Errors
    /// There is no report: no process exists, or every read failed.
    pub(super) fn find(settings: &Settings, survey: &Survey) -> Result<Unmeasured, Error> {
        let (coverage, fates) = (survey.coverage(), survey.missing());
        let privileges = privileges::privileges();
        // The option hides processes from the list, or one named by id that is not found, or
        // refuses them.
        let may_hide = settings.pids.is_empty() || coverage.gone > 0 || coverage.denied > 0;
        let option = may_hide.then(|| settings.root.hidepid(privileges)).flatten();
        let access = match &option {
            Some(HidePid { option, .. }) => Access::Mount(option.clone()),
            None => access(privileges, kept_right(settings)),
        };
        let hidepid = option.filter(|option| option.is_invisible).map(|option| option.option);
        check_outcome(settings, &coverage, &fates, hidepid.as_deref())?;
        let status = |pid| settings.root.read_once(ProcFile::Status, pid).unwrap_or_default();
        let timed_out = |(pid, _): &(Pid, Fate)| TimedOut {
            pid: *pid,
            glimpse: Glimpse::from_status(&status(*pid)),
        };
        let is_timed_out = |(_, fate): &&(Pid, Fate)| *fate == Fate::TimedOut;
        let timed_out = fates.iter().filter(is_timed_out).map(timed_out).collect();
        Ok(Unmeasured { coverage, fates, timed_out, hidepid, access })
    }

    /// The rows of selected processes that timed out. A filter is applied to comm, because the
    /// name that the rule asks for may not be readable.
    pub(super) fn rows(&self, plan: &Plan) -> Vec<&TimedOut> {
        let is_selected = |one: &&TimedOut| {
            let Glimpse { comm, uid, .. } = &one.glimpse;
            plan.filter.as_ref().is_none_or(|filter| filter.is_match(comm))
                && plan.selects_owner(*uid)
        };
        self.timed_out.iter().filter(is_selected).collect()
    }

    /// The facts about missing processes, for notes and machine formats.
    pub(super) fn missing<'a>(
        &'a self,
        settings: &'a Settings,
        is_past_deadline: bool,
    ) -> Missing<'a> {
        Missing {
            coverage: self.coverage,
            processes: &self.fates,
            timed_out: &self.timed_out,
            is_past_deadline,
            is_by_pid: !settings.pids.is_empty(),
            filter: settings.plan.filter.as_ref().map(Regex::as_str),
            users: &settings.users,
            hidepid: self.hidepid.as_deref(),
            access: self.access.clone(),
        }
    }
}

/// A selection that matches no process is a mistake rather than an empty report, and so is a report
/// of which every read failed.
fn check_outcome(
    settings: &Settings,
    coverage: &Coverage,
    missing: &[(Pid, Fate)],
    hidepid: Option<&str>,
) -> Result<(), Error> {
    let Coverage { measured, kernel_threads, gone, failed, .. } = *coverage;
    let listed = coverage.listed();
    if gone == listed && settings.pids.is_empty() {
        return Err(Error::NoProcesses(settings.root.path().to_owned()));
    }
    if gone == listed {
        let pids = settings.pids.clone();
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
    // A lack of descriptors says nothing about any process: if none was measured it is the reason,
    // whatever the fates of the others.
    let lack = failures().find(|(_, errno)| errno.is_lack_of_descriptors());
    if let (Some((pid, errno)), 0) = (lack, measured) {
        return Err(Error::NothingRead(pid, errno));
    }
    match failures().next() {
        Some((_, Errno::NOENT)) if measured == 0 && settings.plan.source == Source::Rollup => {
            Err(Error::NoRollup)
        }
        // Kernel threads are recognised without a read.
        Some((pid, errno)) if failed + gone + kernel_threads == listed => {
            Err(Error::NothingRead(pid, errno))
        }
        _ => Ok(()),
    }
}

/// The right of the keeper, which opens files of `/proc` alone.
fn kept_right(settings: &Settings) -> Option<Right> {
    settings.root.is_proc().then(keeper_client::right).flatten()
}

/// The right of this user to read the memory figures of others, by the keeper or without.
fn access(may: Privileges, kept: Option<Right>) -> Access {
    let full = |capability| Access::Full(capability, privileges::security_modules().join(", "));
    let may_perfmon = may.may_perfmon || kept == Some(Right::Perfmon);
    let is_perfmon_enough = privileges::is_perfmon_enough();
    match kept {
        _ if may.is_in_user_namespace => Access::Namespaced,
        Some(Right::Ended) => Access::KeeperEnded,
        _ if may.may_trace || kept == Some(Right::Trace) => full("CAP_SYS_PTRACE"),
        _ if may.is_root => Access::RootWithout,
        _ if may_perfmon && is_perfmon_enough => full("CAP_PERFMON"),
        _ if is_perfmon_enough => Access::Ordinary("CAP_PERFMON"),
        _ => Access::Ordinary("CAP_SYS_PTRACE"),
    }
}

/// The notes for standard error.
pub(super) fn notes(
    settings: &Settings,
    missing: &Missing<'_>,
    programs: &Programs<'_>,
) -> Vec<String> {
    let mut lines = missing.lines();
    let is_swap = |column: &Column| matches!(column, Column::Swap | Column::Footprint);
    let is_shown = settings.columns.iter().any(is_swap) && !settings.is_total;
    if programs.swap_is_unshared && is_shown {
        let why = "this kernel has no SwapPss (4.3 or newer has)";
        lines.push(format!("SWAPPED counts shared pages whole in each process: {why}"));
    }
    if kept_right(settings) == Some(Right::Perfmon) {
        lines.push(
            "with CAP_PERFMON, address spaces cannot be compared: processes that share one (vfork) \
             may count twice"
                .to_owned(),
        );
    }
    lines
}
