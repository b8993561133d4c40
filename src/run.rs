//! The program as a sentence: open, list, survey, group, write, tell.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use bumpalo::Bump;

use crate::cli::Options;
use crate::engine::{self, Opened, Survey, Tuning};
use crate::error::Error;
use crate::process::{Coverage, Plan, Source};
use crate::program::{self, Order, Programs};
use crate::report::{self, TableOptions, Unit, notes};
use crate::sys::proc_root::ProcRoot;
use crate::sys::ring::kernel::{Features, SLOTS_MAX};
use crate::sys::{host, stdio};
use crate::units::Pid;

/// Processes in flight for each worker. The submitting thread does not interrupt the workers, so
/// there must be enough to do until it gets a CPU.
const DEPTH_PER_WORKER: usize = 64;
/// The same when all of smaps is read: each takes far longer, and needs more room.
const SMAPS_DEPTH_PER_WORKER: usize = 16;

/// Measures, and prints the report that the options ask for.
///
/// # Errors
/// There is no report, or not all of it was written.
pub fn run(options: &Options) -> Result<(), Error> {
    let mut clock = Clock::start();
    let root = open_root(options)?;
    let plan = plan(options)?;
    let pids = list(options, &root)?;
    clock.phase("list");
    let tuning = tuning(options, &plan);
    let mut opened = engine::open(options.engine, &root, tuning)?;
    clock.phase("set up");
    let arena = Bump::new();
    let survey = opened.engine.survey(&pids, &plan, &arena)?;
    clock.phase("survey");
    check_selection(options, &survey.coverage)?;
    let programs = program::group(&survey.processes, options.by, order(options));
    stdio::write_stdout(render(options, &programs).as_bytes()).map_err(Error::Output)?;
    clock.phase("report");
    tell(options, &opened, tuning, &survey, &clock);
    Ok(())
}

fn open_root(options: &Options) -> Result<ProcRoot, Error> {
    let path = &options.proc_root;
    ProcRoot::open(path).map_err(|errno| Error::NoProc(path.clone(), errno))
}

fn plan(options: &Options) -> Result<Plan, Error> {
    let source = match (options.heap, options.source) {
        (true, Source::Rollup) => {
            return Err(Error::Usage(
                "--heap needs full smaps: leave out --source rollup".to_owned(),
            ));
        }
        (true, _) => Source::Smaps,
        (false, source) => source,
    };
    Ok(Plan { name_rule: options.name, source, filter: options.filter.clone() })
}

fn list(options: &Options, root: &ProcRoot) -> Result<Vec<Pid>, Error> {
    if options.pid.is_empty() {
        let path = &options.proc_root;
        return root.pids().map_err(|errno| Error::Listing(path.clone(), errno));
    }
    let mut pids = options.pid.clone();
    pids.sort_unstable();
    pids.dedup();
    Ok(pids)
}

fn tuning(options: &Options, plan: &Plan) -> Tuning {
    let number = |given: Option<u64>| given.and_then(|number| usize::try_from(number).ok());
    let workers = number(options.workers).unwrap_or_else(host::cpus);
    let per_worker = match plan.source {
        Source::Smaps => SMAPS_DEPTH_PER_WORKER,
        Source::Auto | Source::Rollup => DEPTH_PER_WORKER,
    };
    let depth = number(options.depth).unwrap_or(workers * per_worker).min(SLOTS_MAX);
    Tuning { workers, depth, features: Features::ALL }
}

/// Processes asked for by id that are all not there are a mistake, not an empty report.
fn check_selection(options: &Options, coverage: &Coverage) -> Result<(), Error> {
    if !options.pid.is_empty() && coverage.gone == coverage.listed() {
        return Err(Error::NoSuchProcess(options.pid.clone()));
    }
    Ok(())
}

fn order(options: &Options) -> Order {
    Order { key: options.sort, reverse: options.reverse, top: options.top }
}

fn render(options: &Options, programs: &Programs<'_>) -> String {
    if options.total {
        return report::total(programs, options.unit.unwrap_or(Unit::Bytes));
    }
    let unit = options.unit.unwrap_or_default();
    let table = TableOptions { unit, no_header: options.no_header, heap: options.heap };
    report::table(programs, table)
}

/// What there is to say besides the report goes to standard error.
fn tell(options: &Options, opened: &Opened, tuning: Tuning, survey: &Survey<'_>, clock: &Clock) {
    if options.stats {
        let stats = notes::RunStats {
            engine: opened.kind.word(),
            fallback: opened.fallback.map(|errno| errno.to_string()),
            workers: tuning.workers,
            depth: tuning.depth,
            source: source_word(options),
            coverage: survey.coverage,
            io: survey.io,
            phases: clock.phases,
            cpu: host::cpu_times(),
            peak_rss_kib: host::peak_rss_kib(),
        };
        stdio::write_stderr(notes::stats(&stats).as_bytes());
    }
    if let Some(line) = notes::coverage(&survey.coverage) {
        stdio::write_stderr(format!("psm-uring: {line}\n").as_bytes());
    }
}

fn source_word(options: &Options) -> &'static str {
    match options.source {
        Source::Smaps => "smaps",
        _ if options.heap => "smaps",
        Source::Rollup => "smaps_rollup",
        Source::Auto => "smaps_rollup, smaps where there is none",
    }
}

/// The time of each phase.
struct Clock {
    began: Instant,
    phases: [(&'static str, Duration); 4],
    count: usize,
}

impl Clock {
    fn start() -> Clock {
        Clock { began: Instant::now(), phases: [("", Duration::ZERO); 4], count: 0 }
    }

    /// Ends the phase that began with the one before.
    fn phase(&mut self, name: &'static str) {
        let now = Instant::now();
        if let Some(phase) = self.phases.get_mut(self.count) {
            *phase = (name, now - self.began);
        }
        self.began = now;
        self.count += 1;
    }
}
