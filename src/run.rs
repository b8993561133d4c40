//! The program as a sentence: open, list, survey, group, write, tell.
#![forbid(unsafe_code)]

use std::path::Path;
use std::time::{Duration, Instant};

use crate::cli::Options;
use crate::engine::{Patience, Survey, Surveyor, Tuning};
use crate::error::Error;
use crate::process::{Coverage, Glimpse, Plan, ProcFile, Source, TEXT_MAX};
use crate::program::{self, Order, Programs, SortKey, TimedOut};
use crate::report::{self, TableOptions, Unit, notes};
use crate::sys::proc_root::ProcRoot;
use crate::sys::ring::kernel::{DEPTH_MAX, Features};
use crate::sys::{host, stdio};
use crate::units::Pid;

/// Processes in flight for each worker. The submitting thread does not interrupt the workers, so
/// there must be enough to do until it gets a CPU.
const DEPTH_PER_WORKER: usize = 64;
/// The same when all of smaps is read: each takes far longer, and needs more room.
const SMAPS_DEPTH_PER_WORKER: usize = 16;

/// How a run ended that printed its report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything is in it, or nobody insisted.
    Printed,
    /// Memory of some process is missing, and `--strict` was given.
    Incomplete,
    /// A limit that the caller set was exceeded.
    Exceeded,
}

/// Measures, and prints the report that the options ask for.
///
/// # Errors
/// There is no report, or not all of it was written.
pub fn run(options: &Options) -> Result<Outcome, Error> {
    let mut clock = Clock::start();
    let root = open_root(&options.proc_root)?;
    let plan = plan(options)?;
    let pids = list(options, &root)?;
    clock.phase("list");
    let tuning = tuning(options, &plan);
    let mut surveyor = Surveyor::open(options.engine, &root, tuning)?;
    clock.phase("set up");
    let survey = surveyor.survey(&pids, &plan, &patience(options, &clock))?;
    clock.phase("survey");
    let coverage = survey.coverage();
    check_outcome(options, &coverage)?;
    let timed_out = glimpses(&root, &survey);
    let programs = program::group(survey.processes(), &timed_out, options.by, order(options));
    stdio::write_stdout(render(options, &programs).as_bytes()).map_err(Error::Output)?;
    clock.phase("report");
    tell(options, &surveyor, &survey, &timed_out, &clock);
    // Not dropped: requests to stuck processes may be in flight, and nothing may wait for them.
    std::mem::forget(surveyor);
    let is_incomplete = options.strict && coverage.unknown() > 0;
    Ok(if is_incomplete { Outcome::Incomplete } else { Outcome::Printed })
}

/// Opens the directory of processes.
pub(crate) fn open_root(path: &Path) -> Result<ProcRoot, Error> {
    ProcRoot::open(path).map_err(|errno| Error::NoProc(path.to_owned(), errno))
}

fn plan(options: &Options) -> Result<Plan, Error> {
    let usage = |message: &str| Err(Error::Usage(message.to_owned()));
    let source = match (options.heap, options.source) {
        (true, Source::Rollup) => {
            return usage("--heap needs full smaps: leave out --source rollup");
        }
        (false, _) if options.sort == SortKey::Heap => {
            return usage("--sort heap needs the figures of --heap: add --heap");
        }
        (true, _) => Source::Smaps,
        (false, source) => source,
    };
    Ok(Plan { name_rule: options.name, source, filter: options.filter.clone() })
}

fn list(options: &Options, root: &ProcRoot) -> Result<Vec<Pid>, Error> {
    if options.pid.is_empty() {
        return list_all(root);
    }
    let mut pids = options.pid.clone();
    pids.sort_unstable();
    pids.dedup();
    Ok(pids)
}

/// Lists every process. There is at least our own.
pub(crate) fn list_all(root: &ProcRoot) -> Result<Vec<Pid>, Error> {
    let path = || root.path().to_owned();
    let pids = root.pids().map_err(|errno| Error::Listing(path(), errno))?;
    if pids.is_empty() { Err(Error::NoProcesses(path())) } else { Ok(pids) }
}

fn tuning(options: &Options, plan: &Plan) -> Tuning {
    let number = |given: Option<u64>| given.and_then(|number| usize::try_from(number).ok());
    let workers = number(options.workers).unwrap_or_else(host::cpus);
    let depth = number(options.depth).unwrap_or_else(|| default_depth(workers, plan.source));
    Tuning { workers, depth, features: Features::ALL }
}

/// Processes in flight unless somebody says otherwise.
pub(crate) fn default_depth(workers: usize, source: Source) -> usize {
    let per_worker = match source {
        Source::Smaps => SMAPS_DEPTH_PER_WORKER,
        Source::Auto | Source::Rollup => DEPTH_PER_WORKER,
    };
    (workers * per_worker).min(DEPTH_MAX)
}

/// Processes asked for by id that are all not there are a mistake, not an empty report; nor is
/// it a report when every read failed.
fn check_outcome(options: &Options, coverage: &Coverage) -> Result<(), Error> {
    if !options.pid.is_empty() && coverage.gone == coverage.listed() {
        return Err(Error::NoSuchProcess(options.pid.clone()));
    }
    match coverage.first_failure {
        Some((pid, errno)) if coverage.measured == 0 => Err(Error::NothingRead(pid, errno)),
        _ => Ok(()),
    }
}

/// The deadline is the whole run's; a part of it has passed.
fn patience(options: &Options, clock: &Clock) -> Patience {
    let deadline = options.deadline.map(|time| time.saturating_sub(clock.elapsed()));
    Patience { stuck_after: options.stuck_after, deadline }
}

/// What `status` tells of the processes that were given up. It never blocks.
fn glimpses(root: &ProcRoot, survey: &Survey) -> Vec<TimedOut> {
    let glimpse = |pid: Pid| {
        let mut room = vec![0; TEXT_MAX];
        let path = ProcFile::Status.path(pid, None);
        let read =
            root.open_file(ProcFile::Status, &path).and_then(|mut file| file.read(&mut room));
        Glimpse::from_status(&room[..read.unwrap_or(0)])
    };
    survey.timed_out().map(|pid| TimedOut { pid, glimpse: glimpse(pid) }).collect()
}

fn order(options: &Options) -> Order {
    Order { key: options.sort, reverse: options.reverse, top: options.top }
}

fn render(options: &Options, programs: &Programs<'_>) -> String {
    if options.total {
        return report::total(programs, options.unit.unwrap_or(Unit::Bytes));
    }
    let unit = options.unit.unwrap_or_default();
    let Options { by: grouping, no_header, heap, .. } = *options;
    report::table(programs, TableOptions { grouping, unit, no_header, heap })
}

/// What there is to say besides the report goes to standard error.
fn tell(
    options: &Options,
    surveyor: &Surveyor,
    survey: &Survey,
    timed_out: &[TimedOut],
    clock: &Clock,
) {
    let coverage = survey.coverage();
    if options.stats {
        let (tuning, io) = (surveyor.tuning(), survey.io());
        let stats = notes::RunStats {
            engine: surveyor.kind().word(),
            fallback: surveyor.fallback().map(|errno| errno.to_string()),
            workers: tuning.workers,
            depth: tuning.depth,
            source: source_word(options),
            coverage,
            io: [io.operations, io.enters, io.reads, io.bytes],
            phases: clock.phases,
            cpu: host::cpu_times(),
            peak_rss: host::peak_rss(),
        };
        stdio::write_stderr(notes::stats(&stats).as_bytes());
    }
    if let Some(line) = notes::coverage(&coverage, timed_out, host::may_trace_others()) {
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
    run_began: Instant,
    began: Instant,
    phases: [(&'static str, Duration); 4],
    count: usize,
}

impl Clock {
    fn start() -> Clock {
        let now = Instant::now();
        Clock { run_began: now, began: now, phases: [("", Duration::ZERO); 4], count: 0 }
    }

    fn elapsed(&self) -> Duration {
        self.run_began.elapsed()
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
