//! The walk over page tables, without a kernel: the sums of random address spaces against those of
//! a twin that takes one page after another, the windows, and the choice between walk and rollup.

use std::collections::BTreeSet;

use crate::support::Rng;
use crate::support::failures::{Failures, check, check_eq};
use crate::support::tables::{
    EXCLUSIVE, FILE, GUARD, Kind, Mapping, PRESENT, SWAPPED, Tables, block, count_of, frame,
    frame_of_count, page,
};
use crate::support::world::{RULE, World};
use psm_uring::process::{
    Fate, FreedShare, GENTLE_WINDOW_BYTES, Plan, Probe, Source, WINDOW_BYTES, WalkRule, Window,
};
use psm_uring::smaps::{Field, Kib, Smaps};
use psm_uring::units::Errno;

/// Address spaces at random.
const CASES: usize = if cfg!(debug_assertions) { 150 } else { 3_000 };
/// Pages of so many bytes, as the architectures have them.
const PAGES: [u64; 3] = [4096, 16 * 1024, 64 * 1024];
/// Devices, and the kind of their pages.
const DEVICES: [(&str, Kind); 8] = [
    ("00:00", Kind::Anon),
    ("00:00", Kind::Anon),
    // Code of the kernel.
    ("00:00", Kind::File),
    ("fd:01", Kind::File),
    ("103:02", Kind::File),
    ("00:01", Kind::Shmem),
    ("00:1a", Kind::Shmem),
    ("00:0f", Kind::Hugetlb),
];

fn plan(walk: WalkRule) -> Plan {
    Plan { source: Source::Auto, walk: Some(walk), ..Plan::default() }
}

/// The process with these page tables. Its rollup differs from its walk.
fn process(tables: Tables) -> World {
    let status = World::user().texts["7/status"].clone().expect("a text");
    let status = String::from_utf8_lossy(&status).into_owned() + &tables.status();
    let rollup = tables.rollup() + "LazyFree: 4 kB\n";
    let world = World { room: 1 << 20, ..World::user() }.with_tables(tables);
    world.with("status", &status).with("smaps_rollup", &rollup)
}

/// The memory of a process that is measured, and whether it comes from a walk.
fn measure(world: &mut World, plan: &Plan) -> (Smaps, bool) {
    let mut probe = Probe::new();
    let found = world.carry(&mut probe, plan);
    assert_eq!(found.fate, Fate::Measured, "{:?}", world.steps);
    let smaps = found.smaps.expect("it is measured");
    let is_walked = smaps.get(Field::LazyFree).is_none();
    assert_eq!(probe.is_walked(), is_walked, "{smaps:?}");
    (smaps, is_walked)
}

/// Entries of no page, of pages in swap and of pages on their way.
fn absent(rng: &mut Rng) -> u64 {
    let swap = |kind: u64, offset: u64| SWAPPED | offset << 5 | kind;
    let offset = rng.next() >> 16;
    match rng.below(9) {
        0 => 1 << 55 | 1 << 57,
        // Kernels of the 4 series.
        1 => EXCLUSIVE,
        // A mark of userfaultfd, and a guard region.
        2 => swap(31, offset),
        3 => swap(31, offset) | GUARD,
        4 | 5 => swap(rng.below(23) as u64, offset) | 1 << 55,
        6 => swap(*rng.pick(&[26, 29, 30]), offset),
        _ => 0,
    }
}

/// Some entries of a mapping, of which this is the next page.
fn part(rng: &mut Rng, at: u64, table: u64, kind: Kind) -> Vec<u64> {
    let number = (rng.next() % (1 << 18)) * table;
    let padding = (table - at % table) % table;
    let aligned = |entries: &mut dyn Iterator<Item = u64>| {
        (0..padding).map(|_| 0).chain(entries).collect::<Vec<u64>>()
    };
    if kind == Kind::Hugetlb {
        // In a private mapping they are anonymous.
        let private = if rng.below(2) == 0 { FILE } else { 0 };
        return aligned(&mut block(frame(kind, number), table).map(|entry| entry & !private));
    }
    // A page of a file may have been copied.
    let own = kind;
    let kind = if rng.below(4) == 0 { Kind::Anon } else { kind };
    let len = 1 + rng.below(90) as u64;
    match rng.below(12) {
        0 | 1 => vec![0; rng.below(200)],
        2 | 3 => (0..len).map(|_| absent(rng)).collect(),
        4 => (0..len).map(|_| page(frame(Kind::Zeros, 1))).collect(),
        5..=7 => (0..len).map(|_| page(frame(kind, rng.next() % (1 << 30)))).collect(),
        // Consecutive frames with entries of their own: as in a block, and next to it.
        8 => aligned(&mut (number..number + table).map(|n| page(frame(kind, n)))),
        9 => (number..number + len).map(|n| page(frame(kind, n + at % table))).collect(),
        10 if own == Kind::Anon => aligned(&mut block(frame(Kind::Zeros, number), table)),
        _ => aligned(&mut block(frame(kind, number), table)),
    }
}

/// Mappings with gaps, from the first pages of the address space to far ones.
fn random(rng: &mut Rng, page_bytes: u64) -> Tables {
    let table = page_bytes / 8;
    let devices = &DEVICES[..8 - rng.below(2)];
    let mut next = 1 + rng.next() % table;
    let mut mappings = Vec::new();
    for _ in 0..=rng.below(8) {
        let gap = *rng.pick(&[0, 0, 1, 70, table / 2, 3 * table, 1 << 24]);
        let (device, kind) = *rng.pick(devices);
        let mut mapping = Mapping { first: next + gap, device, entries: Vec::new() };
        for _ in 0..=rng.below(5) {
            mapping.entries.extend(part(rng, mapping.end(), table, kind));
        }
        if !mapping.entries.is_empty() {
            next = mapping.end();
            mappings.push(mapping);
        }
    }
    // Without a resident page it would have no walk.
    let last = vec![0, page(frame_of_count(Kind::Anon, 0, 1)), 0];
    mappings.push(Mapping { first: next, device: "00:00", entries: last });
    Tables { page_bytes, mappings }
}

/// Windows ascend, are not too big, and cover each page of a mapping once.
fn check_windows(tables: &Tables, windows: &[(Window, usize)], most: usize) {
    let mut next = 0;
    let mut gaps = Vec::new();
    for (Window { offset, len }, bytes) in windows {
        assert!(*len > 0 && *len <= most && bytes <= len, "a window of {len}: {bytes}");
        assert!(offset % 8 == 0 && len % 8 == 0, "whole entries: {offset} {len}");
        assert!(*offset >= next, "{offset} is read again, {next} is the next");
        gaps.push(next / 8..offset / 8);
        next = offset + *bytes as u64;
    }
    gaps.push(next / 8..u64::MAX);
    for mapping in &tables.mappings {
        let missed =
            |gap: &&std::ops::Range<u64>| gap.start.max(mapping.first) < gap.end.min(mapping.end());
        assert_eq!(gaps.iter().find(missed), None, "pages {} to {}", mapping.first, mapping.end());
    }
}

#[test]
fn walks_have_the_sums_of_their_pages() {
    let mut rng = Rng::seeded();
    let mut failures = Failures::new();
    let mut seen = BTreeSet::new();
    for case in 0..CASES {
        let tables = random(&mut rng, PAGES[case % 3]);
        let window_bytes = [WINDOW_BYTES, GENTLE_WINDOW_BYTES][case / 3 % 2];
        let rule = WalkRule { window_bytes, page_bytes: tables.page_bytes, ..RULE };
        let mut world = process(tables.clone());
        // A read may end in any entry.
        world.room = *rng.pick(&[1000, 4096 + 8, 1 << 20, 1 << 20]);
        let (found, is_walked) = measure(&mut world, &plan(rule));
        check_eq!(failures, (found, is_walked), (tables.figures(), true), "case {case}");
        check_windows(&tables, &world.windows, window_bytes);
        let figures = Field::ALL.into_iter().filter(|field| found.get(*field) > Some(Kib(0)));
        seen.extend(figures.map(Field::key));
    }
    let expected =
        ["Private_Hugetlb", "Pss_Anon", "Pss_File", "Pss_Shmem", "Shared_Hugetlb", "Swap"];
    assert!(expected.iter().all(|key| seen.contains(key)), "only {seen:?} are above 0");
}

/// An address space is walked with reads of one entry.
#[test]
fn reads_of_one_entry() {
    let mut rng = Rng::seeded();
    for _ in 0..30 {
        let mut tables = random(&mut rng, 4096);
        tables.mappings.retain(|mapping| mapping.entries.len() < 2000);
        let mut world = World { room: 8, ..process(tables.clone()) };
        assert_eq!(measure(&mut world, &plan(RULE)), (tables.figures(), true));
        check_windows(&tables, &world.windows, RULE.window_bytes);
    }
}

/// Many small mappings take several windows, as the kernel spends more time on a mapping than on a
/// page. A window has at most one mapping for twelve of its entries, and those of one range.
#[test]
fn windows_have_few_mappings() {
    let entry = || page(frame_of_count(Kind::Anon, 0, 1));
    // Two pages of every three, or all: then neighbours are one range.
    for gap in [1, 0] {
        let mapping = |n: u64| Mapping {
            first: 512 + (2 + gap) * n,
            device: "00:00",
            entries: vec![entry(), entry()],
        };
        let tables = Tables { mappings: (0..3000).map(mapping).collect(), ..Tables::default() };
        for window_bytes in [WINDOW_BYTES, GENTLE_WINDOW_BYTES] {
            let mut world = process(tables.clone());
            let rule = WalkRule { window_bytes, ..RULE };
            assert_eq!(measure(&mut world, &plan(rule)), (tables.figures(), true));
            check_windows(&tables, &world.windows, window_bytes);
            let mappings = |(window, _): &(Window, usize)| {
                let (first, end) = (window.offset / 8, (window.offset + window.len as u64) / 8);
                let is_within = |one: &&Mapping| one.first < end && one.end() > first;
                tables.mappings.iter().filter(is_within).count()
            };
            let most = world.windows.iter().map(mappings).max();
            let limit = window_bytes / 8 / 12;
            let range = limit..=limit + 16;
            assert!(most.is_some_and(|most| range.contains(&most)), "{most:?} of {limit}");
        }
    }
}

/// Each page is mapped by this many mappings.
fn shared(pages: u64, count: u64) -> Vec<u64> {
    (0..pages).map(|n| page(frame_of_count(Kind::Anon, 128 * n, count))).collect()
}

fn anonymous(entries: Vec<u64>) -> Tables {
    let mapping = Mapping { first: 512, device: "00:00", entries };
    Tables { mappings: vec![mapping], ..Tables::default() }
}

/// More pages than the walk keeps are counted part by part, in loads of bounded size.
#[test]
fn pages_are_counted_in_parts() {
    let rule = WalkRule { window_bytes: WINDOW_BYTES, ..RULE };
    let blocks = || (0..1100).flat_map(|n| block(frame(Kind::Anon, 1024 * n), 512)).collect();
    for entries in [shared(60_000, 2), blocks()] {
        let tables = anonymous(entries);
        let mut world = process(tables.clone());
        assert_eq!(measure(&mut world, &plan(rule)), (tables.figures(), true));
        assert!(world.frames.most <= 4096, "{} at once", world.frames.most);
        assert!(world.frames.loads > 10);
    }
}

/// The kernel truncates the share of each page, to 1/4096 byte.
#[test]
fn shares_are_truncated_page_by_page() {
    let tables = anonymous(shared(2100, 7));
    let (found, _) = measure(&mut process(tables), &plan(RULE));
    assert_eq!(found.pss(), Kib(2100 * 4 / 7 - 1));
    assert_eq!((found.uss(), found.rss()), (Kib(0), Kib(2100 * 4)));
}

/// Without a rule that forces it, only a walk over many pages replaces a rollup.
#[test]
fn only_big_processes_are_walked() {
    let mut failures = Failures::new();
    let rule = WalkRule { is_forced: false, window_bytes: WINDOW_BYTES, ..RULE };
    let pages = |count: u64| (0..count).map(|n| page(frame_of_count(Kind::Anon, 64 * n, 1)));
    let blocks = |count: u64| (0..count).flat_map(|n| block(frame(Kind::Anon, 1024 * n), 512));
    let holes = |count: usize| std::iter::repeat_n(0, count);
    let swap = SWAPPED | 4711 << 5;
    for (what, entries, expected) in [
        ("small", pages(6000).collect(), false),
        ("big", pages(6500).collect(), true),
        ("big, in swap", pages(6500).chain([swap]).collect(), true),
        ("big, with holes", pages(6500).chain(holes(100_000)).collect(), true),
        ("mostly holes", pages(6500).chain(holes(600_000)).collect(), false),
        ("huge pages", blocks(40).collect(), false),
        ("mostly huge pages", blocks(40).chain(pages(5000)).collect(), false),
        ("some huge pages", pages(29 * 512).chain(blocks(20)).collect::<Vec<u64>>(), true),
    ] {
        let tables = anonymous(entries);
        let mut world = process(tables.clone());
        let (found, is_walked) = measure(&mut world, &plan(rule));
        check_eq!(failures, is_walked, expected, "{what}");
        check_eq!(failures, found.pss(), tables.figures().pss(), "{what}");
        let most = if what.contains("huge") { 5 } else { 0 };
        let windows = world.windows.len();
        check!(failures, is_walked || windows <= most, "{what}: {windows} windows for nothing");
        // Forced, all of them are walked.
        let rule = WalkRule { is_forced: true, ..rule };
        let found = measure(&mut process(tables.clone()), &plan(rule));
        check_eq!(failures, found, (tables.figures(), true), "{what}, forced");
    }
}

/// A small process costs one read more, that of its size.
#[test]
fn a_small_process_costs_one_file_more() {
    let rule = WalkRule { is_forced: false, ..RULE };
    for base in [Plan::default(), Plan { owner: true, cgroup: true, ..Plan::default() }] {
        let [mut without, mut with] = [World::user(), World::user()];
        without.carry(&mut Probe::new(), &base);
        with.carry(&mut Probe::new(), &Plan { walk: Some(rule), ..base.clone() });
        let (size, other): (Vec<String>, Vec<String>) =
            with.steps.into_iter().partition(|path| path == "7/statm");
        assert_eq!((size.len(), other), (2, without.steps), "opened and read");
    }
}

/// A process that uses the page tables of another one has pages of hugetlbfs that its `status` does
/// not have.
#[test]
fn pages_of_hugetlbfs_are_recognised_without_status() {
    let pool = block(frame(Kind::Hugetlb, 0), 512).collect();
    let mapping = Mapping { first: 1 << 20, device: "00:0f", entries: pool };
    let mut tables = anonymous(shared(100, 2));
    tables.mappings.push(mapping);
    let world = process(tables.clone());
    let status = world.texts["7/status"].clone().expect("a text");
    let status =
        String::from_utf8_lossy(&status).replace("HugetlbPages:\t2048", "HugetlbPages:\t0");
    assert!(status.contains("HugetlbPages:\t0 kB"), "{status}");
    let mut world = world.with("status", &status);
    assert_eq!(measure(&mut world, &plan(RULE)), (tables.figures(), true));
}

/// A page that counts one mapping and is not exclusive is in a shared page table.
#[test]
fn pages_in_shared_page_tables_have_unknown_users() {
    let rule = WalkRule { window_bytes: WINDOW_BYTES, ..RULE };
    for (exclusive, file, unknown) in
        [(EXCLUSIVE, FILE, 0), (0, FILE, 2048), (0, 0, 0), (EXCLUSIVE, 0, 0)]
    {
        let mut heads = (0..).map(|n| frame(Kind::Hugetlb, 512 * n));
        let first = heads.find(|head| count_of(*head) == 1).expect("a count of one");
        let entries = (first..first + 512).map(|frame| PRESENT | exclusive | file | frame);
        let mapping = Mapping { first: 1 << 20, device: "00:0f", entries: entries.collect() };
        let mut tables = anonymous(shared(100, 2));
        tables.mappings.push(mapping);
        let (mut probe, plan) = (Probe::new(), Plan { freed: Some([].into()), ..plan(rule) });
        process(tables).carry(&mut probe, &plan);
        let freed = FreedShare::sum(probe.freed().into_iter());
        assert_eq!(freed.unknown_hugetlb, Kib(unknown), "{exclusive:x} {file:x}: {freed:?}");
    }
}

/// Counts that the kernel refuses cost the process nothing but the walk.
#[test]
fn refused_counts_leave_the_process_to_the_rollup() {
    let file = page(frame_of_count(Kind::File, 0, 1));
    let mapping = Mapping { first: 700, device: "fd:01", entries: vec![file; 3] };
    let mut tables = anonymous(shared(100, 2));
    tables.mappings.push(mapping);
    for refusals in [0, 1] {
        let mut world = process(tables.clone());
        world.frames.refuses = Some((refusals, Errno::PERM));
        let (found, is_walked) = measure(&mut world, &plan(RULE));
        assert_eq!((found.pss(), is_walked), (tables.figures().pss(), false));
    }
}
