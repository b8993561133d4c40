//! The scanner against its naive twin, a bare search for newlines over the same bytes, and the
//! parser that others would take (the crate `procfs`).
//!
//! `cargo bench --bench scanner`; with `--passes N smaps` it only scans, to be run under callgrind
//! (`scripts/instructions.sh`).

#![allow(clippy::print_stdout)]

mod harness;

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use harness::about::{self, About, Labels};
use harness::{Candidate, Mode, Times, interleave};
use procfs_core::FromBufRead;
use procfs_core::process::MemoryMaps;
use psm_uring::smaps::{Field, Scanner, naive};
use serde::Serialize;

/// What one `readv` of the ring returns at the most: chunks of this size reach the scanner.
const CHUNK_BYTES: usize = 128 * 1024;

const CORPUS: &[u8] = include_bytes!("../tests/corpus/real-6.18.smaps");
const ROLLUP: &[u8] = include_bytes!("../tests/corpus/real-6.18.smaps_rollup");

/// Measure the scanner
#[derive(Debug, Parser)]
#[command(name = "scanner")]
struct Options {
    /// Measure nothing: scan the text so often
    #[arg(long, value_name = "N", requires = "text")]
    passes: Option<u32>,

    /// What to scan: smaps or rollup
    text: Option<String>,

    /// Keep the record in a file
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,

    #[command(flatten)]
    labels: Labels,

    /// Added by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), String> {
    // With the tests words are for others.
    let words = if Mode::of_this_run() == Mode::Measure {
        std::env::args().collect()
    } else {
        vec!["scanner".to_owned()]
    };
    let options = Options::parse_from(words);
    match (options.passes, options.text.as_deref()) {
        (Some(passes), Some("smaps")) => scan_only(CORPUS, passes),
        (Some(passes), Some("rollup")) => scan_only(ROLLUP, passes),
        (Some(_), text) => return Err(format!("{text:?} is neither smaps nor rollup")),
        (None, _) => measure(&options)?,
    }
    Ok(())
}

/// Scans and does nothing else: what callgrind counts is the scanner's.
fn scan_only(text: &[u8], passes: u32) {
    for _ in 0..passes {
        let mut scanner = Scanner::new();
        black_box(text).chunks(CHUNK_BYTES).for_each(|chunk| scanner.feed(chunk));
        assert!(black_box(scanner.finish()).is_ok(), "the corpus is sound");
    }
}

fn measure(options: &Options) -> Result<(), String> {
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
    let runs: Vec<Run<'_>> = fast
        .iter()
        .zip(&times)
        .map(|(candidate, times)| Run { name: candidate.name, wall_ns: times.nanoseconds() })
        .collect();
    print(text.len(), &fast, &times);
    let Some(path) = &options.save else { return Ok(()) };
    let about = About::this("psm-uring.scanner.v1", &options.labels);
    let json = about::to_json(&about, &Scanned { bytes: text.len() }, &runs);
    std::fs::write(path, json).map_err(|error| format!("{}: {error}", path.display()))
}

/// What was scanned, for the record.
#[derive(Serialize)]
struct Scanned {
    bytes: usize,
}

/// All rounds of one candidate, for the record.
#[derive(Serialize)]
struct Run<'a> {
    name: &'a str,
    wall_ns: Vec<u64>,
}

fn print(bytes: usize, candidates: &[Candidate<'_>], times: &[Times]) {
    println!("smaps text, {bytes} bytes, GB/s: median (slowest .. fastest)");
    for (candidate, times) in candidates.iter().zip(times) {
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
