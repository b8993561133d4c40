//! The commands of the program. The core makes the table and `diff`; each other command is a folder
//! here that can be deleted.
//!
//! - `bench`       the engines against each other
//! - `completions` completion scripts for shells
//! - `man`         the manual page
//! - `maps`        mappings, summed by name
#![forbid(unsafe_code)]

pub mod bench;
mod completions;
mod man;
mod maps;

use clap::{CommandFactory, Parser, Subcommand};

use self::bench::BenchOptions;
use self::completions::Shell;
use self::maps::MapsOptions;
use crate::cli::words::words;
use crate::cli::{self, AMOUNTS, DiffOptions, ENVIRONMENT, EXAMPLES, EXIT_CODES, Options};
use crate::error::Error;
use crate::run::{self, Outcome};
use crate::sys::{stdio, terminal};

/// Show how much RAM and swap each program really uses
#[derive(Debug, Parser)]
#[command(name = "psm-uring", bin_name = "psm-uring", version, before_help = EXAMPLES,
          after_long_help = after_help(), max_term_width = 100,
          args_conflicts_with_subcommands = true, args_override_self = true)]
pub(crate) struct Cli {
    /// The command; `None` is the table.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The table.
    #[command(flatten)]
    pub options: Options,
}

fn after_help() -> String {
    [EXIT_CODES, ENVIRONMENT, AMOUNTS].join("\n\n")
}

/// The commands besides the table.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compare the engines on this host
    Bench(BenchOptions),
    /// Show the changes between two saved reports
    Diff(DiffOptions),
    /// Show the mappings that processes are made of
    Maps(MapsOptions),
    /// Print a shell completion script
    Completions {
        /// The shell: bash, zsh or fish
        #[arg(value_parser = words::<Shell>(), hide_possible_values = true)]
        shell: Shell,
    },
    /// Print the manual page
    Man,
}

/// Runs the command that the command line names.
///
/// # Errors
/// The command line is wrong, or the command failed.
pub fn run() -> Result<Outcome, Error> {
    if completions::answer()? {
        return Ok(Outcome::Printed);
    }
    let Cli { command, options } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => return help_or_error(&message),
    };
    match command {
        None => run::run(&options),
        Some(Command::Bench(options)) => bench::bench(&options),
        Some(Command::Diff(options)) => {
            run::diff(&options, maps::parse_saved).map(|()| Outcome::Printed)
        }
        Some(Command::Maps(options)) => maps::maps(options),
        Some(Command::Completions { shell }) => print(&completions::script(shell)),
        Some(Command::Man) => print(&man::man()),
    }
}

/// Parses a command line of the table, the name of the program first.
///
/// # Errors
/// [`Error::Usage`] with the error of the command line on one line.
pub fn table_options(words: &[&str]) -> Result<Options, Error> {
    let parsed = Cli::try_parse_from(words);
    parsed.map(|cli| cli.options).map_err(|message| usage(&message))
}

fn usage(message: &clap::Error) -> Error {
    Error::Usage(cli::usage_error(message, &Cli::command()))
}

/// Prints help or version, or returns the error of the command line.
fn help_or_error(message: &clap::Error) -> Result<Outcome, Error> {
    if message.use_stderr() {
        return Err(usage(message));
    }
    let text = cli::help(message, &Cli::command());
    print(&if terminal::likes_color() { text.ansi().to_string() } else { text.to_string() })
}

fn print(text: &str) -> Result<Outcome, Error> {
    stdio::write_stdout(text.as_bytes()).map_err(Error::Output)?;
    Ok(Outcome::Printed)
}
