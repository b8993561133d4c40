//! Whole commands over a crowd, in turn: builds and engines of psm-uring, and other tools. Wall and
//! CPU time, peak memory and counted work.
//!
//! `cargo bench --bench commands -- --crowd many --processes 20000`
//!
//! - `tool`  the commands, and the place of the sum in their output
//! - `usage` one run: its output and its usage; the only `unsafe`
//! - `check` the checks of the answers

#![allow(clippy::print_stdout)]

mod check;
#[path = "../crowd/mod.rs"]
mod crowd;
#[path = "../harness/mod.rs"]
mod harness;
mod tool;
mod usage;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use check::Expected;
use clap::Parser;
use crowd::monitors::QuietMonitors;
use crowd::{Crowd, Kind, Session, Sizes, Spec};
use harness::Labels;
use psm_uring::commands::bench::harness::{Candidate, check_same_work, interleave};
use psm_uring::commands::bench::record::{
    self, Compared, Figure, Limit, Record, Run, Sample, TableColumn, exceeded,
};
use psm_uring::error::Error;
use serde_json::{Value, json};
use tool::Tool;

/// The exit code when a figure exceeds its ratio.
const EXCEEDED: u8 = 4;
const PROGRAM: &str = env!("CARGO_BIN_EXE_psm-uring");

const COLUMNS: [TableColumn; 12] = [
    ("command", 12, |one| Some(one.run.name.clone())),
    ("wall", 10, |one| one.ms(Figure::WallNs)),
    ("min .. max", 23, |one| one.range(Figure::WallNs)),
    ("ratio", 8, |one| one.times(Figure::WallNs)),
    ("CPU", 11, |one| one.ms(Figure::CpuNs)),
    ("ratio", 8, |one| one.times(Figure::CpuNs)),
    ("user", 7, |one| Some(format!("{:.1}%", one.run.user_part()? * 100.0))),
    ("peak", 11, |one| Some(format!("{:.1}MiB", peak_kib(one)? / 1024.0))),
    ("switches", 10, |one| Some(one.run.median(Figure::VoluntarySwitches)?.to_string())),
    ("operations", 12, |one| Some(one.run.median(Figure::Operations)?.to_string())),
    ("ratio", 8, |one| one.times(Figure::Operations)),
    ("enters", 8, |one| Some(one.run.median(Figure::Enters)?.to_string())),
];

/// A difference of less than half a millisecond is noise, whatever the ratio.
const LIMITS: [Limit; 6] = [
    ("ms of wall time", 0.5, |one| Some(one.run.median(Figure::WallNs)? / 1e6)),
    ("ms of CPU time", 0.5, |one| Some(one.run.median(Figure::CpuNs)? / 1e6)),
    ("operations", 0.0, |one| one.run.median(Figure::Operations)),
    ("reads", 0.0, |one| one.run.median(Figure::Reads)),
    ("bytes", 0.0, |one| one.run.median(Figure::Bytes)),
    ("KiB of peak memory", 0.0, |one| one.run.median(Figure::PeakKib)),
];

/// The peak that the program prints, or else the one that its parent sees.
fn peak_kib(one: &Compared<'_>) -> Option<f64> {
    let seen = || Some(one.run.figures.get(&Figure::MaxRssKib)?.max as f64);
    one.run.median(Figure::PeakKib).or_else(seen)
}

/// Measure whole commands over a crowd, in turn
#[derive(Debug, Parser)]
#[command(name = "commands")]
struct Options {
    /// A build of psm-uring with its arguments [default: this build, by engine]
    #[arg(long = "run", value_name = "NAME=COMMAND")]
    runs: Vec<String>,

    /// Also measure metop, ps_mem, smemstat and smem, installed in DIR or by packages
    #[arg(long, value_name = "DIR")]
    rivals: Option<PathBuf>,

    /// Of these tools, measure only some
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "rivals",
          value_parser = tool::rival_names())]
    only: Vec<String>,

    /// The crowd
    #[arg(long = "crowd", value_name = "KIND", default_value = "small")]
    kind: Kind,

    /// No crowd: the host as it is
    #[arg(long, conflicts_with = "busy")]
    idle: bool,

    #[command(flatten)]
    sizes: Sizes,

    /// Runs of each command, in turn, after one to warm up
    #[arg(long, value_name = "N", default_value_t = 11,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,

    /// Save the record to a file
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,

    /// Exit with 4 when a figure is more than this many times that of the first command
    #[arg(long, value_name = "RATIO")]
    max_ratio: Option<f64>,

    #[command(flatten)]
    labels: Labels,

    /// Added by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    crowd::become_one();
    let is_bare = std::env::args().skip(1).all(|word| word == "--bench");
    let measured = if harness::is_test() || is_bare {
        // The tests, or all benches together.
        smoke()
    } else {
        let options = Options::parse();
        let _quiet = QuietMonitors::start();
        measure(&options)
    };
    match measured {
        Ok(worse) if worse.is_empty() => ExitCode::SUCCESS,
        Ok(worse) => {
            worse.iter().for_each(|line| say(line));
            ExitCode::from(EXCEEDED)
        }
        Err(error) => {
            say(&error);
            ExitCode::FAILURE
        }
    }
}

fn say(line: &str) {
    // A closed standard error cannot be reported.
    let _ = writeln!(std::io::stderr(), "commands: {line}");
}

/// Measures, prints and saves; returns a line for every ratio that is too high.
fn measure(options: &Options) -> Result<Vec<String>, String> {
    let by_engine =
        ["auto", "threads", "sync"].map(|kind| format!("{kind}={PROGRAM} --engine {kind}"));
    let builds = if options.runs.is_empty() { &by_engine[..] } else { &options.runs };
    let mut tools: Vec<Tool> =
        builds.iter().map(|text| Tool::build(text)).collect::<Result<_, _>>()?;
    let rivals = options.rivals.as_deref().map(Tool::rivals).unwrap_or_default();
    let is_wanted = |tool: &Tool| options.only.is_empty() || options.only.contains(&tool.name);
    tools.extend(rivals.into_iter().filter(is_wanted).filter(is_there));
    let spec = (!options.idle).then(|| options.sizes.of(options.kind)).transpose()?;
    let mut crowd = spec.as_ref().map(Crowd::start).transpose()?;
    let expected = match spec.as_ref().zip(crowd.as_ref()) {
        Some((spec, crowd)) => Expected::read(spec, crowd.pids())?,
        None => Expected::default(),
    };
    tools.iter().filter(|tool| tool.is_ours()).try_for_each(|tool| expected.check_rows(tool))?;
    let mut record = Record {
        about: options.labels.about(),
        of: of(spec.as_ref()),
        runs: run(&tools, &mut crowd, options.rounds).map_err(|error| error.to_string())?,
    };
    let works: Vec<Sample> = tools.iter().map(Tool::work).collect();
    let named: Vec<_> = tools.iter().map(|tool| tool.name.as_str()).zip(works.clone()).collect();
    check_same_work(&named).map_err(|error| error.to_string())?;
    let runs = record.runs.into_iter().zip(works);
    record.runs = runs.map(|(run, work)| run.with(&[work])).collect();
    expected.check_runs(&tools, &record.runs)?;
    if let Some(report) = crowd.map_or(Ok(None), Crowd::end)? {
        println!("the process itself: {report}");
    }
    println!("{}", table(spec.as_ref(), &record.runs, options.rounds));
    if let Some(path) = &options.save {
        record.save(path).map_err(|error| error.to_string())?;
    }
    Ok(options.max_ratio.map_or_else(Vec::new, |ratio| worse(&record.runs, ratio)))
}

/// Whether the tool is installed and works; reports one that is left out.
fn is_there(tool: &Tool) -> bool {
    let ran = tool.measure();
    if let Err(why) = &ran {
        say(&format!("SKIPPED {why}"));
    }
    ran.is_ok()
}

/// Pages of a swapped crowd are pushed out before each command.
fn run(tools: &[Tool], crowd: &mut Option<Crowd>, rounds: u32) -> Result<Vec<Run>, Error> {
    let candidate = |tool| -> Candidate<'_> {
        (Tool::named(tool), Box::new(|| tool.measure().map_err(Error::Bench)))
    };
    let candidates = tools.iter().map(candidate).collect();
    let rounds = usize::try_from(rounds).unwrap_or(1);
    interleave(candidates, rounds, |_, _| {
        crowd.as_mut().map_or(Ok(()), Crowd::push_out).map_err(Error::Bench)
    })
}

/// The crowd, for the record; no crowd is the host as it is.
fn of(spec: Option<&Spec>) -> Value {
    let peak = psm_uring::sys::this_process::peak_rss().map(|peak| peak.0);
    let Some(spec) = spec else { return json!({ "crowd": null, "peak_floor_kib": peak }) };
    // Only forked members have this number of mappings.
    let is_forked = matches!(spec.kind, Kind::Small | Kind::Many);
    json!({
        "crowd": spec.kind.word(),
        "processes": spec.processes,
        "mappings": if is_forked { spec.mappings } else { 0 },
        "private_pages": spec.private,
        "shared_pages": spec.shared,
        "busy": spec.busy,
        "busy_session": spec.busy_session,
        // `ru_maxrss` cannot show less: a command begins with the pages of its parent.
        "peak_floor_kib": peak,
    })
}

/// Ratios are those to the first command.
fn compared<'a>(run: &'a Run, runs: &'a [Run]) -> Compared<'a> {
    Compared { run, base: runs.first(), floor: None }
}

fn table(spec: Option<&Spec>, runs: &[Run], rounds: u32) -> String {
    let crowd = |spec: &Spec| {
        let Spec { kind, processes, busy, busy_session, .. } = spec;
        let of = if *busy_session == Session::Own { "another" } else { "the same" };
        let loops = format!(" beside {busy} busy loops in {of} session");
        let loops = Some(loops).filter(|_| *busy > 0).unwrap_or_default();
        format!("crowd {}, {processes} processes{loops}", kind.word())
    };
    let crowd = spec.map_or_else(|| "the host as it is".to_owned(), crowd);
    let rows: Vec<_> = runs.iter().map(|run| compared(run, runs)).collect();
    let table = record::table(&COLUMNS, &rows);
    format!("{crowd}; whole commands, medians of {rounds} rounds in turn\n{table}")
}

/// One line for every figure that is more than `max_ratio` times that of the first command.
fn worse(runs: &[Run], max_ratio: f64) -> Vec<String> {
    let Some((first, others)) = runs.split_first() else { return Vec::new() };
    let pair = |run| (compared(run, runs), compared(first, runs));
    exceeded(&others.iter().map(pair).collect::<Vec<_>>(), &LIMITS, max_ratio)
}

/// Tiny, because other tests wait.
fn smoke() -> Result<Vec<String>, String> {
    tool::check_outputs();
    let path = std::env::temp_dir().join(format!("psm-uring-smoke-{}.json", std::process::id()));
    let words = ["commands", "--processes", "32", "--rounds", "2", "--save"].map(Into::into);
    let words = words.into_iter().chain([path.clone().into_os_string()]);
    let worse = measure(&Options::parse_from(words));
    let record = Record::load(&path).map_err(|error| error.to_string());
    // A failed run leaves no file behind either.
    let _ = std::fs::remove_file(&path);
    let (worse, record) = (worse?, record?);
    assert_eq!(record.runs.len(), 3, "a run for each engine");
    for (run, name) in record.runs.iter().zip(["auto", "threads", "sync"]) {
        let least = |figure| run.figures.get(&figure).map_or(0, |spread| spread.min);
        assert_eq!((run.name.as_str(), run.figures[&Figure::WallNs].all.len()), (name, 2));
        assert!(least(Figure::Measured) >= 32, "{run:?}");
        assert!(least(Figure::Operations) >= 4 * 32, "{run:?}");
    }
    bench_measures_all_members()?;
    Ok(worse)
}

/// The record of `psm-uring bench` among a crowd lacks no member.
fn bench_measures_all_members() -> Result<(), String> {
    let crowd = Crowd::start(&Spec { processes: 32, ..Spec::usual(Kind::Small) })?;
    let output = Command::new(PROGRAM).args(["bench", "--rounds", "1", "--json"]).output();
    let output = output.map_err(|error| format!("{PROGRAM}: {error}"))?;
    let record: Record = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("bench: {error}: {}", String::from_utf8_lossy(&output.stderr)))?;
    let engines: Vec<&Run> = record.runs.iter().filter(|run| run.name != "floor").collect();
    assert!(engines.len() >= 2, "threads and sync work everywhere: {engines:?}");
    for run in engines {
        assert!(run.median(Figure::Measured) >= Some(32.0), "{run:?} lacks some of 32 members");
    }
    crowd.end().map(drop)
}
