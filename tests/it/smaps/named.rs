//! Mappings by name against the naive twin, on every text of the corpus.

use crate::support::failures::{Failures, check_eq};
use crate::support::targets::mappings::{by_name, sums};
use crate::support::{corpus, tree};
use psm_uring::smaps::{Field, MappingSums, Scanner, Smaps, mapping_name, naive};
use psm_uring::units::Kib;

#[test]
fn corpus_by_name_is_that_of_the_twin() {
    let mut failures = Failures::new();
    for (name, text) in corpus() {
        let expected = naive::scan(&text).map(|_| naive::by_name(&text));
        for len in [1, 7, 97, 4096, text.len().max(1)] {
            check_eq!(failures, by_name(text.chunks(len)), expected, "{name} in pieces of {len}");
        }
    }
}

/// Where every figure belongs to a mapping, the rows sum up to those of the process.
#[test]
fn names_sum_up_to_the_process() {
    let mut failures = Failures::new();
    for (name, text) in corpus().iter().filter(|(name, _)| !name.contains("no-header")) {
        let Ok(smaps) = naive::scan(text) else { continue };
        let mut all = MappingSums::default();
        naive::by_name(text).iter().for_each(|(_, one)| all.add(one));
        check_eq!(failures, MappingSums { swap_beyond: Kib(0), ..all }, sums(&smaps), "{name}");
    }
}

/// Stopped processes, whose two texts are of one moment: every field of the rollup is the sum over
/// the mappings, but for the fractions of Pss that the kernel cuts from each.
#[test]
fn recordings_are_those_of_their_rollups() {
    let mut failures = Failures::new();
    for pid in [40, 41, 42, 43, 46, 51] {
        let scan = |file: &str| -> Smaps {
            let mut scanner = Scanner::default();
            let path = tree("named").join(format!("{pid}/{file}"));
            scanner.feed(&std::fs::read(&path).unwrap_or_else(|error| panic!("{path:?}: {error}")));
            scanner.finish().expect("a whole text")
        };
        let (smaps, rollup) = (scan("smaps"), scan("smaps_rollup"));
        for field in Field::ALL {
            let (Some(sum), Some(exact)) = (smaps.get(field), rollup.get(field)) else { continue };
            let cut = match field {
                Field::Pss | Field::SwapPss => smaps.mappings() - 1,
                _ => 0,
            };
            let is_close = (sum.0..=sum.0 + cut).contains(&exact.0);
            check_eq!(failures, is_close, true, "{pid} {field:?}: {sum:?} and {exact:?}");
        }
    }
}

#[test]
fn names_of_the_corpus() {
    let shown = |file: &str| {
        let (_, text) = corpus().into_iter().find(|(name, _)| name == file).expect(file);
        let rows = by_name([&text[..]]).expect("smaps");
        let label = |raw: &[u8]| String::from_utf8_lossy(&mapping_name(raw)).into_owned();
        rows.iter().map(|(raw, sums)| (label(raw), sums.mappings, sums.pss.0)).collect::<Vec<_>>()
    };
    let rows = shown("linux-6.18.smaps");
    let mappings = |name: &str| {
        let row = rows.iter().find(|(label, ..)| label == name);
        row.map(|(_, mappings, pss)| (*mappings, *pss))
    };
    assert_eq!(mappings("/usr/bin/app-server").map(|row| row.0), Some(3), "{rows:?}");
    assert_eq!(mappings("[anon:worker arena]"), Some((1, 1536)));
    assert_eq!(mappings("/anon_hugepage"), Some((1, 0)));
    assert_eq!(mappings("/dev/hugepages/buffer pool").map(|row| row.0), Some(1));
    let hostile = shown("hostile-names.smaps");
    let long = format!("/{}", "d/".repeat(2047));
    for name in [
        "(anonymous)",
        "(no name)",
        "[heap]",
        "[stack]",
        "[vdso]",
        "[anon: glibc: malloc arena]",
        "[anon_shmem:ring: 0-63 (a b)]",
        "/tmp/two\nlines\n",
        "/usr/bin/java (deleted)",
        "memfd:pool",
        "/SYSV0052e2c1",
        "/dev/shm/pool",
        "/dev/zero (deleted)",
        "anon_inode:[io_uring]",
        &long,
    ] {
        let row = hostile.iter().filter(|(label, ..)| label == name).count();
        // The kernel's text has the suffix of a deleted file once or twice: two raw names.
        let count = if name.starts_with("/usr/bin/java") { 2 } else { 1 };
        assert_eq!(row, count, "{name}: {hostile:?}");
    }
    assert_eq!(hostile.len(), 16);
}
