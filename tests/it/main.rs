//! The tests of the program, in folders that mirror `src`: the folder of a module tests its
//! contract, through its functions or through the built program.
//!
//! - `cli`      options, arguments and their output
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
//! Tests of this binary run in parallel. A test that counts for its whole process, or that needs
//! exclusive use, has its own binary: `budget`, `crowd`, `hostile`.

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

/// The program that children of the tests run; see `support::child`.
#[test]
fn child() {
    support::child::become_one();
}
