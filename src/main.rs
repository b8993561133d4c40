//! `psm-uring`: the command line in, an exit code out.
#![forbid(unsafe_code)]

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use psm_uring::Outcome;
use psm_uring::cli::{Cli, Command};
use psm_uring::error::Error;
use psm_uring::sys::{host, stdio};

fn main() {
    let outcome = match Cli::try_parse() {
        Ok(Cli { command: None, options }) => psm_uring::run(&options),
        Ok(Cli { command: Some(Command::Bench(options)), .. }) => psm_uring::bench(&options),
        Err(message) => say(message),
    };
    let code = match outcome {
        Ok(Outcome::Printed) => 0,
        Ok(Outcome::Incomplete) => 3,
        Ok(Outcome::Exceeded) => 4,
        Err(error) => {
            if !error.is_closed_pipe() && !error.is_told() {
                stdio::write_stderr(format!("psm-uring: {error}\n").as_bytes());
            }
            error.exit_code()
        }
    };
    // Requests to stuck processes may be in flight: no destructor may wait for them.
    host::exit(code)
}

/// Prints help or version, or what is wrong with the command line.
fn say(mut message: clap::Error) -> Result<Outcome, Error> {
    if message.kind() == ErrorKind::InvalidSubcommand {
        let tip = "programs are chosen with '--filter REGEX', processes with '--pid LIST'";
        let tips = ContextValue::StyledStrs(vec![tip.into()]);
        message.insert(ContextKind::Suggested, tips);
    }
    let text = |is_terminal: bool| match is_terminal && std::env::var_os("NO_COLOR").is_none() {
        true => message.render().ansi().to_string(),
        false => message.render().to_string(),
    };
    if message.use_stderr() {
        stdio::write_stderr(text(stdio::stderr_is_terminal()).as_bytes());
        return Err(Error::Told);
    }
    let text = text(stdio::stdout_is_terminal());
    stdio::write_stdout(text.as_bytes()).map_err(Error::Output)?;
    Ok(Outcome::Printed)
}
