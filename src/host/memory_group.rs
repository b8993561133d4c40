//! The memory of a control group: the texts of its files to figures.
//!
//! Version 2: Documentation/admin-guide/cgroup-v2.rst, "Memory Interface Files"; version 1:
//! Documentation/admin-guide/cgroup-v1/memory.rst.

use serde::{Deserialize, Serialize};

use super::oom::{OOM_GROUP, OomRule, SWAP_MAX, SWAPPINESS};
use crate::units::{Kib, labels};

/// The interface of a hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupVersion {
    /// Version 1 (`cgroup`).
    V1,
    /// Version 2 (`cgroup2`).
    V2,
}

/// The figures that a report asks for. Each costs files of every group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupPlan {
    /// The memory that is charged, and what of it no process maps.
    pub charge: bool,
    /// The limits.
    pub limits: bool,
    /// The swap that is charged.
    pub swap: bool,
    /// The events at limits.
    pub events: bool,
    /// The time that tasks waited for memory.
    pub pressure: bool,
    /// The rule of the OOM killer at the limit.
    pub oom: bool,
}

/// The files of both versions.
const CURRENT: [&str; 2] = ["memory.usage_in_bytes", "memory.current"];
const STAT: &str = "memory.stat";
const USE_HIERARCHY: &str = "memory.use_hierarchy";
const LIMIT: &str = "memory.limit_in_bytes";
const MEMSW_LIMIT: &str = "memory.memsw.limit_in_bytes";
const MEMSW_USAGE: &str = "memory.memsw.usage_in_bytes";
const KERNEL_USAGE: &str = "memory.kmem.usage_in_bytes";
const TCP_USAGE: &str = "memory.kmem.tcp.usage_in_bytes";
const FAILURES: &str = "memory.failcnt";
const MEMSW_FAILURES: &str = "memory.memsw.failcnt";
pub(super) const OOM_CONTROL: &str = "memory.oom_control";
const MAX: &str = "memory.max";
const HIGH: &str = "memory.high";
const SWAP_CURRENT: &str = "memory.swap.current";
const EVENTS: &str = "memory.events";
const PRESSURE: &str = "memory.pressure";

/// The files with one amount or limit.
const AMOUNTS: [&str; 9] =
    [CURRENT[0], CURRENT[1], LIMIT, MEMSW_LIMIT, MEMSW_USAGE, MAX, HIGH, SWAP_CURRENT, SWAP_MAX];

impl CgroupVersion {
    /// The file that each group of the memory controller has: what is charged.
    pub fn current_file(self) -> &'static str {
        CURRENT[self as usize]
    }

    /// The files of the limits of memory, and of swap or both together.
    pub(super) fn limit_files(self) -> [&'static str; 2] {
        match self {
            CgroupVersion::V1 => [LIMIT, MEMSW_LIMIT],
            CgroupVersion::V2 => [MAX, SWAP_MAX],
        }
    }

    /// The other files that a plan needs.
    pub fn files(self, plan: GroupPlan) -> Vec<&'static str> {
        let oom = plan.oom;
        let (charge, limits, swap, events) = (plan.charge, plan.limits, plan.swap, plan.events);
        let files = match self {
            CgroupVersion::V1 => vec![
                (true, USE_HIERARCHY),
                (charge, STAT),
                (charge, KERNEL_USAGE),
                (charge, TCP_USAGE),
                (limits || oom, LIMIT),
                (limits || oom, MEMSW_LIMIT),
                (limits || swap, MEMSW_USAGE),
                (events, FAILURES),
                (events, MEMSW_FAILURES),
                (events || oom, OOM_CONTROL),
                (oom, SWAPPINESS),
            ],
            CgroupVersion::V2 => vec![
                (charge, STAT),
                (limits || oom, MAX),
                (limits, HIGH),
                (swap, SWAP_CURRENT),
                (events, EVENTS),
                (plan.pressure, PRESSURE),
                (oom, SWAP_MAX),
                (oom, OOM_GROUP),
            ],
        };
        files.into_iter().filter(|(is_needed, _)| *is_needed).map(|(_, file)| file).collect()
    }
}

/// The files of one group: the name and the text of each that could be read.
pub(super) type GroupTexts = [(&'static str, Vec<u8>)];

/// The memory of one group, its descendants included. `None` is unknown, or not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryGroup {
    /// The memory that is charged to it.
    pub charged: Option<Kib>,
    /// The swap that is charged to it.
    pub swap: Option<Kib>,
    /// The limit that it is nearest to, if it has one and the limits are known.
    pub limit: Option<GroupLimit>,
    /// Whether its limits are known.
    pub knows_limits: bool,
    /// The number of events since it was created.
    pub events: GroupEvents,
    /// The part of the last 10 seconds in which a task waited for memory, in hundredths of a
    /// percent.
    pub pressure: Option<u32>,
    /// The parts of the charge.
    pub parts: ChargeParts,
    /// The rule of the OOM killer at the limit.
    pub oom: OomRule,
    /// Whether its descendants are charged to it: not so with version 1 and `use_hierarchy` 0.
    pub excludes_descendants: bool,
}

/// A limit of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupLimit {
    /// The file that sets it.
    pub kind: LimitKind,
    /// The limit.
    pub limit: Kib,
    /// The amount that may still be charged.
    pub left: Kib,
}

/// The file that sets a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// `memory.max`, `memory.limit_in_bytes`: beyond it the OOM killer acts.
    Max,
    /// `memory.high`: beyond it tasks are slowed down.
    High,
    /// `memory.memsw.limit_in_bytes`: memory and swap together.
    MemorySwap,
}

labels!(LimitKind {
    Max => "max", "memory.max, memory.limit_in_bytes";
    High => "high", "memory.high";
    MemorySwap => "memsw", "memory.memsw.limit_in_bytes";
});

/// Numbers of events (`memory.events`); version 1 has `max` (`memory.failcnt` and
/// `memory.memsw.failcnt`) and `oom_kill` (`memory.oom_control`, Linux 4.13) alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupEvents {
    /// Memory was reclaimed although the group used less than its protection.
    pub low: Option<u64>,
    /// Tasks were slowed down at `memory.high`.
    pub high: Option<u64>,
    /// The charge was about to exceed the limit.
    pub max: Option<u64>,
    /// The charge could not be brought below the limit.
    pub oom: Option<u64>,
    /// Processes that any kind of OOM killer killed.
    pub oom_kill: Option<u64>,
}

/// Parts of a charge that processes need not map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChargeParts {
    /// Page cache and shared memory that no process maps.
    pub unmapped_file: Option<Kib>,
    /// All shared memory, mapped or not.
    pub shmem: Option<Kib>,
    /// Slab; version 1 counts it in `kernel`.
    pub slab: Option<Kib>,
    /// Buffers of sockets.
    pub sockets: Option<Kib>,
    /// Other memory of the kernel: stacks, page tables.
    pub kernel: Option<Kib>,
}

impl GroupEvents {
    /// No event.
    pub const NONE: GroupEvents =
        GroupEvents { low: Some(0), high: Some(0), max: Some(0), oom: Some(0), oom_kill: Some(0) };

    /// The numbers, in the order of the kernel.
    pub fn all(&self) -> [(&'static str, Option<u64>); 5] {
        let GroupEvents { low, high, max, oom, oom_kill } = *self;
        [("low", low), ("high", high), ("max", max), ("oom", oom), ("oom_kill", oom_kill)]
    }

    /// The numbers from their order.
    pub fn from_all([low, high, max, oom, oom_kill]: [Option<u64>; 5]) -> GroupEvents {
        GroupEvents { low, high, max, oom, oom_kill }
    }

    /// The sum; unknown where one of the two is.
    #[must_use]
    pub fn sum(&self, other: &GroupEvents) -> GroupEvents {
        let (ours, others) = (self.all(), other.all());
        GroupEvents::from_all(std::array::from_fn(|place| {
            ours[place].1.zip(others[place].1).map(|(a, b)| a.saturating_add(b))
        }))
    }

    /// The worst event first, for sorting.
    pub fn severity(&self) -> [Option<u64>; 5] {
        let GroupEvents { low, high, max, oom, oom_kill } = *self;
        [oom_kill, oom, max, high, low]
    }

    /// Whether an event happened.
    pub fn is_any(&self) -> bool {
        self.all().iter().any(|(_, count)| *count > Some(0))
    }

    /// Whether a number is known.
    pub fn is_known(&self) -> bool {
        *self != GroupEvents::default()
    }
}

impl ChargeParts {
    /// The parts, in a fixed order.
    pub fn all(&self) -> [Option<Kib>; 5] {
        let ChargeParts { unmapped_file, shmem, slab, sockets, kernel } = *self;
        [unmapped_file, shmem, slab, sockets, kernel]
    }

    /// The parts from their order.
    pub fn from_all([unmapped_file, shmem, slab, sockets, kernel]: [Option<Kib>; 5]) -> Self {
        ChargeParts { unmapped_file, shmem, slab, sockets, kernel }
    }
}

impl MemoryGroup {
    /// Parses the texts of the files of one group, each with its name.
    pub fn parse(
        version: CgroupVersion,
        plan: GroupPlan,
        texts: &[(&'static str, Vec<u8>)],
    ) -> MemoryGroup {
        let group = match version {
            CgroupVersion::V1 => MemoryGroup::version_1(texts),
            CgroupVersion::V2 => MemoryGroup::version_2(texts),
        };
        let oom =
            if plan.oom { OomRule::parse(version, texts, &group) } else { OomRule::default() };
        MemoryGroup { knows_limits: group.knows_limits && plan.limits, oom, ..group }
    }

    /// The first file whose text is no figure: it was read, but its figures are unknown.
    pub fn not_understood(texts: &[(&'static str, Vec<u8>)]) -> Option<&'static str> {
        let is_bad = |file: &&str| match *file {
            EVENTS => text(texts, EVENTS).and_then(|text| value(text, "max")).is_none(),
            file => AMOUNTS.contains(&file) && limit(texts, file).is_none(),
        };
        texts.iter().map(|(file, _)| *file).find(is_bad)
    }

    fn version_1(texts: &GroupTexts) -> MemoryGroup {
        let charged = amount(texts, CURRENT[0]);
        let memsw = amount(texts, MEMSW_USAGE);
        let limits = [
            (LimitKind::Max, limit(texts, LIMIT), charged),
            // Absent without swap accounting.
            (LimitKind::MemorySwap, limit(texts, MEMSW_LIMIT).or(Some(None)), memsw),
        ];
        let (knows_limits, limit) = nearest(limits);
        let text = text(texts, OOM_CONTROL);
        let oom_kill = text.and_then(|text| value(text, "oom_kill"));
        // A charge fails at one of the two limits; the second is absent without swap accounting.
        let at_both = number(texts, MEMSW_FAILURES).unwrap_or_default();
        let max = number(texts, FAILURES).map(|failures| failures.saturating_add(at_both));
        let stat = |key| value_of_stat(texts, key);
        let (cache, mapped) = (stat("total_cache"), stat("total_mapped_file"));
        MemoryGroup {
            charged,
            swap: memsw.zip(charged).map(|(both, memory)| both.saturating_sub(memory)),
            limit,
            knows_limits,
            events: GroupEvents { max, oom_kill, ..GroupEvents::default() },
            pressure: None,
            parts: ChargeParts {
                unmapped_file: difference(cache, mapped),
                shmem: stat("total_shmem"),
                slab: None,
                sockets: amount(texts, TCP_USAGE),
                kernel: amount(texts, KERNEL_USAGE),
            },
            oom: OomRule::default(),
            excludes_descendants: number(texts, USE_HIERARCHY) == Some(0),
        }
    }

    fn version_2(texts: &GroupTexts) -> MemoryGroup {
        let charged = amount(texts, CURRENT[1]);
        let limits = [(LimitKind::Max, MAX), (LimitKind::High, HIGH)];
        let (knows_limits, limit) =
            nearest(limits.map(|(kind, file)| (kind, limit(texts, file), charged)));
        let event = |word| value(text(texts, EVENTS)?, word);
        let stat = |key| value_of_stat(texts, key);
        let slab = stat("slab");
        // `kernel` is the sum since 5.18.
        let some = ["kernel_stack", "pagetables", "percpu", "vmalloc"].map(stat);
        let some = some.into_iter().flatten().reduce(|sum, part| sum + part);
        MemoryGroup {
            charged,
            swap: amount(texts, SWAP_CURRENT),
            limit,
            knows_limits,
            events: GroupEvents::from_all(["low", "high", "max", "oom", "oom_kill"].map(event)),
            pressure: text(texts, PRESSURE).and_then(stall),
            parts: ChargeParts {
                unmapped_file: difference(stat("file"), stat("file_mapped")),
                shmem: stat("shmem"),
                slab,
                sockets: stat("sock"),
                kernel: difference(stat("kernel"), slab).or(some),
            },
            oom: OomRule::default(),
            excludes_descendants: false,
        }
    }
}

fn difference(whole: Option<Kib>, part: Option<Kib>) -> Option<Kib> {
    whole.zip(part).map(|(whole, part)| whole.saturating_sub(part))
}

/// Whether all limits are known, and the one with the least left.
fn nearest(
    limits: [(LimitKind, Option<Option<Kib>>, Option<Kib>); 2],
) -> (bool, Option<GroupLimit>) {
    let is_known = limits.iter().all(|(_, limit, charged)| match limit {
        None => false,
        Some(limit) => limit.is_none() || charged.is_some(),
    });
    let left = limits.into_iter().filter_map(|(kind, limit, charged)| {
        let (limit, charged) = (limit.flatten()?, charged?);
        Some(GroupLimit { kind, limit, left: limit.saturating_sub(charged) })
    });
    let nearest = left.min_by_key(|one| (one.left, one.limit));
    (is_known, nearest.filter(|_| is_known))
}

pub(super) fn text<'a>(texts: &'a GroupTexts, file: &str) -> Option<&'a str> {
    let (_, text) = texts.iter().find(|(name, _)| *name == file)?;
    std::str::from_utf8(text).ok()
}

pub(super) fn number(texts: &GroupTexts, file: &str) -> Option<u64> {
    text(texts, file)?.trim_end().parse().ok()
}

/// An amount in bytes.
fn amount(texts: &GroupTexts, file: &str) -> Option<Kib> {
    number(texts, file).map(|bytes| Kib(bytes / 1024))
}

/// A limit; the inner `None` is no limit: `max`, and with version 1 the greatest number of whole
/// pages in an `i64` (`PAGE_COUNTER_MAX`), whose pages have at most 64 KiB.
pub(super) fn limit(texts: &GroupTexts, file: &str) -> Option<Option<Kib>> {
    const NONE: u64 = i64::MAX as u64 - 0xffff;
    match text(texts, file)?.trim_end() {
        "max" => Some(None),
        bytes => {
            let bytes: u64 = bytes.parse().ok()?;
            Some((bytes < NONE).then_some(Kib(bytes / 1024)))
        }
    }
}

/// The number behind a word at the beginning of a line.
pub(super) fn value(text: &str, word: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(first, _)| *first == word)?.1.trim().parse().ok()
}

fn value_of_stat(texts: &GroupTexts, key: &str) -> Option<Kib> {
    value(text(texts, STAT)?, key).map(|bytes| Kib(bytes / 1024))
}

/// `some avg10=1.25 …` in hundredths of a percent: the kernel prints two decimals.
fn stall(text: &str) -> Option<u32> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    let (whole, parts) =
        line.split(' ').find_map(|part| part.strip_prefix("avg10="))?.split_once('.')?;
    let parts: u32 = parts.parse().ok().filter(|_| parts.len() == 2)?;
    whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: GroupPlan = GroupPlan {
        charge: true,
        limits: true,
        swap: true,
        events: true,
        pressure: true,
        oom: false,
    };

    fn parse(version: CgroupVersion, texts: &[(&'static str, &str)]) -> MemoryGroup {
        let texts: Vec<(&'static str, Vec<u8>)> =
            texts.iter().map(|(file, text)| (*file, text.as_bytes().to_vec())).collect();
        MemoryGroup::parse(version, ALL, &texts)
    }

    const MIB: u64 = 1024;

    #[test]
    fn version_2_has_all_figures() {
        let group = parse(
            CgroupVersion::V2,
            &[
                ("memory.current", "10485760\n"),
                ("memory.max", "20971520\n"),
                ("memory.high", "max\n"),
                ("memory.swap.current", "4096\n"),
                ("memory.events", "low 0\nhigh 7\nmax 3\noom 2\noom_kill 1\noom_group_kill 0\n"),
                ("memory.pressure", "some avg10=12.05 avg60=1.00 total=9\nfull avg10=0.00\n"),
                (
                    "memory.stat",
                    "anon 4194304\nfile 3145728\nkernel 2097152\nsock 4096\nshmem 1048576\n\
                     file_mapped 1048576\nslab 1048576\n",
                ),
            ],
        );
        let limit = GroupLimit { kind: LimitKind::Max, limit: Kib(20 * MIB), left: Kib(10 * MIB) };
        assert_eq!((group.charged, group.swap), (Some(Kib(10 * MIB)), Some(Kib(4))));
        assert_eq!((group.knows_limits, group.limit), (true, Some(limit)));
        assert_eq!(group.events.severity(), [Some(1), Some(2), Some(3), Some(7), Some(0)]);
        assert_eq!(group.pressure, Some(1205));
        let parts = [2 * MIB, MIB, MIB, 4, MIB].map(|kib| Some(Kib(kib)));
        assert_eq!(group.parts.all(), parts);
        assert!(!group.excludes_descendants);
    }

    /// The smaller one of two limits, whichever it is; a limit that is exceeded leaves nothing.
    #[test]
    fn the_nearest_limit_counts() {
        let kind = |max: &str, high: &str| {
            let texts = [("memory.current", "8192\n"), ("memory.max", max), ("memory.high", high)];
            let group = parse(CgroupVersion::V2, &texts);
            (group.knows_limits, group.limit.map(|one| (one.kind, one.left.0)))
        };
        assert_eq!(kind("16384\n", "12288\n"), (true, Some((LimitKind::High, 4))));
        assert_eq!(kind("16384\n", "20480\n"), (true, Some((LimitKind::Max, 8))));
        assert_eq!(kind("0\n", "max\n"), (true, Some((LimitKind::Max, 0))));
        assert_eq!(kind("max\n", "max\n"), (true, None));
        assert_eq!(kind("16384\n", "?\n"), (false, None), "an unknown limit may be nearer");
    }

    #[test]
    fn version_1_has_fewer_figures() {
        let group = parse(
            CgroupVersion::V1,
            &[
                ("memory.usage_in_bytes", "8388608\n"),
                ("memory.use_hierarchy", "1\n"),
                ("memory.limit_in_bytes", "9223372036854771712\n"),
                ("memory.memsw.limit_in_bytes", "16777216\n"),
                ("memory.memsw.usage_in_bytes", "12582912\n"),
                ("memory.failcnt", "3\n"),
                ("memory.memsw.failcnt", "2\n"),
                ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
                (
                    "memory.stat",
                    "cache 0\ntotal_cache 2097152\ntotal_mapped_file 1048576\ntotal_shmem 0\n",
                ),
                ("memory.kmem.usage_in_bytes", "4096\n"),
                ("memory.kmem.tcp.usage_in_bytes", "0\n"),
            ],
        );
        let limit =
            GroupLimit { kind: LimitKind::MemorySwap, limit: Kib(16 * MIB), left: Kib(4 * MIB) };
        assert_eq!((group.charged, group.swap), (Some(Kib(8 * MIB)), Some(Kib(4 * MIB))));
        assert_eq!((group.knows_limits, group.limit), (true, Some(limit)));
        assert_eq!(group.events.severity(), [Some(2), None, Some(5), None, None]);
        assert_eq!(group.pressure, None);
        let parts = [Some(Kib(MIB)), Some(Kib(0)), None, Some(Kib(0)), Some(Kib(4))];
        assert_eq!(group.parts.all(), parts);
        let alone = parse(CgroupVersion::V1, &[("memory.use_hierarchy", "0\n")]);
        assert!(alone.excludes_descendants && !alone.knows_limits);
        // Without swap accounting, and before `oom_kill` of 4.13.
        let old = parse(
            CgroupVersion::V1,
            &[
                ("memory.usage_in_bytes", "4096\n"),
                ("memory.limit_in_bytes", "8192\n"),
                ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n"),
            ],
        );
        assert_eq!((old.swap, old.events.oom_kill), (None, None));
        assert_eq!(old.limit.map(|one| one.left), Some(Kib(4)));
    }

    #[test]
    fn other_texts_are_unknown() {
        for text in ["", "x\n", "-1\n", "some avg10=1.5 avg60=0", "some avg10=\n", "\u{0}"] {
            let texts = [
                "memory.current",
                "memory.swap.current",
                "memory.events",
                "memory.pressure",
                "memory.stat",
                "memory.max",
                "memory.high",
            ];
            let group = parse(CgroupVersion::V2, &texts.map(|file| (file, text)));
            assert_eq!(group, MemoryGroup::default(), "{text:?}");
        }
    }
}
