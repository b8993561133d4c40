//! The tests of the program, in folders that mirror `src`: what a module promises is tested in the
//! folder of its name, by its functions or by the program that is built from them.
//!
//! - `cli`      what the command line takes, and what it says
//! - `commands` the commands beside a report
//! - `engine`   surveys: engines against each other, a deadline, real processes, the ring's model
//! - `fuzz`     the fuzz targets over their seeds
//! - `golden`   whole command lines, byte for byte
//! - `process`  one process: names, memory, fates
//! - `program`  processes to rows
//! - `report`   tables and machine formats
//! - `run`      the program from its start to its end
//! - `smaps`    texts to figures
//! - `sys`      the kernel and the users of this host
//! - `repo`     checks of the repository: style, documents, records
//!
//! Tests of this binary run beside each other. What counts something of its whole process, or
//! cannot have others beside it, is a binary of its own: `budget`, `crowd`, `hostile`.

#[path = "../repo/mod.rs"]
mod repo;
#[path = "../support/mod.rs"]
mod support;

mod cli;
mod commands;
mod engine;
mod fuzz;
mod golden;
mod process;
mod program;
mod report;
mod run;
mod smaps;
mod sys;

/// What children of the tests become; see `support::child`.
#[test]
fn child() {
    support::child::become_one();
}
