//! The command line of `psm-uring bench`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::cli::words::{short_help, words};
use crate::cli::{WORKERS_MAX, number, ratio};
use crate::engine::EngineKind;
use crate::process::Source;
use crate::sys::ring::kernel::DEPTH_MAX;

const EXAMPLES: &str = "\
Examples:
  psm-uring bench                                  compare the engines on this host
  psm-uring bench --workers 1,2,4 --depth 32,128   and their parameters
  psm-uring bench --save before.json               save a record
  psm-uring bench --against before.json            exit with 4 if a figure got worse";

const FIGURES: &str = "\
Each survey runs in a process of its own, in turn with the others, after one round to warm up. The
time includes the set-up of the engine. The floor only opens, reads and closes the files, on as many
threads as there are CPUs. --against compares two figures of each engine with the record: the time
as a multiple of the floor of its own run, and operations per process.";

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

    /// Exit with 4 if a figure is more than RATIO times that of --against
    #[arg(long, value_name = "RATIO", requires = "against", default_value = "1.10",
          value_parser = ratio)]
    pub(crate) max_ratio: f64,

    /// Survey once with one engine in this process. `bench` runs itself with it.
    #[arg(long, hide = true)]
    pub(crate) once: bool,
}
