//! A usage error is one line, and suggests the intended word.

use crate::support::failures::{Failures, check, check_eq};
use crate::support::run;

/// A misspelled word gets the right word as a suggestion, on one line.
#[test]
fn wrong_words_suggest_right_ones() {
    let mut failures = Failures::new();
    for (line, suggestion) in [
        ("--filtr x", "a similar argument exists: '--filter'"),
        ("--colour always", "a similar argument exists: '--color'"),
        ("-n -1", "psm-uring: --top '-1': not a whole number from 0 to"),
        ("-w --count -2", "psm-uring: --count '-2': not a whole number of 1 or more"),
        ("--workers -1", "psm-uring: --workers '-1': not a whole number from 1 to"),
        ("--count 2", "psm-uring: --count needs --watch: add it, or leave out --count"),
        ("--since a.json", "psm-uring: --since needs --watch: add it, or leave out --since"),
        ("-w --count 0", "psm-uring: --count '0': not a whole number of 1 or more"),
        ("-p ", "psm-uring: --pid '': the list is empty; if a command printed it, that found no"),
        ("-p ,", "psm-uring: --pid ',': the list is empty; if a command"),
        ("--columns ", "psm-uring: --columns needs a value: one of ram, uss, "),
        ("--sort", "psm-uring: --sort needs a value: one of ram, uss, "),
        ("--output-file ", "psm-uring: --output-file needs a value; see --help"),
        ("diff", "psm-uring: <A.json> and <B.json> are missing; see --help"),
        ("diff a.json", "psm-uring: <B.json> is missing; see --help"),
        (
            "--columns foo",
            "--columns 'foo': no such word; a similar value exists: 'footprint'; use",
        ),
        ("--by progam", "a similar value exists: 'program'"),
        ("--columns ram,nmae", "a similar value exists: 'name'"),
        ("benhc", "a similar command exists: 'bench'"),
        ("bench --roundz 3", "a similar argument exists: '--rounds'"),
        ("completions bsh", "a similar value exists: 'bash'"),
        ("-p 25087 25088", "a list is one word: --pid FIRST,25088;"),
        ("-n 3 -u root 1000", "a list is one word: --user FIRST,1000;"),
        ("-n 3 firefox", "there is no command 'firefox'; select programs with --filter"),
        ("-n 3 diff a b", "the subcommand 'diff' cannot be used with '--top <N>'"),
        ("diff --top 3 a b", "unexpected argument '--top' found; "),
        ("diff --by pid a b", "unexpected argument '--by' found; "),
        ("diff --strict a b", "unexpected argument '--strict' found; "),
    ] {
        let ran = run(line.split(' '));
        let told = ran.stderr();
        check!(
            failures,
            told.starts_with("psm-uring: ") && told.contains(suggestion),
            "{line}: {told}"
        );
        check_eq!(failures, (told.matches('\n').count(), ran.code), (1, Some(2)), "{line}: {told}");
        check!(failures, told.matches(" exists: ").count() <= 1, "{line}: {told}");
    }
}
