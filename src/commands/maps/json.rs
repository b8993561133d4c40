//! Mappings as JSON, and saved reports read back for `diff`. The schema is docs/maps.schema.json.
//!
//! Amounts are integers in bytes, and `null` is unknown. Keys keep their meaning.

use serde::{Deserialize, Serialize};

use super::column::MapColumn;
use super::rows::{Fullest, MapRest, MapRow, Maps, ProgramMaps};
use super::usage::MapUsage;
use super::{MapsBy, MapsRules};
use crate::process::{self, NameRule, Source};
use crate::program::{Amounts, Grouping, RowWords, Snapshot, SnapshotRow};
use crate::report::notes::Missing;
use crate::report::{
    Account, Facts, Name, Rules, SavedCoverage, SavedReport, escape, lines, one_line, unhex,
};
use crate::units::Kib;

/// The version of the document; keys can be added without a new one.
const SCHEMA: &str = "psm-uring.maps.v1";

/// What the document says beside its rows.
pub(super) struct MapsFacts<'a> {
    pub(super) facts: &'a Facts,
    pub(super) rules: &'a MapsRules,
    pub(super) missing: &'a Missing<'a>,
    pub(super) notes: &'a [String],
    pub(super) is_total: bool,
    /// `vm.max_map_count`.
    pub(super) limit: Option<u64>,
}

/// The document, on many lines or on one.
pub(super) fn json<'a>(maps: &'a Maps<'a>, facts: &MapsFacts<'a>, is_one_line: bool) -> String {
    let document = MapsDocument::new(maps, facts);
    if is_one_line { one_line(&document) } else { lines(&document) }
}

#[derive(Serialize)]
struct MapsDocument<'a> {
    schema: &'static str,
    run: MapsRun<'a>,
    #[serde(flatten)]
    account: Account<'a>,
    /// Processes in the address space of another one, which counts it.
    sharing: usize,
    fullest: Option<&'a Fullest<'a>>,
    total: Option<MapsTotal>,
    /// Absent with rows of programs, or if only the total is asked for.
    #[serde(flatten)]
    rows: Option<MapRows<'a>>,
    /// Absent without rows of programs.
    #[serde(flatten)]
    programs: Option<ProgramRows<'a>>,
}

#[derive(Serialize)]
struct MapsRun<'a> {
    version: &'a str,
    host: &'a str,
    kernel: &'a str,
    engine: &'a str,
    fallback: Option<&'a str>,
    source: Source,
    by: MapsBy,
    name_rule: NameRule,
    selection: Option<&'a str>,
    started_at: &'a str,
    duration_seconds: f64,
    complete: bool,
    swap_counts_shared_pages_whole: bool,
    max_map_count: Option<u64>,
}

/// The total, without Rss, which would count shared pages in several rows.
#[derive(Serialize)]
struct MapsTotal {
    ram: Kib,
    uss: Kib,
    swap: Option<Kib>,
    mappings: u64,
    processes: Option<u64>,
}

#[derive(Default, Serialize)]
struct MapRows<'a> {
    rows: Vec<MappingObject<'a>>,
    rest: Option<MapRest>,
}

#[derive(Serialize)]
struct ProgramRows<'a> {
    programs: Vec<ProgramObject<'a>>,
    rest: Option<MapRest>,
}

#[derive(Serialize)]
struct ProgramObject<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    key: String,
    #[serde(flatten)]
    usage: MapUsage,
    #[serde(flatten)]
    rows: MapRows<'a>,
}

#[derive(Serialize)]
struct MappingObject<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    #[serde(flatten)]
    usage: MapUsage,
}

impl<'a> MapsDocument<'a> {
    fn new(maps: &'a Maps<'a>, facts: &MapsFacts<'a>) -> MapsDocument<'a> {
        let MapsFacts { facts: run, rules, missing, notes, is_total, limit } = *facts;
        let by = rules.by;
        let is_shown = |shown: MapsBy| !is_total && by == shown;
        let program = |program| ProgramObject::new(program, rules.name);
        MapsDocument {
            schema: SCHEMA,
            run: MapsRun {
                version: run.version,
                host: &run.host,
                kernel: &run.kernel,
                engine: run.engine,
                fallback: run.fallback.as_deref(),
                source: run.source,
                by,
                name_rule: rules.name,
                selection: run.rules.selection.as_deref(),
                started_at: &run.started_at,
                duration_seconds: run.duration.as_secs_f64(),
                complete: missing.is_complete(),
                swap_counts_shared_pages_whole: maps.swap_is_unshared,
                max_map_count: limit,
            },
            account: Account::new(missing, notes),
            sharing: maps.sharing,
            fullest: maps.fullest.as_ref(),
            total: maps.total.map(|MapUsage { ram, uss, swap, mappings, processes, .. }| {
                MapsTotal { ram, uss, swap, mappings, processes }
            }),
            rows: is_shown(MapsBy::Mapping)
                .then(|| maps.programs.first().map(MapRows::new).unwrap_or_default()),
            programs: is_shown(MapsBy::Program).then(|| ProgramRows {
                programs: maps.programs.iter().map(program).collect(),
                rest: maps.rest,
            }),
        }
    }
}

impl<'a> MapRows<'a> {
    fn new(program: &'a ProgramMaps<'_>) -> MapRows<'a> {
        let row = |row: &'a MapRow<'_>| MappingObject { name: Name(&row.name), usage: row.usage };
        MapRows { rows: program.rows.iter().map(row).collect(), rest: program.rest }
    }
}

impl<'a> ProgramObject<'a> {
    fn new(program: &'a ProgramMaps<'_>, rule: NameRule) -> ProgramObject<'a> {
        let key = escape::field(&process::key(rule, &program.name), false);
        let (name, rows) = (Name(&program.name), MapRows::new(program));
        ProgramObject { name, key, usage: program.usage, rows }
    }
}

#[derive(Deserialize)]
struct SchemaOnly {
    schema: String,
}

#[derive(Deserialize)]
struct SavedMaps {
    run: SavedMapsRun,
    coverage: SavedCoverage,
    total: Option<SavedMap>,
    rows: Option<Vec<SavedMap>>,
    rest: Option<serde::de::IgnoredAny>,
    programs: Option<Vec<SavedProgram>>,
}

#[derive(Deserialize)]
struct SavedMapsRun {
    by: MapsBy,
    name_rule: NameRule,
    selection: Option<String>,
    host: Option<String>,
    started_at: Option<String>,
}

#[derive(Deserialize)]
struct SavedProgram {
    key: String,
    rows: Vec<SavedMap>,
    rest: Option<serde::de::IgnoredAny>,
}

/// A row, or the total, which has no name.
#[derive(Deserialize)]
struct SavedMap {
    #[serde(default)]
    name: String,
    name_bytes: Option<String>,
    mappings: u64,
    ram: Option<Kib>,
    swap: Option<Kib>,
}

/// Reads a saved report of mappings; `None` if the text is something else.
pub(super) fn parse(text: &[u8]) -> Option<Result<SavedReport, String>> {
    let mut documents = serde_json::Deserializer::from_slice(text).into_iter::<SchemaOnly>();
    documents.next()?.ok().filter(|head| head.schema == SCHEMA)?;
    if documents.next().is_some_and(|another| another.is_ok()) {
        return Some(Err("it holds several reports; give one, as tail -n 1 does".to_owned()));
    }
    let document = serde_json::from_slice(text);
    let document =
        document.map_err(|error| format!("not what psm-uring maps --json writes: {error}"));
    Some(document.and_then(SavedMaps::report))
}

impl SavedMaps {
    fn report(self) -> Result<SavedReport, String> {
        let SavedMaps { run, coverage, total, rows, rest, programs } = self;
        let groups = match (rows, programs) {
            (Some(rows), _) => vec![SavedProgram { key: String::new(), rows, rest: None }],
            (None, Some(programs)) => programs,
            (None, None) => {
                return Err("it holds only the sum; write it without --total".to_owned());
            }
        };
        if rest.is_some() || groups.iter().any(|program| program.rest.is_some()) {
            return Err("it lacks rows that --top cut; write it without --top".to_owned());
        }
        let rows = groups.into_iter().flat_map(|SavedProgram { key, rows, .. }| {
            rows.into_iter().map(move |row| row.snapshot_row(&key))
        });
        let rows = rows.collect::<Result<Vec<SnapshotRow>, String>>()?;
        let total = total.map(|total| total.amounts()).unwrap_or_default();
        let count = MapColumn::Mappings.header();
        let words = match run.by {
            MapsBy::Mapping => RowWords { by: "mapping", title: "MAPPING", count },
            MapsBy::Program => RowWords { by: "program-mapping", title: "PROGRAM: MAPPING", count },
        };
        Ok(SavedReport {
            rules: Rules { by: Grouping::Program, name: run.name_rule, selection: run.selection },
            host: run.host,
            started_at: run.started_at,
            missing: coverage.unknown(),
            is_earlier: false,
            snapshot: Snapshot::of_names(words, rows, total),
        })
    }
}

impl SavedMap {
    fn amounts(&self) -> Amounts {
        let (count, ram, swap) = (self.mappings, self.ram, self.swap);
        Amounts { count, ram, swap, ..Amounts::default() }
    }

    /// The row, behind the key of its program.
    fn snapshot_row(self, program: &str) -> Result<SnapshotRow, String> {
        let amounts = self.amounts();
        let name = match self.name_bytes {
            None => self.name.into_bytes(),
            Some(hex) => {
                unhex(&hex).ok_or_else(|| format!("{hex:?} is not a name in hexadecimal"))?
            }
        };
        let name = match program {
            "" => name,
            program => [program.as_bytes(), b": ", &name].concat(),
        };
        Ok(SnapshotRow { key: Vec::new(), name, pid: None, start_time: None, amounts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(by: &str, rest: &str) -> String {
        format!(
            r#"{{"schema": "{SCHEMA}", "run": {{"by": "{by}", "name_rule": "title"}},
               "coverage": {{"changed": 1, "denied": 2, "timed_out": 0, "left_out": 3,
                            "not_asked": 0, "not_understood": 0, "failed": 0}},
               "total": {{"mappings": 9, "ram": 8192, "swap": null}} {rest}}}"#
        )
    }

    #[test]
    fn other_documents_are_refused() {
        assert!(parse(b"").is_none());
        assert!(parse(br#"{"schema": "psm-uring.report.v2"}"#).is_none());
        for (text, why) in [
            (format!(r#"{{"schema": "{SCHEMA}"}}"#), "missing field `run`"),
            ([document("mapping", ""), document("mapping", "")].join("\n"), "tail -n 1"),
            (document("mapping", ""), "without --total"),
            (document("mapping", r#", "rows": [], "rest": {"cut": 1}"#), "without --top"),
            (
                document("program", r#", "programs": [{"key": "a", "rows": [], "rest": {}}]"#),
                "without --top",
            ),
        ] {
            let error = parse(text.as_bytes()).expect(&text).expect_err(&text);
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn rows_are_read_back() {
        let row = r#"[{"name": "/a\ufffd", "name_bytes": "2f61ff", "mappings": 2, "ram": 4096,
                       "swap": 0, "processes": 1}]"#;
        for (by, rest, name) in [
            ("mapping", format!(r#", "rows": {row}, "rest": null"#), &b"/a\xff"[..]),
            (
                "program",
                format!(r#", "programs": [{{"key": "db", "rows": {row}, "rest": null}}]"#),
                b"db: /a\xff",
            ),
        ] {
            let text = document(by, &rest);
            let saved = parse(text.as_bytes()).expect(by).expect(by);
            assert_eq!((saved.missing, saved.snapshot.total.count), (6, 9));
            let (count, ram, swap) = (2, Some(Kib(4)), Some(Kib(0)));
            let amounts = Amounts { count, ram, swap, ..Amounts::default() };
            let row = SnapshotRow {
                key: Vec::new(),
                name: name.to_vec(),
                pid: None,
                start_time: None,
                amounts,
            };
            let (words, total) = (saved.snapshot.words, saved.snapshot.total);
            assert_eq!(saved.snapshot, Snapshot::of_names(words, vec![row], total));
            assert!(words.by.contains(by));
        }
    }
}
