//! Every kind of memory: the parties find the same figures to the kB in each process.

use std::time::Duration;

use psm_uring::units::Pid;

use super::alone;
use super::parties::{Figures, PARTIES, Party, reads_and_bytes, rollup};
use super::support::{run, skip, until};
use super::twin::Walk;
use super::zoo::Zoo;

/// Daemons of the kernel move and merge pages.
const QUIET_LIMIT: Duration = Duration::from_secs(20);
/// The size of a kind that has no other.
const MIB: u64 = 16;

/// The proof that memory is of its kind: the kernel's key, or a counter of the twin, and the least
/// amount in KiB in the first process.
const PROOFS: [(&str, &str, u64); 34] = [
    ("zero", "zero", MIB << 10),
    ("locked", "Locked", MIB << 9),
    ("lazyfree", "LazyFree", MIB << 7),
    ("guard", "markers", MIB << 8),
    ("uffd_wp_anon", "markers", MIB << 9),
    ("uffd_wp_shmem", "markers", MIB << 9),
    ("uffd_poison", "markers", MIB << 8),
    ("ksm", "KSM", MIB << 9),
    ("mappings", "Rss", 120_000),
    ("sparse", "Rss", 65_536),
    ("thp", "AnonHugePages", MIB << 10),
    ("huge_zero", "zero", MIB << 10),
    ("thp_unmapped", "thp", MIB << 9),
    ("thp_hole", "thp", MIB << 9),
    ("thp_moved", "thp", MIB << 9),
    ("thp_fork", "AnonHugePages", MIB << 10),
    ("thp_cow_head", "AnonHugePages", MIB << 10),
    ("thp_cow_tail", "AnonHugePages", MIB << 10),
    ("thp_cow_most", "AnonHugePages", MIB << 10),
    // A working directory in memory has no file pages.
    ("file_private", "Pss_File", MIB << 9),
    ("file_shared", "Pss_File", MIB << 10),
    ("file_part", "Pss_File", MIB << 9),
    ("file_two", "Pss_File", MIB << 9),
    ("shmem_thrice", "Rss", MIB * 2560),
    ("shmem_thp", "ShmemPmdMapped", MIB << 9),
    ("hugetlb", "Private_Hugetlb", MIB << 10),
    ("hugetlb_fork", "Shared_Hugetlb", MIB << 10),
    ("hugetlb_shared", "Shared_Hugetlb", MIB << 9),
    ("swap", "SwapPss", MIB << 9),
    ("swap_thp", "SwapPss", MIB << 9),
    ("swap_read", "SwapPss", MIB << 8),
    ("swap_fork", "SwapPss", MIB << 7),
    ("swap_shmem", "Swap", MIB << 9),
    ("swap_shmem_private", "Swap", MIB << 9),
];

/// One test for each kind, with its words for `zoo.c` behind the name.
macro_rules! kinds {
    ($($kind:ident $($size:literal)*,)*) => {$(
        #[test]
        fn $kind() {
            compare(stringify!($kind), &[$($size),*]);
        }
    )*};
}

kinds! {
    anon, zero, fork "16" "3", locked, lazyfree, droppable, guard, uffd_wp_anon, uffd_wp_shmem,
    uffd_poison, ksm, mappings "60", sparse "64",
    thp, huge_zero, thp_unmapped, thp_hole, thp_moved, thp_fork, thp_cow_head, thp_cow_tail,
    thp_cow_most,
    file_private, file_shared, file_part, file_two,
    shmem, shmem_private, shmem_thrice, shmem_thp, memfd, memfd_unmapped, tmpfs, tmpfs_unlinked,
    sysv, sysv_removed, secretmem, uring, devmem,
    hugetlb, hugetlb_fork, hugetlb_shared, gigantic,
    swap, swap_thp, swap_read, swap_fork, swap_shmem, swap_shmem_private,
}

/// A walk reads each page table of a process once, in windows of 8 to 24 KiB as the host is fast: 4
/// to 12 MiB of pages. A gentle one has windows of 4 KiB.
#[test]
fn a_walk_reads_each_page_table_once() {
    const FEW: u64 = 64;
    const MANY: u64 = 208;
    let _alone = alone();
    let start = |mib: u64| Zoo::start(&["anon", &mib.to_string()]);
    let zoos = match (start(FEW), start(MANY)) {
        (Ok(few), Ok(many)) => [few, many],
        (Err(why), _) | (_, Err(why)) => {
            return skip("kinds::a_walk_reads_each_page_table_once", &why);
        }
    };
    for (gentle, mib_per_read) in [(None, [4, 12]), (Some("--gentle"), [2, 2])] {
        for engine in ["sync", "threads", "auto"] {
            let [few, many] = zoos.each_ref().map(|zoo| {
                let pid = zoo.pids()[0].to_string();
                let what = ["--source=pagemap", "--stats", "-p", &pid, "--engine", engine];
                reads_and_bytes(&run(what.into_iter().chain(gentle)).stderr())
            });
            let (reads, bytes) = (many.0 - few.0, many.1 - few.1);
            let [most, least] = mib_per_read.map(|mib| (MANY - FEW) / mib);
            let is_within = (least - 1..=most + 1).contains(&reads);
            assert!(is_within, "{engine} {gentle:?}: {reads} reads, {least} to {most} expected");
            let entries = (MANY - FEW) * 256 * 8;
            assert!(bytes.abs_diff(entries) < 4096, "{engine} {gentle:?}: {bytes}, not {entries}");
        }
    }
}

fn compare(kind: &str, sizes: &[&str]) {
    let name = format!("kinds::{kind}");
    let _alone = alone();
    let size = MIB.to_string();
    let words: Vec<&str> = match sizes {
        [] => vec![kind, &size],
        sizes => [&[kind], sizes].concat(),
    };
    let zoo = match Zoo::start(&words) {
        Ok(zoo) => zoo,
        Err(why) => return skip(&name, &why),
    };
    if let Err(why) = prove(kind, zoo.pids()[0]) {
        return skip(&name, &why);
    }
    let mut difference = String::new();
    let agreed = until(QUIET_LIMIT, || match differences(zoo.pids()) {
        Ok(()) => Some(()),
        Err(found) => {
            difference = found;
            None
        }
    });
    assert!(agreed.is_some(), "{kind}: {difference}");
}

/// Checks that the host gave the memory that was asked for. Special entries do not depend on the
/// host.
pub fn prove(kind: &str, pid: Pid) -> Result<(), String> {
    let Some((_, key, least)) = PROOFS.iter().find(|proof| proof.0 == kind) else {
        return Ok(());
    };
    let walk = || Walk::read(pid).expect("it waits");
    let amount = match *key {
        "zero" => walk().zero * 4,
        "markers" => walk().markers * 4,
        "thp" => walk().thp * 4,
        // Older kernels do not print every key.
        key => rollup(pid).expect("it waits").get(key).copied().unwrap_or(0),
    };
    let lacks = format!("the kernel gave {amount} kB of {least} kB of {key}");
    assert!(amount >= *least || !["zero", "markers"].contains(key), "{kind}: {lacks}");
    if amount < *least { Err(lacks) } else { Ok(()) }
}

/// Compares all parties with the first, as long as that does not change meanwhile.
fn differences(pids: &[Pid]) -> Result<(), String> {
    let read = |(name, read): &(&str, Party)| {
        read(pids).unwrap_or_else(|| panic!("{name} lost a process that waits"))
    };
    let kernel = read(&PARTIES[0]);
    let others = PARTIES[1..].iter().map(|party| (party.0, read(party)));
    let others: Vec<(&str, Vec<Figures>)> = others.collect();
    if read(&PARTIES[0]) != kernel {
        return Err("the kernel's figures change".to_owned());
    }
    let mut lines = Vec::new();
    for (name, figures) in others {
        assert_eq!(figures.len(), kernel.len(), "{name}");
        for (n, (found, expected)) in figures.iter().zip(&kernel).enumerate() {
            lines.extend(found.iter().filter_map(|(key, kib)| {
                let expected = expected.get(key).filter(|expected| *expected != kib)?;
                Some(format!("{key} of process {n}: {name} {kib} kB, kernel {expected} kB"))
            }));
        }
    }
    if lines.is_empty() { Ok(()) } else { Err(lines.join("\n")) }
}
