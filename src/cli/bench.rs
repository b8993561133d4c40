//! The words of `psm-uring bench`.

use std::path::PathBuf;

use clap::Args;

use super::{WORKERS_MAX, parse};
use crate::engine::EngineKind;
use crate::process::Source;
use crate::sys::ring::kernel::DEPTH_MAX;

const EXAMPLES: &str = "\
Examples:
  psm-uring bench                                      the engines on this host
  psm-uring bench --workers 1,2,4 --depth 32,128       and their parameters
  psm-uring bench --save before.json                   keep a record
  psm-uring bench --against before.json --max-ratio 1.10
                                                       exit with 4 when a figure got worse";

/// What to measure, and what to hold it against.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct BenchOptions {
    /// Engines to measure
    #[arg(long, value_name = "LIST", value_delimiter = ',',
          default_values_t = [EngineKind::Uring, EngineKind::Threads, EngineKind::Sync])]
    pub engines: Vec<EngineKind>,

    /// Threads that read at once, 1 to 1024 [default: number of CPUs]
    #[arg(long, value_name = "LIST", value_delimiter = ',',
          value_parser = parse::number::<1, WORKERS_MAX>)]
    pub workers: Vec<usize>,

    /// Processes asked at once by the engine uring, 1 to 256 [default: by workers and source]
    #[arg(long, value_name = "LIST", value_delimiter = ',',
          value_parser = parse::number::<1, DEPTH_MAX>)]
    pub depth: Vec<usize>,

    /// Where memory figures come from
    #[arg(long, value_name = "FILE", default_value = "auto")]
    pub source: Source,

    /// How often each is measured, in turn, 1 to 1000
    #[arg(short = 'n', long, value_name = "N", default_value_t = 11,
          value_parser = parse::number::<1, 1000>)]
    pub rounds: usize,

    /// The directory of processes
    #[arg(long, value_name = "DIR", default_value = "/proc")]
    pub proc_root: PathBuf,

    /// Print the record as JSON instead of a table
    #[arg(long)]
    pub json: bool,

    /// Keep the record in a file
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,

    /// Compare with a record that was kept
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,

    /// Exit with 4 when a figure is more than this many times that of --against
    #[arg(long, value_name = "RATIO", requires = "against", default_value = "1.10",
          value_parser = parse::ratio)]
    pub max_ratio: f64,
}
