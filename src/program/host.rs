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
//!          + Slab - objects of the ARC
//!          + PageTables + SecPageTables
//!          + KernelStack
//!          + VmallocUsed - KernelStack      vmalloc allocates the stacks (5.3)
//!          + Percpu
//!          + Bounce + WritebackTmp + Quicklists + KReclaimable - SReclaimable
//!          + buffers that GPU drivers hold for programs, if they are asked for: see `with_gpu`
//!          + GPUActive
//!          + GPUReclaim
//!          + size of the ARC                not in meminfo; as far as it fits
//!          + Balloon                        if MemTotal includes it
//!          + mem_used_total of zram         not in meminfo
//!          + Zswap
//!          + the rest: unattributed         drivers, firmware, unmapped swap cache
//! ```

use super::{Column, HeldByGpu, Usage};
use crate::host::{HostCounters, Item, Meminfo, Pressure, SysvSegments, Tmpfs, ZfsArc, Zram};
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
    /// Reclaimable pages beside slab, and copies of pages.
    KernelMisc,
    /// Buffers that GPU drivers hold for programs.
    Gpu,
    /// Memory of objects that GPUs use.
    GpuActive,
    /// Memory that GPU drivers keep for reuse.
    GpuReclaim,
    /// The cache of ZFS.
    ZfsArc,
    /// Memory that a balloon gave back to the hypervisor.
    Balloon,
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
    KernelMisc => "kernel_misc", "other kernel memory";
    Gpu => "gpu", "GPU buffers of the programs";
    GpuActive => "gpu_active", "GPU memory in use";
    GpuReclaim => "gpu_reclaim", "GPU memory for reuse";
    ZfsArc => "zfs_arc", "ZFS ARC";
    Balloon => "balloon", "balloon";
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

/// The bounds of an amount of GPU memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuBounds {
    /// Whether clients share buffers, which count in each of them.
    pub is_most: bool,
    /// The number of processes whose memory is unknown: the amount lacks it.
    pub unknown: usize,
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
    /// Shared memory by owner.
    pub shared: SharedMemory,
    /// Counters that may own a part of the unattributed rest.
    pub candidates: Vec<PossibleOwner>,
    /// Memory in a balloon that the total does not include.
    pub balloon_outside: Option<Kib>,
    /// The bounds of the buffers of GPUs, if the run asked for these.
    pub gpu: Option<GpuBounds>,
    /// The file system that made up the counters in place of the kernel: `fuse.lxcfs`.
    pub writer: Option<String>,
    /// Counters of the kernel with a part that exceeds its whole: the part, the whole, and the one
    /// that is left out.
    pub impossible: Vec<[&'static str; 3]>,
    /// By part, in the order of the parts.
    parts: Vec<Option<Kib>>,
}

/// Shared memory by owner. `None` is unknown.
#[derive(Clone, Debug, Default)]
pub struct SharedMemory {
    /// File systems in memory that this process sees, the biggest first.
    pub tmpfs: Option<Vec<Tmpfs>>,
    /// Segments of System V.
    pub sysv: Option<SysvSegments>,
    /// The rest: memfd, anonymous shared memory, objects of GPUs, and file systems of other mount
    /// namespaces.
    pub other: Option<Kib>,
    /// Whether the rest may be bigger: pages in swap, or huge pages, may count as pages of an
    /// owner above.
    pub other_is_least: bool,
}

/// A counter that may own a part of the unattributed rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PossibleOwner {
    /// The line of `meminfo`, or the difference of two.
    pub line: String,
    /// Its amount, or the rest if that is less. It may be in another part, too.
    pub at_most: Kib,
    /// Whether the meaning of the line is known.
    pub is_known: bool,
}

impl HostMemory {
    /// Splits host memory into its parts.
    pub fn new(counters: &HostCounters, programs: Option<Usage>) -> HostMemory {
        let meminfo = &counters.meminfo;
        let total = meminfo.get(Item::MemTotal);
        let mut parts: Vec<Option<Kib>> =
            HostPart::ALL.iter().map(|part| amount(*part, counters)).collect();
        let balloon_outside = fit(&mut parts, counters);
        let known = sum(&parts);
        // Without total or free memory, or if parts overlap, the rest is unknown. So it is if the
        // total is that of a container and some parts are not.
        let is_known = parts[HostPart::Free as usize].is_some()
            && Some(known) <= total
            && counters.writer.is_none();
        let rest = total.filter(|_| is_known).map(|total| total.saturating_sub(known));
        parts[HostPart::Unattributed as usize] = rest;
        HostMemory {
            total,
            available: meminfo.get(Item::MemAvailable),
            programs,
            swap_total: meminfo.get(Item::SwapTotal),
            swap_used: meminfo.swap_used(),
            swap_cached: meminfo.get(Item::SwapCached),
            zram: counters.zram,
            zswapped: meminfo.get(Item::Zswapped),
            pressure: counters.pressure,
            shared: SharedMemory::new(counters),
            candidates: candidates(meminfo, rest),
            balloon_outside,
            gpu: None,
            writer: counters.writer.clone(),
            impossible: meminfo.impossible.clone(),
            parts,
        }
    }

    /// Moves the buffers that GPU drivers hold for programs out of the part that counts them: files
    /// in memory that no program maps, or pages of TTM, which the kernel counts since 7.1. Such a
    /// part never has less than nothing, and an unknown one has nothing to move.
    #[must_use]
    pub fn with_gpu(mut self, held: HeldByGpu) -> HostMemory {
        let shmem = self.take(HostPart::Shmem, held.shmem.most.min(self.unmapped_shmem()));
        self.shared.other = self.shared.other.map(|other| other.saturating_sub(shmem));
        let of_ttm = match self.get(HostPart::GpuActive) {
            Some(_) => HostPart::GpuActive,
            None => HostPart::Unattributed,
        };
        let ttm = self.take(of_ttm, held.ttm.most);
        self.parts[HostPart::Gpu as usize] = Some(shmem + ttm);
        let is_most = [(shmem, held.shmem), (ttm, held.ttm)];
        let is_most = is_most.into_iter().any(|(moved, held)| moved > held.least);
        self.gpu = Some(GpuBounds { is_most, unknown: held.unknown });
        let rest = self.get(HostPart::Unattributed);
        bound(&mut self.candidates, rest);
        self
    }

    /// Shared memory of which no program maps a part, at most.
    fn unmapped_shmem(&self) -> Kib {
        let mapped = self.of_programs(Column::PssShmem).unwrap_or_default();
        let unmapped = self.get(HostPart::Shmem).unwrap_or_default().saturating_sub(mapped);
        let SharedMemory { other, other_is_least, .. } = self.shared;
        other.filter(|_| !other_is_least).map_or(unmapped, |other| other.min(unmapped))
    }

    /// Takes at most this amount out of a part; returns the amount.
    fn take(&mut self, part: HostPart, most: Kib) -> Kib {
        let Some(size) = &mut self.parts[part as usize] else { return Kib(0) };
        let taken = most.min(*size);
        *size = size.saturating_sub(taken);
        taken
    }

    /// The size of a part.
    pub fn get(&self, part: HostPart) -> Option<Kib> {
        self.parts[part as usize]
    }

    /// The total of the programs in a column.
    pub fn of_programs(&self, column: Column) -> Option<Kib> {
        self.programs.as_ref().and_then(|usage| usage.get(column))
    }

    /// The parts without a counter, which are in the unattributed rest.
    pub fn uncounted(&self) -> impl Iterator<Item = HostPart> {
        let is_counted = |part: &HostPart| self.get(*part).is_some();
        let is_rest = |part: &HostPart| {
            matches!(part, HostPart::Gpu | HostPart::Unattributed | HostPart::Free)
        };
        HostPart::ALL.iter().copied().filter(move |part| !is_counted(part) && !is_rest(part))
    }

    /// The amount by which all parts together exceed the total, if they do.
    pub fn excess(&self) -> Option<Kib> {
        Some(sum(&self.parts).saturating_sub(self.total?)).filter(|excess| *excess > Kib(0))
    }
}

/// The sum of the known parts.
fn sum(parts: &[Option<Kib>]) -> Kib {
    parts.iter().flatten().copied().sum()
}

impl SharedMemory {
    fn new(counters: &HostCounters) -> SharedMemory {
        let (meminfo, sysv) = (&counters.meminfo, counters.sysv);
        let mut tmpfs = counters.tmpfs.clone();
        tmpfs.iter_mut().for_each(|all| all.sort_by_key(|one| std::cmp::Reverse(one.used)));
        let is_huge = sysv.is_some_and(|sysv| sysv.perhaps_huge > Kib(0));
        let other_is_least = is_huge || meminfo.swap_used() != Some(Kib(0));
        let mut shared = SharedMemory { tmpfs, sysv, other: None, other_is_least };
        let owned = shared.tmpfs_used().zip(sysv).map(|(tmpfs, sysv)| tmpfs + sysv.ram);
        // The shared memory of a container is not that of the segments and mounts.
        let shmem = meminfo.get(Item::Shmem).filter(|_| counters.writer.is_none());
        shared.other = shmem.zip(owned).map(|(shmem, owned)| shmem.saturating_sub(owned));
        shared
    }

    /// The sum over the file systems in memory.
    pub fn tmpfs_used(&self) -> Option<Kib> {
        Some(self.tmpfs.as_ref()?.iter().filter_map(|one| one.used).sum())
    }
}

/// Counters that are neither a part nor in one, the biggest first. None owns more than the rest.
fn candidates(meminfo: &Meminfo, rest: Option<Kib>) -> Vec<PossibleOwner> {
    let cma = meminfo.get(Item::CmaTotal).zip(meminfo.get(Item::CmaFree));
    let known = [
        ("SwapCached", meminfo.get(Item::SwapCached)),
        ("HardwareCorrupted", meminfo.get(Item::HardwareCorrupted)),
        ("CmaTotal - CmaFree", cma.map(|(total, free)| total.saturating_sub(free))),
    ];
    let known = known.into_iter().filter_map(|(line, amount)| {
        let at_most = amount.filter(|amount| *amount > Kib(0))?;
        Some(PossibleOwner { line: line.to_owned(), at_most, is_known: true })
    });
    let unknown = meminfo.unknown.iter().cloned();
    let unknown = unknown.map(|(line, at_most)| PossibleOwner { line, at_most, is_known: false });
    let mut all: Vec<PossibleOwner> = known.chain(unknown).collect();
    all.sort_by_key(|candidate| std::cmp::Reverse(candidate.at_most));
    bound(&mut all, rest);
    all
}

fn bound(candidates: &mut Vec<PossibleOwner>, rest: Option<Kib>) {
    for candidate in &mut *candidates {
        candidate.at_most = candidate.at_most.min(rest.unwrap_or(candidate.at_most));
    }
    candidates.retain(|candidate| candidate.at_most > Kib(0));
}

/// Cuts parts that the other ones may contain: the ARC has buffers in slab and vmalloc, and most
/// drivers take a balloon from the total. Returns the balloon that the total does not include.
fn fit(parts: &mut [Option<Kib>], counters: &HostCounters) -> Option<Kib> {
    let (arc, balloon) = (HostPart::ZfsArc as usize, HostPart::Balloon as usize);
    // The total of a container says nothing about counters of the host.
    let total = counters.meminfo.get(Item::MemTotal).filter(|_| counters.writer.is_none())?;
    let room = |parts: &[Option<Kib>], part: usize| {
        let others = parts.iter().enumerate().filter(|(place, _)| *place != part);
        total.saturating_sub(others.filter_map(|(_, amount)| *amount).sum())
    };
    let inflated = parts[balloon].take();
    parts[arc] = parts[arc].map(|size| size.min(room(parts, arc)));
    // A balloon that exceeds the rest cannot be in the total.
    let is_in_total = |size| counters.balloon_is_in_total.unwrap_or(size <= room(parts, balloon));
    let is_inside = inflated.is_some_and(is_in_total);
    parts[balloon] = inflated.map(|size| if is_inside { size } else { Kib(0) });
    inflated.filter(|size| !is_inside && *size > Kib(0))
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
        HostPart::Slab => {
            let arc = counters.arc.unwrap_or_default();
            Some(get(Item::Slab)?.saturating_sub(arc.in_slab))
        }
        HostPart::PageTables => {
            Some(get(Item::PageTables)? + get(Item::SecPageTables).unwrap_or_default())
        }
        HostPart::KernelStacks => get(Item::KernelStack),
        HostPart::Vmalloc => meminfo.vmalloc(),
        HostPart::Percpu => get(Item::Percpu),
        // lxcfs prints 0 for `SReclaimable`, and `KReclaimable` of the host.
        HostPart::KernelMisc => meminfo.misc().filter(|_| counters.writer.is_none()),
        HostPart::GpuActive => get(Item::GpuActive),
        HostPart::GpuReclaim => get(Item::GpuReclaim),
        HostPart::ZfsArc => counters.arc.map(|ZfsArc { size, .. }| size),
        HostPart::Balloon => get(Item::Balloon),
        HostPart::Zram => counters.zram.map(|zram| zram.takes),
        HostPart::Zswap => get(Item::Zswap),
        // Of programs, and the rest.
        HostPart::Gpu | HostPart::Unattributed => None,
        HostPart::Free => get(Item::MemFree),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::GpuMemory;

    const TEXT: &str = "MemTotal: 1000 kB\nMemFree: 100 kB\nBuffers: 5 kB\nCached: 300 kB\n\
        AnonPages: 200 kB\nShmem: 50 kB\nSlab: 80 kB\nKernelStack: 10 kB\nPageTables: 20 kB\n\
        VmallocUsed: 25 kB\nPercpu: 3 kB\nHugetlb: 64 kB\nZswap: 7 kB\nBounce: 2 kB\n\
        KReclaimable: 41 kB\nSReclaimable: 40 kB\nGPUActive: 6 kB\nGPUReclaim: 4 kB\n\
        Balloon: 0 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n";

    fn counters(text: &str) -> HostCounters {
        let meminfo = Meminfo::parse(text.as_bytes());
        let zram = Some(Zram { holds: Kib(90), takes: Kib(30) });
        let arc = Some(ZfsArc { size: Kib(20), in_slab: Kib(8) });
        HostCounters { meminfo, zram, arc, ..HostCounters::default() }
    }

    fn host_memory(text: &str) -> HostMemory {
        HostMemory::new(&counters(text), None)
    }

    #[test]
    fn parts_add_up_and_count_once() {
        let host_memory = host_memory(TEXT).with_gpu(HeldByGpu::default());
        let known = |part: &HostPart| host_memory.get(*part).expect("a known part").0;
        let parts: Vec<u64> = HostPart::ALL.iter().map(known).collect();
        let expected = [200, 255, 50, 64, 72, 20, 10, 15, 3, 3, 0, 6, 4, 20, 0, 30, 7, 141, 100];
        assert_eq!(parts, expected);
        assert_eq!(parts.iter().sum::<u64>(), 1000);
    }

    #[test]
    fn a_missing_counter_leaves_its_part_unattributed_or_unknown() {
        // The part of a counter that the kernel lacks stays unattributed.
        for (key, part, amount) in [
            ("Zswap", HostPart::Zswap, 7),
            ("GPUActive", HostPart::GpuActive, 6),
            ("GPUReclaim", HostPart::GpuReclaim, 4),
        ] {
            let old = host_memory(&TEXT.replace(key, "No"));
            assert_eq!(old.get(part), None);
            assert_eq!(old.get(HostPart::Unattributed), Some(Kib(141 + amount)), "{key}");
            assert_eq!(old.uncounted().collect::<Vec<_>>(), [part]);
        }
        // Before 4.20, VmallocUsed counts addresses without memory.
        let older = host_memory(&TEXT.replace("Percpu", "No"));
        assert_eq!((older.get(HostPart::Vmalloc), older.get(HostPart::Percpu)), (None, None));
        assert_eq!(older.get(HostPart::Unattributed), Some(Kib(141 + 15 + 3)));
        for key in ["MemTotal", "MemFree"] {
            let host_memory = host_memory(&TEXT.replace(key, "No"));
            assert_eq!(host_memory.get(HostPart::Unattributed), None, "without {key}");
        }
        let too_much = host_memory(&TEXT.replace("Slab: 80", "Slab: 800"));
        assert_eq!(too_much.get(HostPart::Unattributed), None);
        // The ARC gives way: the rest is 1000 - 100 - 255 - 50 - ... without it.
        assert_eq!(
            (too_much.get(HostPart::ZfsArc), too_much.excess()),
            (Some(Kib(0)), Some(Kib(559)))
        );
    }

    /// Buffers of the ARC that are in vmalloc, too, count there.
    #[test]
    fn the_cache_of_zfs_counts_as_far_as_no_other_part_has_it() {
        let mut counters = counters(TEXT);
        counters.arc = Some(ZfsArc { size: Kib(300), in_slab: Kib(8) });
        let host_memory = HostMemory::new(&counters, None);
        let found = [HostPart::ZfsArc, HostPart::Unattributed, HostPart::Slab];
        assert_eq!(found.map(|part| host_memory.get(part)), [161, 0, 72].map(|kib| Some(Kib(kib))));
    }

    /// A driver may take its balloon from the total, or leave it there.
    #[test]
    fn a_balloon_counts_only_inside_of_the_total() {
        for (size, known, inside, outside) in [
            (100, None, 100, None),
            (142, None, 0, Some(Kib(142))),
            (100, Some(false), 0, Some(Kib(100))),
            (100, Some(true), 100, None),
        ] {
            let mut counters = counters(&TEXT.replace("Balloon: 0", &format!("Balloon: {size}")));
            counters.balloon_is_in_total = known;
            let host_memory = HostMemory::new(&counters, None);
            assert_eq!(host_memory.get(HostPart::Balloon), Some(Kib(inside)), "{size} {known:?}");
            assert_eq!(host_memory.balloon_outside, outside, "{size} {known:?}");
            let rest = host_memory.get(HostPart::Unattributed);
            assert_eq!(rest, Some(Kib(141 - inside)), "{size} {known:?}");
        }
    }

    /// Buffers move from one part, which they cannot exceed.
    #[test]
    fn buffers_of_gpus_move_from_the_part_that_counts_them() {
        let held = |shmem, ttm| {
            let memory = |most| GpuMemory { most: Kib(most), least: Kib(most) };
            HeldByGpu { shmem: memory(shmem), ttm: memory(ttm), unknown: 2 }
        };
        let parts = [HostPart::Shmem, HostPart::GpuActive, HostPart::Unattributed, HostPart::Gpu];
        let old = TEXT.replace("GPUActive", "No");
        for (text, buffers, expected) in [
            (TEXT, held(20, 4), [Some(30), Some(2), Some(141), Some(24)]),
            (TEXT, held(60, 9), [Some(0), Some(0), Some(141), Some(56)]),
            (&old, held(20, 4), [Some(30), None, Some(143), Some(24)]),
            (&old, held(0, 900), [Some(50), None, Some(0), Some(147)]),
        ] {
            let found = host_memory(text).with_gpu(buffers);
            assert_eq!(parts.map(|part| found.get(part)), expected.map(|kib| kib.map(Kib)));
            let bounds = Some(GpuBounds { is_most: false, unknown: 2 });
            assert_eq!((found.excess(), found.gpu), (None, bounds), "{buffers:?}");
        }
        // A rest that is unknown has nothing to move, and candidates own no more than the rest.
        let unknown = host_memory(&old.replace("MemTotal", "No")).with_gpu(held(0, 4));
        assert_eq!(parts.map(|part| unknown.get(part))[2..], [None, Some(Kib(0))]);
        let found = host_memory(&(old + "New: 130 kB\n")).with_gpu(held(0, 140));
        assert_eq!(found.candidates.iter().map(|one| one.at_most).max(), Some(Kib(7)));
        let bound = GpuMemory { most: Kib(20), least: Kib(5) };
        let buffers = HeldByGpu { shmem: bound, ..HeldByGpu::default() };
        let bounds = Some(GpuBounds { is_most: true, unknown: 0 });
        assert_eq!(host_memory(TEXT).with_gpu(buffers).gpu, bounds);
        // Tmpfs and segments of System V are no buffers.
        let mut counters = counters(TEXT);
        let tmpfs = Tmpfs { point: "/x".into(), used: Some(Kib(35)) };
        (counters.tmpfs, counters.sysv) = (Some(vec![tmpfs]), Some(SysvSegments::default()));
        let found = HostMemory::new(&counters, None).with_gpu(held(20, 0));
        assert_eq!((found.get(HostPart::Gpu), found.shared.other), (Some(Kib(15)), Some(Kib(0))));
    }

    fn shared(text: &str, used: &[Option<u64>], sysv: SysvSegments) -> SharedMemory {
        let mut counters = counters(text);
        let tmpfs = used.iter().map(|used| Tmpfs { point: "/x".into(), used: used.map(Kib) });
        (counters.tmpfs, counters.sysv) = (Some(tmpfs.collect()), Some(sysv));
        HostMemory::new(&counters, None).shared
    }

    #[test]
    fn shared_memory_without_an_owner_is_the_rest() {
        let sysv = SysvSegments { ram: Kib(9), ..SysvSegments::default() };
        let found = shared(TEXT, &[Some(10), None, Some(11)], sysv);
        assert_eq!((found.other, found.other_is_least), (Some(Kib(20)), false));
        assert_eq!(found.tmpfs_used(), Some(Kib(21)));
        let order: Vec<Option<Kib>> =
            found.tmpfs.iter().flatten().map(|tmpfs| tmpfs.used).collect();
        assert_eq!(order, [Some(Kib(11)), Some(Kib(10)), None]);
    }

    /// A tmpfs counts its pages in swap, so it can exceed shared memory in RAM.
    #[test]
    fn with_pages_in_swap_the_rest_is_a_least_amount() {
        let swapped = TEXT.replace("SwapTotal: 0", "SwapTotal: 70");
        let found = shared(&swapped, &[Some(60)], SysvSegments::default());
        assert_eq!((found.other, found.other_is_least), (Some(Kib(0)), true));
        let sysv = SysvSegments { ram: Kib(9), perhaps_huge: Kib(9), ..SysvSegments::default() };
        let found = shared(TEXT, &[Some(10)], sysv);
        assert_eq!((found.other, found.other_is_least), (Some(Kib(31)), true));
    }

    #[test]
    fn lines_of_unknown_meaning_are_candidates_and_no_parts() {
        let text = TEXT.to_owned() + "CmaTotal: 90 kB\nCmaFree: 80 kB\nNewMemory: 130 kB\n";
        let found = host_memory(&text);
        assert_eq!(found.get(HostPart::Unattributed), Some(Kib(141)));
        let candidate = |line: &str, at_most, is_known| PossibleOwner {
            line: line.to_owned(),
            at_most: Kib(at_most),
            is_known,
        };
        let cma = candidate("CmaTotal - CmaFree", 10, true);
        assert_eq!(found.candidates, [candidate("NewMemory", 130, false), cma.clone()]);
        // No counter explains more than there is to explain.
        let found = host_memory(&text.replace("NewMemory: 130", "NewMemory: 150"));
        assert_eq!(found.candidates, [candidate("NewMemory", 141, false), cma]);
    }

    /// The total is that of a container, and other counters are those of the host.
    #[test]
    fn made_up_counters_have_no_rest() {
        let mut counters = counters(TEXT);
        counters.writer = Some("fuse.lxcfs".to_owned());
        let found = HostMemory::new(&counters, None);
        assert_eq!(found.get(HostPart::Unattributed), None);
        assert_eq!((found.get(HostPart::KernelMisc), found.shared.other), (None, None));
    }
}
