//! Finds the memory that processes hold together, so that each byte counts once: hugetlb pages, and
//! shared memory in swap. A host without them costs nothing.
//!
//! The figures of a process do not show the objects that its pages belong to; its smaps does. So
//! the search reads smaps once more, of the processes with such pages alone.

use std::cell::LazyCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::leaderless::living_thread;
use super::settings::Settings;
use crate::engine::{Survey, Timeouts};
use crate::process::{self, Fate, Glimpse, ProcFile, ProcessUsage};
use crate::program::{MappedObject, MappedPages, Share, Shares, Split, split};
use crate::report::bounds::{self, HeldAmount, HeldPages};
use crate::report::notes::Missing;
use crate::smaps::{Field, ObjectKind, SharedMapping, Smaps};
use crate::sys::host_files::{self, MeminfoFile};
use crate::sys::proc_root::ProcRoot;
use crate::units::{Kib, Pid};

/// The maximum time for reading smaps again: a kernel that walks a large pool takes 40 ms for each
/// of its processes. The pages of processes whose turn has not come have no known object.
const REREAD_MAX: Duration = Duration::from_secs(5);

/// Kernels before this release count pages of shared page tables as private in each process
/// (`smaps_hugetlb_range`, fs/proc/task_mmu.c).
const TELLS_SHARED_TABLES: (u32, u32) = (6, 2);
/// Processes share the page tables of mappings of this length (`want_pmd_share`, mm/hugetlb.c).
const SHARED_TABLE_BYTES: u64 = 1 << 30;

/// The shares of processes in common memory, and notes on upper bounds among them.
#[derive(Default)]
pub(crate) struct FoundShares {
    pub(crate) shares: Shares,
    pub(super) notes: Vec<String>,
    /// The objects of shared memory in swap, if all measured processes that map them are known.
    swapped: Vec<(ObjectKind, MappedObject)>,
}

impl FoundShares {
    /// The least shared memory in swap that returns when these processes end: all of an object that
    /// no other measured process maps.
    pub(super) fn swap_freed_by(&self, group: &HashSet<Pid>, dying_segments: &[u64]) -> Kib {
        let is_theirs =
            |object: &MappedObject| object.amounts().all(|(pid, _)| group.contains(&pid));
        let dies = |(kind, object): &&(ObjectKind, MappedObject)| {
            kind.dies_unmapped(dying_segments) && is_theirs(object)
        };
        self.swapped.iter().filter(dies).map(|(_, object)| object.least()).sum()
    }
}

/// Finds the shares. `missing`: the processes that the report lacks; `None` if it selects some.
/// Processes in the address space of another (`sharing`) have none. `read_again` reads the smaps of
/// processes.
pub(super) fn find(
    settings: &Settings,
    meminfo: &MeminfoFile<'_>,
    survey: &Survey,
    sharing: &HashMap<Pid, Pid>,
    missing: Option<&Missing<'_>>,
    read_again: impl FnOnce(&[Pid]) -> Survey,
) -> FoundShares {
    let root = &settings.root;
    let owners = || survey.processes().filter(|process| !sharing.contains_key(&process.pid));
    let processes: Vec<MappingProcess> =
        owners().filter_map(|one| MappingProcess::new(&one, root)).collect();
    if processes.is_empty() {
        return FoundShares::default();
    }
    let has_private = processes.iter().any(|one| one.private_hugetlb > Kib(0));
    let may_share_tables = has_private && host_files::kernel(root) < Some(TELLS_SHARED_TABLES);
    let asked = processes.iter().filter(|one| one.has_objects(may_share_tables));
    let asked: Vec<Pid> = asked.map(|one| one.pid).collect();
    let found = if asked.is_empty() { Survey::default() } else { read_again(&asked) };
    let (reread, lacking) = reread(root, &processes, &asked, found);
    let holders = Holders { reread, lacking, processes };
    let is_complete = missing.is_some_and(Missing::is_complete);
    let knows_hugetlb_users =
        is_complete || missing.is_some_and(|missing| have_no_hugetlb(root, missing));
    let used = meminfo.hugetlb_used();
    let hugetlb = HugetlbSplit::new(&holders, may_share_tables, knows_hugetlb_users, used);
    let proportional = owners().filter_map(|one| one.smaps.get(Field::SwapPss)).sum();
    let swap_room = meminfo.swap_used().map(|used| used.saturating_sub(proportional));
    let (objects, unknown) = holders.swap_objects();
    // Processes outside a selection may map any object, and so may one whose objects are unknown.
    let knows_swap_users = missing.is_some() && unknown.amounts().next().is_none();
    let (kinds, mut objects): (Vec<ObjectKind>, Vec<MappedObject>) = objects.into_iter().unzip();
    objects.push(unknown);
    let swap = split(&objects, swap_room);
    let shares = holders.processes.iter().map(|one| {
        let swap = one.own_swap.map(|own| own + swap.part(one.pid));
        (one.pid, hugetlb.share(one, swap))
    });
    let shares = shares.collect();
    let swapped = holders.bound(HeldPages::SwappedShmem, &swap, |one| one.whole_swap, is_complete);
    let swapped = swapped.filter(|_| settings.shows_swap());
    let notes = hugetlb.notes(&holders, knows_hugetlb_users).chain(swapped).collect();
    let swapped = kinds.into_iter().zip(objects).filter(|_| knows_swap_users).collect();
    FoundShares { shares, notes, swapped }
}

/// Processes that may hold memory together.
struct Holders {
    processes: Vec<MappingProcess>,
    /// The mappings of those whose smaps was read again.
    reread: HashMap<Pid, Reread>,
    /// Those whose smaps was asked for and is of no use.
    lacking: HashMap<Pid, Lack>,
}

/// The reason that the mappings of a process are unknown.
#[derive(PartialEq, Eq)]
enum Lack {
    /// They could not be read.
    Unread,
    /// They are malformed, or of another address space than the figures.
    Unmatched,
}

/// The hugetlb pages of all processes.
struct HugetlbSplit {
    /// The private pages that are in no doubt, by process and in all.
    certain: HashMap<Pid, Kib>,
    certain_sum: Kib,
    /// Private pages that processes may share by a page table.
    tables: Split,
    shared: Split,
    /// The pages of the host that are in use.
    used: Option<Kib>,
}

impl HugetlbSplit {
    fn new(
        holders: &Holders,
        may_share_tables: bool,
        knows_users: bool,
        used: Option<Kib>,
    ) -> HugetlbSplit {
        let shared = holders.hugetlb_objects(knows_users);
        let tables = if may_share_tables { holders.table_objects() } else { Vec::new() };
        let mut certain: HashMap<Pid, Kib> =
            holders.processes.iter().map(|one| (one.pid, one.private_hugetlb)).collect();
        for (pid, amount) in tables.iter().flat_map(MappedObject::amounts) {
            certain.entry(pid).and_modify(|rest| *rest = rest.saturating_sub(amount));
        }
        let certain_sum = certain.values().copied().sum();
        let room = used.map(|used| used.saturating_sub(certain_sum));
        let least = split(&shared, Some(Kib(0))).least;
        let tables = split(&tables, room.map(|room| room.saturating_sub(least)));
        let shared = split(&shared, room.map(|room| room.saturating_sub(tables.total)));
        HugetlbSplit { certain, certain_sum, tables, shared, used }
    }

    fn share(&self, one: &MappingProcess, swap: Option<Kib>) -> Share {
        let certain = self.certain.get(&one.pid).copied().unwrap_or_default();
        Share {
            private_hugetlb: certain + self.tables.part(one.pid),
            shared_hugetlb: self.shared.part(one.pid),
            swap,
        }
    }

    /// Notes on upper bounds, and on more pages than are in use after the survey.
    fn notes(&self, holders: &Holders, knows_users: bool) -> impl Iterator<Item = String> + use<> {
        let HugetlbSplit { tables, shared, .. } = self;
        let sum = self.certain_sum + tables.total + shared.total;
        let (private, common) = (HeldPages::PrivateHugetlb, HeldPages::SharedHugetlb);
        let tables = holders.bound(private, tables, |one| one.private_hugetlb, true);
        let shared = holders.bound(common, shared, |one| one.shared_hugetlb, knows_users);
        let excess = self.used.and_then(|used| bounds::hugetlb_excess(sum, used));
        tables.into_iter().chain(shared).chain(excess)
    }
}

/// The timeouts of the second reading.
pub(super) fn timeouts(left: Timeouts) -> Timeouts {
    let deadline = left.deadline.map_or(REREAD_MAX, |deadline| deadline.min(REREAD_MAX));
    Timeouts { deadline: Some(deadline), ..left }
}

/// The `status` of a process, or of a living thread if its leader is dead. Never blocks.
fn status_with_memory(root: &ProcRoot, pid: Pid) -> Option<Vec<u8>> {
    let status = root.read_once(ProcFile::Status, pid).ok()?;
    let living = || living_thread(root, pid).map(|(_, status)| status);
    if process::has_memory(&status) { Some(status) } else { living() }
}

/// Whether no process is missing that maps hugetlb pages. `status` shows it, also where smaps is
/// denied.
fn have_no_hugetlb(root: &ProcRoot, missing: &Missing<'_>) -> bool {
    let maps_none = |(pid, fate): &(Pid, Fate)| {
        let status = || root.read_once(ProcFile::Status, *pid);
        // A process that ended maps nothing, and has no status.
        let has_none = |status: Vec<u8>| process::mapped_hugetlb(&status) == Some(Kib(0));
        *fate == Fate::Gone || status().is_ok_and(has_none)
    };
    missing.hidepid.is_none() && missing.processes.iter().all(maps_none)
}

/// A process with pages that others may hold.
struct MappingProcess {
    pid: Pid,
    /// The first address.
    start: Option<u64>,
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
        // Kernels before 4.3 print no SwapPss, and any page in swap may be shared: a note says so.
        let beyond = swap.saturating_sub(proportional.unwrap_or(swap));
        if private_hugetlb.max(shared_hugetlb).max(beyond) == Kib(0) {
            return None;
        }
        // A forked process shares anonymous pages, which SwapPss counts.
        let status = if beyond > Kib(0) { status_with_memory(root, pid) } else { None };
        let anonymous_swap = status.and_then(|status| Glimpse::from_status(&status).swap);
        let whole = swap.saturating_sub(anonymous_swap.unwrap_or_default());
        let whole_swap = beyond.min(whole);
        Some(MappingProcess {
            pid,
            start: start(smaps),
            private_hugetlb,
            shared_hugetlb,
            own_swap: smaps.swap(),
            whole_swap,
            anonymous_swap,
        })
    }

    /// Whether its smaps shows objects that other processes may map.
    fn has_objects(&self, may_share_tables: bool) -> bool {
        self.shared_hugetlb > Kib(0)
            || (may_share_tables && self.private_hugetlb > Kib(0))
            || (self.anonymous_swap.is_some() && self.whole_swap > Kib(0))
    }

    fn pages(&self, mapping: &SharedMapping, amount: Kib) -> MappedPages {
        let (range, is_whole) = (mapping.range.clone(), mapping.is_shared);
        MappedPages { pid: self.pid, range, amount, is_whole }
    }

    /// The swap of private mappings that is memory of their objects, not copied pages. 0 if it is
    /// unknown which of them has it: `SwapPss` counts copies by parts after a fork.
    fn private_swap(&self, reread: Option<&Reread>) -> Kib {
        let Some(Reread { swap, mappings }) = reread else { return Kib(0) };
        let (shared, private): (Vec<&SharedMapping>, Vec<&SharedMapping>) =
            mappings.iter().partition(|mapping| mapping.is_shared);
        let [shared, private_sum] = [&shared, &private]
            .map(|mappings| mappings.iter().map(|mapping| mapping.swap_beyond).sum());
        let anonymous = self.anonymous_swap.unwrap_or_default();
        let of_objects = swap.saturating_sub(anonymous).saturating_sub(shared);
        let mut private = private.iter().filter(|mapping| mapping.swap_beyond > Kib(0));
        let is_known = private_sum <= of_objects || private.nth(1).is_none();
        if is_known { of_objects } else { Kib(0) }
    }

    /// Pages of objects that are unknown.
    fn unknown(&self, amount: Kib) -> Option<MappedPages> {
        let range = 0..amount.bytes();
        (amount > Kib(0)).then_some(MappedPages { pid: self.pid, range, amount, is_whole: false })
    }
}

/// A process whose smaps was read again.
struct Reread {
    /// The swap of that moment.
    swap: Kib,
    mappings: Vec<SharedMapping>,
}

/// The mappings of processes whose smaps was read again, and the other ones of those that were
/// asked for. A process that exec'ed since the survey has another first address, as has in general
/// a process that took over the id.
fn reread(
    root: &ProcRoot,
    processes: &[MappingProcess],
    asked: &[Pid],
    mut survey: Survey,
) -> (HashMap<Pid, Reread>, HashMap<Pid, Lack>) {
    let mut mappings: HashMap<Pid, Vec<SharedMapping>> =
        survey.take_mappings().into_iter().collect();
    let starts: HashMap<Pid, Option<u64>> =
        processes.iter().map(|one| (one.pid, one.start)).collect();
    let overlays = LazyCell::new(host_files::overlay_devices as fn() -> Vec<(u32, u32)>);
    let is_same = |one: &ProcessUsage<'_>| starts.get(&one.pid) == Some(&start(&one.smaps));
    let mut lacking: HashMap<Pid, Lack> = asked.iter().map(|pid| (*pid, Lack::Unread)).collect();
    let malformed = survey.missing().into_iter().filter(|(_, fate)| *fate == Fate::Malformed);
    let read = survey.processes().map(|one| one.pid);
    lacking.extend(malformed.map(|(pid, _)| pid).chain(read).map(|pid| (pid, Lack::Unmatched)));
    let read = survey.processes().filter(is_same).map(|one| {
        lacking.remove(&one.pid);
        let mut mappings = mappings.remove(&one.pid).unwrap_or_default();
        name_segments(root, one.pid, &mut mappings);
        forget_overlaid(&mut mappings, &overlays);
        (one.pid, Reread { swap: one.smaps.get(Field::Swap).unwrap_or_default(), mappings })
    });
    (read.collect(), lacking)
}

/// Removes the objects of files in overlays: two overlays may show one file, and one overlay two
/// files of one number.
fn forget_overlaid(mappings: &mut [SharedMapping], overlays: &LazyCell<Vec<(u32, u32)>>) {
    let is_file = |mapping: &&mut SharedMapping| mapping.kind == ObjectKind::Named;
    for mapping in mappings.iter_mut().filter(is_file) {
        if device(&mapping.object).is_some_and(|device| overlays.contains(&device)) {
            mapping.object.clear();
        }
    }
}

/// The device of an object: `00:2a 3`.
fn device(object: &[u8]) -> Option<(u32, u32)> {
    let (device, _) = std::str::from_utf8(object).ok()?.split_once(' ')?;
    let (major, minor) = device.split_once(':')?;
    let number = |text| u32::from_str_radix(text, 16).ok();
    Some((number(major)?, number(minor)?))
}

fn start(smaps: &Smaps) -> Option<u64> {
    smaps.addresses().map(|(start, _)| start)
}

/// Adds the namespace to the names of segments, whose ids are unique only there. The kernel tells
/// it of processes that this one may trace, so with a keeper not of other users: then the segments
/// have no name.
fn name_segments(root: &ProcRoot, pid: Pid, mappings: &mut [SharedMapping]) {
    let is_segment = |mapping: &SharedMapping| matches!(mapping.kind, ObjectKind::Segment(_));
    if !mappings.iter().any(is_segment) {
        return;
    }
    let namespace = root.ipc_namespace(pid);
    for mapping in mappings.iter_mut().filter(|mapping| is_segment(mapping)) {
        match &namespace {
            Some(namespace) => mapping.object.extend_from_slice(namespace),
            None => mapping.object.clear(),
        }
    }
}

impl Holders {
    /// A note if an amount of pages, of which processes count so many, is an upper bound.
    fn bound(
        &self,
        pages: HeldPages,
        split: &Split,
        amount: fn(&MappingProcess) -> Kib,
        knows_users: bool,
    ) -> Option<String> {
        let holders = || self.processes.iter().filter(|one| amount(one) > Kib(0));
        let count =
            |lack| holders().filter(|one| self.lacking.get(&one.pid) == Some(&lack)).count();
        let (unread, unmatched) = (count(Lack::Unread), count(Lack::Unmatched));
        HeldAmount { pages, split, unread, unmatched, knows_users }.note()
    }

    /// The mappings of a process whose objects are known.
    fn named(&self, pid: Pid) -> impl Iterator<Item = &SharedMapping> {
        let mappings = self.reread.get(&pid).into_iter().flat_map(|one| &one.mappings);
        mappings.filter(|mapping| !mapping.object.is_empty())
    }

    /// The objects of hugetlb pages. No process has more of them than in the survey.
    fn hugetlb_objects(&self, knows_users: bool) -> Vec<MappedObject> {
        let mut objects: BTreeMap<&[u8], (Vec<MappedPages>, Kib, bool)> = BTreeMap::new();
        let mut unknown = Vec::new();
        for one in &self.processes {
            let mut rest = one.shared_hugetlb;
            for mapping in self.named(one.pid) {
                let amount = mapping.shared_hugetlb.min(rest);
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
            MappedObject::of_hugetlb(pages, page, is_private, knows_users)
        });
        known.chain([MappedObject::of_unknown(unknown)]).collect()
    }

    /// The objects of private pages that processes may share by a page table. Without smaps, any
    /// page may be one.
    fn table_objects(&self) -> Vec<MappedObject> {
        let is_long = |mapping: &&SharedMapping| {
            let len = mapping.range.end - mapping.range.start;
            mapping.is_shared && mapping.private_hugetlb > Kib(0) && len >= SHARED_TABLE_BYTES
        };
        let mut objects: BTreeMap<&[u8], (Vec<MappedPages>, Kib)> = BTreeMap::new();
        let mut unknown = Vec::new();
        for one in &self.processes {
            let Some(Reread { mappings, .. }) = self.reread.get(&one.pid) else {
                unknown.extend(one.unknown(one.private_hugetlb));
                continue;
            };
            let mut rest = one.private_hugetlb;
            for mapping in mappings.iter().filter(is_long) {
                let amount = mapping.private_hugetlb.min(rest);
                rest = rest.saturating_sub(amount);
                if mapping.object.is_empty() {
                    unknown.extend(one.unknown(amount));
                } else if amount > Kib(0) {
                    let (pages, page) = objects.entry(&mapping.object).or_default();
                    pages.push(one.pages(mapping, amount));
                    *page = mapping.page;
                }
            }
        }
        let pids = objects.values().flat_map(|(pages, _)| pages).chain(&unknown).map(|one| one.pid);
        if pids.collect::<HashSet<Pid>>().len() < 2 {
            return Vec::new();
        }
        let is_common = |pages: &[MappedPages]| pages.iter().any(|one| one.pid != pages[0].pid);
        let common = objects.into_values().filter(|(pages, _)| is_common(pages));
        let known = common.map(|(pages, page)| MappedObject::of_hugetlb(pages, page, false, false));
        known.chain([MappedObject::of_unknown(unknown)]).collect()
    }

    /// The objects of shared memory in swap, and pages of unknown ones. No process has more of it
    /// than in the survey.
    fn swap_objects(&self) -> (Vec<(ObjectKind, MappedObject)>, MappedObject) {
        let mut objects: BTreeMap<&[u8], (ObjectKind, Vec<MappedPages>)> = BTreeMap::new();
        let mut unknown = Vec::new();
        for one in &self.processes {
            let mut rest = one.whole_swap;
            let private = one.private_swap(self.reread.get(&one.pid));
            let mut in_turn: Vec<&SharedMapping> = self.named(one.pid).collect();
            in_turn.sort_by_key(|mapping| !mapping.is_shared);
            for mapping in in_turn {
                let most = if mapping.is_shared { rest } else { rest.min(private) };
                let amount = mapping.swap_beyond.min(most);
                rest = rest.saturating_sub(amount);
                if amount > Kib(0) {
                    let new = || (mapping.kind, Vec::new());
                    let (kind, pages) = objects.entry(&mapping.object).or_insert_with(new);
                    // One of several names is left.
                    *kind = if mapping.kind == ObjectKind::Named { mapping.kind } else { *kind };
                    pages.push(one.pages(mapping, amount));
                }
            }
            unknown.extend(one.unknown(rest));
        }
        let known = objects.into_values();
        let known = known.map(|(kind, pages)| (kind, MappedObject::of_swap(pages)));
        (known.collect(), MappedObject::of_unknown(unknown))
    }
}
