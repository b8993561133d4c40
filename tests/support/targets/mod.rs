//! What fuzzers feed with bytes: each target takes any input and panics when something does not
//! hold. Run from here by `tests/it/fuzz.rs` on the stable compiler and by `fuzz/`, guided by
//! coverage. Knows nothing of who made the bytes.
//!
//! - `scanner` smaps texts: whole, in pieces, and by the naive twin
//! - `rollup`  a few processes' rollups, through probes, up to rows and their sum
//! - `name`    argument list, comm, status, exe and tasks of one process to its name
//! - `escape`  foreign names to text
//! - `filter`  a pattern and the names it is held against
//! - `model`   a schedule for the ring's engine on its model
// A part of two crates: of a test, which is all of it, and of a library.
#![allow(unreachable_pub)]

pub mod escape;
pub mod filter;
pub mod model;
pub mod name;
pub mod rollup;
pub mod scanner;

/// A target: its name, which is that of its seeds and of its program, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 6] = [
    ("escape", escape::run),
    ("filter", filter::run),
    ("model", model::run),
    ("name", name::run),
    ("rollup", rollup::run),
    ("scanner", scanner::run),
];

/// Cuts an input in parts that may hold any byte but the one that ASCII has for that.
fn parts(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    const RECORD_SEPARATOR: u8 = 0x1e;
    bytes.split(|byte| *byte == RECORD_SEPARATOR)
}
