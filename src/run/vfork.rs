//! Processes that share one address space: a parent and its child after `vfork(2)` or `clone(2)`
//! with `CLONE_VM`. The kernel reports the same memory for both, so it would count twice.
//!
//! Figures do not distinguish them from forked siblings, which can be equal in all of them.
//! `kcmp(2)` does, in one or two microseconds. So only processes with the same addresses are
//! compared: a few hundred each with all others. Of more, each is compared with the parent that its
//! `status` names, and those that are equal in all figures with each other, because a parent can
//! end or be another one (`CLONE_PARENT`). Of too many equal ones each is compared with the next
//! one by id: processes that share memory are usually started one after another. There, and where
//! the kernel does not compare, a note says that memory may count twice.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::compare::{self, Budget, Comparison, PidPair};
use super::search::{Search, TookLong};
use crate::engine::Survey;
use crate::process::{self, ProcFile, ProcessUsage};
use crate::report::bounds::{self, Uncompared};
use crate::smaps::Field;
use crate::sys::proc_root::ProcRoot;
use crate::units::{Kib, Pid};

/// The search stops after this many comparisons without a match, plus one for each
/// `MEASURED_PER_MISS` measured processes: a server can have thousands of forked children, among
/// which a search that finds nothing must cost almost nothing.
const MISSES_MAX: usize = 8;
const MEASURED_PER_MISS: usize = 256;

/// Processes in the address spaces of others.
#[derive(Default)]
pub(crate) struct SharedSpaces {
    /// Maps each of them to the process that owns the address space: the ancestor that shares it
    /// with none of its own ancestors, or the one with the least id.
    pub(crate) owners: HashMap<Pid, Pid>,
    /// Owners of address spaces that unmeasured processes use too, each with one of them.
    pub(super) outside: Vec<(Pid, Pid)>,
    /// The same in another `/proc`, where it is a suspicion.
    pub(super) suspects: Vec<(Pid, Pid)>,
    /// A note on processes that may be further ones.
    pub(super) note: Option<String>,
}

impl SharedSpaces {
    fn doubt(owners: HashMap<Pid, Pid>, processes: usize, why: Uncompared) -> SharedSpaces {
        SharedSpaces { owners, note: bounds::uncompared(processes, why), ..SharedSpaces::default() }
    }

    /// All processes that share an address space, owners included.
    pub(super) fn processes(&self) -> HashSet<Pid> {
        self.owners.iter().flat_map(|(pid, owner)| [*pid, *owner]).collect()
    }
}

/// Finds the processes that share an address space.
pub(super) fn find(root: &ProcRoot, survey: &Survey, deadline: Option<Duration>) -> SharedSpaces {
    let suspects = Suspects::among(survey.processes());
    if suspects.in_turn.is_empty() {
        return SharedSpaces::default();
    }
    let equal = suspects.equal.iter().map(Vec::len).sum();
    let doubt = |why| SharedSpaces::doubt(HashMap::new(), equal, why);
    if !root.is_own() {
        return doubt(Uncompared::OtherProc);
    }
    let root = root.clone();
    let Some(search) = Search::start(deadline, move |findings| suspects.search(&root, findings))
    else {
        return doubt(Uncompared::NoThread);
    };
    let (mut found, mut doubted) = (HashMap::new(), Doubted::default());
    loop {
        match search.next() {
            Ok(Some(Finding::Shared((child, parent)))) => drop(found.insert(child, parent)),
            Ok(Some(Finding::Doubt(more))) => doubted = more,
            Ok(None) => break,
            Err(TookLong) => {
                return SharedSpaces::doubt(owners(&found), equal, Uncompared::TookLong);
            }
        }
    }
    let (processes, why) = match doubted {
        Doubted { refused: 0, many } => (many, Uncompared::TooMany),
        Doubted { refused, many } => (refused + many, Uncompared::Refused),
    };
    SharedSpaces::doubt(owners(&found), processes, why)
}

/// A message of the search.
enum Finding {
    /// Two processes in one address space.
    Shared(PidPair),
    /// The end of the search.
    Doubt(Doubted),
}

/// The number of processes that were not compared.
#[derive(Clone, Copy, Default)]
struct Doubted {
    /// The kernel does not compare them.
    refused: usize,
    /// They are too many.
    many: usize,
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
        // Other processes that map the same pages change Pss and Private at any time, not these.
        let (Kib(rss), Kib(swap)) = (smaps.rss(), smaps.get(Field::Swap).unwrap_or_default());
        let figures = rss ^ swap.rotate_left(32);
        Some(Suspect { addresses: smaps.addresses()?, figures, pid })
    }
}

/// Processes with the addresses of another one.
struct Suspects {
    /// Those with the same addresses, the smallest sets first.
    alike: Vec<Vec<Pid>>,
    /// The most likely first.
    in_turn: Vec<Pid>,
    /// Those that are equal in their figures too, the smallest sets first.
    equal: Vec<Vec<Pid>>,
    all: Vec<Suspect>,
    misses_max: usize,
}

impl Suspects {
    fn among<'run>(processes: impl Iterator<Item = ProcessUsage<'run>>) -> Suspects {
        let mut all: Vec<Suspect> = processes.filter_map(Suspect::new).collect();
        let misses_max = MISSES_MAX + all.len() / MEASURED_PER_MISS;
        all.sort_unstable();
        let (mut sets, mut in_turn, mut equals) = (Vec::new(), Vec::new(), Vec::new());
        for alike in all.chunk_by(|a, b| a.addresses == b.addresses).filter(|a| a.len() > 1) {
            let mut pids: Vec<Pid> = alike.iter().map(|suspect| suspect.pid).collect();
            pids.sort_unstable();
            sets.push(pids);
            for equal in alike.chunk_by(|a, b| a.figures == b.figures) {
                in_turn.extend(equal.iter().map(|suspect| (equal.len() > 1, suspect.pid)));
                if equal.len() > 1 {
                    equals.push(equal.iter().map(|suspect| suspect.pid).collect());
                }
            }
        }
        // A child that has hardly run has the figures of its parent, and a high id.
        in_turn.sort_unstable_by(|a, b| b.cmp(a));
        let in_turn = in_turn.into_iter().map(|(_, pid)| pid).collect();
        equals.sort_by_key(Vec::len);
        sets.sort_by_key(Vec::len);
        Suspects { alike: sets, in_turn, equal: equals, all, misses_max }
    }

    /// Sends each process that shares the memory of another, with that one.
    fn search(&self, root: &ProcRoot, findings: &Sender<Finding>) {
        // A receiver that gave up needs nothing.
        let mut found = |pair| drop(findings.send(Finding::Shared(pair)));
        let mut budget = Budget::new(self.all.len());
        // The figures of a process can change between its read and that of the other one.
        let alike = self.alike.iter().filter_map(|alike| budget.each_with_each(root, alike));
        let alike: Vec<Comparison> = alike.collect();
        let mut known = Comparison::finish(&alike, root, &mut found);
        self.compare_with_parents(root, &mut known, &mut found);
        let mut doubted = Doubted::default();
        for equal in &self.equal {
            let rest: Vec<Pid> = equal.iter().copied().filter(|pid| !known.contains(pid)).collect();
            let all = budget.each_with_each(root, &rest);
            let is_all = all.is_some();
            let compared = all
                .or_else(|| budget.each_with_next(&rest))
                .map(|set| Comparison::finish(&[set], root, &mut found));
            match compared {
                Some(compared) if compared.len() < rest.len() => doubted.refused += rest.len(),
                Some(_) if is_all => {}
                _ => doubted.many += rest.len(),
            }
        }
        drop(findings.send(Finding::Doubt(doubted)));
    }

    /// Compares the most likely ones with their parents, and adds those that share memory to
    /// `known`.
    fn compare_with_parents(
        &self,
        root: &ProcRoot,
        known: &mut HashSet<Pid>,
        found: &mut impl FnMut(PidPair),
    ) {
        let mut rest = self.in_turn.iter().copied().filter(|pid| !known.contains(pid));
        let (mut misses_left, mut children) = (self.misses_max, Vec::new());
        loop {
            let few: Vec<Pid> = rest.by_ref().take(misses_left).collect();
            if few.is_empty() {
                break;
            }
            let pairs = few.iter().filter_map(|pid| Some((*pid, self.parent(root, *pid)?)));
            let pairs: Vec<PidPair> = pairs.collect();
            let before = children.len();
            compare::compare(root, &pairs, |pair| {
                children.push(pair.0);
                found(pair);
            });
            misses_left -= few.len() - (children.len() - before);
        }
        known.extend(children);
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
    use crate::process::StatFigures;
    use crate::smaps::{Scanner, Smaps};

    fn smaps(addresses: &str, pss: u64) -> Smaps {
        let mut scanner = Scanner::new();
        let text = format!(
            "{addresses} ---p 00000000 00:00 0 [rollup]\nRss: {pss} kB\nPss: {pss} kB\n\
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
            stat: StatFigures::default(),
        };
        let suspects = Suspects::among(processes.into_iter().map(usage));
        assert_eq!(suspects.in_turn, [7, 6, 3, 1, 5, 2].map(Pid));
        assert_eq!(suspects.equal, [vec![Pid(1), Pid(3)], vec![Pid(6), Pid(7)]]);
        assert_eq!(suspects.alike, [[6, 7].map(Pid).to_vec(), [1, 2, 3, 5].map(Pid).to_vec()]);
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
