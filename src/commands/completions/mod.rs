//! `psm-uring completions`: scripts with which a shell asks this program for completions.
//!
//! The script sets a variable and calls the program with the words typed so far; the program prints
//! the candidates. So values, lists with commas, files and users come from the definitions of the
//! command line itself.
#![forbid(unsafe_code)]

use std::io::Write;

use clap::builder::PossibleValue;
use clap::{Arg, Command, CommandFactory};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{Bash, CompleteEnv, EnvCompleter, Fish, Shells, Zsh};

use super::Cli;
use crate::error::Error;
use crate::sys::users::Users;
use crate::units::labels;

/// The variable that a script sets.
const VARIABLE: &str = "PSM_URING_COMPLETE";

/// The variable with the place of the word that is completed, in the scripts of bash and zsh.
const PLACE: &str = "_CLAP_COMPLETE_INDEX";

/// zsh loads a file of its `fpath` at the first completion, which this answers.
const ZSH_AUTOLOAD: &str = r#"
if [ "$funcstack[1]" = "_psm-uring" ]; then
    _clap_dynamic_completer_psm_uring "$@"
fi
"#;

/// A shell with a completion script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

labels!(Shell {
    Bash => "bash", "";
    Zsh => "zsh", "";
    Fish => "fish", "";
});

/// The script for a shell.
pub(crate) fn script(name: Shell) -> String {
    let shell: &dyn EnvCompleter = match name {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    let (bin, mut script) = (env!("CARGO_PKG_NAME"), Vec::new());
    let written = shell.write_registration(VARIABLE, bin, bin, bin, &mut script);
    written.expect("a write to memory succeeds");
    if name == Shell::Zsh {
        script.extend(ZSH_AUTOLOAD.bytes());
    }
    String::from_utf8_lossy(&script).into_owned()
}

/// Prints the candidates if a script asks for them. False: this is not such a call.
///
/// # Errors
/// The variable names an unknown shell, or standard output cannot be written.
pub(crate) fn answer() -> Result<bool, Error> {
    // bash splits `--by=u` into three words, which would complete the last one as a command.
    let mut words = std::env::args_os();
    if std::env::var_os(VARIABLE).is_some() && words.any(|word| word == "=") {
        return Ok(true);
    }
    let shells: [&dyn EnvCompleter; 3] = [&Bash, &Zsh, &Fish];
    let environment = CompleteEnv::with_factory(command).var(VARIABLE).shells(Shells(&shells));
    let dir = std::env::current_dir().ok();
    let answered = environment.try_complete(std::env::args_os(), dir.as_deref());
    // The library leaves the last line in the buffer of the standard library, which `_exit` skips.
    std::io::stdout().flush().map_err(|error| Error::Output(error.into()))?;
    answered.map_err(|error| Error::Usage(format!("{VARIABLE}: {error}").trim().to_owned()))
}

/// The command line, with the users of this host. A list is offered no word that it has already.
fn command() -> Command {
    let given = given();
    let offer = |arg: Arg| match arg.get_value_delimiter() {
        Some(_) => {
            let (of, given) = (arg.clone(), given.clone());
            arg.add(ArgValueCandidates::new(move || new_candidates(&of, &given)))
        }
        None => arg,
    };
    Cli::command().mut_args(offer).mut_subcommands(|command| command.mut_args(offer))
}

/// The words of the list that is being typed, without the last one: `ram,swap` of `ram,swap,u`.
fn given() -> Vec<String> {
    let mut words = std::env::args_os().skip_while(|word| word != "--").skip(1);
    // bash and zsh give the place of the word; in fish it is the last one.
    let place = std::env::var(PLACE).ok().and_then(|place| place.parse().ok());
    let word = match place {
        Some(place) => words.nth(place),
        None => words.last(),
    };
    let word = word.unwrap_or_default().to_string_lossy().into_owned();
    let list = word.split_once('=').map_or(word.as_str(), |(_, list)| list);
    let (given, _) = list.rsplit_once(',').unwrap_or_default();
    given.split(',').map(|word| word.trim().to_owned()).collect()
}

fn new_candidates(option: &Arg, given: &[String]) -> Vec<CompletionCandidate> {
    if option.get_id() == "user" {
        let names = Users::read().unwrap_or_default().into_names();
        let names = names.into_values().filter_map(|name| String::from_utf8(name).ok());
        // `app (uid 500)` is the title of a row, not a name.
        let is_new = |name: &String| !name.contains('(') && !given.contains(name);
        return names.filter(is_new).map(CompletionCandidate::new).collect();
    }
    // The alias of a word is the same word.
    let is_given = |value: &PossibleValue| given.iter().any(|word| value.matches(word, true));
    let values = option.get_possible_values().into_iter().filter(|value| !is_given(value));
    let candidate = |value: PossibleValue| {
        CompletionCandidate::new(value.get_name().to_owned()).help(value.get_help().cloned())
    };
    values.map(candidate).collect()
}
