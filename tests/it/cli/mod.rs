//! The command line: what it takes, and what it says.
//!
//! - `help`        short and whole help
//! - `parse`       values of options
//! - `usage_error` what is wrong, on one line

pub(crate) mod help;
mod parse;
mod usage_error;
