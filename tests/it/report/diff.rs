//! `psm-uring diff` for scripts: the document keeps its schema, and all formats agree.

use std::path::Path;

use serde_json::Value;

use crate::support::failures::{Failures, check_eq};
use crate::support::reports::Reports;
use crate::support::{Ran, output, program, readers, run};

fn diff(before: &Path, after: &Path, words: &str) -> Ran {
    let mut command = program();
    command.arg("diff").args([before, after]).args(words.split_whitespace());
    let ran = output(command);
    assert_eq!(ran.code, Some(0), "{words}: {}", ran.stderr());
    ran
}

fn document(ran: &Ran) -> Value {
    serde_json::from_slice(&ran.stdout).expect("JSON")
}

#[test]
fn diff_keeps_its_schema() {
    let reports = Reports::new("diff-schema");
    let pairs = [
        ("--proc-root ordinary", "--proc-root names"),
        ("--proc-root names", "--proc-root malformed"),
        ("--proc-root ordinary --by pid", "--proc-root no-rollup --by pid"),
        ("--proc-root malformed -p 402", "--proc-root malformed -p 402"),
        ("--by pid", "--by pid"),
    ];
    let mut documents = Vec::new();
    for (before, after) in pairs {
        let [before, after] =
            [("a", before), ("b", after)].map(|(name, words)| reports.save(name, words));
        for ran in [
            diff(&before, &after, "--json"),
            diff(&after, &before, "--output json --reverse --min-delta 1MiB"),
        ] {
            documents.push(format!("{}\n", document(&ran)));
        }
    }
    readers::validate_or_skip("diff_keeps_its_schema", "diff", &documents);
}

#[test]
fn amounts_are_given_for_both_reports() {
    let reports = Reports::new("diff-amounts");
    let before = reports.save_of("before", &["120", "101", "131"], false);
    let after = reports.save_of("after", &["120", "131", "110"], true);
    let ran = diff(&before, &after, "--json");
    assert!(
        ran.stdout().starts_with("{\n  \"schema\": \"psm-uring.diff.v2\",\n"),
        "{}",
        ran.stdout()
    );
    let told = document(&ran);
    let saved = |path: &Path| -> Value {
        serde_json::from_slice(&std::fs::read(path).expect("a report")).expect("JSON")
    };
    for (key, path) in [("before", &before), ("after", &after)] {
        let report = saved(path);
        assert_eq!(told[key]["started_at"], report["run"]["started_at"]);
        assert_eq!(told[key]["host"], report["run"]["host"]);
        assert_eq!(told[key]["missing"], 0);
        assert_eq!(told["total"][key]["ram"], report["total"]["ram"]);
    }
    let rows = told["rows"].as_array().expect("rows");
    let presences: Vec<_> = rows.iter().map(|row| row["presence"].as_str()).collect();
    assert_eq!(presences, [Some("gone"), Some("stayed"), Some("new")], "{rows:?}");
    assert_eq!(told["left_out"], 1, "one has not changed");
    assert_eq!((&rows[0]["after"], &rows[2]["before"]), (&Value::Null, &Value::Null));
    assert_eq!(rows[1]["change"]["ram"], 1 << 20);
    let sum: i64 = rows.iter().map(|row| row["change"]["ram"].as_i64().expect("bytes")).sum();
    assert_eq!(told["total"]["change"]["ram"], sum, "all of it is in the total");
    let reversed = document(&diff(&before, &after, "--json --reverse"));
    let turned: Vec<&Value> = rows.iter().rev().collect();
    assert_eq!(reversed["rows"].as_array().expect("rows").iter().collect::<Vec<_>>(), turned);
    let few = document(&diff(&before, &after, "--json --min-delta 1GiB"));
    assert_eq!((few["rows"].as_array().map(Vec::len), &few["left_out"]), (Some(0), &4.into()));
}

/// Rows of the table in bytes, and rows of JSON.
#[test]
fn table_and_json_show_the_same_changes() {
    let reports = Reports::new("diff-same");
    let before = reports.save("before", "--proc-root ordinary");
    for words in ["--proc-root names", "--proc-root no-rollup", "--proc-root malformed"] {
        let after = reports.save("after", words);
        let json = document(&diff(&before, &after, "--json"));
        let change = |row: &Value| match &row["change"]["ram"] {
            Value::Null => "-".to_owned(),
            ram => ram.to_string(),
        };
        let rows = json["rows"].as_array().expect("rows").iter();
        let of_json: Vec<String> = rows.chain([&json["total"]]).map(change).collect();
        let table = diff(&before, &after, "--unit B --no-header").stdout();
        let shown = table.lines().filter(|line| !line.ends_with("alike)"));
        let ram = |line: &str| {
            let word = line.trim_start_matches('#').split_whitespace().next().unwrap_or_default();
            word.trim_start_matches('+').to_owned()
        };
        let of_table: Vec<String> = shown.map(ram).collect();
        assert_eq!(of_table, of_json, "{words}");
    }
}

/// A name that is not UTF-8 keeps its bytes; notes on missing processes match those of the table.
#[test]
fn names_and_words_survive_in_a_diff() {
    let reports = Reports::new("diff-names");
    let before = reports.save("before", "--proc-root malformed");
    let after = reports.save("after", "--proc-root names");
    let ran = diff(&before, &after, "--json");
    let is_foreign = |c: char| c.is_ascii_control() && c != '\n';
    assert_eq!(ran.stdout().chars().find(|c| is_foreign(*c)), None);
    let told = document(&ran);
    let rows = told["rows"].as_array().expect("rows");
    let bytes = |row: &&Value| row["name_bytes"] == "73657276ff6572";
    assert_eq!(rows.iter().filter(bytes).count(), 1);
    assert!(told["before"]["missing"].as_u64() > Some(0), "{}", told["before"]);
    assert_eq!(ran.stderr(), diff(&before, &after, "").stderr());
}

#[test]
fn options_of_the_table_are_refused_for_json() {
    let mut failures = Failures::new();
    for words in ["--json --unit MiB", "--json -o table", "-o csv", "-o ndjson"] {
        let ran = run(["diff", "a", "b"].into_iter().chain(words.split(' ')));
        check_eq!(
            failures,
            (ran.code, ran.stderr().lines().count()),
            (Some(2), 1),
            "{words}: {}",
            ran.stderr()
        );
    }
}
