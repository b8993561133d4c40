//! A wrong command line as one line: what, why, remedy.

use std::error::Error;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::report::escape;

/// The parser's error as one line.
pub(crate) fn usage_error(error: &clap::Error, cli: &Command) -> String {
    let of = |kind| strings(error, kind).first().cloned().unwrap_or_default();
    match error.kind() {
        ErrorKind::ValueValidation => {
            let option = of(ContextKind::InvalidArg);
            let option = option.split(' ').next().unwrap_or_default();
            let why = error.source().map(ToString::to_string).unwrap_or_default();
            format!("{option} '{}': {why}", of(ContextKind::InvalidValue))
        }
        ErrorKind::InvalidValue => {
            let option = of(ContextKind::InvalidArg);
            let option = option.split(' ').next().unwrap_or_default();
            let words = strings(error, ContextKind::ValidValue).join(", ");
            let value = of(ContextKind::InvalidValue);
            if value.is_empty() {
                let words = if words.is_empty() { words } else { format!(": one of {words}") };
                return format!("{option} needs a value{words}; see --help");
            }
            let similar = match of(ContextKind::SuggestedValue) {
                similar if similar.is_empty() => similar,
                similar => format!("a similar value exists: '{similar}'; "),
            };
            format!("{option} '{value}': no such word; {similar}use one of {words}")
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = strings(error, ContextKind::InvalidArg);
            let verb = if missing.len() == 1 { "is" } else { "are" };
            format!("{} {verb} missing; see --help", missing.join(" and "))
        }
        ErrorKind::InvalidSubcommand => {
            no_command(&of(ContextKind::InvalidSubcommand), &of(ContextKind::SuggestedSubcommand))
        }
        // The parser takes a word behind an option for a command.
        ErrorKind::ArgumentConflict => {
            let word = of(ContextKind::InvalidSubcommand);
            if word.is_empty() || cli.find_subcommand(&word).is_some() {
                return one_line(error);
            }
            let others = strings(error, ContextKind::PriorArg);
            match others.iter().find_map(|other| other.strip_suffix(" <LIST>")) {
                Some(option) => format!(
                    "there is no command '{word}'; a list is one word: {option} FIRST,{word}; see \
                     --help"
                ),
                None => no_command(&word, ""),
            }
        }
        _ => one_line(error),
    }
}

/// The parser's words about one aspect of the error.
fn strings(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![escape::argument(text)],
        Some(ContextValue::Strings(texts)) => {
            texts.iter().map(|text| escape::argument(text)).collect()
        }
        _ => Vec::new(),
    }
}

fn no_command(word: &str, similar: &str) -> String {
    let similar = match similar {
        "" => String::new(),
        similar => format!("a similar command exists: '{similar}'; "),
    };
    format!(
        "there is no command '{word}'; {similar}select programs with --filter REGEX, processes \
         with --pid LIST"
    )
}

/// The paragraphs of the parser's text on one line, without those that only point to help.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let is_pointer = |paragraph: &&str| {
        let pointers = ["Usage:", "For more information", "tip: to pass"];
        pointers.iter().any(|begin| paragraph.starts_with(begin))
    };
    let paragraphs = text.trim_start_matches("error: ").split("\n\n").map(str::trim);
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines: Vec<String> = paragraphs.filter(|text| !is_pointer(text)).map(line).collect();
    lines.push("see --help".to_owned());
    lines.join("; ").chars().filter(|c| !c.is_control()).collect()
}
