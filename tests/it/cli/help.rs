//! Short and full help, and the streams that they use.

use std::os::unix::process::CommandExt;

use crate::support::sources::{regex, sources};
use crate::support::{output, program, run};

pub(crate) fn help(arguments: &[&str]) -> String {
    let mut command = program();
    command.arg0("ps").env("COLUMNS", "80").args(arguments);
    let ran = output(command);
    assert_eq!((ran.stderr().as_str(), ran.code), ("", Some(0)), "{arguments:?}");
    ran.stdout()
}

/// `-h` fits a screen, `--help` is complete, `help` is the same, under any program name.
#[test]
fn help_is_short_or_whole() {
    let (short, whole) = (help(&["-h"]), help(&["--help"]));
    assert!(short.lines().count() <= 24, "more than a screen\n{short}");
    assert!(short.lines().all(|line| line.chars().count() <= 80), "{short}");
    assert!(
        short.contains("\n  psm-uring -n 10 ") && short.contains("\n  -f, --filter "),
        "{short}"
    );
    assert!(
        short.contains("--help") && short.contains("bench, diff, maps, completions, man"),
        "{short}"
    );
    assert!(whole.starts_with("Examples:\n") && whole.contains("\nUsage: psm-uring "), "{whole}");
    for part in ["\nExit codes:\n", "\nEnvironment:\n", "  title    argv[0]", "\nFiltering:\n"] {
        assert!(whole.contains(part), "no {part:?} in\n{whole}");
    }
    assert_eq!(help(&["help"]), whole);
    assert_eq!(help(&["help", "bench"]), help(&["bench", "--help"]));
    assert!(help(&["bench", "-h"]).starts_with("Examples:\n"));
    let short = help(&["diff", "-h"]);
    assert!(short.lines().count() < 24, "more than a screen with a prompt\n{short}");
    assert!(short.lines().all(|line| line.chars().count() <= 80), "{short}");
}

/// The help lists every environment variable that the program reads, and no other.
#[test]
fn the_environment_is_documented() {
    let whole = help(&["--help"]);
    let begin = whole.find("\nEnvironment:\n").expect("the section");
    let section = whole[begin + 1..].split("\n\n").next().expect("its end");
    let word = regex("(?m)^  ([A-Z_]+) ");
    let told: Vec<_> = word.captures_iter(section).map(|found| found[1].to_owned()).collect();
    let read = regex("(?s)\\b(?:var|var_os|value|is|stdout_size)\\(\\s*\"([A-Z_]+)\"");
    let mut found: Vec<String> = Vec::new();
    for source in sources(&["src"]) {
        found.extend(read.captures_iter(&source.text).map(|found| found[1].to_owned()));
    }
    let sorted = |mut words: Vec<String>| {
        words.sort();
        words.dedup();
        words
    };
    assert_eq!(sorted(told), sorted(found));
}

/// The program writes only the report and the notes: nothing else to a terminal or a file.
#[test]
fn help_and_version_go_to_standard_output() {
    for (argument, part) in
        [("--help", "Examples:"), ("-h", "--filter"), ("--version", "psm-uring ")]
    {
        let ran = run([argument]);
        assert!(ran.stdout().contains(part), "{}", ran.stdout());
        assert_eq!((ran.stderr().as_str(), ran.code), ("", Some(0)));
    }
}
