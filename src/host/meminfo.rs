//! The lines of `/proc/meminfo` that the report needs (`meminfo_proc_show`, fs/proc/meminfo.c).

use crate::units::Kib;

/// A line. Variants carry the kernel's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// Memory that the kernel manages.
    MemTotal,
    /// Unused memory.
    MemFree,
    /// An estimate of the memory available without swapping (3.14).
    MemAvailable,
    /// Page cache of block devices.
    Buffers,
    /// Page cache of files, including `Shmem`, without the swap cache.
    Cached,
    /// Pages in memory and in swap. `AnonPages` includes the mapped ones.
    SwapCached,
    /// All of swap.
    SwapTotal,
    /// Unused swap.
    SwapFree,
    /// Memory that holds compressed pages (5.19).
    Zswap,
    /// The size of these pages before compression.
    Zswapped,
    /// Mapped anonymous pages.
    AnonPages,
    /// Shared memory and tmpfs.
    Shmem,
    /// Memory of the slab allocators.
    Slab,
    /// Stacks of threads in the kernel.
    KernelStack,
    /// Page tables.
    PageTables,
    /// Page tables of virtual machines (6.1).
    SecPageTables,
    /// Memory of `vmalloc`, including kernel stacks (5.3). Always 0 from 4.4 on; before that the
    /// length of all its address ranges, including devices (`ioremap`).
    VmallocUsed,
    /// Memory of the per-CPU allocator (4.20).
    Percpu,
    /// The number of huge pages of the default size.
    HugePagesTotal,
    /// The default size.
    Hugepagesize,
    /// The number of unused ones among them.
    HugePagesFree,
    /// Huge pages of all sizes (4.18).
    Hugetlb,
    /// Memory of objects that GPUs use (7.1).
    GpuActive,
    /// Memory that GPU drivers keep for reuse; not in `GpuActive` (7.1).
    GpuReclaim,
    /// Memory that a balloon gave back to the hypervisor (6.16). Most drivers take it from
    /// `MemTotal`.
    Balloon,
    /// `SReclaimable` and pages beside slab (4.20).
    KReclaimable,
    /// The part of `Slab` that the kernel can free.
    SReclaimable,
    /// Copies of pages for devices that do not reach all memory.
    Bounce,
    /// Copies of pages that FUSE writes.
    WritebackTmp,
    /// Page tables kept for reuse (until 5.4).
    Quicklists,
    /// Pages with hardware errors, which remain in `MemTotal`.
    HardwareCorrupted,
    /// Areas for large allocations of drivers, which programs and the page cache use meanwhile.
    CmaTotal,
    /// The part of them in `MemFree`.
    CmaFree,
}

/// Every item with its key.
const KEYS: [(Item, &str); 33] = [
    (Item::MemTotal, "MemTotal"),
    (Item::MemFree, "MemFree"),
    (Item::MemAvailable, "MemAvailable"),
    (Item::Buffers, "Buffers"),
    (Item::Cached, "Cached"),
    (Item::SwapCached, "SwapCached"),
    (Item::SwapTotal, "SwapTotal"),
    (Item::SwapFree, "SwapFree"),
    (Item::Zswap, "Zswap"),
    (Item::Zswapped, "Zswapped"),
    (Item::AnonPages, "AnonPages"),
    (Item::Shmem, "Shmem"),
    (Item::Slab, "Slab"),
    (Item::KernelStack, "KernelStack"),
    (Item::PageTables, "PageTables"),
    (Item::SecPageTables, "SecPageTables"),
    (Item::VmallocUsed, "VmallocUsed"),
    (Item::Percpu, "Percpu"),
    (Item::HugePagesTotal, "HugePages_Total"),
    (Item::Hugepagesize, "Hugepagesize"),
    (Item::HugePagesFree, "HugePages_Free"),
    (Item::Hugetlb, "Hugetlb"),
    (Item::GpuActive, "GPUActive"),
    (Item::GpuReclaim, "GPUReclaim"),
    (Item::Balloon, "Balloon"),
    (Item::KReclaimable, "KReclaimable"),
    (Item::SReclaimable, "SReclaimable"),
    (Item::Bounce, "Bounce"),
    (Item::WritebackTmp, "WritebackTmp"),
    (Item::Quicklists, "Quicklists"),
    (Item::HardwareCorrupted, "HardwareCorrupted"),
    (Item::CmaTotal, "CmaTotal"),
    (Item::CmaFree, "CmaFree"),
];

/// Lines that own no byte that another line does not have: sums, parts of others, limits, and
/// memory outside of `MemTotal`. Shadow call stacks are in vmalloc or slab, `Unaccepted` memory is
/// in `MemFree`. A line that is neither here nor an item may be anything.
const OWNERLESS: [&str; 39] = [
    "MemShared",
    "Active",
    "Inactive",
    "Active(anon)",
    "Inactive(anon)",
    "Active(file)",
    "Inactive(file)",
    "Inact_dirty",
    "Inact_laundry",
    "Inact_clean",
    "Inact_target",
    "Unevictable",
    "Mlocked",
    "HighTotal",
    "HighFree",
    "LowTotal",
    "LowFree",
    "MmapCopy",
    "Dirty",
    "Writeback",
    "Mapped",
    "SUnreclaim",
    "ShadowCallStack",
    "NFS_Unstable",
    "CommitLimit",
    "Committed_AS",
    "VmallocTotal",
    "VmallocChunk",
    "EarlyMemtestBad",
    "AnonHugePages",
    "ShmemHugePages",
    "ShmemPmdMapped",
    "FileHugePages",
    "FilePmdMapped",
    "Unaccepted",
    "DirectMap4k",
    "DirectMap2M",
    "DirectMap4M",
    "DirectMap1G",
];

/// Parts of another item, which do not exceed it: the part, the whole, and the item that is left
/// out if they do.
const PARTS: [(Item, Item, Item); 9] = [
    (Item::MemFree, Item::MemTotal, Item::MemFree),
    (Item::MemAvailable, Item::MemTotal, Item::MemAvailable),
    (Item::SwapFree, Item::SwapTotal, Item::SwapFree),
    (Item::SwapCached, Item::SwapTotal, Item::SwapCached),
    (Item::HugePagesFree, Item::HugePagesTotal, Item::HugePagesFree),
    (Item::CmaFree, Item::CmaTotal, Item::CmaFree),
    (Item::Shmem, Item::Cached, Item::Cached),
    (Item::SReclaimable, Item::Slab, Item::SReclaimable),
    (Item::SReclaimable, Item::KReclaimable, Item::KReclaimable),
];

/// The excess of a part that counters of several CPUs may have, as a share of the whole.
const DRIFT_SHARE: u64 = 100;
/// The same in KiB.
const DRIFT_MIN: u64 = 4096;

/// The greatest number of unknown lines that are kept.
const UNKNOWN_MAX: usize = 16;

/// The counters at one moment. An item that the kernel did not print is absent, which is not 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meminfo {
    items: [Option<u64>; KEYS.len()],
    /// Lines of an amount above 0 that this program does not know.
    pub unknown: Vec<(String, Kib)>,
    /// Lines with a part that exceeds its whole: the part, the whole, and the one that is left out.
    pub impossible: Vec<[&'static str; 3]>,
}

impl Default for Meminfo {
    fn default() -> Meminfo {
        Meminfo { items: [None; KEYS.len()], unknown: Vec::new(), impossible: Vec::new() }
    }
}

impl Meminfo {
    /// Parses the text.
    pub fn parse(text: &[u8]) -> Meminfo {
        let mut found = Meminfo::default();
        for line in text.split(|byte| *byte == b'\n') {
            let Some((key, value)) = std::str::from_utf8(line).ok().and_then(|l| l.split_once(':'))
            else {
                continue;
            };
            let (value, is_amount) = match value.trim().strip_suffix(" kB") {
                Some(amount) => (amount, true),
                None => (value.trim(), false),
            };
            let number = value.parse().ok();
            if let Some((item, _)) = KEYS.iter().find(|known| known.1 == key) {
                found.items[*item as usize] = number;
            } else if is_amount && !OWNERLESS.contains(&key) && found.unknown.len() < UNKNOWN_MAX {
                // A key that another line has would make two series with equal labels.
                let is_new = found.unknown.iter().all(|known| known.0 != key);
                let amount = number.filter(|amount| *amount > 0 && is_new);
                found.unknown.extend(amount.map(|amount| (key.to_owned(), Kib(amount))));
            }
        }
        found.leave_out_impossible();
        found
    }

    /// Leaves out items that cannot be true, as a broken file system for containers prints them.
    fn leave_out_impossible(&mut self) {
        for (part, whole, wrong) in PARTS {
            let Some((amount, limit)) = self.get(part).zip(self.get(whole)) else { continue };
            // Each CPU counts these for itself, so that a small excess means nothing.
            let is_sum = matches!(part, Item::Shmem | Item::SReclaimable | Item::SwapCached);
            let drift = if is_sum { DRIFT_MIN.max(limit.0 / DRIFT_SHARE) } else { 0 };
            if amount.0 > limit.0.saturating_add(drift) {
                self.items[wrong as usize] = None;
                self.impossible.push([part, whole, wrong].map(|item| KEYS[item as usize].1));
            }
        }
    }

    /// An item, if the kernel prints it.
    pub fn get(&self, item: Item) -> Option<Kib> {
        self.items[item as usize].map(Kib)
    }

    /// Pages that the kernel counts in no item above: reclaimable ones beside slab, and copies of
    /// others. `None` if it prints none of these lines.
    pub fn misc(&self) -> Option<Kib> {
        let beside_slab = || {
            let slab = self.get(Item::SReclaimable)?;
            Some(self.get(Item::KReclaimable)?.saturating_sub(slab))
        };
        let own = [Item::Bounce, Item::WritebackTmp, Item::Quicklists].map(|item| self.get(item));
        let mut known = own.into_iter().chain([beside_slab()]).flatten().peekable();
        known.peek().is_some().then(|| known.sum())
    }

    /// Swap in use.
    pub fn swap_used(&self) -> Option<Kib> {
        Some(self.get(Item::SwapTotal)?.saturating_sub(self.get(Item::SwapFree)?))
    }

    /// The part of the pool of huge pages that is in use.
    pub fn hugetlb_used(&self) -> Option<Kib> {
        let Kib(size) = self.get(Item::Hugepagesize)?;
        let Kib(free) = self.get(Item::HugePagesFree)?;
        Some(self.hugetlb()?.saturating_sub(Kib(size.saturating_mul(free))))
    }

    /// The pool of huge pages, used or not: of all sizes, or of the default size if the kernel
    /// prints no sum.
    pub fn hugetlb(&self) -> Option<Kib> {
        let usual = || {
            let Kib(size) = self.get(Item::Hugepagesize)?;
            let Kib(pages) = self.get(Item::HugePagesTotal)?;
            Some(Kib(size.saturating_mul(pages)))
        };
        self.get(Item::Hugetlb).or_else(usual)
    }

    /// Memory of `vmalloc` without kernel stacks, which are another part of the report. 0 means
    /// that the kernel does not count it; a kernel without `Percpu` may count addresses without
    /// memory.
    pub fn vmalloc(&self) -> Option<Kib> {
        self.get(Item::Percpu)?;
        let used = self.get(Item::VmallocUsed).filter(|used| *used > Kib(0))?;
        Some(used.saturating_sub(self.get(Item::KernelStack).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_have_their_places() {
        for (place, (item, key)) in KEYS.into_iter().enumerate() {
            assert_eq!(item as usize, place);
            let found = Meminfo::parse(format!("{key}:   7 kB\nNo{key}: 8 kB\n").as_bytes());
            assert_eq!(found.get(item), Some(Kib(7)));
        }
    }

    /// A line of a newer kernel is named, once and with its amount, whatever its key is.
    #[test]
    fn unknown_lines_are_kept_and_known_ones_are_not() {
        let text = "MemTotal: 9 kB\nNvMapMemUsed:   740388 kB\nNew(file): 3 kB\nNew(file): 4 kB\n\
                    None: 0 kB\nHugePages_New: 7\nBroken: x kB\nDirectMap2M: 5 kB\n\
                    Active(anon): 6 kB\n";
        let found = Meminfo::parse(text.as_bytes());
        let unknown = |key: &str, amount| (key.to_owned(), Kib(amount));
        assert_eq!(found.unknown, [unknown("NvMapMemUsed", 740_388), unknown("New(file)", 3)]);
        for key in OWNERLESS {
            assert_eq!(Meminfo::parse(format!("{key}: 7 kB\n").as_bytes()), Meminfo::default());
        }
        let many: String = (0..99).map(|number| format!("New{number}: 1 kB\n")).collect();
        assert_eq!(Meminfo::parse(many.as_bytes()).unknown.len(), UNKNOWN_MAX);
    }

    /// A part that exceeds its whole is missing, and so is a difference with it.
    #[test]
    fn impossible_items_are_left_out() {
        for (part, whole, wrong) in PARTS {
            let [part, whole] = [part, whole].map(|item| KEYS[item as usize].1);
            let text = format!("{whole}: 100000 kB\n{part}: 900000 kB\n");
            let found = Meminfo::parse(text.as_bytes());
            assert_eq!(found.get(wrong), None, "{text}");
            assert_eq!(found.impossible, [[part, whole, KEYS[wrong as usize].1]]);
            let equal = Meminfo::parse(text.replace('9', "1").as_bytes());
            assert_eq!(equal.impossible, [[""; 3]; 0], "{text}");
        }
        let swap = Meminfo::parse(b"SwapTotal: 1024 kB\nSwapFree: 1025 kB\n");
        assert_eq!((swap.swap_used(), swap.get(Item::SwapTotal)), (None, Some(Kib(1024))));
        let drift = Meminfo::parse(b"Cached: 500 kB\nShmem: 600 kB\n");
        assert_eq!(drift.get(Item::Cached), Some(Kib(500)));
    }

    #[test]
    fn pages_beside_slab_are_what_is_left() {
        let text = "KReclaimable: 90 kB\nSReclaimable: 60 kB\nBounce: 4 kB\n";
        assert_eq!(Meminfo::parse(text.as_bytes()).misc(), Some(Kib(34)));
        assert_eq!(Meminfo::parse(b"SReclaimable: 60 kB\n").misc(), None);
    }

    #[test]
    fn missing_items_are_unknown() {
        let found = Meminfo::parse(b"MemTotal: 9x kB\nVmallocUsed: 0 kB\nMemFree\n\xff: 1 kB\n");
        assert_eq!(found.get(Item::MemTotal), None);
        assert_eq!((found.vmalloc(), found.hugetlb()), (None, None));
        let old = "HugePages_Total:    3\nHugepagesize:    2048 kB\nVmallocUsed: 9 kB\n\
                   KernelStack: 4 kB\n";
        let found = Meminfo::parse(old.as_bytes());
        assert_eq!((found.vmalloc(), found.hugetlb()), (None, Some(Kib(6144))));
        let newer = Meminfo::parse(format!("{old}Percpu: 1 kB\n").as_bytes());
        assert_eq!(newer.vmalloc(), Some(Kib(5)));
    }
}
