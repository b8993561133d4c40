//! `-h` on one screen of 24 lines and 80 columns: examples, and the options of daily use.
//!
//! The parser's own short help has a heading for each group, which a small screen has no room for.

use clap::builder::StyledStr;
use clap::{Arg, Command};

use super::EXAMPLES;

/// The short help or the long one, as the command line asks.
pub(crate) fn help(message: &clap::Error, cli: &Command) -> StyledStr {
    let text = message.render();
    let is_short = text.to_string() == cli.clone().render_help().to_string();
    if is_short { short(cli).into() } else { text }
}

/// The text of `-h`.
fn short(cli: &Command) -> String {
    let about = cli.get_about().map(ToString::to_string).unwrap_or_default();
    let examples = EXAMPLES.lines().skip(1).map(|line| format!("{line}\n"));
    let options: Vec<&Arg> = cli.get_arguments().filter(|o| !o.is_hide_short_help_set()).collect();
    let width = options.iter().map(|option| head(option).len()).max().unwrap_or(0);
    let line = |option: &&Arg| {
        let help = option.get_help().map(ToString::to_string).unwrap_or_default();
        format!("  {:<width$}  {help}\n", head(option))
    };
    let commands: Vec<&str> = cli.get_subcommands().map(Command::get_name).collect();
    format!(
        "{about}\n\n{}\n{}      --help{:pad$}All options; also {}\n",
        examples.collect::<String>(),
        options.iter().map(line).collect::<String>(),
        "",
        commands.join(", "),
        pad = width - 8,
    )
}

/// `-n, --top N`, aligned at the long option.
fn head(option: &Arg) -> String {
    let short = option.get_short().map_or("    ".to_owned(), |short| format!("-{short}, "));
    let long = option.get_long().unwrap_or_default();
    let takes_value = option.get_action().takes_values();
    let value = option.get_value_names().filter(|_| takes_value).unwrap_or_default().join(" ");
    format!("{short}--{long} {value}").trim_end().to_owned()
}
