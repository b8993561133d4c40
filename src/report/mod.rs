//! Numbers to text. Knows no engine.
//!
//! - `table`  for people
//! - `summary` the machine's memory below it
//! - `line`   a line of it
//! - `layout` where its columns stand
//! - `place`  whose processes a row has, and where
//! - `share`  what part an amount is of another
//! - `color`  how its lines look on a terminal
//! - `json`   for programs
//! - `json_text` what documents have in common
//! - `host_json` the machine's memory in it
//! - `csv`    for programs and spreadsheets
//! - `openmetrics` for Prometheus
//! - `growth` what grew from one report to another, for people
//! - `growth_json` the same for programs
//! - `growth_csv` the same for programs and spreadsheets
//! - `saved`  a report that was saved as JSON, read back
//! - `facts`  a report before it has a form
//! - `fates`  the words of fates
//! - `amount` an amount of memory in a unit
//! - `escape` foreign names made safe
//! - `notes`  what is missing in the report, for standard error
//! - `width`  how wide a text is, and how to cut it
//! - `stats`  the facts of the run, for standard error
#![forbid(unsafe_code)]

mod amount;
mod color;
mod csv;
pub mod escape;
mod facts;
mod fates;
mod growth;
mod growth_csv;
mod growth_json;
mod host_json;
mod json;
mod json_text;
mod layout;
mod line;
pub mod notes;
mod openmetrics;
mod place;
mod saved;
mod share;
mod stats;
mod summary;
mod table;
mod width;

pub use amount::Unit;
pub use color::Color;
pub use csv::{CSV_COLUMNS, csv};
pub use facts::{Facts, Report};
pub use growth::{GrowthFormat, GrowthOptions, growth};
pub use growth_csv::growth_csv;
pub use growth_json::{growth_json, growth_ndjson};
pub use json::{json, ndjson};
pub use openmetrics::{ROWS_USUAL, openmetrics};
pub use saved::Saved;
pub use stats::{RunStats, stats};
pub use summary::summary;
pub use table::{COLUMNS, TableOptions, table, total};
pub use width::{cut, cut_line};

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

/// So many of a thing, which has a plural like most.
fn plural(count: usize, thing: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{s}")
}
