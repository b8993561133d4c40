//! Machine formats, read by programs that others wrote: a validator of JSON Schema, a reader of
//! CSV, Prometheus' own checker. And all formats say the same, with every engine.

#[path = "../support/mod.rs"]
mod support;

mod diff;
mod file;
mod host;
mod readers;
mod same;

use serde_json::Value;
use support::child::{Target, become_one};
use support::{TREES, run, skip};

/// What children of the tests become; see `support::child`.
#[test]
fn child() {
    become_one();
}

/// Every fixture that has a report, in ways that fill every part of one.
fn calls() -> Vec<String> {
    let mut calls: Vec<String> = Vec::new();
    for tree in TREES.into_iter().filter(|tree| !["empty", "hollow"].contains(tree)) {
        for rest in
            ["", "--by pid", "-n 2 --summary", "--heap", "--source smaps -s name -r", "--total"]
        {
            // What was recorded of processes has no meminfo.
            let rest =
                if tree == "recorded" { rest.replace(" --summary", "") } else { rest.into() };
            calls.push(format!("--proc-root {tree} {rest}").trim_end().to_owned());
        }
    }
    calls.push("--proc-root ordinary -f no-such-name".to_owned());
    calls.push("--proc-root malformed -p 402,403".to_owned());
    calls.push("--proc-root grouped --by user".to_owned());
    calls
}

/// Standard output of a call in a format, and what else it said.
fn print(call: &str, format: &str) -> (String, String) {
    let ran = run(call.split(' ').chain(["--output", format]));
    assert_eq!(ran.code, Some(0), "{call} {format}: {}", ran.stderr());
    (ran.stdout(), ran.stderr())
}

#[test]
fn json_keeps_its_schema() {
    let mut documents: Vec<String> = calls().iter().map(|call| print(call, "ndjson").0).collect();
    documents.push(run(["--output", "ndjson", "--heap", "--by", "pid", "--summary"]).stdout());
    documents.push(file::stuck_report());
    let places = ["-o", "ndjson", "--columns", "user,cgroup", "--proc-root", "grouped"];
    documents.push(run(places).stdout());
    let pair = Target::start_as(b"pair", "vfork 4000");
    let child = pair.children(1, 'T')[0];
    let pids = format!("{},{child}", pair.pid());
    for by in ["program", "pid"] {
        documents.push(run(["-o", "ndjson", "--by", by, "-p", &pids]).stdout());
    }
    for document in &documents {
        assert_eq!(document.matches('\n').count(), 1, "one document, one line: {document}");
    }
    if let Err(why) = readers::validate("report", &documents) {
        skip("json_keeps_its_schema", &why);
    }
}

/// A validator that lets everything pass would not be one.
#[test]
fn the_schema_tells_faults() {
    let document = print("--proc-root ordinary -n 2", "ndjson").0;
    type Fault = (&'static str, fn(&mut Value));
    let faults: [Fault; 5] = [
        ("another schema", |value| value["schema"] = "psm-uring.report.v0".into()),
        ("a figure that is a text", |value| value["total"]["ram"] = "12".into()),
        ("a key that nobody described", |value| value["rest"]["rom"] = 12.into()),
        ("a fate that is missing", |value| {
            value["coverage"].as_object_mut().expect("counts").remove("gone");
        }),
        ("rows that are missing", |value| {
            value.as_object_mut().expect("keys").remove("programs");
        }),
    ];
    for (what, make) in faults {
        let mut value: Value = serde_json::from_str(&document).expect("JSON");
        make(&mut value);
        let told =
            std::panic::catch_unwind(|| readers::validate("report", &[format!("{value}\n")]));
        match told {
            Ok(Err(why)) => return skip("the_schema_tells_faults", &why),
            Ok(Ok(())) => panic!("not told: {what}"),
            Err(_) => {}
        }
    }
}

/// For people: the same document on many lines.
#[test]
fn json_is_ndjson_on_lines() {
    for call in calls() {
        let [whole, line] = ["json", "ndjson"].map(|format| {
            let mut value: Value = serde_json::from_str(&print(&call, format).0).expect("JSON");
            for key in ["started_at", "duration_seconds"] {
                value["run"][key] = Value::Null;
            }
            value
        });
        assert_eq!(whole, line, "{call}");
    }
    let word = run(["--proc-root", "ordinary", "--json"]).stdout();
    assert!(word.starts_with("{\n  \"schema\": \"psm-uring.report.v1\",\n"), "{word}");
}

/// Every name can be read back. CSV and OpenMetrics escape what does not print; JSON escapes what
/// its grammar requires.
#[test]
fn names_survive() {
    for format in ["json", "ndjson", "csv", "openmetrics"] {
        let text = print("--proc-root names -n 100", format).0;
        let is_json = format.ends_with("json");
        let is_foreign = |c: char| match c {
            '\n' | '\r' => false,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{feff}' => !is_json,
            c => c.is_ascii_control() || c.is_control() && !is_json,
        };
        assert_eq!(text.chars().find(|c| is_foreign(*c)), None, "{format}");
    }
    let value: Value = serde_json::from_str(&print("--proc-root names", "json").0).expect("JSON");
    let names: Vec<(&str, Option<&str>)> = value["programs"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| (row["name"].as_str().expect("a name"), row["name_bytes"].as_str()))
        .collect();
    for expected in [
        ("serv\u{fffd}er", Some("73657276ff6572")),
        ("serv\\xffer", None),
        ("re\u{202e}gpj.exe", None),
        ("ev\u{1b}[31mil\u{1b}]0;title\u{7}\n999.9 0.0 fake (1)", None),
        ("   ", None),
        ("データ収集", None),
    ] {
        assert!(names.contains(&expected), "{expected:?} of {names:?}");
    }
}

#[test]
fn prometheus_takes_the_metrics() {
    for call in calls().iter().filter(|call| !call.contains("--by pid")) {
        let text = print(call, "openmetrics").0;
        assert!(text.ends_with("\n# EOF\n"), "{text}");
        if let Err(why) = readers::promtool(&text) {
            return skip("prometheus_takes_the_metrics", &why);
        }
    }
    // It does refuse: two samples of the same labels, a time stamp is another matter.
    let twice = std::panic::catch_unwind(|| readers::promtool("a_bytes 1\na_bytes 2\n"));
    assert!(twice.is_err(), "promtool takes everything");
}

/// Who owns a process, and where it is, is told to who asks.
#[test]
fn owners_and_groups_are_told() {
    let own = std::process::id().to_string();
    let value = |columns: &str| -> Value {
        let mut words = vec!["--json", "--by", "pid", "-p", &own];
        words.extend((!columns.is_empty()).then_some(["--columns", columns]).into_iter().flatten());
        serde_json::from_str(&run(words).stdout()).expect("JSON")
    };
    let plain = value("");
    assert_eq!(plain["programs"][0].get("uid"), None, "nobody asked");
    assert_eq!(plain["programs"][0].get("cgroup"), None, "nobody asked");
    let value = value("user,cgroup");
    let row = &value["programs"][0];
    let uid = std::fs::metadata(format!("/proc/{own}"))
        .map(|dir| std::os::unix::fs::MetadataExt::uid(&dir));
    assert_eq!(row["uid"].as_u64(), uid.ok().map(u64::from));
    let user = row["user"].as_str().expect("a name, or a number");
    assert!(!user.is_empty() && user != "*", "{row}");
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    match row["cgroup"].as_str() {
        Some(path) => assert!(groups.contains(path) && path.starts_with('/'), "{groups}: {row}"),
        None => skip("owners_and_groups_are_told", "no control group here"),
    }
}

/// Labels are for ever, so there are few, and none for a process.
#[test]
fn labels_are_bounded() {
    let labels = |call: &str| {
        let text = print(call, "openmetrics").0;
        text.lines().filter(|line| line.starts_with("psm_uring_ram_bytes{")).count()
    };
    assert_eq!(labels("--proc-root names -n 7"), 8);
    assert_eq!(labels("--proc-root names"), 32);
    let ran = run(["-o", "openmetrics", "--by", "pid"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr());
}

/// `--total`, `--strict`, notes and exit codes mean the same whatever the form.
#[test]
fn options_keep_their_meaning() {
    for format in ["table", "json", "ndjson", "csv", "openmetrics"] {
        let run = |words: &str| run(words.split(' ').chain(["--output", format]));
        let plain = run("--proc-root vanished --engine sync");
        assert!(plain.stderr().contains("psm-uring: measured "), "{format}: {}", plain.stderr());
        assert_eq!(plain.code, Some(0), "{format}");
        let strict = run("--proc-root vanished --engine sync --strict");
        assert_eq!(strict.code, Some(3), "{format}");
        assert_eq!(strict.stderr, plain.stderr, "{format}");
        let none = run("--proc-root malformed -p 402,403 --total");
        assert_eq!((none.code, none.stdout().as_str()), (Some(1), ""), "{format}");
        assert!(none.stderr().contains("no total: "), "{format}: {}", none.stderr());
        let all = run("--proc-root ordinary --total");
        assert!(all.stdout().contains("2343296000") && !all.stdout().contains("java"), "{format}");
    }
}
