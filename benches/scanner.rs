//! The scanner against its naive twin, a bare search for newlines over the same bytes, and the
//! parser that others would take (the crate `procfs`).
//!
//! `cargo bench --bench scanner`; with `--passes N smaps` it only scans, to be run under callgrind
//! (`scripts/instructions.sh`).

#![allow(clippy::print_stdout)]

mod harness;

use std::hint::black_box;
use std::time::Duration;

use harness::{Candidate, Mode, interleave};
use procfs_core::FromBufRead;
use procfs_core::process::MemoryMaps;
use psm_uring::smaps::{Field, Scanner, naive};

/// What one `readv` of the ring returns at the most: chunks of this size reach the scanner.
const CHUNK_BYTES: usize = 128 * 1024;

const CORPUS: &[u8] = include_bytes!("../tests/corpus/real-6.18.smaps");
const ROLLUP: &[u8] = include_bytes!("../tests/corpus/real-6.18.smaps_rollup");

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match &words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--passes", passes, "smaps"] => scan_only(CORPUS, passes),
        ["--passes", passes, "rollup"] => scan_only(ROLLUP, passes),
        _ => measure(),
    }
}

/// Scans and does nothing else: what callgrind counts is the scanner's.
fn scan_only(text: &[u8], passes: &str) {
    for _ in 0..passes.parse().expect("a number of passes") {
        let mut scanner = Scanner::new();
        black_box(text).chunks(CHUNK_BYTES).for_each(|chunk| scanner.feed(chunk));
        assert!(black_box(scanner.finish()).is_ok(), "the corpus is sound");
    }
}

fn measure() {
    let mode = Mode::of_this_run();
    let megabytes = if mode == Mode::Measure { 8 } else { 1 };
    let text = text(megabytes << 20);
    let expected = naive::scan(&text).expect("the corpus is sound");
    let newlines = |text: &[u8]| memchr::memchr_iter(b'\n', text).fold(0, |sum, at| sum ^ at);
    let every_newline = newlines(&text);
    let scan = |text: &[u8]| {
        let mut scanner = Scanner::new();
        text.chunks(CHUNK_BYTES).for_each(|chunk| scanner.feed(chunk));
        assert_eq!(scanner.finish(), Ok(expected));
    };
    let mut fast = [
        Candidate::new("newlines alone (memchr)", || {
            assert_eq!(newlines(black_box(&text)), every_newline);
        }),
        Candidate::new("scanner", || scan(black_box(&text))),
        Candidate::new("scanner, naive twin", || {
            assert_eq!(naive::scan(black_box(&text)), Ok(expected));
        }),
        Candidate::new("procfs crate", || {
            let maps = MemoryMaps::from_buf_read(black_box(&text[..])).expect("sound");
            let pss: u64 = maps.iter().filter_map(|map| map.extension.map.get("Pss")).sum();
            assert_eq!(Some(pss / 1024), expected.get(Field::Pss).map(|kib| kib.0));
        }),
    ];
    let times = interleave(&mut fast, mode.rounds(21));
    let bytes = text.len();
    println!("smaps text, {bytes} bytes, GB/s: median (slowest .. fastest)");
    for (candidate, times) in fast.iter().zip(&times) {
        let speed = |time: Duration| bytes as f64 / time.as_secs_f64() / 1e9;
        let (shortest, longest) = times.spread();
        println!(
            "{:<26}{:>8.2} ({:.2} .. {:.2})",
            candidate.name,
            speed(times.median()),
            speed(longest),
            speed(shortest)
        );
    }
}

/// The mappings of the newest kernel in the corpus, again and again.
fn text(bytes: usize) -> Vec<u8> {
    CORPUS.iter().copied().cycle().take(bytes / CORPUS.len() * CORPUS.len()).collect()
}
