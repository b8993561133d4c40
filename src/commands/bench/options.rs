//! The words of `psm-uring bench`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::cli::{WORKERS_MAX, number, ratio, words};
use crate::engine::EngineKind;
use crate::process::Source;
use crate::sys::ring::kernel::DEPTH_MAX;

const EXAMPLES: &str = "\
Examples:
  psm-uring bench                                  the engines on this host
  psm-uring bench --workers 1,2,4 --depth 32,128   and their parameters
  psm-uring bench --save before.json               keep a record
  psm-uring bench --against before.json            exit with 4 when it got worse";

const FIGURES: &str = "\
Each survey runs in a process of its own, in turn with the others, after one round to warm up: the
time is that of setting the engine up and surveying. The floor is open, read and close alone, on as
many threads as there are CPUs. --against holds two figures of each engine against the record: the
time as a multiple of the floor of its own run, and operations per process.";

/// What to measure, and what to hold it against.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES, after_long_help = FIGURES)]
pub(crate) struct BenchOptions {
    /// Engines to measure [default: uring,threads,sync]
    #[arg(long, value_name = "LIST", value_delimiter = ',',
          value_parser = words::words::<EngineKind>(),
          help = words::short_help::<EngineKind>("Engines to measure, all but auto if not given"),
          hide_possible_values = true)]
    pub(crate) engines: Vec<EngineKind>,

    /// Threads that read at once, 1 to 1024 [default: number of CPUs]
    #[arg(long, value_name = "LIST", value_delimiter = ',',
          value_parser = number::<1, WORKERS_MAX>)]
    pub(crate) workers: Vec<usize>,

    /// Processes asked at once by the engine uring, 1 to 1024 [default: by workers and source]
    #[arg(long, value_name = "LIST", value_delimiter = ',',
          value_parser = number::<1, DEPTH_MAX>)]
    pub(crate) depth: Vec<usize>,

    /// Where memory figures come from
    #[arg(long, value_name = "FILE", default_value = "rollup",
          value_parser = words::words::<Source>(),
          help = words::short_help::<Source>("Where memory figures come from"),
          hide_possible_values = true)]
    pub(crate) source: Source,

    /// How often each is measured, in turn, 1 to 1000
    #[arg(short = 'n', long, value_name = "N", default_value_t = 11,
          value_parser = number::<1, 1000>)]
    pub(crate) rounds: usize,

    /// The directory of processes
    #[arg(long, value_name = "DIR", default_value = "/proc", value_hint = ValueHint::DirPath)]
    pub(crate) proc_root: PathBuf,

    /// Print the record as JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,

    /// Keep the record in a file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) save: Option<PathBuf>,

    /// Compare with a record that was kept
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) against: Option<PathBuf>,

    /// Exit with 4 when a figure is more than this many times that of --against
    #[arg(long, value_name = "RATIO", requires = "against", default_value = "1.10",
          value_parser = ratio)]
    pub(crate) max_ratio: f64,

    /// Measure the one engine once in this process; what `bench` calls itself with.
    #[arg(long, hide = true)]
    pub(crate) once: bool,
}
