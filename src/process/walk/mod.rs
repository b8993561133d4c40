//! The memory of one process by the entries of its page tables: `maps` for the ranges, `pagemap`
//! for the entries, `/proc/kpagecount` for the pages that more than one mapping has.
//!
//! The sums equal those of `smaps_rollup`, but a rollup holds the `mmap_lock` of the process from
//! its first page to the last one. A walk reads a window at a time and pauses in between.
//!
//! - An entry with `EXCLUSIVE` is mapped once, except where one entry of the kernel maps a whole
//!   block (a transparent huge page): there the bit speaks of the first page of the block (up to
//!   6.10, and since 6.15). A block looks like this: all entries of one table, with consecutive
//!   frames, aligned. Its pages are counted one by one.
//! - All other pages are counted too. A count of 0 means the page of zeros.
//! - Pages of files and of shared memory look the same. Pages of one device are all of one kind,
//!   which the flags of one page tell (`/proc/kpageflags`).
//!
//! Not to be had: clean or dirty, lazily freed, locked.
//!
//! - `size`   the choice between rollup and walk
//! - `ranges` the text of `maps`
//! - `entry`  an entry of `pagemap`
//! - `freed`  the memory that returns when processes end
//! - `slots`  the shares of processes in swapped pages
//! - `window_length` the length of windows on this host
#![forbid(unsafe_code)]

mod entry;
mod freed;
mod ranges;
mod size;
mod slots;
mod window_length;

use std::sync::Arc;
use std::time::Duration;

use self::entry::{ENTRY_BYTES, Page, TableEntry, entries};
use self::freed::Seen;
pub use self::freed::{Freed, FreedShare};
use self::ranges::{DEVICES_MAX, Ranges};
pub use self::size::hold;
pub(super) use self::size::{Choice, Size, choose};
pub use self::slots::{GroupSlots, SlotBorders, SlotRun};
pub use self::window_length::WindowLength;
use crate::smaps::{Field, Smaps};
use crate::units::{Errno, Kib};

/// The time between the end of a read and the next one of the same process. A writer that waits for
/// the lock gets it in this time: a reader that returns at once takes it again before the writer
/// has woken (measured: 10 us are too few).
pub const PAUSE: Duration = Duration::from_micros(50);

/// The maximum size of a read; `window_length` shortens it on slow hosts. A read takes the lock
/// once per table that it visits: at most six times.
pub const WINDOW_BYTES: usize = 24 * 1024;
/// The same for `--gentle`, which visits one table.
pub const GENTLE_WINDOW_BYTES: usize = 4 * 1024;

/// A window has at most one mapping per so many entries: 256, or 42 with `--gentle`. The kernel
/// takes as long for a mapping as for six pages (0.5 us). A reader mostly takes the lock again
/// before a writer that waits has woken, so that the tables of one window count as one hold.
const ENTRIES_PER_MAPPING: usize = 12;

/// Pages to be counted that are kept: 128 KiB.
const UNCOUNTED_MAX: usize = 16 * 1024;
/// Pages that are counted at once.
const COUNTED_MAX: usize = 4 * 1024;
/// The same for blocks: 24 KiB.
const BLOCKS_MAX: usize = 1024;
/// Tables after which a process that mostly has huge pages is left to the rollup, whose time is
/// that of one page per block: a walk would count all pages of each.
const TABLES_MIN: usize = 16;
/// The flags of a page (include/uapi/linux/kernel-page-flags.h): of shared memory if a page of a
/// file has it, and of hugetlbfs.
const SWAP_BACKED: u64 = 1 << 14;
const TAIL: u64 = 1 << 16;
const HUGE: u64 = 1 << 17;
/// The largest block: 2 MiB in pages of 4 KiB, 512 MiB in those of 64.
const BLOCK_ORDER_MAX: u32 = 13;
/// Shares are summed in units of 1/4096 byte, as in the kernel (`PSS_SHIFT`).
const SHARE_BITS: u32 = 12;

/// How processes are walked.
#[derive(Clone, Copy, Debug)]
pub struct WalkRule {
    /// Walk every process, not only those with a long rollup.
    pub is_forced: bool,
    /// The maximum size of a read.
    pub window_bytes: usize,
    /// All processes of the host are measured, so that those with entries of the same pages in swap
    /// are known.
    pub is_whole_host: bool,
    /// Whether pages of the host are in swap.
    pub has_swap: bool,
    /// The size of a page.
    pub page_bytes: u64,
    /// The pages by which the counters of a process may be wrong: kernels before 6.13 sum them up
    /// late, CPU by CPU.
    pub slack_pages: u64,
}

impl WalkRule {
    /// The entries of one table.
    fn table_entries(&self) -> u64 {
        self.page_bytes / ENTRY_BYTES as u64
    }
}

/// A part of `pagemap` to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The offset in the file.
    pub offset: u64,
    /// The number of bytes; a read may return fewer.
    pub len: usize,
}

/// The counts and flags of page frames, from `/proc/kpagecount` and `/proc/kpageflags`.
pub trait PageCounts {
    /// Replaces `counts` by the number of times that each of these frames is mapped.
    ///
    /// # Errors
    /// Those of `open(2)` and `pread(2)`.
    fn counts(&mut self, frames: &[u64], counts: &mut Vec<u32>) -> Result<(), Errno>;

    /// Drops all counts: they are those of one survey.
    fn forget(&mut self);

    /// Counts one more mapping of a frame in the current group; returns their number so far.
    fn see(&mut self, frame: u64) -> u64;

    /// The flags of a frame.
    ///
    /// # Errors
    /// As [`PageCounts::counts`].
    fn flags(&mut self, frame: u64) -> Result<u64, Errno>;
}

/// The next step of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WalkStep {
    Read(Window),
    /// Pages are to be counted.
    Count,
    /// The address space is gone.
    Lost,
    /// The process has huge pages: its rollup is short.
    Rollup,
}

/// The kind of the pages of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PageKind {
    Anon,
    File,
    Shmem,
}

/// Resident pages, alone and shared.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    resident: u64,
    exclusive: u64,
    /// In bytes, times 4096.
    shares: u64,
    /// A frame, whose flags tell the kind.
    sample: Option<u64>,
    seen: Seen,
}

/// Consecutive frames that one entry may map.
#[derive(Clone, Copy, Debug)]
struct Block {
    first: TableEntry,
    len: u64,
    class: u16,
}

/// The walk over one process.
#[derive(Debug, Default)]
pub(super) struct Walk {
    rule: Option<WalkRule>,
    has_hugetlb: bool,
    /// Whether the mappings of a group are counted.
    finds_freed: bool,
    pub(in crate::process) ranges: Ranges,
    /// The index of the first range that is not read to its end, and the next page.
    range: usize,
    next: u64,
    /// Class 0: anonymous pages; class n + 1: pages of device n.
    classes: Vec<Sums>,
    swapped: u64,
    slots: Vec<SlotRun>,
    /// Pages on their way to another frame. A rollup counts them whole, and as shared.
    moving: u64,
    hugetlb: [u64; 2],
    freed_hugetlb: u64,
    alone_hugetlb: u64,
    unknown_hugetlb: u64,
    /// Frames, each with its class in the lowest bits.
    uncounted: Vec<u64>,
    blocks: Vec<Block>,
    /// Tables with pages, and those among them that look like a block.
    tables: usize,
    tables_of_blocks: usize,
}

/// The bits of a class in `uncounted`.
const CLASS_BITS: u32 = 11;
const _: () = assert!(DEVICES_MAX < 1 << CLASS_BITS);

impl Walk {
    /// Starts with a process; the text of its `maps` follows.
    ///
    /// `freed` has the segments that are marked to be destroyed, if the process is one of a group
    /// whose freed memory is asked for.
    pub(super) fn begin(&mut self, rule: WalkRule, has_hugetlb: bool, freed: Option<&Arc<[u64]>>) {
        self.finds_freed = freed.is_some();
        self.ranges.clear(freed.cloned().unwrap_or_default());
        (self.rule, self.has_hugetlb) = (Some(rule), has_hugetlb);
    }

    /// Starts with the entries; all of `maps` is known. `None` if it is not understood or empty.
    pub(super) fn begin_entries(&mut self) -> Option<Window> {
        (self.range, self.next) = (0, 0);
        self.classes.clear();
        self.classes.resize(1 + self.ranges.devices(), Sums::default());
        (self.swapped, self.moving) = (0, 0);
        (self.hugetlb, self.freed_hugetlb) = ([0; 2], 0);
        (self.alone_hugetlb, self.unknown_hugetlb) = (0, 0);
        self.uncounted.clear();
        self.blocks.clear();
        self.slots.clear();
        (self.tables, self.tables_of_blocks) = (0, 0);
        self.window()
    }

    /// The next window: it begins at the start of a table or behind the last window, and covers as
    /// many ranges as it can, unless they have too many mappings. Pages between ranges have empty
    /// entries.
    pub(super) fn window(&mut self) -> Option<Window> {
        let (rule, ranges) = (self.rule?, self.ranges.whole()?);
        let pages = |address: u64| address / rule.page_bytes;
        while pages(ranges.get(self.range)?.end) <= self.next {
            self.range += 1;
        }
        let table = rule.table_entries();
        let start = self.next.max(pages(ranges[self.range].start) / table * table);
        let entries = rule.window_bytes / ENTRY_BYTES;
        let limit = start + entries as u64;
        let mut mappings_left = entries / ENTRIES_PER_MAPPING;
        let within = ranges[self.range..].iter().take_while(|range| {
            let fits = mappings_left > 0 && pages(range.start) < limit;
            mappings_left = mappings_left.saturating_sub(usize::from(range.mappings));
            fits
        });
        let end = within.last().map_or(limit, |range| pages(range.end).min(limit));
        self.next = start;
        let len = (end - start) * ENTRY_BYTES as u64;
        Some(Window { offset: start * ENTRY_BYTES as u64, len: usize::try_from(len).ok()? })
    }

    /// Takes the bytes of one window.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> WalkStep {
        let Some(rule) = self.rule else { return WalkStep::Lost };
        if bytes.len() < ENTRY_BYTES {
            return WalkStep::Lost;
        }
        let (mut rest, table) = (bytes, rule.table_entries());
        while rest.len() >= ENTRY_BYTES {
            let len = (table - self.next % table).min((rest.len() / ENTRY_BYTES) as u64);
            let (part, behind) = rest.split_at(usize::try_from(len).unwrap_or(0) * ENTRY_BYTES);
            self.table(self.next, part, table);
            self.next += len;
            rest = behind;
        }
        let has_blocks = self.tables >= TABLES_MIN && 4 * self.tables_of_blocks >= 3 * self.tables;
        if has_blocks && !rule.is_forced {
            return WalkStep::Rollup;
        }
        if self.uncounted.len() >= UNCOUNTED_MAX || self.blocks.len() >= BLOCKS_MAX {
            return WalkStep::Count;
        }
        self.window().map_or(WalkStep::Count, WalkStep::Read)
    }

    /// Takes entries of one table, from this page on.
    fn table(&mut self, page: u64, bytes: &[u8], table: u64) {
        self.tables += usize::from(entries(bytes).any(TableEntry::is_present));
        let len = (bytes.len() / ENTRY_BYTES) as u64;
        if let Some(first) = block(page, bytes, table) {
            self.tables_of_blocks += 1;
            return self.push_blocks(page, first, len);
        }
        // Most pages of most big processes.
        let mut private = 0;
        for (page, entry) in (page..).zip(entries(bytes)) {
            match entry.page() {
                Page::None => {}
                Page::Swapped { slot } => {
                    self.swapped += 1;
                    slots::push(&mut self.slots, slot);
                }
                Page::Exclusive { is_file: false } => private += 1,
                Page::Exclusive { is_file: true } => {
                    let class = self.class(page, entry);
                    self.resident(class, 1, 1);
                    self.classes[usize::from(class)].seen.whole += 1;
                }
                Page::Uncounted { is_file } => {
                    let class = if is_file { self.class(page, entry) } else { 0 };
                    self.uncounted.push(entry.frame() << CLASS_BITS | u64::from(class));
                }
                Page::Moving => self.moving += 1,
            }
        }
        self.resident(0, private, 1);
        self.classes[0].seen.whole += private;
    }

    /// Adds a block of pages. A block of files is divided where a range ends: the page frames of
    /// two files may happen to follow each other.
    fn push_blocks(&mut self, mut page: u64, mut first: TableEntry, mut len: u64) {
        if !first.is_file() {
            return self.blocks.push(Block { first, len, class: 0 });
        }
        while len > 0 {
            let class = self.class(page, first);
            let end = self.ranges.whole().and_then(|ranges| Some(ranges.get(self.range)?.end));
            let left =
                end.zip(self.rule).map(|(end, rule)| (end / rule.page_bytes).saturating_sub(page));
            let part = left.filter(|left| *left > 0).map_or(len, |left| left.min(len));
            self.blocks.push(Block { first, len: part, class });
            (page, len, first) = (page + part, len - part, TableEntry(first.0 + part));
        }
    }

    /// The class of a page of a file. Ranges are visited in order.
    fn class(&mut self, page: u64, entry: TableEntry) -> u16 {
        let (Some(rule), Some(ranges)) = (self.rule, self.ranges.whole()) else { return 0 };
        while ranges.get(self.range).is_some_and(|range| range.end / rule.page_bytes <= page) {
            self.range += 1;
        }
        let class = ranges.get(self.range).map_or(0, |range| 1 + range.device);
        self.classes[usize::from(class)].sample.get_or_insert(entry.frame());
        class
    }

    /// The share of one mapping in a page that has so many.
    fn share(&self, count: u64) -> u64 {
        self.rule.map_or(0, |rule| (rule.page_bytes << SHARE_BITS) / count)
    }

    /// Adds pages that are each mapped `count` times. Without a mapping they are not resident: the
    /// page of zeros, or pages that were unmapped since.
    fn resident(&mut self, class: u16, pages: u64, count: u64) {
        if count == 0 {
            return;
        }
        let share = self.share(count);
        let sums = &mut self.classes[usize::from(class)];
        sums.resident += pages;
        sums.exclusive += if count == 1 { pages } else { 0 };
        sums.shares += pages * share;
    }

    /// Counts the pages that wait for it.
    pub(super) fn count(&mut self, pages: &mut dyn PageCounts) -> Result<(), Errno> {
        let mut uncounted = std::mem::take(&mut self.uncounted);
        let (mut frames, mut counts) = (Vec::new(), Vec::new());
        for part in uncounted.chunks(COUNTED_MAX) {
            frames.clear();
            frames.extend(part.iter().map(|page| page >> CLASS_BITS));
            pages.counts(&frames, &mut counts)?;
            let class = |page: &u64| u16::try_from(page & ((1 << CLASS_BITS) - 1)).unwrap_or(0);
            self.counted(part.iter().map(class), &frames, &counts, pages);
        }
        uncounted.clear();
        self.uncounted = uncounted;
        let mut blocks = std::mem::take(&mut self.blocks);
        for block in blocks.drain(..) {
            self.count_block(block, pages)?;
        }
        self.blocks = blocks;
        Ok(())
    }

    /// Adds pages by class, frame and count. Neighbours mostly have the same class and count.
    fn counted(
        &mut self,
        classes: impl Iterator<Item = u16>,
        frames: &[u64],
        counts: &[u32],
        pages: &mut dyn PageCounts,
    ) {
        let (mut alike, mut len) = ((0, 0), 0);
        for ((class, frame), count) in classes.zip(frames).zip(counts) {
            let count = u64::from(*count);
            if alike != (class, count) {
                self.resident(alike.0, len, alike.1);
                (alike, len) = ((class, count), 0);
            }
            len += 1;
            if self.finds_freed && count > 0 {
                let share = self.share(count);
                let seen = &mut self.classes[usize::from(class)].seen;
                seen.mapping(pages.see(*frame), count, share);
            }
        }
        self.resident(alike.0, len, alike.1);
    }

    fn count_block(&mut self, block: Block, pages: &mut dyn PageCounts) -> Result<(), Errno> {
        let Block { first, len, class } = block;
        if self.has_hugetlb && pages.flags(first.frame())? & HUGE != 0 {
            self.hugetlb[usize::from(first.is_exclusive())] += len;
            let is_alone =
                if self.finds_freed { self.is_hugetlb_alone(block, pages)? } else { Some(false) };
            let stays = || first.is_file() && !self.ranges.dies(usize::from(class) - 1);
            match is_alone {
                Some(true) => {
                    self.freed_hugetlb += if stays() { 0 } else { len };
                    self.alone_hugetlb += len;
                }
                Some(false) => {}
                None => self.unknown_hugetlb += len,
            }
            return Ok(());
        }
        let frames: Vec<u64> = (first.frame()..first.frame() + len).collect();
        let mut counts = Vec::new();
        pages.counts(&frames, &mut counts)?;
        self.counted(std::iter::repeat(class), &frames, &counts, pages);
        Ok(())
    }

    /// Whether the group has all mappings of a page of hugetlbfs, the last of which this is. `None`
    /// for a shared page that counts one mapping, and is not exclusive: its page table is shared,
    /// so it may have more.
    fn is_hugetlb_alone(
        &self,
        block: Block,
        pages: &mut dyn PageCounts,
    ) -> Result<Option<bool>, Errno> {
        let Block { first, .. } = block;
        let mut counts = Vec::new();
        pages.counts(&[first.frame()], &mut counts)?;
        let count = counts.first().copied().map_or(0, u64::from);
        let is_last = pages.see(first.frame()) == count;
        let is_known = first.is_exclusive() || count > 1 || !first.is_file();
        Ok(is_known.then_some(is_last))
    }

    /// The slots of the pages in swap.
    pub(super) fn slots(&self) -> &[SlotRun] {
        &self.slots
    }

    /// The resident pages, hugetlbfs excluded.
    pub(super) fn resident_pages(&self) -> u64 {
        self.moving + self.classes.iter().map(|class| class.resident).sum::<u64>()
    }

    /// Adds what a class of this kind contributes to the memory that returns.
    fn add_freed(&self, freed: &mut FreedShare, class: usize, kind: PageKind) {
        let Seen { whole, partly } = self.classes[class].seen;
        let bytes = whole * self.rule.map_or(0, |rule| rule.page_bytes);
        freed.outside += partly;
        match kind {
            PageKind::Anon => freed.anon += bytes,
            PageKind::File => freed.droppable += bytes,
            PageKind::Shmem if self.ranges.dies(class - 1) => freed.shmem += bytes,
            PageKind::Shmem => {}
        }
    }

    /// The figures of a complete walk; `None` if some of the memory may be in swap where no entry
    /// shows it.
    pub(super) fn finish(
        &mut self,
        pages: &mut dyn PageCounts,
    ) -> Result<Option<WalkFigures>, Errno> {
        let kib = |count: u64| Kib(count * self.rule.map_or(0, |rule| rule.page_bytes) / 1024);
        let mut kinds = [Sums::default(); 3];
        let mut freed = FreedShare::default();
        // Compaction moves anonymous pages more often than others.
        let moving = &mut kinds[PageKind::Anon as usize];
        moving.resident = self.moving;
        moving.shares = self.moving * self.share(1);
        let has_swap = self.rule.is_some_and(|rule| rule.has_swap) && !self.finds_freed;
        for (index, class) in self.classes.iter().enumerate() {
            let kind = match class.sample {
                _ if index == 0 => PageKind::Anon,
                Some(frame) if flags_of_head(frame, pages)? & SWAP_BACKED != 0 => PageKind::Shmem,
                _ => PageKind::File,
            };
            let may_be_shmem =
                kind == PageKind::Shmem || kind == PageKind::File && class.sample.is_none();
            let is_partial = || kib(class.resident).0 * 1024 < self.ranges.bytes_of(index - 1);
            if has_swap && may_be_shmem && is_partial() {
                return Ok(None);
            }
            self.add_freed(&mut freed, index, kind);
            let sums = &mut kinds[kind as usize];
            sums.resident += class.resident;
            sums.exclusive += class.exclusive;
            sums.shares += class.shares;
        }
        let sum = |part: fn(&Sums) -> u64| kinds.iter().map(part).sum::<u64>();
        let [anon, file, shmem] = kinds.map(|kind| whole(kind.shares));
        let [shared, private] = self.hugetlb.map(kib);
        let swapped = kib(self.swapped);
        let figures = [
            (Field::Rss, kib(sum(|kind| kind.resident))),
            (Field::Pss, whole(sum(|kind| kind.shares))),
            (Field::PssAnon, anon),
            (Field::PssFile, file),
            (Field::PssShmem, shmem),
            (Field::SharedHugetlb, shared),
            (Field::PrivateHugetlb, private),
            (Field::Swap, swapped),
            // Until the slots of all processes are known.
            (Field::SwapPss, swapped),
        ];
        let private = kib(sum(|kind| kind.exclusive));
        let smaps = Smaps::of_walk(figures.into_iter(), private).at(self.ranges.addresses());
        freed.hugetlb = kib(self.freed_hugetlb).0 * 1024;
        freed.alone_hugetlb = kib(self.alone_hugetlb).0 * 1024;
        freed.unknown_hugetlb = kib(self.unknown_hugetlb).0 * 1024;
        Ok(Some(WalkFigures { smaps, freed: self.finds_freed.then_some(freed) }))
    }
}

/// The flags of a page, or of the first page of its block: on older kernels (6.1) the others lack
/// some. Blocks are aligned to their size.
fn flags_of_head(frame: u64, pages: &mut dyn PageCounts) -> Result<u64, Errno> {
    let mut flags = pages.flags(frame)?;
    for order in 1..=BLOCK_ORDER_MAX {
        if flags & TAIL == 0 {
            break;
        }
        flags = pages.flags(frame >> order << order)?;
    }
    Ok(flags)
}

/// The result of a walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct WalkFigures {
    pub(super) smaps: Smaps,
    pub(super) freed: Option<FreedShare>,
}

/// A sum of shares.
fn whole(shares: u64) -> Kib {
    Kib(shares >> (10 + SHARE_BITS))
}

/// The first entry, if one entry of the level above may stand for all of these.
fn block(page: u64, bytes: &[u8], table: u64) -> Option<TableEntry> {
    let first = entries(bytes).next()?;
    let is_aligned = first.is_present() && first.frame() % table == page % table;
    let is_block =
        || (0..).zip(entries(bytes)).all(|(n, entry)| entry.0.wrapping_sub(n) == first.0);
    (is_aligned && is_block()).then_some(first)
}
