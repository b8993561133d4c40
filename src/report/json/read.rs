//! A saved report, read back.

use std::time::UNIX_EPOCH;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::error::Category;

use super::SCHEMA;
use crate::process::NameRule;
use crate::program::{Amounts, Grouping, Snapshot, SnapshotRow};
use crate::report::{Rules, escape};
use crate::units::Pid;

/// The version before: other words for the naming rule and for one fate, other percentages.
const SCHEMA_1: &str = "psm-uring.report.v1";

/// A saved report, as far as a comparison needs it. The document of a comparison has its origin.
#[derive(Debug, Serialize)]
pub struct SavedReport {
    /// Reports of other rules cannot be compared with it.
    #[serde(skip)]
    pub rules: Rules,
    /// The name of the host, if the document has it.
    pub host: Option<String>,
    /// The start of the run (RFC 3339), if the document has it.
    pub started_at: Option<String>,
    /// The number of processes that the report lacks.
    pub missing: usize,
    /// Whether an earlier version wrote it, which named some programs differently.
    #[serde(skip)]
    pub is_earlier: bool,
    /// Rows and total.
    #[serde(skip)]
    pub snapshot: Snapshot,
}

#[derive(Deserialize)]
struct SavedDocument {
    run: SavedRun,
    coverage: SavedCoverage,
    total: Option<Amounts>,
    programs: Option<Vec<SavedRow>>,
    rest: Option<IgnoredAny>,
    unknown: Option<Vec<SavedRow>>,
    unknown_rest: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct SavedRun {
    by: Grouping,
    #[serde(alias = "name")] // Version 1.
    name_rule: NameRule,
    selection: Option<String>,
    host: Option<String>,
    started_at: Option<String>,
}

/// The number of processes by fate, of those whose memory the report lacks.
#[derive(Deserialize)]
pub struct SavedCoverage {
    changed: usize,
    denied: usize,
    #[serde(default)] // Earlier reports left out none.
    left_out: usize,
    timed_out: usize,
    not_asked: usize,
    #[serde(alias = "malformed")] // Version 1.
    not_understood: usize,
    failed: usize,
}

impl SavedCoverage {
    /// The number of processes whose memory is missing.
    pub fn unknown(&self) -> usize {
        let SavedCoverage { changed, denied, left_out, .. } = self;
        let SavedCoverage { timed_out, not_asked, not_understood, failed, .. } = self;
        changed + denied + left_out + timed_out + not_asked + not_understood + failed
    }
}

#[derive(Deserialize)]
struct SavedRow {
    name: String,
    name_bytes: Option<String>,
    /// Of some groupings: other keys are made again, by the rules of today.
    #[serde(default)]
    key: String,
    pid: Option<Pid>,
    start_time: Option<u64>,
    #[serde(flatten)]
    amounts: Amounts,
}

#[derive(Deserialize)]
#[serde(rename = "report")]
struct SavedHead {
    schema: String,
}

impl SavedReport {
    /// Reads a document of `--json`, or a line of `--output ndjson`.
    ///
    /// # Errors
    /// The reason why the text is not such a document, and the remedy.
    pub fn parse(text: &[u8]) -> Result<SavedReport, String> {
        let is_not = |error| format!("not what psm-uring --json writes: {}", fault(text, &error));
        let mut documents = serde_json::Deserializer::from_slice(text).into_iter::<SavedHead>();
        let head = documents.next().unwrap_or_else(|| serde_json::from_slice(text));
        let head = head.map_err(is_not)?;
        if documents.next().is_some_and(|another| another.is_ok()) {
            return Err("it holds several reports; give one, as tail -n 1 does".to_owned());
        }
        if ![SCHEMA, SCHEMA_1].contains(&head.schema.as_str()) {
            return Err(format!(
                "its schema is {:?}, this version reads {SCHEMA:?} and {SCHEMA_1:?}",
                head.schema
            ));
        }
        let document: SavedDocument = serde_json::from_slice(text).map_err(is_not)?;
        let SavedDocument { run, coverage, total, programs, rest, unknown, unknown_rest } =
            document;
        let Some(programs) = programs else {
            return Err("it holds only the sum; write it without --total".to_owned());
        };
        if rest.is_some() || unknown_rest.is_some() {
            return Err("it lacks rows that --top cut; write it without --top".to_owned());
        }
        let rows = programs.into_iter().chain(unknown.unwrap_or_default());
        let rows = rows.map(|row| row.snapshot_row(run.by)).collect::<Result<_, _>>()?;
        let started_at = run.started_at.as_deref().and_then(|at| humantime::parse_rfc3339(at).ok());
        let at = started_at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let total = total.unwrap_or_default();
        Ok(SavedReport {
            rules: Rules { by: run.by, name: run.name_rule, selection: run.selection },
            host: run.host,
            started_at: run.started_at,
            missing: coverage.unknown(),
            is_earlier: head.schema == SCHEMA_1,
            snapshot: Snapshot::new(run.by, run.name_rule, rows, total).taken_at(at),
        })
    }
}

impl SavedRow {
    fn snapshot_row(self, by: Grouping) -> Result<SnapshotRow, String> {
        let SavedRow { name, name_bytes, key, pid, start_time, amounts } = self;
        let name = match name_bytes {
            None => name.into_bytes(),
            Some(hex) => {
                unhex(&hex).ok_or_else(|| format!("{hex:?} is not a name in hexadecimal"))?
            }
        };
        // Only here is a row that has a process id a process.
        let is_process = by.is_process();
        let (pid, start_time) = (pid.filter(|_| is_process), start_time.filter(|_| is_process));
        // Without RAM, `swap` is `VmSwap`, not the proportional share.
        let swap = amounts.ram.and(amounts.swap);
        let key = if by.has_short_labels() { escape::of_field(&key) } else { Vec::new() };
        let major_faults = amounts.major_faults.filter(|_| is_process);
        let amounts = Amounts { swap, major_faults, ..amounts };
        Ok(SnapshotRow { key, name, pid, start_time, amounts })
    }
}

/// The words for an error of the parser.
fn fault(text: &[u8], error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Eof if text.trim_ascii().is_empty() => "it is empty".to_owned(),
        Category::Eof => format!("it ends in the middle, in line {}", error.line()),
        Category::Syntax => {
            format!("it is not JSON (line {}, column {})", error.line(), error.column())
        }
        Category::Data | Category::Io => error.to_string(),
    }
}

/// The bytes of a name in hexadecimal.
pub fn unhex(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Kib;

    fn document(rest: &str) -> String {
        format!(
            r#"{{"schema": "{SCHEMA}", "run": {{"by": "pid", "name_rule": "title"}},
               "coverage": {{"gone": 5, "changed": 1, "denied": 2, "timed_out": 3, "not_asked": 4,
                            "not_understood": 5, "failed": 6, "hidepid": null}},
               "total": {{"count": 3, "ram": 8192, "swap": 0}} {rest}}}"#
        )
    }

    #[test]
    fn rows_are_read_back() {
        let text = document(
            r#", "rest": null, "unknown_rest": null,
               "programs": [{"name": "a\ufffd", "name_bytes": "61ff", "count": 2, "pid": null,
                             "ram": 4096, "swap": null, "rss": 1}],
               "unknown": [{"name": "b", "count": 1, "pid": 7, "start_time": 5,
                            "rss": 9, "swap": 9}]"#,
        );
        let saved = SavedReport::parse(text.as_bytes()).expect("a report");
        let (ram, swap) = (Some(Kib(8)), Some(Kib(0)));
        let total = Amounts { count: 3, ram, swap, ..Amounts::default() };
        assert_eq!((saved.rules.by, saved.missing), (Grouping::Pid, 21));
        let known = Amounts { count: 2, ram: Some(Kib(4)), ..Amounts::default() };
        let unknown = Amounts { count: 1, ..Amounts::default() };
        let row = |name: &[u8], amounts| SnapshotRow {
            key: Vec::new(),
            name: name.to_vec(),
            pid: None,
            start_time: None,
            amounts,
        };
        let process = SnapshotRow { pid: Some(Pid(7)), start_time: Some(5), ..row(b"b", unknown) };
        assert_eq!(
            saved.snapshot,
            Snapshot::new(
                Grouping::Pid,
                NameRule::Title,
                vec![row(b"a\xff", known), process],
                total
            )
        );
    }

    #[test]
    fn other_documents_are_refused() {
        for (text, why) in [
            (String::new(), "it is empty"),
            ("{}".to_owned(), "missing field `schema`"),
            (
                r#"{"schema": "psm-uring.report.v3"}"#.to_owned(),
                r#"v3", this version reads "psm-uring.report.v2" and "psm-uring.report.v1""#,
            ),
            ([document(""), document("")].join("\n"), "tail -n 1"),
            (document(""), "without --total"),
            (document(r#", "programs": [], "rest": {"rows": 1}"#), "without --top"),
            (document(r#", "programs": [], "unknown_rest": {"rows": 1}"#), "without --top"),
        ] {
            let error = SavedReport::parse(text.as_bytes()).expect_err(&text);
            assert!(error.contains(why), "{error}");
        }
    }
}
