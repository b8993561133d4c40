//! Processes that an earlier survey gave up.
//!
//! A stuck request cannot be taken back: it keeps its worker, and its slot of the ring or its
//! thread. Asked at every survey, one stuck process would have all of them in time. So it is asked
//! again after one survey without, then after two, four and so on.

use std::collections::HashMap;

use crate::process::{self, Fate, Glimpse, ProcFile};
use crate::sys::proc_root::ProcRoot;
use crate::units::Pid;

/// The most surveys in a row that leave a process out: half an hour at one in two seconds.
const REST_MAX: u32 = 1024;

/// Who was given up.
#[derive(Debug, Default)]
pub(super) struct Backoff(HashMap<Pid, Entry>);

/// Its comm and the process that started it. An exec and the death of the parent change them: then
/// it is asked once more often. The start time would be better, but a read of `stat` was seen to
/// wait for ever for an exec that is stuck (6.18).
type Fingerprint = (Vec<u8>, Option<Pid>);

#[derive(Debug)]
struct Entry {
    /// Whether it is still the same process, as far as can be told without waiting for it.
    face: Fingerprint,
    /// So many surveys go without it, of which so many are left.
    surveys: u32,
    left: u32,
}

impl Backoff {
    /// Whether a process is left alone this time.
    pub(super) fn should_skip(&mut self, pid: Pid, root: &ProcRoot) -> bool {
        let Some(rest) = self.0.get_mut(&pid) else { return false };
        if rest.face != face(pid, root) {
            self.0.remove(&pid);
            return false;
        }
        let does_rest = rest.left > 0;
        rest.left = rest.left.saturating_sub(1);
        does_rest
    }

    /// Takes note of a survey: of those it listed, those it asked, and those it misses; the first
    /// two ascending.
    pub(super) fn note(
        &mut self,
        [listed, asked]: [&[Pid]; 2],
        missing: &[(Pid, Fate)],
        root: &ProcRoot,
    ) {
        let given_up = |pid: &Pid| missing.contains(&(*pid, Fate::TimedOut));
        let is_asked = |pid: &Pid| asked.binary_search(pid).is_ok();
        self.0.retain(|pid, _| listed.binary_search(pid).is_ok());
        self.0.retain(|pid, _| !is_asked(pid) || given_up(pid));
        for (pid, fate) in missing {
            if *fate != Fate::TimedOut || !is_asked(pid) {
                continue;
            }
            let rest = self.0.entry(*pid).or_insert_with(|| Entry {
                face: face(*pid, root),
                surveys: 0,
                left: 0,
            });
            rest.surveys = (2 * rest.surveys).clamp(1, REST_MAX);
            rest.left = rest.surveys;
        }
    }
}

fn face(pid: Pid, root: &ProcRoot) -> Fingerprint {
    let status = root.read_once(ProcFile::Status, pid).unwrap_or_default();
    (Glimpse::from_status(&status).comm, process::parent(&status))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In which of some surveys the process is asked.
    fn asked(is_stuck: impl Fn(usize) -> bool) -> Vec<usize> {
        let root = ProcRoot::open("/proc".as_ref()).expect("a /proc");
        let (pid, mut held, mut asked) = (Pid(std::process::id()), Backoff::default(), Vec::new());
        for survey in 0..16 {
            if held.should_skip(pid, &root) {
                held.note([&[pid], &[]], &[], &root);
                continue;
            }
            asked.push(survey);
            let missing = [(pid, Fate::TimedOut)];
            held.note([&[pid]; 2], if is_stuck(survey) { &missing } else { &[] }, &root);
        }
        asked
    }

    #[test]
    fn the_dead_are_forgotten() {
        let root = ProcRoot::open("/proc".as_ref()).expect("a /proc");
        let (pid, mut held) = (Pid(std::process::id()), Backoff::default());
        held.note([&[pid]; 2], &[(pid, Fate::TimedOut)], &root);
        assert!(held.should_skip(pid, &root));
        held.note([&[], &[]], &[], &root);
        assert!(!held.should_skip(pid, &root));
    }

    #[test]
    fn the_stuck_are_asked_less_and_less() {
        assert_eq!(asked(|_| true), [0, 2, 5, 10]);
        assert_eq!(asked(|survey| survey < 3), [0, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!(asked(|_| false), (0..16).collect::<Vec<_>>());
    }
}
