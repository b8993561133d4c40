//! The program as a sentence: open, list, survey, group, write, tell.
//!
//! - `settings` the command line, resolved
//! - `progress` a progress line on a terminal
//! - `vfork`    which processes run in the memory of others
//! - `missing`  processes without figures, and why
//! - `facts`    the facts of a run
//! - `output`   the format of a report, and its destination
//! - `watch`    one report after another
//! - `diff`     the command `diff`
#![forbid(unsafe_code)]

mod diff;
mod facts;
mod missing;
mod output;
mod progress;
mod settings;
mod vfork;
mod watch;

use std::mem::ManuallyDrop;
use std::path::Path;

use regex::bytes::Regex;

pub(crate) use self::diff::diff;
use self::facts::Clock;
use self::missing::{access, check_outcome, glimpses, hidepid, notes, user_words, with_row};
pub(crate) use self::progress::ProgressLine;
use crate::cli::Options;
use crate::engine::{Surveyor, Timeouts, Tuning};
use crate::error::Error;
use crate::process::{NameRule, Plan};
use crate::program::{
    self, Annotations, Column, Grouping, HostMemory, Labels, Order, Usage, UserNames,
};
use crate::report::notes::Missing;
use crate::report::{self, Format, Report};
use crate::sys::proc_root::ProcRoot;
use crate::sys::{host_files, privileges, stdio};
use crate::units::Pid;

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
pub(crate) fn run(options: &Options) -> Result<Outcome, Error> {
    if let Some(every) = options.watch {
        return watch::watch(options, every);
    }
    let mut clock = Clock::start();
    let mut session = Session::open(options)?;
    clock.phase("set up");
    session.report(options, &mut clock, |report| output::write(options, report))
}

/// Opens the directory of processes.
pub(crate) fn open_root(path: &Path) -> Result<ProcRoot, Error> {
    ProcRoot::open(path).map_err(|errno| Error::NoProc(path.to_owned(), errno))
}

/// Lists every process. There is at least our own.
pub(crate) fn list_all(root: &ProcRoot) -> Result<Vec<Pid>, Error> {
    let path = || root.path().to_owned();
    let pids = root.pids().map_err(|errno| Error::Listing(path(), errno))?;
    if pids.is_empty() { Err(Error::NoProcesses(path())) } else { Ok(pids) }
}

/// What stays from report to report.
struct Session {
    root: ProcRoot,
    columns: Vec<Column>,
    plan: Plan,
    user_names: UserNames,
    /// Never dropped: requests to stuck processes may be in flight, and nothing may wait for them.
    surveyor: ManuallyDrop<Surveyor>,
    /// What standard error was told last: nobody is told the same twice in a row.
    told: Vec<String>,
    /// How wide a note may be, where it must not take more than a line.
    columns_of_notes: Option<usize>,
}

impl Session {
    /// Checks the options and sets an engine up.
    fn open(options: &Options) -> Result<Session, Error> {
        let root = open_root(&options.proc_root)?;
        output::check(options)?;
        let columns = settings::columns(options)?;
        let needs = |column| options.sort == column || columns.contains(&column);
        let owner = options.by.needs_owner() || needs(Column::User);
        let cgroup = options.by.needs_cgroup() || needs(Column::Cgroup);
        let (users, user_names) = settings::users(options, owner, &root)?;
        let start_time = needs_start_time(options);
        let plan = Plan { owner, cgroup, start_time, ..plan(options, &columns, users)? };
        let tuning = Tuning::new(options.workers, options.depth, plan.source);
        let surveyor = ManuallyDrop::new(Surveyor::open(options.engine, &root, tuning)?);
        Ok(Session {
            root,
            columns,
            plan,
            user_names,
            surveyor,
            told: Vec::new(),
            columns_of_notes: None,
        })
    }

    /// Measures, and tells the report to somebody who writes it; then what there is to say besides.
    fn report(
        &mut self,
        options: &Options,
        clock: &mut Clock,
        write: impl FnOnce(&Report<'_>) -> Result<(), Error>,
    ) -> Result<Outcome, Error> {
        let pids = list(options, &self.root)?;
        clock.phase("list");
        let timeouts_now = timeouts(options, clock);
        let survey = progress::survey(&mut self.surveyor, &pids, &self.plan, &timeouts_now)?;
        clock.phase("survey");
        let is_over = options.deadline.is_some_and(|deadline| clock.elapsed() >= deadline);
        let (coverage, unmeasured) = (survey.coverage(), survey.missing());
        let privileges = privileges::privileges();
        let hidepid = hidepid(options, &self.root, &coverage, privileges);
        check_outcome(options, &coverage, &unmeasured, hidepid.as_deref())?;
        let timed_out = glimpses(&self.root, &unmeasured);
        let labels = Labels::of(survey.processes(), options.by, &self.user_names);
        let rows = with_row(&self.plan, &timed_out, &labels);
        let sharing = vfork::find(&self.root, &survey, timeouts(options, clock).deadline);
        let found =
            Annotations { unknown: coverage.unknown(), timed_out: &rows, sharing: &sharing };
        let processes = survey.processes().map(|process| labels.apply(process));
        let mut programs = program::group(processes, found, options.by, order(options));
        programs.users = Some(&self.user_names);
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
        let host_memory = host_memory(options, &self.root, programs.total)?;
        let notes = notes(options, &self.columns, &missing, &programs);
        write(&Report {
            programs: &programs,
            grouping: options.by,
            is_total: options.total,
            columns: &self.columns,
            has_owner: self.plan.owner,
            has_cgroup: self.plan.cgroup,
            missing: &missing,
            notes: &notes,
            host: host_memory.as_ref(),
            facts: &facts::facts(options, &self.surveyor, clock),
        })?;
        clock.phase("report");
        if options.stats {
            facts::tell_stats(self.plan.source, &self.surveyor, &survey, clock);
        }
        let is_incomplete = options.strict && !missing.is_complete();
        self.tell(notes);
        Ok(if is_incomplete { Outcome::Incomplete } else { Outcome::Printed })
    }

    /// Tells standard error what there is to say, unless it has just heard it.
    fn tell(&mut self, notes: Vec<String>) {
        if notes == self.told {
            return;
        }
        for note in &notes {
            let line = format!("psm-uring: {note}");
            let room = self.columns_of_notes.unwrap_or(usize::MAX);
            stdio::write_stderr(format!("{}\n", report::cut(&line, room)).as_bytes());
        }
        self.told = notes;
    }

    /// Whoever listens has forgotten what it was told, and has room for one line of each.
    fn forget_told(&mut self, columns: Option<usize>) {
        self.told.clear();
        self.columns_of_notes = columns;
    }

    /// Tells it again, to lines of another length.
    fn tell_again(&mut self, columns: Option<usize>) {
        let notes = std::mem::take(&mut self.told);
        self.columns_of_notes = columns;
        self.tell(notes);
    }
}

fn plan(options: &Options, columns: &[Column], users: Vec<u32>) -> Result<Plan, Error> {
    let source = settings::source(options, columns)?;
    let filter = options.filter.clone();
    // A name that nobody sees is not worth a look into the memory of the process.
    let is_named = options.by.needs_name() || filter.is_some();
    let name_rule = if is_named { options.name } else { NameRule::Comm };
    Ok(Plan { name_rule, source, filter, users, ..Plan::default() })
}

/// Whether processes of several reports are to be told from each other.
fn needs_start_time(options: &Options) -> bool {
    let is_kept = matches!(options.format(), Format::Json | Format::Ndjson);
    options.by == Grouping::Pid && (is_kept || options.watch.is_some())
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

/// The deadline is the whole run's; a part of it has passed.
fn timeouts(options: &Options, clock: &Clock) -> Timeouts {
    let deadline = options.deadline.map(|time| time.saturating_sub(clock.elapsed()));
    Timeouts { stuck_after: options.stuck_after, deadline }
}

/// The memory of the machine beside that of the programs, if it is asked for.
fn host_memory(
    options: &Options,
    root: &ProcRoot,
    sum: Option<Usage>,
) -> Result<Option<HostMemory>, Error> {
    if !options.summary {
        return Ok(None);
    }
    let path = || root.path().join("meminfo");
    let looked = host_files::look(root);
    let machine = looked.map_err(|errno| Error::NoMeminfo(path(), errno))?;
    Ok(Some(HostMemory::new(&machine, sum)))
}

fn order(options: &Options) -> Order {
    let is_bounded = options.format() == Format::OpenMetrics;
    let top = options.top.or_else(|| is_bounded.then_some(report::ROWS_USUAL));
    Order { key: options.sort, reverse: options.reverse, top }
}
