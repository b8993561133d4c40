//! Memory that processes hold together counts once: hugetlb pages and shared memory in swap, on
//! made-up hosts whose pages are known one by one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use std::path::Path;

use psm_uring::process::{CgroupPaths, NameRule, ProcessUsage};
use psm_uring::program::{
    Annotations, Column, Grouping, Labels, Order, Share, Shares, Usage, group,
};
use psm_uring::smaps::{Scanner, Smaps};
use psm_uring::units::{Kib, Labelled, Pid};

use crate::support::{Ran, Rng, TempDir, run};

const HUGE: u64 = 2048;
pub(super) const GROUPINGS: [&str; 6] = ["program", "pid", "user", "cgroup", "unit", "container"];
pub(super) const NAMES: [&str; 5] = ["title", "comm", "exe", "script", "cmdline"];

/// A mapping of a whole object or of a part.
struct MadeMapping {
    object: usize,
    /// In pages.
    begin: u64,
    end: u64,
    /// Hugetlb pages that the process has touched.
    touched: BTreeSet<u64>,
}

/// A host. The first objects are of hugetlbfs, the others shared memory in swap.
struct MadeHost {
    huge_objects: usize,
    swapped: Vec<BTreeSet<u64>>,
    processes: Vec<Vec<MadeMapping>>,
    /// Pages in use that no process maps.
    unmapped: u64,
}

/// The figures of a host or of a report, in KiB.
#[derive(Debug, Default, PartialEq, Eq)]
struct Figures {
    hugetlb: u64,
    swap: u64,
}

impl MadeHost {
    fn random(rng: &mut Rng) -> MadeHost {
        let (huge_objects, swap_objects) = (1 + rng.below(3), 1 + rng.below(3));
        let sizes: Vec<u64> =
            (0..huge_objects + swap_objects).map(|_| 1 + rng.below(12) as u64).collect();
        let some = |rng: &mut Rng, begin: u64, end: u64| {
            let all = rng.below(2) == 0;
            (begin..end).filter(|_| all || rng.below(2) == 0).collect::<BTreeSet<u64>>()
        };
        let swapped = sizes.iter().map(|size| some(rng, 0, *size)).collect();
        let mapping = |rng: &mut Rng| {
            let object = rng.below(sizes.len());
            let size = sizes[object];
            let is_whole = rng.below(2) == 0;
            let begin = if is_whole { 0 } else { rng.next() % size };
            let end = if is_whole { size } else { begin + 1 + rng.next() % (size - begin) };
            MadeMapping { object, begin, end, touched: some(rng, begin, end) }
        };
        let processes = (0..1 + rng.below(9)).map(|_| {
            let count = rng.below(4);
            (0..count).map(|_| mapping(rng)).collect()
        });
        let processes = processes.collect();
        MadeHost { huge_objects, swapped, processes, unmapped: rng.below(3) as u64 }
    }

    /// The mappings of each huge page.
    fn mapped(&self) -> BTreeMap<(usize, u64), usize> {
        let mut counts = BTreeMap::new();
        for mapping in self.processes.iter().flatten().filter(|one| self.is_huge(one)) {
            for page in &mapping.touched {
                *counts.entry((mapping.object, *page)).or_default() += 1;
            }
        }
        counts
    }

    fn is_huge(&self, mapping: &MadeMapping) -> bool {
        mapping.object < self.huge_objects
    }

    /// The pages in swap that a mapping counts.
    fn in_swap<'a>(&'a self, mapping: &'a MadeMapping) -> impl Iterator<Item = (usize, u64)> + 'a {
        let pages = self.swapped[mapping.object].range(mapping.begin..mapping.end);
        pages.filter(|_| !self.is_huge(mapping)).map(|page| (mapping.object, *page))
    }

    /// Each page once.
    fn truth(&self) -> Figures {
        let swapped: BTreeSet<(usize, u64)> =
            self.processes.iter().flatten().flat_map(|mapping| self.in_swap(mapping)).collect();
        Figures { hugetlb: self.mapped().len() as u64 * HUGE, swap: swapped.len() as u64 * 4 }
    }

    fn used(&self) -> Figures {
        let Figures { hugetlb, swap } = self.truth();
        Figures { hugetlb: hugetlb + self.unmapped * HUGE, swap: swap + self.unmapped * 4 }
    }

    /// Writes the files as the kernel would; smaps only where processes may be asked.
    fn write(&self, root: &Path, has_smaps: bool) {
        let write = |path: std::path::PathBuf, text: &str| {
            std::fs::write(path, text).expect("a file of ours");
        };
        let used = self.used();
        let meminfo = format!(
            "MemTotal: 8000000 kB\nSwapTotal: 90000 kB\nSwapFree: {} kB\nHugePages_Total: 500\n\
             HugePages_Free: {}\nHugepagesize: {HUGE} kB\nHugetlb: {} kB\n",
            90_000 - used.swap,
            500 - used.hugetlb / HUGE,
            500 * HUGE,
        );
        write(root.join("meminfo"), &meminfo);
        let counts = self.mapped();
        for (place, mappings) in self.processes.iter().enumerate() {
            let dir = root.join((100 + place).to_string());
            std::fs::create_dir_all(&dir).expect("a directory of ours");
            let (mut smaps, mut sums) = (String::new(), [0; 3]);
            for (at, mapping) in mappings.iter().enumerate() {
                let page = if self.is_huge(mapping) { HUGE } else { 4 };
                let touched = mapping.touched.iter().filter(|_| self.is_huge(mapping));
                let (shared, private): (Vec<u64>, Vec<u64>) =
                    touched.partition(|page| counts[&(mapping.object, **page)] > 1);
                let [shared, private] = [shared, private].map(|pages| pages.len() as u64 * HUGE);
                let swap = self.in_swap(mapping).count() as u64 * 4;
                let start = 0x7000_0000_0000 + ((at as u64) << 32);
                let _ = write!(
                    smaps,
                    "{start:x}-{:x} rw-s {:08x} 00:01 {}      /object (deleted)\n\
                     KernelPageSize: {page} kB\nPss: 0 kB\nPrivate_Clean: 0 kB\n\
                     Private_Dirty: 0 kB\nShared_Hugetlb: {shared} kB\n\
                     Private_Hugetlb: {private} kB\nSwap: {swap} kB\nSwapPss: 0 kB\n",
                    start + (mapping.end - mapping.begin) * page * 1024,
                    mapping.begin * page * 1024,
                    77 + mapping.object,
                );
                sums = [sums[0] + shared, sums[1] + private, sums[2] + swap];
            }
            let rollup = format!(
                "5{place:03x}000-6000000 ---p 00000000 00:00 0 [rollup]\nRss: 40 kB\nPss: 40 kB\n\
                 Private_Clean: 0 kB\nPrivate_Dirty: 40 kB\nShared_Hugetlb: {} kB\n\
                 Private_Hugetlb: {} kB\nSwap: {} kB\nSwapPss: 0 kB\n",
                sums[0], sums[1], sums[2],
            );
            write(dir.join("smaps_rollup"), &rollup);
            if has_smaps {
                write(dir.join("smaps"), &smaps);
            }
            let [few, more] = [place % 3, place % 4];
            write(dir.join("cmdline"), &format!("/bin/python3\0/srv/job{few}.py\0worker{more}\0"));
            std::os::unix::fs::symlink("/bin/python3", dir.join("exe")).expect("a link of ours");
            write(dir.join("comm"), &format!("job{more}\n"));
            let status =
                format!("Name:\tjob{more}\nUid:\t{few}\t{few}\t0\t0\nVmSize: 9 kB\nVmSwap: 0 kB\n");
            write(dir.join("status"), &status);
            write(dir.join("cgroup"), &format!("0::/system.slice/docker-{more:064x}.scope\n"));
        }
    }
}

/// The total of a report.
fn total(ran: &Ran) -> (u64, Figures) {
    let text = ran.stdout();
    let line = text.lines().last().expect("a total");
    let cells: Vec<u64> =
        line.split(',').skip(1).take(3).map(|cell| cell.parse().expect("bytes")).collect();
    (cells[0], Figures { hugetlb: cells[1] / 1024, swap: cells[2] / 1024 })
}

fn report(root: &Path, arguments: &[&str]) -> Ran {
    let root = root.to_str().expect("UTF-8");
    let given = ["--proc-root", root, "-o", "csv", "--columns", "ram,hugetlb,swap,name"];
    run([&given, arguments].concat())
}

/// However rows are made, each page counts at least once, and all of them at most as often as the
/// host has them in use. Where that leaves a doubt, a note says so.
#[test]
fn totals_are_equal_for_all_groupings_and_bounded_by_the_host() {
    let mut rng = Rng::seeded();
    for _ in 0..25 {
        let host = MadeHost::random(&mut rng);
        let (truth, used) = (host.truth(), host.used());
        for has_smaps in [true, false] {
            let dir = TempDir::new("shares");
            host.write(dir.path(), has_smaps);
            let ran = report(dir.path(), &[]);
            let (ram, found) = total(&ran);
            assert_eq!(ram / 1024, host.processes.len() as u64 * 40 + found.hugetlb);
            for (what, found, truth, used) in [
                ("hugetlb", found.hugetlb, truth.hugetlb, used.hugetlb),
                ("swapped", found.swap, truth.swap, used.swap),
            ] {
                assert!((truth..=used).contains(&found), "{what}: {truth}..={used}, not {found}");
                let is_noted = ran.stderr().contains(&format!("{what} pages"));
                assert!(found == truth || is_noted, "{what}: {found} for {truth}, without a note");
            }
            for by in GROUPINGS {
                assert_eq!(
                    total(&report(dir.path(), &["--by", by])),
                    (ram, found_of(&ran)),
                    "{by}"
                );
            }
            for name in NAMES {
                let named = total(&report(dir.path(), &["--name", name]));
                assert_eq!(named, (ram, found_of(&ran)), "{name}");
            }
        }
    }
}

/// However processes are named and grouped, each address space counts once, with its share of
/// common memory, and each process is in one row.
#[test]
fn address_spaces_count_once_for_all_groupings() {
    let mut rng = Rng::seeded();
    let labels = ["a", "b: 1", "b: 2", "[c]"];
    let (charged, other) = (b"/system.slice/a.service", b"/lxc/web");
    let paths =
        [CgroupPaths { charged, managed: charged }, CgroupPaths { charged: other, managed: other }];
    for _ in 0..200 {
        let spaces: Vec<(Smaps, Share)> = (0..1 + rng.below(5))
            .map(|_| {
                let smaps = smaps(rng.below(5000), rng.below(3000));
                let part = |whole: Kib, rng: &mut Rng| Kib(rng.next() % (whole.0 + 1));
                let shared_hugetlb = part(smaps.shared_hugetlb(), &mut rng);
                (smaps, Share { shared_hugetlb, ..Share::whole(&smaps) })
            })
            .collect();
        let (mut processes, mut owners, mut sharing) = (Vec::new(), HashMap::new(), HashMap::new());
        for pid in 1..=1 + rng.below(12) {
            let (pid, space) =
                (Pid(u32::try_from(pid).expect("a small id")), rng.below(spaces.len()));
            match owners.get(&space) {
                Some(owner) => drop(sharing.insert(pid, *owner)),
                None => drop(owners.insert(space, pid)),
            }
            processes.push(ProcessUsage {
                pid,
                name: rng.pick(&labels).as_bytes(),
                smaps: spaces[space].0,
                uid: Some([0, 1][rng.below(2)]),
                cgroup: Some(*rng.pick(&paths)),
                page_tables: None,
                start_time: None,
            });
        }
        let shares: Shares = owners.iter().map(|(space, pid)| (*pid, spaces[*space].1)).collect();
        let ram = |space: &usize| spaces[*space].0.pss() + spaces[*space].1.shared_hugetlb;
        let expected: Kib = owners.keys().map(ram).sum();
        for (grouping, keyed) in Grouping::ALL.iter().flat_map(|by| [(*by, false), (*by, true)]) {
            let all = || processes.iter().copied();
            let labels = Labels::new(all(), grouping, None);
            let labels = if keyed { labels.with_keys(all(), NameRule::Title) } else { labels };
            let annotations = Annotations {
                unknown: 0,
                unread: &[],
                sharing: &sharing,
                shares: &shares,
                all_memory: None,
            };
            let programs = group(all(), &labels, annotations, Order::default());
            let ram = |usage: &Usage| usage.get(Column::Ram).expect("an amount");
            let total = programs.total.as_ref().map(ram);
            assert_eq!(total, Some(expected), "{grouping:?} {keyed}");
            let rows: Kib = programs.rows.iter().map(|row| ram(&row.usage)).sum();
            assert_eq!(rows, expected, "{grouping:?} {keyed}");
            let counted: u64 = programs.rows.iter().map(|row| row.count).sum();
            let apart: u64 = programs.sharing.iter().map(|row| row.count).sum();
            assert_eq!(counted + apart, processes.len() as u64, "{grouping:?} {keyed}");
        }
    }
}

fn smaps(pss: usize, hugetlb: usize) -> Smaps {
    let mut scanner = Scanner::new();
    let text = format!(
        "Rss: {pss} kB\nPss: {pss} kB\nPrivate_Clean: 0 kB\nPrivate_Dirty: 0 kB\n\
         Shared_Hugetlb: {hugetlb} kB\nPrivate_Hugetlb: 0 kB\nSwap: 0 kB\nSwapPss: 0 kB\n"
    );
    scanner.feed(text.as_bytes());
    scanner.finish().expect("smaps")
}

fn found_of(ran: &Ran) -> Figures {
    total(ran).1
}

/// A postmaster and its backends with titles of their own map one pool.
#[test]
fn a_pool_of_many_programs_counts_once() {
    let pool = || MadeMapping { object: 0, begin: 0, end: 16, touched: (0..16).collect() };
    let host = MadeHost {
        huge_objects: 1,
        swapped: vec![BTreeSet::new()],
        processes: (0..6).map(|_| vec![pool()]).collect(),
        unmapped: 0,
    };
    let dir = TempDir::new("pool");
    host.write(dir.path(), true);
    let ran = report(dir.path(), &[]);
    assert_eq!(total(&ran), ((32 * 1024 + 6 * 40) * 1024, Figures { hugetlb: 32 * 1024, swap: 0 }));
    assert_eq!(ran.stderr(), "");
    // One process alone may hold all of it, or a sixth.
    let ran = report(dir.path(), &["-p", "103"]);
    assert_eq!(total(&ran).1.hugetlb, 32 * 1024);
    let note = "psm-uring: 32.0 MiB in shared hugetlb pages is an upper bound: processes that were \
                not measured may hold a part of them, which counts whole here\n";
    assert_eq!(ran.stderr(), note);
}

/// Parts of one object in swap that overlap, that touch and that contain each other.
#[test]
fn ranges_of_shared_memory_in_swap_count_once() {
    let part = |(begin, end)| MadeMapping { object: 1, begin, end, touched: BTreeSet::new() };
    let ranges = [(0, 3), (1, 4), (2, 3), (4, 6), (7, 8), (0, 3)];
    let host = MadeHost {
        huge_objects: 1,
        swapped: vec![BTreeSet::new(), (0..8).collect()],
        processes: ranges.into_iter().map(|range| vec![part(range)]).collect(),
        unmapped: 5,
    };
    let dir = TempDir::new("ranges");
    host.write(dir.path(), true);
    let ran = report(dir.path(), &[]);
    // Pages 0 to 5, and 7.
    assert_eq!((total(&ran).1.swap, ran.stderr()), (7 * 4, String::new()));
}
