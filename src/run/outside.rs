//! Processes outside a selection that run in the memory of a selected one. The selected one counts
//! this memory whole, and its end frees none of it.
//!
//! Only `kcmp(2)` shows it, in a microsecond. A child is usually started soon after its parent, so
//! the processes with the nearest ids are compared. The search leaves out all others, those that
//! the kernel does not compare, and processes that timed out: a stuck exec would block it.

use std::cmp::Ordering::Less;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::compare::{PidPair, compare, has_memory};
use super::search::Search;
use crate::engine::Survey;
use crate::process::{Fate, ProcFile};
use crate::sys::proc_root::ProcRoot;
use crate::sys::{keeper_client, this_process};
use crate::units::Pid;

/// The most comparisons of processes outside with selected ones: 2 ms. One takes the logarithm of
/// the number of selected ones.
const COMPARISONS_MAX: usize = 2048;
/// The most selected processes that are compared. To put them in order takes as long again.
const SELECTED_MAX: usize = 256;
/// The most comparisons by a keeper, which takes 20 µs for each.
const KEPT_MAX: usize = 100;

/// A search goes on, perhaps blocked forever: then no other one starts.
static IS_SEARCHING: AtomicBool = AtomicBool::new(false);

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
    let timed_out = survey.missing().into_iter().filter(|(_, fate)| *fate == Fate::TimedOut);
    let timed_out: Vec<Pid> = timed_out.map(|(pid, _)| pid).collect();
    let mut outside = root.pids().unwrap_or_default();
    outside.retain(|pid| [&selected, &timed_out].iter().all(|of| of.binary_search(pid).is_err()));
    selected.retain(|pid| !sharing.contains_key(pid));
    let can_search = !selected.is_empty() && root.is_own();
    if !can_search || IS_SEARCHING.swap(true, Ordering::Relaxed) {
        return Vec::new();
    }
    let root = root.clone();
    let search = Search::start(deadline, move |pairs| {
        search(&root, &selected, outside, pairs);
        IS_SEARCHING.store(false, Ordering::Relaxed);
    });
    if search.is_none() {
        IS_SEARCHING.store(false, Ordering::Relaxed);
    }
    let found = std::iter::from_fn(|| search.as_ref()?.next().ok()?);
    let found: HashMap<Pid, Pid> = found.collect();
    let mut found: Vec<(Pid, Pid)> = found.into_iter().collect();
    found.sort_unstable();
    found
}

/// Selected processes of another `/proc`, each with one outside whose address space is as big, so
/// that it may be the same: `kcmp` does not know their ids.
pub(super) fn suspects(
    root: &ProcRoot,
    survey: &Survey,
    sharing: &HashMap<Pid, Pid>,
) -> Vec<(Pid, Pid)> {
    if !root.is_proc() || root.is_own() {
        return Vec::new();
    }
    let mut selected: Vec<Pid> = survey.processes().map(|one| one.pid).collect();
    selected.sort_unstable();
    let mut outside = root.pids().unwrap_or_default();
    outside.retain(|pid| selected.binary_search(pid).is_err());
    selected.retain(|pid| !sharing.contains_key(pid));
    outside.sort_by_cached_key(|pid| nearest(&selected, *pid).map(|near| near.0.abs_diff(pid.0)));
    let sizes: HashMap<[u64; 3], Pid> = outside
        .iter()
        .take(COMPARISONS_MAX)
        .filter_map(|pid| Some((address_space(root, *pid)?, *pid)))
        .collect();
    let same = |pid: &Pid| Some((*pid, *sizes.get(&address_space(root, *pid)?)?));
    selected.iter().take(COMPARISONS_MAX).filter_map(same).collect()
}

/// The pages of a whole address space, of its code and of its data, which change less often than
/// resident ones; `None` without memory.
fn address_space(root: &ProcRoot, pid: Pid) -> Option<[u64; 3]> {
    let text = root.read_once(ProcFile::Statm, pid).ok()?;
    let numbers = std::str::from_utf8(&text).ok()?.split_whitespace();
    let numbers: Vec<u64> = numbers.filter_map(|number| number.parse().ok()).collect();
    let [size, _, _, code, _, data, _] = numbers[..] else { return None };
    (size > 0).then_some([size, code, data])
}

/// Sends each pair. A receiver that gave up ends the search.
fn search(root: &ProcRoot, selected: &[Pid], mut outside: Vec<Pid>, pairs: &Sender<(Pid, Pid)>) {
    outside.sort_by_cached_key(|pid| nearest(selected, *pid).map(|near| near.0.abs_diff(pid.0)));
    let ordered = in_order(selected);
    let steps = 1 + ordered.len().checked_ilog2().unwrap_or(0) as usize;
    for pid in outside.iter().take(COMPARISONS_MAX / steps) {
        let order = |one: &Pid| this_process::order_memory(*one, *pid).unwrap_or(Less);
        let Ok(place) = ordered.binary_search_by(order) else { continue };
        // To the kernel, all processes without memory have the same.
        if has_memory(root, *pid) && pairs.send((ordered[place], *pid)).is_err() {
            return;
        }
    }
    if ordered.len() == selected.len() || !keeper_client::has_keeper() {
        return;
    }
    let few = outside.iter().take(KEPT_MAX);
    let few: Vec<PidPair> = few.filter_map(|pid| Some((*pid, nearest(selected, *pid)?))).collect();
    compare(root, &few, |(pid, near)| {
        let _ = pairs.send((near, pid));
    });
}

/// The selected process with the nearest id.
fn nearest(selected: &[Pid], pid: Pid) -> Option<Pid> {
    let place = selected.partition_point(|one| *one < pid);
    let near = selected[place.saturating_sub(1)..].iter().take(2);
    near.copied().min_by_key(|one| one.0.abs_diff(pid.0))
}

/// The first ones of these processes in the order of the kernel, without those that it does not
/// compare with them.
fn in_order(pids: &[Pid]) -> Vec<Pid> {
    let mut ordered: Vec<Pid> = Vec::new();
    for pid in pids.iter().take(SELECTED_MAX) {
        let first = *ordered.first().unwrap_or(pid);
        if this_process::order_memory(*pid, first).is_none() {
            continue;
        }
        let order = |other: &Pid| this_process::order_memory(*other, *pid).unwrap_or(Less);
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
