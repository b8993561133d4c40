//! The engines over a crowd: the whole command by engine, and `psm-uring bench` with its floor.
//!
//! `cargo bench --bench engines -- --crowd many --processes 20000`

#![allow(clippy::print_stdout)]

mod crowd;
mod harness;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::Write;
use std::process::Command;

use clap::Parser;
use crowd::{Crowd, Kind, Sizes, Spec};
use harness::{Candidate, Mode, Times, interleave};
use psm_uring::engine::{EngineKind, Surveyor, Timeouts, Tuning};
use psm_uring::process::{Plan, Source};
use psm_uring::sys::proc_root::ProcRoot;
use psm_uring::units::{Kib, Pid};

const PROGRAM: &str = env!("CARGO_BIN_EXE_psm-uring");
const ENGINES: [EngineKind; 3] = [EngineKind::Uring, EngineKind::Threads, EngineKind::Sync];
/// Pages of libraries are shared with programs that come and go: this part of a sum is noise.
const NOISE: f64 = 0.01;

/// Measure the engines over a crowd
#[derive(Debug, Parser)]
#[command(name = "engines")]
struct Options {
    /// The crowd
    #[arg(long = "crowd", value_name = "KIND", default_value = "small")]
    kind: Kind,

    #[command(flatten)]
    sizes: Sizes,

    /// How often each is measured, in turn
    #[arg(long, value_name = "N", default_value_t = 11,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,

    /// Added by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    /// Of the command line; with the tests, whose words are for others, a tiny crowd.
    fn of_this_run() -> Options {
        if Mode::of_this_run() == Mode::Measure {
            return Options::parse();
        }
        let sizes = Sizes { processes: Some(32), ..Sizes::default() };
        Options { kind: Kind::Small, sizes, rounds: 1, bench: false }
    }
}

fn main() -> Result<(), String> {
    crowd::become_one();
    let options = Options::of_this_run();
    let spec = options.sizes.of(options.kind)?;
    let engines: Vec<EngineKind> = ENGINES.into_iter().filter(|kind| is_there(*kind)).collect();
    let crowd = Crowd::start(&spec)?;
    let expected = Sums::read(crowd.pids())?;
    engines.iter().for_each(|kind| check(*kind, crowd.pids(), &expected));
    let crowd = RefCell::new(crowd);
    print(&spec, &engines, &time_commands(&engines, &crowd, &expected, options.rounds));
    // Its rounds follow each other: the first would bring back what is swapped.
    if spec.kind != Kind::Swapped {
        bench(&engines, spec.processes, options.rounds)?;
    }
    if let Some(report) = crowd.into_inner().end()? {
        println!("\nthe process itself: {report}");
    }
    Ok(())
}

fn open(kind: EngineKind) -> Result<Surveyor, String> {
    let root = ProcRoot::open("/proc".as_ref()).map_err(|errno| format!("/proc: {errno}"))?;
    Surveyor::open(kind, &root, Tuning::new(None, None, Source::Auto))
        .map_err(|error| error.to_string())
}

/// Whether this host has the engine; says so where not.
fn is_there(kind: EngineKind) -> bool {
    let opened = open(kind);
    if let Err(why) = &opened {
        let _ = writeln!(std::io::stderr(), "SKIPPED {}: {why}", kind.word());
    }
    opened.is_ok()
}

/// Sums over all members.
struct Sums {
    pss: Kib,
    uss: Kib,
    swap: Kib,
}

impl Sums {
    /// Read in the plainest way, by no code of the program. Names first, because reading one
    /// brings its page back from swap.
    fn read(pids: &[Pid]) -> Result<Sums, String> {
        let (mut pss, mut uss, mut swap) = (0, 0, 0);
        for pid in pids {
            let _ = std::fs::read(format!("/proc/{pid}/cmdline"));
            let path = format!("/proc/{pid}/smaps_rollup");
            let text =
                std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
            for line in text.lines() {
                let mut words = line.split_ascii_whitespace();
                let (key, kib) = (words.next(), words.next().and_then(|kib| kib.parse().ok()));
                match (key, kib) {
                    (Some("Pss:"), Some::<u64>(kib)) => pss += kib,
                    (Some("Private_Clean:" | "Private_Dirty:"), Some(kib)) => uss += kib,
                    (Some("SwapPss:"), Some(kib)) => swap += kib,
                    _ => {}
                }
            }
        }
        Ok(Sums { pss: Kib(pss), uss: Kib(uss), swap: Kib(swap) })
    }
}

/// An engine measured every member, and found what there is.
fn check(kind: EngineKind, pids: &[Pid], expected: &Sums) {
    let word = kind.word();
    let mut surveyor = open(kind).expect("it was there a moment ago");
    let timeouts = Timeouts { stuck_after: std::time::Duration::from_secs(20), deadline: None };
    let survey = surveyor.survey(pids, &Plan::default(), &timeouts).expect(word);
    let found: BTreeSet<Pid> = survey.processes().map(|process| process.pid).collect();
    let missing: Vec<&Pid> = pids.iter().filter(|pid| !found.contains(pid)).collect();
    assert!(missing.is_empty(), "{word} lacks {missing:?}: {:?}", survey.coverage());
    let near = |what, found: Kib, expected: Kib| {
        let off = found.0.abs_diff(expected.0) as f64;
        let allowed = expected.0 as f64 * NOISE;
        assert!(off <= allowed, "{word}: {what} is {found:?}, the files say {expected:?}");
    };
    near("Pss", survey.processes().map(|process| process.smaps.pss()).sum(), expected.pss);
    near("Uss", survey.processes().map(|process| process.smaps.uss()).sum(), expected.uss);
    near(
        "SwapPss",
        survey.processes().filter_map(|process| process.smaps.swap()).sum(),
        expected.swap,
    );
}

/// Whole commands, from exec to exit, with pages pushed out before each.
fn time_commands(
    engines: &[EngineKind],
    crowd: &RefCell<Crowd>,
    expected: &Sums,
    rounds: u32,
) -> Vec<Times> {
    let run = |kind: &EngineKind| {
        let output = Command::new(PROGRAM)
            .args(["--total", "--engine", kind.word()])
            .output()
            .expect("the program starts");
        let total = String::from_utf8_lossy(&output.stdout).trim().parse::<u64>();
        let least = expected.pss.bytes() as f64 * (1.0 - NOISE);
        let is_right = total.as_ref().is_ok_and(|total| *total as f64 >= least);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && is_right, "{kind:?}: {total:?} of {least}: {told}");
    };
    let push_out = || crowd.borrow_mut().push_out().expect("the crowd stands");
    let mut candidates: Vec<Candidate<'_>> = engines
        .iter()
        .map(|kind| Candidate::new(kind.word(), move || run(kind)).after(push_out))
        .collect();
    interleave(&mut candidates, usize::try_from(rounds).unwrap_or(1))
}

fn print(spec: &Spec, engines: &[EngineKind], times: &[Times]) {
    let Spec { kind, processes, .. } = spec;
    println!("crowd {}, {processes} processes; whole commands (--total)", kind.word());
    println!("{:<8}{:>12}{:>24}{:>11}", "engine", "median", "min .. max", "x threads");
    let ms = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    let threads = engines.iter().position(|kind| *kind == EngineKind::Threads);
    let threads = threads.map_or(f64::NAN, |place| ms(times[place].median()));
    for (kind, times) in engines.iter().zip(times) {
        let (min, max) = times.spread();
        let (median, spread) = (ms(times.median()), format!("{:.1} .. {:.1} ms", ms(min), ms(max)));
        println!("{:<8}{median:>9.1} ms{spread:>24}{:>11.2}", kind.word(), median / threads);
    }
}

/// The program's own benchmark among the crowd prints its table; its record must not lack members.
fn bench(engines: &[EngineKind], members: usize, rounds: u32) -> Result<(), String> {
    let words: Vec<&str> = engines.iter().map(|kind| kind.word()).collect();
    let record = std::env::temp_dir().join(format!("psm-uring-bench-{}.json", std::process::id()));
    println!();
    let status = Command::new(PROGRAM)
        .args(["bench", "--engines", &words.join(","), "--rounds", &rounds.to_string(), "--save"])
        .arg(&record)
        .status();
    let text = std::fs::read(&record);
    // Where there is none, nothing is left behind either.
    let _ = std::fs::remove_file(&record);
    let status = status.map_err(|error| format!("{PROGRAM}: {error}"))?;
    let text = text.map_err(|error| format!("bench ended with {status}, no record: {error}"))?;
    let record: serde_json::Value =
        serde_json::from_slice(&text).map_err(|error| format!("record: {error}"))?;
    let measured = |engine: &serde_json::Value| engine["measured"].as_u64().unwrap_or(0);
    let all = record["engines"].as_array().ok_or("a record without engines")?;
    assert_eq!(all.len(), engines.len(), "every engine has a record");
    for engine in all {
        assert!(measured(engine) >= members as u64, "{engine} lacks some of {members} members");
    }
    Ok(())
}
