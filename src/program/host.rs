//! What the programs explain of the memory of the machine.
//!
//! Everything is counted once. What is in what, by the kernel's own accounting (mm/show_mem.c,
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
//!          + VmallocUsed - KernelStack      stacks are made by vmalloc (5.3)
//!          + Percpu
//!          + mem_used_total of zram         in no line of meminfo
//!          + Zswap
//!          + what is left: unattributed     drivers, firmware, balloons, unmapped swap cache
//! ```

use super::{Column, Usage};
use crate::host::{HostCounters, Item, Pressure, Zram};
use crate::units::Kib;

/// A part of the machine's memory. All of them add up to it.
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
    /// Memory of the slab allocators.
    Slab,
    /// Page tables.
    PageTables,
    /// Stacks of threads in the kernel.
    KernelStacks,
    /// Other memory of `vmalloc`.
    Vmalloc,
    /// Memory that each CPU has for itself.
    Percpu,
    /// Compressed memory that is a device.
    Zram,
    /// Compressed memory before swap.
    Zswap,
    /// What nobody accounts for.
    Unattributed,
    /// What nobody uses.
    Free,
}

impl HostPart {
    /// Every part.
    pub const ALL: [HostPart; 13] = [
        HostPart::Anonymous,
        HostPart::PageCache,
        HostPart::Shmem,
        HostPart::Hugetlb,
        HostPart::Slab,
        HostPart::PageTables,
        HostPart::KernelStacks,
        HostPart::Vmalloc,
        HostPart::Percpu,
        HostPart::Zram,
        HostPart::Zswap,
        HostPart::Unattributed,
        HostPart::Free,
    ];

    /// The word of machine formats, and what people read.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            HostPart::Anonymous => ("anonymous", "anonymous memory"),
            HostPart::PageCache => ("page_cache", "page cache"),
            HostPart::Shmem => ("shmem", "shared memory and tmpfs"),
            HostPart::Hugetlb => ("hugetlb", "huge pages (hugetlb), used or not"),
            HostPart::Slab => ("slab", "slab"),
            HostPart::PageTables => ("page_tables", "page tables"),
            HostPart::KernelStacks => ("kernel_stacks", "kernel stacks"),
            HostPart::Vmalloc => ("vmalloc", "vmalloc, without stacks"),
            HostPart::Percpu => ("percpu", "per CPU"),
            HostPart::Zram => ("zram", "zram"),
            HostPart::Zswap => ("zswap", "zswap"),
            HostPart::Unattributed => ("unattributed", "unattributed"),
            HostPart::Free => ("free", "free"),
        }
    }

    /// The column of programs that is a part of this part.
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

/// The machine's memory beside that of the programs of a report. `None` is unknown everywhere.
#[derive(Clone, Debug)]
pub struct HostMemory {
    /// All of it.
    pub total: Option<Kib>,
    /// What could be had without swapping.
    pub available: Option<Kib>,
    /// The sum of the programs of the report.
    pub programs: Option<Usage>,
    /// Swap: all of it, and what is used.
    pub swap: (Option<Kib>, Option<Kib>),
    /// Pages in swap that are in memory, too.
    pub swap_cached: Option<Kib>,
    /// Compressed memory that is a device.
    pub zram: Option<Zram>,
    /// What zswap holds, before it was compressed.
    pub zswapped: Option<Kib>,
    /// How long tasks waited for memory.
    pub pressure: Option<Pressure>,
    parts: [Option<Kib>; HostPart::ALL.len()],
}

impl HostMemory {
    /// Puts both side by side.
    pub fn new(machine: &HostCounters, programs: Option<Usage>) -> HostMemory {
        let meminfo = &machine.meminfo;
        let total = meminfo.get(Item::MemTotal);
        let mut parts = HostPart::ALL.map(|part| amount(part, machine));
        let known: Kib = parts.iter().flatten().copied().sum();
        // Without these two nobody knows what is left. Nor if parts overlap that should not.
        let is_known = parts[HostPart::Free as usize].is_some() && Some(known) <= total;
        let left = total.filter(|_| is_known).map(|total| total.saturating_sub(known));
        parts[HostPart::Unattributed as usize] = left;
        let swap = meminfo.get(Item::SwapTotal);
        let free = meminfo.get(Item::SwapFree);
        let used = swap.zip(free).map(|(total, free)| total.saturating_sub(free));
        HostMemory {
            total,
            available: meminfo.get(Item::MemAvailable),
            programs,
            swap: (swap, used),
            swap_cached: meminfo.get(Item::SwapCached),
            zram: machine.zram,
            zswapped: meminfo.get(Item::Zswapped),
            pressure: machine.pressure,
            parts,
        }
    }

    /// How much of the machine's memory a part is.
    pub fn get(&self, part: HostPart) -> Option<Kib> {
        self.parts[part as usize]
    }

    /// How much of a column the programs have.
    pub fn of_programs(&self, column: Column) -> Option<Kib> {
        self.programs.as_ref().and_then(|usage| usage.get(column))
    }
}

/// What the kernel tells of a part; of what is left it does not.
fn amount(part: HostPart, machine: &HostCounters) -> Option<Kib> {
    let meminfo = &machine.meminfo;
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
        HostPart::Zram => machine.zram.map(|zram| zram.takes),
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
        let parts = HostPart::ALL.map(|part| host_memory.get(part).expect("known").0);
        assert_eq!(parts, [200, 255, 50, 64, 80, 20, 10, 15, 3, 30, 7, 166, 100]);
        assert_eq!(parts.iter().sum::<u64>(), 1000);
    }

    #[test]
    fn what_is_not_told_is_left_over_or_unknown() {
        // A part that this kernel does not tell stays in what is left.
        let old = host_memory(&TEXT.replace("Zswap", "No"));
        assert_eq!(
            (old.get(HostPart::Zswap), old.get(HostPart::Unattributed)),
            (None, Some(Kib(173)))
        );
        // Before 4.20 vmalloc counts what is no memory.
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
