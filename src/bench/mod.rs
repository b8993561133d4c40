//! `psm-uring bench`: the engines against each other, and against what the kernel alone costs.
//!
//! - `floor`  the bare cost: open, read, close, no parsing
//! - `record` what was measured, kept as JSON and compared
//! - `table`  the same for people
//!
//! All candidates are measured in turn, round by round, so that a slow moment of the host meets
//! all of them; medians and ratios count, not single times.
#![forbid(unsafe_code)]

mod floor;
mod record;
mod table;

use std::time::{Duration, Instant};

use crate::cli::BenchOptions;
use crate::engine::{EngineKind, Patience, Surveyor, Tuning};
use crate::error::Error;
use crate::process::{Plan, Source};
use crate::run::{Outcome, default_depth, list_all, open_root};
use crate::sys::proc_root::ProcRoot;
use crate::sys::ring::kernel::Features;
use crate::sys::{host, stdio};
use crate::units::Pid;

use self::record::{Figures, Host, Record};

/// A survey that lacks more than this part of what another measured did not do the same work.
const LACKING_MAX: f64 = 0.05;
/// Progress is shown when the whole takes longer than this.
const PROGRESS_AFTER: Duration = Duration::from_secs(1);
/// Healthy hosts only: a stuck process would be waited for in every round.
const STUCK_AFTER: Duration = Duration::from_secs(2);

/// One engine with its parameters.
struct Candidate {
    kind: EngineKind,
    tuning: Tuning,
    times: Vec<Duration>,
    figures: Figures,
}

/// Measures, prints, keeps and compares, as the options say.
///
/// # Errors
/// No engine could be opened or read, the engines did not do the same work, or a file could not
/// be read or written.
pub fn bench(options: &BenchOptions) -> Result<Outcome, Error> {
    host::prefer_throughput();
    let root = open_root(&options.proc_root)?;
    let before = options.against.as_deref().map(Record::load).transpose()?;
    let record = measure(options, &root)?;
    let text = if options.json { record.to_json() } else { table::table(&record) };
    stdio::write_stdout(text.as_bytes()).map_err(Error::Output)?;
    if let Some(path) = &options.save {
        record.save(path)?;
    }
    let worse =
        before.map_or_else(Vec::new, |before| record.worse_than(&before, options.max_ratio));
    for line in &worse {
        stdio::write_stderr(format!("psm-uring: {line}\n").as_bytes());
    }
    Ok(if worse.is_empty() { Outcome::Printed } else { Outcome::Exceeded })
}

fn measure(options: &BenchOptions, root: &ProcRoot) -> Result<Record, Error> {
    let plan = Plan { source: options.source, ..Plan::default() };
    let mut candidates = candidates(options);
    let mut floor = Vec::new();
    let mut progress = Progress::new(options.rounds);
    let mut listed = 0;
    // The first round warms up: it is measured and thrown away.
    for round in 0..=options.rounds {
        let pids = list_all(root)?;
        listed = pids.len();
        for candidate in &mut candidates {
            candidate.measure(root, &plan, &pids)?;
        }
        floor.push(floor::measure(root, &pids, options.source));
        if round == 0 {
            candidates.iter_mut().for_each(|candidate| candidate.times.clear());
            floor.clear();
        }
        progress.show(round);
    }
    progress.clear();
    check_same_work(&candidates)?;
    let host = Host::this();
    let source = plan.source;
    Ok(Record::new(host, source, listed, floor, candidates))
}

/// Every engine with every number of workers, `uring` also with every depth.
fn candidates(options: &BenchOptions) -> Vec<Candidate> {
    let given = |list: &[usize], usual: usize| match list {
        [] => vec![usual],
        list => list.to_vec(),
    };
    let mut candidates = Vec::new();
    for kind in &options.engines {
        let workers = match kind {
            EngineKind::Sync => vec![1],
            _ => given(&options.workers, host::cpus()),
        };
        for workers in workers {
            let usual = default_depth(workers, options.source);
            let depths = match kind {
                EngineKind::Auto | EngineKind::Uring => given(&options.depth, usual),
                EngineKind::Threads | EngineKind::Sync => vec![1],
            };
            candidates
                .extend(depths.into_iter().map(|depth| Candidate::new(*kind, workers, depth)));
        }
    }
    candidates
}

impl Candidate {
    fn new(kind: EngineKind, workers: usize, depth: usize) -> Candidate {
        let tuning = Tuning { workers, depth, features: Features::ALL };
        Candidate { kind, tuning, times: Vec::new(), figures: Figures::default() }
    }

    /// Sets the engine up and surveys once, as a run of the program does.
    fn measure(&mut self, root: &ProcRoot, plan: &Plan, pids: &[Pid]) -> Result<(), Error> {
        let began = Instant::now();
        let mut surveyor = Surveyor::open(self.kind, root, self.tuning)?;
        let patience = Patience { stuck_after: STUCK_AFTER, deadline: None };
        let survey = surveyor.survey(pids, plan, &patience)?;
        self.times.push(began.elapsed());
        self.figures = Figures::of(surveyor.kind(), self.tuning, &survey);
        Ok(())
    }
}

/// A benchmark that does not check its answer measures nothing.
fn check_same_work(candidates: &[Candidate]) -> Result<(), Error> {
    let measured = |candidate: &Candidate| candidate.figures.measured;
    let most = candidates.iter().map(measured).max().unwrap_or(0);
    for candidate in candidates {
        let lacking = most - measured(candidate);
        if most == 0 || lacking as f64 > most as f64 * LACKING_MAX {
            return Err(Error::NotTheSame(candidate.kind.word(), measured(candidate), most));
        }
    }
    Ok(())
}

/// A line on standard error while it takes long, and only for somebody who watches.
struct Progress {
    began: Instant,
    rounds: usize,
    is_shown: bool,
}

impl Progress {
    fn new(rounds: usize) -> Progress {
        Progress { began: Instant::now(), rounds, is_shown: false }
    }

    fn show(&mut self, round: usize) {
        if self.began.elapsed() >= PROGRESS_AFTER && stdio::stderr_is_terminal() {
            self.is_shown = true;
            stdio::write_stderr(format!("\r\x1b[Kround {round} of {}", self.rounds).as_bytes());
        }
    }

    fn clear(&self) {
        if self.is_shown {
            stdio::write_stderr(b"\r\x1b[K");
        }
    }
}

/// The word of the source, for records.
fn source_word(source: Source) -> &'static str {
    match source {
        Source::Auto | Source::Rollup => "rollup",
        Source::Smaps => "smaps",
    }
}
