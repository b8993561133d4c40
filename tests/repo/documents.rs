//! Checks the documents against the program: flags, the table of the README, the reason of each
//! dependency.

use std::collections::BTreeSet;

use crate::support::sources::{fail_if_any, read, regex, sources};

/// Flags in a text: `--filter` and `-f`, where they are separate words.
fn flags(text: &str) -> BTreeSet<String> {
    let flag = regex(r"(?:^|[\s`(,|\[/])(--[a-z][a-z-]*|-[a-zA-Z])(?:$|[^a-zA-Z0-9_-])");
    let mut found = BTreeSet::new();
    for line in text.lines() {
        let mut from = 0;
        // Each match may end with the first character of the next one.
        while let Some(captures) = flag.captures_at(line, from) {
            let word = captures.get(1).expect("the group is not optional");
            found.insert(word.as_str().to_owned());
            from = word.end();
        }
    }
    found
}

/// The manual page has every option; documents name no other.
#[test]
fn every_flag_is_in_help_and_manual() {
    let printed = |words: &[&str]| crate::support::run(words).stdout();
    let in_help = flags(&printed(&["--help"]));
    assert!(in_help.contains("--filter") && in_help.contains("-f"), "help was not understood");
    let page = printed(&["man"]).replace("\\-", "-");
    let in_page = flags(&regex(r"\\f.").replace_all(&page, " "));
    let missing = in_help.difference(&in_page);
    let mut wrong: Vec<String> =
        missing.map(|flag| format!("src/commands/man: `{flag}` of --help is missing")).collect();
    let of_commands =
        ["bench", "diff", "maps"].map(|command| flags(&printed(&[command, "--help"])));
    let known: BTreeSet<String> =
        in_help.into_iter().chain(of_commands.into_iter().flatten()).collect();
    // Flags of other commands, on the rest of their lines.
    let others =
        regex(r"\b(cargo|rustup|git|sudo|setcap|systemctl|systemd|jq|smem|metop|ln|nginx)\b.*");
    for document in
        ["README.md", "docs/COLUMNS.md", "docs/FORMATS.md", "docs/HOST.md", "docs/MAPS.md"]
    {
        let text = read(document);
        let named = flags(&others.replace_all(&text, ""));
        wrong.extend(named.difference(&known).map(|flag| {
            let line = text.lines().position(|line| line.contains(flag.as_str()));
            let line = line.map_or(1, |n| n + 1);
            format!("{document}:{line}: `{flag}` is not in --help: remove it, or add it to src/cli")
        }));
    }
    fail_if_any(&wrong);
}

/// The program prints the first table of the README.
#[test]
fn the_readme_shows_the_printed_table() {
    let golden = read("tests/data/golden/default.txt");
    let table = |text: &str, end: &str| {
        let head = text.find("   MiB RAM").expect("a table");
        text[head..].split(end).next().expect("its end").to_owned()
    };
    let (shown, printed) = (table(&read("README.md"), "```"), table(&golden, "--- "));
    assert_eq!(shown, printed, "README.md: paste tests/data/golden/default.txt into it");
}

#[test]
fn documents_have_one_title() {
    let mut wrong = Vec::new();
    let documents = sources(&["docs", "README.md"]);
    for document in documents.iter().filter(|document| document.path.ends_with(".md")) {
        let mut in_code = false;
        let mut titles = Vec::new();
        for (line, text) in document.lines() {
            in_code ^= text.trim_start().starts_with("```");
            if !in_code && text.starts_with("# ") {
                titles.push(line);
            }
        }
        if titles != [1] {
            let path = &document.path;
            wrong.push(format!("{path}:1: titles (`# `) on lines {titles:?}: one, on the first"));
        }
    }
    assert!(!documents.is_empty(), "README.md is missing");
    fail_if_any(&wrong);
}

#[test]
fn every_dependency_has_a_reason() {
    let decisions = read("docs/DECISIONS.md");
    let mut is_list = false;
    let mut wrong = Vec::new();
    for (n, line) in read("Cargo.toml").lines().enumerate() {
        if line.starts_with('[') {
            is_list = line.ends_with("dependencies]");
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| is_list) {
            let is_told = decisions.lines().any(|line| line.contains(&format!("`{name}`")));
            let line = n + 1;
            let told = "has no line in docs/DECISIONS.md: say there what code it saves us";
            wrong.extend((!is_told).then(|| format!("Cargo.toml:{line}: `{name}` {told}")));
        }
    }
    fail_if_any(&wrong);
}
