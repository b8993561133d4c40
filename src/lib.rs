//! Shows how much RAM and swap each program really uses.
//!
//! The library is [`smaps`], the parser of the program. All other modules are public for the tests
//! and benches of the program only, and change without notice.
//!
//! From the top floor to the ground; a module imports only from floors below its own:
//!
//! - `commands` the command line: the table, `diff`, and commands that can each be deleted
//! - `run`      the program as a sentence: list, survey, group, write
//! - `cli`      options, values, help
//! - `engine`   transfers bytes from `/proc` to probes: `uring`, `threads`, `sync`
//! - `report`   numbers to text
//! - `program`  processes to rows
//! - `sys`      the operating system; the only `unsafe`
//! - `process`  the questions for one process, without I/O
//! - `smaps`    bytes to numbers, of one process
//! - `host`     bytes to numbers, of the whole host
//! - `error`    the reasons for a run without a report
//! - `units`    words shared by all

#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod commands;
#[doc(hidden)]
pub mod engine;
#[doc(hidden)]
pub mod error;
#[doc(hidden)]
pub mod host;
#[doc(hidden)]
pub mod process;
#[doc(hidden)]
pub mod program;
#[doc(hidden)]
pub mod report;
mod run;
pub mod smaps;
#[doc(hidden)]
pub mod sys;
#[doc(hidden)]
pub mod units;

#[doc(hidden)]
pub use commands::run;
#[doc(hidden)]
pub use run::Outcome;
