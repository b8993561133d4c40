//! A report as text, in every format.
//!
//! - `table`       the table for people
//! - `json`        JSON, and saved reports read back
//! - `csv`         CSV for programs and spreadsheets
//! - `openmetrics` metrics for Prometheus
//! - `charge`      events and notes of control groups
//! - `faults`      faults per second, and a note on them
//! - `gpu`         notes on GPU memory
//! - `notes`       the processes that a report lacks, for standard error
//! - `oom`         choices of the OOM killer, and notes on them
//! - `reasons`     the reasons for that, and the remedies
//! - `bounds`      notes on memory that may count more than once
//! - `stall`       notes on processes that a report delays
//! - `stats`       the statistics of the run, for standard error
//! - `line`        the lines of table and CSV
//! - `unit`        the unit of amounts
//! - `escape`      foreign names made safe
#![forbid(unsafe_code)]

pub mod bounds;
pub mod charge;
mod csv;
pub mod escape;
pub mod faults;
pub mod gpu;
mod json;
mod line;
pub mod notes;
pub mod oom;
mod openmetrics;
mod reasons;
pub mod stall;
mod stats;
mod table;
mod unit;

use std::time::Duration;

use serde::{Serialize, Serializer};

pub use self::csv::{CSV_COLUMNS, CSV_TREE_COLUMNS, csv, csv_record};
pub use self::json::{
    Account, Name, SavedCoverage, SavedReport, diff_json, json, lines, ndjson, one_line, unhex,
};
use self::notes::Missing;
pub use self::openmetrics::{
    Metrics, OTHER, ROWS_USUAL, has_series, metric_label, metric_labels, openmetrics,
};
pub use self::stats::{RunStats, stats};
pub use self::table::{
    COLUMNS, Cell, Color, Content, DiffFormat, Layout, Style, TREE_COLUMNS, TableOptions, cut,
    cut_front, cut_line, diff, host, table, total, wrap,
};
pub use self::unit::Unit;
use crate::process::{NameRule, Source};
use crate::program::{Column, Grouping, HostMemory, OomEstimate, Programs};
use crate::units::{Pid, labels};

/// The format of a report.
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

impl Format {
    /// The columns without `--columns`; OpenMetrics has none.
    pub fn usual_columns(self, by: Grouping) -> &'static [Column] {
        match self {
            Format::Csv if by == Grouping::Tree => &CSV_TREE_COLUMNS,
            _ if by == Grouping::Tree => &TREE_COLUMNS,
            Format::Table | Format::Json | Format::Ndjson | Format::OpenMetrics => &COLUMNS,
            Format::Csv => &CSV_COLUMNS,
        }
    }

    /// Whether the format has a place for the memory of the host.
    pub fn has_host(self) -> bool {
        match self {
            Format::Table | Format::Json | Format::Ndjson | Format::OpenMetrics => true,
            Format::Csv => false,
        }
    }
}

/// A number of things: `1 zombie`, `2 processes`.
fn plural(count: usize, thing: &str) -> String {
    let suffix = match thing {
        _ if count == 1 => "",
        _ if thing.ends_with("process") => "es",
        _ => "s",
    };
    format!("{count} {thing}{suffix}")
}

/// A report, and the facts around it.
#[derive(Clone, Copy, Debug)]
pub struct Report<'run> {
    /// Rows and total.
    pub programs: &'run Programs<'run>,
    /// Whether only the total is asked for.
    pub is_total: bool,
    /// The columns from left to right, for formats that have columns.
    pub columns: &'run [Column],
    /// Whether the run asked for users.
    pub has_owner: bool,
    /// Whether the run asked for control groups.
    pub has_cgroup: bool,
    /// Whether the run asked for the figures of control groups.
    pub has_charge: bool,
    /// Whether the run asked for major page faults.
    pub has_faults: bool,
    /// Whether the run asked for the memory of GPU clients.
    pub has_gpu: bool,
    /// The likely choices of the OOM killer, if the run asked for them.
    pub oom: Option<&'run OomEstimate<'run>>,
    /// The processes that the report lacks.
    pub missing: &'run Missing<'run>,
    /// The notes on standard error.
    pub notes: &'run [String],
    /// Host memory, if it is asked for.
    pub host: Option<&'run HostMemory>,
    /// The facts of the run.
    pub facts: &'run Facts,
}

/// The facts of a run, as JSON has them.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    /// The version of this program.
    pub version: &'static str,
    /// The name of the host.
    pub host: String,
    /// The release of its kernel.
    pub kernel: String,
    /// The engine of the run.
    pub engine: &'static str,
    /// The reason why it is not the engine that was asked for.
    pub fallback: Option<String>,
    /// `--source` as given.
    pub source: Source,
    /// The meaning of rows and names.
    #[serde(flatten)]
    pub rules: Rules,
    /// The start of the run, since the Unix epoch.
    #[serde(skip)]
    pub started: Duration,
    /// The same in RFC 3339.
    pub started_at: String,
    /// The time until the report was made.
    #[serde(rename = "duration_seconds", serialize_with = "seconds")]
    pub duration: Duration,
}

/// The rules that two reports must share to be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rules {
    /// The meaning of a row.
    pub by: Grouping,
    /// The meaning of a name.
    #[serde(rename = "name_rule")]
    pub name: NameRule,
    /// The options that select processes; `None`: all processes.
    pub selection: Option<String>,
}

impl Report<'_> {
    /// The key of a row with this name, as text.
    fn key(&self, name: &[u8], process: Option<Pid>, is_terminal: bool) -> String {
        let key = self.programs.key(self.facts.rules.name, name, process);
        escape::field(&key, is_terminal)
    }
}

fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}
