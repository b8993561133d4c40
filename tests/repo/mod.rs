//! Checks of the repository: they read its files, and run the program at the most to compare.
//!
//! - `benchmarks`  docs/BENCHMARKS.md says what the records say
//! - `documents`   documents say what the program does
//! - `fuzz`        a fuzz target has all its parts
//! - `packaging`   what packages hold
//! - `reliability` the tests that docs/RELIABILITY.md names
//! - `tidy`        the style of the sources

mod benchmarks;
mod documents;
mod fuzz;
mod packaging;
mod reliability;
mod tidy;
