//! JSON, for programs: integers in bytes, keys that stay, `null` for what nobody knows. The schema
//! is docs/report.schema.json.

mod diff;
mod host;
mod read;
mod text;

use serde::ser::{Serialize, Serializer};

pub use self::diff::diff_json;
use self::host::Host;
pub use self::read::{Rules, SavedReport};
use self::text::{Name, bytes, hex, lossy};
use super::{Report, labels};
use crate::process::{Coverage, Fate};
use crate::program::{Column, ColumnKind, Known, Program, Rest, Sharing, Uniform, Unknown, Usage};
use crate::units::{Labelled, Pid};

/// Tells this form from others; another number means another meaning of the keys.
pub(super) const SCHEMA: &str = "psm-uring.report.v1";

/// A document of many lines.
pub fn json(report: &Report<'_>) -> String {
    text::lines(&Document::of(report))
}

/// The same on one line, for streams of reports.
pub fn ndjson(report: &Report<'_>) -> String {
    text::line(&Document::of(report))
}

#[derive(serde::Serialize)]
struct Document<'a> {
    schema: &'static str,
    run: Run<'a>,
    coverage: Counts<'a>,
    missing: Vec<MissingProcess<'a>>,
    notes: &'a [String],
    total: Option<Total<'a>>,
    host: Option<Host<'a>>,
    #[serde(flatten)]
    rows: Option<Rows<'a>>,
}

/// What is left out where only the sum is asked for.
#[derive(serde::Serialize)]
struct Rows<'a> {
    programs: Vec<Row<'a>>,
    rest: Option<RestRow<'a>>,
    sharing: Vec<SharingRow<'a>>,
    unknown: Vec<UnknownRow<'a>>,
    unknown_rest: Option<UnknownRest>,
}

#[derive(serde::Serialize)]
struct Run<'a> {
    version: &'a str,
    host: &'a str,
    kernel: &'a str,
    engine: &'a str,
    fallback: Option<&'a str>,
    source: &'a str,
    by: &'a str,
    name: &'a str,
    selection: Option<&'a str>,
    started_at: &'a str,
    duration_seconds: f64,
    complete: bool,
    swap_counts_shared_pages_whole: bool,
}

#[derive(serde::Serialize)]
struct Counts<'a> {
    listed: usize,
    #[serde(flatten)]
    fates: Fates,
    hidepid: Option<&'a str>,
}

/// Every fate with the number of processes that met it, in the order of the fates.
struct Fates(Coverage);

#[derive(serde::Serialize)]
struct MissingProcess<'a> {
    pid: u32,
    fate: &'static str,
    errno: Option<i32>,
    error: Option<String>,
    #[serde(flatten)]
    glimpse: Option<Glimpsed<'a>>,
}

/// What is still known of a process that timed out.
#[derive(serde::Serialize)]
struct Glimpsed<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    state: Option<char>,
    rss: Option<u64>,
    swap: Option<u64>,
}

#[derive(serde::Serialize)]
struct Total<'a> {
    count: u64,
    #[serde(flatten)]
    figures: Figures<'a>,
}

#[derive(serde::Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<u64>,
    count: u64,
    #[serde(flatten)]
    owner: Option<Owner>,
    #[serde(flatten)]
    cgroup: Option<Group>,
    #[serde(flatten)]
    figures: Figures<'a>,
}

/// Who owns the processes of a row, where that was asked.
#[derive(serde::Serialize)]
struct Owner {
    uid: Option<u32>,
    user: Option<String>,
}

/// Where they are, likewise.
#[derive(serde::Serialize)]
struct Group {
    cgroup: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup_bytes: Option<String>,
}

#[derive(serde::Serialize)]
struct RestRow<'a> {
    rows: usize,
    count: u64,
    #[serde(flatten)]
    figures: Figures<'a>,
}

#[derive(serde::Serialize)]
struct SharingRow<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    pid: Option<u32>,
    count: u64,
    owner: Name<'a>,
    owner_pid: Option<u32>,
}

#[derive(serde::Serialize)]
struct UnknownRow<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    pid: Option<u32>,
    count: u64,
    #[serde(flatten)]
    owner: Option<Owner>,
    rss: Option<u64>,
    swap: Option<u64>,
}

#[derive(serde::Serialize)]
struct UnknownRest {
    rows: usize,
    rss: Option<u64>,
    swap: Option<u64>,
}

/// The amounts of a row, or those of a sum, which has none that overlap.
struct Figures<'a> {
    usage: &'a Usage,
    is_total: bool,
}

impl<'a> Document<'a> {
    fn of(report: &'a Report<'_>) -> Document<'a> {
        let total = report.programs.total.as_ref().map(|usage| Total {
            count: report.programs.count,
            figures: Figures { usage, is_total: true },
        });
        Document {
            schema: SCHEMA,
            run: Run::of(report),
            coverage: Counts {
                listed: report.missing.coverage.listed(),
                fates: Fates(report.missing.coverage),
                hidepid: report.missing.hidepid,
            },
            missing: lost(report),
            notes: report.notes,
            total,
            host: report.host.map(Host::of),
            rows: (!report.is_total).then(|| Rows::of(report)),
        }
    }
}

impl<'a> Run<'a> {
    fn of(report: &'a Report<'_>) -> Run<'a> {
        let facts = report.facts;
        Run {
            version: facts.version,
            host: &facts.host,
            kernel: &facts.kernel,
            engine: facts.engine,
            fallback: facts.fallback.as_deref(),
            source: facts.source.label(),
            by: report.programs.grouping.label(),
            name: facts.name.label(),
            selection: facts.selection.as_deref(),
            started_at: &facts.started_at,
            duration_seconds: facts.duration.as_secs_f64(),
            complete: report.missing.is_complete(),
            swap_counts_shared_pages_whole: report.programs.swap_is_unshared,
        }
    }
}

impl<'a> Rows<'a> {
    fn of(report: &'a Report<'_>) -> Rows<'a> {
        let programs = report.programs;
        Rows {
            programs: programs.rows.iter().map(|row| Row::of(report, row)).collect(),
            rest: programs.rest.as_ref().map(RestRow::of),
            sharing: programs.sharing.iter().map(SharingRow::of).collect(),
            unknown: programs.unknown.iter().map(|row| UnknownRow::of(report, row)).collect(),
            unknown_rest: programs.unknown_rest.map(|(rows, known)| {
                let Known { rss, swap } = known;
                UnknownRest { rows, rss: bytes(rss), swap: bytes(swap) }
            }),
        }
    }
}

impl<'a> Row<'a> {
    fn of(report: &Report<'_>, row: &'a Program<'_>) -> Row<'a> {
        let owner = Owner::of(report, row.uid);
        let cgroup = report.has_cgroup.then(|| {
            let path = labels::cgroup(row.cgroup);
            Group { cgroup: path.map(lossy), cgroup_bytes: path.and_then(hex) }
        });
        let figures = Figures { usage: &row.usage, is_total: false };
        let (name, pid, start_time) = (Name(row.name), id(row.pid), row.start_time);
        Row { name, pid, start_time, count: row.count, owner, cgroup, figures }
    }
}

impl Owner {
    fn of(report: &Report<'_>, uid: Uniform<u32>) -> Option<Owner> {
        report.has_owner.then(|| Owner {
            uid: if let Uniform::Same(uid) = uid { Some(uid) } else { None },
            user: labels::user(report.programs, uid).map(|user| lossy(&user)),
        })
    }
}

impl<'a> RestRow<'a> {
    fn of(rest: &'a Rest) -> RestRow<'a> {
        let figures = Figures { usage: &rest.usage, is_total: false };
        RestRow { rows: rest.rows, count: rest.count, figures }
    }
}

impl<'a> SharingRow<'a> {
    fn of(row: &'a Sharing<'_>) -> SharingRow<'a> {
        let (name, owner) = (Name(row.name), Name(row.owner));
        let (pid, owner_pid) = (id(row.pid), id(row.owner_pid));
        SharingRow { name, pid, count: row.count, owner, owner_pid }
    }
}

impl<'a> UnknownRow<'a> {
    fn of(report: &Report<'_>, row: &'a Unknown) -> UnknownRow<'a> {
        let (rss, swap) = (bytes(row.known.rss), bytes(row.known.swap));
        let (name, owner) = (Name(&row.name), Owner::of(report, row.uid));
        UnknownRow { name, pid: id(row.pid), count: row.count, owner, rss, swap }
    }
}

/// Every process that is missing, by id.
fn lost<'a>(report: &'a Report<'_>) -> Vec<MissingProcess<'a>> {
    let glimpse = |pid: Pid| {
        let found = report.missing.timed_out.iter().find(|one| one.pid == pid)?;
        let (rss, swap) = (bytes(found.glimpse.rss), bytes(found.glimpse.swap));
        Some(Glimpsed { name: Name(&found.glimpse.comm), state: found.glimpse.state, rss, swap })
    };
    let one = |(pid, fate): &(Pid, Fate)| {
        let errno = if let Fate::Failed(errno) = fate { Some(*errno) } else { None };
        MissingProcess {
            pid: pid.0,
            fate: fate.label(),
            errno: errno.map(|errno| errno.0),
            error: errno.map(|errno| errno.to_string()),
            glimpse: (*fate == Fate::TimedOut).then(|| glimpse(*pid)).flatten(),
        }
    };
    report.missing.processes.iter().map(one).collect()
}

fn id(pid: Option<Pid>) -> Option<u32> {
    pid.map(|pid| pid.0)
}

impl Serialize for Fates {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Fate::ALL.map(|fate| (fate.label(), self.0.get(fate))))
    }
}

impl Serialize for Figures<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_shown = |column: &Column| match column.definition().kind {
            ColumnKind::Amount => true,
            ColumnKind::Overlapping => !self.is_total,
            ColumnKind::Number | ColumnKind::Text => false,
        };
        let figure = |column: Column| {
            (column.definition().word.replace('-', "_"), bytes(self.usage.get(column)))
        };
        serializer.collect_map(Column::ALL.into_iter().filter(is_shown).map(figure))
    }
}
