//! The commands beside a report.
//!
//! - `bench`       the engines against each other
//! - `completions` in the supported shells
//! - `man`         the manual page
//! - `maps`        mappings by name

mod bench;
mod completions;
mod man;
mod maps;
