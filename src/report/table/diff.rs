//! The rows that changed from one report to another, as a table.

use super::TableOptions;
use super::layout::{Cell, Content, Layout};
use super::style::Style;
use crate::program::{Change, Column, Delta, Diff, DiffRow, Presence};
use crate::report::{Unit, plural};
use crate::units::{Kib, labels};

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
    let changes = diff.rows.iter().map(|row| row.amounts.change).chain([diff.total.change]);
    let sizes = changes.flat_map(|change| [change.ram, change.swap]).flatten().map(Delta::size);
    let unit = options.unit.resolve(sizes.max().unwrap_or_default());
    let mut lines = Vec::new();
    if !options.no_header {
        let [ram, swap, count, _] = COLUMNS.map(|column| column.header().to_owned());
        let title = diff.grouping.titles()[1];
        let numbers = [format!("{} {ram}", unit.head()), swap, count];
        lines.push((Style::Strong, None, cells(numbers, Cell::Words(title, title))));
    }
    for row in &diff.rows {
        let change = row.amounts.change;
        let style = if change.ram.is_none() { Style::Warning } else { Style::Plain };
        let name = Cell::Name(options.charset.name(row.name), suffix(row));
        lines.push((style, None, cells(numbers(change, unit), name)));
    }
    if diff.left_out > 0 {
        let how = if diff.leaves_changes_out { "changed less" } else { "alike" };
        let text = format!("({} {how})", plural(diff.left_out, "row"));
        let numbers = [const { String::new() }; 3];
        lines.push((Style::Faint, None, cells(numbers, Cell::Name(String::new(), text))));
    }
    let name = Cell::Words("TOTAL USED BY PROCESSES", "TOTAL");
    lines.push((Style::Strong, Some('#'), cells(numbers(diff.total.change, unit), name)));
    let contents: [Content; COLUMNS.len()] = std::array::from_fn(|place| {
        let column = COLUMNS[place];
        let is_free = column == Column::Name && options.terminal.is_none();
        let widths = lines.iter().map(|(_, _, cells)| cells[place].display_width());
        let widest = if is_free { 0 } else { widths.max().unwrap_or_default() };
        Content { column, head: 0, widest }
    });
    let layout = Layout::new(&contents, options);
    let mut text = String::new();
    for (style, mark, cells) in lines {
        layout.line(&mut text, style, mark, cells);
    }
    text
}

fn cells([ram, swap, count]: [String; 3], name: Cell) -> [Cell; COLUMNS.len()] {
    [Cell::Number(ram), Cell::Number(swap), Cell::Number(count), name]
}

/// The numbers of a line. Without a change of swap or count their cells are empty.
fn numbers(change: Change, unit: Unit) -> [String; 3] {
    let amount = |delta: Option<Delta>| match delta {
        None => "-".to_owned(),
        Some(delta) if delta.size() < unit.least_shown() => unit.format(Kib(0)),
        Some(delta @ Delta(..0)) => format!("-{}", unit.format(delta.size())),
        Some(delta) => format!("+{}", unit.format(delta.size())),
    };
    let is_hidden = |delta: &Delta| delta.size() < unit.least_shown();
    let swap = change.swap.filter(is_hidden).map(|_| String::new());
    let count = if change.count == 0 { String::new() } else { format!("{:+}", change.count) };
    [amount(change.ram), swap.unwrap_or_else(|| amount(change.swap)), count]
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
            Some(Amounts { count, ram: ram.map(Kib), swap: swap.map(Kib) })
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
        let grouping = Grouping::Program;
        let table = Diff { grouping, rows, left_out: 3, leaves_changes_out: true, total };
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
