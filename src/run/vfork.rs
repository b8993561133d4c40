//! Processes that share one address space: a parent and its child after `vfork(2)` or `clone(2)`
//! with `CLONE_VM`. Each tells the same memory as its own, so it would be counted twice.
//!
//! Figures cannot tell them from forked siblings, which can be equal in all of them. `kcmp(2)` can,
//! for a microsecond or two, so not everybody is asked: only processes with the addresses of
//! another one, about the parent that `status` names.

use std::collections::HashMap;
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};

use crate::engine::Survey;
use crate::process::{self, ProcFile, ProcessUsage};
use crate::sys::proc_root::ProcRoot;
use crate::sys::this_process;
use crate::sys::threads;
use crate::units::{Kib, Pid};

/// So many processes are asked in vain, and one more for so many that were measured: a server can
/// have thousands of forked children, and to find nothing among them may cost next to nothing.
const IN_VAIN_MAX: usize = 8;
const MEASURED_PER_VAIN: usize = 256;
/// How long to wait for the answers: an exec that got stuck would keep `kcmp(2)` for ever.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// What the asking thread must leave to others, and needs itself.
const LEFT_BYTES: usize = 512 * 1024;

/// Processes whose memory is that of another one: that one, by process. It is an ancestor, and
/// shares its memory with none of its own.
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
    // A thread that is stuck is left behind. Without one, nobody is asked.
    if threads::spawn(LEFT_BYTES, move || suspects.ask(&root, &sender)) {
        let next = || receiver.recv_timeout(until.saturating_duration_since(Instant::now())).ok();
        found.extend(std::iter::from_fn(next));
    }
    owners(&found)
}

/// From parents to the first of each line of them. Process ids come from different moments, so a
/// circle is not impossible; it owns nothing.
fn owners(parents: &HashMap<Pid, Pid>) -> HashMap<Pid, Pid> {
    let owned = parents.iter().map(|(child, parent)| (*child, eldest(parents, *parent)));
    owned.filter(|(_, owner)| !parents.contains_key(owner)).collect()
}

fn eldest(parents: &HashMap<Pid, Pid>, pid: Pid) -> Pid {
    let line = std::iter::successors(Some(pid), |pid| parents.get(pid).copied());
    line.take(parents.len() + 1).last().unwrap_or(pid)
}

/// Where an address space begins and ends.
type Addresses = (u64, u64);

/// What is compared of a process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Look {
    addresses: Addresses,
    /// Equal for equal figures, and hardly ever else: there are thousands of these, and it only
    /// decides who is asked first.
    figures: u64,
    pid: Pid,
}

impl Look {
    fn at(process: ProcessUsage<'_>) -> Option<Look> {
        let ProcessUsage { pid, smaps, .. } = process;
        let [rss, pss, uss] = [smaps.rss(), smaps.pss(), smaps.uss()].map(|Kib(kib)| kib);
        let figures = rss ^ pss.rotate_left(21) ^ uss.rotate_left(42);
        Some(Look { addresses: smaps.addresses()?, figures, pid })
    }
}

/// Processes with the addresses of another one.
struct Suspects {
    /// The most suspicious first.
    in_turn: Vec<Pid>,
    looks: Vec<Look>,
    in_vain_max: usize,
}

impl Suspects {
    fn among<'run>(processes: impl Iterator<Item = ProcessUsage<'run>>) -> Suspects {
        let mut looks: Vec<Look> = processes.filter_map(Look::at).collect();
        let in_vain_max = IN_VAIN_MAX + looks.len() / MEASURED_PER_VAIN;
        looks.sort_unstable();
        let mut in_turn = Vec::new();
        for alike in looks.chunk_by(|a, b| a.addresses == b.addresses).filter(|a| a.len() > 1) {
            for equal in alike.chunk_by(|a, b| a.figures == b.figures) {
                in_turn.extend(equal.iter().map(|look| (equal.len() > 1, look.pid)));
            }
        }
        // One that does not run, or hardly, has the figures of its parent; and it is young.
        in_turn.sort_unstable_by(|a, b| b.cmp(a));
        let in_turn = in_turn.into_iter().map(|(_, pid)| pid).collect();
        Suspects { in_turn, looks, in_vain_max }
    }

    /// Tells each that shares the memory of its parent, with the parent.
    fn ask(&self, root: &ProcRoot, found: &Sender<(Pid, Pid)>) {
        let mut in_vain = 0;
        for pid in &self.in_turn {
            if in_vain == self.in_vain_max {
                return;
            }
            match self.parent(root, *pid) {
                Some(parent) if this_process::share_memory(*pid, parent) == Some(true) => {
                    if found.send((*pid, parent)).is_err() {
                        return; // Nobody waits any more.
                    }
                }
                _ => in_vain += 1,
            }
        }
    }

    /// Its parent, if that has the same addresses.
    fn parent(&self, root: &ProcRoot, pid: Pid) -> Option<Pid> {
        let parent = process::parent(&root.read_once(ProcFile::Status, pid).ok()?)?;
        (self.addresses(parent)? == self.addresses(pid)?).then_some(parent)
    }

    /// Looked for one by one: few are asked, and a map of all would cost more.
    fn addresses(&self, pid: Pid) -> Option<Addresses> {
        self.looks.iter().find(|look| look.pid == pid).map(|look| look.addresses)
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
    fn equal_and_young_ones_come_first() {
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
            start_time: None,
        };
        let suspects = Suspects::among(processes.into_iter().map(usage));
        assert_eq!(suspects.in_turn, [7, 6, 3, 1, 5, 2].map(Pid));
        assert_eq!(suspects.addresses(Pid(7)), Some((0x40, 0x50)));
        assert_eq!(suspects.addresses(Pid(8)), None);
    }

    #[test]
    fn the_eldest_owns_it() {
        let parents = HashMap::from([(Pid(3), Pid(2)), (Pid(2), Pid(1))]);
        assert_eq!(owners(&parents), HashMap::from([(Pid(3), Pid(1)), (Pid(2), Pid(1))]));
        let circle = HashMap::from([(Pid(3), Pid(2)), (Pid(2), Pid(3)), (Pid(4), Pid(3))]);
        assert_eq!(owners(&circle), HashMap::new());
    }
}
