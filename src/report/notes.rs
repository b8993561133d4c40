//! What is missing in a report, for standard error: how many, which, why, and what to do about it.
//!
//! Silent when nothing is missing that was asked for.

use std::fmt::Write;

use super::{escape, plural};
use crate::error::{self, HIDEPID_REMEDY};
use crate::process::{Coverage, Fate};
use crate::program::TimedOut;
use crate::units::{Errno, Pid};

/// The most processes of one kind that are named one by one.
const NAMED_MAX: usize = 5;

/// What this user may look at, as far as it explains a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only what is his own.
    Ordinary,
    /// Root, and the capability that makes the difference was taken away.
    RootWithout,
    /// `CAP_PERFMON` alone.
    Perfmon,
    /// Everything inside of a user namespace.
    Namespaced,
    /// Everything, as far as capabilities go; the security modules that may refuse it all the same,
    /// with commas between, as far as they are known.
    Full(String),
}

/// What there is to know about what is missing.
#[derive(Clone, Debug)]
pub struct Missing<'run> {
    /// How many processes met which fate.
    pub coverage: Coverage,
    /// Those that are neither measured nor left out on purpose, in order.
    pub processes: &'run [(Pid, Fate)],
    /// What is still known of those that timed out.
    pub timed_out: &'run [TimedOut],
    /// Whether the deadline has passed.
    pub is_over: bool,
    /// Whether the caller named the processes one by one.
    pub is_by_pid: bool,
    /// The pattern of names, where there is one.
    pub filter: Option<&'run str>,
    /// The users that were asked for, as they were written; empty when there are none.
    pub users: &'run str,
    /// The mount option that keeps processes of others from being listed, where there is one.
    pub hidepid: Option<&'run str>,
    /// What may be read at all.
    pub access: Access,
}

impl Missing<'_> {
    /// Whether the memory of every process is in the report that belongs into it, as far as is
    /// known.
    pub fn is_complete(&self) -> bool {
        self.coverage.unknown() == 0 && self.hidepid.is_none()
    }

    /// All there is to say, one line each; none when all is well.
    pub fn lines(&self) -> Vec<String> {
        let lines = [self.absent(), self.coverage(), self.nothing(), self.hidden()];
        lines.into_iter().flatten().collect()
    }

    /// Processes that were asked for by id and are not there.
    fn absent(&self) -> Option<String> {
        let gone = self.pids(|fate| fate == Fate::Gone);
        let is = if gone.len() == 1 { "is" } else { "are" };
        let is_told = self.is_by_pid && !gone.is_empty();
        is_told.then(|| format!("{} {is} not there (any more)", named(&gone)))
    }

    /// Processes whose memory belongs into the report and is not in it. One that left on its own
    /// is none of them: it has no memory any more.
    fn coverage(&self) -> Option<String> {
        let unknown = self.coverage.unknown();
        if unknown == 0 {
            return None;
        }
        let measured = self.coverage.measured;
        let mut text = format!("measured {measured} of {}", processes(measured + unknown));
        let parts = [
            self.timed_out(),
            self.not_asked(),
            self.part("denied", Fate::Denied, &denial(&self.access)),
            self.part(
                "changed",
                Fate::Changed,
                "exec'ed, or lost the thread that was read, twice; run it again",
            ),
            self.part(
                "not understood",
                Fate::Malformed,
                "figures missing or no numbers; look into its smaps_rollup and smaps, report it",
            ),
            self.failed(),
        ];
        for part in parts.into_iter().flatten() {
            let _ = write!(text, "; {part}");
        }
        Some(text)
    }

    fn part(&self, what: &str, fate: Fate, why: &str) -> Option<String> {
        let pids = self.pids(|other| other == fate);
        let count = pids.len();
        (count > 0).then(|| format!("{count} {what} ({}): {why}", named(&pids)))
    }

    fn timed_out(&self) -> Option<String> {
        let pid = self.timed_out.first()?.pid;
        let who: Vec<String> = self.timed_out.iter().take(NAMED_MAX).map(glimpse).collect();
        let count = self.timed_out.len();
        let more = and_more(count);
        let why = if self.is_over {
            format!("not finished by --deadline; raise it, or look at /proc/{pid}/stack")
        } else {
            format!("asleep beyond --stuck-after; look at /proc/{pid}/stack, or raise it")
        };
        Some(format!("{count} timed out ({}{more}): {why}", who.join(", ")))
    }

    fn not_asked(&self) -> Option<String> {
        let count = self.coverage.not_asked;
        let why = if self.is_over {
            "--deadline came first; raise it, or choose some with --pid"
        } else {
            "stuck processes took all the room; raise ulimit -n, leave out --engine, or choose \
             others with --pid"
        };
        (count > 0).then(|| format!("{count} not asked: {why}"))
    }

    fn failed(&self) -> Option<String> {
        let errno = self.processes.iter().find_map(|(_, fate)| match fate {
            Fate::Failed(errno) => Some(*errno),
            _ => None,
        })?;
        let pids = self.pids(|fate| matches!(fate, Fate::Failed(_)));
        let (count, who) = (pids.len(), named(&pids));
        Some(format!("{count} failed ({who}): {errno}; {}", failure_remedy(errno)))
    }

    /// Why there is no row though nothing failed.
    fn nothing(&self) -> Option<String> {
        let Coverage { measured, not_selected, kernel_threads, zombies, .. } = self.coverage;
        if measured + self.coverage.unknown() > 0 {
            return None;
        }
        let why = if not_selected > 0 {
            self.nothing_selected(not_selected)
        } else {
            let parts = [(kernel_threads, "kernel thread"), (zombies, "zombie")];
            let parts = parts.into_iter().filter(|(count, _)| *count > 0);
            let parts: Vec<String> = parts.map(|(count, what)| plural(count, what)).collect();
            format!("nothing but {}; they have no memory of their own", parts.join(" and "))
        };
        Some(format!("no row: {why}"))
    }

    /// Who was asked for is not among so many.
    fn nothing_selected(&self, count: usize) -> String {
        let users = format!("--user '{}'", self.users);
        match self.filter.map(|filter| format!("--filter '{}'", escape::argument(filter))) {
            Some(filter) if self.users.is_empty() => {
                let names = plural(count, "name");
                format!("{filter} matches none of {names}; see them without it")
            }
            Some(filter) => {
                format!("{users} and {filter} leave none of {}; try one alone", processes(count))
            }
            None => format!("{users} has none of {}; see them with --by user", processes(count)),
        }
    }

    /// Processes that were never listed.
    fn hidden(&self) -> Option<String> {
        let option = self.hidepid?;
        Some(format!(
            "processes of others are hidden and not in the report (proc is mounted with \
             {option}); {HIDEPID_REMEDY}"
        ))
    }

    fn pids(&self, is_wanted: impl Fn(Fate) -> bool) -> Vec<Pid> {
        let wanted = self.processes.iter().filter(|(_, fate)| is_wanted(*fate));
        wanted.map(|(pid, _)| *pid).collect()
    }
}

/// Why the kernel refused, and what would help.
fn denial(access: &Access) -> String {
    let why = match access {
        Access::Ordinary => {
            "not yours; run it as root, or give it CAP_SYS_PTRACE (since Linux 6.15 CAP_PERFMON \
             is enough)"
        }
        Access::RootWithout => {
            "root without CAP_SYS_PTRACE; give it back (in a container: --cap-add SYS_PTRACE)"
        }
        Access::Perfmon => {
            "CAP_PERFMON is enough since Linux 6.15, if no security module forbids it; give it \
             CAP_SYS_PTRACE"
        }
        Access::Namespaced => {
            "capabilities do not reach beyond a user namespace; run it outside, as root"
        }
        Access::Full(modules) => {
            let modules = if modules.is_empty() { "" } else { &format!(" ({modules})") };
            return format!(
                "CAP_SYS_PTRACE is there, so a security module forbids it{modules}; see its log, \
                 or run psm-uring unconfined"
            );
        }
    };
    why.to_owned()
}

fn failure_remedy(errno: Errno) -> &'static str {
    error::remedy(errno).unwrap_or(match errno {
        Errno::NOENT => "alive, and no file has its memory; check --source and --proc-root",
        _ => "run it again, and report it if it stays",
    })
}

/// `PID 7`, `PID 7, 8`, and not too many.
fn named(pids: &[Pid]) -> String {
    let who: Vec<String> = pids.iter().take(NAMED_MAX).map(Pid::to_string).collect();
    format!("PID {}{}", who.join(", "), and_more(pids.len()))
}

fn and_more(count: usize) -> String {
    match count.saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    }
}

fn glimpse(timed_out: &TimedOut) -> String {
    let TimedOut { pid, glimpse, .. } = timed_out;
    let state = glimpse.state.map_or_else(String::new, |state| format!(" in state {state}"));
    format!("PID {pid} {}{state}", escape::name(&glimpse.comm))
}

fn processes(count: usize) -> String {
    if count == 1 { "1 process".to_owned() } else { format!("{count} processes") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing<'run>(processes: &'run [(Pid, Fate)], access: Access) -> Missing<'run> {
        let mut coverage = Coverage { measured: 3, ..Coverage::default() };
        processes.iter().for_each(|(_, fate)| coverage.count(*fate));
        Missing {
            coverage,
            processes,
            timed_out: &[],
            is_over: false,
            is_by_pid: false,
            filter: None,
            users: "",
            hidepid: None,
            access,
        }
    }

    #[test]
    fn a_refusal_is_explained() {
        let denied = [(Pid(1), Fate::Denied), (Pid(7), Fate::Denied)];
        for (access, why) in [
            (Access::Ordinary, "not yours; run it as root, or give it CAP_SYS_PTRACE (since"),
            (Access::RootWithout, "root without CAP_SYS_PTRACE; give it back (in a container:"),
            (Access::Perfmon, "CAP_PERFMON is enough since Linux 6.15, if no security"),
            (Access::Namespaced, "capabilities do not reach beyond a user namespace; run it"),
            (
                Access::Full(String::new()),
                "CAP_SYS_PTRACE is there, so a security module forbids it; see",
            ),
            (
                Access::Full("selinux".to_owned()),
                "CAP_SYS_PTRACE is there, so a security module forbids it (selinux); see",
            ),
        ] {
            let lines = missing(&denied, access).lines();
            let begin = format!("measured 3 of 5 processes; 2 denied (PID 1, 7): {why}");
            assert!(lines.len() == 1 && lines[0].starts_with(&begin), "{lines:?}");
        }
    }

    #[test]
    fn many_are_not_all_named() {
        let changed: Vec<_> = (1..=9).map(|pid| (Pid(pid), Fate::Changed)).collect();
        let lines = missing(&changed, Access::Full(String::new())).lines();
        assert!(lines[0].contains("; 9 changed (PID 1, 2, 3, 4, 5 and 4 more): "), "{lines:?}");
    }

    #[test]
    fn failures_say_their_error_and_remedy() {
        let failed = [(Pid(4), Fate::Failed(Errno(libc::EMFILE)))];
        let lines = missing(&failed, Access::Full(String::new())).lines();
        let text = "; 1 failed (PID 4): Too many open files (os error 24); raise the limit of";
        assert!(lines[0].contains(text), "{lines:?}");
    }

    #[test]
    fn what_is_hidden_is_told() {
        let mut missing = missing(&[], Access::Ordinary);
        missing.hidepid = Some("hidepid=invisible");
        let told = "processes of others are hidden and not in the report (proc is mounted with \
                    hidepid=invisible); try as root, or with CAP_SYS_PTRACE";
        assert_eq!(missing.lines(), [told]);
    }

    /// One that left on its own has no memory any more: nobody misses it, but who named it.
    #[test]
    fn who_left_is_told_to_who_asked() {
        let gone = [(Pid(8), Fate::Gone), (Pid(9), Fate::Gone)];
        let mut missing = missing(&gone, Access::Full(String::new()));
        assert_eq!(missing.lines(), Vec::<String>::new());
        missing.is_by_pid = true;
        assert_eq!(missing.lines(), ["PID 8, 9 are not there (any more)"]);
    }
}
