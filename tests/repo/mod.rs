//! Checks of the repository: they read its files, and run the program only to compare.
//!
//! - `benchmarks`  docs/BENCHMARKS.md matches the records
//! - `documents`   documents match the program
//! - `english`     plain words, one name for one type, options read in one place
//! - `examples`    the examples of README and docs print the output that they show
//! - `fuzz`        a fuzz target has all its parts
//! - `packaging`   the content of packages
//! - `reliability` the tests that docs/RELIABILITY.md names
//! - `tidy`        the style of the sources

mod benchmarks;
mod documents;
mod english;
mod examples;
mod fuzz;
mod packaging;
mod reliability;
mod tidy;
