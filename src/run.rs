//! The program as a sentence: open, list, survey, group, write, tell.
//!
//! - `columns` which columns there are, and which memory file they need
//! - `output`  which form, and where to
//! - `users`   which users are asked for, and their names
//! - `progress` a line for somebody who watches
//! - `sharing` which processes run in the memory of others
#![forbid(unsafe_code)]

mod columns;
mod output;
mod progress;
mod sharing;
mod users;

use std::mem::ManuallyDrop;

use std::path::Path;
use std::time::{Duration, Instant};

use regex::bytes::Regex;

pub(crate) use self::progress::Progress;
use crate::cli::{Options, User, word_of};
use crate::engine::{Patience, Survey, Surveyor, Tuning};
use crate::error::Error;
use crate::process::{Coverage, Fate, Glimpse, NameRule, Plan, ProcFile, Source};
use crate::program::{self, Column, Found, Labels, Ledger, Order, Programs, TimedOut, Usage};
use crate::report::notes::{Access, Missing};
use crate::report::{self, Facts, Format, Report};
use crate::sys;
use crate::sys::clock;
use crate::sys::host::{self, Privileges};
use crate::sys::proc_root::ProcRoot;
use crate::sys::stdio;
use crate::units::{Errno, Pid};

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
    output::check(options)?;
    let columns = columns::columns(options)?;
    let needs = |column| options.sort == column || columns.contains(&column);
    let needs_owner = options.by.needs_owner() || needs(Column::User);
    let needs_cgroup = options.by.needs_cgroup() || needs(Column::Cgroup);
    let (users, user_names) = users::find(options, needs_owner, &root)?;
    let plan = Plan { owner: needs_owner, cgroup: needs_cgroup, ..plan(options, &columns, users)? };
    let pids = list(options, &root)?;
    clock.phase("list");
    let tuning = tuning(options, &plan);
    // Never dropped: requests to stuck processes may be in flight, and nothing may wait for them.
    let mut surveyor = ManuallyDrop::new(Surveyor::open(options.engine, &root, tuning)?);
    clock.phase("set up");
    let survey = progress::survey(&mut surveyor, &pids, &plan, &patience(options, &clock))?;
    clock.phase("survey");
    let is_over = options.deadline.is_some_and(|deadline| clock.elapsed() >= deadline);
    let (coverage, unmeasured) = (survey.coverage(), survey.missing());
    let privileges = host::privileges();
    let hidepid = hidepid(options, &root, &coverage, privileges);
    check_outcome(options, &coverage, &unmeasured, hidepid.as_deref())?;
    let timed_out = glimpses(&root, &unmeasured);
    let labels = Labels::of(survey.processes(), options.by, &user_names);
    let rows = with_row(&plan, &timed_out, &labels);
    let sharing = sharing::find(&root, &survey, patience(options, &clock).deadline);
    let found = Found { unknown: coverage.unknown(), timed_out: &rows, sharing: &sharing };
    let processes = survey.processes().map(|process| labels.apply(process));
    let mut programs = program::group(processes, found, options.by, order(options));
    programs.users = Some(&user_names);
    let missing = Missing {
        coverage,
        processes: &unmeasured,
        timed_out: &timed_out,
        is_over,
        is_by_pid: !options.pid.is_empty(),
        filter: options.filter.as_ref().map(Regex::as_str),
        users: &user_words(options),
        hidepid: hidepid.as_deref(),
        access: access(privileges),
    };
    let ledger = ledger(options, &root, programs.total)?;
    let notes = notes(options, &columns, &missing, &programs);
    let report = Report {
        programs: &programs,
        grouping: options.by,
        is_total: options.total,
        columns: &columns,
        has_owner: plan.owner,
        has_cgroup: plan.cgroup,
        missing: &missing,
        notes: &notes,
        host: ledger.as_ref(),
        facts: &facts(options, &surveyor, &clock),
    };
    output::write(options, &report)?;
    clock.phase("report");
    if options.stats {
        tell_stats(plan.source, &surveyor, &survey, &clock);
    }
    for line in notes {
        stdio::write_stderr(format!("psm-uring: {line}\n").as_bytes());
    }
    let is_incomplete = options.strict && !missing.is_complete();
    Ok(if is_incomplete { Outcome::Incomplete } else { Outcome::Printed })
}

/// Opens the directory of processes.
pub(crate) fn open_root(path: &Path) -> Result<ProcRoot, Error> {
    ProcRoot::open(path).map_err(|errno| Error::NoProc(path.to_owned(), errno))
}

fn plan(options: &Options, columns: &[Column], users: Vec<u32>) -> Result<Plan, Error> {
    let source = columns::source(options, columns)?;
    let filter = options.filter.clone();
    // A name that nobody sees is not worth a look into the memory of the process.
    let is_named = options.by.needs_name() || filter.is_some();
    let name_rule = if is_named { options.name } else { NameRule::Comm };
    Ok(Plan { name_rule, source, filter, users, ..Plan::default() })
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
    Tuning::new(options.workers, options.depth, plan.source)
}

/// The mount option of proc that may keep processes out of the report: all that were not listed,
/// or those asked for by id that are not there.
fn hidepid(
    options: &Options,
    root: &ProcRoot,
    coverage: &Coverage,
    privileges: Privileges,
) -> Option<String> {
    let is_asked = options.pid.is_empty() || coverage.gone > 0;
    is_asked.then(|| root.hidepid(privileges)).flatten()
}

/// Nobody there is a mistake, not an empty report; nor is it a report when every read failed.
fn check_outcome(
    options: &Options,
    coverage: &Coverage,
    missing: &[(Pid, Fate)],
    hidepid: Option<&str>,
) -> Result<(), Error> {
    let Coverage { measured, kernel_threads, gone, failed, .. } = *coverage;
    let listed = coverage.listed();
    if gone == listed && options.pid.is_empty() {
        return Err(Error::NoProcesses(options.proc_root.clone()));
    }
    if gone == listed {
        let pids = options.pid.clone();
        return Err(match hidepid {
            Some(option) => Error::Hidden(pids, option.to_owned()),
            None => Error::NoSuchProcess(pids),
        });
    }
    let failure = missing.iter().find_map(|(pid, fate)| match fate {
        Fate::Failed(errno) => Some((*pid, *errno)),
        _ => None,
    });
    match failure {
        Some((_, Errno::NOENT)) if measured == 0 && options.source == Source::Rollup => {
            Err(Error::NoRollup)
        }
        // Threads of the kernel are told without a read of theirs.
        Some((pid, errno)) if failed + gone + kernel_threads == listed => {
            Err(Error::NothingRead(pid, errno))
        }
        _ => Ok(()),
    }
}

/// The deadline is the whole run's; a part of it has passed.
fn patience(options: &Options, clock: &Clock) -> Patience {
    let deadline = options.deadline.map(|time| time.saturating_sub(clock.elapsed()));
    Patience { stuck_after: options.stuck_after, deadline }
}

/// What `status` tells of the processes that were given up. It never blocks.
fn glimpses(root: &ProcRoot, missing: &[(Pid, Fate)]) -> Vec<TimedOut> {
    let status = |pid| root.read_once(ProcFile::Status, pid).unwrap_or_default();
    let timed_out = |(pid, _): &(Pid, Fate)| {
        let glimpse = Glimpse::from_status(&status(*pid));
        TimedOut { pid: *pid, name: glimpse.comm.clone(), glimpse }
    };
    missing.iter().filter(|(_, fate)| *fate == Fate::TimedOut).map(timed_out).collect()
}

/// Those that have a row though their memory is not known. The name that a filter wants may not be
/// known either: then comm stands for it. The others are told on standard error.
fn with_row(plan: &Plan, timed_out: &[TimedOut], labels: &Labels<'_>) -> Vec<TimedOut> {
    let is_match = |comm: &[u8]| plan.filter.as_ref().is_none_or(|filter| filter.is_match(comm));
    let is_wanted =
        |one: &&TimedOut| is_match(&one.glimpse.comm) && plan.selects_owner(one.glimpse.uid);
    let label = |one: &TimedOut| TimedOut { name: labels.of_glimpse(&one.glimpse), ..one.clone() };
    timed_out.iter().filter(is_wanted).map(label).collect()
}

/// The users as they were asked for.
fn user_words(options: &Options) -> String {
    options.user.iter().map(User::to_string).collect::<Vec<_>>().join(",")
}

fn order(options: &Options) -> Order {
    let is_bounded = options.format() == Format::OpenMetrics;
    let top = options.top.or_else(|| is_bounded.then_some(report::ROWS_USUAL));
    Order { key: options.sort, reverse: options.reverse, top }
}

/// What this user may look at.
fn access(may: Privileges) -> Access {
    match may {
        _ if may.is_in_user_namespace => Access::Namespaced,
        _ if may.may_trace => Access::Full,
        _ if may.is_root => Access::RootWithout,
        _ if may.may_perfmon => Access::Perfmon,
        _ => Access::Ordinary,
    }
}

/// The memory of the machine beside that of the programs, if it is asked for.
fn ledger(options: &Options, root: &ProcRoot, sum: Option<Usage>) -> Result<Option<Ledger>, Error> {
    if !options.summary {
        return Ok(None);
    }
    let path = || root.path().join("meminfo");
    let looked = sys::machine::look(root);
    let machine = looked.map_err(|errno| Error::NoMeminfo(path(), errno))?;
    Ok(Some(Ledger::new(&machine, sum)))
}

/// What there is to say besides the report, for standard error.
fn notes(
    options: &Options,
    columns: &[Column],
    missing: &Missing<'_>,
    programs: &Programs<'_>,
) -> Vec<String> {
    let mut lines = missing.lines();
    let is_swap = |column: &Column| matches!(column, Column::Swap | Column::Footprint);
    let is_shown = columns.iter().any(is_swap) && !options.total;
    if programs.swap_is_unshared && is_shown {
        let why = "this kernel has no SwapPss (4.3 or newer has)";
        lines.push(format!("SWAPPED counts shared pages whole in each process: {why}"));
    }
    lines
}

fn facts(options: &Options, surveyor: &Surveyor, clock: &Clock) -> Facts {
    let (host, kernel) = host::name_and_kernel();
    Facts {
        version: env!("CARGO_PKG_VERSION"),
        host,
        kernel,
        engine: surveyor.kind().word(),
        fallback: surveyor.fallback().map(|errno| errno.to_string()),
        source: word_of(&options.source),
        by: word_of(&options.by),
        name: word_of(&options.name),
        started: clock.started,
        started_at: clock::utc(clock.started),
        duration: clock.elapsed(),
    }
}

fn tell_stats(source: Source, surveyor: &Surveyor, survey: &Survey, clock: &Clock) {
    let (tuning, io) = (surveyor.tuning(), survey.io());
    let stats = report::RunStats {
        engine: surveyor.kind().word(),
        fallback: surveyor.fallback().map(|errno| errno.to_string()),
        workers: tuning.workers,
        depth: tuning.depth,
        source: source_words(source),
        coverage: survey.coverage(),
        io: [io.operations, io.enters, io.reads, io.bytes],
        phases: clock.phases,
        cpu: host::cpu_times(),
        peak_rss: host::peak_rss(),
    };
    stdio::write_stderr(report::stats(&stats).as_bytes());
}

fn source_words(source: Source) -> &'static str {
    match source {
        Source::Smaps => "smaps",
        Source::Rollup => "smaps_rollup",
        Source::Auto => "smaps_rollup, smaps where there is none",
    }
}

/// The time of each phase.
struct Clock {
    /// Since 1970.
    started: Duration,
    run_began: Instant,
    began: Instant,
    phases: [(&'static str, Duration); 4],
    count: usize,
}

impl Clock {
    fn start() -> Clock {
        let (started, now) = (clock::since_1970(), Instant::now());
        Clock { started, run_began: now, began: now, phases: [("", Duration::ZERO); 4], count: 0 }
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
