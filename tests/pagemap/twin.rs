//! A naive twin of the reader of page tables: it reads every entry of `/proc/PID/pagemap` for
//! itself, and for each present page its map count and its flags. It knows no shortcut: not even
//! that an entry says whether its page is mapped once, which is wrong for huge pages on most
//! kernels.

use std::collections::HashMap;
use std::fs::{File, read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use psm_uring::units::Pid;

use super::parties::Figures;
use super::sys::evicted_pages;
use super::zoo::segments;

/// Entries in one read.
const ENTRIES: u64 = 1 << 16;
/// Bits of an entry: Documentation/admin-guide/mm/pagemap.rst.
const PRESENT: u64 = 1 << 63;
const SWAP: u64 = 1 << 62;
const FILE_OR_SHARED: u64 = 1 << 61;
const GUARD: u64 = 1 << 58;
const EXCLUSIVE: u64 = 1 << 56;
const NUMBER: u64 = (1 << 55) - 1;
/// Flags of a page: include/uapi/linux/kernel-page-flags.h.
const SWAPBACKED: u64 = 1 << 14;
const COMPOUND_HEAD: u64 = 1 << 15;
const COMPOUND_TAIL: u64 = 1 << 16;
const HUGE: u64 = 1 << 17;
const THP: u64 = 1 << 22;
const ZERO: u64 = 1 << 24;
/// The type of an entry that only marks its place, and the last one that a swap area can have.
const MARKER: u64 = 31;
const AREA_LAST: u64 = 22;
/// Linux 6.1 has 31 for pages that could not be read from swap, and another type for markers. Their
/// offset is a set of few bits, and no frame below this number can migrate.
const MARKS_END: u64 = 16;
/// The pages of a huge page.
const HUGE_PAGES: u64 = 512;
/// Fractional bits of the kernel's sums.
const PSS_SHIFT: u64 = 12;
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// The kind of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Anon,
    File,
    Shmem,
    Hugetlb,
}

/// A page that an entry maps.
pub struct Frame {
    pub number: u64,
    /// The number of entries that map it, of all processes; 0 for a page in migration, which has
    /// no count at this moment.
    pub count: u64,
    pub class: Class,
    /// The entry says that no other one maps the page.
    is_exclusive: bool,
    /// The page stays in memory without processes: a file has it.
    pub is_kept: bool,
}

/// All entries of one process.
#[derive(Default)]
pub struct Walk {
    pub frames: Vec<Frame>,
    /// Type and offset of each page of private memory in swap.
    pub slots: Vec<u64>,
    /// Pages of mapped shared memory in swap.
    pub shmem_swap: u64,
    /// Entries that map a page of zeros.
    pub zero: u64,
    /// Entries that mark their place and have no page.
    pub markers: u64,
    /// Entries that map a part of a huge page which is not one of the pool.
    pub thp: u64,
}

/// A line of `maps`.
struct Mapping {
    start: u64,
    end: u64,
    is_private: bool,
    is_writable: bool,
    offset: u64,
    inode: u64,
    name: String,
}

impl Mapping {
    /// The line, except that of the kernel's own page.
    fn parse(line: &str) -> Option<Mapping> {
        let mut words = line.splitn(6, ' ');
        let (start, end) = words.next()?.split_once('-')?;
        let hex = |text| u64::from_str_radix(text, 16).ok();
        let (start, end) = (hex(start)?, hex(end)?);
        let rights = words.next()?;
        let offset = hex(words.next()?)?;
        let _device = words.next()?;
        let inode = words.next()?.parse().ok()?;
        let name = words.next().unwrap_or_default().trim_start().to_owned();
        let (is_private, is_writable) = (rights.ends_with('p'), rights.contains('w'));
        let mapping = Mapping { start, end, is_private, is_writable, offset, inode, name };
        (start >> 63 == 0).then_some(mapping)
    }

    /// Whether a file keeps the pages. The name of a segment of System V ends with `(deleted)`
    /// whether it was removed or not.
    fn is_kept(&self) -> bool {
        if self.name.starts_with("/SYSV") {
            return segments().any(|segment| segment.id == self.inode && !segment.is_removed);
        }
        self.inode != 0 && !self.name.ends_with(" (deleted)")
    }

    /// The mapped file, if it is shared memory.
    fn shmem_file(&self, pid: Pid) -> Option<File> {
        let link = format!("/proc/{pid}/map_files/{:x}-{:x}", self.start, self.end);
        let file = (self.inode != 0).then(|| File::open(link).ok())??;
        let kind = rustix::fs::fstatfs(&file).ok()?.f_type;
        (kind == TMPFS_MAGIC).then_some(file)
    }
}

/// Reads one number of a file of numbers.
fn number_at(file: &File, place: u64) -> u64 {
    let mut bytes = [0; 8];
    let read = file.read_exact_at(&mut bytes, place * 8);
    read.map_or(0, |()| u64::from_ne_bytes(bytes))
}

/// The files of a walk.
struct Source {
    pagemap: File,
    counts: File,
    flags: File,
}

impl Source {
    /// The flags of a page. Kernels up to 6.1 know those of a compound page at its head only.
    fn flags_at(&self, number: u64) -> u64 {
        let flags = number_at(&self.flags, number);
        if flags & COMPOUND_TAIL == 0 {
            return flags;
        }
        // A compound page begins at a multiple of its size.
        let sizes = (1..).map(|order| 1 << order).take_while(|size| *size <= HUGE_PAGES);
        let mut heads = sizes.map(|size: u64| number_at(&self.flags, number & !(size - 1)));
        flags | heads.find(|head| head & COMPOUND_HEAD != 0).unwrap_or(0) & SWAPBACKED
    }
}

impl Walk {
    /// Reads all entries. `None` means that the process is gone.
    pub fn read(pid: Pid) -> Option<Walk> {
        let open = |path: PathBuf| File::open(path).ok();
        let dir = PathBuf::from(format!("/proc/{pid}"));
        let (counts, flags) = (open("/proc/kpagecount".into())?, open("/proc/kpageflags".into())?);
        let source = Source { pagemap: open(dir.join("pagemap"))?, counts, flags };
        let maps = String::from_utf8_lossy(&read(dir.join("maps")).ok()?).into_owned();
        let mut walk = Walk::default();
        for mapping in maps.lines().filter_map(Mapping::parse) {
            walk.add_mapping(pid, &mapping, &source)?;
        }
        (!walk.frames.is_empty()).then_some(walk)
    }

    fn add_mapping(&mut self, pid: Pid, mapping: &Mapping, source: &Source) -> Option<()> {
        let page = rustix::param::page_size() as u64;
        let (first, end) = (mapping.start / page, mapping.end / page);
        let is_kept = mapping.is_kept();
        let shmem = mapping.shmem_file(pid);
        // The swapped pages of shared memory are those of its file; below private copies, only
        // those in places without an entry.
        let by_places = mapping.is_private && mapping.is_writable;
        let evicted = |from: u64, len: u64| {
            let offset = mapping.offset + (from - first) * page;
            shmem.as_ref().map_or(0, |file| evicted_pages(file, offset, len * page).unwrap_or(0))
        };
        if !by_places {
            self.shmem_swap += evicted(first, end - first);
        }
        let mut at = first;
        while at < end {
            let mut bytes = vec![0; usize::try_from((end - at).min(ENTRIES) * 8).ok()?];
            let len = source.pagemap.read_at(&mut bytes, at * 8).ok().filter(|len| *len >= 8)?;
            for entry in bytes[..len].chunks_exact(8) {
                let entry = u64::from_ne_bytes(entry.try_into().ok()?);
                self.add_entry(entry, is_kept, source);
                if by_places && entry & (PRESENT | SWAP) == 0 && shmem.is_some() {
                    self.shmem_swap += evicted(at, 1);
                }
                at += 1;
            }
        }
        Some(())
    }

    fn add_entry(&mut self, entry: u64, is_kept: bool, source: &Source) {
        let is_exclusive = entry & EXCLUSIVE != 0;
        if entry & PRESENT != 0 {
            let number = entry & NUMBER;
            let count = number_at(&source.counts, number);
            let flags = source.flags_at(number);
            self.zero += u64::from(flags & ZERO != 0);
            self.thp += u64::from(flags & (THP | ZERO) == THP);
            let class = class_of(entry, flags);
            // Zero pages and pages of devices have no count.
            if count > 0 || class == Class::Hugetlb {
                let is_kept = is_kept && class != Class::Anon;
                self.frames.push(Frame { number, count, class, is_exclusive, is_kept });
            }
        } else if entry & SWAP != 0 {
            let (kind, place) = (entry & 31, entry & NUMBER);
            let is_mark = kind > AREA_LAST && place >> 5 < MARKS_END;
            if kind == MARKER || entry & GUARD != 0 || is_mark {
                self.markers += 1;
            } else if kind <= AREA_LAST {
                self.slots.push(place);
            } else {
                // On its way to another frame. The number of its old frame is the offset.
                let number = place >> 5;
                let class = class_of(entry, source.flags_at(number));
                self.frames.push(Frame { number, count: 0, class, is_exclusive, is_kept: true });
            }
        }
    }

    /// The figures as the kernel prints them, in kB. `all` are the processes that can share slots
    /// of swap with this one, itself included.
    pub fn figures(&self, all: &[Walk]) -> Figures {
        let page = rustix::param::page_size() as u64;
        let kib = |pages: usize| (pages as u64 * page) >> 10;
        let is_pool = |frame: &&Frame| frame.class == Class::Hugetlb;
        let resident = || self.frames.iter().filter(|frame| !is_pool(frame));
        let pss = |is_wanted: &dyn Fn(Class) -> bool| {
            let wanted = resident().filter(|frame| is_wanted(frame.class));
            // A page in migration counts whole.
            wanted.map(|frame| (page << PSS_SHIFT) / frame.count.max(1)).sum::<u64>()
                >> (PSS_SHIFT + 10)
        };
        let private = resident().filter(|frame| frame.count == 1).count();
        let pool =
            |wanted| self.frames.iter().filter(is_pool).filter(move |f| f.is_exclusive == wanted);
        let users = users_of_slots(all);
        let shares = self.slots.iter().map(|slot| (page << PSS_SHIFT) / users[slot]);
        let swap_pss = shares.sum::<u64>() >> (PSS_SHIFT + 10);
        Figures::from([
            ("Rss", kib(resident().count())),
            ("Private", kib(private)),
            ("Shared", kib(resident().count() - private)),
            ("Anonymous", kib(resident().filter(|frame| frame.class == Class::Anon).count())),
            ("Pss", pss(&|_| true)),
            ("Pss_Anon", pss(&|class| class == Class::Anon)),
            ("Pss_File", pss(&|class| class == Class::File)),
            ("Pss_Shmem", pss(&|class| class == Class::Shmem)),
            ("Swap", kib(self.slots.len()) + ((self.shmem_swap * page) >> 10)),
            ("SwapPss", swap_pss),
            ("Private_Hugetlb", kib(pool(true).count())),
            ("Shared_Hugetlb", kib(pool(false).count())),
        ])
    }
}

fn class_of(entry: u64, flags: u64) -> Class {
    match entry & FILE_OR_SHARED != 0 {
        _ if flags & HUGE != 0 => Class::Hugetlb,
        false => Class::Anon,
        true if flags & SWAPBACKED != 0 => Class::Shmem,
        true => Class::File,
    }
}

/// The number of entries for each slot of swap.
pub fn users_of_slots<'walk>(all: impl IntoIterator<Item = &'walk Walk>) -> HashMap<u64, u64> {
    let mut users = HashMap::new();
    for slot in all.into_iter().flat_map(|walk| &walk.slots) {
        *users.entry(*slot).or_default() += 1;
    }
    users
}
