//! The command line of the table and of `diff`: options, values, errors, help.
//!
//! - `parse`       from a word to a value
//! - `words`       the words of enums, as values and in help
//! - `usage_error` a wrong command line, on one line
//! - `help`        the short help
#![forbid(unsafe_code)]

mod help;
mod parse;
mod usage_error;
pub(crate) mod words;

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueHint};
use regex::bytes::Regex;

pub(crate) use self::help::help;
pub use self::parse::{PidList, User};
pub(crate) use self::parse::{number, ratio};
pub(crate) use self::usage_error::usage_error;
use self::words::{long_help, short_help, words};
use crate::engine::{EngineKind, Timeouts};
use crate::process::{NameRule, Source};
use crate::program::{Column, Grouping};
use crate::report::{Color, DiffFormat, Format, Unit};
use crate::sys::ring::kernel::DEPTH_MAX;
use crate::units::{Kib, Pid};

/// More threads than this only wait for each other.
pub(crate) const WORKERS_MAX: usize = 1024;

/// More processes than any Linux has at a time (`PID_MAX_LIMIT`, include/linux/threads.h).
pub(crate) const TOP_MAX: usize = 4 << 20;

pub(crate) const EXAMPLES: &str = "\
Examples:
  psm-uring                       every program, the biggest last
  psm-uring -n 10                 the ten biggest
  psm-uring -f 'celery|nginx'     programs whose name matches
  psm-uring --by unit -u alice    the systemd units of a user
  psm-uring --deadline 1s -n 10   a struggling host: report after 1 s";

pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  the report was printed; standard error reports the processes that it lacks
  1  no report was printed; one line on standard error gives the reason
  2  usage error
  3  --strict: the report lacks the memory of a process, a process changed while it was read, or
     hidepid hides processes
  4  bench: a figure is worse than --max-ratio allows
If the reader closes the pipe, as in `psm-uring | head -1`, SIGPIPE ends the program silently.";

pub(crate) const ENVIRONMENT: &str = "\
Environment:
  COLUMNS         width of the terminal, instead of the one that it reports
  LINES           height of the terminal for --watch, instead of the one that it reports
  NO_COLOR        no colour, unless --color always
  CLICOLOR_FORCE  colour, even in a pipe or a file
  CLICOLOR        0: no colour
  TERM            dumb: no colour; dumb or not set: no redrawing";

pub(crate) const AMOUNTS: &str = "\
Amounts are in units of 1,024. RAM is the proportional set size (PSS): each page divided by the
number of processes that map it, so that programs add up. SHARED is the part of RAM that other
processes map too, SWAPPED the proportional share of swap.";

#[allow(rustdoc::bare_urls)] // They are help texts.
/// The options that select processes.
#[derive(Args, Clone, Debug)]
pub struct SelectOptions {
    /// Only programs whose name matches
    ///
    /// Other programs are not measured. The syntax is that of Rust's regex crate
    /// (https://docs.rs/regex/latest/regex/#syntax). A match anywhere in the name counts, unless ^
    /// and $ anchor it; (?i) in front ignores case.
    #[arg(short, long, value_name = "REGEX", value_parser = parse::filter,
          help_heading = "Filtering")]
    pub filter: Option<Regex>,

    /// Only these processes: 1,42,4711
    ///
    /// Blanks and newlines separate ids too, as in -p "$(pgrep nginx)". The option may be repeated:
    /// -p 1 -p 42 is -p 1,42.
    #[arg(short, long, value_name = "LIST", value_parser = parse::pids,
          help_heading = "Filtering")]
    pub pid: Vec<PidList>,

    /// Only processes of these users, names or ids: root,1000
    ///
    /// The effective user of a process decides. Processes of other users are not measured. The
    /// option may be repeated.
    #[arg(short, long, value_name = "LIST", value_parser = parse::user, value_delimiter = ',',
          help_heading = "Filtering")]
    pub user: Vec<User>,
}

/// The options of the output.
#[derive(Args, Clone, Debug)]
pub struct OutputOptions {
    /// The unit of all amounts [default: MiB]
    #[arg(long, value_name = "UNIT", value_parser = words::<Unit>(),
          help_heading = "Display", hide_short_help = true,
          help = short_help::<Unit>("Unit of all amounts"),
          long_help = long_help::<Unit>("Unit of all amounts [default: MiB]"),
          hide_possible_values = true)]
    pub unit: Option<Unit>,

    /// Omit the header of the table
    #[arg(long, help_heading = "Display", hide_short_help = true)]
    pub no_header: bool,

    /// When to use colour
    #[arg(long, value_name = "WHEN", default_value = "auto", value_parser = words::<Color>(),
          help_heading = "Display", long_help = long_help::<Color>("When to use colour"),
          hide_short_help = true, hide_possible_values = true)]
    pub color: Color,

    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table",
          value_parser = words::<Format>(), help_heading = "Display",
          help = short_help::<Format>("Output format"),
          long_help = long_help::<Format>("Output format [default: table]"),
          hide_possible_values = true, hide_default_value = true)]
    pub output: Format,

    /// Short for --output json
    #[arg(long, help_heading = "Display", hide_short_help = true, conflicts_with = "output")]
    pub json: bool,

    /// Write the report to FILE, replacing it in one step
    ///
    /// FILE gets mode 644, and is replaced only if it is a regular file. On failure the old file
    /// stays.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Display",
          hide_short_help = true)]
    pub output_file: Option<PathBuf>,
}

/// The options of measurement.
#[derive(Args, Clone, Debug)]
pub struct ReadOptions {
    /// How files are read
    #[arg(long, value_name = "ENGINE", default_value = "auto",
          value_parser = words::<EngineKind>(), help_heading = "Measurement",
          long_help = long_help::<EngineKind>("How files are read"), hide_short_help = true,
          hide_possible_values = true)]
    pub engine: EngineKind,

    /// Threads that read in parallel, 1 to 1024 [default: by CPUs and memory pressure]
    #[arg(long, value_name = "N", value_parser = parse::number::<1, WORKERS_MAX>,
          allow_negative_numbers = true,
          help_heading = "Measurement", hide_short_help = true)]
    pub workers: Option<usize>,

    /// Processes in flight in the engine uring, 1 to 1024 [default: by workers and source]
    ///
    /// The default is 128 for each worker, 32 if smaps is read, and fewer where memory or open
    /// files are short.
    #[arg(long, value_name = "N", value_parser = parse::number::<1, DEPTH_MAX>,
          allow_negative_numbers = true,
          help_heading = "Measurement", hide_short_help = true)]
    pub depth: Option<usize>,

    /// Give up on a process whose read blocks for this long: 2s, 500ms, 1m
    ///
    /// A number alone is seconds.
    #[arg(long, value_name = "TIME", value_parser = parse::stuck_after, default_value = "2s",
          help_heading = "Measurement", hide_short_help = true)]
    pub stuck_after: Duration,

    /// Stop after TIME and report what was measured so far
    ///
    /// TIME is 500ms, 2s or 1m; a number alone is seconds. It counts from the start of the program;
    /// with --watch, from the start of each report.
    #[arg(long, value_name = "TIME", value_parser = parse::duration,
          help_heading = "Measurement")]
    pub deadline: Option<Duration>,

    /// Exit with 3 if the report lacks the memory of a process
    ///
    /// Processes that were denied, timed out, not asked, changed while they were read, not
    /// understood or failed count; processes that ended do not.
    #[arg(long, help_heading = "Measurement", hide_short_help = true)]
    pub strict: bool,

    /// The proc filesystem to read
    #[arg(long, value_name = "DIR", default_value = "/proc", value_hint = ValueHint::DirPath,
          help_heading = "Measurement", hide_short_help = true)]
    pub proc_root: PathBuf,

    /// Print run statistics to standard error
    #[arg(long, action = ArgAction::SetTrue, help_heading = "Measurement",
          hide_short_help = true)]
    pub stats: bool,
}

/// The options of the table, from `psm-uring` without a command.
#[derive(Args, Debug)]
pub struct Options {
    /// The processes.
    #[command(flatten)]
    pub select: SelectOptions,

    /// The meaning of a row
    #[arg(long, value_name = "WHAT", default_value = "program", value_parser = words::<Grouping>(),
          help_heading = "Grouping", help = short_help::<Grouping>("Rows"),
          long_help = long_help::<Grouping>("Group by"),
          hide_possible_values = true, hide_default_value = true)]
    pub by: Grouping,

    /// How programs are named
    #[arg(long, value_name = "RULE", default_value = "title", value_parser = words::<NameRule>(),
          help_heading = "Grouping", help = short_help::<NameRule>("Name programs by"),
          long_help = long_help::<NameRule>("Name programs by"),
          hide_possible_values = true)]
    pub name: NameRule,

    /// The columns, from left to right
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = words::<Column>(),
          help_heading = "Display", help = "Columns, from left to right: see --help",
          long_help = long_help::<Column>("Columns, from left to right"),
          hide_possible_values = true)]
    pub columns: Vec<Column>,

    /// Sort by this column, the biggest last
    ///
    /// The column need not be shown, except heap. pss-anon, pss-file and pss-shmem need the rollup
    /// or page tables.
    #[arg(short, long, value_name = "COLUMN", default_value = "ram",
          value_parser = words::<Column>(), help_heading = "Display",
          hide_possible_values = true)]
    pub sort: Column,

    /// Print the biggest row first
    #[arg(short, long, help_heading = "Display", hide_short_help = true)]
    pub reverse: bool,

    /// Only the N biggest rows; one more row sums up the others
    ///
    /// With --sort pid the biggest rows have the highest ids; with --sort name, user or cgroup the
    /// first N rows are shown. Of rows without figures the N biggest are shown as well.
    #[arg(short = 'n', long, value_name = "N", value_parser = parse::number::<0, TOP_MAX>,
          allow_negative_numbers = true,
          help_heading = "Display")]
    pub top: Option<usize>,

    /// Add a column for the heap; reads full smaps, which is slower
    #[arg(long, help_heading = "Display", hide_short_help = true, conflicts_with = "columns")]
    pub heap: bool,

    /// Print only the total RAM, in bytes unless --unit is given
    ///
    /// With --unit auto the unit follows the number.
    #[arg(short, long, help_heading = "Display")]
    pub total: bool,

    /// Add the memory of the host beside that of the programs
    ///
    /// Counts every byte of host memory once and shows the rest as unattributed. Also in json and
    /// openmetrics.
    #[arg(long, alias = "summary", help_heading = "Display", conflicts_with = "total")]
    pub host: bool,

    /// The output.
    #[command(flatten)]
    pub out: OutputOptions,

    /// Refresh every TIME (default 2s), redrawing in place
    ///
    /// TIME is 500ms, 2s or 1m; a number alone is seconds.
    /// Marks show changes since the last report: + grew, - shrank, * is new. A terminal is redrawn;
    /// elsewhere a blank line separates the tables, and --output ndjson writes one document a line;
    /// --output-file holds the last report. Files stay open between reports, and a title that a
    /// program changes shows within 8 seconds. Ctrl-C ends the program.
    #[arg(short, long, value_name = "TIME", value_parser = parse::interval, num_args = 0..=1,
          default_missing_value = "2s", help_heading = "Watching")]
    pub watch: Option<Duration>,

    /// Stop after N reports of --watch
    #[arg(long, value_name = "N", value_parser = parse::number::<1, { usize::MAX }>,
          allow_negative_numbers = true, help_heading = "Watching", hide_short_help = true)]
    pub count: Option<usize>,

    /// With --watch, show changes since the report in FILE, which --json wrote
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath,
          conflicts_with_all = ["top", "columns", "heap", "sort", "host"],
          help_heading = "Watching", hide_short_help = true)]
    pub since: Option<PathBuf>,

    /// Where memory figures come from
    #[arg(long, value_name = "SOURCE", default_value = "auto", value_parser = words::<Source>(),
          help_heading = "Measurement",
          long_help = long_help::<Source>("Where memory figures come from"),
          hide_short_help = true, hide_possible_values = true)]
    pub source: Source,

    /// Read page tables in smaller parts: big processes wait less, the report takes longer
    #[arg(long, help_heading = "Measurement", hide_short_help = true)]
    pub gentle: bool,

    /// The control groups to read, if not those that are mounted here
    ///
    /// DIR is /sys/fs/cgroup of another place, its directory memory, or a copy. With --proc-root,
    /// the columns of control groups need it.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath,
          help_heading = "Measurement", hide_short_help = true)]
    pub cgroup_root: Option<PathBuf>,

    /// The measurement.
    #[command(flatten)]
    pub read: ReadOptions,
}

impl ReadOptions {
    /// The limits of the survey.
    pub fn timeouts(&self) -> Timeouts {
        Timeouts { stuck_after: self.stuck_after, deadline: self.deadline }
    }
}

impl SelectOptions {
    /// The processes of all lists of `--pid`.
    pub fn pids(&self) -> impl Iterator<Item = Pid> {
        self.pid.iter().flat_map(|list| list.0.iter().copied())
    }
}

const DIFF_EXAMPLES: &str = "\
Examples:
  psm-uring --json --output-file monday.json       save a report
  psm-uring diff monday.json tuesday.json          the biggest growth is last
  psm-uring --json | psm-uring diff monday.json -  compare with now
  psm-uring diff --min-delta 10MiB a.json b.json   changes of 10 MiB or more";

const DIFF_RULES: &str = "\
Rows match if they have the same key, which is the name without its changing text; in reports made
with --by pid or tree, if process id and start time are the same. Both reports must be made with the
same --by and --name, and be whole: without --top and --total. A figure that one of them lacks gives
- instead of a number. Reports may come through pipes, as with <(psm-uring --json) in bash.";

/// The options of `psm-uring diff`.
#[derive(Args, Debug)]
#[command(before_help = DIFF_EXAMPLES, after_long_help = DIFF_RULES)]
pub struct DiffOptions {
    /// The earlier report, as --json writes it
    #[arg(value_name = "A.json", value_hint = ValueHint::FilePath)]
    pub before: PathBuf,

    /// The later report; - is standard input
    #[arg(value_name = "B.json", value_hint = ValueHint::FilePath)]
    pub after: PathBuf,

    /// Leave out smaller changes: 10MiB, 512KiB, 1GiB
    ///
    /// The default is the smallest amount that the unit shows.
    #[arg(long, value_name = "SIZE", value_parser = parse::size, default_value = "0",
          hide_default_value = true)]
    pub min_delta: Kib,

    /// Print the biggest growth first
    #[arg(short, long)]
    pub reverse: bool,

    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table",
          value_parser = words::<DiffFormat>(),
          help = short_help::<DiffFormat>("Output format"),
          long_help = long_help::<DiffFormat>("Output format [default: table]"),
          hide_possible_values = true, hide_default_value = true)]
    pub output: DiffFormat,

    /// Short for --output json
    #[arg(long, conflicts_with = "output")]
    pub json: bool,

    /// The unit of all amounts [default: MiB]
    #[arg(long, value_name = "UNIT", value_parser = words::<Unit>(),
          help = short_help::<Unit>("Unit of all amounts"), hide_possible_values = true)]
    pub unit: Option<Unit>,

    /// Omit the header of the table
    #[arg(long)]
    pub no_header: bool,

    /// When to use colour
    #[arg(long, value_name = "WHEN", default_value = "auto", value_parser = words::<Color>(),
          help = short_help::<Color>("When to use colour"), hide_possible_values = true,
          hide_default_value = true)]
    pub color: Color,
}
