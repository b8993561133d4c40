//! Comparisons of address spaces, within a budget.
//!
//! `kcmp(2)` takes one or two microseconds and gives an order, so this process sorts those that it
//! may compare. Its keeper may compare others; it is asked about pairs, many in one packet.

use std::cmp::Ordering;
use std::collections::HashSet;

use crate::process::{self, ProcFile};
use crate::sys::proc_root::ProcRoot;
use crate::sys::{keeper_client, this_process};
use crate::units::Pid;

/// The most comparisons that find all equal processes in one address space: so many, and one for
/// each `MEASURED_PER_COMPARISON` measured processes. `kcmp(2)` takes 1.1 µs, the survey of a
/// process 40 and more.
const COMPARISONS_LEAST: usize = 4096;
const MEASURED_PER_COMPARISON: usize = 2;
/// The same for a keeper, which takes about 3 µs for one of a packet.
const KEPT_LEAST: usize = 512;
const MEASURED_PER_KEPT: usize = 16;

/// A process, and another one in whose address space it may run.
pub(super) type PidPair = (Pid, Pid);

/// The number of comparisons left, by this process and by the keeper.
pub(super) struct Budget {
    own: usize,
    kept: usize,
}

/// A set of processes, and the comparisons among them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Comparison {
    pids: Vec<Pid>,
    /// Pairs that share an address space.
    shared: Vec<PidPair>,
    /// Pairs that are still to be compared, by this process or the keeper.
    pending: Vec<PidPair>,
    /// The kernel does not compare all of them.
    is_refused: bool,
}

impl Budget {
    /// The budget on a host with this many measured processes.
    pub(super) fn new(measured: usize) -> Budget {
        let own = COMPARISONS_LEAST + measured / MEASURED_PER_COMPARISON;
        Budget { own, kept: KEPT_LEAST + measured / MEASURED_PER_KEPT }
    }

    /// Compares processes, in ascending order, with each other; `None` if they are too many.
    pub(super) fn each_with_each(&mut self, root: &ProcRoot, pids: &[Pid]) -> Option<Comparison> {
        let mut pids = pids.to_vec();
        while let [first, second, ..] = pids[..] {
            let count = pids.len();
            if this_process::order_memory(first, second).is_some() {
                let cost = count * (count - 1).ilog2() as usize + count;
                self.own = self.own.checked_sub(cost)?;
                return Some(in_order(root, &pids));
            }
            // An ended process is no reason for the slower way.
            pids.retain(|pid| ![first, second].contains(pid) || has_memory(root, *pid));
            if pids.len() == count {
                self.kept = self.kept.checked_sub(count * (count - 1) / 2)?;
                let before = pids.iter().enumerate().map(|(place, pid)| (pid, &pids[..place]));
                let pairs = before.flat_map(|(one, others)| others.iter().map(|it| (*one, *it)));
                return Some(Comparison::of(&pids, pairs));
            }
        }
        Some(Comparison::of(&pids, []))
    }

    /// Compares each process with the next one: that takes at most one comparison for each measured
    /// process. `None` if even these are too many for the keeper.
    pub(super) fn each_with_next(&mut self, pids: &[Pid]) -> Option<Comparison> {
        let [first, second, ..] = pids else { return Some(Comparison::of(pids, [])) };
        if this_process::order_memory(*first, *second).is_none() {
            self.kept = self.kept.checked_sub(pids.len() - 1)?;
        }
        Some(Comparison::of(pids, pids.windows(2).map(|pair| (pair[1], pair[0]))))
    }
}

impl Comparison {
    fn of(pids: &[Pid], pending: impl IntoIterator<Item = PidPair>) -> Comparison {
        let (pids, pending) = (pids.to_vec(), pending.into_iter().collect());
        Comparison { pids, pending, ..Comparison::default() }
    }

    /// Finishes comparisons, and hands over each pair that shares an address space. Returns the
    /// processes that the kernel compared.
    pub(super) fn finish(
        sets: &[Comparison],
        root: &ProcRoot,
        mut found: impl FnMut(PidPair),
    ) -> HashSet<Pid> {
        sets.iter().flat_map(|set| &set.shared).for_each(|pair| found(*pair));
        let pending: Vec<PidPair> = sets.iter().flat_map(|set| &set.pending).copied().collect();
        let refused = compare(root, &pending, found);
        let refused: HashSet<Pid> =
            refused.iter().flat_map(|(one, other)| [*one, *other]).collect();
        let compared = sets.iter().filter(|set| !set.is_refused).flat_map(|set| &set.pids);
        compared.copied().filter(|pid| !refused.contains(pid)).collect()
    }
}

/// Compares the processes of each pair. Hands over each pair that shares an address space, as soon
/// as it is known. Returns the pairs that the kernel does not compare. To `kcmp(2)`, two dead
/// processes are equal: they have no address space, which is the same pointer.
pub(super) fn compare(
    root: &ProcRoot,
    pairs: &[PidPair],
    mut found: impl FnMut(PidPair),
) -> Vec<PidPair> {
    let mut is_known = vec![false; pairs.len()];
    keeper_client::share_memory(pairs, |place, is_shared| {
        is_known[place] = true;
        if is_shared && has_memory(root, pairs[place].0) {
            found(pairs[place]);
        }
    });
    let refused = pairs.iter().copied().zip(is_known).filter(|(_, is_known)| !is_known);
    let is_alive = |(one, other): &PidPair| has_memory(root, *one) && has_memory(root, *other);
    refused.map(|(pair, _)| pair).filter(is_alive).collect()
}

/// Whether a process has an address space still. A read of `status` never blocks.
pub(super) fn has_memory(root: &ProcRoot, pid: Pid) -> bool {
    root.read_once(ProcFile::Status, pid).is_ok_and(|status| process::has_memory(&status))
}

/// Inserts each process into a list in the kernel's order, and leaves out those that ended.
fn in_order(root: &ProcRoot, pids: &[Pid]) -> Comparison {
    let (mut distinct, mut set): (Vec<Pid>, _) = (Vec::new(), Comparison::of(pids, []));
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
                Some(_) => {
                    set.is_refused = true;
                    return set;
                }
            }
        };
        match place {
            None => {}
            Some(Ok(_)) if !has_memory(root, *pid) => {}
            Some(Ok(place)) => set.shared.push((*pid, distinct[place])),
            Some(Err(place)) => distinct.insert(place, *pid),
        }
    }
    set
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::sys::threads;

    fn proc() -> ProcRoot {
        ProcRoot::open("/proc".as_ref()).expect("a /proc")
    }

    /// Too many for all comparisons are no reason to spend any.
    #[test]
    fn sets_beyond_the_budget_leave_it() {
        let own = Pid(std::process::id());
        let mut budget = Budget { own: 10, kept: 10 };
        assert_eq!(budget.each_with_each(&proc(), &[own; 8]), None);
        assert_eq!((budget.own, budget.kept), (10, 10));
    }

    /// The kernel compares no process with one that does not exist.
    #[test]
    fn processes_are_compared_with_the_next_one() {
        let none = [1, 2, 3, 4].map(|number| Pid(i32::MAX as u32 + number));
        let mut budget = Budget { own: 0, kept: 10 };
        let next = budget.each_with_next(&none).expect("a budget");
        let [a, b, c, d] = none;
        assert_eq!(next.pending, [(b, a), (c, b), (d, c)]);
        assert_eq!(budget.kept, 7);
        assert_eq!(compare(&proc(), &next.pending, |pair| panic!("{pair:?}")), []);
    }

    #[test]
    fn an_ended_process_is_left_out() {
        let root = proc();
        let mut child = std::process::Command::new("true").spawn().expect("a child");
        let (own, ended) = (Pid(std::process::id()), Pid(child.id()));
        child.wait().expect("a child of ours");
        let is_compared = this_process::share_memory(own, own).is_some();
        assert_eq!(compare(&root, &[(own, ended)], |pair| panic!("{pair:?}")), []);
        for pids in [[own, ended, own], [ended, own, own], [own, own, ended]] {
            let mut budget = Budget { own: 100, kept: 100 };
            let set = budget.each_with_each(&root, &pids).expect("a budget");
            let mut pairs = Vec::new();
            let compared = Comparison::finish(&[set], &root, |pair| pairs.push(pair));
            assert_eq!(pairs.contains(&(own, own)), is_compared, "{pids:?}");
            assert_eq!(compared.contains(&own), is_compared, "{pids:?}");
        }
    }

    /// Thousands that ended need no more of the stack of a thread than two.
    #[test]
    fn many_ended_processes_are_left_out() {
        let pids: Vec<Pid> = (1..5000).map(|number| Pid(i32::MAX as u32 + number)).collect();
        let (sender, receiver) = std::sync::mpsc::channel();
        assert!(threads::spawn(move || {
            let set = Budget { own: 0, kept: 0 }.each_with_each(&proc(), &pids);
            sender.send(set.map(|set| set.pending)).expect("the test waits");
        }));
        assert_eq!(receiver.recv(), Ok(Some(Vec::new())));
    }

    #[test]
    fn dead_processes_share_nothing() {
        let root = proc();
        let start = || std::process::Command::new("true").spawn().expect("a child");
        let mut children = [start(), start()];
        let pids = children.each_ref().map(|child| Pid(child.id()));
        let until = Instant::now() + Duration::from_secs(60);
        while pids.iter().any(|pid| has_memory(&root, *pid)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut pairs = Vec::new();
        compare(&root, &[(pids[0], pids[1]), (pids[1], pids[0])], |pair| pairs.push(pair));
        pairs.extend(in_order(&root, &pids).shared);
        for child in &mut children {
            child.wait().expect("a child of ours");
        }
        assert_eq!(pairs, []);
    }
}
