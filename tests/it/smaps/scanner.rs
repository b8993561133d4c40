//! The scanner against its naive twin and against the sums the corpus was generated with: every
//! text, every split point, thousands of damaged texts. Knows nothing of processes or files.

use crate::support::failures::{Failures, check_eq};
use crate::support::{Rng, Table, corpus, data};
use proptest::prelude::*;
use psm_uring::smaps::{Field, Malformed, Scanner, Smaps, naive};

fn in_chunks<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<Smaps, Malformed> {
    let mut scanner = Scanner::new();
    chunks.into_iter().for_each(|chunk| scanner.feed(chunk));
    scanner.finish()
}

fn whole(text: &[u8]) -> Result<Smaps, Malformed> {
    in_chunks([text])
}

/// Cuts a text into pieces of random length, occasionally empty.
fn random_chunks<'a>(text: &'a [u8], rng: &mut Rng) -> Vec<&'a [u8]> {
    let longest = *rng.pick(&[2, 5, 30, 200, 5000]);
    let mut chunks = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (chunk, behind) = rest.split_at(rng.below(longest).min(rest.len()));
        chunks.push(chunk);
        rest = behind;
    }
    chunks
}

#[test]
fn corpus_as_one_chunk() {
    let mut failures = Failures::new();
    for (name, text) in corpus() {
        check_eq!(failures, whole(&text), naive::scan(&text), "{name}");
    }
}

#[test]
fn corpus_byte_by_byte() {
    let mut failures = Failures::new();
    for (name, text) in corpus() {
        check_eq!(failures, in_chunks(text.chunks(1)), naive::scan(&text), "{name}");
    }
}

/// At every point: the prefix is one chunk and the suffix is one chunk.
#[test]
fn short_texts_split_at_every_point() {
    let mut failures = Failures::new();
    for (name, text) in corpus().iter().filter(|text| text.1.len() < 4096) {
        let expected = naive::scan(text);
        for point in 0..=text.len() {
            let (before, behind) = text.split_at(point);
            check_eq!(failures, in_chunks([before, behind]), expected, "{name} split at {point}");
        }
    }
}

/// The same for every text, in linear instead of quadratic time: the splits share the work up to
/// the line before the point, and the test compares the sums two lines after it.
#[test]
fn every_text_split_at_every_point() {
    let mut failures = Failures::new();
    for (name, text) in corpus() {
        let starts: Vec<usize> = std::iter::once(0)
            .chain(text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(n, _)| n + 1))
            .chain([text.len(); 3])
            .collect();
        for window in starts.windows(4) {
            let &[begin, first, second, end] = window else { unreachable!("windows of 4") };
            let mut shared = Scanner::new();
            shared.feed(&text[..begin]);
            let expected = naive::scan(&text[..end]);
            for point in begin..=second.max(first) {
                let mut scanner = shared.clone();
                scanner.feed(&text[begin..point]);
                scanner.feed(&text[point..end]);
                check_eq!(failures, scanner.finish(), expected, "{name} split at {point}");
            }
        }
    }
}

/// Sums of whole texts equal those of the corpus generator.
#[test]
fn corpus_sums_are_the_expected() {
    let mut failures = Failures::new();
    let table = Table::read(&data("corpus/expected.tsv"));
    assert!(table.rows.len() >= 15, "expected.tsv is cut");
    let corpus = corpus();
    for row in &table.rows {
        let name = table.get(row, "file");
        let text = corpus.iter().find(|text| text.0 == name);
        let smaps = whole(&text.unwrap_or_else(|| panic!("no {name}")).1).expect(name);
        for (column, field) in [
            ("rss", Field::Rss),
            ("pss", Field::Pss),
            ("pss_anon", Field::PssAnon),
            ("pss_file", Field::PssFile),
            ("pss_shmem", Field::PssShmem),
            ("private_clean", Field::PrivateClean),
            ("private_dirty", Field::PrivateDirty),
            ("lazyfree", Field::LazyFree),
            ("swap", Field::Swap),
            ("swap_pss", Field::SwapPss),
            ("private_hugetlb", Field::PrivateHugetlb),
            ("shared_hugetlb", Field::SharedHugetlb),
        ] {
            let found = smaps.get(field).map(|kib| kib.0);
            check_eq!(failures, found, table.figure(row, column), "{name}: {column}");
        }
        check_eq!(failures, Some(smaps.mappings()), table.figure(row, "mappings"), "{name}");
        check_eq!(
            failures,
            smaps.heap().map(|kib| kib.0),
            table.figure(row, "heap"),
            "{name}: heap"
        );
        let swap = table.figure(row, "swap_pss").or(table.figure(row, "swap"));
        check_eq!(failures, smaps.swap().map(|kib| kib.0), swap, "{name}: swap");
        check_eq!(
            failures,
            smaps.swap_is_unshared(),
            table.figure(row, "swap_pss").is_none(),
            "{name}"
        );
    }
}

/// The result for a hostile text: `[Rss, Pss, Swap, heap]`, or `None` where a figure is unreliable.
/// The README of the corpus gives the reason for each text.
const HOSTILE: [(&str, Option<[u64; 4]>); 37] = {
    const SOUND: Option<[u64; 4]> = Some([140, 120, 16, 100]);
    [
        ("blank-lines", SOUND),
        ("crlf", None),
        ("cut-in-key", SOUND),
        ("cut-in-number", None),
        ("cut-last-line", SOUND),
        ("empty", None),
        ("fraction", None),
        ("header-in-name", Some([12, 12, 0, 0])),
        ("hex", None),
        ("huge-values", Some([2_147_483_648, 2_147_483_648, 123_456_788, 0])),
        ("leading-space", None),
        ("long-header", SOUND),
        ("lower-case", None),
        ("names", Some([64, 64, 0, 4])),
        ("negative", None),
        ("no-final-newline", SOUND),
        ("no-header", SOUND),
        ("no-number", None),
        ("no-unit", None),
        ("not-utf8", SOUND),
        ("nul-inside", SOUND),
        ("odd-flags", SOUND),
        ("one-newline", None),
        ("only-header", None),
        ("only-nuls", None),
        ("overflow", None),
        ("plus-sign", None),
        ("prefix-keys", Some([40, 20, 0, 0])),
        ("sum-overflow", None),
        ("swapped-order", Some([40, 20, 24, 0])),
        ("trailing-junk", None),
        ("twenty-digits", None),
        ("twice", Some([40, 23, 0, 0])),
        ("uncounted-bad", SOUND),
        ("unit-mb", None),
        ("unit-run-on", None),
        ("unknown-fields", SOUND),
    ]
};

#[test]
fn hostile_texts() {
    let corpus = corpus();
    let hostile = corpus.iter().filter(|text| text.0.starts_with("hostile-"));
    let mut wrong = Vec::new();
    for (file, text) in hostile {
        let name = file.trim_start_matches("hostile-").trim_end_matches(".smaps");
        let Some((_, expected)) = HOSTILE.iter().find(|row| row.0 == name) else {
            wrong.push(format!("{file}: not in the table HOSTILE"));
            continue;
        };
        let figure = |smaps: &Smaps, field| smaps.get(field).map_or(0, |kib| kib.0);
        let found = whole(text).ok().map(|smaps| {
            let [rss, pss, swap] = [Field::Rss, Field::Pss, Field::Swap].map(|f| figure(&smaps, f));
            [rss, pss, swap, smaps.heap().map_or(0, |kib| kib.0)]
        });
        if found != *expected {
            wrong.push(format!("{file}: {found:?}, expected {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `Swap` is not a prefix of `SwapPss`, nor the reverse, in either order.
#[test]
fn keys_are_exact() {
    let mut failures = Failures::new();
    let needed = "Pss: 1 kB\nPrivate_Clean: 0 kB\nPrivate_Dirty: 0 kB\n";
    let get = |line: &str, field| {
        let smaps = whole(format!("{needed}{line}").as_bytes()).expect("sound");
        smaps.get(field).map(|kib| kib.0)
    };
    for (line, swap, swap_pss) in [
        ("Swap:                 24 kB\n", Some(24), None),
        ("SwapPss:              12 kB\n", None, Some(12)),
        ("Swap: 24 kB\nSwapPss: 12 kB\n", Some(24), Some(12)),
        ("SwapPss: 12 kB\nSwap: 24 kB\n", Some(24), Some(12)),
        ("Swaps: 7 kB\nSwa: 7 kB\nSwapPs: 7 kB\nSwapPss2: 7 kB\nXSwap: 7 kB\n", None, None),
        ("Swap : 7 kB\nSwapPss : 7 kB\nswap: 7 kB\n", None, None),
    ] {
        check_eq!(
            failures,
            (get(line, Field::Swap), get(line, Field::SwapPss)),
            (swap, swap_pss),
            "{line}"
        );
    }
    assert_eq!(get("Pss_Dirty: 9 kB\nPss_Anon: 5 kB\n", Field::Pss), Some(1));
}

/// Words that damage a text in ways that the scanner must handle.
const WORDS: [&[u8]; 16] = [
    b"\n",
    b"Swap:",
    b"SwapPss:                7 kB\n",
    b"Pss:                    1 kB\n",
    b"Pss:             99999999 kB\n",
    b"Pss:            100000000 kB\n",
    b"Rss: 18446744073709551615 kB\n",
    b"Private_Hugetlb:       4 kB\n",
    b"7f00-8000 rw-p 00000000 00:00 0                          [heap]\n",
    b"00400000-00452000 r-xp 0 08:02 1 /bin/x\n",
    b" [heap]",
    b" kB",
    b" kB\n",
    b"\0",
    b"\xff\xfe",
    b"VmFlags: rd wr mr mw me ac sd \n",
];

fn mutate(text: &mut Vec<u8>, donor: &[u8], rng: &mut Rng) {
    let at = rng.below(text.len() + 1);
    let end = (at + rng.below(60)).min(text.len());
    match rng.below(7) {
        0 if at < text.len() => text[at] = rng.byte(),
        1 if at < text.len() => text[at] = *rng.pick(b"0123456789 :-\nkBPS\t"),
        2 => drop(text.drain(at..end)),
        3 => drop(text.splice(at..at, rng.pick(&WORDS).iter().copied())),
        4 => text.truncate(at),
        5 => {
            let from = rng.below(donor.len() + 1);
            let to = (from + rng.below(300)).min(donor.len());
            text.splice(at..end, donor[from..to].iter().copied());
        }
        _ => {
            let again = text[at..end].to_vec();
            text.splice(at..at, again);
        }
    }
}

#[test]
fn damaged_texts() {
    const ROUNDS: usize = 20_000;
    const TEXT_BYTES: usize = 3000;
    let mut rng = Rng::seeded();
    let corpus = corpus();
    for _ in 0..ROUNDS {
        let (name, text) = rng.pick(&corpus);
        let begin = rng.below(text.len().saturating_sub(TEXT_BYTES) + 1);
        let mut text = text[begin..text.len().min(begin + TEXT_BYTES)].to_vec();
        let donor = &rng.pick(&corpus).1;
        for _ in 0..=rng.below(5) {
            mutate(&mut text, donor, &mut rng);
        }
        let expected = naive::scan(&text);
        let shown = || format!("{name}\n{}", text.escape_ascii());
        assert_eq!(whole(&text), expected, "{}", shown());
        let chunks = random_chunks(&text, &mut rng);
        assert_eq!(in_chunks(chunks.iter().copied()), expected, "{chunks:?} of {}", shown());
    }
}

proptest! {
    /// Any bytes, cut anywhere: no panic, and both twins agree.
    #[test]
    fn any_bytes(text in proptest::collection::vec(any::<u8>(), 0..400), point in 0usize..400) {
        let (before, behind) = text.split_at(point.min(text.len()));
        prop_assert_eq!(in_chunks([before, behind]), naive::scan(&text));
    }

    /// Lines that look like smaps, with every width of key, number and unit.
    #[test]
    fn lines_like_smaps(
        lines in proptest::collection::vec(
            "(Rss|Pss|Swap|SwapPss|Private_Clean|Private_Dirty|Pss_Anon|KSM|[A-Z][a-z_]{0,20}):\
             [ \t]{0,20}[0-9]{0,21}( kB| mB|)", 0..12),
        point in 0usize..600,
    ) {
        let text = format!("Pss: 1 kB\nPrivate_Clean: 1 kB\nPrivate_Dirty: 1 kB\n{}",
            lines.join("\n")).into_bytes();
        let (before, behind) = text.split_at(point.min(text.len()));
        prop_assert_eq!(in_chunks([before, behind]), naive::scan(&text));
    }
}
