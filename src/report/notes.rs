//! Notes for standard error on the processes that a report lacks: number, ids, reason, remedy; and
//! on host memory that does not add up.
//!
//! One line each, on a terminal one for each reason; none if the report lacks nothing.

use std::cmp::Reverse;

use super::escape::Charset;
use super::reasons::Reason;
use super::{Unit, escape, plural, wrap};
use crate::error::HIDEPID_REMEDY;
use crate::process::{Coverage, Fate, Refusal};
use crate::program::{HostMemory, HostPart, Obstacle, Unread};
use crate::units::{Kib, Labelled, Pid};

/// The most processes of one fate that a note names.
const NAMED_MAX: usize = 5;
/// The parts of host memory have a note if they exceed it by more than one part in so many.
const EXCESS_SHARE: u64 = 100;

/// The right of this user to read the memory of other processes, as far as it explains a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only the user's own processes; the least capability that this kernel accepts for others.
    Ordinary(&'static str),
    /// Those of a keeper that has ended.
    KeeperEnded,
    /// Root without the capability.
    RootWithout,
    /// Every process inside a user namespace.
    Namespaced,
    /// Those that a mount option of proc, such as `hidepid=noaccess`, leaves to this user.
    Mount(String),
    /// Every process by a capability, unless a security module refuses: the names of those that
    /// may, separated by commas, as far as they are known.
    Full(&'static str, String),
}

/// The processes that a report lacks.
#[derive(Clone, Debug)]
pub struct Missing<'run> {
    /// The number of processes by fate.
    pub coverage: Coverage,
    /// The processes that are neither measured nor left out on purpose, in order.
    pub processes: &'run [(Pid, Fate)],
    /// The processes of them of which `status` is known.
    pub unread: &'run [Unread<'run>],
    /// Whether the deadline has passed.
    pub is_past_deadline: bool,
    /// Whether `--pid` names the processes.
    pub is_by_pid: bool,
    /// The pattern of `--filter`.
    pub filter: Option<&'run str>,
    /// The users of `--user`, as they were written; empty if there are none.
    pub users: &'run str,
    /// The mount option that hides the processes of other users from the list, if there is one.
    pub hidepid: Option<&'run str>,
    /// The processes that were denied, and the reasons.
    pub refusals: &'run [(Pid, Refusal)],
    /// Whether the directory is `/proc`.
    pub is_proc: bool,
    /// The right to read.
    pub access: Access,
    /// Whether figures may be wrong, because their processes changed while they were walked.
    pub has_torn: bool,
}

/// A note: a sentence, and the reasons for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    head: String,
    reasons: Vec<String>,
}

impl From<String> for Note {
    fn from(head: String) -> Note {
        Note { head, reasons: Vec::new() }
    }
}

impl Note {
    /// The note on one line, for pipes and machine formats.
    pub fn line(&self) -> String {
        [&self.head].into_iter().chain(&self.reasons).cloned().collect::<Vec<_>>().join("; ")
    }

    /// The note on a terminal, behind the name of the program: a line for each reason, and no word
    /// is cut.
    pub fn lines(&self, columns: usize, charset: Charset) -> Vec<String> {
        const INDENT: usize = 4;
        let head = format!("psm-uring: {}", self.head);
        let reasons = self.reasons.iter().map(|reason| format!("  {reason}"));
        let lines = [head].into_iter().chain(reasons);
        lines.flat_map(|line| wrap(&charset.text(&line), columns, INDENT)).collect()
    }
}

impl Missing<'_> {
    /// Whether the report has the memory of every process that belongs in it, as far as is
    /// known, and no figures that may be wrong.
    pub fn is_complete(&self) -> bool {
        self.coverage.unknown() == 0 && self.hidepid.is_none() && !self.has_torn
    }

    /// The notes, a line each.
    pub fn lines(&self) -> Vec<String> {
        self.notes().iter().map(Note::line).collect()
    }

    /// The notes.
    pub fn notes(&self) -> Vec<Note> {
        let hidden = self.hidepid.map(|option| {
            format!(
                "processes of other users are hidden and not in the report (proc is mounted with \
                 {option}); {HIDEPID_REMEDY}"
            )
        });
        let [absent, no_row, hidden] =
            [self.absent(), self.no_row(), hidden].map(|note| note.map(Note::from));
        [absent, self.unmeasured(), no_row, hidden].into_iter().flatten().collect()
    }

    /// Processes that `--pid` names and that do not exist, as far as is known.
    fn absent(&self) -> Option<String> {
        let gone = self.pids(Fate::Gone);
        let why = match (self.hidepid, gone.len()) {
            (None, 1) => "does not exist (any more)",
            (None, _) => "do not exist (any more)",
            (Some(_), 1) => "is not listed: it ended, or it is hidden",
            (Some(_), _) => "are not listed: they ended, or they are hidden",
        };
        let is_noted = self.is_by_pid && !gone.is_empty();
        is_noted.then(|| format!("{} {why}", named(&gone)))
    }

    /// Processes whose memory belongs in the report. A process that ended has no memory.
    fn unmeasured(&self) -> Option<Note> {
        let unknown = self.coverage.unknown();
        if unknown == 0 {
            return None;
        }
        let measured = self.coverage.measured;
        let head = format!("measured {measured} of {}", plural(measured + unknown, "process"));
        let reasons = self.reasons().into_iter().filter(|reason| reason.fate != Fate::Gone);
        Some(Note { head, reasons: reasons.map(|reason| self.part(&reason)).collect() })
    }

    /// `2 denied (PID 7, 8): the reason; the remedy`
    fn part(&self, reason: &Reason) -> String {
        let Reason { fate, pids, why, remedy } = reason;
        let (count, label) = (pids.len(), fate.label().replace('_', " "));
        let which = match fate {
            Fate::TimedOut => {
                let timed_out: Vec<&Unread<'_>> = self.unread_by(Obstacle::TimedOut).collect();
                format!(" ({})", list(&timed_out, |one| glimpse(one)))
            }
            Fate::LeftOut => {
                let mut left_out: Vec<&Unread<'_>> = self.unread_by(Obstacle::LeftOut).collect();
                left_out.sort_by_key(|one| (Reverse(one.glimpse.rss), one.pid));
                format!(" ({})", list(&left_out, |one| sized(one)))
            }
            Fate::NotAsked => String::new(),
            _ => format!(" ({})", named(pids)),
        };
        let remedy = remedy.as_ref().map_or_else(String::new, |remedy| format!("; {remedy}"));
        format!("{count} {label}{which}: {why}{remedy}")
    }

    /// The reason why the report has no row though no process is missing.
    fn no_row(&self) -> Option<String> {
        let Coverage { measured, not_selected, kernel_threads, zombies, .. } = self.coverage;
        if measured + self.coverage.unknown() > 0 {
            return None;
        }
        if not_selected > 0 {
            return Some(format!("no row: {}", self.nothing_selected(not_selected)));
        }
        let parts = [(kernel_threads, "kernel thread"), (zombies, "zombie")];
        let parts = parts.into_iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts.map(|(count, thing)| plural(count, thing)).collect();
        let parts = parts.join(" and ");
        Some(format!("no row: nothing but {parts}; they have no memory of their own"))
    }

    fn nothing_selected(&self, count: usize) -> String {
        let users = format!("--user '{}'", self.users);
        let is_hidden = self.hidepid.is_some();
        let processes = plural(count, if is_hidden { "listed process" } else { "process" });
        match self.filter.map(|filter| format!("--filter '{}'", escape::argument(filter))) {
            Some(filter) if self.users.is_empty() => {
                let names = plural(count, if is_hidden { "listed name" } else { "name" });
                format!("{filter} matches none of {names}; see them without it")
            }
            Some(filter) => {
                format!("{users} and {filter} leave none of {processes}; try one alone")
            }
            None => format!("{users} has none of {processes}; see them with --by user"),
        }
    }
}

/// A note if the counters of the host do not fit each other.
pub fn host(memory: &HostMemory) -> Option<String> {
    let show = |amount: Kib| format!("{} MiB", Unit::Mib.format(amount));
    let total = memory.total?;
    if let Some(writer) = &memory.writer {
        let writer = writer.strip_prefix("fuse.").unwrap_or(writer);
        let guess = if writer == "lxcfs" { "" } else { "probably " };
        let writer = escape::name(writer.as_bytes());
        return Some(format!(
            "{writer} writes meminfo here in place of the kernel: ALL MEMORY is {guess}that of \
             this container, and parts such as page tables are {guess}the host's"
        ));
    }
    // Counters that are read one after another differ a little.
    let excess = memory.excess().filter(|excess| excess.0 > total.0 / EXCESS_SHARE)?;
    let counted = HostPart::ALL.iter().filter_map(|part| Some((memory.get(*part)?, *part)));
    let (most, part) = counted.max_by_key(|(amount, _)| *amount)?;
    let why = match part {
        HostPart::GpuActive | HostPart::GpuReclaim => "the GPU driver counts wrongly",
        _ => "these counters are the host's, and all memory is a limit of this container",
    };
    Some(if most > total {
        let (most, part) = (show(most), part.help());
        format!("{part} ({most}) exceeds all memory ({}): probably {why}", show(total))
    } else {
        format!("the parts exceed all memory by {}: probably {why}", show(excess))
    })
}

/// A note on counters that cannot be true.
pub fn impossible(memory: &HostMemory) -> Option<String> {
    let one = |[part, whole, wrong]: &[&'static str; 3]| {
        format!("{part} exceeds {whole}, of which it is a part: {wrong} is left out")
    };
    let all: Vec<String> = memory.impossible.iter().map(one).collect();
    let why = "probably a file system for containers made up meminfo";
    (!all.is_empty()).then(|| format!("{}; {why}", all.join("; ")))
}

/// A note on a name of `--user` that other ids have too, or whose id has other names.
pub fn ambiguous_user(name: &[u8], id: u32, ids: &[u32], names: &[&[u8]]) -> Option<String> {
    let name = escape::name(name);
    let ids = (!ids.is_empty()).then(|| {
        let ids = list(ids, u32::to_string);
        format!("/etc/passwd also has this name for id {ids}: select that by its number")
    });
    let names = (!names.is_empty()).then(|| {
        let names = list(names, |name| escape::name(name));
        format!("processes of {names} have the same id and are selected, too")
    });
    let reasons: Vec<String> = ids.into_iter().chain(names).collect();
    (!reasons.is_empty()).then(|| format!("--user '{name}' is id {id}; {}", reasons.join("; ")))
}

/// A note on ids of threads in `--pid`.
pub fn threads(threads: &[(Pid, Pid)]) -> Option<String> {
    let shown = list(threads, |(thread, process)| format!("{thread} (of process {process})"));
    let why = match threads.len() {
        1 => "is a thread; its process counts, once",
        _ => "are threads; their processes count, each once",
    };
    let note = || format!("PID {shown} {why}");
    (!threads.is_empty()).then(note)
}

/// `PID 7, 8`
fn named(pids: &[Pid]) -> String {
    format!("PID {}", list(pids, Pid::to_string))
}

/// A list of at most [`NAMED_MAX`] items: `7, 8`, `1, 2, 3, 4, 5 and 6 more`.
pub(super) fn list<T>(items: &[T], item: impl Fn(&T) -> String) -> String {
    let named: Vec<String> = items.iter().take(NAMED_MAX).map(item).collect();
    let more = match items.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    named.join(", ") + &more
}

/// `PID 820 mysqld with RSS 1621.1 MiB`
fn sized(unread: &Unread<'_>) -> String {
    let Unread { pid, glimpse, .. } = unread;
    let mib = |rss: Kib| format!(" with RSS {} MiB", Unit::Mib.format(rss));
    format!(
        "PID {pid} {}{}",
        escape::name(&glimpse.comm),
        glimpse.rss.map_or_else(String::new, mib)
    )
}

/// `PID 7 postgres in state D`
fn glimpse(unread: &Unread<'_>) -> String {
    let Unread { pid, glimpse, .. } = unread;
    let state = glimpse.state.map_or_else(String::new, |state| format!(" in state {state}"));
    format!("PID {pid} {}{state}", escape::name(&glimpse.comm))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Glimpse;
    use crate::units::Errno;

    fn missing<'run>(processes: &'run [(Pid, Fate)], access: Access) -> Missing<'run> {
        const REFUSALS: &[(Pid, Refusal)] =
            &[(Pid(1), Refusal::OtherUser), (Pid(7), Refusal::OtherUser)];
        let mut coverage = Coverage { measured: 3, ..Coverage::default() };
        processes.iter().for_each(|(_, fate)| coverage.count(*fate));
        Missing {
            coverage,
            processes,
            unread: &[],
            refusals: if coverage.denied > 0 { REFUSALS } else { &[] },
            is_proc: true,
            is_past_deadline: false,
            is_by_pid: false,
            filter: None,
            users: "",
            hidepid: None,
            access,
            has_torn: false,
        }
    }

    #[test]
    fn a_refusal_is_explained() {
        let denied = [(Pid(1), Fate::Denied), (Pid(7), Fate::Denied)];
        for (access, why) in [
            (
                Access::Ordinary("CAP_PERFMON"),
                "owned by other users; run psm-uring as root, or install it with CAP_PERFMON for a",
            ),
            (Access::RootWithout, "root without CAP_SYS_PTRACE; give it back (in a container:"),
            (Access::KeeperEnded, "owned by other users, and the process with the capability to"),
            (Access::Mount("hidepid=1".to_owned()), "proc is mounted with hidepid=1; try as root"),
            (Access::Namespaced, "capabilities do not reach beyond a user namespace; run it"),
            (
                Access::Full("CAP_SYS_PTRACE", String::new()),
                "CAP_SYS_PTRACE is present, so a security module probably forbids it; see",
            ),
            (
                Access::Full("CAP_SYS_PTRACE", "selinux".to_owned()),
                "CAP_SYS_PTRACE is present, so a security module probably forbids it (selinux); \
                 see",
            ),
        ] {
            let lines = missing(&denied, access).lines();
            let begin = format!("measured 3 of 5 processes; 2 denied (PID 1, 7): {why}");
            assert!(lines.len() == 1 && lines[0].starts_with(&begin), "{lines:?}");
        }
    }

    #[test]
    fn a_refusal_of_an_own_process_is_not_called_that_of_another_user() {
        let denied = [(Pid(1), Fate::Denied), (Pid(7), Fate::Denied), (Pid(9), Fate::Denied)];
        let refusals = [
            (Pid(1), Refusal::NotDumpable),
            (Pid(7), Refusal::OtherUser),
            (Pid(9), Refusal::Capable),
        ];
        let mut missing = missing(&denied, Access::Ordinary("CAP_SYS_PTRACE"));
        missing.refusals = &refusals;
        let lines = missing.lines();
        for part in [
            "; 1 denied (PID 7): owned by other users; run psm-uring as root, or",
            "; 1 denied (PID 1): yours, but not dumpable (prctl PR_SET_DUMPABLE, or a binary that",
            "; 1 denied (PID 9): yours, but with capabilities that psm-uring lacks; run",
        ] {
            assert!(lines[0].contains(part), "{lines:?}");
        }
        missing.access = Access::Mount("hidepid=noaccess".to_owned());
        missing.refusals = &[(Pid(1), Refusal::Unexplained)];
        let lines = missing.lines();
        assert!(lines[0].contains("yours, but probably not dumpable; run psm-uring as root"));
    }

    #[test]
    fn every_error_has_a_part_of_its_own() {
        let failed =
            [(Pid(4), Fate::Failed(Errno(libc::EIO))), (Pid(5), Fate::Failed(Errno::MFILE))];
        let lines = missing(&failed, Access::RootWithout).lines();
        let first = "; 1 failed (PID 4): Input/output error (os error 5); run it again,";
        let second = "; 1 failed (PID 5): Too many open files (os error 24); raise";
        assert!(lines[0].contains(first) && lines[0].contains(second), "{lines:?}");
    }

    #[test]
    fn a_terminal_has_a_line_for_each_reason() {
        let failed =
            [(Pid(4), Fate::Failed(Errno(libc::EIO))), (Pid(5), Fate::Failed(Errno::MFILE))];
        let notes = missing(&failed, Access::RootWithout).notes();
        let [note] = &notes[..] else { panic!("{notes:?}") };
        let lines = [
            "psm-uring: measured 3 of 5 processes",
            "  1 failed (PID 4): Input/output error (os error 5); run it",
            "    again, and report it if the error stays",
            "  1 failed (PID 5): Too many open files (os error 24); raise",
            "    the limit of open files (ulimit -n)",
        ];
        assert_eq!(note.lines(60, Charset::Unicode), lines);
    }

    /// Of several kinds of refusal, one reason may explain all.
    #[test]
    fn a_reason_is_told_once() {
        let denied = [(Pid(1), Fate::Denied), (Pid(7), Fate::Denied), (Pid(9), Fate::Denied)];
        let mut missing = missing(&denied, Access::RootWithout);
        missing.refusals =
            &[(Pid(1), Refusal::Capable), (Pid(7), Refusal::OtherUser), (Pid(9), Refusal::Capable)];
        let lines = missing.lines();
        assert!(lines[0].contains("; 3 denied (PID 1, 7, 9): root without"), "{lines:?}");
        assert_eq!(missing.reasons().len(), 1);
        missing.access = Access::Ordinary("CAP_PERFMON");
        assert_eq!(missing.reasons().len(), 2);
    }

    #[test]
    fn the_biggest_of_those_that_are_left_out_is_named_first() {
        let unread = [(4, 2048), (5, 8192), (6, 4096)].map(|(pid, rss)| {
            let glimpse =
                Glimpse { comm: b"db\n".to_vec(), rss: Some(Kib(rss)), ..Glimpse::default() };
            Unread { pid: Pid(pid), obstacle: Obstacle::LeftOut, glimpse, cgroup: None }
        });
        let left_out: Vec<_> = unread.iter().map(|one| (one.pid, Fate::LeftOut)).collect();
        let mut missing = missing(&left_out, Access::RootWithout);
        missing.unread = &unread;
        let named = "3 left out (PID 5 db\\n with RSS 8.0 MiB, PID 6 db\\n with RSS 4.0 MiB, PID \
                     4 db\\n with RSS 2.0 MiB): ";
        let remedy = "; read one with --pid, or all with --big";
        let lines = missing.lines();
        assert!(lines[0].contains(named) && lines[0].ends_with(remedy), "{lines:?}");
    }

    #[test]
    fn a_long_list_is_cut() {
        let changed: Vec<_> = (1..=9).map(|pid| (Pid(pid), Fate::Changed)).collect();
        let lines = missing(&changed, Access::Full("CAP_SYS_PTRACE", String::new())).lines();
        assert!(lines[0].contains("; 9 changed (PID 1, 2, 3, 4, 5 and 4 more): "), "{lines:?}");
    }

    #[test]
    fn failures_say_their_error_and_remedy() {
        let failed = [(Pid(4), Fate::Failed(Errno(libc::EMFILE)))];
        let lines = missing(&failed, Access::Full("CAP_SYS_PTRACE", String::new())).lines();
        let text = "; 1 failed (PID 4): Too many open files (os error 24); raise the limit of";
        assert!(lines[0].contains(text), "{lines:?}");
    }

    #[test]
    fn hidden_processes_are_noted() {
        let mut missing = missing(&[], Access::Ordinary("CAP_SYS_PTRACE"));
        missing.hidepid = Some("hidepid=invisible");
        let note = "processes of other users are hidden and not in the report (proc is mounted \
                    with hidepid=invisible); try as root, or as a member of the group in its \
                    option gid";
        assert_eq!(missing.lines(), [note]);
    }

    /// A process that ended has no memory; a note on it is for a caller that named it.
    #[test]
    fn ended_processes_are_noted_if_they_were_named() {
        let gone = [(Pid(8), Fate::Gone), (Pid(9), Fate::Gone)];
        let mut missing = missing(&gone, Access::Full("CAP_SYS_PTRACE", String::new()));
        assert_eq!(missing.lines(), Vec::<String>::new());
        missing.is_by_pid = true;
        assert_eq!(missing.lines(), ["PID 8, 9 do not exist (any more)"]);
        missing.hidepid = Some("hidepid=invisible");
        let told = "PID 8, 9 are not listed: they ended, or they are hidden";
        assert_eq!(missing.lines()[0], told);
        assert_eq!(missing.reasons()[0].why, "the process ended, or hidepid hides it");
    }
}
