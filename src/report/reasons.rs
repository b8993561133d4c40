//! The reasons why a report lacks processes, and the remedies: for the notes, and for JSON.

use super::notes::{Access, Missing};
use crate::error::{self, HIDEPID_REMEDY};
use crate::process::{Fate, LONG_HOLD, Refusal};
use crate::program::{Obstacle, Unread};
use crate::units::{Errno, Pid};

/// A reason, and all processes that the report lacks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The common fate.
    pub fate: Fate,
    /// The processes, in order.
    pub pids: Vec<Pid>,
    /// The reason. A guess says "probably".
    pub why: String,
    /// The remedy, if there is one.
    pub remedy: Option<String>,
}

impl Missing<'_> {
    /// Every reason, in the order of the notes.
    pub fn reasons(&self) -> Vec<Reason> {
        let late = [self.timed_out(), self.not_asked(), self.left_out()].into_iter().flatten();
        let unread = late.chain(self.denied()).chain(self.changed()).chain(self.malformed());
        unread.chain(self.failed()).chain(self.gone()).collect()
    }

    /// The processes of this fate, in order.
    pub(super) fn pids(&self, fate: Fate) -> Vec<Pid> {
        let wanted = self.processes.iter().filter(|(_, other)| *other == fate);
        wanted.map(|(pid, _)| *pid).collect()
    }

    /// The processes whose memory this obstacle hides.
    pub(super) fn unread_by(&self, obstacle: Obstacle) -> impl Iterator<Item = &Unread<'_>> {
        self.unread.iter().filter(move |one| one.obstacle == obstacle)
    }

    /// A reason of all processes of this fate, unless there are none.
    fn reason(&self, fate: Fate, why: &str, remedy: Option<&str>) -> Option<Reason> {
        let (pids, why, remedy) = (self.pids(fate), why.to_owned(), remedy.map(str::to_owned));
        (!pids.is_empty()).then_some(Reason { fate, pids, why, remedy })
    }

    fn timed_out(&self) -> Option<Reason> {
        let pid = self.unread_by(Obstacle::TimedOut).next()?.pid;
        let (why, remedy) = if self.is_past_deadline {
            ("not finished by --deadline", format!("raise it, or look at /proc/{pid}/stack"))
        } else {
            ("asleep beyond --stuck-after", format!("look at /proc/{pid}/stack, or raise it"))
        };
        self.reason(Fate::TimedOut, why, Some(&remedy))
    }

    fn left_out(&self) -> Option<Reason> {
        let why = format!(
            "a read would keep the process from mapping memory for more than {} ms",
            LONG_HOLD.as_millis()
        );
        let remedy = match self.pids(Fate::LeftOut)[..] {
            [pid] => format!("read it with --pid {pid} or --big"),
            _ => "read one with --pid, or all with --big".to_owned(),
        };
        self.reason(Fate::LeftOut, &why, Some(&remedy))
    }

    fn not_asked(&self) -> Option<Reason> {
        let (why, remedy) = if self.is_past_deadline {
            ("--deadline passed before their turn", "raise it, or select processes with --pid")
        } else {
            (
                "stuck processes took all slots",
                "raise ulimit -n, leave out --engine, or select other processes with --pid",
            )
        };
        self.reason(Fate::NotAsked, why, Some(remedy))
    }

    fn changed(&self) -> Option<Reason> {
        let why = "its memory file ended early, twice: probably an exec replaced the program, or \
                   the thread that was read ended";
        self.reason(Fate::Changed, why, Some("run it again"))
    }

    fn malformed(&self) -> Option<Reason> {
        // A process of unknown owner is malformed only for a selection of users.
        let (user, status) =
            if self.users.is_empty() { ("", "") } else { ("its user or ", "status, ") };
        let why = format!("{user}figures are missing or not numbers");
        let remedy = format!("look at its {status}smaps_rollup and smaps, and report it");
        self.reason(Fate::Malformed, &why, Some(&remedy))
    }

    /// One reason for each text: of several kinds, one may explain all.
    fn denied(&self) -> Vec<Reason> {
        let mut denied: Vec<Reason> = Vec::new();
        for kind in Refusal::ALL {
            let refused = self.refusals.iter().filter(|(_, other)| *other == kind);
            let pids: Vec<Pid> = refused.map(|(pid, _)| *pid).collect();
            let (why, remedy) = denial(&self.access, kind);
            let reason = Reason { fate: Fate::Denied, pids, why, remedy: Some(remedy) };
            let is_same =
                |one: &&mut Reason| (&one.why, &one.remedy) == (&reason.why, &reason.remedy);
            match denied.iter_mut().find(is_same) {
                Some(one) => one.pids.extend(reason.pids),
                None => denied.push(reason),
            }
        }
        denied.iter_mut().for_each(|reason| reason.pids.sort_unstable());
        denied.retain(|reason| !reason.pids.is_empty());
        denied
    }

    /// One reason for each error.
    fn failed(&self) -> impl Iterator<Item = Reason> {
        let mut errnos: Vec<Errno> = Vec::new();
        for (_, fate) in self.processes {
            match fate {
                Fate::Failed(errno) if !errnos.contains(errno) => errnos.push(*errno),
                _ => {}
            }
        }
        errnos.into_iter().filter_map(|errno| {
            let (why, remedy) = self.failure(errno);
            self.reason(Fate::Failed(errno), &why, remedy)
        })
    }

    fn failure(&self, errno: Errno) -> (String, Option<&'static str>) {
        let unread = || "the process exists, but no file has its memory";
        match (errno, error::remedy(errno)) {
            (Errno::NOENT, _) if self.unread_by(Obstacle::NoSmaps).next().is_some() => {
                let why = "this kernel has neither smaps_rollup nor smaps \
                           (CONFIG_PROC_PAGE_MONITOR); RSS and swap are from status, with shared \
                           pages whole in each process";
                (why.to_owned(), None)
            }
            (_, Some(remedy)) => (errno.to_string(), Some(remedy)),
            (Errno::NOENT, None) if self.is_proc => {
                (format!("{errno}; {}", unread()), Some("check --source"))
            }
            (Errno::NOENT, None) => {
                (format!("{errno}; {}", unread()), Some("check --source and --proc-root"))
            }
            (_, None) => (errno.to_string(), Some(error::process_remedy(self.is_proc))),
        }
    }

    fn gone(&self) -> Option<Reason> {
        let why = match self.hidepid {
            Some(_) if self.is_by_pid => "the process ended, or hidepid hides it",
            None if self.is_by_pid => "the process does not exist (any more)",
            _ => "the process ended during the survey",
        };
        self.reason(Fate::Gone, why, None)
    }
}

/// The reason of a refusal, and the remedy.
fn denial(access: &Access, refusal: Refusal) -> (String, String) {
    let remedy = match (access, refusal) {
        (_, Refusal::Permissions) => {
            "make them readable, or run psm-uring as their owner or as root"
        }
        (Access::Full(capability, modules), _) => {
            let modules = if modules.is_empty() { "" } else { &format!(" ({modules})") };
            let why = format!(
                "{capability} is present, so a security module probably forbids it{modules}"
            );
            return (why, "see its log, or run psm-uring unconfined".to_owned());
        }
        (Access::RootWithout, _) => {
            let remedy = "give it back (in a container: --cap-add SYS_PTRACE)";
            return ("root without CAP_SYS_PTRACE".to_owned(), remedy.to_owned());
        }
        (Access::Mount(option), Refusal::OtherUser) => {
            return (format!("proc is mounted with {option}"), HIDEPID_REMEDY.to_owned());
        }
        (Access::Ordinary(capability), _) => &format!(
            "run psm-uring as root, or install it with {capability} for a group (psm-uring man, \
             INSTALLATION)"
        ),
        (Access::KeeperEnded, _) => {
            "allow more processes and files (ulimit -u, -n), and run psm-uring again"
        }
        (Access::Namespaced, _) => "run it outside, as root",
        (Access::Mount(_), _) => "run psm-uring as root",
    };
    let why = match (refusal, access) {
        (Refusal::Permissions, _) => "the permissions of its copied files forbid it",
        (Refusal::OtherUser, Access::KeeperEnded) => {
            "owned by other users, and the process with the capability to read them has ended or \
             could not start"
        }
        (Refusal::OtherUser, Access::Namespaced) => {
            "capabilities do not reach beyond a user namespace"
        }
        (Refusal::OtherUser, _) => "owned by other users",
        (Refusal::OtherIds, _) => {
            "yours, but its real or saved user or a group of it is another one (set-user-ID or \
             set-group-ID)"
        }
        (Refusal::NotDumpable, _) => {
            "yours, but not dumpable (prctl PR_SET_DUMPABLE, or a binary that it may not read)"
        }
        (Refusal::Capable, _) => "yours, but with capabilities that psm-uring lacks",
        (Refusal::Unexplained, Access::Namespaced) => {
            "yours, but probably started outside of this user namespace, or not dumpable"
        }
        (Refusal::Unexplained, Access::Mount(_)) => "yours, but probably not dumpable",
        (Refusal::Unexplained, _) => "yours, but a security module probably forbids it",
    };
    (why.to_owned(), remedy.to_owned())
}
