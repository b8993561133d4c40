//! Fuzz targets: each target takes any input and panics when a check fails. `tests/it/fuzz.rs` runs
//! them on the stable compiler, and `fuzz/` runs them guided by coverage. Targets are independent
//! of the source of the bytes.
//!
//! - `scanner` smaps texts: whole, in pieces, and by the naive twin
//! - `mappings` smaps texts to mappings by name, and the same by the naive twin
//! - `rollup`  a few processes' rollups, through probes, up to rows and their sum
//! - `name`    argument list, comm, status, exe and tasks of one process to its name
//! - `escape`  foreign names to text
//! - `key`     a title to its key, and texts behind programs
//! - `filter`  a pattern and the names to match
//! - `title`   the naive twin of the rules for titles
//! - `model`   a schedule for the ring's engine on its model
//! - `walk`    the texts of `maps` and `statm` and the entries of `pagemap`
// Two crates include this module: a test, which uses all of it, and a library.
#![allow(unreachable_pub)]

pub mod escape;
pub mod filter;
pub mod key;
pub mod mappings;
pub mod model;
pub mod name;
pub mod rollup;
pub mod scanner;
pub mod title;
pub mod walk;

/// A target: its name, shared with its seeds and its program, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 9] = [
    ("escape", escape::run),
    ("filter", filter::run),
    ("key", key::run),
    ("mappings", mappings::run),
    ("model", model::run),
    ("name", name::run),
    ("rollup", rollup::run),
    ("scanner", scanner::run),
    ("walk", walk::run),
];

/// Splits an input into parts that may contain any byte except the ASCII separator.
fn parts(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    const RECORD_SEPARATOR: u8 = 0x1e;
    bytes.split(|byte| *byte == RECORD_SEPARATOR)
}
