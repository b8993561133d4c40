//! Scripts that let a shell complete the words of this program.

use clap::builder::PossibleValue;
use clap::{Arg, Command, CommandFactory, ValueEnum, ValueHint};
use clap_complete::generate;

use super::Cli;
use crate::cli::words::words;

/// A shell that completes words by a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shell {
    /// bash(1) with the package bash-completion, or without.
    Bash,
    /// zsh(1).
    Zsh,
    /// fish(1).
    Fish,
}

words!(Shell {
    Bash => "bash", "";
    Zsh => "zsh", "";
    Fish => "fish", "";
});

/// Options whose value is a list of words with commas between.
const LISTS: [&str; 2] = ["columns", "engines"];

/// The script for a shell.
pub(crate) fn completions(shell: Shell) -> String {
    let generator = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut cli = offered();
    let name = cli.get_name().to_owned();
    let mut script = Vec::new();
    generate(generator, &mut cli, name, &mut script);
    let mut script = mended(&String::from_utf8_lossy(&script));
    if shell == Shell::Fish {
        script.extend(cli.get_subcommands().filter_map(fish_words));
    }
    let list = |script: String, option: &&str| match shell {
        Shell::Bash => bash_list(&script, option).unwrap_or(script),
        Shell::Fish => fish_list(&script, option).unwrap_or(script),
        Shell::Zsh => zsh_list(&script, option).unwrap_or(script),
    };
    LISTS.iter().fold(script, list)
}

/// The words that are offered: none that is hidden, and names of files only where files are meant.
fn offered() -> Command {
    let hint = |option: Arg| {
        let is_free = option.get_action().takes_values() && option.get_possible_values().is_empty();
        match option.get_value_hint() {
            ValueHint::Unknown if is_free => option.value_hint(ValueHint::Other),
            _ => option,
        }
    };
    let seen = |bench: Command| {
        let options = bench.get_arguments().filter(|option| !option.is_hide_set()).cloned();
        let about = bench.get_about().cloned().unwrap_or_default();
        Command::new("bench").about(about).args(options.map(hint))
    };
    Cli::command().mut_args(hint).mut_subcommand("bench", seen)
}

/// Mends faults of clap_complete 4.6. For bash it takes the hyphen of a program's name for a
/// blank, in one of two places, and so completes no command's options; and it does not know that
/// bash takes `--by=u` for three words. For fish it takes an option whose value is about to be
/// typed for a command, and so offers no values.
fn mended(script: &str) -> String {
    let script = script.replace("psm__subcmd__uring", "psm__uring");
    let script = script.replace("    prev=\"$3\"\n", &format!("    prev=\"$3\"\n{BASH_EQUALS}"));
    script.replace("2>/dev/null\n    or return\n", "2>/dev/null\n    or return 0\n")
}

/// What stands before the equals sign is the word before.
const BASH_EQUALS: &str = r#"    if [[ ${prev} == "=" && ${COMP_CWORD} -ge 2 ]] ; then
        prev="${COMP_WORDS[COMP_CWORD-2]}"
    elif [[ ${cur} == "=" ]] ; then
        cur=""
    fi
"#;

/// Completes what stands behind the last comma. The arm of an option is a line.
fn bash_list(script: &str, option: &str) -> Option<String> {
    let head = format!(" --{option})\n");
    let (before, rest) = script.split_once(&head)?;
    let (arm, after) = rest.split_once('\n')?;
    let arm = arm.replace("compgen ", r#"compgen -P "${cur%"${cur##*,}"}" "#);
    let arm = arm.replace(r#"-- "${cur}""#, r#"-- "${cur##*,}""#);
    Some(format!("{before}{head}{arm}\n{after}"))
}

/// The same by a function of fish. The words of an option are lines.
fn fish_list(script: &str, option: &str) -> Option<String> {
    let head = format!(" -l {option} ");
    let (before, rest) = script.split_once(&head)?;
    let (what, rest) = rest.split_once("-a \"")?;
    let (words, after) = rest.split_once("\"\n")?;
    let words = words.replace('\n', " ");
    Some(format!("{before}{head}{what}-a \"(__fish_append , {words})\"\n{after}"))
}

/// What stands behind a command for fish, which clap_complete leaves out: these words, and no file
/// unless one is meant.
fn fish_words(command: &Command) -> Option<String> {
    let is_path =
        |word: &Arg| !matches!(word.get_value_hint(), ValueHint::Unknown | ValueHint::Other);
    if command.get_positionals().any(is_path) {
        return None;
    }
    let values = command.get_positionals().flat_map(Arg::get_possible_values);
    let words: Vec<String> = values.map(|value| value.get_name().to_owned()).collect();
    let (name, words) = (command.get_name(), words.join(" "));
    let condition = format!("__fish_psm_uring_using_subcommand {name}");
    Some(format!("complete -c psm-uring -n \"{condition}\" -f -a \"{words}\"\n"))
}

/// The same by a function of zsh, which offers no word twice. The words of an option are lines,
/// each with what it is in quotation marks.
fn zsh_list(script: &str, option: &str) -> Option<String> {
    let head = format!("'*--{option}=[");
    let (before, rest) = script.split_once(&head)?;
    let (what, rest) = rest.split_once(":((")?;
    let (words, after) = rest.split_once("))'")?;
    let word = |line: &str| {
        let (word, what) = line.split_once("\\:\"")?;
        Some(format!(" \"{word}[{}]\"", what.strip_suffix('"')?))
    };
    let words: String = words.lines().map(word).collect::<Option<_>>()?;
    Some(format!("{before}{head}{what}: _values -s , {option}{words}'{after}"))
}
