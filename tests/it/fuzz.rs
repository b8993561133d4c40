//! The fuzz targets on the stable compiler: every seed, then randomly damaged seeds for a second
//! per target. `scripts/fuzz.sh` runs them for hours, with coverage guidance if a nightly compiler
//! is installed.
//!
//! A failure saves its input in a file and prints the path. To reproduce it:
//!
//! ```text
//! PSM_FUZZ_INPUT=FILE cargo test --locked --test it fuzz::TARGET
//! ```

use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::targets::TARGETS;
use crate::support::{Rng, corpus, data, files, say};

/// Run time of each target; `PSM_FUZZ_SECONDS` overrides it.
const SECONDS: u64 = 1;
/// The longest input.
const INPUT_BYTES_MAX: usize = 8192;

/// Saves the input on which a target panics.
struct Keep<'a>(&'a str, &'a [u8]);

impl Drop for Keep<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}", self.0));
            let kept = std::fs::write(&file, self.1);
            say(&format!("{}: the input is in {}: {kept:?}", self.0, file.display()));
        }
    }
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let mut seeds = files(&data("seeds").join(target));
    // Miri is a thousand times slower.
    if ["mappings", "rollup", "scanner"].contains(&target) && !cfg!(miri) {
        seeds.extend(corpus());
    }
    seeds.into_iter().map(|(_, seed)| seed).collect()
}

fn fuzz(name: &str) {
    let (_, run) = TARGETS.iter().find(|target| target.0 == name).expect("a target");
    let try_one = |input: &[u8]| {
        let _keep = Keep(name, input);
        run(input);
    };
    if let Some(file) = std::env::var_os("PSM_FUZZ_INPUT") {
        return try_one(&std::fs::read(&file).expect("the input of PSM_FUZZ_INPUT"));
    }
    let seeds = seeds(name);
    seeds.iter().for_each(|seed| try_one(seed));
    let given = std::env::var("PSM_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let (seed, limit) = (Rng::seed(), Duration::from_secs(given.unwrap_or(SECONDS)));
    let (mut rng, mut runs, began) = (Rng::new(seed), 0, Instant::now());
    while began.elapsed() < limit {
        try_one(&damaged(&seeds, &mut rng));
        runs += 1;
    }
    let count = seeds.len();
    say(&format!("fuzz: {name}: {count} seeds, {runs} damaged ones from PSM_SEED={seed}"));
    assert!(runs > 0 || limit.is_zero(), "nothing was damaged");
}

/// A seed with a few changes, among them parts of another seed.
fn damaged(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut input = rng.pick(seeds).clone();
    for _ in 0..=rng.below(6) {
        let at = rng.below(input.len() + 1);
        let end = (at + rng.below(40)).min(input.len());
        match rng.below(7) {
            0 | 1 if at < input.len() => input[at] = rng.byte(),
            2 => drop(input.drain(at..end)),
            3 => input.truncate(at),
            4 => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            5 => drop(input.splice(at..at, [rng.byte(), rng.byte()])),
            _ => {
                let donor = rng.pick(seeds);
                let from = rng.below(donor.len() + 1);
                let to = (from + rng.below(200)).min(donor.len());
                input.splice(at..end, donor[from..to].iter().copied());
            }
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

#[test]
fn escape() {
    fuzz("escape");
}

#[test]
fn filter() {
    fuzz("filter");
}

#[test]
fn key() {
    fuzz("key");
}

#[test]
fn mappings() {
    fuzz("mappings");
}

#[test]
fn model_ring() {
    fuzz("model");
}

#[test]
fn name() {
    fuzz("name");
}

#[test]
fn rollup() {
    fuzz("rollup");
}

#[test]
fn scanner() {
    fuzz("scanner");
}

#[test]
fn walk() {
    fuzz("walk");
}
