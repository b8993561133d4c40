//! What grew from one report to another as JSON: what each row had at both looks, and the
//! difference. Integers in bytes, `null` for what nobody knows, and for a look at which a row was
//! not there. The schema is docs/diff.schema.json.

use serde::Serialize;

use super::read::ParsedReport;
use super::text::{self, Name, bytes};
use crate::program::{self, BeforeAfter, Delta, Diff, DiffRow, Identity, Presence};
use crate::units::Labelled;

/// Tells this form from others; another number means another meaning of the keys.
const SCHEMA: &str = "psm-uring.diff.v1";

/// A document of many lines, with the sums of both reports and what they were made with.
pub fn diff_json(diff: &Diff, total: &BeforeAfter, reports: [&ParsedReport; 2]) -> String {
    text::lines(&Document::of(diff, total, reports))
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    by: &'a str,
    name: &'a str,
    selection: Option<&'a str>,
    before: Source<'a>,
    after: Source<'a>,
    total: Amounts,
    rows: Vec<Row<'a>>,
    /// Rows that changed by less.
    left_out: usize,
}

/// One of the reports.
#[derive(Serialize)]
struct Source<'a> {
    host: Option<&'a str>,
    started_at: Option<&'a str>,
    missing: usize,
}

#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<u64>,
    presence: &'static str,
    #[serde(flatten)]
    amounts: Amounts,
}

#[derive(Serialize)]
struct Amounts {
    change: Change,
    before: Option<Figures>,
    after: Option<Figures>,
}

#[derive(Serialize)]
struct Change {
    count: i64,
    ram: Option<i64>,
    swap: Option<i64>,
}

#[derive(Serialize)]
struct Figures {
    count: u64,
    ram: Option<u64>,
    swap: Option<u64>,
}

impl<'a> Document<'a> {
    fn of(
        diff: &'a Diff,
        total: &BeforeAfter,
        [before, after]: [&'a ParsedReport; 2],
    ) -> Document<'a> {
        Document {
            schema: SCHEMA,
            by: before.by.label(),
            name: before.name.label(),
            selection: before.selection.as_deref(),
            before: Source::of(before),
            after: Source::of(after),
            total: Amounts::of(total, Presence::Stayed),
            rows: diff.rows.iter().map(Row::of).collect(),
            left_out: diff.alike,
        }
    }
}

impl<'a> Source<'a> {
    fn of(saved: &'a ParsedReport) -> Source<'a> {
        let (host, started_at) = (saved.host.as_deref(), saved.started_at.as_deref());
        Source { host, started_at, missing: saved.missing }
    }
}

impl<'a> Row<'a> {
    fn of(row: &'a DiffRow) -> Row<'a> {
        let (pid, start_time) = match row.identity {
            Identity::Name(_) => (None, None),
            Identity::Process(pid, start_time) => (Some(pid.0), start_time),
        };
        let presence = row.presence.word();
        let amounts = Amounts::of(&row.looks, row.presence);
        Row { name: Name(&row.name), pid, start_time, presence, amounts }
    }
}

impl Amounts {
    fn of(looks: &BeforeAfter, presence: Presence) -> Amounts {
        let program::Change { count, ram, swap } = looks.change();
        let [ram, swap] = [ram, swap].map(|delta| delta.map(Delta::bytes));
        Amounts {
            change: Change { count, ram, swap },
            before: (presence != Presence::New).then(|| Figures::of(&looks.before)),
            after: (presence != Presence::Gone).then(|| Figures::of(&looks.after)),
        }
    }
}

impl Figures {
    fn of(amounts: &program::Amounts) -> Figures {
        let program::Amounts { count, ram, swap } = *amounts;
        Figures { count, ram: bytes(ram), swap: bytes(swap) }
    }
}
