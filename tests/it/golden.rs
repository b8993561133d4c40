//! The program on the fixtures, byte for byte: standard output, standard error and exit code of
//! many command lines, with every engine. `UPDATE_GOLDEN=1 cargo test golden` rewrites
//! `tests/data/golden/*.txt`; a review then checks the difference.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::support::failures::{Failures, check_eq};
use crate::support::survey::has_uring;
use crate::support::{Ran, data, files, run};

/// A golden file, and the arguments after `--proc-root`.
const CASES: [(&str, &str); 135] = [
    ("csv", "names -o csv"),
    ("csv-by-container", "grouped -o csv --by container"),
    ("csv-by-pid", "hugetlb -o csv --by pid --heap -n 2"),
    ("csv-columns", "no-rollup -o csv --columns name,pss-anon,swap,rss,percent -n 3"),
    ("csv-no-header", "ordinary -o csv --no-header -s count -r"),
    ("csv-total", "ordinary -o csv --total"),
    ("default", "ordinary"),
    ("default-empty", "empty"),
    ("default-hugetlb", "hugetlb"),
    ("default-kernel-threads", "kernel-threads"),
    ("default-malformed", "malformed"),
    ("default-names", "names"),
    ("default-no-rollup", "no-rollup"),
    ("default-vanished", "vanished"),
    ("by-cgroup", "grouped --by cgroup"),
    ("by-container", "grouped --by container"),
    ("by-container-top", "grouped --by container -n 2 --sort count"),
    ("by-pid", "ordinary --by pid"),
    ("by-pid-hugetlb", "hugetlb --by pid"),
    ("by-pid-kernel-threads", "kernel-threads --by pid"),
    ("by-pid-malformed", "malformed --by pid"),
    ("by-pid-names", "names --by pid"),
    ("by-pid-no-rollup", "no-rollup --by pid"),
    ("by-pid-top-none", "ordinary --by pid --top 0"),
    ("by-pid-vanished", "vanished --by pid"),
    ("by-program", "ordinary --by program"),
    ("columns", "ordinary --columns ram,uss,shared,rss,swap,footprint,hugetlb,count,name"),
    ("columns-bar", "ordinary --columns bar,percent,footprint,count,name -n 3"),
    ("columns-heap", "ordinary --columns heap,pss,name --sort heap"),
    ("columns-hugetlb", "hugetlb --columns pss,uss,shared,rss,hugetlb,name"),
    ("columns-more", "names --columns count,name -p 201,203,204,205,227 -n 2"),
    ("columns-name-first", "names --columns name,ram,pid --sort name -p 211,212,205,203"),
    ("columns-no-heap", "no-rollup --columns heap,name --source auto"),
    ("columns-no-rollup", "no-rollup --columns ram,swap,pss-anon,hugetlb,count,name -n 2"),
    ("columns-page-tables", "ordinary --columns page-tables,lazyfree,rss,name -s page-tables -n 4"),
    ("columns-page-tables-csv", "ordinary -o csv --columns pte,lazyfree,ram,name -u 33"),
    ("columns-parts", "ordinary --columns pss-anon,pss-file,pss-shmem,pid,name --unit KiB"),
    ("columns-swap-last", "ordinary --columns name,count,swap --no-header"),
    ("columns-percent", "ordinary --columns percent,ram,name -f ^java$"),
    ("columns-places", "grouped --columns user,cgroup,count,ram,name --name comm -n 9"),
    ("columns-places-by-pid", "grouped --by pid --columns ram,user,cgroup --sort cgroup -n 4"),
    ("columns-places-csv", "grouped --columns user,cgroup,pid,name -o csv --name comm -s user"),
    ("columns-places-json", "grouped --json --columns user,cgroup --by pid -n 2"),
    ("columns-places-unknown", "malformed --columns user,cgroup,name --sort user"),
    ("columns-unknown", "malformed --columns percent,bar,swap,name -p 402"),
    ("by-unit", "grouped --by unit --sort name"),
    ("by-unit-filter", "grouped --by unit -f ^(redis|web|pipewire)$"),
    ("by-unit-user", "grouped --by unit -u 1000"),
    ("by-user", "grouped --by user"),
    ("by-user-vanished", "vanished --by user"),
    ("filter", "ordinary --filter nginx|celery"),
    ("filter-anchored", "names -f ^\\[ --by pid"),
    ("filter-comm", "ordinary -f ^postgres$ --name comm"),
    ("filter-failed", "vanished -f cmd-only"),
    ("filter-kernel-threads", "kernel-threads -f .*"),
    ("filter-nothing", "ordinary -f no-such-name"),
    ("filter-unicode", "names -f ^\\p{Katakana}\\p{L}+$"),
    ("filter-vanished", "vanished --by pid -f ."),
    ("heap", "ordinary --heap"),
    ("heap-by-pid-no-rollup", "no-rollup --heap --by pid"),
    ("heap-malformed", "malformed --heap"),
    ("heap-sorted", "ordinary --heap --sort heap"),
    ("json", "ordinary --json -n 2"),
    ("json-malformed", "malformed --json --by pid -p 401,402"),
    ("json-names", "names -o json -p 203,204,205"),
    ("json-total", "no-rollup --json --total"),
    ("name-cmdline", "names --name cmdline --by pid --sort name"),
    ("name-comm", "names --name comm --by pid --sort name"),
    ("name-comm-vanished", "vanished --name comm --by pid"),
    ("name-exe", "names --name exe --by pid"),
    ("name-exe-kernel-threads", "kernel-threads --name exe --by pid"),
    ("name-exe-vanished", "vanished --name exe --by pid"),
    ("name-script", "scripts --name script"),
    ("name-script-by-pid", "names --name script --by pid --sort name"),
    ("name-title", "ordinary --name title"),
    ("no-header", "ordinary --no-header"),
    ("no-smaps", "no-smaps"),
    ("no-smaps-by-user", "no-smaps --by user --columns rss,swap,ram,name"),
    ("no-smaps-by-cgroup", "no-smaps --by cgroup"),
    ("no-smaps-by-container", "no-smaps -o csv --by container --columns rss,cgroup,count,name"),
    ("no-smaps-by-unit", "no-smaps --json --by unit -u 33"),
    ("no-smaps-csv", "no-smaps -o csv --columns rss,swap,ram,count,name"),
    ("no-smaps-filter", "no-smaps -f nginx -n 0"),
    ("no-smaps-json", "no-smaps --json -u 110"),
    ("no-smaps-openmetrics", "no-smaps -o openmetrics -n 1"),
    ("no-smaps-summary", "no-smaps --summary --by pid"),
    ("ndjson", "vanished -o ndjson"),
    ("openmetrics", "names -o openmetrics -p 203,204,216,223 -n 3"),
    ("openmetrics-by-user", "grouped -o openmetrics --by user -n 2"),
    ("openmetrics-heap", "ordinary -o openmetrics --heap -n 1"),
    ("openmetrics-unknown", "malformed -o openmetrics -p 402,403"),
    ("pid", "ordinary --pid 120,101,120"),
    ("pid-kernel-thread", "kernel-threads -p 2"),
    ("pid-partly-gone", "ordinary -p 101 -p 9"),
    ("pid-two-gone-total", "ordinary -p 101,9,8 --total"),
    ("pid-unknown-memory", "malformed -p 402,403"),
    ("pid-zombie", "kernel-threads -p 31,2 --by pid"),
    ("reverse", "ordinary --reverse"),
    ("reverse-top", "ordinary -r -n 2"),
    ("sort-count", "ordinary --sort count"),
    ("sort-name", "ordinary --sort name"),
    ("sort-name-top", "ordinary --sort name --top 3"),
    ("sort-ram", "ordinary --sort ram"),
    ("sort-count-top", "ordinary -s count -n 3"),
    ("sort-shared", "ordinary --sort shared"),
    ("sort-swap", "ordinary -s swap"),
    ("sort-footprint", "ordinary --sort footprint -n 3"),
    ("sort-pid", "ordinary --by pid --sort pid -n 3"),
    ("sort-pss-shmem", "ordinary --sort pss-shmem -r"),
    ("source-rollup", "ordinary --source rollup"),
    ("source-smaps", "ordinary --source smaps"),
    ("source-smaps-malformed", "malformed --source smaps --by pid"),
    ("sort-swap-top", "ordinary -s swap -n 5"),
    ("strict", "ordinary --strict"),
    ("strict-vanished", "vanished --strict"),
    ("summary", "ordinary --summary -n 2"),
    ("summary-by-pid", "no-rollup --summary -n 0 --unit auto --by pid"),
    ("summary-gpu", "hugetlb --summary -n 0"),
    ("summary-json", "hugetlb --summary --json -n 0"),
    ("summary-openmetrics", "ordinary --summary -o openmetrics -n 0"),
    ("summary-unknown", "malformed --summary -p 402"),
    ("top", "ordinary --top 3"),
    ("top-again", "ordinary --top 3 --heap --heap -n 2"),
    ("total", "ordinary --total"),
    ("total-mib", "ordinary -t --unit MiB"),
    ("total-nothing", "ordinary -t -f no-such-name"),
    ("total-unit-auto", "ordinary -t --unit auto"),
    ("unit-auto", "ordinary --unit auto"),
    ("unit-b", "ordinary --unit B --heap"),
    ("unit-gib", "ordinary --unit gib"),
    ("unit-kib", "ordinary --unit KiB"),
    ("user", "grouped --user 1000,0 --by pid"),
    ("user-filter-nothing", "grouped -u 1000 -f cron"),
    ("user-nobody", "grouped -u 4242"),
    ("user-pid", "ordinary -u 1001 -p 110,120"),
];

/// The same of mappings: the arguments after `maps --proc-root`.
const MAPS: [(&str, &str); 18] = [
    ("maps", "mappings"),
    ("maps-big", "mappings --big -n 4"),
    ("maps-by-program", "mappings --by program -n 3"),
    ("maps-by-program-csv", "mappings --by program -o csv -n 2"),
    ("maps-by-program-json", "mappings --by program --json -n 1"),
    ("maps-by-program-openmetrics", "mappings --by program -o openmetrics -n 1"),
    ("maps-columns", "mappings --columns most,mappings,swap,name,ram --sort mappings -r -n 5"),
    ("maps-csv", "mappings -o csv --columns name,ram,processes --no-header"),
    ("maps-filter", "mappings -f postgres --unit KiB"),
    ("maps-hugetlb", "hugetlb"),
    ("maps-json", "mappings --json -f caddy"),
    ("maps-malformed", "malformed -p 402,403 -o ndjson"),
    ("maps-named", "named --unit KiB -f ^(worker|threads) -n 14"),
    ("maps-no-rollup", "no-rollup --sort name -n 3"),
    ("maps-openmetrics", "mappings -o openmetrics -n 3"),
    ("maps-pid", "mappings -p 820,811 -n 2"),
    ("maps-total", "mappings --total --strict"),
    ("maps-user", "grouped -u 1000 --unit auto -n 2"),
];

/// Invalid calls and impossible reports: complete command lines.
const FAULTS: [(&str, &str); 57] = [
    ("fault-bad-deadline", "--deadline soon"),
    ("fault-bad-depth", "--depth 0"),
    ("fault-bad-engine", "--engine fast"),
    ("fault-bad-name", "--name titel"),
    ("fault-bad-pid-list", "--pid 1,two"),
    ("fault-bad-output", "-o yaml"),
    ("fault-bad-regex", "--filter ["),
    ("fault-bad-stuck-after", "--stuck-after=-1"),
    ("fault-bad-top", "-n x"),
    ("fault-bad-group", "--by program,user"),
    ("fault-bad-user", "--user root,"),
    ("fault-bad-user-number", "-u 4294967296"),
    ("fault-bad-unit", "--unit furlong"),
    ("fault-bad-workers", "--workers 0"),
    ("fault-bar-of-csv", "-o csv --columns ram,bar,name"),
    ("fault-column", "--columns ram,rom"),
    ("fault-column-twice", "--proc-root ordinary --columns ram,swap,pss"),
    ("fault-columns-and-heap", "--columns ram --heap"),
    ("fault-columns-of-two-files", "--columns pss-anon,heap"),
    ("fault-columns-of-metrics", "-o openmetrics --columns percent"),
    ("fault-heap-from-rollup", "--proc-root ordinary --heap --source rollup"),
    ("fault-huge-regex", "--filter (((((a{99}){99}){99}){99}){99})"),
    ("fault-json-and-csv", "--json -o csv"),
    ("fault-labels-of-pids", "-o openmetrics --by pid"),
    ("fault-maps-column-twice", "maps --columns ram,pss"),
    ("fault-maps-columns-of-metrics", "maps -o openmetrics --columns ram"),
    ("fault-maps-total-unknown", "maps --proc-root no-smaps --total"),
    ("fault-max-ratio", "bench --against x --max-ratio nan"),
    ("fault-max-ratio-alone", "bench --max-ratio 1.2"),
    ("fault-no-rollup", "--proc-root no-rollup --source rollup"),
    ("fault-no-smaps-total", "--proc-root no-smaps --total"),
    ("fault-nothing-read", "--proc-root vanished --pid 602,603"),
    ("fault-output-file", "--proc-root ordinary --output-file no/such/directory"),
    ("fault-output-file-is-a-dash", "--output-file -"),
    ("fault-output-file-is-a-device", "--proc-root ordinary --output-file /dev/null"),
    ("fault-pid-empty", "-p ,"),
    ("fault-pid-unknown", "--proc-root ordinary --pid 9,8"),
    ("fault-pid-zero", "--pid 0"),
    ("fault-root-hollow", "--proc-root hollow"),
    ("fault-root-of-descriptors", "--proc-root /dev/fd"),
    ("fault-root-is-a-file", "--proc-root ordinary/version"),
    ("fault-gentle-heap", "--gentle --heap"),
    ("fault-gentle-rollup", "--gentle --source rollup"),
    ("fault-root-missing", "--proc-root no-such-directory"),
    ("fault-sort-heap", "--proc-root ordinary --sort heap"),
    ("fault-sort-from-smaps", "--sort pss-file --source smaps"),
    ("fault-stray-word", "nginx"),
    ("fault-total-unknown", "--proc-root malformed -p 402,403 --total"),
    ("fault-summary-of-csv", "--summary -o csv"),
    ("fault-summary-of-total", "--summary --total"),
    ("fault-top-huge", "-n 99999999999999999999"),
    ("fault-top-negative", "--top=-1"),
    ("fault-unit-of-csv", "-o csv --unit MiB"),
    ("fault-unknown-option", "--colour"),
    ("fault-user-elsewhere", "--proc-root grouped -u root"),
    ("fault-user-unknown", "--user root,no-such-user"),
    ("fault-value-missing", "--filter"),
];

fn golden_path(name: &str) -> PathBuf {
    data("golden").join(format!("{name}.txt"))
}

fn is_update() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}

/// A run as text for review.
fn show(words: &str, ran: &Ran) -> Vec<u8> {
    let code = ran.code.map_or("a signal".to_owned(), |code| code.to_string());
    let mut text = format!("$ psm-uring {words}\n").into_bytes();
    text.extend_from_slice(&ran.stdout);
    text.extend_from_slice(b"--- standard error\n");
    text.extend_from_slice(&ran.stderr);
    text.extend_from_slice(format!("--- exit code {code}\n").as_bytes());
    text
}

/// Compares one run with its golden file, or writes the file; returns the error.
fn check(name: &str, words: &str, ran: &Ran) -> Result<(), String> {
    let (path, found) = (golden_path(name), show(words, ran));
    if is_update() {
        return std::fs::write(&path, found).map_err(|error| format!("{path:?}: {error}"));
    }
    let expected = std::fs::read(&path).map_err(|error| format!("{path:?}: {error}"))?;
    if found == expected {
        return Ok(());
    }
    let [expected, found] =
        [expected, found].map(|text| String::from_utf8_lossy(&text).into_owned());
    Err(format!("--- {}, expected:\n{expected}--- found:\n{found}", path.display()))
}

fn report(wrong: &[String]) {
    let remedy = "if this is meant: UPDATE_GOLDEN=1 cargo test golden, and read the diff";
    assert!(wrong.is_empty(), "{}\n{remedy}", wrong.join("\n"));
}

/// Runs the program. A placeholder replaces text that differs between runs and hosts.
fn run_masked(words: &str) -> Ran {
    let facts = crate::support::sources::regex(concat!(
        r#"(?P<key>"(version|host|kernel|engine|started_at|duration_seconds)": ?"#,
        r#"|psm_uring_(duration|start_time)_seconds )("[^"]*"|[0-9.e-]+)"#,
        r#"|(?P<info>psm_uring_run_info)\{[^}]*\}"#,
    ));
    let mut ran = run(self::words(words));
    ran.stdout = facts.replace_all(&ran.stdout(), "$key${info}(masked)").into_owned().into_bytes();
    ran
}

fn words(words: &str) -> Vec<&str> {
    words.split(' ').collect()
}

#[test]
fn reports() {
    let wrong: Vec<String> = CASES
        .iter()
        .filter_map(|(name, case)| {
            let words = format!("--proc-root {case}");
            let ran = run_masked(&format!("{words} --engine sync"));
            check(name, &words, &ran).err()
        })
        .chain(MAPS.iter().filter_map(|(name, case)| {
            let words = format!("maps --proc-root {case}");
            let ran = run_masked(&format!("{words} --engine sync"));
            check(name, &words, &ran).err()
        }))
        .collect();
    report(&wrong);
}

#[test]
fn faults() {
    let wrong: Vec<String> = FAULTS
        .iter()
        .filter_map(|(name, case)| {
            let ran = run(words(case));
            let is_one_line = ran.stderr.iter().filter(|byte| **byte == b'\n').count() == 1;
            let is_ours = ran.stderr.starts_with(b"psm-uring: ");
            let is_told = ran.stdout.is_empty() && is_one_line && is_ours;
            let told = if is_told { Ok(()) } else { Err(format!("{name}: not one clear line")) };
            told.and(check(name, case, &ran)).err()
        })
        .collect();
    report(&wrong);
}

/// `sync` is the reference; every other engine must print the same bytes.
#[test]
fn engines_print_the_same() {
    let mut engines = vec!["--engine=threads --workers=1", "--engine=threads --workers=8"];
    engines.push("--engine=auto");
    if has_uring("engines_print_the_same") {
        engines.extend(["--engine=uring --depth=1 --workers=1", "--engine=uring --depth=3"]);
    }
    let mut failures = Failures::new();
    let maps = MAPS.iter().map(|(name, case)| (*name, format!("maps --proc-root {case}")));
    let cases = CASES.iter().map(|(name, case)| (*name, format!("--proc-root {case}")));
    for (name, case) in cases.chain(maps) {
        let reference = run_masked(&format!("{case} --engine sync"));
        for engine in &engines {
            let ran = run_masked(&format!("{case} {engine}"));
            let shown = |ran: &Ran| String::from_utf8_lossy(&show("", ran)).into_owned();
            check_eq!(failures, shown(&ran), shown(&reference), "{name}: {engine} against sync");
            check_eq!(failures, ran, reference, "{name}: {engine} against sync");
        }
    }
}

/// Every golden file belongs to a case; otherwise no test compares it.
#[test]
fn every_golden_file_has_a_case() {
    if is_update() {
        return; // They are being written just now.
    }
    let cases: BTreeSet<String> =
        CASES.iter().chain(&MAPS).chain(&FAULTS).map(|(name, _)| format!("{name}.txt")).collect();
    assert_eq!(cases.len(), CASES.len() + MAPS.len() + FAULTS.len(), "two cases share a file");
    let found: BTreeSet<String> =
        files(&data("golden")).into_iter().map(|(name, _)| name).collect();
    assert_eq!(found, cases, "remove the file, or add the case");
}
