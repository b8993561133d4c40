//! Host memory by parts, and the share of the programs in each.
//!
//! Every byte is counted once, by the accounting of the kernel (mm/show_mem.c,
//! fs/proc/meminfo.c):
//!
//! ```text
//! MemTotal = MemFree                        free
//!          + AnonPages                      anonymous: Pss_Anon of all processes
//!          + Cached - Shmem + Buffers       page cache: Pss_File is a part of it
//!          + Shmem                          shared memory and tmpfs: Pss_Shmem is a part of it
//!          + Hugetlb                        huge pages, used or not; in no Pss
//!          + Slab
//!          + PageTables + SecPageTables
//!          + KernelStack
//!          + VmallocUsed - KernelStack      vmalloc allocates the stacks (5.3)
//!          + Percpu
//!          + mem_used_total of zram         not in meminfo
//!          + Zswap
//!          + the rest: unattributed         drivers, firmware, balloons, unmapped swap cache
//! ```

use super::{Column, Usage};
use crate::host::{HostCounters, Item, Pressure, Zram};
use crate::units::{Kib, Labelled, labels};

/// A part of host memory. Every byte belongs to one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostPart {
    /// Anonymous pages.
    Anonymous,
    /// Pages of files and block devices.
    PageCache,
    /// Shared memory and tmpfs.
    Shmem,
    /// The pool of huge pages.
    Hugetlb,
    /// The slab allocators.
    Slab,
    /// Page tables.
    PageTables,
    /// Kernel stacks of threads.
    KernelStacks,
    /// `vmalloc` without stacks.
    Vmalloc,
    /// Memory of each CPU.
    Percpu,
    /// Compressed memory of zram devices.
    Zram,
    /// Compressed memory in front of swap.
    Zswap,
    /// The rest of the total, which no counter explains.
    Unattributed,
    /// Unused memory.
    Free,
}

labels!(HostPart {
    Anonymous => "anonymous", "anonymous memory";
    PageCache => "page_cache", "page cache";
    Shmem => "shmem", "shared memory and tmpfs";
    Hugetlb => "hugetlb", "huge pages (hugetlb), used or not";
    Slab => "slab", "slab";
    PageTables => "page_tables", "page tables";
    KernelStacks => "kernel_stacks", "kernel stacks";
    Vmalloc => "vmalloc", "vmalloc, without stacks";
    Percpu => "percpu", "per CPU";
    Zram => "zram", "zram";
    Zswap => "zswap", "zswap";
    Unattributed => "unattributed", "unattributed";
    Free => "free", "free";
});

impl HostPart {
    /// The column with the share of programs in this part.
    pub fn column(self) -> Option<Column> {
        match self {
            HostPart::Anonymous => Some(Column::PssAnon),
            HostPart::PageCache => Some(Column::PssFile),
            HostPart::Shmem => Some(Column::PssShmem),
            HostPart::Hugetlb => Some(Column::Hugetlb),
            _ => None,
        }
    }
}

/// Host memory beside the memory of the programs in a report. `None` is unknown.
#[derive(Clone, Debug)]
pub struct HostMemory {
    /// All memory.
    pub total: Option<Kib>,
    /// Memory for new programs that needs no swapping.
    pub available: Option<Kib>,
    /// The total of the programs in the report.
    pub programs: Option<Usage>,
    /// All swap.
    pub swap_total: Option<Kib>,
    /// Swap in use.
    pub swap_used: Option<Kib>,
    /// Pages that are both in swap and in memory.
    pub swap_cached: Option<Kib>,
    /// The zram devices.
    pub zram: Option<Zram>,
    /// The pages in zswap before compression.
    pub zswapped: Option<Kib>,
    /// The time that tasks wait for memory.
    pub pressure: Option<Pressure>,
    /// By part, in the order of the parts.
    parts: Vec<Option<Kib>>,
}

impl HostMemory {
    /// Splits host memory into its parts.
    pub fn new(counters: &HostCounters, programs: Option<Usage>) -> HostMemory {
        let meminfo = &counters.meminfo;
        let total = meminfo.get(Item::MemTotal);
        let mut parts: Vec<Option<Kib>> =
            HostPart::ALL.iter().map(|part| amount(*part, counters)).collect();
        let known: Kib = parts.iter().flatten().copied().sum();
        // Without total or free memory, or if parts overlap, the rest is unknown.
        let is_known = parts[HostPart::Free as usize].is_some() && Some(known) <= total;
        let rest = total.filter(|_| is_known).map(|total| total.saturating_sub(known));
        parts[HostPart::Unattributed as usize] = rest;
        let swap_total = meminfo.get(Item::SwapTotal);
        let swap = swap_total.zip(meminfo.get(Item::SwapFree));
        HostMemory {
            total,
            available: meminfo.get(Item::MemAvailable),
            programs,
            swap_total,
            swap_used: swap.map(|(total, free)| total.saturating_sub(free)),
            swap_cached: meminfo.get(Item::SwapCached),
            zram: counters.zram,
            zswapped: meminfo.get(Item::Zswapped),
            pressure: counters.pressure,
            parts,
        }
    }

    /// The size of a part.
    pub fn get(&self, part: HostPart) -> Option<Kib> {
        self.parts[part as usize]
    }

    /// The total of the programs in a column.
    pub fn of_programs(&self, column: Column) -> Option<Kib> {
        self.programs.as_ref().and_then(|usage| usage.get(column))
    }
}

/// The size of a part by the counters of the kernel, which has none for the unattributed rest.
fn amount(part: HostPart, counters: &HostCounters) -> Option<Kib> {
    let meminfo = &counters.meminfo;
    let get = |item| meminfo.get(item);
    match part {
        HostPart::Anonymous => get(Item::AnonPages),
        HostPart::PageCache => {
            let files = get(Item::Cached)?.saturating_sub(get(Item::Shmem)?);
            Some(files + get(Item::Buffers)?)
        }
        HostPart::Shmem => get(Item::Shmem),
        HostPart::Hugetlb => meminfo.hugetlb(),
        HostPart::Slab => get(Item::Slab),
        HostPart::PageTables => {
            Some(get(Item::PageTables)? + get(Item::SecPageTables).unwrap_or_default())
        }
        HostPart::KernelStacks => get(Item::KernelStack),
        HostPart::Vmalloc => meminfo.vmalloc(),
        HostPart::Percpu => get(Item::Percpu),
        HostPart::Zram => counters.zram.map(|zram| zram.takes),
        HostPart::Zswap => get(Item::Zswap),
        HostPart::Unattributed => None,
        HostPart::Free => get(Item::MemFree),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Meminfo;

    const TEXT: &str = "MemTotal: 1000 kB\nMemFree: 100 kB\nBuffers: 5 kB\nCached: 300 kB\n\
        AnonPages: 200 kB\nShmem: 50 kB\nSlab: 80 kB\nKernelStack: 10 kB\nPageTables: 20 kB\n\
        VmallocUsed: 25 kB\nPercpu: 3 kB\nHugetlb: 64 kB\nZswap: 7 kB\n";

    fn host_memory(text: &str) -> HostMemory {
        let meminfo = Meminfo::parse(text.as_bytes());
        let zram = Some(Zram { holds: Kib(90), takes: Kib(30) });
        HostMemory::new(&HostCounters { meminfo, zram, pressure: None }, None)
    }

    #[test]
    fn parts_add_up_and_count_once() {
        let host_memory = host_memory(TEXT);
        let known = |part: &HostPart| host_memory.get(*part).expect("a known part").0;
        let parts: Vec<u64> = HostPart::ALL.iter().map(known).collect();
        assert_eq!(parts, [200, 255, 50, 64, 80, 20, 10, 15, 3, 30, 7, 166, 100]);
        assert_eq!(parts.iter().sum::<u64>(), 1000);
    }

    #[test]
    fn a_missing_counter_leaves_its_part_unattributed_or_unknown() {
        // The part of a counter that the kernel lacks stays unattributed.
        let old = host_memory(&TEXT.replace("Zswap", "No"));
        assert_eq!(
            (old.get(HostPart::Zswap), old.get(HostPart::Unattributed)),
            (None, Some(Kib(173)))
        );
        // Before 4.20, VmallocUsed counts addresses without memory.
        let older = host_memory(&TEXT.replace("Percpu", "No"));
        assert_eq!((older.get(HostPart::Vmalloc), older.get(HostPart::Percpu)), (None, None));
        assert_eq!(older.get(HostPart::Unattributed), Some(Kib(166 + 15 + 3)));
        for key in ["MemTotal", "MemFree"] {
            let host_memory = host_memory(&TEXT.replace(key, "No"));
            assert_eq!(host_memory.get(HostPart::Unattributed), None, "without {key}");
        }
        let too_much = host_memory(&TEXT.replace("Slab: 80", "Slab: 800"));
        assert_eq!(too_much.get(HostPart::Unattributed), None);
    }
}
