//! Which program uses how much RAM and swap, really.
//!
//! The library exists for the program's own tests and benches and promises nothing to others.
//! From the top floor to the ground; a module imports only from floors below its own:
//!
//! - `bench`   the engines against each other
//! - `run`     the program as a sentence
//! - `diff`    one saved report against another
//! - `cli`     every word of the command line
//! - `engine`  carries bytes from `/proc` to probes: `uring`, `threads`, `sync`
//! - `report`  numbers to text
//! - `program` processes to rows
//! - `sys`     the operating system; the only `unsafe`
//! - `process` what we ask of one process, without I/O
//! - `smaps`   bytes to numbers, of one process
//! - `machine` likewise, of the whole machine
//! - `error`   why there is no report
//! - `units`   words shared by all

mod bench;
pub mod cli;
mod diff;
pub mod engine;
pub mod error;
pub mod host;
pub mod process;
pub mod program;
pub mod report;
mod run;
pub mod smaps;
pub mod sys;
pub mod units;

pub use bench::bench;
pub use diff::diff;
pub use run::{Outcome, run};
