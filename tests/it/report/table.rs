//! The table on a terminal, and in a pipe: colours, widths, and names that cannot forge a row.

use std::process::Stdio;

use crate::support::failures::{Failures, check_eq};
use crate::support::{TempDir, copy_dir, output, program, run, skip, tree};

/// By default only a terminal gets colour; the text is the same without it.
#[test]
fn color_is_for_terminals() {
    let vars = ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"];
    let colored = |is_terminal: bool, word: &str, env: &[(&str, &str)]| {
        let arguments = ["--proc-root", "ordinary", "--color", word];
        let mut command = program();
        if is_terminal {
            let line = format!("{} {}", env!("CARGO_BIN_EXE_psm-uring"), arguments.join(" "));
            command = std::process::Command::new("script");
            command.current_dir(crate::support::data("procfs")).stdin(Stdio::null());
            command.args(["-qec", &line, "/dev/null"]).env("COLUMNS", "100");
        } else {
            command.args(arguments);
        }
        vars.iter().for_each(|name| _ = command.env_remove(name));
        command.env("TERM", "xterm").envs(env.iter().copied());
        output(command).stdout().replace('\r', "")
    };
    let plain = run(["--proc-root", "ordinary"]).stdout();
    let escapes = crate::support::sources::regex("\u{1b}\\[[0-9;]*m");
    let check = |is_terminal, word, env: &[(&str, &str)], expected| {
        let text = colored(is_terminal, word, env);
        assert_eq!(text.contains('\u{1b}'), expected, "{is_terminal} {word} {env:?}\n{text}");
        assert_eq!(escapes.replace_all(&text, ""), plain, "{is_terminal} {word} {env:?}");
    };
    for (word, env, expected) in [
        ("auto", &[][..], false),
        ("auto", &[("CLICOLOR_FORCE", "1")], true),
        ("auto", &[("CLICOLOR_FORCE", "0")], false),
        ("auto", &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
        ("always", &[("NO_COLOR", "1")], true),
        ("never", &[("CLICOLOR_FORCE", "1")], false),
    ] {
        check(false, word, env, expected);
    }
    if std::process::Command::new("script").arg("--version").output().is_err() {
        return skip("color_is_for_terminals", "script (util-linux) is missing");
    }
    for (word, env, expected) in [
        ("auto", &[][..], true),
        ("auto", &[("NO_COLOR", "")], true),
        ("auto", &[("NO_COLOR", "1")], false),
        ("auto", &[("TERM", "dumb")], false),
        ("auto", &[("CLICOLOR", "0")], false),
        ("never", &[], false),
    ] {
        check(true, word, env, expected);
    }
}

/// A locale without Unicode has bars and marks of ASCII.
#[test]
fn bars_follow_the_locale() {
    let shown = |locale: &str| {
        let mut command = program();
        command.args(["--proc-root", "ordinary", "--columns", "bar,ram,name", "-n", "2"]);
        command.env("LC_ALL", locale);
        output(command).stdout()
    };
    let unicode = shown("C.UTF-8");
    assert!(unicode.contains('█'), "{unicode}");
    for locale in ["C", "POSIX", "de_DE.ISO-8859-1"] {
        let text = shown(locale);
        assert!(text.is_ascii() && text.contains("##########"), "{locale}: {text}");
        assert_eq!(text.lines().count(), unicode.lines().count(), "{locale}");
    }
    assert_eq!(shown("en_US.utf8"), unicode);
}

/// Only the program's own marks have replacements: the characters of names have escapes, which are
/// unique.
#[test]
fn names_follow_the_locale_and_stay_different() {
    let copy = TempDir::new("locale");
    copy_dir(&tree("ordinary"), copy.path());
    for (pid, title) in [("101", "data…"), ("102", "data~"), ("103", "größe ███")] {
        std::fs::write(copy.path().join(pid).join("cmdline"), title).expect("a file of ours");
    }
    let shown = |locale: &str| {
        let mut command = program();
        command.arg("--proc-root").arg(copy.path()).args(["-p", "101,102,103"]);
        command.env("LC_ALL", locale);
        let stdout = output(command).stdout();
        let names = stdout.lines().filter_map(|line| line.rsplit_once("  "));
        let mut names: Vec<String> = names.map(|(_, name)| name.to_owned()).collect();
        names.retain(|name| name.ends_with("(1)"));
        names.sort();
        names
    };
    assert_eq!(shown("C.UTF-8"), ["data~ (1)", "data… (1)", "größe ███ (1)"]);
    let escaped = r"gr\u{f6}\u{df}e \u{2588}\u{2588}\u{2588} (1)";
    assert_eq!(shown("C"), [r"data\u{2026} (1)", "data~ (1)", escaped]);
}

/// A terminal truncates names to its width, or to that of COLUMNS; a pipe never does.
#[test]
fn names_are_cut_on_a_terminal_only() {
    let on_terminal = |columns: &str, before: &str| {
        let program = env!("CARGO_BIN_EXE_psm-uring");
        let line = format!("{before} stty cols {columns}; exec {program} --proc-root ordinary");
        let mut command = std::process::Command::new("script");
        command.current_dir(crate::support::data("procfs")).env_remove("COLUMNS");
        command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).env("NO_COLOR", "1");
        output(command).stdout().replace('\r', "")
    };
    if std::process::Command::new("script").arg("--version").output().is_err() {
        return skip("names_are_cut_on_a_terminal_only", "script (util-linux) is missing");
    }
    let whole = run(["--proc-root", "ordinary"]).stdout();
    let widest = |text: &str| text.lines().map(|line| line.chars().count()).max();
    assert_eq!(widest(&whole), Some(88), "the fixture has a long name");
    assert_eq!(on_terminal("88", ""), whole);
    for (columns, before) in [("87", ""), ("40", ""), ("200", "export COLUMNS=50;")] {
        let text = on_terminal(columns, before);
        let room = if before.is_empty() { columns.parse().ok() } else { Some(50) };
        assert_eq!(widest(&text), room, "{columns} {before}\n{text}");
        assert!(text.contains("1455.8") && text.contains("… (1)\n"), "{text}");
    }
    let mut piped = program();
    piped.args(["--proc-root", "ordinary"]).env("COLUMNS", "40");
    assert_eq!(output(piped).stdout(), whole);
}

/// Whatever the names of processes, the output cannot move a cursor or forge a row.
#[test]
fn names_cannot_forge() {
    let mut failures = Failures::new();
    for rule in ["title", "comm", "exe", "cmdline"] {
        for by in ["program", "pid"] {
            let ran = run(["--proc-root", "names", "--name", rule, "--by", by]);
            let text = String::from_utf8(ran.stdout).expect("the table is UTF-8");
            let is_foreign = |c: &char| {
                (c.is_control() && *c != '\n')
                    || matches!(*c, '\u{200b}'..='\u{200f}'
                    | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
            };
            check_eq!(failures, text.chars().find(is_foreign), None, "{rule}, {by}");
            let forged =
                text.lines().filter(|line| line.trim_start().starts_with("999.9 ")).count();
            check_eq!(failures, forged, 0, "{rule}, {by}: a name made a row");
        }
    }
}
