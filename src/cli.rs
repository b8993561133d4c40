//! Every word of the command line.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser, ValueEnum};
use regex::bytes::{Regex, RegexBuilder};

use crate::engine::EngineKind;
use crate::process::{NameRule, Source};
use crate::program::{Grouping, SortKey};
use crate::report::Unit;
use crate::sys::ring::kernel::DEPTH_MAX;
use crate::units::Pid;

/// The most memory a compiled `--filter` may take.
const FILTER_BYTES_MAX: usize = 1 << 20;
/// More threads than this only wait for each other.
const WORKERS_MAX: u64 = 1024;

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
#[command(version, before_help = EXAMPLES, after_long_help = EXIT_CODES, max_term_width = 100)]
pub struct Options {
    /// Only programs whose name matches this regular expression; others are not measured
    #[arg(short, long, value_name = "REGEX", value_parser = filter, help_heading = "Select")]
    pub filter: Option<Regex>,

    /// Only these processes: 1,42,4711
    #[arg(short, long, value_name = "LIST", value_parser = pid, value_delimiter = ',',
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
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "2s",
          help_heading = "How")]
    pub stuck_after: Duration,

    /// Give up everything that is not finished by then, and print what is known
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "How")]
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

fn filter(pattern: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(pattern).size_limit(FILTER_BYTES_MAX).build();
    built.map_err(|error| error.to_string())
}

fn pid(text: &str) -> Result<Pid, String> {
    match Pid::parse(text.trim().as_bytes()) {
        Some(Pid(0)) | None => Err("not a process id: a list looks like 1,42,4711".to_owned()),
        Some(pid) => Ok(pid),
    }
}

/// A time as people write it: `2s`, `500ms`, `1.5m`; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[digits.len()..] {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        _ => return Err("the unit is ms, s or m: 500ms, 2s, 1m".to_owned()),
    };
    let number: f64 = digits.parse().map_err(|_| "not a time: write 500ms, 2s or 1m".to_owned())?;
    let time = Duration::try_from_secs_f64(number * seconds);
    time.map_err(|_| "not a time that can be waited for".to_owned())
}

/// Gives an enum of another floor its words on the command line.
macro_rules! words {
    ($kind:ty { $($variant:ident => $word:literal, $help:literal;)* }) => {
        impl ValueEnum for $kind {
            fn value_variants<'a>() -> &'a [Self] {
                &[$(<$kind>::$variant),*]
            }
            fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
                let (word, help) = match self {
                    $(<$kind>::$variant => ($word, $help),)*
                };
                Some(clap::builder::PossibleValue::new(word).help(help))
            }
        }
    };
}

words!(Grouping {
    Program => "program", "All processes of one name";
    Pid => "pid", "One process";
});

words!(NameRule {
    Title => "title", "argv[0] as the process shows it, paths cut to the last part";
    Comm => "comm", "the kernel's name of the thread, at most 15 bytes";
    Exe => "exe", "the last part of the binary's path";
    Cmdline => "cmdline", "the whole argument list";
});

words!(SortKey {
    Ram => "ram", "RAM";
    Shared => "shared", "SHARED";
    Swap => "swap", "SWAPPED";
    Heap => "heap", "HEAP, with --heap";
    Count => "count", "Number of processes";
    Name => "name", "Name";
});

words!(Unit {
    Auto => "auto", "What suits the biggest amount";
    Bytes => "B", "Bytes";
    Kib => "KiB", "1,024 bytes";
    Mib => "MiB", "1,024 KiB";
    Gib => "GiB", "1,024 MiB";
});

words!(EngineKind {
    Auto => "auto", "uring where it works, else threads";
    Uring => "uring", "One thread submits to io_uring";
    Threads => "threads", "Several threads read";
    Sync => "sync", "One thread reads";
});

words!(Source {
    Auto => "auto", "smaps_rollup, or smaps where there is none";
    Rollup => "rollup", "smaps_rollup only";
    Smaps => "smaps", "smaps only: every mapping";
});
