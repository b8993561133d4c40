//! What the program tells of itself: short and whole help, the manual page, completions, and what
//! it makes of a word that is nearly right.

mod support;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use support::sources::{regex, sources};
use support::{Ran, TempDir, output, program, run, skip, tests_path};

fn help(arguments: &[&str]) -> String {
    let mut command = program();
    command.arg0("ps").env("COLUMNS", "80").args(arguments);
    let ran = output(command);
    assert_eq!((ran.stderr().as_str(), ran.code), ("", Some(0)), "{arguments:?}");
    ran.stdout()
}

/// `-h` fits a screen, `--help` says it all, `help` is the same; whatever the program is called.
#[test]
fn help_is_short_or_whole() {
    let (short, whole) = (help(&["-h"]), help(&["--help"]));
    assert!(short.lines().count() <= 24, "more than a screen\n{short}");
    assert!(short.lines().all(|line| line.chars().count() <= 80), "{short}");
    assert!(
        short.contains("\n  psm-uring -n 10 ") && short.contains("\n  -f, --filter "),
        "{short}"
    );
    assert!(short.contains("--help") && short.contains("bench, diff, completions, man"), "{short}");
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

/// Flags that an expression finds in a text, in order.
fn flags(text: &str, pattern: &str) -> Vec<String> {
    let flag = regex(pattern);
    let mut flags: Vec<_> = flag.captures_iter(text).map(|found| found[1].to_owned()).collect();
    flags.sort();
    flags
}

/// Runs a tool over a text in a file; `None` when the tool is not there, which is told.
fn tool(test: &str, words: &[&str], text: &[u8]) -> Option<Ran> {
    let dir = TempDir::new(&format!("{test}-{}", words[0]));
    let file = dir.path().join("psm-uring.1");
    std::fs::write(&file, text).expect("a file of ours");
    let mut command = Command::new(words[0]);
    // Width and language are those of the test, not of who runs it.
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
    let expected = "NAME SYNOPSIS DESCRIPTION EXAMPLES OPTIONS COMMANDS EXIT CODES ENVIRONMENT \
                    FILES SEE ALSO";
    assert_eq!(headings.join(" "), expected);
    assert!(page.contains(&format!("psm-uring {}", env!("CARGO_PKG_VERSION"))), "{page}");
    let in_page = r"(?m)^\.TP\n(?:\\fB-[a-zA-Z]\\fR, )?\\fB(--[a-z-]+)\\fR";
    let in_help = r"(?m)^ {2,6}(?:-[a-zA-Z], )?(--[a-z-]+)";
    let mut expected = flags(&help(&["--help"]), in_help);
    for command in ["bench", "diff", "completions", "man"] {
        expected.extend(flags(&help(&[command, "--help"]), in_help));
    }
    expected.sort();
    assert_eq!(flags(&page.replace("\\-", "-"), in_page), expected, "{page}");
}

/// Nobody who formats the page has anything to say about it.
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
        // A page that is printed by a program is of no day.
        let told: Vec<_> = told.lines().filter(|line| !line.contains("missing date")).collect();
        assert!(told.is_empty(), "{words:?}\n{}", told.join("\n"));
    }
}

/// What the program reads from its environment is told, and nothing else.
#[test]
fn the_environment_is_documented() {
    let whole = help(&["--help"]);
    let begin = whole.find("\nEnvironment:\n").expect("the section");
    let section = whole[begin + 1..].split("\n\n").next().expect("its end");
    let word = regex("(?m)^  ([A-Z_]+) ");
    let told: Vec<_> = word.captures_iter(section).map(|found| found[1].to_owned()).collect();
    let read = regex("(?s)\\b(?:var|var_os|value|is)\\(\\s*\"([A-Z_]+)\"");
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

/// A shell with no files of its user, or `None` when it is not there, which is told.
fn shell(words: &[&str], script: &str) -> Option<String> {
    let mut command = Command::new(words[0]);
    let dir = TempDir::new(&format!("completions-{}", words[0]));
    command.current_dir(tests_path("procfs"));
    command.args(&words[1..]).args(["-c", script]).env("HOME", dir.path()).env("TERM", "dumb");
    command.env("XDG_CONFIG_HOME", dir.path()).env("XDG_DATA_HOME", dir.path());
    let program = Path::new(env!("CARGO_BIN_EXE_psm-uring"));
    let dir_of_program = program.parent().expect("a directory").display();
    let path = format!("{dir_of_program}:{}", std::env::var("PATH").unwrap_or_default());
    // The scripts call the program by its name.
    command.env("PATH", path).env("PSM", program).stdin(std::process::Stdio::null());
    if Command::new(words[0]).arg("--version").output().is_err() {
        skip("completions", &format!("{} is missing", words[0]));
        return None;
    }
    let ran = output(command);
    assert_eq!((ran.stderr().as_str(), ran.code), ("", Some(0)), "{}", words[0]);
    Some(ran.stdout())
}

#[test]
fn bash_completes() {
    let complete = |words: &str| {
        // The name of the function is the library's business.
        let script = format!(
            "source <($PSM completions bash) && compopt() {{ :; }} && COMP_WORDS=({words}) && \
             COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)) && registered=($(complete -p psm-uring)) && \
             ${{registered[-2]}} psm-uring \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\" && \
             echo \"${{COMPREPLY[@]}}\""
        );
        shell(&["bash", "--norc"], &script)
    };
    let Some(options) = complete("psm-uring --st") else { return };
    assert_eq!(options, "--stuck-after --strict --stats\n");
    for (words, expected) in [
        ("psm-uring b", "bench\n"),
        ("psm-uring --name c", "comm cmdline\n"),
        ("psm-uring bench --ag", "--against\n"),
        ("psm-uring completions z", "zsh\n"),
        ("psm-uring --columns s", "shared swap\n"),
        ("psm-uring --columns ram,s", "ram,shared ram,swap\n"),
        ("psm-uring --columns bar,swap,ra", "bar,swap,ram\n"),
        ("psm-uring bench --engines sync,t", "sync,threads\n"),
        // The shell stands beside a directory of this name.
        ("psm-uring --watch ord", "\n"),
        ("psm-uring --filter ord", "\n"),
        ("psm-uring --output-file ord", "ordinary/\n"),
        ("psm-uring diff record", "record.sh recorded/\n"),
        ("psm-uring -u root,roo", "root,root\n"),
    ] {
        assert_eq!(complete(words).unwrap_or_default(), expected, "{words}");
    }
}

#[test]
fn zsh_completes() {
    let load = "autoload -U compinit && compinit -D -u && source <($PSM completions zsh) && \
                functions $_comps[psm-uring] | grep -c PSM_URING_COMPLETE";
    if let Some(found) = shell(&["zsh", "-f"], load) {
        assert_eq!(found, "1\n");
    }
}

/// On a terminal of zsh's own, where a blank that is typed behind a word takes the comma away that
/// waits for another one.
#[test]
fn zsh_completes_lists() {
    const TYPED: [(&str, &str); 6] = [
        ("--columns foot", "--columns footprint"),
        ("--columns ram,foot", "--columns ram,footprint"),
        ("--columns=bar,uss,pss-an", "--columns=bar,uss,pss-anon"),
        ("--columns ram,nosuch", "--columns ram,nosuch"),
        ("--sort pss-an", "--sort pss-anon"),
        ("bench --engines sync,th", "bench --engines sync,threads"),
    ];
    let ask: String = TYPED.map(|(words, _)| format!("complete '{words}'\n")).concat();
    let script = format!(
        r#"zmodload zsh/zpty && zpty shell zsh -f -i || exit 0
        zpty -w shell 'PROMPT=; autoload -U compinit && compinit -D -u
        source <($PSM completions zsh); zle -N show; bindkey "^X" show
        bindkey "^I" complete-word; show() {{ print -r -- "[$BUFFER]"; BUFFER= }}; print ready'
        zpty -r shell out '*ready*ready*'
        complete() {{
            zpty -w -n shell "psm-uring $1"$'\t \x18'
            zpty -r shell out '*\]*'
            print -r -- ${{${{out##*\[psm-uring }}% \]*}}
        }}
        {ask} zpty -d shell"#
    );
    let Some(found) = shell(&["zsh", "-f"], &script) else { return };
    if found.is_empty() {
        return skip("zsh_completes_lists", "zsh has no zsh/zpty");
    }
    let expected: String = TYPED.map(|(_, completed)| format!("{completed}\n")).concat();
    assert_eq!(found, expected);
}

#[test]
fn fish_completes() {
    let ask = "$PSM completions fish | source; complete -C 'psm-uring --name c'; \
               complete -C 'psm-uring --stri'; complete -C 'psm-uring b'; \
               complete -C 'psm-uring --columns s'; complete -C 'psm-uring --columns ram,s'; \
               complete -C 'psm-uring --columns=ram,sw'; complete -C 'psm-uring --watch ord'; \
               complete -C 'psm-uring --output-file ord'; complete -C 'psm-uring -u roo'; \
               complete -C 'psm-uring completions '; complete -C 'psm-uring completions f'; \
               complete -C 'psm-uring diff record'; complete -C 'psm-uring man record'";
    if let Some(found) = shell(&["fish", "--no-config"], ask) {
        let words: Vec<_> = found.lines().filter_map(|line| line.split('\t').next()).collect();
        let expected = "comm cmdline --strict bench shared swap ram,shared ram,swap \
                        --columns=ram,swap ordinary/ root bash zsh fish --help fish record.sh \
                        recorded/";
        assert_eq!(words.join(" "), expected, "{found}");
    }
}

/// A word that is nearly right is answered with the right one, on one line.
#[test]
fn wrong_words_suggest_right_ones() {
    for (line, suggestion) in [
        ("--filtr x", "a similar argument exists: '--filter'"),
        ("--colour always", "a similar argument exists: '--color'"),
        ("--by progam", "a similar value exists: 'program'"),
        ("--columns ram,nmae", "a similar value exists: 'name'"),
        ("benhc", "a similar command exists: 'bench'"),
        ("bench --roundz 3", "a similar argument exists: '--rounds'"),
        ("completions bsh", "a similar value exists: 'bash'"),
        ("-p 25087 25088", "lists are separated by commas, not blanks: --pid FIRST,25088;"),
        ("-n 3 -u root 1000", "lists are separated by commas, not blanks: --user FIRST,1000;"),
        ("-n 3 firefox", "there is no command 'firefox'; select programs with --filter"),
        ("-n 3 diff a b", "the subcommand 'diff' cannot be used with '--top <N>'"),
        ("diff --top 3 a b", "unexpected argument '--top' found; "),
        ("diff --by pid a b", "unexpected argument '--by' found; "),
        ("diff --strict a b", "unexpected argument '--strict' found; "),
    ] {
        let ran = run(line.split(' '));
        let told = ran.stderr();
        assert!(told.starts_with("psm-uring: ") && told.contains(suggestion), "{line}: {told}");
        assert_eq!((told.matches('\n').count(), ran.code), (1, Some(2)), "{line}: {told}");
        assert!(told.matches(" exists: ").count() <= 1, "{line}: {told}");
    }
}

/// The words that other programs use for the same value work.
#[test]
fn words_of_other_programs_work() {
    let ran = |words: &str| run(["--proc-root", "grouped"].into_iter().chain(words.split(' ')));
    for (theirs, ours) in [
        ("--by service", "--by unit"),
        ("--by docker", "--by container"),
        ("-o jsonl -t", "-o ndjson -t"),
        ("-o CSV", "-o csv"),
        ("-o text --sort memory", "-o table --sort ram"),
        ("--columns ram,Size,name", "--columns ram,ram,name"),
        ("--columns pss,swapped,name", "--columns ram,swap,name"),
    ] {
        let (theirs, ours) = (ran(theirs), ran(ours));
        assert_eq!((theirs.code, theirs.stderr()), (ours.code, ours.stderr()));
        let lines = |ran: &Ran| ran.stdout().lines().filter(|l| !l.contains("time")).count();
        assert_eq!(lines(&theirs), lines(&ours));
    }
    let (theirs, ours) = (ran("--by systemd --sort mem"), ran("--by unit --sort ram"));
    assert_eq!((theirs.code, theirs.stdout()), (Some(0), ours.stdout()));
    let (theirs, ours) = (ran("--summary"), ran("--host"));
    assert_eq!((theirs.code, theirs.stdout()), (Some(0), ours.stdout()));
}

#[test]
fn columns_may_be_written_large() {
    let shown = |words: &str| run(["--proc-root", "ordinary"].into_iter().chain(words.split(' ')));
    let large = shown("--columns RAM,Pss-Anon,NAME --sort SWAP");
    assert_eq!((large.code, &large), (Some(0), &shown("--columns ram,pss-anon,name -s swap")));
}
