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
    /// Huge pages of all sizes (4.18).
    Hugetlb,
}

/// Every item with its key.
const KEYS: [(Item, &str); 21] = [
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
    (Item::Hugetlb, "Hugetlb"),
];

/// The counters at one moment. An item that the kernel did not print is absent, which is not 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meminfo([Option<u64>; KEYS.len()]);

impl Meminfo {
    /// Parses the text.
    pub fn parse(text: &[u8]) -> Meminfo {
        let mut found = Meminfo::default();
        for line in text.split(|byte| *byte == b'\n') {
            let Some((key, value)) = std::str::from_utf8(line).ok().and_then(|l| l.split_once(':'))
            else {
                continue;
            };
            if let Some((item, _)) = KEYS.iter().find(|known| known.1 == key) {
                let value = value.trim();
                found.0[*item as usize] = value.strip_suffix(" kB").unwrap_or(value).parse().ok();
            }
        }
        found
    }

    /// An item, if the kernel prints it.
    pub fn get(&self, item: Item) -> Option<Kib> {
        self.0[item as usize].map(Kib)
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
