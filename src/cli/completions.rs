//! Scripts that let a shell complete the words of this program.

use clap::CommandFactory;
use clap_complete::generate;

use super::Cli;

/// A shell that completes words by a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// bash(1) with the package bash-completion, or without.
    Bash,
    /// zsh(1).
    Zsh,
    /// fish(1).
    Fish,
}

/// The script for a shell.
pub fn completions(shell: Shell) -> String {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut cli = Cli::command();
    let name = cli.get_name().to_owned();
    let mut script = Vec::new();
    generate(shell, &mut cli, name, &mut script);
    mended(&String::from_utf8_lossy(&script))
}

/// Mends two faults of clap_complete 4.6. For bash it takes the hyphen of a program's name for a
/// blank, in one of two places, and so completes no command's options. For fish it takes an option
/// whose value is about to be typed for a command, and so offers no values.
fn mended(script: &str) -> String {
    let script = script.replace("psm__subcmd__uring", "psm__uring");
    script.replace("2>/dev/null\n    or return\n", "2>/dev/null\n    or return 0\n")
}
