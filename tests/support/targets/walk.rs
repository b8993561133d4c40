//! A walk over any `maps` and any entries. The first byte selects the sizes of reads; `statm`,
//! `maps` and the entries follow. Whatever the sizes are, the figures are the same and possible.

use psm_uring::process::{Fate, GENTLE_WINDOW_BYTES, Plan, Probe, Source, WINDOW_BYTES, WalkRule};
use psm_uring::smaps::{Field, Smaps};

use super::super::tables::{EXCLUSIVE, KIND_SHIFT, Kind, Tables};
use super::super::world::{RULE, World};

/// Entries of a table: the period of those of an input.
const ENTRIES: usize = 512;
/// The bits of a frame above those of its kind.
const KINDS: u64 = ((1 << 55) - 1) >> KIND_SHIFT;
/// The most pages of an input. The kernel has no more ranges than its `maps`, but an input has.
const PAGES_MAX: u64 = 1 << 14;

pub fn run(bytes: &[u8]) {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let mut parts = rest.splitn(3, |byte| *byte == 0x1e);
    let mut part = || parts.next().unwrap_or_default();
    let (statm, maps, entries) = (part(), part(), entries(part()));
    if pages(maps) > PAGES_MAX {
        return;
    }
    let room = 8 * (1 + usize::from(*choice) % 64);
    let world = |room: usize| {
        let world = World { room, ..World::user() }.with_tables(Tables::of_kib(200, 256));
        let world = world.with_bytes("statm", statm).with_bytes("maps", maps);
        World { entries: Some(entries.clone()), ..world }
    };
    let whole = walk(world(1 << 20), WINDOW_BYTES);
    for (room, window) in [(room, WINDOW_BYTES), (1 << 20, GENTLE_WINDOW_BYTES)] {
        assert_eq!(walk(world(room), window), whole, "reads of {room}, windows of {window}");
    }
}

/// The figures of a walk; `None` if the process is read by rollup.
fn walk(mut world: World, window_bytes: usize) -> Option<Smaps> {
    let rule = WalkRule { window_bytes, ..RULE };
    let plan = Plan { source: Source::Auto, walk: Some(rule), ..Plan::default() };
    let mut probe = Probe::new();
    let found = world.carry(&mut probe, &plan);
    assert_eq!(found.fate, Fate::Measured, "{:?}", world.steps);
    let smaps = found.smaps.filter(|_| probe.is_walked())?;
    let [rss, pss] = [smaps.rss(), smaps.pss()];
    assert!(smaps.uss() <= pss && pss <= rss, "{smaps:?}");
    let parts = [Field::PssAnon, Field::PssFile, Field::PssShmem].map(|part| smaps.get(part));
    let sum: u64 = parts.iter().flatten().map(|part| part.0).sum();
    assert!((sum..=sum + 2).contains(&pss.0), "{smaps:?}");
    Some(smaps)
}

/// Entries of one table, of kinds that the frames of the tests have.
fn entries(bytes: &[u8]) -> Vec<u8> {
    let entry = |bytes: &[u8]| {
        let entry = u64::from_ne_bytes(bytes.try_into().expect("8 bytes"));
        let kind = (entry >> KIND_SHIFT & KINDS) % (Kind::Zeros as u64 + 1);
        // Whether a page is mapped once is the answer of its count.
        entry & !(KINDS << KIND_SHIFT) & !EXCLUSIVE | kind << KIND_SHIFT
    };
    let mut entries: Vec<u64> = bytes.chunks_exact(8).map(entry).collect();
    entries.resize(ENTRIES, 0);
    // A page of hugetlbfs fills a table.
    let is_huge = |entry: &u64| entry >> KIND_SHIFT & KINDS == Kind::Hugetlb as u64;
    if !(0..).zip(&entries).all(|(n, entry)| is_huge(entry) && *entry == entries[0] + n) {
        let other = ((Kind::Hugetlb as u64) ^ (Kind::Shmem as u64)) << KIND_SHIFT;
        entries.iter_mut().filter(|entry| is_huge(entry)).for_each(|entry| *entry ^= other);
    }
    entries.into_iter().flat_map(u64::to_ne_bytes).collect()
}

/// The pages of all ranges of a text that looks like that of `maps`.
fn pages(maps: &[u8]) -> u64 {
    let address = |text: &str| u64::from_str_radix(text, 16).ok();
    let range = |line: &[u8]| {
        let line = std::str::from_utf8(line.split(|byte| *byte == b' ').next()?).ok()?;
        let (start, end) = line.split_once('-')?;
        Some(address(end)?.saturating_sub(address(start)?) / 4096)
    };
    let ranges = maps.split(|byte| *byte == b'\n').filter_map(range);
    ranges.fold(0, u64::saturating_add)
}
