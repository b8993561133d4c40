//! `psm-uring diff` on reports that the program saved itself.

use std::path::PathBuf;
use std::process::Stdio;

use crate::support::failures::{Failures, check, check_eq};
use crate::support::gpu::{fdinfo, lay_out};
use crate::support::reports::Reports;
use crate::support::{Ran, cells, copy_dir, data, make_fifo, output, program, readers, run, tree};

fn diff(before: &PathBuf, after: &PathBuf, arguments: &[&str]) -> Ran {
    let mut command = program();
    command.arg("diff").args([before, after]).args(arguments);
    output(command)
}

/// The rows between head and total, with words split at blanks.
fn rows(ran: &Ran) -> Vec<String> {
    assert_eq!(ran.code, Some(0), "{}", ran.stderr());
    let stdout = ran.stdout();
    let rows = stdout.lines().skip(1).filter(|line| !line.starts_with('#'));
    rows.map(cells).collect()
}

#[test]
fn a_report_differs_from_itself_in_nothing() {
    let reports = Reports::new("diff-same");
    for words in ["--proc-root ordinary", "--proc-root ordinary --by pid"] {
        let saved = reports.save("a", words);
        let ran = diff(&saved, &saved, &[]);
        let told = rows(&ran);
        assert!(told.len() == 1 && told[0].ends_with("rows alike)"), "{told:?}");
        let total = ran.stdout().lines().last().map(str::to_owned);
        assert_eq!(total.as_deref(), Some("#      0.0                   TOTAL USED BY PROCESSES"));
        assert_eq!(ran.stderr(), "");
    }
}

#[test]
fn the_biggest_growth_is_last() {
    let reports = Reports::new("diff-diff");
    let before = reports.save_of("before", &["101", "102", "120"], false);
    let after = reports.save_of("after", &["102", "110", "120"], false);
    let ran = diff(&before, &after, &[]);
    let (rows, reversed) = (rows(&ran), rows(&diff(&before, &after, &["--reverse"])));
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert!(rows[0].starts_with('-') && rows[1].starts_with('+'), "{rows:?}");
    assert_eq!(reversed[0], rows[1]);
    assert!(rows[1].ends_with(" (new)"), "{rows:?}");
    // The total includes every row.
    let kib = diff(&before, &after, &["--unit", "KiB", "--no-header"]).stdout();
    let ram = |line: &str| {
        line.trim_start_matches('#').split_whitespace().next().and_then(|word| word.parse().ok())
    };
    let amounts: Vec<i64> = kib.lines().filter_map(ram).collect();
    assert_eq!(amounts[..2].iter().sum::<i64>(), amounts[2], "{kib}");
    let few = diff(&before, &after, &["--min-delta", "100GiB"]);
    assert_eq!(few.stdout().lines().count(), 3, "{}", few.stdout());
}

#[test]
fn standard_input_is_the_later_report() {
    let reports = Reports::new("diff-stdin");
    let (before, after) =
        (reports.save("a", "--proc-root ordinary"), reports.save("b", "--proc-root malformed"));
    let mut command = program();
    command.arg("diff").arg(&before).arg("-");
    command.stdin(Stdio::from(std::fs::File::open(&after).expect("a file of ours")));
    let piped = output(command);
    assert_eq!(piped.stdout, diff(&before, &after, &[]).stdout);
    assert!(piped.stderr().contains("standard input is missing"), "{}", piped.stderr());
}

#[test]
fn missing_processes_are_reported_once() {
    let reports = Reports::new("diff-lacks");
    let [one, other] = ["a", "b"].map(|name| reports.save(name, "--proc-root malformed"));
    for (after, times) in [(&one, 1), (&other, 2)] {
        let told = diff(&one, after, &[]).stderr();
        assert_eq!(told.matches(" is missing ").count(), times, "{told}");
    }
}

/// Like `diff <(psm-uring --json) <(...)` in a shell, and with a FIFO that receives data late.
#[test]
fn a_pipe_is_a_report_too() {
    let reports = Reports::new("diff-pipes");
    let (before, after) =
        (reports.save("a", "--proc-root ordinary"), reports.save("b", "--proc-root grouped"));
    let expected = diff(&before, &after, &[]).stdout();
    assert!(expected.lines().count() > 10, "{expected}");
    let fifo = reports.path("fifo");
    make_fifo(&fifo);
    let [before, after, late] = [&before, &after, &fifo].map(|path| path.display().to_string());
    for line in [
        format!("exec $PSM diff <(cat {before}) <(sleep 0.2; cat {after})"),
        format!("(sleep 0.2; cat {after} > {late}) & exec $PSM diff {before} {late}"),
        format!("(cat {before} > {late}) & cat {after} | $PSM diff {late} -"),
    ] {
        let mut command = std::process::Command::new("bash");
        command.args(["-c", &line]).env("PSM", program().get_program());
        let ran = output(command);
        let found = (ran.code, ran.stdout(), ran.stderr());
        assert_eq!(found, (Some(0), expected.clone(), String::new()), "{line}");
    }
}

#[test]
fn incomparable_reports_are_refused() {
    let mut failures = Failures::new();
    let reports = Reports::new("diff-refused");
    let whole = reports.save("whole", "--proc-root ordinary");
    let by_pid = reports.save("by-pid", "--proc-root ordinary --by pid");
    let comm = reports.save("comm", "--proc-root ordinary --name comm");
    let top = reports.save("top", "--proc-root ordinary --top 2");
    let total = reports.save("total", "--proc-root ordinary --total");
    let some = reports.save("some", "--proc-root ordinary --pid 102,101");
    let none = reports.path("none");
    let other = tree("ordinary").join("meminfo");
    let [empty, half] = [("empty", ""), ("half", "{\"schema\": ")].map(|(name, text)| {
        let path = reports.path(name);
        std::fs::write(&path, text).expect("a file of ours");
        path
    });
    for (file, why) in [
        (&by_pid, "whole with --by program --name title"),
        (&some, "with --by program --name title --pid 101,102, "),
        (&comm, "--name comm"),
        (&top, "without --top"),
        (&total, "without --total"),
        (&none, "No such file"),
        (&other, "meminfo: not what psm-uring --json writes: it is not JSON (line 1, column 1)"),
        (&empty, "it is empty; choose another file"),
        (&half, "it ends in the middle, in line 1"),
    ] {
        let ran = diff(&whole, file, &[]);
        check_eq!(failures, (ran.code, ran.stdout.len()), (Some(1), 0), "{}", ran.stdout());
        let told = ran.stderr();
        check!(failures, told.contains(why) && told.lines().count() == 1, "{told}");
    }
    for arguments in [&["diff"][..], &["diff", "a"], &["diff", "a", "b", "--min-delta", "10"]] {
        check_eq!(failures, run(arguments).code, Some(2), "{arguments:?}");
    }
}

/// Rows with the same name merge, whatever their figures.
#[test]
fn sums_of_huge_figures_saturate() {
    let reports = Reports::new("diff-huge");
    let report = reports.save("a", "--proc-root ordinary");
    let text = std::fs::read_to_string(&report).expect("ours");
    let mut document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let rows = document["programs"].as_array_mut().expect("rows");
    for row in rows {
        (row["name"], row["count"], row["ram"]) = ("a".into(), u64::MAX.into(), u64::MAX.into());
    }
    let huge = reports.path("huge");
    std::fs::write(&huge, document.to_string()).expect("ours");
    let ran = diff(&report, &huge, &[]);
    assert_eq!((ran.code, ran.stderr().as_str()), (Some(0), ""));
}

/// A report that an earlier version of the program saved has other words, but the same rows.
#[test]
fn reports_of_version_1_stay_readable() {
    let reports = Reports::new("diff-version-1");
    let now = reports.save("now", "--proc-root ordinary");
    let then = data("reports/v1.json");
    for (before, after) in [(&then, &now), (&now, &then)] {
        let ran = diff(before, after, &[]);
        let rows = rows(&ran);
        assert!(rows.len() == 1 && rows[0].ends_with("rows alike)"), "{rows:?}");
        assert_eq!(ran.stderr(), "");
    }
    let renamed = reports.path("renamed.json");
    let text = std::fs::read_to_string(&then).expect("ours").replace("\"java\"", "\"jvm\"");
    std::fs::write(&renamed, text).expect("a file of ours");
    let note = diff(&now, &renamed, &[]).stderr();
    let begin = "psm-uring: an earlier version wrote ";
    assert!(note.starts_with(begin) && note.contains("renamed.json and named"), "{note}");
    let other = reports.path("v3.json");
    let text = std::fs::read_to_string(&then).expect("ours").replace("report.v1", "report.v3");
    std::fs::write(&other, text).expect("a file of ours");
    let ran = diff(&then, &other, &[]);
    assert!(
        ran.stderr().contains("its schema is \"psm-uring.report.v3\", this"),
        "{}",
        ran.stderr()
    );
}

/// Figures that are no part of RAM, or stay in it: RAM does not change when they do.
#[test]
fn columns_that_both_reports_have_are_compared() {
    let reports = Reports::new("diff-columns");
    let proc = reports.path("proc");
    copy_dir(&tree("ordinary"), &proc);
    lay_out(&proc, &[(110, 5, "xe")]);
    let words = format!("--proc-root {}", proc.display());
    let columns = "--columns gpu,page-tables,name";
    let before = reports.save("before", &format!("{words} {columns}"));
    let plain_before = reports.save("plain-before", &words);
    let change = |file: &str, from: &str, to: &str| {
        let text = std::fs::read_to_string(proc.join(file)).expect("a fixture");
        assert!(text.contains(from), "{file}");
        std::fs::write(proc.join(file), text.replace(from, to)).expect("a file of ours");
    };
    change("120/status", "VmPTE:\t      64 kB", "VmPTE:\t    2112 kB");
    let lazy = "LazyFree:           5120 kB";
    change("120/smaps_rollup", "LazyFree:              0 kB", lazy);
    let more = fdinfo("xe").replace("resident-gtt:\t8192", "resident-gtt:\t11264");
    std::fs::write(proc.join("110/fdinfo/5"), more).expect("a file of ours");
    let after = reports.save("after", &format!("{words} {columns}"));
    let plain_after = reports.save("plain-after", &words);

    let cells = |text: &str| text.lines().map(cells).collect::<Vec<String>>();
    let ran = diff(&before, &after, &[]);
    let expected = [
        "MiB RAM SWAPPED TABLES GPU LAZYFREE COUNT PROCESS",
        "0.0 +2.0 +5.0 java",
        "0.0 +3.0 [celeryd@notifications:MainProcess]",
        "(6 rows alike)",
        "# 0.0 +2.0 +3.0 TOTAL USED BY PROCESSES",
    ];
    assert_eq!(cells(&ran.stdout()), expected, "{}", ran.stdout());
    let since = format!("{words} --watch 1s --count 1 --since {}", before.display());
    let watched = run(since.split(' ')).stdout();
    assert_eq!(cells(&watched)[1..], expected, "{watched}");
    // Every report has LAZYFREE; the others are unknown in one of the two.
    for (before, after) in [(&plain_before, &after), (&before, &plain_after)] {
        let text = diff(before, after, &[]).stdout();
        assert_eq!(cells(&text)[0], "MiB RAM SWAPPED LAZYFREE COUNT PROCESS", "{text}");
        assert!(cells(&text)[1].ends_with("0.0 +5.0 java"), "{text}");
    }
    let json = diff(&before, &after, &["--json"]).stdout();
    let document: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let [java, celery] = [0, 1].map(|row| &document["rows"][row]);
    let mib = |count: u64| serde_json::Value::from(count << 20);
    let figures = (&java["change"]["page_tables"], &java["change"]["lazyfree"]);
    assert_eq!(figures, (&mib(2), &mib(5)), "{java}");
    let gpu = (&celery["before"]["gpu"], &celery["after"]["gpu"], &celery["change"]["gpu"]);
    assert_eq!(gpu, (&mib(9), &mib(12), &mib(3)), "{celery}");
    assert_eq!(document["total"]["change"]["gpu"], mib(3));
    assert!(document["total"]["change"].get("lazyfree").is_none(), "{}", document["total"]);
    readers::validate_or_skip(
        "columns_that_both_reports_have_are_compared",
        "diff",
        &[format!("{document}\n")],
    );
}

/// A row of one report alone has no difference of a figure that the other report lacks.
#[test]
fn a_new_row_is_not_compared_with_a_report_without_the_column() {
    let reports = Reports::new("diff-new");
    let before = reports.save("before", "--proc-root ordinary --pid 120");
    let text = std::fs::read_to_string(&before).expect("a report");
    std::fs::write(&before, text.replace("--pid 120", "--pid 101,120")).expect("ours");
    let columns = "--proc-root ordinary --pid 101,120 --columns page-tables,name";
    let after = reports.save("after", columns);
    let text = diff(&before, &after, &[]).stdout();
    assert!(text.contains("(new)") && !text.contains("TABLES"), "{text}");
}
