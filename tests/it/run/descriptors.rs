//! Few descriptors: the same result with every engine, or one line that names the limit. `prlimit`
//! sets the limit; the program loader needs some descriptors itself.

use std::process::Command;

use crate::support::child::Target;
use crate::support::survey::has_uring;
use crate::support::{Ran, TempDir, output, program, skip};

/// From the loader's minimum to enough for everything: two files of a process, `/proc` and a ring,
/// standard streams, and descriptors inherited from the test runner.
const LIMITS: [u64; 7] = [4, 5, 6, 7, 8, 9, 24];
/// Exit code of the program loader when it lacks a resource.
const LOADER: i32 = 127;

/// Runs the program with this limit of descriptors.
fn limited(descriptors: u64, words: &str) -> Ran {
    let mut command = Command::new("prlimit");
    command.current_dir(crate::support::data("procfs"));
    command.arg(format!("--nofile={descriptors}:{descriptors}")).arg(program().get_program());
    command.args(words.split(' ')).stdin(std::process::Stdio::null());
    output(command)
}

fn has_prlimit(test: &str) -> bool {
    let is_there = Command::new("prlimit").arg("--version").output().is_ok();
    if !is_there {
        skip(test, "prlimit (util-linux) is missing");
    }
    is_there
}

/// Checks for a report or one line that names the limit; returns whether it is a report.
fn is_report(ran: &Ran, what: &str) -> bool {
    let told = ran.stderr();
    match ran.code {
        Some(0) => true,
        Some(1) => {
            assert_eq!((ran.stdout().as_str(), told.lines().count()), ("", 1), "{what}: {told}");
            assert!(
                told.starts_with("psm-uring: ") && told.contains("ulimit -n"),
                "{what}: {told}"
            );
            assert!(!told.contains("mount") && !told.contains("another"), "{what}: {told}");
            false
        }
        code => panic!("{what}: {code:?}: {told}"),
    }
}

/// Files that stay open leave a survey the descriptors that it needs.
#[test]
fn a_watch_with_few_descriptors_measures_all() {
    const TEST: &str = "a_watch_with_few_descriptors_measures_all";
    if !has_prlimit(TEST) {
        return;
    }
    let family = Target::stopped("family 100 30");
    let children = family.children(30, 'T').into_iter().chain([family.pid()]);
    let list = children.map(|pid| pid.to_string()).collect::<Vec<_>>().join(",");
    let mut engines = vec!["sync", "threads", "auto"];
    engines.extend(has_uring(TEST).then_some("uring"));
    for engine in engines {
        for descriptors in [24, 40, 100] {
            let watch = "--watch 100ms --count 5 --by pid --output ndjson --strict";
            let ran = limited(descriptors, &format!("{watch} --engine {engine} -p {list}"));
            let told = ran.stderr();
            assert_eq!(ran.code, Some(0), "{engine}, {descriptors} descriptors: {told}");
            for report in ran.stdout().lines() {
                let rows = report.matches("\"pid\":").count();
                assert_eq!(rows, 31, "{engine}, {descriptors} descriptors: {report}");
            }
        }
    }
}

#[test]
fn engines_agree_on_too_few_descriptors() {
    if !has_prlimit("engines_agree_on_too_few_descriptors") {
        return;
    }
    let mut engines = vec!["sync", "threads", "auto"];
    engines.extend(has_uring("engines_agree_on_too_few_descriptors").then_some("uring"));
    let dir = TempDir::new("descriptors");
    let file = format!("--output-file {}", dir.path().join("report").display());
    let (mut reports, mut refused) = (0, 0);
    let on_fixture = ["--by pid", "--summary", "--columns user,name", "-f .", "--name exe", &file];
    let calls = on_fixture.map(|words| format!("--proc-root ordinary {words}"));
    // Not all processes of the host: another test can have stuck ones, which hold the only slot.
    let target = Target::stopped("touch 4");
    let is_root = rustix::process::geteuid().is_root();
    let live = is_root.then(|| format!("-u root -p {}", target.pid()));
    for words in calls.into_iter().chain(live) {
        for descriptors in LIMITS {
            let asked: Vec<(Ran, String)> = engines
                .iter()
                .map(|engine| {
                    let words = format!("{words} --engine {engine}");
                    (limited(descriptors, &words), format!("{descriptors} descriptors, {words}"))
                })
                .collect();
            if asked.iter().all(|(ran, _)| ran.code == Some(LOADER)) {
                continue;
            }
            let outcomes: Vec<bool> =
                asked.iter().map(|(ran, what)| is_report(ran, what)).collect();
            let told = || asked.iter().map(|(ran, what)| (what, ran.stderr())).collect::<Vec<_>>();
            assert!(outcomes.iter().all(|is_report| *is_report == outcomes[0]), "{:#?}", told());
            assert!(outcomes[0] || descriptors < 24, "{}", asked[0].1);
            reports += usize::from(outcomes[0]);
            refused += usize::from(!outcomes[0]);
        }
    }
    assert!(reports > 0 && refused > 0, "{reports} reports, {refused} refused: tests nothing");
}

/// `bench` starts programs, which needs pipes.
#[test]
fn bench_names_the_limit() {
    if !has_prlimit("bench_names_the_limit") {
        return;
    }
    let (mut refused, mut starts) = (0, 0);
    for engine in ["sync", "auto"] {
        let words = &format!("bench --proc-root ordinary --rounds 1 --engines {engine}");
        for descriptors in LIMITS {
            let ran = limited(descriptors, words);
            let told = ran.stderr();
            // The program, or the one that it started, did not reach `main`.
            if ran.code == Some(0) || told.contains("loading shared libraries") {
                continue;
            }
            let last = told.lines().last().unwrap_or_default();
            assert_eq!(ran.code, Some(1), "{descriptors} {words}: {told}");
            assert!(last.contains("ulimit -n"), "{descriptors} {words}: {told}");
            refused += 1;
            starts += usize::from(last.contains("): cannot start it: Too many open files"));
        }
    }
    assert!(
        refused > 0 && starts > 0,
        "{refused} refused, {starts} starts: these limits test nothing"
    );
}
