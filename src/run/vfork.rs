//! Processes that share one address space: a parent and its child after `vfork(2)` or `clone(2)`
//! with `CLONE_VM`. The kernel reports the same memory for both, so it would count twice.
//!
//! Figures do not distinguish them from forked siblings, which can be equal in all of them.
//! `kcmp(2)` does, in one or two microseconds. So only processes with the addresses of another one
//! are compared, each with the parent that its `status` names.

use std::collections::HashMap;
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};

use crate::engine::Survey;
use crate::process::{self, ProcFile, ProcessUsage};
use crate::sys::keeper_client;
use crate::sys::proc_root::ProcRoot;
use crate::sys::threads;
use crate::units::{Kib, Pid};

/// The search stops after this many comparisons without a match, plus one for each
/// `MEASURED_PER_MISS` measured processes: a server can have thousands of forked children, among
/// which a search that finds nothing must cost almost nothing.
const MISSES_MAX: usize = 8;
const MEASURED_PER_MISS: usize = 256;
/// The time to wait for the search: an exec that is stuck blocks `kcmp(2)` forever.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// Maps each process that shares an address space to the process that owns it: the ancestor that
/// shares it with none of its own ancestors.
pub(super) fn find(
    root: &ProcRoot,
    survey: &Survey,
    deadline: Option<Duration>,
) -> HashMap<Pid, Pid> {
    let suspects = Suspects::among(survey.processes());
    if suspects.in_turn.is_empty() || !root.is_own() {
        return HashMap::new();
    }
    let (sender, receiver) = mpsc::channel();
    let root = root.clone();
    let until = Instant::now() + deadline.unwrap_or(WAIT_MAX).min(WAIT_MAX);
    let mut found = HashMap::new();
    // A thread that is stuck is abandoned. If none can be started, the search is skipped.
    if threads::affordable(1, 0, 0) == 1 && threads::spawn(move || suspects.search(&root, &sender))
    {
        let next = || receiver.recv_timeout(until.saturating_duration_since(Instant::now())).ok();
        found.extend(std::iter::from_fn(next));
    }
    owners(&found)
}

/// Replaces each parent by the first of its line of parents. Process ids are read at different
/// moments, so a circle is possible; it has no owner.
fn owners(parents: &HashMap<Pid, Pid>) -> HashMap<Pid, Pid> {
    let owned = parents.iter().map(|(child, parent)| (*child, first_of_line(parents, *parent)));
    owned.filter(|(_, owner)| !parents.contains_key(owner)).collect()
}

fn first_of_line(parents: &HashMap<Pid, Pid>, pid: Pid) -> Pid {
    let line = std::iter::successors(Some(pid), |pid| parents.get(pid).copied());
    line.take(parents.len() + 1).last().unwrap_or(pid)
}

/// The first and the last address of an address space.
type Addresses = (u64, u64);

/// The properties of a process that are compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Suspect {
    addresses: Addresses,
    /// A hash of the figures. There are thousands of these, and it only decides the order of the
    /// comparisons.
    figures: u64,
    pid: Pid,
}

impl Suspect {
    fn new(process: ProcessUsage<'_>) -> Option<Suspect> {
        let ProcessUsage { pid, smaps, .. } = process;
        let [rss, pss, uss] = [smaps.rss(), smaps.pss(), smaps.uss()].map(|Kib(kib)| kib);
        let figures = rss ^ pss.rotate_left(21) ^ uss.rotate_left(42);
        Some(Suspect { addresses: smaps.addresses()?, figures, pid })
    }
}

/// Processes with the addresses of another one.
struct Suspects {
    /// The most likely first.
    in_turn: Vec<Pid>,
    all: Vec<Suspect>,
    misses_max: usize,
}

impl Suspects {
    fn among<'run>(processes: impl Iterator<Item = ProcessUsage<'run>>) -> Suspects {
        let mut all: Vec<Suspect> = processes.filter_map(Suspect::new).collect();
        let misses_max = MISSES_MAX + all.len() / MEASURED_PER_MISS;
        all.sort_unstable();
        let mut in_turn = Vec::new();
        for alike in all.chunk_by(|a, b| a.addresses == b.addresses).filter(|a| a.len() > 1) {
            for equal in alike.chunk_by(|a, b| a.figures == b.figures) {
                in_turn.extend(equal.iter().map(|suspect| (equal.len() > 1, suspect.pid)));
            }
        }
        // A child that has hardly run has the figures of its parent, and a high id.
        in_turn.sort_unstable_by(|a, b| b.cmp(a));
        let in_turn = in_turn.into_iter().map(|(_, pid)| pid).collect();
        Suspects { in_turn, all, misses_max }
    }

    /// Sends each process that shares the memory of its parent, with the parent.
    fn search(&self, root: &ProcRoot, found: &Sender<(Pid, Pid)>) {
        let mut misses = 0;
        for pid in &self.in_turn {
            if misses == self.misses_max {
                return;
            }
            match self.parent(root, *pid) {
                Some(parent) if keeper_client::share_memory(*pid, parent) == Some(true) => {
                    if found.send((*pid, parent)).is_err() {
                        return; // The receiver gave up.
                    }
                }
                _ => misses += 1,
            }
        }
    }

    /// Its parent, if that has the same addresses.
    fn parent(&self, root: &ProcRoot, pid: Pid) -> Option<Pid> {
        let parent = process::parent(&root.read_once(ProcFile::Status, pid).ok()?)?;
        (self.addresses(parent)? == self.addresses(pid)?).then_some(parent)
    }

    /// A linear search: few are compared, and a map of all would cost more.
    fn addresses(&self, pid: Pid) -> Option<Addresses> {
        self.all.iter().find(|one| one.pid == pid).map(|one| one.addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smaps::{Scanner, Smaps};

    fn smaps(addresses: &str, pss: u64) -> Smaps {
        let mut scanner = Scanner::new();
        let text = format!(
            "{addresses} ---p 00000000 00:00 0 [rollup]\nPss: {pss} kB\n\
             Private_Clean: 0 kB\nPrivate_Dirty: 8 kB\n"
        );
        scanner.feed(text.as_bytes());
        scanner.finish().expect("smaps")
    }

    #[test]
    fn equal_and_young_processes_come_first() {
        let processes = [
            (1, "10-20", 5),
            (2, "10-20", 6),
            (3, "10-20", 5),
            (4, "10-30", 5),
            (5, "10-20", 7),
            (6, "40-50", 5),
            (7, "40-50", 5),
        ];
        let usage = |(pid, addresses, pss)| ProcessUsage {
            pid: Pid(pid),
            name: b"",
            smaps: smaps(addresses, pss),
            uid: None,
            cgroup: None,
            page_tables: None,
            start_time: None,
        };
        let suspects = Suspects::among(processes.into_iter().map(usage));
        assert_eq!(suspects.in_turn, [7, 6, 3, 1, 5, 2].map(Pid));
        assert_eq!(suspects.addresses(Pid(7)), Some((0x40, 0x50)));
        assert_eq!(suspects.addresses(Pid(8)), None);
    }

    #[test]
    fn the_first_of_a_line_owns_the_address_space() {
        let parents = HashMap::from([(Pid(3), Pid(2)), (Pid(2), Pid(1))]);
        assert_eq!(owners(&parents), HashMap::from([(Pid(3), Pid(1)), (Pid(2), Pid(1))]));
        let circle = HashMap::from([(Pid(3), Pid(2)), (Pid(2), Pid(3)), (Pid(4), Pid(3))]);
        assert_eq!(owners(&circle), HashMap::new());
    }
}
