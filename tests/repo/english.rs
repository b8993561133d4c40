//! The words of the project: plain English, one name for one type, options read in one place.

use std::collections::BTreeMap;

use crate::support::sources::{Source, fail_if_any, read, regex, rust, sources};

/// Words without a noun that STYLE.md bans, and the lines that may have them.
const BANNED: &str = r"(?i)\b(nobody|somebody|whom|whoever)\b";
const BANNED_MAY: [&str; 2] = ["docs/STYLE.md", "user named nobody"];

#[test]
fn sentences_have_nouns() {
    let banned = regex(BANNED);
    let mut wrong = Vec::new();
    for Source { path, text } in sources(&["src", "docs", "README.md", "CHANGELOG.md"]) {
        let lines = text.lines().enumerate().filter(|(_, line)| banned.is_match(line));
        let may = |line: &str| BANNED_MAY.iter().any(|may| path == *may || line.contains(may));
        wrong.extend(lines.filter(|(_, line)| !may(line)).map(|(n, line)| {
            format!("{path}:{}: `{}`: name the thing (docs/STYLE.md)", n + 1, line.trim())
        }));
    }
    fail_if_any(&wrong);
}

/// A type name identifies one place: a duplicate name sends the reader to the wrong one.
#[test]
fn a_type_name_is_used_once() {
    let definition = regex(r"(?m)^ *(?:pub(?:\([a-z]+\))? )?(?:struct|enum|trait|type) ([A-Z]\w*)");
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in rust().iter().filter(|source| source.is_program()) {
        let code = source.text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for found in definition.captures_iter(code) {
            // An associated type has the name of its trait's.
            if !found[0].starts_with("    ") {
                places.entry(found[1].to_owned()).or_default().push(source.path.clone());
            }
        }
    }
    let twice = places.iter().filter(|(_, paths)| paths.len() > 1);
    let wrong: Vec<String> = twice
        .map(|(name, paths)| format!("`{name}` is in {}: rename all but one", paths.join(", ")))
        .collect();
    fail_if_any(&wrong);
}

/// After the settings step no function reads the raw options.
#[test]
fn options_are_resolved_once() {
    let raw = regex(r"&(?:cli::)?Options\b");
    let steps = ["src/cli/", "src/run/settings.rs"];
    let entry = "pub(crate) fn run(options: &Options)";
    let mut wrong = Vec::new();
    for source in rust().iter().filter(|source| source.is_program()) {
        if steps.iter().any(|step| source.path.starts_with(step)) {
            continue;
        }
        let heads = source.lines().filter(|(_, line)| raw.is_match(line) && !line.contains(entry));
        wrong.extend(heads.map(|(n, _)| {
            format!("{}:{n}: takes the raw options: read `Settings` instead", source.path)
        }));
    }
    fail_if_any(&wrong);
}

/// A decision fits a reading time of one minute.
#[test]
fn decisions_have_eight_lines() {
    const LINES_MAX: usize = 8;
    let document = read("docs/DECISIONS.md");
    let entries =
        document.split("\n### ").skip(1).filter(|entry| !entry.starts_with("Dependencies"));
    let lines = |entry: &str| {
        let body = entry.split("\n## ").next().unwrap_or_default();
        body.lines().skip(1).filter(|line| !line.is_empty()).count()
    };
    let long = entries.filter(|entry| lines(entry) > LINES_MAX);
    let wrong: Vec<String> = long
        .map(|entry| format!("docs/DECISIONS.md: `{}`", entry.lines().next().unwrap_or_default()))
        .collect();
    fail_if_any(&wrong);
}
