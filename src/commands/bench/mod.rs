//! `psm-uring bench`: the engines against each other, and against what the kernel alone costs.
//!
//! - `floor`    the bare cost: open, read, close, no parsing
//! - `options` its command line
//! - `once`     one survey in a process of its own
//! - `record`   what was measured, kept as JSON and compared
//! - `table`    the same for people
//!
//! All candidates are measured in turn, round by round, so that a slow moment of the host meets
//! all of them; medians and ratios count, not single times.
#![forbid(unsafe_code)]

mod floor;
mod once;
mod options;
mod record;
mod table;

use std::path::Path;
use std::time::Duration;

use crate::engine::{EngineKind, Surveyor, Tuning};
use crate::error::Error;
use crate::process::Source;
use crate::run::{Outcome, ProgressLine, list_all, open_root};
use crate::sys::proc_root::ProcRoot;
use crate::sys::stdio;
use crate::units::Errno;

use self::once::Once;
pub(crate) use self::options::BenchOptions;
use self::record::Record;

/// A survey that leaves this much more of the processes unmeasured than another did less work.
const LACKING_MAX: f64 = 0.05;
/// Each survey lists anew and processes come and go; so many less than another measured, and this
/// part of all besides, may be chance.
const CHANCE: (f64, f64) = (8.0, 0.25);
/// What is measured unless somebody says otherwise.
const ENGINES: [EngineKind; 3] = [EngineKind::Uring, EngineKind::Threads, EngineKind::Sync];

/// One engine with its parameters, and what each round took.
struct Candidate {
    kind: EngineKind,
    tuning: Tuning,
    rounds: Vec<Once>,
}

/// Measures, prints, keeps and compares, as the options say.
///
/// # Errors
/// No engine could be opened or read, the engines did not do the same work, a file could not be
/// read or written, or there is nothing to compare with.
pub(crate) fn bench(options: &BenchOptions) -> Result<Outcome, Error> {
    let root = open_root(&options.proc_root)?;
    let ring = || {
        let tuning = Tuning::new(Some(1), Some(1), Source::Rollup);
        match Surveyor::open(EngineKind::Uring, &root, tuning) {
            Err(Error::Ring(errno)) => Err(errno),
            _ => Ok(()),
        }
    };
    let (engines, left_out) = engines(&options.engines, ring)?;
    let candidates = candidates(&engines, options);
    if let ([candidate], true) = (&candidates[..], options.once) {
        return print(&Once::measure(candidate, options)?.to_json());
    }
    left_out.as_deref().map(tell);
    let before = options.against.as_deref().map(|path| before(path, options, &candidates));
    let before = before.transpose()?;
    let record = measure(options, &root, candidates)?;
    if let Some(path) = &options.save {
        record.save(path)?;
    }
    print(&if options.json { record.to_json() } else { table::table(&record) })?;
    let worse =
        before.map_or_else(Vec::new, |before| record.worse_than(&before, options.max_ratio));
    worse.iter().for_each(|line| tell(line));
    Ok(if worse.is_empty() { Outcome::Printed } else { Outcome::Exceeded })
}

fn print(text: &str) -> Result<Outcome, Error> {
    stdio::write_stdout(text.as_bytes()).map_err(Error::Output)?;
    Ok(Outcome::Printed)
}

fn tell(line: &str) {
    stdio::write_stderr(format!("psm-uring: {line}\n").as_bytes());
}

/// The engines to measure, and a word about `uring` when it cannot be had. That is an error only
/// when it was asked for by name.
fn engines(
    asked: &[EngineKind],
    ring: impl FnOnce() -> Result<(), Errno>,
) -> Result<(Vec<EngineKind>, Option<String>), Error> {
    let wanted = if asked.is_empty() { &ENGINES } else { asked };
    let wants_ring = |kind: &EngineKind| matches!(kind, EngineKind::Auto | EngineKind::Uring);
    let refused = if wanted.iter().any(wants_ring) { ring().err() } else { None };
    let why = refused.map(Error::no_ring);
    let auto = if refused.is_some() { EngineKind::Threads } else { EngineKind::Uring };
    let mut engines = Vec::new();
    for kind in wanted.iter().map(|kind| if *kind == EngineKind::Auto { auto } else { *kind }) {
        match &why {
            Some(why) if kind == EngineKind::Uring && !asked.is_empty() => {
                return Err(Error::Bench(format!("{why}, or leave uring out of --engines")));
            }
            Some(_) if kind == EngineKind::Uring => {}
            _ if engines.contains(&kind) => {}
            _ => engines.push(kind),
        }
    }
    let is_left_out = wanted.contains(&EngineKind::Uring);
    let left_out = why.filter(|_| is_left_out).map(|why| format!("uring is left out: {why}"));
    Ok((engines, left_out))
}

/// Every engine with every number of workers, `uring` also with every depth.
fn candidates(engines: &[EngineKind], options: &BenchOptions) -> Vec<Candidate> {
    let given = |list: &[usize]| match list {
        [] => vec![None],
        list => list.iter().copied().map(Some).collect(),
    };
    let mut candidates: Vec<Candidate> = Vec::new();
    for kind in engines {
        let workers = match kind {
            EngineKind::Sync => vec![Some(1)],
            _ => given(&options.workers),
        };
        for workers in workers {
            let depths = match kind {
                EngineKind::Uring => given(&options.depth),
                _ => vec![Some(1)],
            };
            for depth in depths {
                let tuning = Tuning::new(workers, depth, options.source);
                candidates.push(Candidate { kind: *kind, tuning, rounds: Vec::new() });
            }
        }
    }
    candidates
}

/// The record to compare with: of the same source, with something in common.
fn before(path: &Path, options: &BenchOptions, candidates: &[Candidate]) -> Result<Record, Error> {
    let record = Record::load(path)?;
    let source = source_word(options.source);
    if record.source != source {
        let why = format!("it measured --source {}, this run {source}", record.source);
        return Err(Error::file("compare", path, &why));
    }
    let now: Vec<String> = candidates.iter().map(Candidate::label).collect();
    let then = record.labels();
    let missing: Vec<&String> = now.iter().filter(|label| !then.contains(label)).collect();
    if missing.len() == now.len() {
        let why = format!("no engine, workers and depth in common, it has {}", then.join("; "));
        return Err(Error::file("compare", path, &why));
    }
    let file = path.display();
    for label in missing {
        tell(&format!("not compared: {label} is not in {file}"));
    }
    for label in then.iter().filter(|label| !now.contains(label)) {
        tell(&format!("not compared: {label} of {file} is not measured now"));
    }
    Ok(record)
}

fn measure(
    options: &BenchOptions,
    root: &ProcRoot,
    mut candidates: Vec<Candidate>,
) -> Result<Record, Error> {
    let mut floor: Vec<Duration> = Vec::new();
    let mut progress = ProgressLine::new();
    let rounds = options.rounds;
    let mut listed = 0;
    // The first round warms up: it is measured and thrown away.
    for round in 0..=rounds {
        let mut measured = Vec::new();
        for candidate in &mut candidates {
            progress.show(|| format!("round {round} of {rounds}: {}", candidate.label()));
            let once = Once::run(candidate, options)?;
            measured.push((candidate.kind, once.measured, once.unknown));
            candidate.rounds.push(once);
        }
        check_same_work(&measured)?;
        progress.show(|| format!("round {round} of {rounds}: floor"));
        let pids = list_all(root)?;
        listed = pids.len();
        floor.push(floor::measure(root, &pids, options.source));
        if round == 0 {
            candidates.iter_mut().for_each(|candidate| candidate.rounds.clear());
            floor.clear();
        }
    }
    drop(progress);
    Ok(Record::new(options.source, listed, floor, &candidates))
}

impl Candidate {
    /// What tells it from others, also in records.
    fn label(&self) -> String {
        let depth = (self.kind == EngineKind::Uring).then_some(self.tuning.depth);
        record::label(self.kind.word(), self.tuning.workers, depth)
    }
}

/// A benchmark that does not check its answer measures nothing. Each engine with the processes
/// that it measured and those that it should have.
fn check_same_work(round: &[(EngineKind, usize, usize)]) -> Result<(), Error> {
    let part = |measured: usize, unknown: usize| measured as f64 / (measured + unknown) as f64;
    let most = round.iter().map(|(_, measured, _)| *measured).max().unwrap_or(0);
    let best = round.iter().map(|(_, measured, unknown)| part(*measured, *unknown));
    let best = best.fold(0.0, f64::max);
    for (kind, measured, unknown) in round {
        let lacking = (most - measured) as f64 > CHANCE.0 + CHANCE.1 * most as f64;
        if most == 0 || lacking || best - part(*measured, *unknown) > LACKING_MAX {
            return Err(Error::NotTheSame(kind.word(), *measured, most));
        }
    }
    Ok(())
}

/// The word of the source, for records.
fn source_word(source: Source) -> &'static str {
    match source {
        Source::Auto | Source::Rollup => "rollup",
        Source::Smaps => "smaps",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use EngineKind::{Auto, Sync, Threads, Uring};

    #[test]
    fn uring_is_left_out_where_it_is_forbidden() {
        let forbidden = || Err(Errno::PERM);
        let (found, why) = engines(&[], forbidden).expect("nobody insisted");
        assert_eq!(found, [Threads, Sync]);
        let why = why.expect("a word about it");
        assert!(why.starts_with("uring is left out: io_uring cannot be used: Oper"), "{why}");
        let found = engines(&[Auto, Threads], forbidden).expect("auto is not by name");
        assert_eq!(found, (vec![Threads], None));
        let error = engines(&[Uring], forbidden).expect_err("it was asked for by name");
        assert!(error.to_string().ends_with(", or leave uring out of --engines"), "{error}");
    }

    #[test]
    fn engines_are_measured_once_each() {
        assert_eq!(engines(&[], || Ok(())).expect("all").0, ENGINES);
        assert_eq!(engines(&[Auto, Uring, Sync], || Ok(())).expect("all").0, [Uring, Sync]);
        let no_ring = || panic!("nobody wants a ring");
        assert_eq!(engines(&[Sync], no_ring).expect("no ring").0, [Sync]);
    }

    #[test]
    fn a_round_that_lacks_processes_is_no_round() {
        for round in [[(Uring, 100, 0), (Sync, 96, 4)], [(Uring, 100, 9), (Sync, 70, 7)]] {
            assert!(check_same_work(&round).is_ok(), "{round:?}");
        }
        for round in [
            &[(Uring, 100, 0), (Sync, 94, 6)][..],
            &[(Uring, 94, 6), (Sync, 100, 0)],
            &[(Uring, 100, 0), (Sync, 66, 0)],
            &[(Sync, 0, 0)],
            &[(Sync, 0, 9)],
        ] {
            assert!(check_same_work(round).is_err(), "{round:?}");
        }
    }
}
