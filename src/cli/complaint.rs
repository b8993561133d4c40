//! What is wrong with the command line, on one line: what, why, what to do.

use std::error::Error;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::report::escape;

/// The parser's error as one line.
pub fn complaint(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => escape::typed(text),
        _ => String::new(),
    };
    match error.kind() {
        ErrorKind::ValueValidation => {
            let option = context(ContextKind::InvalidArg);
            let option = option.split(' ').next().unwrap_or_default();
            let why = error.source().map(ToString::to_string).unwrap_or_default();
            format!("{option} '{}': {why}", context(ContextKind::InvalidValue))
        }
        ErrorKind::InvalidSubcommand => {
            let similar = match error.get(ContextKind::SuggestedSubcommand) {
                Some(ContextValue::Strings(words)) => words.first(),
                _ => None,
            };
            let similar = similar.map(|word| format!("a similar command exists: '{word}'; "));
            format!(
                "there is no command '{}'; {}programs are chosen with --filter REGEX, processes \
                 with --pid LIST",
                context(ContextKind::InvalidSubcommand),
                similar.unwrap_or_default()
            )
        }
        _ => flat(&error.render().to_string()),
    }
}

/// A text of several paragraphs, without those that help or usage say better.
fn flat(text: &str) -> String {
    let text = text.trim_start_matches("error: ");
    let paragraphs = text.split("\n\n").map(str::trim).filter(|paragraph| {
        let is_about_dashes = paragraph.starts_with("tip: to pass");
        let is_said_better = ["Usage:", "For more information"];
        !is_about_dashes && !is_said_better.iter().any(|begin| paragraph.starts_with(begin))
    });
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines: Vec<String> = paragraphs.map(line).collect();
    lines.push("see --help".to_owned());
    lines.join("; ").chars().filter(|c| !c.is_control()).collect()
}
