//! Whole commands over a crowd, in turn: builds and engines of psm-uring, and the tools that people
//! use today. Wall and CPU time, peak memory and counted work; kept as a record when asked to.
//!
//! `cargo bench --bench commands -- --crowd small --run new=target/release/psm-uring`
//!
//! - `candidate` who is measured, and where its output says the sum
//! - `usage`     one run: what a command printed and used; the only `unsafe`
//! - `record`    what was measured, as it is kept
//! - `table`     the same for people, and which ratios are too high

#![allow(clippy::print_stdout)]

mod candidate;
#[path = "../crowd/mod.rs"]
mod crowd;
#[path = "../harness/mod.rs"]
mod harness;
mod record;
mod table;
mod usage;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use candidate::Candidate;
use clap::Parser;
use crowd::{Crowd, Kind, Sizes, Spec};
use harness::Mode;
use harness::about::Labels;
use record::Run;
use table::median;

/// Sums are near each other when they differ by less than this part: tools round differently, and
/// count themselves.
const NEAR: f64 = 0.05;
/// A figure exceeded its ratio.
const EXCEEDED: u8 = 4;

/// Measure whole commands over a crowd, in turn
#[derive(Debug, Parser)]
#[command(name = "commands")]
struct Options {
    /// A build of psm-uring with its arguments: NAME=PROGRAM WORDS
    #[arg(long = "run", value_name = "NAME=COMMAND", required = true)]
    runs: Vec<String>,

    /// Measure metop, ps_mem, smemstat and smem besides, installed in DIR or by packages
    #[arg(long, value_name = "DIR")]
    rivals: Option<PathBuf>,

    /// The crowd
    #[arg(long = "crowd", value_name = "KIND", default_value = "small")]
    kind: Kind,

    /// No crowd: the host as it is
    #[arg(long)]
    idle: bool,

    #[command(flatten)]
    sizes: Sizes,

    /// How often each is measured, in turn
    #[arg(long, value_name = "N", default_value_t = 11,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,

    /// Keep the record in a file
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
    let measured = if Mode::of_this_run() == Mode::Smoke || is_bare {
        // All benches together, or the tests.
        smoke()
    } else {
        measure(&Options::parse())
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

fn say(what: &str) {
    // Nobody is left to tell that standard error is closed.
    let _ = writeln!(std::io::stderr(), "commands: {what}");
}

/// Tiny, because other tests wait.
fn smoke() -> Result<Vec<String>, String> {
    candidate::check_outputs();
    let program = env!("CARGO_BIN_EXE_psm-uring");
    let record = std::env::temp_dir().join(format!("psm-uring-smoke-{}.json", std::process::id()));
    let words = ["commands", "--processes", "32", "--rounds", "2", "--run"].map(str::to_owned);
    let sync = ["--run".to_owned(), format!("sync={program} --engine sync"), "--save".to_owned()];
    let auto = [format!("auto={program}")];
    let words = words.iter().chain(&auto).chain(&sync).map(Into::into);
    let options = Options::parse_from(words.chain([record.clone().into_os_string()]));
    let worse = measure(&options);
    let text = std::fs::read_to_string(&record).map_err(|error| format!("record: {error}"));
    // Where there is none, nothing is left behind either.
    let _ = std::fs::remove_file(&record);
    let worse = worse?;
    let record: serde_json::Value =
        serde_json::from_str(&text?).map_err(|error| format!("record: {error}"))?;
    for (place, name) in ["auto", "sync"].into_iter().enumerate() {
        let run = &record["runs"][place];
        assert_eq!(
            (&run["name"], run["wall_us"].as_array().map(Vec::len)),
            (&name.into(), Some(2))
        );
        assert!(run["work"]["measured"].as_u64() >= Some(32), "{run}");
        assert!(run["work"]["operations"].as_u64() >= Some(4 * 32), "{run}");
    }
    Ok(worse)
}

/// Measures, prints and keeps; the answer is a line for every ratio that is too high.
fn measure(options: &Options) -> Result<Vec<String>, String> {
    let mut candidates: Vec<Candidate> =
        options.runs.iter().map(|text| Candidate::parse(text)).collect::<Result<_, _>>()?;
    candidates.extend(options.rivals.as_deref().map(Candidate::rivals).unwrap_or_default());
    let spec = options.sizes.of(options.kind)?;
    let spec = (!options.idle).then_some(spec);
    let mut crowd = spec.as_ref().map(Crowd::start).transpose()?;
    let mut runs = warm_up(&mut candidates)?;
    for _ in 0..options.rounds {
        for (candidate, run) in candidates.iter().zip(&mut runs) {
            crowd.as_mut().map_or(Ok(()), Crowd::push_out)?;
            let (ran, total) = candidate.run()?;
            run.add(&ran, total);
        }
    }
    for (candidate, run) in candidates.iter().zip(&mut runs) {
        run.work = candidate.work();
    }
    check_sums(&candidates, &runs)?;
    check_members(&runs, spec.as_ref())?;
    if let Some(report) = crowd.map_or(Ok(None), Crowd::end)? {
        println!("the process itself: {report}");
    }
    println!("{}", table::table(spec.as_ref(), &runs));
    if let Some(path) = &options.save {
        let text = record::to_json(&options.labels, spec.as_ref(), &runs);
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(options.max_ratio.map_or_else(Vec::new, |ratio| table::worse(&runs, ratio)))
}

/// Runs each once; a rival that is not there or cannot do it is left out, and told.
fn warm_up(candidates: &mut Vec<Candidate>) -> Result<Vec<Run>, String> {
    let mut failed = Ok(());
    candidates.retain(|candidate| match candidate.run() {
        Ok(_) => true,
        Err(error) if candidate.is_ours() => {
            failed = Err(error);
            false
        }
        Err(error) => {
            say(&format!("SKIPPED {error}"));
            false
        }
    });
    failed.map(|()| candidates.iter().map(Run::of).collect())
}

/// A rival that prints another sum than we do did not do the same work. Medians, because other
/// programs come and go.
fn check_sums(candidates: &[Candidate], runs: &[Run]) -> Result<(), String> {
    let ours = runs.first().map_or(0.0, |run| median(&run.total_kib));
    let rivals = candidates.iter().zip(runs).filter(|(candidate, _)| !candidate.is_ours());
    for (_, run) in rivals {
        let theirs = median(&run.total_kib);
        if (theirs - ours).abs() > ours * NEAR {
            return Err(format!(
                "{} says {theirs} KiB, {} says {ours}: one is wrong, or the host is not quiet",
                run.name, runs[0].name
            ));
        }
    }
    Ok(())
}

/// Everybody has measured every member: builds of ours say so, and all sums hold their pages.
fn check_members(runs: &[Run], spec: Option<&Spec>) -> Result<(), String> {
    let members = spec.map_or(0, |spec| spec.processes as u64);
    let least = spec.map_or(0, |spec| (members * spec.private as u64) << 2);
    for run in runs {
        let measured = run.work.map_or(members, |work| work.measured);
        let is_swapped = spec.is_some_and(|spec| spec.kind == Kind::Swapped);
        let total = run.total_kib.iter().min().copied().unwrap_or(0);
        if measured < members || (!is_swapped && total < least) {
            return Err(format!(
                "{} measured {measured} of {members} members, {total} of {least} KiB",
                run.name
            ));
        }
    }
    Ok(())
}
