//! Processes outside a selection that run in the memory of a selected one. The selected one counts
//! this memory whole, and its end frees none of it.
//!
//! No file tells; `kcmp(2)` does, in a microsecond. A child is usually started soon after its
//! parent, so the processes with the nearest ids are compared. Others are not, nor those that the
//! kernel does not compare.

use std::collections::HashMap;
use std::sync::mpsc;
use std::time::Duration;

use super::vfork::{WAIT_MAX, has_memory, share_memory};
use crate::engine::Survey;
use crate::sys::proc_root::ProcRoot;
use crate::sys::{keeper_client, this_process, threads};
use crate::units::Pid;

/// The most comparisons: 2 ms by this process, or by a keeper, which takes 20 µs for each.
const COMPARISONS_MAX: usize = 2048;
const KEPT_MAX: usize = 100;

/// Finds such processes: each selected one with one that runs in its memory. `sharing` has the
/// owners of address spaces that selected ones share.
pub(super) fn find(
    root: &ProcRoot,
    survey: &Survey,
    sharing: &HashMap<Pid, Pid>,
    deadline: Option<Duration>,
) -> Vec<(Pid, Pid)> {
    let mut selected: Vec<Pid> = survey.processes().map(|one| one.pid).collect();
    selected.sort_unstable();
    let outside = root.pids().unwrap_or_default();
    let outside = outside.into_iter().filter(|pid| selected.binary_search(pid).is_err()).collect();
    selected.retain(|pid| !sharing.contains_key(pid));
    if selected.is_empty() || !root.is_own() || threads::affordable(1, 0, 0) == 0 {
        return Vec::new();
    }
    let (sender, receiver) = mpsc::channel();
    let root = root.clone();
    // A thread that is stuck in an exec is abandoned.
    threads::spawn(move || drop(sender.send(search(&root, &selected, outside))));
    receiver.recv_timeout(deadline.unwrap_or(WAIT_MAX).min(WAIT_MAX)).unwrap_or_default()
}

fn search(root: &ProcRoot, selected: &[Pid], mut outside: Vec<Pid>) -> Vec<(Pid, Pid)> {
    outside.sort_by_cached_key(|pid| {
        let near = nearest(selected, *pid);
        near.map(|near| near.0.abs_diff(pid.0))
    });
    let ordered = in_order(root, selected);
    let steps = 1 + ordered.len().checked_ilog2().unwrap_or(0) as usize;
    let by_order = outside.iter().take(COMPARISONS_MAX / steps).filter_map(|pid| {
        let order = |one: &Pid| this_process::order_memory(*one, *pid);
        let place = ordered.binary_search_by(|one| order(one).unwrap_or(std::cmp::Ordering::Less));
        Some((ordered[place.ok()?], *pid))
    });
    let mut found: HashMap<Pid, Pid> = by_order.filter(|(_, pid)| has_memory(root, *pid)).collect();
    if ordered.len() < selected.len() && keeper_client::has_keeper() {
        let near = outside.iter().filter_map(|pid| Some((nearest(selected, *pid)?, *pid)));
        let same = |(one, other): &(Pid, Pid)| share_memory(root, *one, *other) == Some(true);
        found.extend(near.take(KEPT_MAX).filter(same));
    }
    let mut found: Vec<(Pid, Pid)> = found.into_iter().collect();
    found.sort_unstable();
    found
}

/// The selected process with the nearest id.
fn nearest(selected: &[Pid], pid: Pid) -> Option<Pid> {
    let place = selected.partition_point(|one| *one < pid);
    let near = selected[place.saturating_sub(1)..].iter().take(2);
    near.copied().min_by_key(|one| one.0.abs_diff(pid.0))
}

/// The first ones of these processes in the order of the kernel, without those that it does not
/// compare with them.
fn in_order(root: &ProcRoot, pids: &[Pid]) -> Vec<Pid> {
    let mut ordered: Vec<Pid> = Vec::new();
    // The last of a few hundred takes nine comparisons.
    for pid in pids.iter().take(COMPARISONS_MAX / 8) {
        let compares = |other| this_process::order_memory(*pid, other);
        let is_compared = compares(*ordered.first().unwrap_or(pid)).is_some();
        if !is_compared || !has_memory(root, *pid) {
            continue;
        }
        let order = |other: &Pid| {
            this_process::order_memory(*other, *pid).unwrap_or(std::cmp::Ordering::Less)
        };
        if let Err(place) = ordered.binary_search_by(order) {
            ordered.insert(place, *pid);
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_id_is_on_either_side() {
        let selected = [10, 20, 70].map(Pid);
        let near = |pid| nearest(&selected, Pid(pid)).map(|pid| pid.0);
        assert_eq!([1, 14, 16, 60, 99].map(near), [10, 10, 20, 70, 70].map(Some));
        assert_eq!(nearest(&[], Pid(1)), None);
    }
}
