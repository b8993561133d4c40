//! The table of what grew and shrank from one report to another.

use super::layout::{Cell, Content, Layout};
use super::style::Style;
use crate::program::{BeforeAfter, Change, Column, Delta, Diff, DiffRow, Grouping, Presence};
use crate::report::{Unit, escape, plural};
use crate::units::labels;

const COLUMNS: [Column; 4] = [Column::Ram, Column::Swap, Column::Count, Column::Name];

/// What form a comparison has.
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
    Json => "json", "What each row had before and after, in bytes";
});

/// How the table is to look.
#[derive(Clone, Copy, Debug)]
pub struct DiffTableOptions {
    /// What the rows are.
    pub grouping: Grouping,
    /// Whether rows are left out though they changed as much as is shown.
    pub leaves_out: bool,
    /// The unit of all amounts.
    pub unit: Unit,
    /// Whether the head is left out.
    pub no_header: bool,
    /// The columns of the terminal it is for.
    pub terminal: Option<usize>,
    /// Whether there is colour.
    pub is_colored: bool,
}

/// The whole table, with the sums of both reports.
pub fn diff(diff: &Diff, total: &BeforeAfter, options: DiffTableOptions) -> String {
    let total = total.change();
    let deltas = diff.rows.iter().map(|row| row.looks.change()).chain([total]);
    let sizes = deltas.flat_map(|change| [change.ram, change.swap]).flatten().map(Delta::size);
    let unit = options.unit.resolve(sizes.max().unwrap_or_default());
    let table = Table { unit, total, title: options.grouping.titles()[1] };
    let mut lines: Vec<Line<'_>> = diff.rows.iter().map(Line::Row).collect();
    let how = if options.leaves_out { "changed less" } else { "alike" };
    lines.extend((diff.alike > 0).then_some(Line::Alike(diff.alike, how)));
    lines.push(Line::Total);
    if !options.no_header {
        lines.insert(0, Line::Head);
    }
    let contents = COLUMNS.map(|column| {
        let is_free = column == Column::Name && options.terminal.is_none();
        let widths = lines.iter().map(|line| table.cell(line, column).display_width());
        let widest = if is_free { 0 } else { widths.max().unwrap_or_default() };
        Content { column, head: 0, widest }
    });
    let layout = Layout::new(&contents, options.terminal, options.is_colored);
    let mut text = String::new();
    for line in &lines {
        let mark = matches!(line, Line::Total).then_some('#');
        layout.line(&mut text, line.style(), mark, |column| table.cell(line, column));
    }
    text
}

enum Line<'a> {
    Head,
    Row(&'a DiffRow),
    Alike(usize, &'static str),
    Total,
}

impl Line<'_> {
    fn style(&self) -> Style {
        match self {
            Line::Head | Line::Total => Style::Strong,
            Line::Row(row) if row.looks.change().ram.is_none() => Style::Warning,
            Line::Row(_) => Style::Plain,
            Line::Alike(..) => Style::Faint,
        }
    }
}

struct Table {
    unit: Unit,
    total: Change,
    title: &'static str,
}

impl Table {
    fn cell(&self, line: &Line<'_>, column: Column) -> Cell {
        match (line, column) {
            (Line::Head, Column::Name) => Cell::Words(self.title, self.title),
            (Line::Head, Column::Ram) => Cell::Number(format!("{} RAM", self.unit.head())),
            (Line::Head, _) => Cell::Number(column.definition().head.to_owned()),
            (Line::Row(row), Column::Name) => Cell::Name(escape::name(&row.name), behind(row)),
            (Line::Row(row), _) => Cell::Number(self.number(row.looks.change(), column)),
            (Line::Alike(rows, how), Column::Name) => {
                Cell::Name(String::new(), format!("({} {how})", plural(*rows, "row")))
            }
            (Line::Alike(..), _) => Cell::Number(String::new()),
            (Line::Total, Column::Name) => Cell::Words("TOTAL USED BY PROCESSES", "TOTAL"),
            (Line::Total, _) => Cell::Number(self.number(self.total, column)),
        }
    }

    fn number(&self, change: Change, column: Column) -> String {
        let amount = match column {
            Column::Count if change.count == 0 => return String::new(),
            Column::Count => return format!("{:+}", change.count),
            Column::Ram => change.ram,
            _ => change.swap,
        };
        match amount {
            None => "-".to_owned(),
            // Nothing swapped in or out is nothing to look at.
            Some(Delta(0)) if column == Column::Swap => String::new(),
            Some(delta) => self.signed(delta),
        }
    }

    fn signed(&self, delta: Delta) -> String {
        let sign = match delta {
            Delta(0) => "",
            Delta(1..) => "+",
            Delta(_) => "-",
        };
        format!("{sign}{}", self.unit.format(delta.size()))
    }
}

/// What stands behind the name.
fn behind(row: &DiffRow) -> String {
    let pid = row.identity.pid().map(|pid| pid.to_string());
    let has_both = row.presence == Presence::Stayed;
    let presence = (!has_both).then(|| row.presence.word().to_owned());
    let words: Vec<String> = pid.into_iter().chain(presence).collect();
    if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{Amounts, Identity};
    use crate::units::{Kib, Pid};

    #[test]
    fn signs_stand_before_amounts_and_nothing_before_what_nobody_knows() {
        let amounts = |count, ram: Option<u64>, swap: Option<u64>| Amounts {
            count,
            ram: ram.map(Kib),
            swap: swap.map(Kib),
        };
        let row = |name: &str, identity, presence, looks| DiffRow {
            identity,
            name: name.into(),
            presence,
            looks,
        };
        let named = |name: &str| Identity::Name(name.into());
        let none = Amounts::NOTHING;
        let process = Identity::Process(Pid(7), Some(3));
        let rows = vec![
            row(
                "dark",
                named("dark"),
                Presence::Stayed,
                BeforeAfter { before: amounts(1, Some(7), Some(0)), after: amounts(1, None, None) },
            ),
            row(
                "old\n",
                named("old"),
                Presence::Gone,
                BeforeAfter { before: amounts(2, Some(2048), Some(0)), after: none },
            ),
            row(
                "one",
                process,
                Presence::New,
                BeforeAfter { before: none, after: amounts(1, Some(512), Some(1024)) },
            ),
        ];
        let (before, after) = (amounts(9, None, Some(0)), amounts(8, Some(1), Some(1024)));
        let total = BeforeAfter { before, after };
        let options = DiffTableOptions {
            grouping: Grouping::Program,
            leaves_out: true,
            unit: Unit::default(),
            no_header: false,
            terminal: None,
            is_colored: false,
        };
        let text = diff(&Diff { rows, alike: 3 }, &total, options);
        let expected = [
            "   MiB RAM   SWAPPED  COUNT  PROCESS",
            "         -         -         dark",
            "      -2.0               -2  old\\n (gone)",
            "      +0.5      +1.0     +1  one (7, new)",
            "                             (3 rows changed less)",
            "#        -      +1.0     -1  TOTAL USED BY PROCESSES",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }
}
