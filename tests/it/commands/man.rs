//! `psm-uring man`: every option is on the page, and formatters report no error.

use std::process::Command;

use crate::cli::help::help;
use crate::support::sources::{read, regex};
use crate::support::{Ran, TempDir, output, skip};

/// Flags that an expression finds in a text, in order.
fn flags(text: &str, pattern: &str) -> Vec<String> {
    let flag = regex(pattern);
    let mut flags: Vec<_> = flag.captures_iter(text).map(|found| found[1].to_owned()).collect();
    flags.sort();
    flags
}

/// Runs a tool on a text in a file; `None`, with a note, if the tool is missing.
fn tool(test: &str, words: &[&str], text: &[u8]) -> Option<Ran> {
    let dir = TempDir::new(&format!("{test}-{}", words[0]));
    let file = dir.path().join("psm-uring.1");
    std::fs::write(&file, text).expect("a file of ours");
    let mut command = Command::new(words[0]);
    // The test sets width and language, independent of its environment.
    command.args(&words[1..]).arg(&file).env("MANWIDTH", "80").env("LC_ALL", "C.UTF-8");
    if Command::new(words[0]).arg("-h").output().is_err() {
        skip(test, &format!("{} is missing", words[0]));
        return None;
    }
    Some(output(command))
}

#[test]
fn the_manual_page_is_whole() {
    let page = help(&["man"]);
    let heading = regex("(?m)^\\.SH \"?([A-Z ]+)\"?$");
    let headings: Vec<_> = heading.captures_iter(&page).map(|found| found[1].to_owned()).collect();
    let expected = "NAME SYNOPSIS DESCRIPTION EXAMPLES OPTIONS COMMANDS INSTALLATION EXIT CODES \
                    ENVIRONMENT FILES SEE ALSO";
    assert_eq!(headings.join(" "), expected);
    assert!(page.contains(&format!("psm-uring {}", env!("CARGO_PKG_VERSION"))), "{page}");
    let in_page = r"(?m)^\.TP\n(?:\\fB-[a-zA-Z]\\fR, )?\\fB(--[a-z-]+)\\fR";
    let in_help = r"(?m)^ {2,6}(?:-[a-zA-Z], )?(--[a-z-]+)";
    let mut expected = flags(&help(&["--help"]), in_help);
    for command in ["bench", "diff", "maps", "completions", "man"] {
        expected.extend(flags(&help(&[command, "--help"]), in_help));
    }
    expected.sort();
    assert_eq!(flags(&page.replace("\\-", "-"), in_page), expected, "{page}");
}

/// Files of a process that the page has no item for: names beside that of cmdline, and lists of
/// processes and threads. The item of the score has its adjustment.
const FILES_BESIDE: [&str; 5] = ["comm", "exe", "task", "children", "oom_score_adj"];

#[test]
fn files_of_a_process_are_named() {
    let page = help(&["man"]);
    let file = regex("ProcFile::\\w+(?: \\| ProcFile::\\w+)* => \"([a-z_]+)\"");
    let text = read("src/process/file.rs");
    let files = file.captures_iter(&text).map(|found| found[1].to_owned());
    let is_named = |file: &String| regex(&format!("/proc/PID/{file}\\b")).is_match(&page);
    let unnamed: Vec<String> = files.filter(|file| !is_named(file)).collect();
    assert_eq!(unnamed, FILES_BESIDE);
}

/// No formatter reports a warning about the page.
#[test]
fn the_manual_page_is_well_made() {
    let page = help(&["man"]).into_bytes();
    for words in [
        &["mandoc", "-T", "lint", "-W", "warning"][..],
        &["groff", "-man", "-Tutf8", "-ww", "-z"],
        &["man", "--warnings", "-l"],
    ] {
        let Some(ran) = tool("the_manual_page_is_well_made", words, &page) else { continue };
        let told = if words[0] == "mandoc" { ran.stdout() } else { ran.stderr() };
        // A generated page has no date.
        let told: Vec<_> = told.lines().filter(|line| !line.contains("missing date")).collect();
        assert!(told.is_empty(), "{words:?}\n{}", told.join("\n"));
    }
}
