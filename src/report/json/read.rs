//! A report that was saved as JSON, read back.

use serde::{Deserialize, Deserializer};

use super::SCHEMA;
use crate::process::NameRule;
use crate::program::{Amounts, Grouping, Identity, SnapshotRow};
use crate::units::{Kib, Labelled, Pid};

/// The fate of a process that left, which is missing in no report.
const GONE: &str = "gone";

/// What is compared of a saved report.
#[derive(Debug)]
pub struct ParsedReport {
    /// What a row stands for.
    pub by: Grouping,
    /// The rule of names.
    pub name: NameRule,
    /// Which processes were selected, in these words; all if `None`.
    pub selection: Option<String>,
    /// The name of the host, where it says so.
    pub host: Option<String>,
    /// When it was begun (RFC 3339), where it says so.
    pub started_at: Option<String>,
    /// How many processes are missing in it.
    pub missing: usize,
    /// Every row.
    pub rows: Vec<SnapshotRow>,
    /// The sum.
    pub total: Amounts,
}

#[derive(Deserialize)]
struct Document {
    run: Run,
    missing: Vec<MissingProcess>,
    total: Option<Figures>,
    programs: Option<Vec<Row>>,
    rest: Option<serde::de::IgnoredAny>,
    unknown: Option<Vec<Row>>,
    unknown_rest: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Run {
    #[serde(deserialize_with = "labelled")]
    by: Grouping,
    #[serde(deserialize_with = "labelled")]
    name: NameRule,
    selection: Option<String>,
    host: Option<String>,
    started_at: Option<String>,
}

#[derive(Deserialize)]
struct MissingProcess {
    fate: String,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    name_bytes: Option<String>,
    pid: Option<u32>,
    start_time: Option<u64>,
    #[serde(flatten)]
    figures: Figures,
}

#[derive(Deserialize)]
struct Figures {
    count: u64,
    ram: Option<u64>,
    swap: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename = "report")]
struct Head {
    schema: String,
}

/// The value of a word of the command line.
fn labelled<'de, T: Labelled, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let word = String::deserialize(deserializer)?;
    T::from_label(&word).ok_or_else(|| serde::de::Error::custom(format!("unknown word {word:?}")))
}

impl ParsedReport {
    /// Reads a document of `--json`, or a line of `--output ndjson`.
    ///
    /// # Errors
    /// What is wrong with it, and what to do about it.
    pub fn read(text: &[u8]) -> Result<ParsedReport, String> {
        let is_not =
            |error: serde_json::Error| format!("not what psm-uring --json writes: {error}");
        let mut documents = serde_json::Deserializer::from_slice(text).into_iter::<Head>();
        let head = documents.next().unwrap_or_else(|| serde_json::from_slice(text));
        let head = head.map_err(is_not)?;
        if documents.next().is_some_and(|another| another.is_ok()) {
            return Err("it holds several reports; give one, as tail -n 1 does".to_owned());
        }
        if head.schema != SCHEMA {
            return Err(format!("it says {:?}, wanted {SCHEMA:?}", head.schema));
        }
        let document: Document = serde_json::from_slice(text).map_err(is_not)?;
        ParsedReport::of(document)
    }

    fn of(document: Document) -> Result<ParsedReport, String> {
        let Document { run, missing, total, programs, rest, unknown, unknown_rest } = document;
        let Some(programs) = programs else {
            return Err("it holds only the sum; write it without --total".to_owned());
        };
        if rest.is_some() || unknown_rest.is_some() {
            return Err("it lacks rows that --top cut; write it without --top".to_owned());
        }
        let is_by_pid = run.by == Grouping::Pid;
        let rows = programs.into_iter().chain(unknown.unwrap_or_default());
        Ok(ParsedReport {
            by: run.by,
            name: run.name,
            selection: run.selection,
            host: run.host,
            started_at: run.started_at,
            missing: missing.iter().filter(|lost| lost.fate != GONE).count(),
            rows: SnapshotRow::merged(
                rows.map(|row| row.seen(is_by_pid)).collect::<Result<Vec<_>, _>>()?.into_iter(),
            ),
            total: total.map_or_else(Amounts::default, Figures::amounts),
        })
    }
}

impl Row {
    /// A row of one process has its id, and so may one that stands for more.
    fn seen(self, is_by_pid: bool) -> Result<SnapshotRow, String> {
        let name = match &self.name_bytes {
            None => self.name.into_bytes(),
            Some(hex) => unhex(hex).ok_or_else(|| format!("{hex:?} are no bytes of a name"))?,
        };
        let identity = match self.pid.filter(|_| is_by_pid) {
            None => Identity::Name(name.clone()),
            Some(pid) => Identity::Process(Pid(pid), self.start_time),
        };
        // A row without figures has none of ours either: its RSS is another thing.
        Ok(SnapshotRow { identity, name, amounts: self.figures.amounts() })
    }
}

impl Figures {
    fn amounts(self) -> Amounts {
        let kib = |bytes: u64| Kib(bytes / 1024);
        // Where RAM is unknown, `swap` is not the proportional share.
        let swap = self.ram.and(self.swap);
        Amounts { count: self.count, ram: self.ram.map(kib), swap: swap.map(kib) }
    }
}

fn unhex(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(rest: &str) -> String {
        format!(
            r#"{{"schema": "{SCHEMA}", "run": {{"by": "pid", "name": "title"}},
               "missing": [{{"pid": 4, "fate": "denied"}}, {{"pid": 5, "fate": "gone"}}],
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
        let saved = ParsedReport::read(text.as_bytes()).expect("a report");
        assert_eq!((saved.by, saved.missing, saved.total.ram), (Grouping::Pid, 1, Some(Kib(8))));
        let known = Amounts { count: 2, ram: Some(Kib(4)), swap: None };
        let (a, b) = (b"a\xff".to_vec(), b"b".to_vec());
        let unknown = Amounts { count: 1, ..Amounts::default() };
        let process = Identity::Process(Pid(7), Some(5));
        assert_eq!(
            saved.rows,
            [
                SnapshotRow { identity: Identity::Name(a.clone()), name: a, amounts: known },
                SnapshotRow { identity: process, name: b, amounts: unknown },
            ]
        );
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        for (text, why) in [
            (String::new(), "EOF while parsing"),
            ("{}".to_owned(), "missing field `schema`"),
            (r#"{"schema": "other"}"#.to_owned(), r#"it says "other""#),
            ([document(""), document("")].join("\n"), "tail -n 1"),
            (document(""), "without --total"),
            (document(r#", "programs": [], "rest": {"rows": 1}"#), "without --top"),
            (document(r#", "programs": [], "unknown_rest": {"rows": 1}"#), "without --top"),
        ] {
            let error = ParsedReport::read(text.as_bytes()).expect_err(&text);
            assert!(error.contains(why), "{error}");
        }
    }
}
