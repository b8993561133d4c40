//! The rows that changed from one report to another, as a table.

use super::TableOptions;
use super::layout::{Cell, Content, Layout};
use super::style::Style;
use crate::program::{Change, Column, Delta, Diff, DiffRow, EventsChange, Presence};
use crate::report::{Unit, faults, plural};
use crate::units::{Kib, labels};

/// The columns. RAM, SWAPPED, COUNT and names are always shown, the others if both reports have
/// them. Most reports have LAZYFREE: it is shown if the unit shows a change.
const COLUMNS: [Column; 11] = [
    Column::Ram,
    Column::Swap,
    Column::Charged,
    Column::CgSwap,
    Column::PageTables,
    Column::Gpu,
    Column::LazyFree,
    Column::Count,
    Column::Events,
    Column::Faults,
    Column::Name,
];

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
    let changes = || diff.rows.iter().map(|row| row.amounts.change).chain([diff.total.change]);
    let amounts = changes().flat_map(|change| COLUMNS.map(|column| change.get(column)));
    let unit = options.unit.resolve(amounts.flatten().map(Delta::size).max().unwrap_or_default());
    let is_shown = |column: &Column| match column {
        Column::Charged | Column::CgSwap | Column::PageTables | Column::Gpu => {
            changes().any(|change| change.get(*column).is_some())
        }
        Column::LazyFree => {
            changes().filter_map(|change| change.lazyfree).any(|delta| !is_hidden(delta, unit))
        }
        Column::Events => changes().any(|change| change.events.is_some()),
        Column::Faults => changes().any(|change| change.faults.is_some()),
        _ => true,
    };
    let columns: Vec<Column> = COLUMNS.into_iter().filter(is_shown).collect();
    let mut lines = Vec::new();
    if !options.no_header {
        let title = diff.words.title;
        let heads = columns.iter().map(|column| match column {
            Column::Ram => Cell::Number(format!("{} {}", unit.head(), column.header())),
            Column::Name => Cell::Words(title, title),
            Column::Count => Cell::Number(diff.words.count.to_owned()),
            column => Cell::Number(column.header().to_owned()),
        });
        lines.push((Style::Strong, None, heads.collect()));
    }
    for row in &diff.rows {
        let change = row.amounts.change;
        let style = if change.ram.is_none() { Style::Warning } else { Style::Plain };
        let name = Cell::Name(options.charset.name(row.name), suffix(row));
        lines.push((style, None, cells(&columns, change, unit, name)));
    }
    if diff.left_out > 0 {
        let how = if diff.leaves_changes_out { "changed less" } else { "alike" };
        let text = format!("({} {how})", plural(diff.left_out, "row"));
        let mut cells: Vec<Cell> = columns.iter().map(|_| Cell::Number(String::new())).collect();
        cells.pop();
        cells.push(Cell::Name(String::new(), text));
        lines.push((Style::Faint, None, cells));
    }
    let name = Cell::Words("TOTAL USED BY PROCESSES", "TOTAL");
    lines.push((Style::Strong, Some('#'), cells(&columns, diff.total.change, unit, name)));
    let contents = columns.iter().enumerate().map(|(place, column)| {
        let column = *column;
        let is_free = column == Column::Name && options.terminal.is_none();
        let widths = lines.iter().map(|(_, _, cells)| cells[place].display_width());
        let widest = if is_free { 0 } else { widths.max().unwrap_or_default() };
        let is_name = column == Column::Name;
        Content { kind: column.kind(), is_name, head: 0, widest }
    });
    let layout = Layout::new(&contents.collect::<Vec<_>>(), options);
    let mut text = String::new();
    for (style, mark, cells) in lines {
        layout.line(&mut text, style, mark, cells);
    }
    text
}

/// The cells of a line. Without a change of swap, count or events their cells are empty.
fn cells(columns: &[Column], change: Change, unit: Unit, name: Cell) -> Vec<Cell> {
    let is_total = matches!(name, Cell::Words(..));
    let amount = |delta: Option<Delta>| match delta {
        None => "-".to_owned(),
        Some(delta) if is_hidden(delta, unit) => unit.format(Kib(0)),
        Some(delta @ Delta(..0)) => format!("-{}", unit.format(delta.size())),
        Some(delta) => format!("+{}", unit.format(delta.size())),
    };
    let or_empty = |delta: Option<Delta>| match delta {
        Some(delta) if is_hidden(delta, unit) => String::new(),
        delta => amount(delta),
    };
    let number = |column: &Column| match column {
        Column::Ram => amount(change.ram),
        // No total has it.
        Column::LazyFree if is_total => String::new(),
        column if column.is_amount() => or_empty(change.get(*column)),
        Column::Events => change.events.map_or_else(|| "-".to_owned(), |events| changed(&events)),
        Column::Faults => match change.faults {
            None => "-".to_owned(),
            Some(rate) if rate.count == 0 => String::new(),
            Some(rate) => faults::per_second(rate),
        },
        _ if change.count == 0 => String::new(),
        _ => format!("{:+}", change.count),
    };
    let numbers = columns.iter().filter(|column| **column != Column::Name);
    numbers.map(|column| Cell::Number(number(column))).chain([name]).collect()
}

/// Whether the unit shows a difference as 0.
fn is_hidden(delta: Delta, unit: Unit) -> bool {
    delta.size() < unit.least_shown()
}

/// `max +3 oom_kill +1`
fn changed(events: &EventsChange) -> String {
    let changed = events.0.iter().filter_map(|(event, change)| {
        let change = change.filter(|change| *change != 0)?;
        Some(format!("{event} {change:+}"))
    });
    changed.collect::<Vec<_>>().join(" ")
}

/// The suffix of a name.
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
    use crate::units::Pid;

    #[test]
    fn amounts_have_signs_unless_they_are_unknown() {
        let amounts = |count, ram: Option<u64>, swap: Option<u64>| {
            let (ram, swap) = (ram.map(Kib), swap.map(Kib));
            Some(Amounts { count, ram, swap, ..Amounts::default() })
        };
        let row = |name: &str, pid| SnapshotRow {
            key: Vec::new(),
            name: name.into(),
            pid,
            start_time: None,
            amounts: Amounts::default(),
        };
        let rows =
            [row("stuck", None), row("old\n", None), row("small", None), row("one", Some(Pid(7)))];
        let changes = [
            BeforeAfter::new(amounts(1, Some(7), Some(0)), amounts(1, None, None)),
            BeforeAfter::new(amounts(2, Some(2048), Some(0)), None),
            // 51 KiB are 0.0 MiB, without a sign.
            BeforeAfter::new(amounts(1, Some(60), Some(51)), amounts(2, Some(9), Some(0))),
            BeforeAfter::new(None, amounts(1, Some(512), Some(1024))),
        ];
        let (before, after) = (amounts(9, None, Some(0)), amounts(8, Some(1), Some(1024)));
        let rows = rows.iter().zip(changes).map(|(row, amounts)| DiffRow {
            row,
            name: &row.name,
            amounts,
        });
        let rows = rows.collect();
        let total = BeforeAfter::new(before, after);
        let words = Grouping::Program.words();
        let table = Diff { words, rows, left_out: 3, leaves_changes_out: true, total };
        let text = diff(&table, &TableOptions::default());
        let expected = [
            "   MiB RAM   SWAPPED  COUNT  PROCESS",
            "         -         -         stuck",
            "      -2.0               -2  old\\n (gone)",
            "       0.0               +1  small",
            "      +0.5      +1.0     +1  one (7, new)",
            "                             (3 rows changed less)",
            "#        -      +1.0     -1  TOTAL USED BY PROCESSES",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }
}
