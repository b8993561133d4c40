//! `psm-uring`: the command line in, an exit code out.
#![forbid(unsafe_code)]

use clap::Parser;
use psm_uring::Outcome;
use psm_uring::cli::Options;
use psm_uring::sys::{host, stdio};

fn main() {
    let options = Options::parse();
    let code = match psm_uring::run(&options) {
        Ok(Outcome::Printed) => 0,
        Ok(Outcome::Incomplete) => 3,
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
