//! Processes that an earlier survey gave up.
//!
//! A stuck request cannot be taken back: it keeps its worker, and its slot of the ring or its
//! thread. Asked at every survey, one stuck process would have all of them in time. So it is asked
//! again after one survey without, then after two, four and so on.

use std::collections::HashMap;

use crate::process::Fate;
use crate::sys::proc_root::ProcRoot;
use crate::units::Pid;

/// The most surveys in a row that leave a process out: an hour at one in two seconds.
const REST_MAX: u32 = 1024;

/// Who was given up.
#[derive(Debug, Default)]
pub(super) struct Held(HashMap<Pid, Rest>);

#[derive(Debug)]
struct Rest {
    /// Whether it is still the same process.
    start_time: Option<u64>,
    /// So many surveys go without it, of which so many are left.
    surveys: u32,
    left: u32,
}

impl Held {
    /// Whether a process is left alone this time.
    pub(super) fn rests(&mut self, pid: Pid, root: &ProcRoot) -> bool {
        let Some(rest) = self.0.get_mut(&pid) else { return false };
        if rest.start_time != root.start_time(pid) {
            self.0.remove(&pid);
            return false;
        }
        let does_rest = rest.left > 0;
        rest.left = rest.left.saturating_sub(1);
        does_rest
    }

    /// Takes note of a survey: of those it asked, and of those it misses.
    pub(super) fn note(&mut self, asked: &[Pid], missing: &[(Pid, Fate)], root: &ProcRoot) {
        let given_up = |pid: &Pid| missing.contains(&(*pid, Fate::TimedOut));
        self.0.retain(|pid, _| asked.binary_search(pid).is_err() || given_up(pid));
        for (pid, fate) in missing {
            if *fate != Fate::TimedOut || asked.binary_search(pid).is_err() {
                continue;
            }
            let rest = self.0.entry(*pid).or_insert_with(|| Rest {
                start_time: root.start_time(*pid),
                surveys: 0,
                left: 0,
            });
            rest.surveys = (2 * rest.surveys).clamp(1, REST_MAX);
            rest.left = rest.surveys;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In which of some surveys the process is asked.
    fn asked(is_stuck: impl Fn(usize) -> bool) -> Vec<usize> {
        let root = ProcRoot::open("/proc".as_ref()).expect("a /proc");
        let (pid, mut held, mut asked) = (Pid(std::process::id()), Held::default(), Vec::new());
        for survey in 0..16 {
            if held.rests(pid, &root) {
                held.note(&[], &[], &root);
                continue;
            }
            asked.push(survey);
            let missing = [(pid, Fate::TimedOut)];
            held.note(&[pid], if is_stuck(survey) { &missing } else { &[] }, &root);
        }
        asked
    }

    #[test]
    fn the_stuck_are_asked_less_and_less() {
        assert_eq!(asked(|_| true), [0, 2, 5, 10]);
        assert_eq!(asked(|survey| survey < 3), [0, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!(asked(|_| false), (0..16).collect::<Vec<_>>());
    }
}
