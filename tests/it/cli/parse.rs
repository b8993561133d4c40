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

/// `pgrep` prints a line for each id, `pidof` blanks, `pgrep -d,` commas; a list may mix them.
#[test]
fn ids_are_read_as_pgrep_and_pidof_print_them() {
    let told = |list: &str| {
        let ran = run(["--proc-root", "ordinary", "--by", "pid", "--pid", list]);
        (ran.stdout(), ran.stderr(), ran.code)
    };
    let expected = told("101,102,103");
    assert_eq!((expected.1.as_str(), expected.2), ("", Some(0)));
    for list in ["101\n102\n103\n", "103 102 101\n", " 101, 102,\t103", "101\r\n102\n\n103 103"] {
        assert_eq!(told(list), expected, "{list:?}");
    }
    for list in ["", " \n", ","] {
        let (stdout, stderr, code) = told(list);
        assert_eq!((stdout.as_str(), code), ("", Some(2)), "{list:?}");
        assert!(stderr.contains("the list is empty; if a command printed it"), "{stderr}");
    }
    for list in ["101 two", "101;102", "101\n0", "101 -102", "101\n102 nginx"] {
        let (stdout, stderr, code) = told(list);
        assert_eq!((stdout.as_str(), code), ("", Some(2)), "{list:?}");
        assert!(stderr.contains("not process ids; a list looks like 1,42,4711"), "{stderr}");
    }
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

/// All times have one rule: a number alone is seconds, and one error.
#[test]
fn times_have_one_rule() {
    for option in ["--deadline", "--stuck-after", "--watch"] {
        for time in ["soon", "1x", "1h", "1 m s", "-1", "9e99"] {
            let told = run(["--proc-root", "ordinary", &format!("{option}={time}")]);
            let stderr = told.stderr();
            assert_eq!(told.code, Some(2), "{option} {time}: {stderr}");
            assert!(stderr.ends_with("write 500ms, 2s or 1m\n"), "{option} {time}: {stderr}");
            assert!(stderr.starts_with(&format!("psm-uring: {option} '{time}': ")), "{stderr}");
        }
    }
    for option in ["--deadline", "--stuck-after"] {
        for time in ["20", "20s", "20000ms", "0.5m"] {
            let told = run(["--proc-root", "ordinary", option, time]);
            assert_eq!(told.code, Some(0), "{option} {time}: {}", told.stderr());
        }
    }
    let help = run(["--help"]).stdout();
    assert_eq!(help.matches("number alone is seconds").count(), 3, "{help}");
    let watched = run(["--proc-root", "ordinary", "--count", "1", "--watch", "5"]).stdout();
    assert!(watched.contains(", every 5s: "), "{watched}");
}
