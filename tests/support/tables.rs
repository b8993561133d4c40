//! An address space made of page tables: its maps, its entries, and its rollup, page by page. The
//! number of a frame tells its kind and how often it is mapped, so that nothing else is kept.

use std::collections::HashMap;
use std::fmt::Write;

use psm_uring::process::PageCounts;
use psm_uring::smaps::{Smaps, naive};
use psm_uring::units::Errno;

/// Bits of an entry (Documentation/admin-guide/mm/pagemap.rst).
pub const PRESENT: u64 = 1 << 63;
pub const SWAPPED: u64 = 1 << 62;
pub const FILE: u64 = 1 << 61;
pub const GUARD: u64 = 1 << 58;
pub const EXCLUSIVE: u64 = 1 << 56;
const FRAME: u64 = (1 << 55) - 1;

/// The kind of a page, in the bits of its frame from this one on.
pub const KIND_SHIFT: u32 = 32;
/// How often frames are mapped.
const COUNTS: [u64; 16] = [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 4, 4, 7, 17, 4099];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Anon,
    File,
    Shmem,
    Hugetlb,
    /// The page of zeros, which no count includes.
    Zeros,
}

const KINDS: [Kind; 5] = [Kind::Anon, Kind::File, Kind::Shmem, Kind::Hugetlb, Kind::Zeros];

/// A frame of this kind.
pub fn frame(kind: Kind, number: u64) -> u64 {
    (kind as u64) << KIND_SHIFT | number
}

/// The first frame of this kind, from a number on, that is mapped so often.
pub fn frame_of_count(kind: Kind, from: u64, count: u64) -> u64 {
    let mut frames = (from..).map(|number| frame(kind, number));
    frames.find(|frame| count_of(*frame) == count).expect("a count of COUNTS")
}

fn kind_of(frame: u64) -> Kind {
    KINDS[usize::try_from(frame >> KIND_SHIFT).expect("a kind")]
}

pub fn count_of(frame: u64) -> u64 {
    let mixed = frame.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60;
    if kind_of(frame) == Kind::Zeros { 0 } else { COUNTS[usize::try_from(mixed).expect("4 bits")] }
}

/// The entry of a page of its own.
pub fn page(frame: u64) -> u64 {
    let is_file = matches!(kind_of(frame), Kind::File | Kind::Shmem | Kind::Hugetlb);
    let exclusive = if count_of(frame) == 1 { EXCLUSIVE } else { 0 };
    PRESENT | exclusive | if is_file { FILE } else { 0 } | frame
}

/// The entries of a block: those of the kernel say whether the first page is mapped once. The huge
/// page of zeros looks like a file.
pub fn block(first: u64, len: u64) -> impl Iterator<Item = u64> {
    let zeros = if kind_of(first) == Kind::Zeros { FILE } else { 0 };
    let bits = zeros | page(first) & !FRAME;
    (first..first + len).map(move |frame| bits | frame)
}

/// A mapping from a page on.
#[derive(Clone, Debug)]
pub struct Mapping {
    pub first: u64,
    pub device: &'static str,
    pub entries: Vec<u64>,
}

impl Mapping {
    pub fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }
}

/// An address space. Its mappings ascend.
#[derive(Clone, Debug)]
pub struct Tables {
    pub page_bytes: u64,
    pub mappings: Vec<Mapping>,
}

impl Default for Tables {
    fn default() -> Tables {
        Tables { page_bytes: 4096, mappings: Vec::new() }
    }
}

impl Tables {
    /// Private pages and up to three that four mappings share, so that this is their `Pss`. The
    /// mapping begins at this page.
    pub fn of_kib(kib: u64, first: u64) -> Tables {
        let private = (0..kib / 4).map(|n| frame_of_count(Kind::Anon, 64 * n, 1));
        let shared = (0..kib % 4).map(|n| frame_of_count(Kind::Anon, 64 * n, 4));
        let entries = private.chain(shared).map(page).collect();
        Tables { mappings: vec![Mapping { first, device: "00:00", entries }], ..Tables::default() }
    }

    /// The text of `maps`.
    pub fn maps(&self) -> String {
        let mut text = String::new();
        for mapping in &self.mappings {
            let [start, end] = [mapping.first, mapping.end()].map(|page| page * self.page_bytes);
            let path = if mapping.device == "00:00" { "" } else { "/a file 00:00 7f-8f" };
            let _ = writeln!(text, "{start:08x}-{end:08x} rw-p 0 {} 7 {path}", mapping.device);
        }
        text + "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\n"
    }

    /// The text of `statm`.
    pub fn statm(&self) -> String {
        let total: usize = self.mappings.iter().map(|mapping| mapping.entries.len()).sum();
        format!("{total} {} 0 0 0 0 0\n", self.sums().resident / self.page_bytes)
    }

    /// Lines of `status`.
    pub fn status(&self) -> String {
        let Sums { hugetlb: [shared, private], swapped, .. } = self.sums();
        let [hugetlb, swapped] = [shared + private, swapped].map(|bytes| bytes / 1024);
        format!("VmPTE:\t60 kB\nVmSwap:\t{swapped} kB\nHugetlbPages:\t{hugetlb} kB\n")
    }

    /// A part of `pagemap`.
    pub fn read(&self, offset: u64, len: usize) -> Vec<u8> {
        let (begin, mut entries) = (offset / 8, vec![0; len / 8]);
        let end = begin + entries.len() as u64;
        let place = |page: u64, from: u64| usize::try_from(page - from).expect("a short part");
        for mapping in &self.mappings {
            let (from, to) = (mapping.first.max(begin), mapping.end().min(end));
            if from < to {
                let part = place(from, mapping.first)..place(to, mapping.first);
                entries[place(from, begin)..place(to, begin)]
                    .copy_from_slice(&mapping.entries[part]);
            }
        }
        entries.into_iter().flat_map(u64::to_ne_bytes).collect()
    }

    /// The sums, one page after another, each by its own count.
    fn sums(&self) -> Sums {
        let (page, table) = (self.page_bytes, self.page_bytes / 8);
        let mut sums = Sums::default();
        for entry in self.mappings.iter().flat_map(|mapping| &mapping.entries) {
            let frame = entry & FRAME;
            if entry & PRESENT != 0 && kind_of(frame) == Kind::Hugetlb {
                let is_private = count_of(frame / table * table) == 1;
                sums.hugetlb[usize::from(is_private)] += page;
            } else if entry & PRESENT != 0 && count_of(frame) > 0 {
                sums.resident += page;
                sums.private += if count_of(frame) == 1 { page } else { 0 };
                sums.shares[kind_of(frame) as usize] += (page << 12) / count_of(frame);
            } else if entry & PRESENT == 0 && entry & SWAPPED != 0 && entry & GUARD == 0 {
                match entry & 31 {
                    // A mark.
                    23..32 if frame >> 5 < 16 => {}
                    // A page on its way to another frame.
                    23..32 => {
                        sums.resident += page;
                        sums.shares[Kind::Anon as usize] += page << 12;
                    }
                    _ => sums.swapped += page,
                }
            }
        }
        sums
    }

    /// The rollup, with the figures of a walk.
    pub fn rollup(&self) -> String {
        let Sums { resident, private, shares, hugetlb: [shared_hugetlb, hugetlb], swapped } =
            self.sums();
        let mut text = String::new();
        if let [first, ..] = &self.mappings[..] {
            let end = self.mappings.last().map_or(0, Mapping::end) * self.page_bytes;
            let blanks = " ".repeat(26);
            let start = first.first * self.page_bytes;
            let _ = writeln!(text, "{start:x}-{end:x} ---p 00000000 00:00 0{blanks}[rollup]");
        }
        // Whole, until the slots of all processes are known.
        let swap_pss = Some(("SwapPss:", swapped / 1024));
        let [anon, file, shmem] = shares;
        for (key, kib) in [
            ("Rss:", resident / 1024),
            ("Pss:", (anon + file + shmem) >> 22),
            ("Pss_Anon:", anon >> 22),
            ("Pss_File:", file >> 22),
            ("Pss_Shmem:", shmem >> 22),
            ("Private_Clean:", 0),
            ("Private_Dirty:", private / 1024),
            ("Shared_Hugetlb:", shared_hugetlb / 1024),
            ("Private_Hugetlb:", hugetlb / 1024),
            ("Swap:", swapped / 1024),
        ]
        .into_iter()
        .chain(swap_pss)
        {
            let _ = writeln!(text, "{key:<16}{kib:>8} kB");
        }
        text
    }

    /// The figures of a walk.
    pub fn figures(&self) -> Smaps {
        naive::scan(self.rollup().as_bytes()).expect("a rollup")
    }
}

/// In bytes; shares in units of 1/4096 byte: of anonymous pages, of files, of shared memory.
#[derive(Debug, Default)]
struct Sums {
    resident: u64,
    private: u64,
    shares: [u64; 3],
    /// Shared and private.
    hugetlb: [u64; 2],
    swapped: u64,
}

/// The counts and flags of all frames.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    /// The number of sights of each frame.
    seen: HashMap<u64, u64>,
    /// The largest number of frames that were loaded at once.
    pub most: usize,
    /// The answer from this load on, and that of flags.
    pub refuses: Option<(usize, Errno)>,
    pub loads: usize,
}

impl PageCounts for Frames {
    fn counts(&mut self, frames: &[u64], counts: &mut Vec<u32>) -> Result<(), Errno> {
        self.most = self.most.max(frames.len());
        self.loads += 1;
        if let Some((_, errno)) = self.refuses.filter(|(load, _)| self.loads > *load) {
            return Err(errno);
        }
        counts.clear();
        let count = |frame: &u64| u32::try_from(count_of(*frame)).expect("a small count");
        counts.extend(frames.iter().map(count));
        Ok(())
    }

    fn forget(&mut self) {}

    fn see(&mut self, frame: u64) -> u64 {
        let seen = self.seen.entry(frame).or_default();
        *seen += 1;
        *seen
    }

    fn flags(&mut self, frame: u64) -> Result<u64, Errno> {
        if let Some((_, errno)) = self.refuses.filter(|(load, _)| self.loads >= *load) {
            return Err(errno);
        }
        Ok(match kind_of(frame) {
            Kind::Anon => 1 << 12 | 1 << 14,
            Kind::File => 1 << 5,
            Kind::Shmem => 1 << 14,
            Kind::Hugetlb => 1 << 15 | 1 << 17,
            Kind::Zeros => 1 << 24,
        })
    }
}
