//! The command line: options, arguments and their output.
//!
//! - `help`        short and full help
//! - `parse`       values of options
//! - `usage_error` errors on one line

pub(crate) mod help;
mod parse;
mod usage_error;
