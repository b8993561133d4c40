//! All formats carry the same numbers, for all engines.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use psm_uring::report::escape;
use serde_json::Value;

use super::print;
use crate::support::failures::{Failures, check, check_eq};
use crate::support::survey::has_uring;
use crate::support::targets::escape::name_of_field;
use crate::support::{TREES, TempDir, copy_dir, output, program, readers, run, tree};

/// The fields of a row that every format contains: kind, name, count, and amounts by name.
type Row = (String, String, Option<u64>, BTreeMap<&'static str, Option<u64>>);

/// The amounts, in the order of the table head.
const AMOUNTS: [&str; 11] = [
    "ram",
    "uss",
    "shared",
    "rss",
    "swap",
    "footprint",
    "pss_anon",
    "pss_file",
    "pss_shmem",
    "hugetlb",
    "lazyfree",
];

/// Overlapping amounts have no total.
const OVERLAPPING: [&str; 3] = ["shared", "rss", "lazyfree"];

fn columns() -> String {
    let words: Vec<String> = AMOUNTS.iter().map(|word| word.replace('_', "-")).collect();
    format!("{},count,name", words.join(","))
}

/// Rows of the table in bytes, by column position: a blank is a 0, or an amount without a total.
fn of_table(text: &str) -> Vec<Row> {
    let mut lines = text.lines();
    let head = lines.next().expect("a head");
    let name_at = head.find("PROCESS").expect("names stand last");
    // Each head ends where its numbers end.
    let mut ends = Vec::new();
    let words = crate::support::sources::regex(r"B RAM|[^ ]+");
    for word in words.find_iter(&head[..name_at]) {
        ends.push(word.end());
    }
    assert_eq!(ends.len(), AMOUNTS.len() + 1, "{head}");
    lines
        .map(|line| {
            let mut begin = 0;
            let mut cells = Vec::new();
            for end in &ends {
                cells.push(line[begin..*end].trim_start_matches('#').trim().to_owned());
                begin = *end;
            }
            let name = &line[name_at..];
            let (kind, name) = match name {
                _ if line.starts_with('#') => ("total", ""),
                _ if name.starts_with('(') && name.ends_with(" more)") => ("rest", ""),
                // The table escapes a program with this name.
                r"\u{28}3 more)" => ("program", "(3 more)"),
                name => ("program", name),
            };
            let amount = |(word, cell): (&'static str, &String)| {
                let is_blank = cell.is_empty() && word == "swap";
                (word, if is_blank { Some(0) } else { cell.parse().ok() })
            };
            let amounts = AMOUNTS.into_iter().zip(&cells).map(amount).collect();
            (kind.to_owned(), name.to_owned(), cells[AMOUNTS.len()].parse().ok(), amounts)
        })
        .collect()
}

/// The bytes of the name of a row of JSON.
fn name_bytes(row: &Value) -> Vec<u8> {
    let byte = |pair: &[u8]| {
        let digits = std::str::from_utf8(pair).expect("hexadecimal");
        u8::from_str_radix(digits, 16).expect("hexadecimal")
    };
    match row["name_bytes"].as_str() {
        Some(hex) => hex.as_bytes().chunks(2).map(byte).collect(),
        None => row["name"].as_str().unwrap_or_default().as_bytes().to_vec(),
    }
}

fn of_json(text: &str) -> Vec<Row> {
    let value: Value = serde_json::from_str(text).expect("JSON");
    let row = |kind: &str, value: &Value| {
        let name = escape::name(&name_bytes(value));
        let amounts = AMOUNTS.into_iter().map(|word| (word, value[word].as_u64())).collect();
        (kind.to_owned(), name, value["count"].as_u64(), amounts)
    };
    let rows = value["programs"].as_array().expect("rows").iter();
    let mut rows: Vec<Row> = rows.map(|value| row("program", value)).collect();
    rows.extend((!value["rest"].is_null()).then(|| row("rest", &value["rest"])));
    rows.push(row("total", &value["total"]));
    rows
}

fn of_csv(text: &str) -> Vec<Row> {
    let row = |record: HashMap<String, String>| {
        let amounts = AMOUNTS.into_iter().map(|word| (word, record[word].parse().ok())).collect();
        let name = escape::name(&name_of_field(&record["name"]));
        (record["row"].clone(), name, record["count"].parse().ok(), amounts)
    };
    readers::csv(text).into_iter().map(row).collect()
}

/// The metrics with a sample per row, by name.
fn of_metrics(text: &str) -> BTreeMap<(String, String), u64> {
    let sample = crate::support::sources::regex(r#"^psm_uring_([a-z_]+)\{program="(.*)"\} (\d+)$"#);
    let samples = text.split('\n').filter_map(|line| sample.captures(line));
    samples
        .map(|found| {
            let value = found[3].parse().expect("a number");
            let name = escape::name(&name_of_field(&label(&found[2])));
            ((found[1].to_owned(), name), value)
        })
        .collect()
}

/// A label value without the escapes of its format.
fn label(value: &str) -> String {
    let mut chars = value.chars();
    let mut text = String::new();
    while let Some(c) = chars.next() {
        text.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some(c @ ('\\' | '"')) => c,
                other => panic!("{other:?} is escaped in {value:?}"),
            },
            c => c,
        });
    }
    text
}

#[test]
fn formats_carry_the_same_numbers() {
    let mut failures = Failures::new();
    let columns = columns();
    // Rows without figures have no counterpart among the rows of JSON.
    for tree in TREES.into_iter().filter(|tree| !["empty", "hollow", "no-smaps"].contains(tree)) {
        for rest in ["", " -n 2"] {
            let call = format!("--proc-root {tree}{rest}");
            let (table, _) = print(&format!("{call} --unit B --columns {columns}"), "table");
            let table = of_table(&table);
            assert!(table.len() > 1, "{call}: {table:?}");
            let mut json = of_json(&print(&call, "json").0);
            for row in json.iter_mut().filter(|row| row.0 == "total") {
                assert!(OVERLAPPING.iter().all(|word| row.3[word].is_none()), "{row:?}");
            }
            check_eq!(failures, json, table, "{call}: JSON");
            let csv = of_csv(&print(&format!("{call} --columns {columns}"), "csv").0);
            check_eq!(failures, csv, table, "{call}: CSV");
            let mut metrics = of_metrics(&print(&call, "openmetrics").0);
            // The heap does not fit into one table with the parts of Pss.
            metrics.retain(|(word, _), _| word != "heap_bytes");
            let whole = print(&format!("--proc-root {tree}"), "json").0;
            let whole = serde_json::from_str(&whole).expect("JSON");
            check_metrics(&metrics, &whole, &call, &mut failures);
        }
    }
}

/// Compares metrics with the sums over the rows of one key in JSON. `other` is the rest.
fn check_metrics(
    metrics: &BTreeMap<(String, String), u64>,
    whole: &Value,
    call: &str,
    failures: &mut Failures,
) {
    const WORDS: [&str; 8] =
        ["ram", "uss", "shared", "rss", "swap", "pss_anon", "pss_file", "lazyfree"];
    let shown: BTreeSet<&String> = metrics.keys().map(|(_, label)| label).collect();
    let mut expected: BTreeMap<(String, String), Option<u64>> = BTreeMap::new();
    for row in whole["programs"].as_array().expect("rows") {
        let key = escape::name(&name_of_field(row["key"].as_str().expect("a key")));
        let label = if shown.contains(&key) { key } else { "other".to_owned() };
        let amounts = WORDS.map(|word| (format!("{word}_bytes"), row[word].as_u64()));
        let count = ("processes".to_owned(), row["count"].as_u64());
        for (word, amount) in amounts.into_iter().chain([count]) {
            let sum = expected.entry((word, label.clone())).or_insert(Some(0));
            *sum = sum.zip(amount).map(|(sum, amount)| sum + amount);
        }
    }
    let expected: BTreeMap<_, _> =
        expected.into_iter().filter_map(|(sample, sum)| Some((sample, sum?))).collect();
    check_eq!(failures, *metrics, expected, "{call}: OpenMetrics");
    let ram =
        |((word, _), value): (&(String, String), &u64)| (word == "ram_bytes").then_some(*value);
    let sum: u64 = metrics.iter().filter_map(ram).sum();
    check_eq!(failures, Some(sum), whole["total"]["ram"].as_u64(), "{call}: they add up");
}

#[test]
fn engines_carry_the_same_numbers() {
    let mut failures = Failures::new();
    let mut engines = vec!["sync", "threads"];
    engines.extend(has_uring("engines_carry_the_same_numbers").then_some("uring"));
    let facts = crate::support::sources::regex(concat!(
        r#""(engine|started_at|duration_seconds)": ?("[^"]*"|[0-9.e-]+)"#,
        r#"|psm_uring_(duration|start_time)_seconds [0-9.]+|engine="[a-z]+""#,
    ));
    for tree in ["ordinary", "names", "vanished", "malformed", "no-rollup", "hugetlb"] {
        for format in ["json", "csv", "openmetrics"] {
            let texts: BTreeSet<String> = engines
                .iter()
                .map(|engine| {
                    let ran = run(["--proc-root", tree, "-o", format, "--engine", engine]);
                    facts.replace_all(&ran.stdout(), "").into_owned()
                })
                .collect();
            check_eq!(failures, texts.len(), 1, "{tree} {format}: {texts:?}");
        }
    }
}

/// A name or a group in CSV and OpenMetrics is escaped once, by the rule of the format.
#[test]
fn names_are_escaped_once() {
    const UNIT: &str = r"app-gnome-google\x2dchrome-4321.scope";
    let dir = TempDir::new("escaped-once");
    let names: [&[u8]; 4] =
        [b"a\\b\"c,d", b"two\nlines\x1b[31m", b"byte\xff", "\u{fffd}ff".as_bytes()];
    for (n, name) in names.iter().enumerate() {
        let pid = dir.path().join((n + 1).to_string());
        copy_dir(&tree("ordinary").join("150"), &pid);
        std::fs::write(pid.join("cmdline"), name).expect("a file of ours");
        let group = format!("0::/user.slice/app.slice/{UNIT}\n");
        std::fs::write(pid.join("cgroup"), group).expect("a file of ours");
    }
    let print = |words: &str| {
        let mut command = program();
        command.arg("--proc-root").arg(dir.path()).args(words.split(' '));
        output(command).stdout()
    };
    for (words, field) in [
        ("-o csv --by unit", format!(",{UNIT},")),
        ("-o csv --by cgroup", format!(",/user.slice/app.slice/{UNIT},")),
        ("-o csv --columns cgroup,ram", format!(",/user.slice/app.slice/{UNIT},")),
        (
            "-o openmetrics --by unit",
            r#"{unit="app-gnome-google\\x2dchrome-4321.scope"}"#.to_owned(),
        ),
        ("-o csv", ",\"a\\b\"\"c,d\",".to_owned()),
        ("-o csv", ",two\u{fffd}0alines\u{fffd}1b[31m,".to_owned()),
        ("-o csv", ",byte\u{fffd}ff,".to_owned()),
        ("-o csv", ",\u{fffd}ef\u{fffd}bf\u{fffd}bdff,".to_owned()),
        ("-o openmetrics", "{program=\"a\\\\b\"}".to_owned()),
        ("-o openmetrics", "{program=\"two\"}".to_owned()),
    ] {
        let text = print(words);
        assert!(text.contains(&field), "{words}: {field} is not in {text}");
    }
    let table = print("--by unit --no-header");
    assert!(table.contains(r"app-gnome-google\\x2dchrome-4321.scope"), "{table}");
}

/// Every name survives a round trip.
#[test]
fn names_survive() {
    let document: Value =
        serde_json::from_str(&print("--proc-root names", "json").0).expect("JSON");
    let rows = document["programs"].as_array().expect("rows").iter();
    let expected: BTreeSet<Vec<u8>> = rows.map(name_bytes).collect();
    assert!(expected.len() > 30, "{expected:?}");
    let csv = readers::csv(&print("--proc-root names", "csv").0).into_iter();
    let csv = csv.filter(|record| record["row"] == "program");
    let csv: BTreeSet<_> = csv.map(|record| name_of_field(&record["name"])).collect();
    assert_eq!(csv, expected);
    let text = print("--proc-root names -n 100", "openmetrics").0;
    let value = crate::support::sources::regex(r#"_ram_bytes\{program="(.*)"\} "#);
    let labels = text.split('\n').filter_map(|line| value.captures(line));
    let labels: BTreeSet<_> = labels.map(|found| name_of_field(&label(&found[1]))).collect();
    let key = |row: &Value| name_of_field(row["key"].as_str().expect("a key"));
    let keys: BTreeSet<_> =
        document["programs"].as_array().expect("rows").iter().map(key).collect();
    assert_eq!(labels, keys);
}

/// No control character of a name reaches a file or a pipe, nor one that only acts in JSON.
#[test]
fn no_control_character_passes() {
    for format in ["csv", "openmetrics", "json", "ndjson"] {
        // Metrics have no rows of processes.
        for by in ["program", "pid"].iter().filter(|by| format != "openmetrics" || **by != "pid") {
            let text = print(&format!("--proc-root names -n 100 --by {by}"), format).0;
            let found = text.replace("\r\n", "\n");
            let found = found.chars().find(|c| c.is_control() && *c != '\n');
            assert_eq!(found, None, "{format}: {text}");
            let is_json = format.ends_with("json");
            assert!(!is_json || !text.contains(['\u{202e}', '\u{200b}', '\u{feff}']), "{text}");
            // One line each.
            let lines = text.lines().filter(|line| line.starts_with("program,")).count();
            if format == "csv" {
                let rows = readers::csv(&text).into_iter();
                let rows = rows.filter(|record| record["row"] == "program").count();
                assert_eq!((lines, rows > 30), (rows, true), "{text}");
            }
        }
    }
}

/// JSON has the name, whatever it escapes.
#[test]
fn json_names_are_text() {
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

/// `--total`, `--strict`, notes and exit codes have the same meaning in every format.
#[test]
fn options_keep_their_meaning() {
    let mut failures = Failures::new();
    for format in ["table", "json", "ndjson", "csv", "openmetrics"] {
        let run = |words: &str| run(words.split(' ').chain(["--output", format]));
        let plain = run("--proc-root vanished --engine sync");
        check!(
            failures,
            plain.stderr().contains("psm-uring: measured "),
            "{format}: {}",
            plain.stderr()
        );
        check_eq!(failures, plain.code, Some(0), "{format}");
        let strict = run("--proc-root vanished --engine sync --strict");
        check_eq!(failures, strict.code, Some(3), "{format}");
        check_eq!(failures, strict.stderr, plain.stderr, "{format}");
        let none = run("--proc-root malformed -p 402,403 --total");
        check_eq!(failures, (none.code, none.stdout().as_str()), (Some(1), ""), "{format}");
        check!(failures, none.stderr().contains("no total: "), "{format}: {}", none.stderr());
        let all = run("--proc-root ordinary --total");
        check!(
            failures,
            all.stdout().contains("2343296000") && !all.stdout().contains("java"),
            "{format}"
        );
    }
}
