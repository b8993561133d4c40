//! Finds the memory that processes hold together, so that each byte counts once: hugetlb pages, and
//! shared memory in swap. A host without them costs nothing.
//!
//! The figures of a process do not show the objects that its pages belong to; its smaps does. So
//! the search reads smaps once more, of the processes with such pages alone.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::engine::{Survey, Timeouts};
use crate::process::{self, Glimpse, ProcFile, ProcessUsage};
use crate::program::{MappedObject, MappedPages, Share, Shares, Split, in_proportion, split};
use crate::report::Unit;
use crate::report::notes::Missing;
use crate::smaps::{Field, MappingScanner, SharedMapping, Smaps};
use crate::sys::host_files;
use crate::sys::proc_root::ProcRoot;
use crate::sys::threads;
use crate::units::{Kib, Pid};

const CHUNK_BYTES: usize = 64 * 1024;
/// The maximum size of smaps: 65,530 mappings of a kernel with its usual limit.
const SMAPS_BYTES_MAX: usize = 128 << 20;

/// The shares of processes in common memory, and notes on upper bounds among them.
#[derive(Default)]
pub(super) struct FoundShares {
    pub(super) shares: Shares,
    pub(super) notes: Vec<String>,
}

/// Finds the shares. `missing`: the processes that the report lacks; `None` if it selects some.
/// Processes in the address space of another (`sharing`) have none.
pub(super) fn find(
    root: &ProcRoot,
    survey: &Survey,
    sharing: &HashMap<Pid, Pid>,
    missing: Option<&Missing<'_>>,
    timeouts: &Timeouts,
) -> FoundShares {
    let owners = || survey.processes().filter(|process| !sharing.contains_key(&process.pid));
    let processes: Vec<MappingProcess> =
        owners().filter_map(|one| MappingProcess::new(&one, root)).collect();
    if processes.is_empty() {
        return FoundShares::default();
    }
    let asked = processes.iter().filter(|one| one.has_objects()).map(|one| one.pid);
    let mapped = read_mappings(root, asked.collect(), timeouts);
    let is_complete = missing.is_some_and(Missing::is_complete);
    let knows_hugetlb_users =
        is_complete || missing.is_some_and(|missing| have_no_hugetlb(root, missing));
    let meminfo = host_files::meminfo(root).unwrap_or_default();
    let sum = |amount: &dyn Fn(&Smaps) -> Kib| owners().map(|one| amount(&one.smaps)).sum::<Kib>();
    let privates: Kib = sum(&Smaps::private_hugetlb);
    let huge_used = host_files::hugetlb_used(root, &meminfo);
    let huge_room = huge_used.map(|used| used.saturating_sub(privates));
    let hugetlb = split(&hugetlb_objects(&processes, &mapped, knows_hugetlb_users), huge_room);
    let proportional = sum(&|smaps| smaps.get(Field::SwapPss).unwrap_or_default());
    let swap_used = meminfo.swap_used().filter(|used| *used > Kib(0));
    let swap_room = swap_used.map(|used| used.saturating_sub(proportional));
    let swap = split(&swap_objects(&processes, &mapped), swap_room);
    // Before 6.2 the kernel calls pages private whose page table processes share.
    let privately: Vec<u64> = processes.iter().map(|one| one.private_hugetlb.0).collect();
    let privately =
        in_proportion(&privately, huge_used.map_or(privates, |used| privates.min(used)).0);
    let shares = processes.iter().zip(privately).map(|(one, private_hugetlb)| {
        let part = |split: &Split| split.parts.get(&one.pid).copied().unwrap_or_default();
        let share = Share {
            private_hugetlb: Kib(private_hugetlb),
            shared_hugetlb: part(&hugetlb),
            swap: one.own_swap.map(|own| own + part(&swap)),
        };
        (one.pid, share)
    });
    let shares = shares.collect();
    let hugetlb = note("shared hugetlb pages", &hugetlb, knows_hugetlb_users);
    let swap = note("swapped pages of shared memory", &swap, is_complete);
    FoundShares { shares, notes: hugetlb.into_iter().chain(swap).collect() }
}

/// Whether no process is missing that maps hugetlb pages. `status` shows it, also where smaps is
/// denied.
fn have_no_hugetlb(root: &ProcRoot, missing: &Missing<'_>) -> bool {
    let maps_none = |pid| {
        let status = root.read_once(ProcFile::Status, pid);
        status.is_ok_and(|status| process::mapped_hugetlb(&status) == Some(Kib(0)))
    };
    missing.hidepid.is_none() && missing.processes.iter().all(|(pid, _)| maps_none(*pid))
}

/// A process with pages that others may hold.
struct MappingProcess {
    pid: Pid,
    private_hugetlb: Kib,
    shared_hugetlb: Kib,
    /// Swap that counts once by the figures of the kernel.
    own_swap: Option<Kib>,
    /// Swap that counts whole in each process.
    whole_swap: Kib,
    /// Its anonymous pages in swap, if they are known.
    anonymous_swap: Option<Kib>,
}

impl MappingProcess {
    fn new(process: &ProcessUsage<'_>, root: &ProcRoot) -> Option<MappingProcess> {
        let (pid, smaps) = (process.pid, &process.smaps);
        let (private_hugetlb, shared_hugetlb) = (smaps.private_hugetlb(), smaps.shared_hugetlb());
        let proportional = smaps.get(Field::SwapPss);
        let swap = smaps.get(Field::Swap).unwrap_or_default();
        let beyond = swap.saturating_sub(proportional.unwrap_or_default());
        if private_hugetlb.max(shared_hugetlb).max(beyond) == Kib(0) {
            return None;
        }
        // Kernels before 4.3 print no SwapPss: any page in swap may be shared.
        let own_swap = proportional.or(smaps.swap().map(|_| Kib(0)));
        // A forked process shares anonymous pages, which SwapPss counts.
        let asks = proportional.is_some() && beyond > Kib(0);
        let status = if asks { root.read_once(ProcFile::Status, pid).ok() } else { None };
        let anonymous_swap = status.and_then(|status| Glimpse::from_status(&status).swap);
        let whole = swap.saturating_sub(anonymous_swap.unwrap_or_default());
        let whole_swap = beyond.min(whole);
        Some(MappingProcess {
            pid,
            private_hugetlb,
            shared_hugetlb,
            own_swap,
            whole_swap,
            anonymous_swap,
        })
    }

    /// Whether its smaps shows the objects.
    fn has_objects(&self) -> bool {
        self.shared_hugetlb > Kib(0) || (self.anonymous_swap.is_some() && self.whole_swap > Kib(0))
    }

    fn pages(&self, mapping: &SharedMapping, amount: Kib) -> MappedPages {
        let (range, is_whole) = (mapping.range.clone(), mapping.is_shared);
        MappedPages { pid: self.pid, range, amount, is_whole }
    }

    /// Pages of objects that are unknown.
    fn unknown(&self, amount: Kib) -> Option<MappedPages> {
        let range = 0..amount.bytes();
        (amount > Kib(0)).then_some(MappedPages { pid: self.pid, range, amount, is_whole: false })
    }
}

/// The shared mappings of a process, and the sum of its swap at that moment.
type Mapped = (Vec<SharedMapping>, Kib);

/// Reads the mappings of these processes. A process that gets stuck ends the search.
fn read_mappings(root: &ProcRoot, pids: Vec<Pid>, timeouts: &Timeouts) -> HashMap<Pid, Mapped> {
    let mut found = HashMap::new();
    if pids.is_empty() || threads::affordable(1, CHUNK_BYTES, 0) == 0 {
        return found;
    }
    let (sender, receiver) = mpsc::channel();
    let root = root.clone();
    let work = move || {
        for pid in pids {
            if sender.send(read(&root, pid).map(|mapped| (pid, mapped))).is_err() {
                return; // The receiver gave up.
            }
        }
    };
    let until = timeouts.deadline.map(|deadline| Instant::now() + deadline);
    if threads::spawn(work) {
        let left = || until.map(|until| until.saturating_duration_since(Instant::now()));
        let wait = || timeouts.stuck_after.min(left().unwrap_or(Duration::MAX));
        found.extend(std::iter::from_fn(|| receiver.recv_timeout(wait()).ok()).flatten());
    }
    found
}

fn read(root: &ProcRoot, pid: Pid) -> Option<Mapped> {
    let mut file = root.open_file(ProcFile::Smaps, &ProcFile::Smaps.path(pid, None)).ok()?;
    let (mut scanner, mut chunk, mut len) = (MappingScanner::default(), vec![0; CHUNK_BYTES], 0);
    while len < SMAPS_BYTES_MAX {
        match file.read(&mut chunk).ok()? {
            0 => break,
            read => {
                scanner.feed(&chunk[..read]);
                len += read;
            }
        }
    }
    let (mut mappings, swap) = scanner.finish();
    if mappings.iter().any(|mapping| mapping.is_segment) {
        let namespace = root.ipc_namespace(pid).unwrap_or_default();
        let segments = mappings.iter_mut().filter(|mapping| mapping.is_segment);
        segments.for_each(|mapping| mapping.object.extend_from_slice(&namespace));
    }
    Some((mappings, swap))
}

fn hugetlb_objects(
    processes: &[MappingProcess],
    mapped: &HashMap<Pid, Mapped>,
    is_complete: bool,
) -> Vec<MappedObject> {
    let mut objects: BTreeMap<&[u8], (Vec<MappedPages>, Kib, bool)> = BTreeMap::new();
    let mut unknown = Vec::new();
    for one in processes {
        let mut rest = one.shared_hugetlb;
        for mapping in mapped.get(&one.pid).into_iter().flat_map(|(mappings, _)| mappings) {
            let amount = mapping.shared_hugetlb;
            if amount > Kib(0) {
                rest = rest.saturating_sub(amount);
                let (pages, page, is_private) = objects.entry(&mapping.object).or_default();
                pages.push(one.pages(mapping, amount));
                (*page, *is_private) = (mapping.page, *is_private || !mapping.is_shared);
            }
        }
        unknown.extend(one.unknown(rest));
    }
    let known = objects.into_values().map(|(pages, page, is_private)| {
        MappedObject::of_hugetlb(pages, page, is_private, is_complete)
    });
    known.chain([MappedObject::of_unknown(unknown)]).collect()
}

fn swap_objects(processes: &[MappingProcess], mapped: &HashMap<Pid, Mapped>) -> Vec<MappedObject> {
    let mut objects: BTreeMap<&[u8], Vec<MappedPages>> = BTreeMap::new();
    let mut unknown = Vec::new();
    for one in processes.iter().filter(|one| one.whole_swap > Kib(0)) {
        let Some((mappings, swap)) = mapped.get(&one.pid) else {
            unknown.extend(one.unknown(one.whole_swap));
            continue;
        };
        // A private mapping of shared memory counts pages of it and of its own.
        let mut rest = swap.saturating_sub(one.anonymous_swap.unwrap_or_default());
        let mut in_turn: Vec<&SharedMapping> = mappings.iter().collect();
        in_turn.sort_by_key(|mapping| (!mapping.is_shared, mapping.swap_beyond.0.wrapping_neg()));
        for mapping in in_turn {
            let is_whole = mapping.is_shared;
            let amount = if is_whole { mapping.swap_beyond } else { mapping.swap_beyond.min(rest) };
            rest = rest.saturating_sub(amount);
            if amount > Kib(0) {
                let pages = objects.entry(&mapping.object).or_default();
                pages.push(one.pages(mapping, amount));
            }
        }
    }
    let known = objects.into_values().map(MappedObject::of_swap);
    known.chain([MappedObject::of_unknown(unknown)]).collect()
}

/// A note if the figure is an upper bound.
fn note(pages: &str, split: &Split, is_complete: bool) -> Option<String> {
    let show = |amount: Kib| format!("{} MiB", Unit::Mib.format(amount));
    let is_vague = split.total > split.least;
    let is_lacking = split.total > Kib(0) && !is_complete;
    let vague = is_vague.then_some("the kernel does not tell which of them processes share");
    let lacking = is_lacking.then_some(
        "processes that were not measured may hold a part of them, which counts whole here",
    );
    let reasons: Vec<&str> = vague.into_iter().chain(lacking).collect();
    let least = if is_vague { format!(" (at least {})", show(split.least)) } else { String::new() };
    let total = show(split.total);
    let reasons = (!reasons.is_empty()).then(|| reasons.join("; "))?;
    Some(format!("{total} in {pages} is an upper bound{least}: {reasons}"))
}
