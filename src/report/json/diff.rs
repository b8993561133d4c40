//! Two reports compared, as JSON. The schema is docs/diff.schema.json.
//!
//! Amounts are integers in bytes. `null` is an unknown amount, or a report that lacks the row.

use serde::Serialize;

use super::read::SavedReport;
use super::{Name, lines};
use crate::program::{BeforeAfter, Change, Diff, DiffRow, Presence};
use crate::report::Rules;
use crate::units::Pid;

/// The version of the document; keys can be added without a new one.
const SCHEMA: &str = "psm-uring.diff.v1";

/// A document of many lines.
pub fn diff_json(diff: &Diff<'_>, [before, after]: [&SavedReport; 2]) -> String {
    lines(&DiffDocument {
        schema: SCHEMA,
        rules: &before.rules,
        before: ReportOrigin::new(before),
        after: ReportOrigin::new(after),
        total: ChangedAmounts::new(diff.total),
        rows: diff.rows.iter().map(ChangedRow::new).collect(),
        left_out: diff.left_out,
    })
}

#[derive(Serialize)]
struct DiffDocument<'a> {
    schema: &'static str,
    #[serde(flatten)]
    rules: &'a Rules,
    before: ReportOrigin<'a>,
    after: ReportOrigin<'a>,
    total: ChangedAmounts,
    rows: Vec<ChangedRow<'a>>,
    left_out: usize,
}

#[derive(Serialize)]
struct ReportOrigin<'a> {
    host: Option<&'a str>,
    started_at: Option<&'a str>,
    missing: usize,
}

#[derive(Serialize)]
struct ChangedRow<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    pid: Option<Pid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<u64>,
    presence: Presence,
    #[serde(flatten)]
    amounts: ChangedAmounts,
}

#[derive(Serialize)]
struct ChangedAmounts {
    change: Change,
    #[serde(flatten)]
    amounts: BeforeAfter,
}

impl<'a> ReportOrigin<'a> {
    fn new(report: &'a SavedReport) -> ReportOrigin<'a> {
        let SavedReport { host, started_at, missing, .. } = report;
        let (host, started_at) = (host.as_deref(), started_at.as_deref());
        ReportOrigin { host, started_at, missing: *missing }
    }
}

impl<'a> ChangedRow<'a> {
    fn new(row: &DiffRow<'a>) -> ChangedRow<'a> {
        ChangedRow {
            name: Name(&row.row.name),
            pid: row.row.pid,
            start_time: row.row.start_time,
            presence: row.amounts.presence(),
            amounts: ChangedAmounts::new(row.amounts),
        }
    }
}

impl ChangedAmounts {
    fn new(amounts: BeforeAfter) -> ChangedAmounts {
        ChangedAmounts { change: amounts.change(), amounts }
    }
}
