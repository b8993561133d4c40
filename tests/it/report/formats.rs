//! All formats carry the same numbers, for all engines.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use crate::support::survey::has_uring;
use crate::support::{TREES, TempDir, copy_dir, output, program, run, tree};
use crate::{print, readers};

/// What every format tells of a row: kind, name, count, and amounts by their words.
type Row = (String, String, Option<u64>, BTreeMap<&'static str, Option<u64>>);

/// The amounts, with the head of the table.
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

/// What does not add up has no total.
const OVERLAPPING: [&str; 2] = ["shared", "rss"];

fn columns() -> String {
    let words: Vec<String> = AMOUNTS.iter().map(|word| word.replace('_', "-")).collect();
    format!("{},count,name", words.join(","))
}

/// Rows of the table in bytes, by the places of its columns: a blank is a 0 that is not worth a
/// look, or has no total.
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
                // A program that goes by these words has an escape here.
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
        // A sign that begins a formula is an escape there.
        let name = record["name"].replace("\\u{3d}1", "=1");
        (record["row"].clone(), name, record["count"].parse().ok(), amounts)
    };
    readers::csv(text).into_iter().map(row).collect()
}

/// The metrics that have a sample for each row, by name.
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
            assert_eq!(json, table, "{call}: JSON");
            let csv = of_csv(&print(&format!("{call} --columns {columns}"), "csv").0);
            assert_eq!(csv, table, "{call}: CSV");
            let mut metrics = of_metrics(&print(&call, "openmetrics").0);
            // It cannot be in one table with the parts of Pss.
            metrics.retain(|(word, _), _| word != "heap_bytes");
            check_metrics(&metrics, &table, &call);
        }
    }
}

fn check_metrics(metrics: &BTreeMap<(String, String), u64>, table: &[Row], call: &str) {
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
    assert_eq!(*metrics, expected, "{call}: OpenMetrics");
    let ram =
        |((word, _), value): (&(String, String), &u64)| (word == "ram_bytes").then_some(*value);
    let sum: u64 = metrics.iter().filter_map(ram).sum();
    let total = table.last().expect("a total");
    assert_eq!(Some(sum), total.3["ram"], "{call}: the total still adds up");
}

#[test]
fn engines_carry_the_same_numbers() {
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
            assert_eq!(texts.len(), 1, "{tree} {format}: {texts:?}");
        }
    }
}

/// The part of nothing is a number that nobody knows, so its field is empty.
#[test]
fn the_part_of_nothing_is_empty_in_csv() {
    let root = TempDir::new("csv-nothing");
    let dir = root.path().join("1");
    std::fs::create_dir(&dir).expect("a directory");
    let figures = "Rss: 0 kB\nPss: 0 kB\nPrivate_Clean: 0 kB\nPrivate_Dirty: 0 kB\n";
    let rollup = &format!("0-1 ---p 0 0:0 0 [rollup]\n{figures}");
    for (file, text) in [("cmdline", "one\0"), ("comm", "one\n"), ("smaps_rollup", rollup)] {
        std::fs::write(dir.join(file), text).expect(file);
    }
    let mut command = program();
    command.args("-o csv --columns name,percent --no-header --proc-root".split(' '));
    command.arg(root.path());
    let ran = output(command);
    assert_eq!(ran.stdout(), "program,one,\r\ntotal,,\r\n", "{}", ran.stderr());
}

/// Samples of one name are one program's for ever, whatever else was cut.
#[test]
fn a_program_called_other_is_not_the_rest() {
    let dir = TempDir::new("called-other");
    for (pid, title) in [("101", "other"), ("102", "second"), ("103", "third")] {
        copy_dir(&tree("ordinary").join(pid), &dir.path().join(pid));
        std::fs::write(dir.path().join(pid).join("cmdline"), title).expect("a file of ours");
    }
    for (top, rest) in [("3", 0), ("1", 1)] {
        let mut command = program();
        command.args(["-o", "openmetrics", "--sort", "name", "--top", top, "--proc-root"]);
        command.arg(dir.path());
        let text = output(command).stdout();
        let samples = |name| text.matches(&format!("_ram_bytes{{program=\"{name}\"}}")).count();
        assert_eq!((samples("other"), samples(r"\\u{6f}ther")), (rest, 1), "{text}");
    }
}
