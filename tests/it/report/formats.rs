//! All formats carry the same numbers, for all engines.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::print;
use crate::support::failures::{Failures, check, check_eq};
use crate::support::survey::has_uring;
use crate::support::{TREES, readers, run};

/// The fields of a row that every format contains: kind, name, count, and amounts by name.
type Row = (String, String, Option<u64>, BTreeMap<&'static str, Option<u64>>);

/// The amounts, in the order of the table head.
const AMOUNTS: [&str; 10] = [
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
];

/// Overlapping amounts have no total.
const OVERLAPPING: [&str; 2] = ["shared", "rss"];

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

fn of_json(text: &str) -> Vec<Row> {
    let value: Value = serde_json::from_str(text).expect("JSON");
    let row = |kind: &str, value: &Value| {
        let byte = |pair: &[u8]| {
            let digits = std::str::from_utf8(pair).expect("hexadecimal");
            u8::from_str_radix(digits, 16).expect("hexadecimal")
        };
        let hex = value["name_bytes"].as_str();
        let bytes = hex.map(|hex| hex.as_bytes().chunks(2).map(byte).collect::<Vec<u8>>());
        let name = value["name"].as_str().unwrap_or_default().as_bytes().to_vec();
        let name = psm_uring::report::escape::name(&bytes.unwrap_or(name));
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
        // CSV escapes a sign that begins a formula.
        let name = record["name"].replace("\\u{3d}1", "=1");
        (record["row"].clone(), name, record["count"].parse().ok(), amounts)
    };
    readers::csv(text).into_iter().map(row).collect()
}

/// The metrics with a sample per row, by name.
fn of_metrics(text: &str) -> BTreeMap<(String, String), u64> {
    let sample = crate::support::sources::regex(r#"^psm_uring_([a-z_]+)\{program="(.*)"\} (\d+)$"#);
    let unescaped =
        |value: &str| value.replace("\\\\", "\u{0}").replace("\\\"", "\"").replace('\u{0}', "\\");
    let samples = text.lines().filter_map(|line| sample.captures(line));
    samples
        .map(|found| {
            let value = found[3].parse().expect("a number");
            ((found[1].to_owned(), unescaped(&found[2])), value)
        })
        .collect()
}

#[test]
fn formats_carry_the_same_numbers() {
    let mut failures = Failures::new();
    let columns = columns();
    for tree in TREES.into_iter().filter(|tree| !["empty", "hollow"].contains(tree)) {
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
            check_metrics(&metrics, &table, &call, &mut failures);
        }
    }
}

fn check_metrics(
    metrics: &BTreeMap<(String, String), u64>,
    table: &[Row],
    call: &str,
    failures: &mut Failures,
) {
    let mut expected = BTreeMap::new();
    for (kind, name, count, amounts) in table.iter().filter(|row| row.0 != "total") {
        let label = if kind == "rest" { "other".to_owned() } else { name.clone() };
        for word in ["ram", "uss", "shared", "swap"] {
            if let Some(amount) = amounts[word] {
                expected.insert((format!("{word}_bytes"), label.clone()), amount);
            }
        }
        expected.insert(("processes".to_owned(), label), count.expect("a count"));
    }
    check_eq!(failures, *metrics, expected, "{call}: OpenMetrics");
    let ram =
        |((word, _), value): (&(String, String), &u64)| (word == "ram_bytes").then_some(*value);
    let sum: u64 = metrics.iter().filter_map(ram).sum();
    let total = table.last().expect("a total");
    check_eq!(failures, Some(sum), total.3["ram"], "{call}: the total still adds up");
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

/// Every name survives a round trip. CSV and OpenMetrics escape unprintable characters; JSON
/// escapes the characters that its grammar requires.
#[test]
fn names_survive() {
    let mut failures = Failures::new();
    for format in ["json", "ndjson", "csv", "openmetrics"] {
        let text = print("--proc-root names -n 100", format).0;
        let is_json = format.ends_with("json");
        let is_foreign = |c: char| match c {
            '\n' | '\r' => false,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{feff}' => !is_json,
            c => c.is_ascii_control() || c.is_control() && !is_json,
        };
        check_eq!(failures, text.chars().find(|c| is_foreign(*c)), None, "{format}");
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
