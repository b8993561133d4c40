//! The words of `psm-uring diff`.

use std::path::PathBuf;

use clap::Args;

use super::{parse, words};
use crate::report::{Color, GrowthFormat, Unit};
use crate::units::Kib;

const EXAMPLES: &str = "\
Examples:
  psm-uring --json --output-file monday.json      save a report
  psm-uring diff monday.json tuesday.json         what grew most is last
  psm-uring --json | psm-uring diff monday.json - against now
  psm-uring diff --min-delta 10MiB a.json b.json  what changed by 10 MiB or more";

const RULES: &str = "\
Rows are the same if they have the same name; in reports made with --by pid, if process id and
start time are the same. Both reports must be made with the same --by and --name, and whole:
without --top and --total. A figure that one of them lacks gives -, not a number. They may come
through pipes, as with <(psm-uring --json) in bash; one that is silent for a minute is given up.";

/// Which reports to compare.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES, after_long_help = RULES)]
pub struct DiffOptions {
    /// The earlier report, as --json writes it
    #[arg(value_name = "A.json")]
    pub before: PathBuf,

    /// The later report; - is standard input
    #[arg(value_name = "B.json")]
    pub after: PathBuf,

    /// Leave out what changed less: 10MiB, 512KiB, 1GiB
    ///
    /// By itself, what changed by less than is shown.
    #[arg(long, value_name = "SIZE", value_parser = parse::size, default_value = "0",
          hide_default_value = true)]
    pub min_delta: Kib,

    /// What grew most first
    #[arg(short, long)]
    pub reverse: bool,

    /// The form of the comparison
    #[arg(short, long, value_name = "FORM", default_value = "table",
          help = words::brief::<GrowthFormat>("Form"),
          long_help = words::whole::<GrowthFormat>("The form of the comparison"),
          hide_possible_values = true, hide_default_value = true)]
    pub output: GrowthFormat,

    /// The same as --output json
    #[arg(long, conflicts_with = "output")]
    pub json: bool,

    /// The unit of all amounts [default: MiB]
    #[arg(long, value_name = "UNIT", ignore_case = true,
          help = words::brief::<Unit>("The unit of all amounts"), hide_possible_values = true)]
    pub unit: Option<Unit>,

    /// Leave out the head of the table
    #[arg(long)]
    pub no_header: bool,

    /// When there is colour
    #[arg(long, value_name = "WHEN", default_value = "auto",
          help = words::brief::<Color>("When there is colour"), hide_possible_values = true,
          hide_default_value = true)]
    pub color: Color,
}

impl DiffOptions {
    /// The form of the comparison.
    pub fn format(&self) -> GrowthFormat {
        if self.json { GrowthFormat::Json } else { self.output }
    }
}
