//! The stall of a process that is measured: the time of its own `mmap` while commands read its
//! memory in a loop. A reader that holds the process's `mmap_lock` shows in the last percentiles.
//!
//! `cargo bench --bench latency -- --mib 2048`
//!
//! The process runs on the first CPU, the commands on the others, all at the highest priority, so
//! that other work on the host disturbs them little. Threads of the kernel leave the first CPU for
//! that time. A round begins with a run without commands, and counts only if that is quiet.

#![allow(clippy::print_stdout)]

#[path = "../crowd/mod.rs"]
mod crowd;
#[path = "../harness/mod.rs"]
mod harness;
#[path = "../commands/usage.rs"]
mod usage;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use clap::Parser;
use crowd::monitors::{QuietMonitors, kernel_threads};
use crowd::{Crowd, Kind, Sizes, Spec};
use harness::Labels;
use psm_uring::commands::bench::record::{
    self, Compared, Figure, Record, Run, Sample, Spread, TableColumn,
};
use psm_uring::units::Pid;
use rustix::process::Signal;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_psm-uring");
/// The ways of the program to read a big process, with their words.
const SOURCES: [(&str, &str); 3] = [
    ("rollup", "--source rollup"),
    ("pagemap", "--source pagemap"),
    ("gentle", "--source pagemap --gentle"),
];
/// The name of the run without commands.
const IDLE: &str = "idle";
/// The highest priority, of a process and of its session.
const NICE: i32 = -20;
/// Memory that the process has besides the pages that it was asked for.
const OWN_BYTES: u64 = 8 << 20;

const COLUMNS: [TableColumn; 7] = [
    ("command", 12, |one| Some(one.run.name.clone())),
    ("p99", 10, |one| us(one, Figure::MmapP99Ns)),
    ("p99.9", 10, |one| us(one, Figure::MmapP999Ns)),
    ("p99.99", 10, |one| us(one, Figure::MmapP9999Ns)),
    ("max", 10, |one| us(one, Figure::MmapMaxNs)),
    ("wall", 11, |one| one.ms(Figure::WallNs)),
    ("CPU", 11, |one| one.ms(Figure::CpuNs)),
];

/// A median time in microseconds.
fn us(one: &Compared<'_>, figure: Figure) -> Option<String> {
    Some(format!("{:.0} us", one.run.median(figure)? / 1e3))
}

/// Measure how long mmap takes in a process while commands measure that process
#[derive(Debug, Parser)]
#[command(name = "latency")]
struct Options {
    /// A command that prints bytes, to which `--pid PID --total` is added [default: this build, by
    /// source]
    #[arg(long = "run", value_name = "NAME=COMMAND")]
    runs: Vec<String>,

    /// Size of the process
    #[arg(long, value_name = "MIB")]
    mib: Option<usize>,

    /// Mappings of its pages
    #[arg(long, value_name = "N")]
    mappings: Option<usize>,

    /// Seconds of each run
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,

    /// Rounds that count
    #[arg(long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,

    /// Rounds at most; a round does not count if the process is not quiet without commands
    #[arg(long, value_name = "N", default_value_t = 40,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    attempts: u32,

    /// The most microseconds of one mmap in 10,000 without commands
    #[arg(long, value_name = "US", default_value_t = 300)]
    idle_limit: u64,

    /// Save the record to a file
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,

    #[command(flatten)]
    labels: Labels,

    /// Added by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// The words of a command, by the name of its run; none for the run without commands.
struct Load {
    name: String,
    words: Vec<String>,
}

fn main() -> ExitCode {
    crowd::become_one();
    let is_bare = std::env::args().skip(1).all(|word| word == "--bench");
    let measured = if harness::is_test() || is_bare {
        // The tests, or all benches together.
        smoke()
    } else {
        let options = Options::parse();
        raise_priority();
        Cpus::split().and_then(|cpus| {
            let _moved = MovedThreads::to(&cpus.others);
            // On those CPUs `kdamond` would interrupt a reader that holds the lock.
            let _quiet = QuietMonitors::start();
            measure(&options, &cpus)
        })
    };
    measured.map_or_else(
        |error| {
            say(&error);
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

fn say(line: &str) {
    // A closed standard error cannot be reported.
    let _ = writeln!(std::io::stderr(), "latency: {line}");
}

/// Measures, prints and saves.
fn measure(options: &Options, cpus: &Cpus) -> Result<(), String> {
    let sizes = Sizes { mib: options.mib, mappings: options.mappings, ..Sizes::default() };
    // The process has a CPU of its own.
    let spec = Spec { pause: Duration::ZERO, ..sizes.of(Kind::Huge)? };
    let loads = loads(&options.runs)?;
    // It counts the CPUs of this process, which is pinned later.
    let about = options.labels.about();
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); loads.len()];
    let mut counted = 0;
    for attempt in 1..=options.attempts {
        let idle = run(&spec, &loads[0], options, cpus)?;
        let quiet = idle[&Figure::MmapP9999Ns] / 1000;
        if quiet > options.idle_limit {
            say(&format!("round {attempt} does not count: {quiet} us without commands"));
            continue;
        }
        samples[0].push(idle);
        for (load, samples) in loads.iter().zip(&mut samples).skip(1) {
            samples.push(run(&spec, load, options, cpus)?);
        }
        counted += 1;
        if counted == options.rounds {
            break;
        }
    }
    if counted < options.rounds {
        return Err(format!("only {counted} rounds of {} count: the host is busy", options.rounds));
    }
    let runs = loads.iter().zip(&samples).map(|(load, samples)| load.named().with(samples));
    let of = json!({
        "crowd": spec.kind.word(), "private_pages": spec.private, "mappings": spec.mappings,
        "seconds": options.seconds,
    });
    let record = Record { about, of, runs: runs.collect() };
    println!("{}", table(&spec, &record.runs));
    options.save.as_ref().map_or(Ok(()), |path| record.save(path)).map_err(|e| e.to_string())
}

/// The run without commands, then those of the command line.
fn loads(runs: &[String]) -> Result<Vec<Load>, String> {
    let by_source = SOURCES.map(|(name, words)| format!("{name}={PROGRAM} {words}"));
    let runs = if runs.is_empty() { &by_source[..] } else { runs };
    let mut loads = vec![Load { name: IDLE.to_owned(), words: Vec::new() }];
    for text in runs {
        let (name, words) = text.split_once('=').unwrap_or_default();
        let words: Vec<String> = words.split_ascii_whitespace().map(str::to_owned).collect();
        if name.is_empty() || words.is_empty() {
            return Err(format!("--run {text}: it must have the form NAME=PROGRAM WORDS"));
        }
        loads.push(Load { name: name.to_owned(), words });
    }
    Ok(loads)
}

impl Load {
    fn named(&self) -> Run {
        let words = self.words.get(1..).unwrap_or_default().join(" ");
        let command = if self.words.is_empty() { words } else { format!("psm-uring {words}") };
        Run { command, ..Run::new(&self.name) }
    }

    /// Measures the process once, and checks that all of its memory is in the answer.
    fn measure(&self, pid: Pid, spec: &Spec) -> Result<Sample, String> {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).args(["--pid", &pid.to_string(), "--total"]);
        let ran = usage::run(&mut command)?;
        let total = ran.stdout.trim().parse::<u64>().ok().filter(|_| ran.is_success);
        let promised = (spec.private * rustix::param::page_size()) as u64;
        match total {
            Some(bytes) if (promised..promised + OWN_BYTES).contains(&bytes) => Ok(ran.usage),
            Some(bytes) => Err(format!("{}: {bytes} bytes, expected {promised}", self.name)),
            None => Err(format!("{}: no number of bytes: {}", self.name, ran.stderr.trim())),
        }
    }
}

/// The CPU of the process, and those of the commands.
struct Cpus {
    first: CpuSet,
    others: CpuSet,
}

impl Cpus {
    fn split() -> Result<Cpus, String> {
        let all = sched_getaffinity(None).map_err(|error| format!("affinity: {error}"))?;
        let mut first = CpuSet::new();
        let mut others = all;
        let one = (0..CpuSet::MAX_CPU).find(|cpu| all.is_set(*cpu)).unwrap_or(0);
        first.set(one);
        others.unset(one);
        if others.count() == 0 {
            return Err("one CPU: the process and its readers need one each".to_owned());
        }
        Ok(Cpus { first, others })
    }
}

/// Threads of the kernel that may not run on the CPU of the process meanwhile, and the CPUs that
/// each had. One such as `kdamond` keeps a CPU for 2 ms: it takes the one of the process when the
/// process waits for a lock, and the process then waits for it. Only a run that a signal ends
/// leaves them where they are.
struct MovedThreads(Vec<(rustix::process::Pid, CpuSet)>);

impl MovedThreads {
    fn to(others: &CpuSet) -> MovedThreads {
        // Those that belong to one CPU refuse to move.
        let moved = kernel_threads().into_iter().filter_map(|pid| {
            let had = sched_getaffinity(Some(pid)).ok()?;
            let is_wide = (0..CpuSet::MAX_CPU).all(|cpu| had.is_set(cpu) || !others.is_set(cpu));
            (is_wide && sched_setaffinity(Some(pid), others).is_ok()).then_some((pid, had))
        });
        MovedThreads(moved.collect())
    }
}

impl Drop for MovedThreads {
    fn drop(&mut self) {
        for (pid, had) in &self.0 {
            // It may have ended.
            let _ = sched_setaffinity(Some(*pid), had);
        }
    }
}

/// Asks for the highest priority, in a session of its own: the priority belongs to all processes
/// of a session and outlives this one. Threads of the kernel starve beside such a session, which
/// delays the exits of all rings on the host.
fn raise_priority() {
    // A terminal signals its own session only: the end of the parent ends this process too.
    let leads = || rustix::process::getsid(None) == Ok(rustix::process::getpid());
    let raised = (rustix::process::setsid().is_ok() || leads())
        && rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).is_ok()
        && std::fs::write("/proc/self/autogroup", NICE.to_string()).is_ok();
    // A kernel without autogroup has priorities of processes.
    if rustix::process::setpriority_process(None, NICE).is_err() || !raised {
        say("no permission for a higher priority: other programs disturb the times");
    }
}

/// One run: a new process records its times while the command runs in a loop.
fn run(spec: &Spec, load: &Load, options: &Options, cpus: &Cpus) -> Result<Sample, String> {
    let pin = |set| sched_setaffinity(None, set).map_err(|error| format!("affinity: {error}"));
    pin(&cpus.first)?;
    let crowd = Crowd::start(spec)?;
    pin(&cpus.others)?;
    let (began, time) = (Instant::now(), Duration::from_secs(options.seconds));
    let mut measured = Vec::new();
    while began.elapsed() < time {
        if load.words.is_empty() {
            std::thread::sleep(time);
        } else {
            measured.push(load.measure(crowd.pids()[0], spec)?);
        }
    }
    let report = crowd.end()?.ok_or("the process has no record")?;
    let mut sample = parse(&report).ok_or_else(|| format!("no record: {report}"))?;
    let of_commands = Run::default().with(&measured);
    for figure in [Figure::WallNs, Figure::CpuNs] {
        let median = of_commands.figures.get(&figure).map(|Spread { median, .. }| *median);
        sample.extend(median.map(|median| (figure, median)));
    }
    Ok(sample)
}

/// The record of the process: `123 times, us: p50 1 p99 2 p99.9 3 p99.99 4 max 5`.
fn parse(report: &str) -> Option<Sample> {
    let words: Vec<&str> = report.split(' ').collect();
    let value = |key: &str| {
        let place = words.iter().position(|word| *word == key)?;
        Some(words.get(place + 1)?.parse::<u64>().ok()? * 1000)
    };
    Some(Sample::from([
        (Figure::MmapP99Ns, value("p99")?),
        (Figure::MmapP999Ns, value("p99.9")?),
        (Figure::MmapP9999Ns, value("p99.99")?),
        (Figure::MmapMaxNs, value("max")?),
    ]))
}

fn table(spec: &Spec, runs: &[Run]) -> String {
    let rows: Vec<_> =
        runs.iter().map(|run| Compared { run, base: runs.first(), floor: None }).collect();
    let (pages, mappings) = (spec.private, spec.mappings);
    format!(
        "mmap in a process of {pages} pages in {mappings} mappings, medians\n{}",
        record::table(&COLUMNS, &rows)
    )
}

/// Tiny, because other tests wait. The times of a busy host do not matter.
fn smoke() -> Result<(), String> {
    let path = std::env::temp_dir().join(format!("psm-uring-latency-{}.json", std::process::id()));
    let limit = u64::MAX.to_string();
    let words = ["latency", "--mib", "8", "--mappings", "100", "--seconds", "1", "--rounds", "1"];
    let words = words.into_iter().chain(["--idle-limit", &limit, "--save"]).map(Into::into);
    let words = words.chain([path.clone().into_os_string()]);
    let Ok(cpus) = Cpus::split() else {
        say("SKIPPED latency: there is one CPU");
        return Ok(());
    };
    let measured = measure(&Options::parse_from(words), &cpus);
    let record = Record::load(&path).map_err(|error| error.to_string());
    // A failed run leaves no file behind either.
    let _ = std::fs::remove_file(&path);
    measured?;
    let runs = record?.runs;
    let is_whole = |run: &Run| run.figures.contains_key(&Figure::MmapMaxNs);
    if runs.len() == 1 + SOURCES.len() && runs.iter().all(is_whole) {
        return Ok(());
    }
    Err(format!("the record is not whole: {runs:?}"))
}
