//! The commands beside a report.
//!
//! - `bench`       the engines against each other
//! - `completions` in the shells that they are for
//! - `man`         the manual page

mod bench;
mod completions;
mod man;
