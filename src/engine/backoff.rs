//! Processes that timed out in earlier surveys.
//!
//! A stuck request cannot be cancelled: it keeps its worker, and its slot of the ring or its
//! thread. If every survey asked a stuck process again, it would hold all of them in the end. So
//! surveys skip the process once, then twice, four times and so on, before they ask again.

use std::collections::HashMap;

use crate::process::{self, Fate, Glimpse, ProcFile};
use crate::sys::proc_root::ProcRoot;
use crate::units::Pid;

/// The maximum number of surveys in a row that skip a process: half an hour at one in two seconds.
const SKIPS_MAX: u32 = 1024;

/// The processes that timed out, by id.
#[derive(Debug, Default)]
pub(super) struct Backoff(HashMap<Pid, Entry>);

#[derive(Debug)]
struct Entry {
    fingerprint: Fingerprint,
    /// Surveys to skip after the last timeout.
    skips: u32,
    /// Those that are still to come.
    skips_left: u32,
}

/// Comm and parent, which show whether an id still belongs to the same process, without waiting.
/// An exec or the death of the parent changes them, which only asks the process once more. The
/// start time would be better, but a read of `stat` can wait forever for a stuck exec (seen in
/// 6.18).
type Fingerprint = (Vec<u8>, Option<Pid>);

impl Backoff {
    /// Whether this survey skips a process. A survey of a part takes no turn.
    pub(super) fn should_skip(&mut self, pid: Pid, root: &ProcRoot, is_part: bool) -> bool {
        let Some(entry) = self.0.get_mut(&pid) else { return false };
        if entry.fingerprint != fingerprint(pid, root) {
            self.0.remove(&pid);
            return false;
        }
        let should_skip = entry.skips_left > 0;
        entry.skips_left = entry.skips_left.saturating_sub(u32::from(!is_part));
        should_skip
    }

    /// Forgets all processes but these, which ascend.
    pub(super) fn forget_others(&mut self, listed: &[Pid]) {
        self.0.retain(|pid, _| listed.binary_search(pid).is_ok());
    }

    /// Records a survey: the processes that it asked, ascending, and those that it misses. One that
    /// a deadline cut off (`is_cut`) may be healthy: it is skipped if the same happens to it again.
    pub(super) fn record(
        &mut self,
        asked: &[Pid],
        missing: &[(Pid, Fate)],
        root: &ProcRoot,
        is_cut: bool,
    ) {
        let has = |pid: &Pid, fate| missing.contains(&(*pid, fate));
        let is_unanswered = |pid: &Pid| has(pid, Fate::TimedOut) || has(pid, Fate::NotAsked);
        let is_asked = |pid: &Pid| asked.binary_search(pid).is_ok();
        self.0.retain(|pid, _| !is_asked(pid) || is_unanswered(pid));
        for (pid, fate) in missing {
            if *fate != Fate::TimedOut || !is_asked(pid) {
                continue;
            }
            let is_new = !self.0.contains_key(pid);
            let entry = self.0.entry(*pid).or_insert_with(|| Entry {
                fingerprint: fingerprint(*pid, root),
                skips: 0,
                skips_left: 0,
            });
            if !(is_new && is_cut) {
                entry.skips = (2 * entry.skips).clamp(1, SKIPS_MAX);
                entry.skips_left = entry.skips;
            }
        }
    }
}

fn fingerprint(pid: Pid, root: &ProcRoot) -> Fingerprint {
    let status = root.read_once(ProcFile::Status, pid).unwrap_or_default();
    (Glimpse::from_status(&status).comm, process::parent(&status))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The surveys that ask a process, out of sixteen.
    fn asked(is_cut: bool, is_stuck: impl Fn(usize) -> bool) -> Vec<usize> {
        let root = ProcRoot::open("/proc".as_ref()).expect("a /proc");
        let (pid, mut backoff, mut asked) = (Pid(std::process::id()), Backoff::default(), vec![]);
        for survey in 0..16 {
            // Surveys of parts with the process and without it change nothing.
            let is_skipped = backoff.should_skip(pid, &root, true);
            backoff.record(&[], &[], &root, false);
            assert_eq!(backoff.should_skip(pid, &root, false), is_skipped, "survey {survey}");
            if is_skipped {
                continue;
            }
            asked.push(survey);
            let missing = [(pid, Fate::TimedOut)];
            backoff.record(&[pid], if is_stuck(survey) { &missing } else { &[] }, &root, is_cut);
        }
        asked
    }

    #[test]
    fn dead_processes_are_forgotten() {
        let root = ProcRoot::open("/proc".as_ref()).expect("a /proc");
        let (pid, mut backoff) = (Pid(std::process::id()), Backoff::default());
        backoff.record(&[pid], &[(pid, Fate::TimedOut)], &root, false);
        assert!(backoff.should_skip(pid, &root, true));
        backoff.forget_others(&[]);
        assert!(!backoff.should_skip(pid, &root, true));
    }

    #[test]
    fn stuck_processes_are_asked_less_and_less() {
        assert_eq!(asked(false, |_| true), [0, 2, 5, 10]);
        assert_eq!(asked(false, |it| it < 3), [0, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!(asked(false, |_| false), (0..16).collect::<Vec<_>>());
    }

    /// A deadline shorter than the time after which a process counts as stuck.
    #[test]
    fn processes_cut_off_twice_are_asked_less_and_less() {
        assert_eq!(asked(true, |_| true), [0, 1, 3, 6, 11]);
        assert_eq!(asked(true, |it| it % 2 == 0), (0..16).collect::<Vec<_>>());
        let root = ProcRoot::open("/proc".as_ref()).expect("a /proc");
        let (pid, mut backoff) = (Pid(std::process::id()), Backoff::default());
        for fate in [Fate::TimedOut, Fate::NotAsked, Fate::TimedOut] {
            backoff.record(&[pid], &[(pid, fate)], &root, true);
        }
        assert!(backoff.should_skip(pid, &root, true), "a turn that never came changes nothing");
    }
}
