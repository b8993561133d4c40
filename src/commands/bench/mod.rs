//! `psm-uring bench`: compares the engines with each other, and with the bare cost in the kernel.
//!
//! - `harness` rounds in turn, and the check that all do the same work; shared with `benches/`
//! - `record`  figures, records, tables, limits; shared with `benches/`
//! - `series`  the surveys of a watch
#![forbid(unsafe_code)]

pub mod harness;
pub mod record;
mod series;

use std::borrow::BorrowMut;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::{Args, ValueHint};
use serde_json::{Value, json};

use self::harness::{Candidate, interleave};
use self::record::{
    Compared, Figure, Limit, Pair, Record, Run, Sample, TableColumn, about, exceeded, ns, ratios,
};
use super::print;
use crate::cli::words::{short_help, words};
use crate::cli::{WORKERS_MAX, number, ratio};
use crate::engine::{EngineKind, Surveyor, Timeouts, Tuning};
use crate::error::{self, Error};
use crate::process::{Fate, Plan, ProcFile, Source, WINDOW_BYTES, WalkRule};
use crate::run::{Outcome, ProgressLine, list_all, open_root};
use crate::sys::proc_root::ProcRoot;
use crate::sys::ring::kernel::DEPTH_MAX;
use crate::sys::{keeper_client, pages, stdio, this_process, threads};
use crate::units::{Errno, Labelled};

/// The engines that are measured without `--engines`.
const ENGINES: [EngineKind; 3] = [EngineKind::Uring, EngineKind::Threads, EngineKind::Sync];
/// The name of the run that measures the kernel alone.
const FLOOR: &str = "floor";
const FLOOR_READ_BYTES: usize = 16 * 1024;
/// A stuck process ends the benchmark: the floor would wait for it without end.
const STUCK_AFTER: Duration = Duration::from_secs(2);
/// The limit of `--against` without `--max-ratio`.
const RATIO_USUAL: f64 = 1.10;

/// The columns that name a run. With those of each table they are at most 80 columns wide.
const ENGINE: TableColumn = ("engine", 7, |one| Some(one.run.name.clone()));
const WORKERS: TableColumn =
    ("workers", 8, |one| one.run.workers.map(|workers| workers.to_string()));
const DEPTH: TableColumn = ("depth", 6, |one| one.run.depth.map(|depth| depth.to_string()));
const TIMES: [TableColumn; 8] = [
    ENGINE,
    WORKERS,
    DEPTH,
    ("median", 11, |one| one.ms(Figure::WallNs)),
    ("min .. max", 18, |one| one.range(Figure::WallNs)),
    ("per process", 12, |one| {
        Some(format!("{:.1} us", one.run.per_process(Figure::WallNs)? / 1e3))
    }),
    ("x threads", 10, |one| one.times(Figure::WallNs)),
    ("x floor", 8, |one| Some(format!("{:.2}", one.run.ratio(Figure::WallNs, one.floor)?))),
];
const CPU: [TableColumn; 7] = [
    ENGINE,
    WORKERS,
    DEPTH,
    ("CPU", 11, |one| one.ms(Figure::CpuNs)),
    ("x threads", 10, |one| one.times(Figure::CpuNs)),
    ("user", 7, |one| Some(format!("{:.1}%", one.run.user_part()? * 100.0))),
    ("switches", 10, |one| Some(one.run.median(Figure::VoluntarySwitches)?.to_string())),
];

/// Times are ratios to the floor of their own record, so that a slower host is not a regression.
const LIMITS: [Limit; 2] = [
    ("times the floor", 0.0, |one| one.run.ratio(Figure::WallNs, one.floor)),
    ("operations per process", 0.0, |one| one.run.per_process(Figure::Operations)),
];

/// The processes to survey.
struct Target {
    root: ProcRoot,
    source: Source,
}

/// Measures the engines, prints and saves the record, and compares it with an earlier one.
///
/// # Errors
/// An engine failed, the engines did not do the same work, a file cannot be read or written, or
/// the records have nothing in common.
pub(crate) fn bench(options: &BenchOptions) -> Result<Outcome, Error> {
    if let (Some(_), None) = (options.max_ratio, &options.against) {
        return Err(Error::needs("--max-ratio", "--against"));
    }
    let source = match options.source {
        Source::Auto => Source::Rollup,
        source => source,
    };
    let target = Target { root: open_root(&options.proc_root)?, source };
    let (engines, left_out) = engines(&options.engines, |kind| target.open(kind))?;
    if let ([kind], true) = (&engines[..], options.once) {
        let [workers, depth] = [&options.workers, &options.depth].map(|list| list.first().copied());
        let sample = target.survey(*kind, Tuning::new(workers, depth, source))?;
        return print(&record::to_json(&sample));
    }
    left_out.as_deref().map(stdio::report);
    if keeper_client::right().is_some() {
        stdio::report(
            "bench starts psm-uring again, without its capability: it measures only your processes",
        );
    }
    if options.watch {
        let record = series::measure(&target, &engines, options.rounds)?;
        options.save.as_deref().map(|path| record.save(path)).transpose()?;
        print(&if options.json { record.to_json() } else { series::table(&record) })?;
        return Ok(Outcome::Printed);
    }
    let runs = runs(&engines, &options.workers, &options.depth, source);
    let before = options.against.as_deref().map(|path| before(path, source, &runs)).transpose()?;
    let record = measure(&target, runs, options.rounds)?;
    if let Some(path) = &options.save {
        record.save(path)?;
    }
    let pairs = before.as_ref().map_or_else(Vec::new, |before| pairs(&record, before));
    print(&if options.json {
        record.to_json()
    } else {
        table(&record) + &ratios(&pairs, &LIMITS)
    })?;
    let worse = exceeded(&pairs, &LIMITS, options.max_ratio.unwrap_or(RATIO_USUAL));
    worse.iter().for_each(|line| stdio::report(line));
    Ok(if worse.is_empty() { Outcome::Printed } else { Outcome::Exceeded })
}

/// The engines to measure, and a note when `uring` is left out because it does not work here. That
/// is an error only when `uring` was asked for by name.
fn engines(
    asked: &[EngineKind],
    open: impl Fn(EngineKind) -> Result<EngineKind, Error>,
) -> Result<(Vec<EngineKind>, Option<String>), Error> {
    let (mut engines, mut left_out) = (Vec::new(), None);
    for kind in if asked.is_empty() { &ENGINES } else { asked } {
        match open(*kind) {
            Ok(kind) if engines.contains(&kind) => {}
            Ok(kind) => engines.push(kind),
            Err(Error::Ring(errno)) if asked.is_empty() => {
                left_out = Some(format!("uring is left out: {}", Error::no_ring(errno)));
            }
            Err(Error::Ring(errno)) => {
                let why = Error::no_ring(errno);
                return Err(Error::Bench(format!("{why}, or leave uring out of --engines")));
            }
            Err(error) => return Err(error),
        }
    }
    Ok((engines, left_out))
}

/// Every engine with every number of workers, `uring` also with every depth.
fn runs(engines: &[EngineKind], workers: &[usize], depths: &[usize], source: Source) -> Vec<Run> {
    let given = |list: &[usize]| -> Vec<Option<usize>> {
        list.iter().copied().map(Some).chain(list.is_empty().then_some(None)).collect()
    };
    let mut runs = Vec::new();
    for kind in engines {
        let is_ring = *kind == EngineKind::Uring;
        let depths = if is_ring { given(depths) } else { vec![None] };
        for workers in if *kind == EngineKind::Sync { vec![Some(1)] } else { given(workers) } {
            runs.extend(depths.iter().map(|depth| {
                let Tuning { workers, depth, .. } = Tuning::new(workers, *depth, source);
                let depth = is_ring.then_some(depth);
                Run { workers: Some(workers), depth, ..Run::new(kind.label()) }
            }));
        }
    }
    runs
}

/// The record to compare with: of the same source, with an engine in common.
fn before(path: &Path, source: Source, runs: &[Run]) -> Result<Record, Error> {
    let record = Record::load(path)?;
    let (source, measured) = (source.label(), text(&record.of["source"]));
    if measured != source {
        let why = format!("it measured --source {measured}, this run {source}");
        return Err(Error::file("compare", path, &why));
    }
    let now: Vec<String> = runs.iter().map(Run::label).collect();
    let then: Vec<String> = without_floor(&record).map(Run::label).collect();
    let file = path.display();
    let new = now.iter().filter(|label| !then.contains(label));
    let new: Vec<_> = new.map(|label| format!("{label} is not in {file}")).collect();
    if new.len() == now.len() {
        let why = format!("no engine, workers and depth in common, it has {}", then.join("; "));
        return Err(Error::file("compare", path, &why));
    }
    let old = then.iter().filter(|label| !now.contains(label));
    let old = old.map(|label| format!("{label} of {file} is not measured now"));
    new.into_iter().chain(old).for_each(|line| stdio::report(&format!("not compared: {line}")));
    Ok(record)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("unknown")
}

fn without_floor(record: &Record) -> impl Iterator<Item = &Run> {
    record.runs.iter().filter(|run| run.name != FLOOR)
}

fn measure(target: &Target, runs: Vec<Run>, rounds: usize) -> Result<Record, Error> {
    let engine = |run: Run| -> Candidate<'_> {
        (run.clone(), Box::new(move || target.survey_elsewhere(&run)))
    };
    let mut candidates: Vec<Candidate<'_>> = runs.into_iter().map(engine).collect();
    let floor = Run { workers: Some(threads::cpus()), ..Run::new(FLOOR) };
    candidates.push((floor, Box::new(|| target.floor())));
    let mut progress = ProgressLine::new();
    let runs = interleave(candidates, rounds, |round, run| {
        progress.show(|| format!("round {round} of {rounds}: {}", run.label()));
        Ok(())
    })?;
    let of = json!({ "source": target.source.label(), "rounds": rounds });
    Ok(Record { about: about(), of, runs })
}

impl Target {
    /// The engine at work when this one is asked for.
    fn open(&self, kind: EngineKind) -> Result<EngineKind, Error> {
        let tuning = Tuning::new(Some(1), Some(1), self.source);
        Surveyor::open(kind, &self.root, tuning).map(|surveyor| surveyor.kind())
    }

    /// The rule that walks every process.
    fn walk_rule(&self) -> Result<WalkRule, Error> {
        let rule = pages::walk_rule(&self.root, WINDOW_BYTES);
        let rule = rule.map(|rule| WalkRule { is_forced: true, is_whole_host: true, ..rule });
        rule.map_err(|errno| Error::Bench(format!("--source pagemap: {errno}; run it as root")))
    }

    /// Sets an engine up and surveys once, in this process.
    fn survey(&self, kind: EngineKind, tuning: Tuning) -> Result<Sample, Error> {
        let walk = match self.source {
            Source::Pagemap => Some(self.walk_rule()?),
            _ => None,
        };
        let plan = Plan { source: self.source, walk, ..Plan::default() };
        let open = || Surveyor::open(kind, &self.root, tuning);
        let (sample, surveyor) = self.measure(open, &plan)?;
        // Not dropped: the process ends without waiting for requests.
        std::mem::forget(surveyor);
        Ok(sample)
    }

    /// Surveys once more with an engine.
    fn sample(&self, surveyor: &mut Surveyor, plan: &Plan) -> Result<Sample, Error> {
        self.measure(|| Ok(surveyor), plan).map(|(sample, _)| sample)
    }

    /// Surveys once with the engine that `open` returns, and measures both.
    fn measure<S: BorrowMut<Surveyor>>(
        &self,
        open: impl FnOnce() -> Result<S, Error>,
        plan: &Plan,
    ) -> Result<(Sample, S), Error> {
        let pids = list_all(&self.root)?;
        let timeouts = Timeouts { stuck_after: STUCK_AFTER, deadline: None };
        let switches = this_process::switches();
        let (began, (user, system)) = (Instant::now(), this_process::cpu_times());
        let mut surveyor = open()?;
        let survey = surveyor.borrow_mut().survey(&pids, plan, &timeouts)?;
        let (wall, (user_now, system_now)) = (began.elapsed(), this_process::cpu_times());
        let [waited, preempted] = this_process::switches();
        if let Some((pid, _)) = survey.missing().iter().find(|one| one.1 == Fate::TimedOut) {
            return Err(Error::Bench(format!(
                "PID {pid} is stuck; bench has no timeout and would wait without end: run it on a \
                 host without stuck processes"
            )));
        }
        let (io, coverage) = (survey.io(), survey.coverage());
        let user = user_now.saturating_sub(user);
        let sample = Sample::from([
            (Figure::WallNs, ns(wall)),
            (Figure::CpuNs, ns(user + system_now.saturating_sub(system))),
            (Figure::UserNs, ns(user)),
            (Figure::VoluntarySwitches, waited - switches[0]),
            (Figure::InvoluntarySwitches, preempted - switches[1]),
            (Figure::Measured, coverage.measured as u64),
            (Figure::Unknown, coverage.unknown() as u64),
            (Figure::Operations, io.operations),
            (Figure::Enters, io.enters),
            (Figure::Reads, io.reads),
            (Figure::Bytes, io.bytes),
        ]);
        Ok((sample, surveyor))
    }

    /// The same in a process of its own, which begins like a run of the program: without workers of
    /// an earlier ring, without threads, without warm memory.
    fn survey_elsewhere(&self, run: &Run) -> Result<Sample, Error> {
        let cannot = |why: &dyn Display| Error::Bench(format!("{}: {why}", run.label()));
        let mut command = Command::new("/proc/self/exe");
        command.args(["bench", "--once", "--engines", &run.name, "--proc-root"]);
        command.arg(self.root.path()).arg(format!("--source={}", self.source.label()));
        command.args(run.workers.map(|workers| format!("--workers={workers}")));
        command.args(run.depth.map(|depth| format!("--depth={depth}")));
        let output = command.stdin(Stdio::null()).output().map_err(|error| {
            let errno = Errno::from(error);
            let remedy = error::start_remedy(errno).unwrap_or("check that /proc is mounted");
            cannot(&format!("cannot start it: {errno}; {remedy}"))
        })?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr);
            let message = message.trim().trim_start_matches("psm-uring: ");
            return Err(cannot(&format!("{message} ({})", output.status)));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| cannot(&error))
    }

    /// The bare cost in the kernel: opens, reads and closes the files of all processes on as many
    /// threads as there are CPUs, and parses nothing. A failure is part of the cost.
    fn floor(&self) -> Result<Sample, Error> {
        let pids = list_all(&self.root)?;
        let next = AtomicUsize::new(0);
        let pass = || {
            let mut room = vec![0; FLOOR_READ_BYTES];
            while let Some(pid) = pids.get(next.fetch_add(1, Ordering::Relaxed)) {
                for file in [self.source.memory_file(), ProcFile::Cmdline] {
                    let opened = self.root.open_file(file, &file.path(*pid, None));
                    let Ok(mut open) = opened else { continue };
                    while open.read(&mut room).is_ok_and(|len| len > 0 && !file.is_one_record()) {}
                }
            }
        };
        let began = Instant::now();
        std::thread::scope(|scope| (0..threads::cpus()).for_each(|_| drop(scope.spawn(pass))));
        let wall = ns(began.elapsed());
        Ok(Sample::from([(Figure::WallNs, wall), (Figure::Listed, pids.len() as u64)]))
    }
}

/// An engine of a record beside its `threads` and its floor.
fn compared<'a>(record: &'a Record, run: &'a Run) -> Compared<'a> {
    let named = |name| record.runs.iter().find(|one| one.name == name && run.name != FLOOR);
    Compared { run, base: named(EngineKind::Threads.label()), floor: named(FLOOR) }
}

fn table(record: &Record) -> String {
    let Record { about, of, runs } = record;
    let listed = runs.last().and_then(|floor| floor.median(Figure::Listed)).unwrap_or(0.0);
    let rows: Vec<_> = runs.iter().map(|run| compared(record, run)).collect();
    let engines: Vec<_> = without_floor(record).map(|run| compared(record, run)).collect();
    format!(
        "{listed} processes listed, {}, {} rounds; kernel {}, {} CPUs, psm-uring {}\n{}\n{}",
        text(&of["source"]),
        of["rounds"],
        text(&about["kernel"]),
        about["cpus"],
        text(&about["version"]),
        record::table(&TIMES, &rows),
        record::table(&CPU, &engines)
    )
}

/// The engines of both records, the later run first.
fn pairs<'a>(record: &'a Record, before: &'a Record) -> Vec<Pair<'a>> {
    let pairs = without_floor(record).filter_map(|run| {
        let then = without_floor(before).find(|then| then.label() == run.label())?;
        Some((compared(record, run), compared(before, then)))
    });
    pairs.collect()
}

const EXAMPLES: &str = "\
Examples:
  psm-uring bench                                  compare the engines on this host
  psm-uring bench --workers 1,2,4 --depth 32,128   and their parameters
  psm-uring bench --save before.json               save a record
  psm-uring bench --against before.json            exit with 4 if a figure got worse
  psm-uring bench --watch                          the surveys of a watch after the first";

const FIGURES: &str = "\
Each survey runs in a process of its own, in turn with the others, after one round to warm up. The
time includes the set-up of the engine. The floor only opens, reads and closes the files, on as many
threads as there are CPUs. --against compares two figures of each engine with the record: the time
as a multiple of the floor of its own run, and operations per process.

--watch measures engines that stay set up, each in three ways: it opens every file each time, keeps
files open and reads every name, or reads a quarter of the names, as psm-uring --watch does.";

/// The options of `psm-uring bench`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES, after_long_help = FIGURES)]
pub(crate) struct BenchOptions {
    /// Engines to measure [default: uring,threads,sync]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = words::<EngineKind>(),
          help = short_help::<EngineKind>("Engines to measure, by default all but auto"),
          hide_possible_values = true)]
    pub(crate) engines: Vec<EngineKind>,

    /// Threads that read in parallel, 1 to 1024 [default: number of CPUs]
    #[arg(long, value_name = "LIST", value_delimiter = ',',
          value_parser = number::<1, WORKERS_MAX>)]
    pub(crate) workers: Vec<usize>,

    /// Processes in flight in the engine uring, 1 to 1024 [default: by workers and source]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = number::<1, DEPTH_MAX>)]
    pub(crate) depth: Vec<usize>,

    /// Where memory figures come from
    #[arg(long, value_name = "SOURCE", default_value = "rollup", value_parser = words::<Source>(),
          help = short_help::<Source>("Where memory figures come from"),
          hide_possible_values = true)]
    pub(crate) source: Source,

    /// Rounds in which each engine is measured once, 1 to 1000
    #[arg(short = 'n', long, value_name = "N", default_value_t = 11,
          value_parser = number::<1, 1000>)]
    pub(crate) rounds: usize,

    /// The proc filesystem to read
    #[arg(long, value_name = "DIR", default_value = "/proc", value_hint = ValueHint::DirPath)]
    pub(crate) proc_root: PathBuf,

    /// Print the record as JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,

    /// Save the record to FILE
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) save: Option<PathBuf>,

    /// Compare with a saved record
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) against: Option<PathBuf>,

    /// Exit with 4 if a figure is more than RATIO times that of --against [default: 1.10]
    #[arg(long, value_name = "RATIO", value_parser = ratio)]
    pub(crate) max_ratio: Option<f64>,

    /// Compare surveys that keep files open, as --watch does, with surveys that open them
    #[arg(long, conflicts_with_all = ["workers", "depth", "against"])]
    pub(crate) watch: bool,

    /// Survey once with one engine in this process. `bench` runs itself with it.
    #[arg(long, hide = true)]
    pub(crate) once: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use EngineKind::{Auto, Sync, Threads, Uring};

    /// A host with io_uring, or without.
    fn open(has_ring: bool) -> impl Fn(EngineKind) -> Result<EngineKind, Error> {
        move |kind| match kind {
            Auto => Ok(if has_ring { Uring } else { Threads }),
            Uring if !has_ring => Err(Error::Ring(Errno::PERM)),
            kind => Ok(kind),
        }
    }

    #[test]
    fn uring_is_left_out_where_it_is_forbidden() {
        let (found, why) = engines(&[], open(false)).expect("uring was not named");
        assert_eq!(found, [Threads, Sync]);
        let why = why.expect("a note about it");
        assert!(why.starts_with("uring is left out: io_uring is not available: Oper"), "{why}");
        let found = engines(&[Auto, Threads], open(false)).expect("auto does not name it");
        assert_eq!(found, (vec![Threads], None));
        let error = engines(&[Uring], open(false)).expect_err("it was named");
        assert!(error.to_string().ends_with(", or leave uring out of --engines"), "{error}");
    }

    #[test]
    fn engines_are_measured_once_each() {
        assert_eq!(engines(&[], open(true)).expect("all").0, ENGINES);
        assert_eq!(engines(&[Auto, Uring, Sync], open(true)).expect("all").0, [Uring, Sync]);
        assert_eq!(engines(&[Sync], open(false)).expect("no ring").0, [Sync]);
    }
}
