//! Shows how much RAM and swap each program really uses.
//!
//! From the top floor to the ground; a module imports only from floors below its own:
//!
//! - `commands` the command line: the table, `diff`, and commands that can each be deleted
//! - `run`      the program as a sentence: list, survey, group, write
//! - `cli`      options, values, help
//! - `engine`   carries bytes from `/proc` to probes: `uring`, `threads`, `sync`
//! - `report`   numbers to text
//! - `program`  processes to rows
//! - `sys`      the operating system; the only `unsafe`
//! - `process`  what we ask of one process, without I/O
//! - `smaps`    bytes to numbers, of one process
//! - `host`     bytes to numbers, of the whole host
//! - `error`    why there is no report
//! - `units`    words shared by all

pub mod cli;
pub mod commands;
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

pub use commands::run;
pub use run::Outcome;
