//! Numbers to text. Knows no engine.
//!
//! - `table`       for people
//! - `json`        for programs, and reports read back
//! - `csv`         for programs and spreadsheets
//! - `openmetrics` for Prometheus
//! - `notes`       missing processes and other remarks, for standard error
//! - `stats`       the facts of the run, for standard error
//! - `labels`      the words for fates, owners and control groups
//! - `unit`        an amount of memory in a unit
//! - `escape`      foreign names made safe
#![forbid(unsafe_code)]

mod csv;
pub mod escape;
mod json;
mod labels;
pub mod notes;
mod openmetrics;
mod stats;
mod table;
mod unit;

use std::time::Duration;

pub use self::csv::{CSV_COLUMNS, csv};
pub use self::json::{Rules, SavedReport, diff_json, json, ndjson};
use self::notes::Missing;
pub use self::openmetrics::{ROWS_USUAL, openmetrics};
pub use self::stats::{RunStats, stats};
pub use self::table::{
    COLUMNS, Color, DiffFormat, TableOptions, cut, cut_line, diff, summary, table, total,
};
pub use self::unit::Unit;
use crate::process::{NameRule, Source};
use crate::program::{Column, HostMemory, Programs};
use crate::units::labels;

/// What form a report has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// One document.
    Json,
    /// One document on one line.
    Ndjson,
    /// A record for each line of the table.
    Csv,
    /// For Prometheus.
    OpenMetrics,
}

labels!(Format {
    Table => "table" | "text", "Columns for people";
    Json => "json", "All figures in bytes, coverage and facts of the run";
    Ndjson => "ndjson" | "jsonl", "The same on one line";
    Csv => "csv", "A record for each line of the table, in bytes";
    OpenMetrics => "openmetrics" | "metrics" | "prom" | "prometheus",
        "For the textfile collector of node_exporter";
});

/// So many of a thing, which has a plural like most.
fn plural(count: usize, thing: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{s}")
}

/// All there is to say.
#[derive(Clone, Copy, Debug)]
pub struct Report<'run> {
    /// Rows and their sum.
    pub programs: &'run Programs<'run>,
    /// Whether the caller wants nothing but the sum.
    pub is_total: bool,
    /// The columns, from left to right, for formats that have some.
    pub columns: &'run [Column],
    /// Whether it was asked who owns processes, and which control groups they are in.
    pub has_owner: bool,
    /// See `has_owner`.
    pub has_cgroup: bool,
    /// What is not in it, and why.
    pub missing: &'run Missing<'run>,
    /// What else there is to say besides, for people.
    pub notes: &'run [String],
    /// The memory of the machine, if it is asked for.
    pub host: Option<&'run HostMemory>,
    /// How it was come by.
    pub facts: &'run Facts,
}

/// The facts of a run.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The version of this program.
    pub version: &'static str,
    /// The names of the host and of its kernel's release.
    pub host: String,
    /// See `host`.
    pub kernel: String,
    /// The engine that was used.
    pub engine: &'static str,
    /// Why it was not the one wished for.
    pub fallback: Option<String>,
    /// Where memory figures come from, as `--source` asks for it.
    pub source: Source,
    /// The rule of names.
    pub name: NameRule,
    /// Which processes were selected, in the words of the command line; all if `None`.
    pub selection: Option<String>,
    /// When it began, since 1970.
    pub started: Duration,
    /// The same as people write it (RFC 3339).
    pub started_at: String,
    /// How long it took so far.
    pub duration: Duration,
}
