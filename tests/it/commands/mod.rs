//! The commands beside a report.
//!
//! - `bench`       the engines against each other
//! - `completions` in the supported shells
//! - `man`         the manual page

mod bench;
mod completions;
mod man;
