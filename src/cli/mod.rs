//! Every word of the command line.
//!
//! - `bench` the words of `psm-uring bench`
//! - `parse` from a word to a value
//! - `words` the words for the enums of other floors
#![forbid(unsafe_code)]

mod bench;
mod parse;
mod words;

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand};
use regex::bytes::Regex;

pub use self::bench::BenchOptions;
use crate::engine::EngineKind;
use crate::process::{NameRule, Source};
use crate::program::{Grouping, SortKey};
use crate::report::Unit;
use crate::sys::ring::kernel::DEPTH_MAX;
use crate::units::Pid;

/// More threads than this only wait for each other.
pub(super) const WORKERS_MAX: u64 = 1024;

const EXAMPLES: &str = "\
Examples:
  psm-uring                     every program, the biggest last
  psm-uring -n 10               the ten biggest
  psm-uring -f 'celery|nginx'   programs whose name matches
  psm-uring --by pid -f nginx   each nginx process
  psm-uring --total             the sum alone, in bytes";

const EXIT_CODES: &str = "\
Exit codes:
  0  the report was printed
  1  no report was possible; one line on standard error says why
  2  the command line makes no sense
  3  the report lacks the memory of a process, and --strict was given

Amounts are in units of 1,024. RAM is the proportional set size (PSS): each page divided by the
number of processes that map it, so that programs add up. SHARED is the part of RAM that others
map too, SWAPPED the proportional share of swap.";

/// Which program uses how much RAM and swap, really.
#[derive(Debug, Parser)]
#[command(name = "psm-uring", version, before_help = EXAMPLES, after_long_help = EXIT_CODES,
          max_term_width = 100, args_conflicts_with_subcommands = true,
          disable_help_subcommand = true)]
pub struct Cli {
    /// What to do instead of printing the table.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The table.
    #[command(flatten)]
    pub options: Options,
}

/// What else the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure the engines against each other on this host
    Bench(BenchOptions),
}

/// Which table, and how to come by it.
#[derive(Args, Debug)]
pub struct Options {
    /// Only programs whose name matches this regular expression; others are not measured
    #[arg(short, long, value_name = "REGEX", value_parser = parse::filter, help_heading = "Select")]
    pub filter: Option<Regex>,

    /// Only these processes: 1,42,4711
    #[arg(short, long, value_name = "LIST", value_parser = parse::pid, value_delimiter = ',',
          help_heading = "Select")]
    pub pid: Vec<Pid>,

    /// What a row stands for
    #[arg(long, value_name = "WHAT", default_value = "program", help_heading = "Group")]
    pub by: Grouping,

    /// Which name a program goes by
    #[arg(long, value_name = "RULE", default_value = "title", help_heading = "Group")]
    pub name: NameRule,

    /// Sort by this column, the biggest last
    #[arg(short, long, value_name = "KEY", default_value = "ram", help_heading = "Show")]
    pub sort: SortKey,

    /// The biggest first
    #[arg(short, long, help_heading = "Show")]
    pub reverse: bool,

    /// Only the N biggest rows; the others are summed up in one
    #[arg(short = 'n', long, value_name = "N", help_heading = "Show")]
    pub top: Option<usize>,

    /// A column for the heap; reads full smaps, which is slower
    #[arg(long, help_heading = "Show")]
    pub heap: bool,

    /// Only the sum of RAM, one number, in bytes unless --unit is given
    #[arg(short, long, help_heading = "Show")]
    pub total: bool,

    /// The unit of all amounts [default: MiB]
    #[arg(long, value_name = "UNIT", ignore_case = true, help_heading = "Show")]
    pub unit: Option<Unit>,

    /// Leave out the head of the table
    #[arg(long, help_heading = "Show")]
    pub no_header: bool,

    /// How files are read
    #[arg(long, value_name = "ENGINE", default_value = "auto", help_heading = "How")]
    pub engine: EngineKind,

    /// Where memory figures come from
    #[arg(long, value_name = "FILE", default_value = "auto", help_heading = "How")]
    pub source: Source,

    /// Threads that read at once [default: number of CPUs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=WORKERS_MAX),
          help_heading = "How")]
    pub workers: Option<u64>,

    /// Processes asked at once by the engine uring [default: 64 for each worker]
    #[arg(long, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=DEPTH_MAX as u64),
          help_heading = "How")]
    pub depth: Option<u64>,

    /// Give up a read that sleeps this long in its target: 2s, 500ms
    #[arg(long, value_name = "TIME", value_parser = parse::patience, default_value = "2s",
          help_heading = "How")]
    pub stuck_after: Duration,

    /// Give up everything that is not finished by then, and print what is known
    #[arg(long, value_name = "TIME", value_parser = parse::duration, help_heading = "How")]
    pub deadline: Option<Duration>,

    /// Exit with 3 when the report lacks the memory of a process
    #[arg(long, help_heading = "How")]
    pub strict: bool,

    /// The directory of processes
    #[arg(long, value_name = "DIR", default_value = "/proc", help_heading = "How")]
    pub proc_root: PathBuf,

    /// Tell on standard error how it went: engine, operations, time, memory
    #[arg(long, action = ArgAction::SetTrue, help_heading = "How")]
    pub stats: bool,
}
