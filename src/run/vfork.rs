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

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::search::{Search, TookLong};
use crate::engine::Survey;
use crate::process::{self, ProcFile, ProcessUsage};
use crate::report::bounds::{self, Uncompared};
use crate::smaps::Field;
use crate::sys::proc_root::ProcRoot;
use crate::sys::{keeper_client, this_process};
use crate::units::{Kib, Pid};

/// The search stops after this many comparisons without a match, plus one for each
/// `MEASURED_PER_MISS` measured processes: a server can have thousands of forked children, among
/// which a search that finds nothing must cost almost nothing.
const MISSES_MAX: usize = 8;
const MEASURED_PER_MISS: usize = 256;
/// The most comparisons that find all equal processes in one address space: so many, and one for
/// each `MEASURED_PER_COMPARISON` measured processes. `kcmp(2)` takes 1.1 µs, the survey of a
/// process 40 and more.
const COMPARISONS_LEAST: usize = 4096;
const MEASURED_PER_COMPARISON: usize = 2;
/// The same for a keeper, which takes 20 µs.
const KEPT_LEAST: usize = 200;
const MEASURED_PER_KEPT: usize = 16;

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
            Ok(Some(Finding::Child(child, parent))) => drop(found.insert(child, parent)),
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
    /// A process, and another one in whose address space it runs.
    Child(Pid, Pid),
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
        let mut budget = Budget::new(self.all.len());
        let (mut misses, mut known) = (0, HashSet::new());
        // The figures of a process can change between its read and that of the other one.
        for alike in &self.alike {
            let Some((pairs, extent)) = compare_all(root, alike, &mut budget) else { continue };
            if extent == Extent::All {
                known.extend(alike.iter().copied());
            }
            if !send(findings, pairs) {
                return; // The receiver gave up.
            }
        }
        for pid in &self.in_turn {
            if misses == self.misses_max {
                break;
            }
            if known.contains(pid) {
                continue;
            }
            match self.parent(root, *pid) {
                Some(parent) if share_memory(root, *pid, parent) == Some(true) => {
                    known.insert(*pid);
                    if !send(findings, vec![(*pid, parent)]) {
                        return;
                    }
                }
                _ => misses += 1,
            }
        }
        let mut doubted = Doubted::default();
        for equal in &self.equal {
            let rest: Vec<Pid> = equal.iter().copied().filter(|pid| !known.contains(pid)).collect();
            let Some((pairs, extent)) = compare(root, &rest, &mut budget) else {
                doubted.many += rest.len();
                continue;
            };
            match extent {
                Extent::All => {}
                Extent::Neighbours => doubted.many += rest.len(),
                Extent::Refused => doubted.refused += rest.len(),
            }
            if !send(findings, pairs) {
                return;
            }
        }
        // A receiver that gave up does not need it.
        drop(findings.send(Finding::Doubt(doubted)));
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

/// Whether the receiver still waits for the pairs.
fn send(findings: &Sender<Finding>, pairs: Vec<(Pid, Pid)>) -> bool {
    pairs.into_iter().all(|(pid, owner)| findings.send(Finding::Child(pid, owner)).is_ok())
}

/// As [`keeper_client::share_memory`]; an ended process shares nothing. To `kcmp(2)`, two dead
/// processes are equal: they have no address space, which is the same pointer.
pub(super) fn share_memory(root: &ProcRoot, one: Pid, other: Pid) -> Option<bool> {
    match keeper_client::share_memory(one, other) {
        Some(is_equal) => Some(is_equal && has_memory(root, one)),
        None if has_memory(root, one) && has_memory(root, other) => None,
        None => Some(false),
    }
}

/// Whether a process has an address space still. A read of `status` never blocks.
pub(super) fn has_memory(root: &ProcRoot, pid: Pid) -> bool {
    root.read_once(ProcFile::Status, pid).is_ok_and(|status| process::has_memory(&status))
}

/// The number of comparisons left, by this process and by the keeper.
struct Budget {
    own: usize,
    kept: usize,
}

impl Budget {
    fn new(measured: usize) -> Budget {
        let own = COMPARISONS_LEAST + measured / MEASURED_PER_COMPARISON;
        Budget { own, kept: KEPT_LEAST + measured / MEASURED_PER_KEPT }
    }
}

/// The processes that a process was compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    All,
    /// The next one by id.
    Neighbours,
    /// Those before a comparison that the kernel refused.
    Refused,
}

/// Each process that runs in the address space of one before it, and that one.
type Pairs = (Vec<(Pid, Pid)>, Extent);

/// Compares processes, in ascending order, with each other; `None` if they are too many.
fn compare_all(root: &ProcRoot, pids: &[Pid], budget: &mut Budget) -> Option<Pairs> {
    let [first, second, ..] = pids else { return Some((Vec::new(), Extent::All)) };
    let count = pids.len();
    if this_process::order_memory(*first, *second).is_some() {
        let cost = count * (count - 1).ilog2() as usize + count;
        budget.own = budget.own.checked_sub(cost)?;
        return Some(compare_in_order(root, pids));
    }
    // An ended process is no reason for the slower way.
    let is_ended = |pid: &Pid| [first, second].contains(&pid) && !has_memory(root, *pid);
    let left: Vec<Pid> = pids.iter().copied().filter(|pid| !is_ended(pid)).collect();
    if left.len() < count {
        return compare_all(root, &left, budget);
    }
    budget.kept = budget.kept.checked_sub(count * (count - 1) / 2)?;
    Some(compare_in_turn(pids, |one, other| share_memory(root, one, other)))
}

/// The same, or if they are many, compares each with the next one: that takes at most one
/// comparison for each measured process. `None` if even these are too many for the keeper.
fn compare(root: &ProcRoot, pids: &[Pid], budget: &mut Budget) -> Option<Pairs> {
    let all = compare_all(root, pids, budget);
    if let (None, [first, second, ..]) = (&all, pids) {
        if this_process::order_memory(*first, *second).is_none() {
            budget.kept = budget.kept.checked_sub(pids.len() - 1)?;
        }
        return Some(compare_neighbours(pids, |one, other| share_memory(root, one, other)));
    }
    all
}

/// Inserts each process into a list in the kernel's order, and leaves out those that ended.
fn compare_in_order(root: &ProcRoot, pids: &[Pid]) -> Pairs {
    let (mut distinct, mut pairs): (Vec<Pid>, _) = (Vec::new(), Vec::new());
    for pid in pids {
        // Each turn but the last removes a process.
        let place = loop {
            let mut refused = None;
            let place = distinct.binary_search_by(|other| {
                let order = this_process::order_memory(*other, *pid);
                refused = refused.or_else(|| order.is_none().then_some(*other));
                order.unwrap_or(Ordering::Less)
            });
            match refused {
                None => break Some(place),
                Some(other) if !has_memory(root, other) => distinct.retain(|one| *one != other),
                Some(_) if !has_memory(root, *pid) => break None,
                Some(_) => return (pairs, Extent::Refused),
            }
        };
        match place {
            None => {}
            Some(Ok(_)) if !has_memory(root, *pid) => {}
            Some(Ok(place)) => pairs.push((*pid, distinct[place])),
            Some(Err(place)) => distinct.insert(place, *pid),
        }
    }
    (pairs, Extent::All)
}

/// Compares each process with all distinct ones before it.
fn compare_in_turn(pids: &[Pid], same: impl Fn(Pid, Pid) -> Option<bool>) -> Pairs {
    let (mut distinct, mut pairs): (Vec<Pid>, _) = (Vec::new(), Vec::new());
    for pid in pids {
        let mut owner = None;
        for other in &distinct {
            match same(*other, *pid) {
                None => return (pairs, Extent::Refused),
                Some(false) => {}
                Some(true) => {
                    owner = Some(*other);
                    break;
                }
            }
        }
        match owner {
            Some(owner) => pairs.push((*pid, owner)),
            None => distinct.push(*pid),
        }
    }
    (pairs, Extent::All)
}

/// Compares each process with the one before it.
fn compare_neighbours(pids: &[Pid], same: impl Fn(Pid, Pid) -> Option<bool>) -> Pairs {
    let mut pairs = Vec::new();
    for (one, next) in pids.iter().zip(&pids[1..]) {
        match same(*one, *next) {
            None => return (pairs, Extent::Refused),
            Some(true) => pairs.push((*next, *one)),
            Some(false) => {}
        }
    }
    (pairs, Extent::Neighbours)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

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

    /// Too many for all comparisons are no reason to spend any.
    #[test]
    fn sets_beyond_the_budget_leave_it() {
        let root = ProcRoot::open("/proc".as_ref()).expect("a /proc");
        let own = Pid(std::process::id());
        let mut budget = Budget { own: 10, kept: 10 };
        assert_eq!(compare_all(&root, &[own; 8], &mut budget), None);
        assert_eq!((budget.own, budget.kept), (10, 10));
    }

    #[test]
    fn processes_are_compared_with_all_or_with_the_next_one() {
        // Those of one number share their memory.
        let memory = [7, 8, 8, 8, 9, 7];
        let pids: Vec<Pid> = (0..6).map(Pid).collect();
        let same = |one: Pid, other: Pid| Some(memory[one.0 as usize] == memory[other.0 as usize]);
        let pairs = |list: &[(u32, u32)], extent| {
            let list = list.iter().map(|(pid, owner)| (Pid(*pid), Pid(*owner))).collect();
            (list, extent)
        };
        let all = compare_in_turn(&pids, same);
        assert_eq!(all, pairs(&[(2, 1), (3, 1), (5, 0)], Extent::All));
        let neighbours = compare_neighbours(&pids, same);
        assert_eq!(neighbours, pairs(&[(2, 1), (3, 2)], Extent::Neighbours));
        let refused = pairs(&[], Extent::Refused);
        assert_eq!(compare_neighbours(&pids, |_, _| None), refused);
        assert_eq!(compare_in_turn(&pids, |_, _| None), refused);
        let same_or_refused = |one, other: Pid| if other.0 < 4 { same(one, other) } else { None };
        let before = pairs(&[(2, 1), (3, 1)], Extent::Refused);
        assert_eq!(compare_in_turn(&pids, same_or_refused), before);
    }

    #[test]
    fn an_ended_process_is_left_out() {
        let root = ProcRoot::open("/proc".as_ref()).expect("a /proc");
        let mut child = std::process::Command::new("true").spawn().expect("a child");
        let (own, ended) = (Pid(std::process::id()), Pid(child.id()));
        child.wait().expect("a child of ours");
        let is_compared = this_process::share_memory(own, own).is_some();
        let expected = if is_compared {
            (vec![(own, own)], Extent::All)
        } else {
            (Vec::new(), Extent::Refused)
        };
        assert_eq!(share_memory(&root, own, ended), Some(false));
        for pids in [[own, ended, own], [ended, own, own], [own, own, ended]] {
            assert_eq!(compare_in_order(&root, &pids), expected, "{pids:?}");
            let mut budget = Budget { own: 100, kept: 0 };
            let found = compare(&root, &pids, &mut budget);
            assert!(!is_compared || found.as_ref() == Some(&expected), "{pids:?}: {found:?}");
        }
    }

    #[test]
    fn dead_processes_share_nothing() {
        let root = ProcRoot::open("/proc".as_ref()).expect("a /proc");
        let start = || std::process::Command::new("true").spawn().expect("a child");
        let mut children = [start(), start()];
        let pids = children.each_ref().map(|child| Pid(child.id()));
        let until = Instant::now() + Duration::from_secs(60);
        while pids.iter().any(|pid| has_memory(&root, *pid)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        let answers =
            [share_memory(&root, pids[0], pids[1]), share_memory(&root, pids[1], pids[0])];
        let (pairs, _) = compare_in_order(&root, &pids);
        for child in &mut children {
            child.wait().expect("a child of ours");
        }
        assert!(answers.iter().all(|answer| *answer != Some(true)), "{answers:?}");
        assert_eq!(pairs, []);
    }

    #[test]
    fn the_first_of_a_line_owns_the_address_space() {
        let parents = HashMap::from([(Pid(3), Pid(2)), (Pid(2), Pid(1))]);
        assert_eq!(owners(&parents), HashMap::from([(Pid(3), Pid(1)), (Pid(2), Pid(1))]));
        let circle = HashMap::from([(Pid(3), Pid(2)), (Pid(2), Pid(3)), (Pid(4), Pid(3))]);
        assert_eq!(owners(&circle), HashMap::new());
    }
}
