//! `-o json` and `-o ndjson`, checked against the schema by a third-party validator.

use serde_json::Value;

use super::{calls, print};
use crate::run::output_file::stuck_report;
use crate::support::child::Target;
use crate::support::groups::lay_out;
use crate::support::{TempDir, output, program, readers, run, skip, tree};

#[test]
fn json_keeps_its_schema() {
    let mut documents: Vec<String> = calls().iter().map(|call| print(call, "ndjson").0).collect();
    documents.push(run(["--output", "ndjson", "--heap", "--by", "pid", "--summary"]).stdout());
    documents.push(stuck_report());
    let places = ["-o", "ndjson", "--columns", "user,cgroup", "--proc-root", "grouped"];
    documents.push(run(places).stdout());
    for by in ["cgroup", "tree", "program"] {
        let columns = ["--host", "--columns", "faults,oom,gpu"];
        let words = [&["-o", "ndjson", "--by", by, "-n", "2"], &columns[..]].concat();
        documents.push(run(words).stdout());
    }
    // Rows with a limit and without one, of both versions.
    for version in ["v1.txt", "v2.txt"] {
        let groups = TempDir::new("json-groups");
        lay_out(version, groups.path());
        for columns in ["charged,left,limit,cg-swap,events,pressure,oom", "left", "events,pressure"]
        {
            let mut command = program();
            command.args(["-o", "ndjson", "--by", "unit", "--columns", columns]);
            command.arg("--proc-root").arg(tree("grouped"));
            command.arg("--cgroup-root").arg(groups.path());
            documents.push(output(command).stdout());
        }
    }
    let pair = Target::start_as(b"pair", "vfork 4000");
    let child = pair.children(1, 'T')[0];
    let pids = format!("{},{child}", pair.pid());
    for by in ["program", "pid"] {
        documents.push(run(["-o", "ndjson", "--by", by, "-p", &pids]).stdout());
    }
    for document in &documents {
        assert_eq!(document.matches('\n').count(), 1, "one document, one line: {document}");
    }
    readers::validate_or_skip("json_keeps_its_schema", "report", &documents);
}

/// The validator must reject invalid documents.
#[test]
fn the_schema_finds_faults() {
    let document = print("--proc-root ordinary -n 2", "ndjson").0;
    type Fault = (&'static str, fn(&mut Value));
    let faults: [Fault; 5] = [
        ("another schema", |value| value["schema"] = "psm-uring.report.v0".into()),
        ("a figure that is a text", |value| value["total"]["ram"] = "12".into()),
        ("a key without a description", |value| value["rest"]["rom"] = 12.into()),
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
            Ok(Err(why)) => return skip("the_schema_finds_faults", &why),
            Ok(Ok(())) => panic!("not told: {what}"),
            Err(_) => {}
        }
    }
}

/// The readable form: the same document on many lines.
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
    assert!(word.starts_with("{\n  \"schema\": \"psm-uring.report.v2\",\n"), "{word}");
}

/// A host with ten thousand processes of others has a report of a usual size.
#[test]
fn missing_processes_have_reasons_and_are_bounded() {
    let root = TempDir::new("json-missing");
    for pid in 1..=130 {
        let dir = root.path().join(pid.to_string());
        std::fs::create_dir(&dir).expect("a directory");
        let rollup = if pid == 7 { "Rss: 8 kB\nPss: 8 kB\n" } else { "Rss: 8 MB\n" };
        let rollup = format!("{rollup}Private_Clean: 8 kB\nPrivate_Dirty: 0 kB\n");
        std::fs::write(dir.join("smaps_rollup"), rollup).expect("a file");
        std::fs::write(dir.join("cmdline"), "server").expect("a file");
    }
    let unreadable = root.path().join("130/smaps_rollup");
    std::fs::remove_file(&unreadable).expect("ours");
    std::fs::create_dir(&unreadable).expect("a directory cannot be read");
    let mut command = program();
    command.arg("--proc-root").arg(root.path()).arg("--json");
    let value: Value = serde_json::from_str(&output(command).stdout()).expect("JSON");
    let missing = value["missing"].as_array().expect("a list");
    let pids: Vec<u64> = missing.iter().filter_map(|one| one["pid"].as_u64()).collect();
    // The one with another reason is not cut.
    let expected: Vec<u64> = (1..=101).filter(|pid| *pid != 7).chain([130]).collect();
    assert_eq!(pids, expected);
    let malformed = "figures are missing or not numbers";
    assert_eq!(missing[0]["reason"], malformed);
    let failed = "Is a directory (os error 21)";
    assert_eq!(
        (&missing[100]["reason"], &missing[100]["fate"]),
        (&failed.into(), &"failed".into())
    );
    let reasons = value["reasons"].as_array().expect("a list");
    let told = reasons.iter().map(|one| (one["reason"].as_str(), one["count"].as_u64()));
    let told: Vec<_> = told.collect();
    assert_eq!(told, [(Some(malformed), Some(128)), (Some(failed), Some(1))]);
    assert!(reasons.iter().all(|one| one["remedy"].is_string()), "{reasons:?}");
}

/// The report contains owner and control group on request.
#[test]
fn owners_and_groups_are_read() {
    let own = std::process::id().to_string();
    let value = |columns: &str| -> Value {
        let mut words = vec!["--json", "--by", "pid", "-p", &own];
        words.extend((!columns.is_empty()).then_some(["--columns", columns]).into_iter().flatten());
        serde_json::from_str(&run(words).stdout()).expect("JSON")
    };
    let plain = value("");
    assert_eq!(plain["programs"][0].get("uid"), None, "not requested");
    assert_eq!(plain["programs"][0].get("cgroup"), None, "not requested");
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
        None => skip("owners_and_groups_are_read", "no control group here"),
    }
}
