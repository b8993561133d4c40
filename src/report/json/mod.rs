//! A report as JSON. The schema is docs/report.schema.json.
//!
//! Amounts are integers in bytes, and `null` is an unknown amount. Keys keep their meaning.
//!
//! - `charge` the figures of control groups
//! - `host` host memory
//! - `oom` the choices of the OOM killer
//! - `diff` two reports compared
//! - `read` a saved report, read back
#![forbid(unsafe_code)]

mod charge;
mod diff;
mod host;
mod oom;
mod read;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use self::charge::{ChargeFields, ChargeSums};
pub use self::diff::diff_json;
use self::host::HostObject;
use self::oom::{OomChoiceObject, OomFields};
pub use self::read::{SavedCoverage, SavedReport, unhex};
use super::notes::Missing;
use super::reasons::Reason;
use super::{Facts, Report, escape, line};
use crate::process::{Coverage, Fate, Freed, GpuMemory};
use crate::program::{
    Column, ColumnKind, FaultRate, FreedMemory, Known, Program, Rest, RowFaults, Sharing, Uniform,
    Unknown, UnknownRest, Usage,
};
use crate::units::{Errno, Kib, Labelled, Pid};

/// The version of the document; keys can be added without a new one.
const SCHEMA: &str = "psm-uring.report.v2";

/// The most processes of one reason in the list of missing ones: a host can have ten thousand that
/// a user may not read.
const MISSING_MAX: usize = 100;

/// A document of many lines.
pub fn json(report: &Report<'_>) -> String {
    lines(&ReportDocument::new(report))
}

/// A document on one line, for streams of reports.
pub fn ndjson(report: &Report<'_>) -> String {
    one_line(&ReportDocument::new(report))
}

#[derive(Serialize)]
struct ReportDocument<'a> {
    schema: &'static str,
    run: RunObject<'a>,
    #[serde(flatten)]
    account: Account<'a>,
    total: Option<TotalObject<'a>>,
    host: Option<HostObject<'a>>,
    /// Absent unless the run asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    oom: Option<Vec<OomChoiceObject>>,
    /// Absent if only the total is asked for.
    #[serde(flatten)]
    rows: Option<RowLists<'a>>,
}

#[derive(Serialize)]
struct RunObject<'a> {
    #[serde(flatten)]
    facts: &'a Facts,
    complete: bool,
    swap_counts_shared_pages_whole: bool,
}

/// The processes of a run, measured or missing, and its notes.
#[derive(Serialize)]
pub struct Account<'a> {
    coverage: CoverageObject<'a>,
    missing: Vec<MissingProcess<'a>>,
    reasons: Vec<ReasonObject>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct CoverageObject<'a> {
    listed: usize,
    #[serde(flatten, serialize_with = "fates")]
    fates: Coverage,
    hidepid: Option<&'a str>,
}

#[derive(Serialize)]
struct MissingProcess<'a> {
    pid: Pid,
    fate: &'static str,
    reason: String,
    errno: Option<i32>,
    error: Option<String>,
    #[serde(flatten)]
    glimpse: Option<GlimpseFields<'a>>,
}

#[derive(Serialize)]
struct ReasonObject {
    fate: &'static str,
    reason: String,
    remedy: Option<String>,
    count: usize,
}

/// The figures of `status`.
#[derive(Serialize)]
struct GlimpseFields<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    state: Option<char>,
    #[serde(flatten)]
    known: Known,
}

#[derive(Serialize)]
struct TotalObject<'a> {
    count: u64,
    #[serde(flatten)]
    usage: UsageFields<'a>,
    #[serde(flatten)]
    charge: Option<ChargeSums>,
    #[serde(flatten)]
    faults: Option<FaultFields>,
    #[serde(flatten)]
    gpu: Option<GpuFields>,
}

#[derive(Serialize)]
struct RowLists<'a> {
    programs: Vec<ProgramRow<'a>>,
    rest: Option<RestRow<'a>>,
    sharing: Vec<SharingRow<'a>>,
    unknown: Vec<UnknownRow<'a>>,
    unknown_rest: Option<UnknownRestRow>,
}

#[derive(Serialize)]
struct ProgramRow<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    key: String,
    pid: Option<Pid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<u64>,
    count: u64,
    #[serde(flatten)]
    owner: Option<OwnerFields>,
    #[serde(flatten)]
    cgroup: Option<CgroupFields>,
    #[serde(flatten)]
    usage: UsageFields<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    freed_parts: Option<FreedParts>,
    #[serde(flatten)]
    charge: Option<ChargeFields>,
    #[serde(flatten)]
    faults: Option<FaultFields>,
    #[serde(flatten)]
    gpu: Option<GpuFields>,
    #[serde(flatten)]
    oom: Option<OomFields>,
    #[serde(flatten)]
    tree: Option<TreeFields>,
}

/// The place of a row in the tree, if rows are one.
#[derive(Serialize)]
struct TreeFields {
    depth: usize,
    parent: Option<Pid>,
    subtree_count: u64,
    subtree: Option<Kib>,
    subtree_swap: Option<Kib>,
}

/// The major page faults of a row, if the run asked for them.
#[derive(Serialize)]
struct FaultFields {
    faults: Option<FaultRate>,
    major_faults: Option<u64>,
}

/// The least GPU memory of a row, if the run asked for it.
#[derive(Serialize)]
struct GpuFields {
    gpu_least: Option<Kib>,
}

/// The parts of `freed`, and page cache that could be dropped then.
#[derive(Serialize)]
struct FreedParts {
    anonymous: Kib,
    shared: Kib,
    hugetlb: Kib,
    swap: Kib,
    droppable: Kib,
}

/// The user of a row, if the run asked for users.
#[derive(Serialize)]
struct OwnerFields {
    uid: Option<u32>,
    user: Option<String>,
}

/// The control group of a row, if the run asked for control groups.
#[derive(Serialize)]
struct CgroupFields {
    cgroup: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup_bytes: Option<String>,
}

#[derive(Serialize)]
struct RestRow<'a> {
    rows: usize,
    count: u64,
    #[serde(flatten)]
    usage: UsageFields<'a>,
    #[serde(flatten)]
    charge: Option<ChargeSums>,
    #[serde(flatten)]
    faults: Option<FaultFields>,
    #[serde(flatten)]
    gpu: Option<GpuFields>,
}

#[derive(Serialize)]
struct SharingRow<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    key: String,
    pid: Option<Pid>,
    count: u64,
    owner: Name<'a>,
    owner_pid: Option<Pid>,
}

#[derive(Serialize)]
struct UnknownRow<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    key: String,
    pid: Option<Pid>,
    count: u64,
    #[serde(flatten)]
    owner: Option<OwnerFields>,
    #[serde(flatten)]
    cgroup: Option<CgroupFields>,
    #[serde(flatten)]
    known: Known,
}

#[derive(Serialize)]
struct UnknownRestRow {
    rows: usize,
    #[serde(flatten)]
    known: Known,
}

/// The amounts of a row. Amounts that overlap have no total.
struct UsageFields<'a> {
    usage: &'a Usage,
    is_total: bool,
}

impl<'a> ReportDocument<'a> {
    fn new(report: &'a Report<'_>) -> ReportDocument<'a> {
        let (programs, missing) = (report.programs, report.missing);
        ReportDocument {
            schema: SCHEMA,
            run: RunObject {
                facts: report.facts,
                complete: missing.is_complete(),
                swap_counts_shared_pages_whole: programs.swap_is_unshared,
            },
            account: Account::new(missing, report.notes),
            total: programs.total.as_ref().map(|usage| TotalObject {
                count: programs.count,
                usage: UsageFields { usage, is_total: true },
                charge: ChargeSums::new(report, programs.events),
                faults: FaultFields::new(report, programs.faults),
                gpu: GpuFields::new(report, programs.gpu),
            }),
            host: report.host.map(HostObject::new),
            oom: report.oom.map(OomChoiceObject::all),
            rows: (!report.is_total).then(|| RowLists::new(report)),
        }
    }
}

impl<'a> Account<'a> {
    /// The processes that a report lacks, and the notes on standard error.
    pub fn new(missing: &'a Missing<'_>, notes: &'a [String]) -> Account<'a> {
        let reasons = missing.reasons();
        Account {
            coverage: CoverageObject {
                listed: missing.coverage.listed(),
                fates: missing.coverage,
                hidepid: missing.hidepid.map(|option| option.trim_start_matches("hidepid=")),
            },
            missing: MissingProcess::all(missing, &reasons),
            reasons: reasons.into_iter().map(ReasonObject::new).collect(),
            notes,
        }
    }
}

impl<'a> MissingProcess<'a> {
    /// The first processes of each reason, by id.
    fn all(missing: &'a Missing<'_>, reasons: &[Reason]) -> Vec<MissingProcess<'a>> {
        let first = |reason: &Reason| {
            let pids = reason.pids.iter().take(MISSING_MAX);
            pids.map(|pid| MissingProcess::new(missing, reason, *pid)).collect::<Vec<_>>()
        };
        let mut all: Vec<MissingProcess<'a>> = reasons.iter().flat_map(first).collect();
        all.sort_by_key(|process| process.pid);
        all
    }

    fn new(missing: &'a Missing<'_>, reason: &Reason, pid: Pid) -> MissingProcess<'a> {
        let errno = if let Fate::Failed(errno) = reason.fate { Some(errno) } else { None };
        let unread = missing.unread;
        let place = unread.binary_search_by_key(&pid, |one| one.pid).ok();
        let unread = place.map(|place| &unread[place]);
        MissingProcess {
            pid,
            fate: reason.fate.label(),
            reason: reason.why.clone(),
            errno: errno.map(|Errno(number)| number),
            error: errno.map(|errno| errno.to_string()),
            glimpse: unread.map(|one| GlimpseFields {
                name: Name(&one.glimpse.comm),
                state: one.glimpse.state,
                known: Known { rss: one.glimpse.rss, swap: one.glimpse.swap },
            }),
        }
    }
}

impl ReasonObject {
    fn new(reason: Reason) -> ReasonObject {
        let Reason { fate, pids, why, remedy } = reason;
        ReasonObject { fate: fate.label(), reason: why, remedy, count: pids.len() }
    }
}

impl<'a> RowLists<'a> {
    fn new(report: &'a Report<'_>) -> RowLists<'a> {
        let programs = report.programs;
        RowLists {
            programs: programs.rows.iter().map(|row| ProgramRow::new(report, row)).collect(),
            rest: programs.rest.as_ref().map(|rest| RestRow::new(report, rest)),
            sharing: programs.sharing.iter().map(|row| SharingRow::new(report, row)).collect(),
            unknown: programs.unknown.iter().map(|row| UnknownRow::new(report, row)).collect(),
            unknown_rest: programs.unknown_rest.map(|rest| {
                let UnknownRest { rows, known, .. } = rest;
                UnknownRestRow { rows, known }
            }),
        }
    }
}

impl<'a> ProgramRow<'a> {
    fn new(report: &Report<'_>, row: &'a Program<'_>) -> ProgramRow<'a> {
        let Program { pid, start_time, count, uid, .. } = *row;
        let cgroup = CgroupFields::new(report, row.cgroup);
        let (name, owner) = (Name(row.name), OwnerFields::new(report, uid));
        let usage = UsageFields { usage: &row.usage, is_total: false };
        let key = report.key(row.name, pid, false);
        let freed_parts = row.freed.as_ref().map(FreedParts::new);
        let charge = ChargeFields::new(row);
        let faults = FaultFields::new(report, row.faults);
        let gpu = GpuFields::new(report, row.gpu);
        let oom = report.oom.map(|_| OomFields::new(row.oom));
        let tree = row.tree.map(|tree| TreeFields {
            depth: tree.depth,
            parent: tree.parent,
            subtree_count: tree.count,
            subtree: row.usage.get(Column::Subtree),
            subtree_swap: row.usage.get(Column::SubtreeSwap),
        });
        ProgramRow {
            name,
            key,
            pid,
            start_time,
            count,
            owner,
            cgroup,
            usage,
            freed_parts,
            charge,
            faults,
            gpu,
            oom,
            tree,
        }
    }
}

impl FaultFields {
    fn new(report: &Report<'_>, row: RowFaults) -> Option<FaultFields> {
        report.has_faults.then(|| FaultFields {
            faults: FaultRate::new(row.since, report.programs.interval),
            major_faults: row.all,
        })
    }
}

impl GpuFields {
    fn new(report: &Report<'_>, memory: Option<GpuMemory>) -> Option<GpuFields> {
        report.has_gpu.then(|| GpuFields { gpu_least: memory.map(|memory| memory.least) })
    }
}

impl FreedParts {
    fn new(freed: &FreedMemory) -> FreedParts {
        let Freed { anon, shmem, hugetlb, droppable, .. } = freed.mapped;
        let (anonymous, shared, swap) = (anon, shmem, freed.swap);
        FreedParts { anonymous, shared, hugetlb, swap, droppable }
    }
}

impl OwnerFields {
    fn new(report: &Report<'_>, uid: Uniform<u32>) -> Option<OwnerFields> {
        report.has_owner.then(|| OwnerFields {
            uid: if let Uniform::Same(uid) = uid { Some(uid) } else { None },
            user: line::user(report.programs, uid).map(|user| lossy(&user)),
        })
    }
}

impl CgroupFields {
    fn new(report: &Report<'_>, path: Uniform<&[u8]>) -> Option<CgroupFields> {
        let path = line::cgroup(path);
        report
            .has_cgroup
            .then(|| CgroupFields { cgroup: path.map(lossy), cgroup_bytes: path.and_then(hex) })
    }
}

impl<'a> RestRow<'a> {
    fn new(report: &Report<'_>, rest: &'a Rest) -> RestRow<'a> {
        let usage = UsageFields { usage: &rest.usage, is_total: false };
        let charge = ChargeSums::new(report, rest.events);
        let faults = FaultFields::new(report, rest.faults);
        let gpu = GpuFields::new(report, rest.gpu);
        RestRow { rows: rest.rows, count: rest.count, usage, charge, faults, gpu }
    }
}

impl<'a> SharingRow<'a> {
    fn new(report: &Report<'_>, row: &'a Sharing<'_>) -> SharingRow<'a> {
        let Sharing { name, pid, owner, owner_pid, count } = *row;
        let key = report.key(name, pid, false);
        SharingRow { name: Name(name), key, pid, count, owner: Name(owner), owner_pid }
    }
}

impl<'a> UnknownRow<'a> {
    fn new(report: &Report<'_>, row: &'a Unknown<'_>) -> UnknownRow<'a> {
        let Unknown { pid, count, uid, cgroup, known, .. } = *row;
        let (name, owner) = (Name(&row.name), OwnerFields::new(report, uid));
        let key = report.key(&row.name, pid, false);
        let cgroup = CgroupFields::new(report, cgroup);
        UnknownRow { name, key, pid, count, owner, cgroup, known }
    }
}

fn fates<S: Serializer>(coverage: &Coverage, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(Fate::ALL.map(|fate| (fate.label(), coverage.get(fate))))
}

impl Serialize for UsageFields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_shown = |column: &Column| match column.kind() {
            _ if Column::TREE.contains(column) => false,
            ColumnKind::Amount => true,
            ColumnKind::Overlapping => !self.is_total,
            ColumnKind::Number | ColumnKind::Text => false,
        };
        let columns = Column::ALL.iter().copied().filter(is_shown);
        serializer.collect_map(columns.map(|column| (column.key(), self.usage.get(column))))
    }
}

/// A document on many lines.
pub fn lines(document: &impl Serialize) -> String {
    whole(serde_json::to_string_pretty(document))
}

/// A document on one line.
pub fn one_line(document: &impl Serialize) -> String {
    whole(serde_json::to_string(document))
}

/// Keys are strings, and a string takes every document: none fails.
fn whole(text: serde_json::Result<String>) -> String {
    debug_assert!(text.is_ok(), "a document has a text");
    escape::json(text.unwrap_or_default()) + "\n"
}

/// A name as text, and its bytes if it is not UTF-8.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a>(pub &'a [u8]);

impl Serialize for Name<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &lossy(self.0))?;
        if let Some(bytes) = hex(self.0) {
            map.serialize_entry("name_bytes", &bytes)?;
        }
        map.end()
    }
}

/// The text, with U+FFFD for bytes that are not UTF-8.
fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// The bytes of a text that is not UTF-8, in hexadecimal.
fn hex(text: &[u8]) -> Option<String> {
    let is_text = std::str::from_utf8(text).is_ok();
    (!is_text).then(|| text.iter().map(|byte| format!("{byte:02x}")).collect())
}
