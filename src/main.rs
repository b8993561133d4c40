//! `psm-uring`: the command line in, an exit code out.
#![forbid(unsafe_code)]

use clap::Parser;
use psm_uring::Outcome;
use psm_uring::cli::{self, Cli, Command};
use psm_uring::error::Error;
use psm_uring::sys::memory;
use psm_uring::sys::stdio;
use psm_uring::sys::terminal;
use psm_uring::sys::this_process;

#[global_allocator]
static ALLOCATOR: memory::OrExit = memory::OrExit;

fn main() {
    stdio::prefer_errors_to_signals();
    memory::share_one_heap();
    let outcome = match Cli::try_parse() {
        Ok(Cli { command: None, options }) => psm_uring::run(&options),
        Ok(Cli { command: Some(Command::Bench(options)), .. }) => psm_uring::bench(&options),
        Ok(Cli { command: Some(Command::Diff(options)), .. }) => {
            psm_uring::diff(&options).map(|()| Outcome::Printed)
        }
        Ok(Cli { command: Some(Command::Completions { shell }), .. }) => {
            print(cli::completions(shell).as_bytes())
        }
        Ok(Cli { command: Some(Command::Man), .. }) => print(cli::manual().as_bytes()),
        Err(message) => say(&message),
    };
    let code = match outcome {
        Ok(Outcome::Printed) => 0,
        Ok(Outcome::Incomplete) => 3,
        Ok(Outcome::Exceeded) => 4,
        Err(error) if error.is_closed_pipe() => this_process::end_by_closed_pipe(),
        Err(error) => {
            stdio::write_stderr(format!("psm-uring: {error}\n").as_bytes());
            error.exit_code()
        }
    };
    // Requests to stuck processes may be in flight: no destructor may wait for them.
    this_process::exit(code)
}

/// Prints help or version, or what is wrong with the command line.
fn say(message: &clap::Error) -> Result<Outcome, Error> {
    if message.use_stderr() {
        return Err(Error::Usage(cli::complaint(message)));
    }
    let text = cli::help(message);
    let text = if terminal::likes_color() { text.ansi().to_string() } else { text.to_string() };
    print(text.as_bytes())
}

fn print(text: &[u8]) -> Result<Outcome, Error> {
    stdio::write_stdout(text).map_err(Error::Output)?;
    Ok(Outcome::Printed)
}
