//! `psm-uring`: the command line in, an exit code out.
#![forbid(unsafe_code)]

use clap::Parser;
use psm_uring::Outcome;
use psm_uring::cli::{Cli, Command};
use psm_uring::sys::{host, stdio};

fn main() {
    let Cli { command, options } = Cli::parse();
    let outcome = match command {
        None => psm_uring::run(&options),
        Some(Command::Bench(options)) => psm_uring::bench(&options),
    };
    let code = match outcome {
        Ok(Outcome::Printed) => 0,
        Ok(Outcome::Incomplete) => 3,
        Ok(Outcome::Exceeded) => 4,
        Err(error) => {
            if !error.is_closed_pipe() {
                stdio::write_stderr(format!("psm-uring: {error}\n").as_bytes());
            }
            error.exit_code()
        }
    };
    // Requests to stuck processes may be in flight: no destructor may wait for them.
    host::exit(code)
}
