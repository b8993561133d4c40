//! The scanner against its naive twin, a bare search for newlines over the same bytes, and the
//! usual parser (the crate `procfs`).
//!
//! `cargo bench --bench scanner`; with `--passes N smaps` it only scans, to be run under callgrind
//! (`scripts/instructions.sh`).

#![allow(clippy::print_stdout)]

mod harness;

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use harness::Labels;
use procfs_core::FromBufRead;
use procfs_core::process::MemoryMaps;
use psm_uring::commands::bench::harness::{Candidate, interleave};
use psm_uring::commands::bench::record::{
    Compared, Figure, Record, Run, Sample, Spread, TableColumn, ns, table,
};
use psm_uring::error::Error;
use psm_uring::smaps::{Field, Scanner, naive};
use serde_json::json;

/// The most that one `readv` of the ring returns: chunks of this size reach the scanner.
const CHUNK_BYTES: usize = 128 * 1024;

const CORPUS: &[u8] = include_bytes!("../tests/data/corpus/real-6.18.smaps");
const ROLLUP: &[u8] = include_bytes!("../tests/data/corpus/real-6.18.smaps_rollup");

const COLUMNS: [TableColumn; 3] = [
    ("smaps text", 26, |one| Some(one.run.name.clone())),
    ("GB/s", 8, |one| Some(format!("{:.2}", speed(one, |wall| wall.median)?))),
    ("slowest .. fastest", 22, |one| {
        Some(format!("{:.2} .. {:.2}", speed(one, |wall| wall.max)?, speed(one, |wall| wall.min)?))
    }),
];

/// Bytes per nanosecond.
fn speed(one: &Compared<'_>, wall: fn(&Spread) -> u64) -> Option<f64> {
    let wall = wall(one.run.figures.get(&Figure::WallNs)?);
    Some(one.run.median(Figure::Bytes)? / wall as f64)
}

/// Measure the scanner
#[derive(Debug, Parser)]
#[command(name = "scanner")]
struct Options {
    /// Scan the text N times and measure nothing
    #[arg(long, value_name = "N", requires = "text")]
    passes: Option<u32>,

    /// The text to scan: smaps or rollup
    text: Option<String>,

    /// Save the record to a file
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,

    #[command(flatten)]
    labels: Labels,

    /// Added by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), String> {
    // With the tests, the words are for the test runner.
    let words =
        if harness::is_test() { vec!["scanner".to_owned()] } else { std::env::args().collect() };
    let options = Options::parse_from(words);
    match (options.passes, options.text.as_deref()) {
        (Some(passes), Some("smaps")) => scan_only(CORPUS, passes),
        (Some(passes), Some("rollup")) => scan_only(ROLLUP, passes),
        (Some(_), text) => return Err(format!("{text:?} is neither smaps nor rollup")),
        (None, _) => measure(&options).map_err(|error| error.to_string())?,
    }
    Ok(())
}

/// Scans and does nothing else, so that callgrind counts the scanner alone.
fn scan_only(text: &[u8], passes: u32) {
    for _ in 0..passes {
        let mut scanner = Scanner::new();
        black_box(text).chunks(CHUNK_BYTES).for_each(|chunk| scanner.feed(chunk));
        assert!(black_box(scanner.finish()).is_ok(), "the corpus is sound");
    }
}

fn measure(options: &Options) -> Result<(), Error> {
    let (megabytes, rounds) = if harness::is_test() { (1, 1) } else { (8, 21) };
    let text = &text(megabytes << 20)[..];
    let expected = naive::scan(text).expect("the corpus is sound");
    let newlines = |text: &[u8]| memchr::memchr_iter(b'\n', text).fold(0, |sum, at| sum ^ at);
    let every_newline = newlines(text);
    let candidates = vec![
        candidate("newlines alone (memchr)", text, move |text| {
            assert_eq!(newlines(text), every_newline);
        }),
        candidate("scanner", text, move |text| {
            let mut scanner = Scanner::new();
            text.chunks(CHUNK_BYTES).for_each(|chunk| scanner.feed(chunk));
            assert_eq!(scanner.finish(), Ok(expected));
        }),
        candidate("scanner, naive twin", text, move |text| {
            assert_eq!(naive::scan(text), Ok(expected));
        }),
        candidate("procfs crate", text, move |text| {
            let maps = MemoryMaps::from_buf_read(text).expect("sound");
            let pss: u64 = maps.iter().filter_map(|map| map.extension.map.get("Pss")).sum();
            assert_eq!(Some(pss / 1024), expected.get(Field::Pss).map(|kib| kib.0));
        }),
    ];
    let runs = interleave(candidates, rounds, |_, _| Ok(()))?;
    let rows: Vec<_> = runs.iter().map(|run| Compared { run, base: None, floor: None }).collect();
    print!("{}", table(&COLUMNS, &rows));
    let Some(path) = &options.save else { return Ok(()) };
    let of = json!({ "bytes": text.len() });
    Record { about: options.labels.about(), of, runs }.save(path)
}

/// A pass over the text, timed. It panics when its answer is wrong.
fn candidate<'a>(name: &str, text: &'a [u8], pass: impl Fn(&[u8]) + 'a) -> Candidate<'a> {
    let measure = move || {
        let began = Instant::now();
        pass(black_box(text));
        let wall = ns(began.elapsed());
        Ok(Sample::from([(Figure::WallNs, wall), (Figure::Bytes, text.len() as u64)]))
    };
    (Run::new(name), Box::new(measure))
}

/// The mappings of the newest kernel in the corpus, again and again.
fn text(bytes: usize) -> Vec<u8> {
    CORPUS.iter().copied().cycle().take(bytes / CORPUS.len() * CORPUS.len()).collect()
}
