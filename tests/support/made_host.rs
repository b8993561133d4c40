//! A made-up host whose pages are known one by one, and the files that the kernel would write.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::Rng;

pub const HUGE: u64 = 2048;
/// The id of the first process.
pub const FIRST: usize = 100;
/// Mappings of this many huge pages may share page tables before Linux 6.2.
const TABLE_PAGES: u64 = 512;

/// A mapping of a whole object or of a part.
#[derive(Clone, Default)]
pub struct MadeMapping {
    pub object: usize,
    /// In pages.
    pub begin: u64,
    pub end: u64,
    pub is_private: bool,
    /// Hugetlb pages that the process has touched. The object has version 0, others are copies.
    pub touched: BTreeMap<u64, usize>,
    /// Small pages that a private mapping copied, and whether the copy is in swap.
    pub copies: BTreeMap<u64, bool>,
    /// Whether a child has the same copies.
    pub is_forked: bool,
}

/// The smaps of a process at the second reading.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum MadeSmaps {
    Same,
    Absent,
    /// Another process has the id.
    Replaced,
}

#[derive(Clone)]
pub struct MadeProcess {
    pub mappings: Vec<MadeMapping>,
    pub is_measured: bool,
    pub smaps: MadeSmaps,
    /// The IPC namespace, and whether the kernel tells it.
    pub namespace: usize,
    pub shows_namespace: bool,
}

impl From<Vec<MadeMapping>> for MadeProcess {
    fn from(mappings: Vec<MadeMapping>) -> MadeProcess {
        MadeProcess {
            mappings,
            is_measured: true,
            smaps: MadeSmaps::Same,
            namespace: 0,
            shows_namespace: true,
        }
    }
}

/// A host. The first objects are of hugetlbfs, the others shared memory in swap.
#[derive(Clone)]
pub struct MadeHost {
    pub kernel: &'static str,
    pub huge_objects: usize,
    pub swapped: Vec<BTreeSet<u64>>,
    /// The objects that are segments of System V, with the same id in each namespace.
    pub segments: BTreeSet<usize>,
    pub processes: Vec<MadeProcess>,
    /// Pages in use that no process maps.
    pub unmapped: u64,
    /// Huge pages that processes freed at the end of the survey.
    pub freed: u64,
}

/// The figures of a host or of a report, in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub hugetlb: u64,
    pub swap: u64,
}

/// A page: object, namespace of a segment, place and version.
type MadePage = (usize, usize, u64, usize);

impl MadeHost {
    pub fn new(huge_objects: usize, swapped: Vec<BTreeSet<u64>>) -> MadeHost {
        MadeHost {
            kernel: "6.18.0",
            huge_objects,
            swapped,
            segments: BTreeSet::new(),
            processes: Vec::new(),
            unmapped: 0,
            freed: 0,
        }
    }

    pub fn with<P: Into<MadeProcess>>(self, processes: impl IntoIterator<Item = P>) -> MadeHost {
        MadeHost { processes: processes.into_iter().map(P::into).collect(), ..self }
    }

    pub fn random(rng: &mut Rng) -> MadeHost {
        let (huge_objects, swap_objects) = (1 + rng.below(3), 1 + rng.below(3));
        let sizes: Vec<u64> =
            (0..huge_objects + swap_objects).map(|_| 1 + rng.below(12) as u64).collect();
        let swapped = sizes.iter().map(|size| some(rng, 0, *size)).collect();
        let is_segment = |_: &usize| rng.below(3) == 0;
        let segments = (0..sizes.len()).filter(is_segment).collect();
        let hides = rng.below(3) == 0;
        let processes = (0..1 + rng.below(9)).map(|place| {
            let mappings = (0..rng.below(4)).map(|_| random_mapping(rng, &sizes, place)).collect();
            MadeProcess {
                mappings,
                is_measured: !hides || rng.below(4) > 0,
                smaps: match rng.below(if hides { 8 } else { usize::MAX }) {
                    0 => MadeSmaps::Absent,
                    1 => MadeSmaps::Replaced,
                    _ => MadeSmaps::Same,
                },
                namespace: rng.below(2),
                shows_namespace: !hides || rng.below(4) > 0,
            }
        });
        let processes: Vec<MadeProcess> = processes.collect();
        let unmapped = rng.below(3) as u64;
        let mut host = MadeHost { segments, unmapped, ..MadeHost::new(huge_objects, swapped) };
        host.processes = processes;
        // A host without figures has no report.
        host.processes[0].is_measured = true;
        host
    }

    pub fn measured(&self) -> impl Iterator<Item = &MadeProcess> {
        self.processes.iter().filter(|process| process.is_measured)
    }

    fn is_huge(&self, mapping: &MadeMapping) -> bool {
        mapping.object < self.huge_objects
    }

    fn page(&self, process: &MadeProcess, object: usize, page: u64, version: usize) -> MadePage {
        let namespace = if self.segments.contains(&object) { process.namespace } else { 0 };
        (object, namespace, page, version)
    }

    fn touched<'a>(
        &'a self,
        process: &'a MadeProcess,
        mapping: &'a MadeMapping,
    ) -> impl Iterator<Item = MadePage> + 'a {
        let touched = mapping.touched.iter().filter(|_| self.is_huge(mapping));
        touched.map(|(page, version)| self.page(process, mapping.object, *page, *version))
    }

    /// The pages of the object in swap that a mapping counts.
    fn in_swap<'a>(
        &'a self,
        process: &'a MadeProcess,
        mapping: &'a MadeMapping,
    ) -> impl Iterator<Item = MadePage> + 'a {
        let pages = self.swapped[mapping.object].range(mapping.begin..mapping.end);
        let pages =
            pages.filter(|page| !self.is_huge(mapping) && !mapping.copies.contains_key(page));
        pages.map(|page| self.page(process, mapping.object, *page, 0))
    }

    /// The mappings of each huge page.
    fn mapped(&self) -> BTreeMap<MadePage, usize> {
        let mut counts = BTreeMap::new();
        for process in &self.processes {
            for page in process.mappings.iter().flat_map(|one| self.touched(process, one)) {
                *counts.entry(page).or_default() += 1;
            }
        }
        counts
    }

    /// Each page of these processes once.
    fn sum<'a>(&self, processes: impl Iterator<Item = &'a MadeProcess>) -> Figures {
        let (mut huge, mut swapped, mut copies) = (BTreeSet::new(), BTreeSet::new(), 0);
        for process in processes {
            for mapping in &process.mappings {
                huge.extend(self.touched(process, mapping));
                swapped.extend(self.in_swap(process, mapping));
                copies += mapping.swap_pss();
            }
        }
        Figures { hugetlb: huge.len() as u64 * HUGE, swap: swapped.len() as u64 * 4 + copies }
    }

    pub fn truth(&self) -> Figures {
        self.sum(self.measured())
    }

    pub fn used(&self) -> Figures {
        let Figures { hugetlb, swap } = self.sum(self.processes.iter());
        let hugetlb = hugetlb + self.unmapped * HUGE - self.freed * HUGE;
        Figures { hugetlb, swap: swap + self.unmapped * 4 }
    }

    /// Writes the files as the kernel would.
    pub fn write(&self, root: &Path) {
        let used = self.used();
        let meminfo = format!(
            "MemTotal: 8000000 kB\nSwapTotal: 90000 kB\nSwapFree: {} kB\nHugePages_Total: 5000\n\
             HugePages_Free: {}\nHugepagesize: {HUGE} kB\nHugetlb: {} kB\n",
            90_000 - used.swap,
            5000 - used.hugetlb / HUGE,
            5000 * HUGE,
        );
        write(root.join("meminfo"), &meminfo);
        write(root.join("version"), &format!("Linux version {} (a@b) #1 SMP\n", self.kernel));
        let counts = self.mapped();
        for (place, process) in self.processes.iter().enumerate() {
            let dir = root.join((FIRST + place).to_string());
            std::fs::create_dir_all(dir.join("ns")).expect("a directory of ours");
            self.write_process(&dir, place, process, &counts);
        }
    }

    fn write_process(
        &self,
        dir: &Path,
        place: usize,
        process: &MadeProcess,
        counts: &BTreeMap<MadePage, usize>,
    ) {
        let [few, more] = [place % 3, place % 4];
        let link = |to: &str, path: &str| {
            std::os::unix::fs::symlink(to, dir.join(path)).expect("a link of ours");
        };
        let Texts { rollup, smaps, copied, mapped } = self.texts(place, process, counts);
        write(dir.join("smaps_rollup"), if process.is_measured { &rollup } else { "no smaps\n" });
        match process.smaps {
            MadeSmaps::Same => write(dir.join("smaps"), &smaps),
            MadeSmaps::Absent => {}
            MadeSmaps::Replaced => {
                let other = smaps.replacen("5", "6", 1).replace(" 00:01 7", " 00:01 9");
                write(dir.join("smaps"), &other);
            }
        }
        if process.shows_namespace {
            link(&format!("ipc:[402653183{}]", process.namespace), "ns/ipc");
        }
        link("/bin/python3", "exe");
        write(dir.join("cmdline"), &format!("/bin/python3\0/srv/job{few}.py\0worker{more}\0"));
        write(dir.join("comm"), &format!("job{more}\n"));
        let status = format!(
            "Name:\tjob{more}\nUid:\t{few}\t{few}\t0\t0\nVmSize: 9 kB\nVmSwap: {copied} kB\n\
             HugetlbPages: {mapped} kB\n"
        );
        write(dir.join("status"), &status);
        write(dir.join("cgroup"), &format!("0::/system.slice/docker-{more:064x}.scope\n"));
    }

    fn texts(
        &self,
        place: usize,
        process: &MadeProcess,
        counts: &BTreeMap<MadePage, usize>,
    ) -> Texts {
        let start = format!("5{place:03x}000");
        let mut smaps = format!(
            "{start}-6000000 rw-p 00000000 00:00 0      [heap]\nKernelPageSize: 4 kB\n\
             Rss: 40 kB\nPss: 40 kB\nPrivate_Clean: 0 kB\nPrivate_Dirty: 40 kB\n\
             Shared_Hugetlb: 0 kB\nPrivate_Hugetlb: 0 kB\nSwap: 0 kB\nSwapPss: 0 kB\n"
        );
        let (mut sums, mut copied) = ([0; 4], 0);
        for (at, mapping) in process.mappings.iter().enumerate() {
            let page = if self.is_huge(mapping) { HUGE } else { 4 };
            let is_long = mapping.end - mapping.begin >= TABLE_PAGES && !mapping.is_private;
            let has_own_tables = !is_long || self.kernel.starts_with('6');
            let (shared, private): (Vec<MadePage>, Vec<MadePage>) =
                self.touched(process, mapping).partition(|page| has_own_tables && counts[page] > 1);
            let [shared, private] = [shared, private].map(|pages| pages.len() as u64 * HUGE);
            copied += mapping.copied();
            let swap = self.in_swap(process, mapping).count() as u64 * 4 + mapping.copied();
            let swap_pss = mapping.swap_pss();
            let start = 0x7000_0000_0000 + ((at as u64) << 32);
            let is_segment = self.segments.contains(&mapping.object);
            let _ = write!(
                smaps,
                "{start:x}-{:x} rw-{} {:08x} 00:01 {}      {} (deleted)\n\
                 KernelPageSize: {page} kB\nRss: 0 kB\nPss: 0 kB\nPrivate_Clean: 0 kB\n\
                 Private_Dirty: 0 kB\nShared_Hugetlb: {shared} kB\n\
                 Private_Hugetlb: {private} kB\nSwap: {swap} kB\nSwapPss: {swap_pss} kB\n",
                start + (mapping.end - mapping.begin) * page * 1024,
                if mapping.is_private { 'p' } else { 's' },
                mapping.begin * page * 1024,
                77 + mapping.object,
                if is_segment { "/SYSV00000000" } else { "/object" },
            );
            let figures = [shared, private, swap, swap_pss];
            sums.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
        }
        let rollup = format!(
            "{start}-7fff000 ---p 00000000 00:00 0 [rollup]\nRss: 40 kB\nPss: 40 kB\n\
             Private_Clean: 0 kB\nPrivate_Dirty: 40 kB\nShared_Hugetlb: {} kB\n\
             Private_Hugetlb: {} kB\nSwap: {} kB\nSwapPss: {} kB\n",
            sums[0], sums[1], sums[2], sums[3],
        );
        Texts { rollup, smaps, copied, mapped: sums[0] + sums[1] }
    }
}

/// The texts and figures of one process.
struct Texts {
    rollup: String,
    smaps: String,
    copied: u64,
    mapped: u64,
}

impl MadeMapping {
    /// A mapping of an object of this many pages, all of them touched.
    pub fn whole(object: usize, pages: u64) -> MadeMapping {
        let touched = (0..pages).map(|page| (page, 0)).collect();
        MadeMapping { object, end: pages, touched, ..MadeMapping::default() }
    }

    pub fn part(object: usize, begin: u64, end: u64) -> MadeMapping {
        MadeMapping { object, begin, end, ..MadeMapping::default() }
    }

    fn copied(&self) -> u64 {
        self.copies.values().filter(|is_in_swap| **is_in_swap).count() as u64 * 4
    }

    fn swap_pss(&self) -> u64 {
        if self.is_forked { self.copied() / 2 } else { self.copied() }
    }
}

fn random_mapping(rng: &mut Rng, sizes: &[u64], place: usize) -> MadeMapping {
    let object = rng.below(sizes.len());
    let size = sizes[object];
    let is_whole = rng.below(2) == 0;
    let begin = if is_whole { 0 } else { rng.next() % size };
    let end = if is_whole { size } else { begin + 1 + rng.next() % (size - begin) };
    let is_private = rng.below(3) == 0;
    let version = |rng: &mut Rng| match rng.below(3) {
        // A page of the object, a copy of a parent, and an own copy.
        0 | 1 if is_private => rng.below(2),
        _ if is_private => FIRST + place,
        _ => 0,
    };
    let touched = some(rng, begin, end).into_iter().map(|page| (page, version(rng))).collect();
    let copied = if is_private { some(rng, begin, end) } else { BTreeSet::new() };
    let copies = copied.into_iter().map(|page| (page, rng.below(2) == 0)).collect();
    let is_forked = rng.below(2) == 0;
    MadeMapping { object, begin, end, is_private, touched, copies, is_forked }
}

fn some(rng: &mut Rng, begin: u64, end: u64) -> BTreeSet<u64> {
    let all = rng.below(2) == 0;
    (begin..end).filter(|_| all || rng.below(2) == 0).collect()
}

fn write(path: PathBuf, text: &str) {
    std::fs::write(path, text).expect("a file of ours");
}
