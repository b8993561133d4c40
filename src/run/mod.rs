//! The program as a sentence: list, survey, group, write.
//!
//! - `settings` the command line, resolved
//! - `progress` a progress line on a terminal
//! - `tree`     processes as a tree
//! - `compare`  comparisons of address spaces
//! - `vfork`    which processes run in the memory of others
//! - `search`   a search on a thread that may not end
//! - `outside`  which of these a selection leaves out
//! - `shares`   the shares of processes in common memory
//! - `columns`  the facts that columns need beside memory
//! - `groups`   the columns of control groups
//! - `faults`   the column of major page faults
//! - `gpu`      the column of GPU memory
//! - `freed`    the columns freed and shared-outside
//! - `oom`      the column of the OOM killer
//! - `leaderless` memory of processes whose leading thread is dead
//! - `slots`    the shares of walked processes in swapped pages
//! - `walks`    big processes: priority, notes
//! - `missing`  processes without figures, and the reasons
//! - `facts`    the facts of a run
//! - `output`   the format of a report, and its destination
//! - `watch`    one report after another
//! - `diff`     the command `diff`
#![forbid(unsafe_code)]

mod columns;
mod compare;
mod diff;
mod facts;
mod faults;
mod freed;
mod gpu;
mod groups;
mod leaderless;
mod missing;
mod oom;
mod output;
mod outside;
mod progress;
mod search;
mod settings;
mod shares;
mod slots;
mod tree;
mod vfork;
mod walks;
mod watch;

use std::mem::ManuallyDrop;
use std::path::Path;
use std::time::Duration;

use self::columns::ColumnFacts;
pub(crate) use self::diff::diff;
pub(crate) use self::facts::Clock;
use self::faults::FaultSeries;
use self::freed::FreedRows;
use self::groups::FoundGroups;
use self::missing::Unmeasured;
pub(crate) use self::output::{table_options, write_text};
pub(crate) use self::progress::ProgressLine;
pub(crate) use self::settings::{Settings, once};
use self::shares::FoundShares;
use self::slots::Slots;
use self::vfork::SharedSpaces;
use crate::cli::Options;
use crate::engine::{Survey, Surveyor, Timeouts};
use crate::error::Error;
use crate::process::{self, Plan, ProcFile};
use crate::program::{self, Annotations, HeldByGpu, HostMemory, Labels, Order, Unread, Usage};
use crate::report::bounds;
use crate::report::notes::{Missing, Note};
use crate::report::{self, Facts, Format, Report};
use crate::sys::host_files::MeminfoFile;
use crate::sys::keeper_client::{self, Right};
use crate::sys::proc_root::ProcRoot;
use crate::sys::{host_files, stdio, terminal, this_process};
use crate::units::Pid;

/// The end of a run that printed its report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The report is complete, or `--strict` was not given.
    Printed,
    /// `--strict` was given, and the report lacks the memory of a process, or `hidepid` hides some.
    Incomplete,
    /// A limit set by the caller was exceeded.
    Exceeded,
}

/// Measures, and prints the report that the options ask for, or one after another.
///
/// # Errors
/// No report could be made, or not all of it was written.
pub(crate) fn run(options: &Options) -> Result<Outcome, Error> {
    let mut clock = Clock::start();
    let mut settings = Settings::resolve(options)?;
    let since = watch::load_since(&mut settings)?;
    if let Some(watch) = &settings.watch {
        return watch::watch(&settings, watch, since);
    }
    let mut session = Session::open(&settings)?;
    clock.phase("set up");
    session.report(settings.order, clock, |report| output::write(&settings, report))
}

/// The processes that the engine measured.
pub(crate) struct Surveyed {
    survey: Survey,
    slots: Slots,
    /// The threads that `--pid` names, each with its process.
    threads: Vec<(Pid, Pid)>,
    is_past_deadline: bool,
    /// The time since boot at which it began.
    began: Duration,
}

/// The processes of a report, before they are rows.
pub(crate) struct Measured<'a> {
    pub(crate) survey: &'a Survey,
    surveyed: &'a Surveyed,
    unmeasured: Unmeasured<'a>,
    /// Processes in the address spaces of others.
    pub(crate) spaces: SharedSpaces,
    /// Shares in common memory.
    pub(crate) common: FoundShares,
}

impl Measured<'_> {
    /// The processes that the report lacks.
    pub(crate) fn missing<'b>(&'b self, settings: &'b Settings) -> Missing<'b> {
        self.unmeasured.missing(settings, self.surveyed.is_past_deadline)
    }
}

/// One engine, and the reports that it makes.
pub(crate) struct Session<'a> {
    settings: &'a Settings,
    /// The counters of faults in the last report.
    fault_series: FaultSeries,
    /// Never dropped: requests to stuck processes may be in flight, and a drop would wait for them.
    surveyor: ManuallyDrop<Surveyor>,
    /// The time since boot at which the last survey began.
    began: Option<Duration>,
    /// The notes that were printed last: the same notes are not printed twice in a row.
    printed: Vec<Note>,
    /// The room for a note that must not take more than one line.
    note_room: Option<usize>,
    /// A note on the priority of this process.
    low_priority: Option<String>,
}

impl<'a> Session<'a> {
    pub(crate) fn open(settings: &'a Settings) -> Result<Session<'a>, Error> {
        let Settings { engine, root, tuning, .. } = settings;
        // Before the first thread, which takes the priority over.
        let low_priority = walks::undo_nice(settings);
        let surveyor = ManuallyDrop::new(Surveyor::open(*engine, root, *tuning)?);
        Ok(Session {
            settings,
            fault_series: FaultSeries::default(),
            surveyor,
            began: None,
            printed: Vec::new(),
            note_room: None,
            low_priority,
        })
    }

    /// Makes one report, hands it to `write`, and prints the notes on standard error.
    fn report(
        &mut self,
        order: Order,
        mut clock: Clock,
        write: impl FnOnce(&Report<'_>) -> Result<(), Error>,
    ) -> Result<Outcome, Error> {
        let settings = self.settings;
        let meminfo = MeminfoFile::new(&settings.root);
        let surveyed = self.survey(&mut clock)?;
        let measured = self.measure(&surveyed, &clock, &meminfo)?;
        let (survey, missing) = (measured.survey, measured.missing(settings));
        let left = || time_left(settings, &clock);
        let faults = self.fault_series.next(settings, &surveyed);
        let column_facts = ColumnFacts::read(settings, faults, &measured, &meminfo, &left);
        let unread = &measured.unmeasured.rows(&settings.plan);
        let labels = labels(settings, survey, &column_facts.groups, unread);
        let charges = column_facts.groups.charges(settings, survey.processes(), &labels);
        let estimate = column_facts.oom_estimate();
        let (charges, oom) = (charges.as_ref(), estimate.as_ref());
        let is_incomplete = !missing.is_complete();
        let annotations = column_facts.annotations(&measured);
        let annotations = Annotations { is_incomplete, unread, charges, oom, ..annotations };
        let mut programs = program::group(survey.processes(), &labels, annotations, order);
        let rows = FreedRows { settings, measured: &measured, labels: &labels };
        let not_freed = rows.find(&mut self.surveyor, &mut programs, &left)?;
        let host = host_memory(settings, &meminfo, programs.total, column_facts.held_by_gpu())?;
        let mut notes = self.notes(&measured, &missing, programs.swap_is_unshared);
        notes.extend(not_freed.into_iter().map(Note::from));
        let knows_users = settings.rules.selection.is_none() && missing.is_complete();
        let of_columns = column_facts.notes(settings, &programs, (charges, oom), knows_users);
        notes.extend(of_columns.into_iter().map(Note::from));
        notes.extend(host.as_ref().and_then(report::notes::host).map(Note::from));
        notes.extend(host.as_ref().and_then(report::notes::impossible).map(Note::from));
        let lines: Vec<String> = notes.iter().map(Note::line).collect();
        write(&Report {
            programs: &programs,
            is_total: settings.is_total,
            columns: &settings.columns,
            has_owner: settings.plan.owner,
            has_cgroup: settings.plan.cgroup,
            has_charge: charges.is_some(),
            has_faults: annotations.faults.is_some(),
            has_gpu: annotations.gpu.is_some(),
            oom,
            missing: &missing,
            notes: &lines,
            host: host.as_ref(),
            facts: &self.facts(&clock),
        })?;
        Ok(self.end(clock, &missing, survey, notes))
    }

    /// The questions of a survey that begins at this time since boot.
    fn plan(&mut self, began: Duration) -> Plan {
        let plan = self.settings.plan.clone();
        let Some(watch) = &self.settings.watch else { return plan };
        let last =
            self.began.replace(began).map_or(Duration::ZERO, |last| began.saturating_sub(last));
        Plan { surveys_per_name: Some(watch.surveys_per_name(last)), ..plan }
    }

    /// Lists and measures the processes, and divides among walked ones what is in swap.
    pub(crate) fn survey(&mut self, clock: &mut Clock) -> Result<Surveyed, Error> {
        let began = this_process::since_boot();
        let plan = self.plan(began);
        let (settings, surveyor) = (self.settings, &mut self.surveyor);
        let (pids, threads) = processes(settings)?;
        clock.phase("list");
        let timeouts = time_left(settings, clock);
        let mut survey = progress::survey(surveyor, &pids, &plan, &timeouts)?;
        let left = time_left(settings, clock);
        let slots = slots::resolve(surveyor, &mut survey, settings, &left)?;
        clock.phase("survey");
        let is_past_deadline =
            settings.timeouts.deadline.is_some_and(|deadline| clock.elapsed() >= deadline);
        Ok(Surveyed { survey, slots, threads, is_past_deadline, began })
    }

    /// Finds the memory that processes hold together, and the processes without figures.
    pub(crate) fn measure<'b>(
        &mut self,
        surveyed: &'b Surveyed,
        clock: &Clock,
        meminfo: &MeminfoFile<'_>,
    ) -> Result<Measured<'b>, Error> {
        let (settings, survey) = (self.settings, &surveyed.survey);
        let unmeasured = Unmeasured::find(settings, survey)?;
        let left = time_left(settings, clock);
        let mut spaces = vfork::find(&settings.root, survey, left.deadline);
        if settings.rules.selection.is_some() {
            let left = time_left(settings, clock);
            spaces.outside = outside::find(&settings.root, survey, &spaces.owners, left.deadline);
            spaces.suspects = outside::suspects(&settings.root, survey, &spaces.owners);
        }
        let in_shared_spaces = spaces.processes();
        self.surveyor.forget(&|pid| in_shared_spaces.contains(&pid));
        let missing = unmeasured.missing(settings, surveyed.is_past_deadline);
        let lacking = settings.rules.selection.is_none().then_some(&missing);
        let left = shares::timeouts(time_left(settings, clock));
        let read_again = |pids: &[Pid]| progress::survey_mappings(&mut self.surveyor, pids, &left);
        let common = shares::find(settings, meminfo, survey, &spaces.owners, lacking, read_again);
        Ok(Measured { survey, surveyed, unmeasured, spaces, common })
    }

    /// The notes on what was measured.
    pub(crate) fn notes(
        &self,
        measured: &Measured<'_>,
        missing: &Missing<'_>,
        swap_is_unshared: bool,
    ) -> Vec<Note> {
        let settings = self.settings;
        let mut notes = missing::notes(settings, missing, swap_is_unshared);
        notes.extend(settings.user_notes.iter().cloned().map(Note::from));
        notes.extend(report::notes::threads(&measured.surveyed.threads).map(Note::from));
        // A keeper with CAP_PERFMON compares none, which has a note of its own.
        let is_noted = keeper_client::right() == Some(Right::Perfmon) && settings.root.is_proc();
        notes.extend(measured.spaces.note.clone().filter(|_| !is_noted).map(Note::from));
        notes.extend(bounds::used_outside(&measured.spaces.outside).map(Note::from));
        notes.extend(bounds::suspects(&measured.spaces.suspects).map(Note::from));
        notes.extend(measured.common.notes.iter().cloned().map(Note::from));
        let of_walks = walks::notes(settings, measured.survey).into_iter();
        notes.extend(of_walks.chain(self.low_priority.clone()).map(Note::from));
        notes
    }

    /// The facts of a run.
    pub(crate) fn facts(&self, clock: &Clock) -> Facts {
        facts::facts(self.settings, &self.surveyor, clock)
    }

    /// Ends a report that is written: prints the statistics and the notes.
    pub(crate) fn end(
        &mut self,
        mut clock: Clock,
        missing: &Missing<'_>,
        survey: &Survey,
        notes: Vec<Note>,
    ) -> Outcome {
        let settings = self.settings;
        clock.phase("report");
        if settings.has_stats {
            facts::print_stats(&settings.plan, &self.surveyor, survey, &clock);
        }
        self.print_notes(notes);
        let is_incomplete = settings.is_strict && !missing.is_complete();
        if is_incomplete { Outcome::Incomplete } else { Outcome::Printed }
    }

    fn print_notes(&mut self, notes: Vec<Note>) {
        if notes == self.printed {
            return;
        }
        let charset = output::charset();
        for note in &notes {
            let line = || charset.text(&format!("psm-uring: {}", note.line())).into_owned();
            let lines = match (self.note_room, terminal::stderr_columns()) {
                (Some(room), _) => vec![report::cut(&line(), room, charset).into_owned()],
                (None, Some(columns)) => note.lines(columns, charset),
                (None, None) => vec![line()],
            };
            stdio::write_stderr((lines.join("\n") + "\n").as_bytes());
        }
        self.printed = notes;
    }

    /// Has the next notes printed, whatever was printed before: the screen was cleared.
    fn forget_notes(&mut self, columns: Option<usize>) {
        self.printed.clear();
        self.note_room = columns;
    }

    /// Prints the last notes again, on lines of another length.
    fn reprint_notes(&mut self, columns: Option<usize>) {
        let notes = std::mem::take(&mut self.printed);
        self.note_room = columns;
        self.print_notes(notes);
    }
}

/// Opens the directory of processes.
pub(crate) fn open_root(path: &Path) -> Result<ProcRoot, Error> {
    ProcRoot::open(path).map_err(|errno| Error::NoProc(path.to_owned(), errno))
}

/// Lists every process; at least this program is one.
pub(crate) fn list_all(root: &ProcRoot) -> Result<Vec<Pid>, Error> {
    let path = || root.path().to_owned();
    let pids = root.pids().map_err(|errno| Error::Listing(path(), errno))?;
    if pids.is_empty() { Err(Error::NoProcesses(path())) } else { Ok(pids) }
}

/// Processes to measure, ascending, and threads that stand for some of them.
type Listed = (Vec<Pid>, Vec<(Pid, Pid)>);

fn processes(settings: &Settings) -> Result<Listed, Error> {
    match &settings.pids[..] {
        [] => Ok((list_all(&settings.root)?, Vec::new())),
        ids => Ok(processes_of(&settings.root, ids)),
    }
}

/// The processes of these ids, ascending, and the threads among the ids with their processes.
/// `/proc` does not list threads, but opens them. Only ids that it does not list are asked.
fn processes_of(root: &ProcRoot, ids: &[Pid]) -> Listed {
    let listed = root.pids().unwrap_or_default();
    let process_of = |id: &Pid| {
        if listed.binary_search(id).is_ok() {
            return None;
        }
        let status = root.read_once(ProcFile::Status, *id).ok()?;
        process::process_of(&status).filter(|process| process != id)
    };
    let threads: Vec<(Pid, Pid)> =
        ids.iter().filter_map(|id| Some((*id, process_of(id)?))).collect();
    let is_thread = |id: &Pid| threads.iter().any(|(thread, _)| thread == id);
    let mut pids: Vec<Pid> = ids.iter().copied().filter(|id| !is_thread(id)).collect();
    pids.extend(threads.iter().map(|(_, process)| *process));
    pids.sort_unstable();
    pids.dedup();
    (pids, threads)
}

/// The labels of rows: names, in metrics keys.
fn labels<'run>(
    settings: &'run Settings,
    survey: &'run Survey,
    groups: &'run FoundGroups,
    unread: &[&Unread<'run>],
) -> Labels<'run> {
    let (by, users) = (settings.rules.by, Some(&settings.user_names));
    let labels = Labels::of_all(survey.processes(), groups.paths(), unread, by, users);
    match settings.output.format {
        Format::OpenMetrics => labels.with_keys(survey.processes(), settings.rules.name),
        _ => labels,
    }
}

/// The timeouts of the rest of a run: its deadline counts from the start of the run.
fn time_left(settings: &Settings, clock: &Clock) -> Timeouts {
    let Timeouts { stuck_after, deadline } = settings.timeouts;
    Timeouts { stuck_after, deadline: deadline.map(|time| time.saturating_sub(clock.elapsed())) }
}

/// The memory of the host beside that of the programs, if the report has it.
fn host_memory(
    settings: &Settings,
    meminfo: &MeminfoFile<'_>,
    programs: Option<Usage>,
    gpu: Option<HeldByGpu>,
) -> Result<Option<HostMemory>, Error> {
    if !settings.has_host {
        return Ok(None);
    }
    let path = || settings.root.path().join("meminfo");
    let counters = host_files::read(meminfo).map_err(|errno| Error::NoMeminfo(path(), errno))?;
    let host = HostMemory::new(&counters, programs);
    Ok(Some(match gpu {
        Some(held) => host.with_gpu(held),
        None => host,
    }))
}
