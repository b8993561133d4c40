//! What is wrong with the command line, on one line: what, why, what to do.

use std::error::Error;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use crate::report::escape;

/// Words of other programs, and ours. Which option takes ours says the parser.
const SYNONYMS: [(&str, &str); 14] = [
    ("docker", "container"),
    ("jsonl", "ndjson"),
    ("mem", "ram"),
    ("memory", "ram"),
    ("metrics", "openmetrics"),
    ("pod", "container"),
    ("process", "pid"),
    ("prom", "openmetrics"),
    ("prometheus", "openmetrics"),
    ("service", "unit"),
    ("size", "ram"),
    ("swapped", "swap"),
    ("systemd", "unit"),
    ("text", "table"),
];

/// What to do instead with options of the table that `diff` has not.
const NOT_OF_DIFF: [(&str, &str); 7] = [
    ("by", MADE_WITH),
    ("filter", MADE_WITH),
    ("name", MADE_WITH),
    ("pid", MADE_WITH),
    ("user", MADE_WITH),
    ("output_file", "redirect standard output with > FILE"),
    ("top", "--min-delta SIZE leaves out what changed less"),
];
const MADE_WITH: &str = "give it to both reports when they are made";

/// The parser's error as one line.
pub(crate) fn usage_error(error: &clap::Error, cli: &Command) -> String {
    let of = |kind| strings(error, kind).first().cloned().unwrap_or_default();
    let rendered = error.render().to_string();
    match error.kind() {
        ErrorKind::ValueValidation => {
            let option = of(ContextKind::InvalidArg);
            let option = option.split(' ').next().unwrap_or_default();
            let why = error.source().map(ToString::to_string).unwrap_or_default();
            format!("{option} '{}': {why}", of(ContextKind::InvalidValue))
        }
        ErrorKind::InvalidSubcommand => {
            no_command(&of(ContextKind::InvalidSubcommand), &of(ContextKind::SuggestedSubcommand))
        }
        // What stands behind an option is taken for a command.
        ErrorKind::ArgumentConflict => {
            let word = of(ContextKind::InvalidSubcommand);
            if word.is_empty() || cli.find_subcommand(&word).is_some() {
                return flat(&rendered, None);
            }
            let others = strings(error, ContextKind::PriorArg);
            match others.iter().find_map(|other| other.strip_suffix(" <LIST>")) {
                Some(option) => format!(
                    "there is no command '{word}'; a list has commas, no blanks: {option} \
                     FIRST,{word}; see --help"
                ),
                None => no_command(&word, ""),
            }
        }
        ErrorKind::InvalidValue => {
            let valid = strings(error, ContextKind::ValidValue);
            let word = of(ContextKind::InvalidValue).to_lowercase();
            let synonym = SYNONYMS.iter().find(|(other, _)| *other == word);
            let ours = synonym.map_or(&*word, |(_, ours)| ours);
            let tip = valid.iter().any(|valid| valid == ours);
            flat(&rendered, tip.then(|| format!("tip: a similar value exists: '{ours}'")))
        }
        ErrorKind::UnknownArgument => {
            let Some(option) = of_table(cli, &of(ContextKind::InvalidArg)) else {
                return flat(&rendered, None);
            };
            let advice = NOT_OF_DIFF.iter().find(|(id, _)| option.get_id() == id);
            let advice = advice.filter(|_| rendered.contains("Usage: psm-uring diff "));
            flat(&rendered, Some(advice.map_or("", |(_, advice)| advice).to_owned()))
        }
        _ => flat(&rendered, None),
    }
}

/// What the parser says about one aspect.
fn strings(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![escape::typed(text)],
        Some(ContextValue::Strings(texts)) => {
            texts.iter().map(|text| escape::typed(text)).collect()
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
        "there is no command '{word}'; {similar}programs are chosen with --filter REGEX, processes \
         with --pid LIST"
    )
}

/// The option of the table that is written so. Other commands do not have it, nor one like it.
fn of_table<'a>(cli: &'a Command, word: &str) -> Option<&'a Arg> {
    let is_it = |option: &&Arg| {
        let short = option.get_short().map(|short| format!("-{short}"));
        let long = option.get_long().map(|long| format!("--{long}"));
        short.as_deref() == Some(word) || long.as_deref() == Some(word)
    };
    cli.get_arguments().find(is_it)
}

/// A text of several paragraphs, without those that help or usage say better, and with our own tip
/// in place of the parser's.
fn flat(text: &str, tip: Option<String>) -> String {
    let text = text.trim_start_matches("error: ");
    let tip_begins = if tip.is_some() { "tip:" } else { "tip: to pass" };
    let paragraphs = text.split("\n\n").map(str::trim).filter(|paragraph| {
        let is_said_better = ["Usage:", "For more information", tip_begins];
        !is_said_better.iter().any(|begin| paragraph.starts_with(begin))
    });
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines: Vec<String> = paragraphs.map(line).collect();
    lines.extend(tip.filter(|tip| !tip.is_empty()));
    lines.push("see --help".to_owned());
    lines.join("; ").chars().filter(|c| !c.is_control()).collect()
}
