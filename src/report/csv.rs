//! CSV, for programs and spreadsheets (RFC 4180): a head, a record for each line of the table, and
//! CR and LF behind each. The first field says what kind of line it is; amounts are in bytes, and
//! what nobody knows is an empty field.

use super::table::{bar, percent};
use super::{Report, Unit, escape, labels};
use crate::program::{Column, ColumnKind, Program, Programs, Uniform, Usage};
use crate::units::{Kib, Pid};

/// The columns that are shown unless somebody says otherwise: those of the table, and what stands
/// there behind the name.
pub const CSV_COLUMNS: [Column; 6] =
    [Column::Ram, Column::Shared, Column::Swap, Column::Count, Column::Pid, Column::Name];

/// The whole text.
pub fn csv(report: &Report<'_>, no_header: bool) -> String {
    let columns = report.columns;
    let mut text = String::new();
    if !no_header {
        let words = columns.iter().map(|column| column.definition().word.replace('-', "_"));
        write(&mut text, ["row".to_owned()].into_iter().chain(words));
    }
    let wholes = Wholes::of(report.programs);
    let mut line = |line: &Line<'_>| {
        let fields = columns.iter().map(|column| line.field(report.programs, wholes, *column));
        write(&mut text, [line.kind.to_owned()].into_iter().chain(fields));
    };
    if !report.is_total {
        each_row(report, &mut line);
    }
    let total = report.programs.total.as_ref();
    line(&Line { usage: total, count: Some(report.programs.count), ..Line::of("total") });
    text
}

/// Tells every line but that of the sum.
fn each_row(report: &Report<'_>, tell: &mut impl FnMut(&Line<'_>)) {
    let programs = report.programs;
    for row in &programs.rows {
        let (usage, count) = (Some(&row.usage), Some(row.count));
        let Program { pid, name, uid, cgroup, .. } = *row;
        tell(&Line { usage, count, pid, name, uid, cgroup, ..Line::of("program") });
    }
    if let Some(rest) = &programs.rest {
        tell(&Line { usage: Some(&rest.usage), count: Some(rest.count), ..Line::of("rest") });
    }
    for row in &programs.sharing {
        let count = Some(row.count);
        tell(&Line { count, pid: row.pid, name: row.name, ..Line::of("sharing") });
    }
    for row in &programs.unknown {
        let count = Some(row.count);
        let (pid, uid) = (row.pid, row.uid);
        tell(&Line { count, pid, name: &row.name, uid, ..Line::of("unknown") });
    }
    if programs.unknown_rest.is_some() {
        tell(&Line::of("unknown-rest"));
    }
}

/// What shares are parts of, 0 where nobody knows.
#[derive(Clone, Copy)]
struct Wholes {
    /// RAM of all rows.
    total: Kib,
    /// RAM of the biggest one.
    biggest: Kib,
}

impl Wholes {
    fn of(programs: &Programs<'_>) -> Wholes {
        let total = programs.total.and_then(|total| total.get(Column::Ram)).unwrap_or_default();
        let rows = programs.rows.iter().map(|row| row.usage.get(Column::Ram));
        Wholes { total, biggest: rows.max().flatten().unwrap_or_default() }
    }
}

/// A record, before it has columns.
struct Line<'a> {
    kind: &'static str,
    usage: Option<&'a Usage>,
    count: Option<u64>,
    pid: Option<Pid>,
    name: &'a [u8],
    uid: Uniform<u32>,
    cgroup: Uniform<&'a [u8]>,
}

impl Line<'_> {
    fn of(kind: &'static str) -> Line<'static> {
        let (uid, cgroup) = (Uniform::Unknown, Uniform::Unknown);
        Line { kind, usage: None, count: None, pid: None, name: b"", uid, cgroup }
    }

    fn field(&self, programs: &Programs<'_>, wholes: Wholes, column: Column) -> String {
        let amount = |column| self.usage.and_then(|usage| usage.get(column));
        let Wholes { total, biggest } = wholes;
        match column {
            Column::Count => self.count.map_or_else(String::new, |count| count.to_string()),
            Column::Pid => self.pid.map_or_else(String::new, |pid| pid.to_string()),
            Column::Name => escape::formula(escape::name(self.name)),
            Column::User => {
                let user = labels::user(programs, self.uid).unwrap_or_default();
                escape::formula(escape::name(&user))
            }
            Column::Cgroup => {
                escape::formula(escape::name(labels::cgroup(self.cgroup).unwrap_or_default()))
            }
            Column::Percent => percent(amount(Column::Ram), total).unwrap_or_default(),
            Column::Bar if self.kind != "program" => String::new(),
            Column::Bar => {
                bar(amount(Column::Ram).unwrap_or_default(), biggest).trim_end().to_owned()
            }
            _ if self.kind == "total" && column.definition().kind == ColumnKind::Overlapping => {
                String::new()
            }
            _ => amount(column).map_or_else(String::new, |kib: Kib| Unit::Bytes.format(kib)),
        }
    }
}

/// Adds a record. A field stands in quotation marks where the grammar wants it.
fn write(text: &mut String, fields: impl Iterator<Item = String>) {
    for (place, field) in fields.enumerate() {
        if place > 0 {
            text.push(',');
        }
        if field.contains([',', '"', '\r', '\n']) {
            text.extend(["\"", &field.replace('"', "\"\""), "\""]);
        } else {
            text.push_str(&field);
        }
    }
    text.push_str("\r\n");
}
