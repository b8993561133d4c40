//! CSV for programs and spreadsheets (RFC 4180): a header, one record for each line of the table,
//! CR and LF behind each.
//!
//! The first field is the kind of the line, the last one the key of its name. Amounts are in bytes,
//! and an empty field is unknown.

use super::line::{Line, Scale};
use super::{Report, Unit, charge, escape, faults, oom};
use crate::program::Column;
use crate::units::Labelled;

/// The default columns: those of the table, and the numbers that it adds to names.
pub const CSV_COLUMNS: [Column; 6] =
    [Column::Ram, Column::Shared, Column::Swap, Column::Count, Column::Pid, Column::Name];

/// The same of rows in a tree.
pub const CSV_TREE_COLUMNS: [Column; 8] = [
    Column::Ram,
    Column::Subtree,
    Column::Shared,
    Column::Swap,
    Column::Pid,
    Column::Parent,
    Column::Depth,
    Column::Name,
];

/// The whole text, for a terminal or for programs.
pub fn csv(report: &Report<'_>, no_header: bool, is_terminal: bool) -> String {
    let programs = report.programs;
    let mut text = String::new();
    if !no_header {
        let keys = report.columns.iter().flat_map(|column| {
            [column.key()].into_iter().chain(mark_key(*column, report).map(str::to_owned))
        });
        csv_record(&mut text, ["row".to_owned()].into_iter().chain(keys).chain(["key".to_owned()]));
    }
    let scale = Scale::new(programs);
    let foreign = |bytes: &[u8]| escape::csv(escape::field(bytes, is_terminal));
    let is_shown = |line: &Line<'_>| !report.is_total || matches!(line, Line::Total(..));
    for line in Line::all(programs).filter(is_shown) {
        let field_of = |column: &Column| match *column {
            Column::Name => foreign(line.name()),
            Column::User | Column::Cgroup => {
                let owner = line.owner(*column, programs);
                owner.map(|owner| foreign(&owner)).unwrap_or_default()
            }
            Column::Events => {
                line.events(programs).map_or_else(String::new, |events| charge::all_events(&events))
            }
            Column::Oom => line
                .oom()
                .and_then(|oom| oom.score)
                .map_or_else(String::new, |score| score.to_string()),
            Column::Faults => line.faults(programs).map_or_else(String::new, faults::per_second),
            column => field(scale, line, column).unwrap_or_default(),
        };
        let fields = report.columns.iter().flat_map(|column| {
            [field_of(column)]
                .into_iter()
                .chain(mark_key(*column, report).map(|_| mark(line, *column)))
        });
        let name = Some(line.name()).filter(|_| line.is_named());
        let key = name.map(|name| report.key(name, line.pid(), is_terminal));
        let key = escape::csv(key.unwrap_or_default());
        csv_record(&mut text, [kind(line).to_owned()].into_iter().chain(fields).chain([key]));
    }
    text
}

/// The key of the marks that the table has in or behind a column: here they have a field.
fn mark_key(column: Column, report: &Report<'_>) -> Option<&'static str> {
    match column {
        Column::Limit => Some("limit_kind"),
        Column::Left if !report.columns.contains(&Column::Limit) => Some("limit_kind"),
        Column::Charged => Some("charged_elsewhere"),
        Column::Oom => Some("oom_marks"),
        _ => None,
    }
}

/// The marks of a line, empty if unknown.
fn mark(line: Line<'_>, column: Column) -> String {
    match (line, column) {
        (Line::Program(row), Column::Charged) => {
            row.is_charged_elsewhere().map_or_else(String::new, |is_so| is_so.to_string())
        }
        (Line::Program(row), Column::Left | Column::Limit) => {
            let limit = row.charge.and_then(|charge| charge.limit);
            limit.map_or_else(String::new, |level| level.limit.kind.label().to_owned())
        }
        (_, Column::Oom) => line.oom().map_or_else(String::new, oom::marks),
        _ => String::new(),
    }
}

fn kind(line: Line<'_>) -> &'static str {
    match line {
        Line::Program(_) => "program",
        Line::Rest(_) => "rest",
        Line::Sharing(_) => "sharing",
        Line::Unknown(_) => "unknown",
        Line::UnknownRest(_) => "unknown-rest",
        Line::Total(..) => "total",
    }
}

/// A field without foreign bytes; `None` is unknown.
fn field(scale: Scale, line: Line<'_>, column: Column) -> Option<String> {
    match column {
        Column::Count => line.count().map(|count| count.to_string()),
        Column::Parent => line.tree()?.parent.map(|pid| pid.to_string()),
        Column::Depth => line.tree().map(|tree| tree.depth.to_string()),
        Column::Pid => line.pid().map(|pid| pid.to_string()),
        Column::Pressure => line.pressure_percent(),
        Column::Percent => scale.percent(line.amount(Column::Ram)),
        _ if !line.has(column) => None,
        _ => line.amount(column).map(|kib| Unit::Bytes.format(kib)),
    }
}

/// Adds a record. A field is quoted if the grammar requires it.
pub fn csv_record(text: &mut String, fields: impl Iterator<Item = String>) {
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
