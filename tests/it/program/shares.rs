//! Memory that processes hold together counts once: hugetlb pages and shared memory in swap, on
//! made-up hosts whose pages are known one by one.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::time::{Duration, Instant};

use psm_uring::process::{CgroupPaths, NameRule, ProcessUsage, StatFigures};
use psm_uring::program::{
    Annotations, Column, Grouping, Labels, Order, Share, Shares, Usage, group,
};
use psm_uring::smaps::{Scanner, Smaps};
use psm_uring::units::{Kib, Labelled, Pid};

use crate::support::made_host::{
    FIRST, Figures, HUGE, MadeHost, MadeMapping, MadeProcess, MadeSmaps,
};
use crate::support::{RUN_LIMIT, Ran, Rng, TempDir, make_fifo, run};

pub(super) const GROUPINGS: [&str; 6] = ["program", "pid", "user", "cgroup", "unit", "container"];
pub(super) const NAMES: [&str; 5] = ["title", "comm", "exe", "script", "cmdline"];

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

/// The sums of a report of a host, and its notes.
fn figures(host: &MadeHost) -> (Figures, String) {
    let dir = TempDir::new("shares");
    host.write(dir.path());
    let ran = report(dir.path(), &[]);
    (total(&ran).1, ran.stderr())
}

/// However rows are made, each page counts at least once, and all of them at most as often as the
/// host has them in use. Where that leaves a doubt, a note says so.
#[test]
fn totals_are_equal_for_all_groupings_and_bounded_by_the_host() {
    let mut rng = Rng::seeded();
    for round in 0..60 {
        let host = MadeHost::random(&mut rng);
        let (truth, used) = (host.truth(), host.used());
        let dir = TempDir::new("shares");
        host.write(dir.path());
        let ran = report(dir.path(), &[]);
        let (ram, found) = total(&ran);
        assert_eq!(ram / 1024, host.measured().count() as u64 * 40 + found.hugetlb);
        for (what, found, truth, used) in [
            ("hugetlb", found.hugetlb, truth.hugetlb, used.hugetlb),
            ("swapped", found.swap, truth.swap, used.swap),
        ] {
            assert!((truth..=used).contains(&found), "{what}: {truth}..={used}, not {found}");
            let is_noted = ran.stderr().contains(&format!("{what} pages"));
            assert!(found == truth || is_noted, "{what}: {found} for {truth}, without a note");
        }
        if round % 4 > 0 {
            continue;
        }
        let options = GROUPINGS.map(|by| ["--by", by]).into_iter();
        for option in options.chain(NAMES.map(|name| ["--name", name])) {
            assert_eq!(total(&report(dir.path(), &option)), (ram, found), "{option:?}");
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
                stat: StatFigures::default(),
            });
        }
        let shares: Shares = owners.iter().map(|(space, pid)| (*pid, spaces[*space].1)).collect();
        let ram = |space: &usize| spaces[*space].0.pss() + spaces[*space].1.shared_hugetlb;
        let expected: Kib = owners.keys().map(ram).sum();
        for (grouping, keyed) in Grouping::ALL.iter().flat_map(|by| [(*by, false), (*by, true)]) {
            let all = || processes.iter().copied();
            let labels = Labels::new(all(), grouping, None);
            let labels = if keyed { labels.with_keys(all(), NameRule::Title) } else { labels };
            let annotations = Annotations::new(&sharing, &shares);
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

/// A postmaster and its backends with titles of their own map one pool.
#[test]
fn a_pool_of_many_programs_counts_once() {
    let host = MadeHost::new(1, vec![BTreeSet::new()]);
    let host = host.with((0..6).map(|_| vec![MadeMapping::whole(0, 16)]));
    let dir = TempDir::new("pool");
    host.write(dir.path());
    let ran = report(dir.path(), &[]);
    assert_eq!(total(&ran), ((32 * 1024 + 6 * 40) * 1024, Figures { hugetlb: 32 * 1024, swap: 0 }));
    assert_eq!(ran.stderr(), "");
    // Beside the pool of the host.
    let root = dir.path().to_str().expect("UTF-8");
    let host = run(["--proc-root", root, "--json", "--host"]).stdout();
    let host: serde_json::Value = serde_json::from_str(&host).expect("JSON");
    let used = &host["host"]["parts"]["hugetlb"]["programs"];
    assert_eq!(*used, 32 << 20, "{:#}", host["host"]);
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
    let ranges = [(0, 3), (1, 4), (2, 3), (4, 6), (7, 8), (0, 3)];
    let host = MadeHost::new(1, vec![BTreeSet::new(), (0..8).collect()]);
    let host = host.with(ranges.map(|(begin, end)| vec![MadeMapping::part(1, begin, end)]));
    // Pages 0 to 5, and 7.
    assert_eq!(figures(&MadeHost { unmapped: 5, ..host }), (swap(7 * 4), String::new()));
}

fn swap(swap: u64) -> Figures {
    Figures { hugetlb: 0, swap }
}

fn hugetlb(pages: u64) -> Figures {
    Figures { hugetlb: pages * HUGE, swap: 0 }
}

/// A private mapping counts the pages that it did not copy. Another process may count others.
#[test]
fn private_mappings_of_shared_memory_count_what_they_did_not_copy() {
    let copies = (2..5).map(|page| (page, true)).collect();
    let private = MadeMapping { is_private: true, copies, ..MadeMapping::part(1, 0, 10) };
    let host = MadeHost::new(1, vec![BTreeSet::new(), (0..8).collect()]);
    let host = MadeHost { unmapped: 50, ..host };
    // Pages 0, 1, 5, 6 and 7, and three copies.
    let alone = host.clone().with([vec![private.clone()]]);
    assert_eq!(figures(&alone), (swap(8 * 4), String::new()));
    // The other process counts pages 2 to 7: eight and three copies, and at most one more.
    let both = host.clone().with([vec![private.clone()], vec![MadeMapping::part(1, 2, 8)]]);
    let (found, notes) = figures(&both);
    assert!((11 * 4..=13 * 4).contains(&found.swap) && notes.contains("swapped"), "{notes}");
    // A child has the copies of the other mapping: which of the two has pages of its object?
    let other = MadeMapping { object: 2, is_forked: true, ..private.clone() };
    let mut host = host.with([vec![private, other]]);
    host.swapped.push(BTreeSet::new());
    let (found, notes) = figures(&host);
    assert_eq!(found, swap((5 + 3) * 4 + 6));
    let note = "0.0 MiB in swapped pages of shared memory is an upper bound: ";
    assert!(notes.contains(note), "{notes}");
}

/// A note on a figure that the report lacks would confuse.
#[test]
fn a_report_without_swap_has_no_note_on_it() {
    let private = || vec![MadeMapping { is_private: true, ..MadeMapping::part(1, 0, 8) }];
    let host =
        MadeHost { unmapped: 50, ..MadeHost::new(1, vec![BTreeSet::new(), (0..8).collect()]) };
    let dir = TempDir::new("notes");
    host.with([private(), private()]).write(dir.path());
    let root = dir.path().to_str().expect("UTF-8");
    for (arguments, is_noted) in [
        (&["--columns", "ram,name"][..], false),
        (&["--total"], false),
        (&["--json", "--total"], true),
        (&["--columns", "footprint,name"], true),
    ] {
        let ran = run([&["--proc-root", root], arguments].concat());
        assert_eq!(ran.stderr().contains("swapped pages"), is_noted, "{arguments:?}");
    }
}

/// Ids of segments are unique in an IPC namespace only.
#[test]
fn segments_of_two_containers_are_not_one() {
    let process = |namespace, shows_namespace| MadeProcess {
        namespace,
        shows_namespace,
        ..MadeProcess::from(vec![MadeMapping::whole(0, 4), MadeMapping::part(1, 0, 8)])
    };
    let mut host = MadeHost::new(1, vec![BTreeSet::new(), (0..8).collect()]);
    host.segments = BTreeSet::from([0, 1]);
    host.unmapped = 50;
    let both = |shown| [0, 0, 1, 1].map(|namespace| process(namespace, shown));
    let whole = Figures { hugetlb: 8 * HUGE, swap: 16 * 4 };
    assert_eq!(figures(&host.clone().with(both(true))), (whole, String::new()));
    // With a keeper the kernel does not report the namespaces of other users.
    let (found, notes) = figures(&host.clone().with(both(false)));
    assert_eq!(found, Figures { hugetlb: 16 * HUGE, swap: 32 * 4 });
    let why = "does not report which of them processes share";
    assert_eq!(notes.matches(why).count(), 2, "{notes}");
    let (found, notes) = figures(&host.with([process(0, true), process(0, false)]));
    assert_eq!(found, Figures { hugetlb: 8 * HUGE, swap: 16 * 4 });
    assert_eq!(notes.matches("is an upper bound").count(), 2, "{notes}");
}

/// A VM with pages of its own ends after the survey. The others keep their pages.
#[test]
fn pages_freed_after_the_survey_are_not_taken_from_other_processes() {
    let pool = || vec![MadeMapping::whole(2, 8)];
    let vms = [0, 1].map(|object| vec![MadeMapping::whole(object, 64)]);
    let host = MadeHost::new(3, vec![BTreeSet::new(); 3]);
    let host = host.with(vms.into_iter().chain([pool(), pool()]));
    let host = MadeHost { freed: 70, ..host };
    let dir = TempDir::new("freed");
    host.write(dir.path());
    let ran = report(dir.path(), &["--by", "pid"]);
    let parts: Vec<u64> = ran.stdout().lines().skip(1).map(hugetlb_of).collect();
    assert_eq!(parts, [8, 8, 128, 128, 272].map(|mib| mib << 20), "{}", ran.stdout());
    let note = "psm-uring: the processes had 272.0 MiB in hugetlb pages, 140.0 MiB more than are \
                in use now: some ended or freed pages during the survey\n";
    assert_eq!(ran.stderr(), note);
}

/// The column of hugetlb pages in a record.
fn hugetlb_of(record: &str) -> u64 {
    record.split(',').nth(2).and_then(|cell| cell.parse().ok()).expect("bytes")
}

/// Before Linux 6.2 a page is private in each process that shares the page table.
#[test]
fn shared_page_tables_count_once() {
    let mapping = |touched: u64| {
        let touched = (0..touched).map(|page| (page, 0)).collect();
        vec![MadeMapping { touched, ..MadeMapping::whole(0, 512) }]
    };
    let host = |kernel, touched: [u64; 2]| {
        let processes = touched.map(mapping).into_iter();
        let host = MadeHost { kernel, ..MadeHost::new(2, vec![BTreeSet::new(); 2]) };
        host.with(processes.chain([vec![MadeMapping::whole(1, 4)]]))
    };
    for kernel in ["5.15.0-91-generic", "6.18.0"] {
        let (found, notes) = figures(&host(kernel, [512, 512]));
        assert_eq!((found, notes.as_str()), (hugetlb(516), ""), "{kernel}");
    }
    // The pages in use show that the processes touched the same ones, or nothing does.
    let few = host("5.15.0-91-generic", [100, 60]);
    assert_eq!(figures(&few), (hugetlb(104), String::new()));
    let (found, notes) = figures(&MadeHost { unmapped: 300, ..few.clone() });
    assert_eq!(found, hugetlb(164));
    let note = "320.0 MiB in private hugetlb pages is an upper bound (at least 200.0 MiB): kernels \
                before 6.2 count pages of shared page tables as private in each process";
    assert!(notes.contains(note), "{notes}");
    // Without its smaps, a process may have the pages of the other.
    let mut unread = MadeHost { unmapped: 300, ..few };
    unread.processes[1].smaps = MadeSmaps::Absent;
    let (found, notes) = figures(&unread);
    assert_eq!(found, hugetlb(164));
    assert!(notes.contains("the mappings of 1 process could not"), "{notes}");
}

/// Processes touch different pages of one pool. Each page that the kernel calls shared is in two of
/// them, unless a process that is not measured may have it.
#[test]
fn a_missing_process_is_asked_for_hugetlb_pages() {
    let mapping = |begin, end| {
        let touched = (begin..end).map(|page| (page, 0)).collect();
        vec![MadeMapping { touched, ..MadeMapping::whole(0, 40) }]
    };
    let host = MadeHost { unmapped: 50, ..MadeHost::new(1, vec![BTreeSet::new()]) };
    let host = host.with([mapping(0, 8), mapping(4, 12), mapping(0, 4), mapping(8, 12)]);
    assert_eq!(figures(&host).0, hugetlb(12));
    let dir = TempDir::new("missing");
    host.write(dir.path());
    std::fs::write(dir.path().join("99"), "").expect("a process that is gone");
    let missing = dir.path().join("98");
    std::fs::create_dir(&missing).expect("a directory of ours");
    std::fs::write(missing.join("smaps_rollup"), "no smaps\n").expect("a file of ours");
    std::fs::write(missing.join("cmdline"), "other\0").expect("a file of ours");
    for (pages, expected) in [("0", 12), ("2048", 24)] {
        let status = format!("Name:\tx\nVmSize: 9 kB\nHugetlbPages: {pages} kB\n");
        std::fs::write(missing.join("status"), status).expect("a file of ours");
        let ran = report(dir.path(), &[]);
        assert!(ran.stderr().contains("1 not understood (PID 98)"), "{}", ran.stderr());
        assert_eq!(total(&ran).1, hugetlb(expected));
        let is_noted = ran.stderr().contains("processes that were not measured may hold");
        assert_eq!(is_noted, pages != "0", "{}", ran.stderr());
    }
}

/// A process that gets stuck after the survey delays the report by the timeout alone, and one that
/// is no longer the same has no part in the objects.
#[test]
fn unknown_mappings_are_an_upper_bound() {
    let host = MadeHost::new(1, vec![BTreeSet::new()]);
    let mut host = host.with((0..4).map(|_| vec![MadeMapping::whole(0, 16)]));
    host.unmapped = 100;
    host.processes[1].smaps = MadeSmaps::Replaced;
    host.processes[2].smaps = MadeSmaps::Absent;
    let dir = TempDir::new("unread");
    host.write(dir.path());
    make_fifo(&dir.path().join((FIRST + 2).to_string()).join("smaps"));
    for (option, limit) in [("50ms", Duration::from_secs(4)), ("60m", RUN_LIMIT)] {
        let began = Instant::now();
        let ran = report(dir.path(), &["--stuck-after", option]);
        assert!(began.elapsed() < limit, "{option}: {:?}", began.elapsed());
        assert_eq!(total(&ran).1, hugetlb(3 * 16));
        let note = "psm-uring: 96.0 MiB in shared hugetlb pages is an upper bound (at least 32.0 \
                    MiB): the mappings of 1 process could not be read; the mappings of 1 process \
                    are malformed, or of another address space than the figures\n";
        assert_eq!(ran.stderr(), note);
    }
}
