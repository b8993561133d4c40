//! The rows that changed from one report to another, as a table.

use super::TableOptions;
use super::layout::{Cell, Content, Layout};
use super::style::Style;
use crate::program::{Change, Column, Delta, Diff, DiffRow, Presence};
use crate::report::{Unit, escape, plural};
use crate::units::labels;

const COLUMNS: [Column; 4] = [Column::Ram, Column::Swap, Column::Count, Column::Name];

/// The format of a comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiffFormat {
    /// For people.
    #[default]
    Table,
    /// One document.
    Json,
}

labels!(DiffFormat {
    Table => "table" | "text", "Columns for people";
    Json => "json", "Figures of each row before and after, in bytes";
});

/// The whole table, which has columns of its own.
pub fn diff(diff: &Diff<'_>, options: &TableOptions<'_>) -> String {
    let deltas = diff.rows.iter().map(|row| row.amounts.change()).chain([diff.total.change()]);
    let sizes = deltas.flat_map(|change| [change.ram, change.swap]).flatten().map(Delta::size);
    let unit = options.unit.resolve(sizes.max().unwrap_or_default());
    let table = DiffTable { diff, unit, title: diff.grouping.titles()[1] };
    let mut lines: Vec<DiffLine<'_>> = Vec::new();
    lines.extend((!options.no_header).then_some(DiffLine::Header));
    lines.extend(diff.rows.iter().map(DiffLine::Row));
    lines.extend((diff.left_out > 0).then_some(DiffLine::LeftOut));
    lines.push(DiffLine::Total);
    let contents = COLUMNS.map(|column| {
        let is_free = column == Column::Name && options.terminal.is_none();
        let widths = lines.iter().map(|line| table.cell(line, column).display_width());
        let widest = if is_free { 0 } else { widths.max().unwrap_or_default() };
        Content { column, head: 0, widest }
    });
    let layout = Layout::new(&contents, options.terminal, options.is_colored);
    let mut text = String::new();
    for line in &lines {
        let mark = matches!(line, DiffLine::Total).then_some('#');
        layout.line(&mut text, line.style(), mark, |column| table.cell(line, column));
    }
    text
}

enum DiffLine<'a> {
    Header,
    Row(&'a DiffRow<'a>),
    LeftOut,
    Total,
}

impl DiffLine<'_> {
    fn style(&self) -> Style {
        match self {
            DiffLine::Header | DiffLine::Total => Style::Strong,
            DiffLine::Row(row) if row.amounts.change().ram.is_none() => Style::Warning,
            DiffLine::Row(_) => Style::Plain,
            DiffLine::LeftOut => Style::Faint,
        }
    }
}

struct DiffTable<'a> {
    diff: &'a Diff<'a>,
    unit: Unit,
    title: &'static str,
}

impl DiffTable<'_> {
    fn cell(&self, line: &DiffLine<'_>, column: Column) -> Cell {
        match (line, column) {
            (DiffLine::Header, Column::Name) => Cell::Words(self.title, self.title),
            (DiffLine::Header, Column::Ram) => Cell::Number(format!("{} RAM", self.unit.head())),
            (DiffLine::Header, _) => Cell::Number(column.header().to_owned()),
            (DiffLine::Row(row), Column::Name) => {
                Cell::Name(escape::name(&row.row.name), suffix(row))
            }
            (DiffLine::Row(row), _) => Cell::Number(self.number(row.amounts.change(), column)),
            (DiffLine::LeftOut, Column::Name) => {
                let rows = plural(self.diff.left_out, "row");
                let how = if self.diff.leaves_changes_out { "changed less" } else { "alike" };
                Cell::Name(String::new(), format!("({rows} {how})"))
            }
            (DiffLine::LeftOut, _) => Cell::Number(String::new()),
            (DiffLine::Total, Column::Name) => Cell::Words("TOTAL USED BY PROCESSES", "TOTAL"),
            (DiffLine::Total, _) => Cell::Number(self.number(self.diff.total.change(), column)),
        }
    }

    fn number(&self, change: Change, column: Column) -> String {
        let delta = match column {
            Column::Count if change.count == 0 => return String::new(),
            Column::Count => return format!("{:+}", change.count),
            Column::Ram => change.ram,
            _ => change.swap,
        };
        match delta {
            None => "-".to_owned(),
            Some(Delta(0)) if column == Column::Swap => String::new(),
            Some(delta) => {
                let sign = match delta {
                    Delta(..0) => "-",
                    Delta(0) => "",
                    Delta(_) => "+",
                };
                format!("{sign}{}", self.unit.format(delta.size()))
            }
        }
    }
}

/// The text behind a name.
fn suffix(row: &DiffRow<'_>) -> String {
    let presence = match row.amounts.presence() {
        Presence::Stayed => None,
        Presence::New => Some("new".to_owned()),
        Presence::Gone => Some("gone".to_owned()),
    };
    let pid = row.row.pid.map(|pid| pid.to_string());
    let words: Vec<String> = pid.into_iter().chain(presence).collect();
    if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{Amounts, BeforeAfter, Grouping, SnapshotRow};
    use crate::units::{Kib, Pid};

    #[test]
    fn amounts_have_signs_unless_they_are_unknown() {
        let amounts = |count, ram: Option<u64>, swap: Option<u64>| {
            Some(Amounts { count, ram: ram.map(Kib), swap: swap.map(Kib) })
        };
        let row = |name: &str, pid| SnapshotRow {
            name: name.into(),
            pid,
            start_time: None,
            amounts: Amounts::default(),
        };
        let rows = [row("stuck", None), row("old\n", None), row("one", Some(Pid(7)))];
        let looks = [
            BeforeAfter { before: amounts(1, Some(7), Some(0)), after: amounts(1, None, None) },
            BeforeAfter { before: amounts(2, Some(2048), Some(0)), after: None },
            BeforeAfter { before: None, after: amounts(1, Some(512), Some(1024)) },
        ];
        let (before, after) = (amounts(9, None, Some(0)), amounts(8, Some(1), Some(1024)));
        let rows = rows.iter().zip(looks).map(|(row, amounts)| DiffRow { row, amounts }).collect();
        let total = BeforeAfter { before, after };
        let grouping = Grouping::Program;
        let table = Diff { grouping, rows, left_out: 3, leaves_changes_out: true, total };
        let text = diff(&table, &TableOptions::default());
        let expected = [
            "   MiB RAM   SWAPPED  COUNT  PROCESS",
            "         -         -         stuck",
            "      -2.0               -2  old\\n (gone)",
            "      +0.5      +1.0     +1  one (7, new)",
            "                             (3 rows changed less)",
            "#        -      +1.0     -1  TOTAL USED BY PROCESSES",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }
}
