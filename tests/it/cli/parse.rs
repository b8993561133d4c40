//! Values of options: lists, words in either case, and synonyms from other programs.

use crate::support::{Ran, run};

/// A list allows blanks after a comma; repeated options form one list.
#[test]
fn lists_may_have_blanks() {
    let told = |list: [&str; 3]| {
        let [columns, users, pids] = list;
        let words = ["--columns", columns, "--user", users, "--pid", pids];
        let ran = run(["--proc-root", "ordinary"].into_iter().chain(words));
        (ran.stdout(), ran.stderr(), ran.code)
    };
    let expected = told(["ram,name", "0,33", "101,102"]);
    assert_eq!((expected.1.as_str(), expected.2), ("", Some(0)));
    assert_eq!(told(["ram, name ", "0, 33", " 101, 102"]), expected);
    let words = "--columns ram --columns name -u 0 -u 33 -p 101 -p 102";
    let ran = run(["--proc-root", "ordinary"].into_iter().chain(words.split(' ')));
    assert_eq!((ran.stdout(), ran.stderr(), ran.code), expected);
}

/// Synonyms from other programs work.
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
