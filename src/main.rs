//! `psm-uring`: the command line in, an exit code out.
#![forbid(unsafe_code)]

use psm_uring::Outcome;
use psm_uring::sys::{keeper, keeper_client, memory, stdio, this_process};

#[global_allocator]
static ALLOCATOR: memory::OrExit = memory::OrExit;

fn main() {
    keeper::settle();
    stdio::prefer_errors_to_signals();
    memory::share_one_heap();
    let outcome = psm_uring::run();
    keeper_client::end();
    let code = match outcome {
        Ok(Outcome::Printed) => 0,
        Ok(Outcome::Incomplete) => 3,
        Ok(Outcome::Exceeded) => 4,
        Err(error) if error.is_closed_pipe() => this_process::end_by_closed_pipe(),
        Err(error) => {
            stdio::report(&error.to_string());
            error.exit_code()
        }
    };
    // Requests to stuck processes may be in flight: no destructor may wait for them.
    this_process::exit(code)
}
