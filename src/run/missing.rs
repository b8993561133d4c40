//! Processes without figures: the reasons, and whether there is a report without them.

use regex::bytes::Regex;

use super::settings::Settings;
use crate::engine::Survey;
use crate::error::Error;
use crate::process::{Coverage, Credentials, Fate, Glimpse, Plan, ProcFile, Refusal, Source};
use crate::program::{Obstacle, Unread};
use crate::report::bounds;
use crate::report::notes::{Access, Missing, Note};
use crate::sys::keeper_client::{self, Right};
use crate::sys::privileges::{self, Privileges};
use crate::sys::proc_root::{HidePid, ProcRoot};
use crate::units::{Errno, Pid};

/// The processes of a survey that were not measured.
pub(super) struct Unmeasured<'run> {
    pub(super) coverage: Coverage,
    fates: Vec<(Pid, Fate)>,
    /// Those of which `status` has figures.
    unread: Vec<Unread<'run>>,
    /// Those that were denied, with the reasons.
    refusals: Vec<(Pid, Refusal)>,
    /// The mount option of proc that may hide processes.
    hidepid: Option<String>,
    access: Access,
    has_torn: bool,
}

impl<'run> Unmeasured<'run> {
    /// Finds the processes without figures, and the reasons.
    ///
    /// # Errors
    /// There is no report: no process exists, or every read failed.
    pub(super) fn find(
        settings: &Settings,
        survey: &'run Survey,
    ) -> Result<Unmeasured<'run>, Error> {
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
        let unread = unread(&settings.root, survey, &fates);
        let is_known = unread.iter().any(|one| one.obstacle == Obstacle::NoSmaps);
        check_outcome(settings, &coverage, &fates, is_known, hidepid.as_deref())?;
        let denied = fates.iter().filter(|(_, fate)| *fate == Fate::Denied);
        let is_copy = !settings.root.is_procfs();
        let refusal = |(pid, _): &(Pid, Fate)| {
            let reason = match access {
                _ if is_copy => Refusal::Permissions,
                Access::Full(..) => Refusal::Unexplained,
                _ => refusal(&settings.root, *pid, privileges.credentials),
            };
            (*pid, reason)
        };
        let refusals = denied.map(refusal).collect();
        let has_torn = survey.torn().next().is_some();
        Ok(Unmeasured { coverage, fates, unread, refusals, hidepid, access, has_torn })
    }

    /// The rows of selected processes. If a process timed out, a filter is applied to comm, because
    /// the name that the rule asks for may not be readable.
    pub(super) fn rows(&self, plan: &Plan) -> Vec<&Unread<'run>> {
        let is_selected = |one: &&Unread<'_>| {
            let Glimpse { comm, uid, .. } = &one.glimpse;
            let is_filtered = one.obstacle == Obstacle::NoSmaps;
            let is_match = || plan.filter.as_ref().is_none_or(|filter| filter.is_match(comm));
            (is_filtered || is_match()) && plan.selects_owner(*uid)
        };
        self.unread.iter().filter(is_selected).collect()
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
            unread: &self.unread,
            refusals: &self.refusals,
            is_proc: settings.root.is_proc(),
            is_past_deadline,
            is_by_pid: !settings.pids.is_empty(),
            filter: settings.plan.filter.as_ref().map(Regex::as_str),
            users: &settings.users,
            hidepid: self.hidepid.as_deref(),
            access: self.access.clone(),
            has_torn: self.has_torn,
        }
    }
}

/// A selection that matches no process is a mistake rather than an empty report, and so is a report
/// of which every read failed.
fn check_outcome(
    settings: &Settings,
    coverage: &Coverage,
    missing: &[(Pid, Fate)],
    has_no_smaps: bool,
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
        return Err(Error::NothingRead(settings.root.path().to_owned(), pid, errno));
    }
    match failures().next() {
        _ if has_no_smaps => Ok(()),
        Some((_, Errno::NOENT)) if measured == 0 && settings.plan.source == Source::Rollup => {
            Err(Error::NoRollup)
        }
        // Kernel threads are recognised without a read.
        Some((pid, errno)) if failed + gone + kernel_threads == listed => {
            Err(Error::NothingRead(settings.root.path().to_owned(), pid, errno))
        }
        _ => Ok(()),
    }
}

/// The processes of which `status` has figures: those that timed out, those that are left out for
/// their size, and all that failed for lack of a memory file if the kernel has none.
fn unread<'run>(root: &ProcRoot, survey: &'run Survey, fates: &[(Pid, Fate)]) -> Vec<Unread<'run>> {
    let status = |pid| root.read_once(ProcFile::Status, pid).unwrap_or_default();
    let glimpse = |pid| Glimpse::from_status(&status(pid));
    // A kernel with memory files has them for every process.
    let has_smaps =
        |pid| [ProcFile::SmapsRollup, ProcFile::Smaps].iter().any(|file| root.has(*file, pid));
    let lacks_file = |(_, fate): &(Pid, Fate)| *fate == Fate::Failed(Errno::NOENT);
    let has_no_smaps = fates.iter().any(lacks_file)
        && survey.coverage().measured == 0
        && root.pids().is_ok_and(|pids| !pids.into_iter().any(has_smaps));
    let cgroups = survey.missing_cgroups();
    let unread = |(pid, fate): &(Pid, Fate)| {
        let obstacle = match fate {
            Fate::TimedOut => Obstacle::TimedOut,
            Fate::LeftOut => Obstacle::LeftOut,
            Fate::Failed(Errno::NOENT) if has_no_smaps => Obstacle::NoSmaps,
            _ => return None,
        };
        let cgroup = cgroups.get(pid).copied();
        Some(Unread { pid: *pid, obstacle, glimpse: glimpse(*pid), cgroup })
    };
    fates.iter().filter_map(unread).collect()
}

/// The reason for a refusal: most are of processes of other users, which costs one call to find.
fn refusal(root: &ProcRoot, pid: Pid, reader: Credentials) -> Refusal {
    if root.owner(pid).is_some_and(|owner| owner != reader.uid) {
        return Refusal::OtherUser;
    }
    let status = root.read_once(ProcFile::Status, pid).unwrap_or_default();
    Refusal::find(&status, root.file_owner(ProcFile::Status, pid), reader)
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
        _ if may.credentials.uid == 0 => Access::RootWithout,
        _ if may_perfmon && is_perfmon_enough => full("CAP_PERFMON"),
        _ if is_perfmon_enough => Access::Ordinary("CAP_PERFMON"),
        _ => Access::Ordinary("CAP_SYS_PTRACE"),
    }
}

/// The notes for standard error.
pub(super) fn notes(
    settings: &Settings,
    missing: &Missing<'_>,
    swap_is_unshared: bool,
) -> Vec<Note> {
    let mut notes = missing.notes();
    if swap_is_unshared && settings.shows_swap() {
        notes.push(bounds::unshared_swap().into());
    }
    if kept_right(settings) == Some(Right::Perfmon) {
        notes.push(bounds::cannot_compare().into());
    }
    notes
}
