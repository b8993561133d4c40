//! Two reports compared, as JSON. The schema is docs/diff.schema.json.
//!
//! Amounts are integers in bytes. `null` is an unknown amount, or a report that lacks the row.

use serde::Serialize;

use super::read::SavedReport;
use super::{Name, lines};
use crate::process::NameRule;
use crate::program::{BeforeAfter, Diff, DiffRow, Presence};
use crate::report::escape;
use crate::units::Pid;

/// The version of the document; keys can be added without a new one.
const SCHEMA: &str = "psm-uring.diff.v2";

/// A document of many lines.
pub fn diff_json(diff: &Diff<'_>, [before, after]: [&SavedReport; 2]) -> String {
    lines(&DiffDocument {
        schema: SCHEMA,
        by: diff.words.by,
        name_rule: before.rules.name,
        selection: before.rules.selection.as_deref(),
        before,
        after,
        total: diff.total,
        rows: diff.rows.iter().map(ChangedRow::new).collect(),
        left_out: diff.left_out,
    })
}

#[derive(Serialize)]
struct DiffDocument<'a> {
    schema: &'static str,
    by: &'static str,
    name_rule: NameRule,
    selection: Option<&'a str>,
    before: &'a SavedReport,
    after: &'a SavedReport,
    total: BeforeAfter,
    rows: Vec<ChangedRow<'a>>,
    left_out: usize,
}

#[derive(Serialize)]
struct ChangedRow<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    key: String,
    pid: Option<Pid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<u64>,
    presence: Presence,
    #[serde(flatten)]
    amounts: BeforeAfter,
}

impl<'a> ChangedRow<'a> {
    fn new(row: &DiffRow<'a>) -> ChangedRow<'a> {
        let DiffRow { row, name, amounts } = *row;
        let (pid, start_time, presence) = (row.pid, row.start_time, amounts.presence());
        let key = escape::field(&row.key, false);
        ChangedRow { name: Name(name), key, pid, start_time, presence, amounts }
    }
}
