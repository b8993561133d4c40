//! The table for people. By default it has the columns of psm, and the biggest row is next to the
//! prompt.
//!
//! - `layout` the widths of columns
//! - `style`  colours
//! - `diff`   the table of two reports compared
//! - `host`   host memory, below the table
#![forbid(unsafe_code)]

mod diff;
mod host;
mod layout;
mod style;

pub use self::diff::{DiffFormat, diff};
pub use self::host::host;
pub use self::layout::{Cell, Content, Layout, cut, cut_front, cut_line, wrap};
pub use self::style::{Color, Style};
use crate::program::{
    Column, Grouping, Known, Obstacle, Program, Programs, Sharing, Snapshot, UnknownRest, Usage,
};
use crate::report::escape::Charset;
use crate::report::line::{BAR, Line, Scale};
use crate::report::{Unit, charge, escape, faults, oom};
use crate::units::{Kib, Labelled};

/// The columns of psm.
pub const COLUMNS: [Column; 4] = [Column::Ram, Column::Shared, Column::Swap, Column::Name];

/// The same of rows in a tree.
pub const TREE_COLUMNS: [Column; 5] =
    [Column::Ram, Column::Subtree, Column::Shared, Column::Swap, Column::Name];

/// The blanks in front of the name of a row in a tree, for each row above; at most this many rows
/// count.
const INDENT: &str = "  ";
const DEPTH_MAX: usize = 16;

/// The look of a table.
#[derive(Clone, Debug)]
pub struct TableOptions<'a> {
    /// The columns from left to right, each at most once.
    pub columns: &'a [Column],
    /// The unit of all amounts.
    pub unit: Unit,
    /// Whether the table has no header.
    pub no_header: bool,
    /// The width of the terminal, to which names are cut.
    pub terminal: Option<usize>,
    /// Whether lines have colours.
    pub is_colored: bool,
    /// The characters of the locale.
    pub charset: Charset,
    /// The last report: rows that changed since have a mark, `+`, `-`, or `*` if they are new.
    pub before: Option<&'a Snapshot>,
}

impl Default for TableOptions<'_> {
    fn default() -> Self {
        TableOptions {
            columns: &COLUMNS,
            unit: Unit::default(),
            no_header: false,
            terminal: None,
            is_colored: false,
            charset: Charset::default(),
            before: None,
        }
    }
}

/// The whole table.
pub fn table(programs: &Programs<'_>, options: &TableOptions<'_>) -> String {
    let table = Table::new(programs, options);
    let layout = table.layout();
    let mut text = String::new();
    if !options.no_header {
        let cells = options.columns.iter().map(|column| table.header(*column));
        layout.line(&mut text, Style::Strong, None, cells);
    }
    let room = layout.name_room();
    for line in Line::all(programs) {
        let cells = options.columns.iter().map(|column| table.cell(line, *column, room));
        layout.line(&mut text, style(line), table.mark(line), cells);
    }
    text
}

/// The total RAM as one number on a line, followed by the unit if the number chose it.
pub fn total(ram: Kib, unit: Unit) -> String {
    match unit {
        Unit::Auto => {
            let unit = unit.resolve(ram);
            format!("{} {}\n", unit.format(ram), unit.head())
        }
        unit => format!("{}\n", unit.format(ram)),
    }
}

struct Table<'a> {
    programs: &'a Programs<'a>,
    options: &'a TableOptions<'a>,
    unit: Unit,
    scale: Scale,
}

/// RAM of processes that were measured, which is known.
fn ram(usage: &Usage) -> Kib {
    usage.get(Column::Ram).unwrap_or_default()
}

fn style(line: Line<'_>) -> Style {
    match line {
        Line::Program(_) => Style::Plain,
        Line::Rest(_) | Line::Sharing(_) => Style::Faint,
        Line::Unknown(_) | Line::UnknownRest(_) => Style::Warning,
        Line::Total(..) => Style::Strong,
    }
}

impl<'a> Table<'a> {
    fn new(programs: &'a Programs<'a>, options: &'a TableOptions<'a>) -> Table<'a> {
        let scale = Scale::new(programs);
        let total = |column| programs.total.as_ref().and_then(|total| total.get(column));
        let [ram, swap] = [Column::Ram, Column::Swap].map(total);
        let unit = options.unit.resolve(ram.max(swap).unwrap_or_default());
        Table { programs, options, unit, scale }
    }

    fn layout(&self) -> Layout {
        let TableOptions { columns, no_header, terminal, .. } = *self.options;
        let content = |column: &Column| {
            // No column follows the last one.
            let is_free = columns.last() == Some(column) && terminal.is_none();
            let widest = if is_free { 0 } else { self.widest(*column) };
            let head = if no_header { 0 } else { self.header(*column).display_width() };
            Content { kind: column.kind(), is_name: *column == Column::Name, head, widest }
        };
        let contents: Vec<Content> = columns.iter().map(content).collect();
        Layout::new(&contents, self.options)
    }

    /// The width of the widest cell of a column.
    fn widest(&self, column: Column) -> usize {
        let lines = Line::all(self.programs);
        if column.is_amount() {
            let biggest = lines.filter_map(|line| line.amount(column)).max();
            return self.unit.format(biggest.unwrap_or_default()).len();
        }
        let widths = lines.map(|line| self.cell(line, column, None).display_width());
        widths.max().unwrap_or_default()
    }

    fn header(&self, column: Column) -> Cell {
        let head = column.header();
        let is_first_amount = self.options.columns.iter().find(|one| one.is_amount());
        match column {
            Column::Name => {
                let [numbered, title] = self.programs.grouping.titles();
                Cell::Words(self.suffix_column().map_or(title, |_| numbered), title)
            }
            Column::User | Column::Cgroup => Cell::Name(head.to_owned(), String::new()),
            Column::Bar => Cell::Number(" ".repeat(BAR)),
            _ if is_first_amount == Some(&column) => {
                Cell::Number(format!("{} {head}", self.unit.head()))
            }
            _ => Cell::Number(head.to_owned()),
        }
    }

    /// The mark in front of a line: `#` for the total, or the change of a row since the last
    /// report, if the table shows that its RAM changed.
    fn mark(&self, line: Line<'_>) -> Option<char> {
        let row = match line {
            Line::Program(row) => row,
            Line::Total(..) => return Some('#'),
            _ => return None,
        };
        let before = self.options.before?;
        let Some(then) = before.row(self.programs, row) else {
            return before.is_new(self.programs, row).then_some('*');
        };
        let (then, now) = (then.amounts.ram?, ram(&row.usage));
        let is_shown = self.unit.format(then) != self.unit.format(now);
        is_shown.then_some(if now > then { '+' } else { '-' })
    }

    fn cell(&self, line: Line<'_>, column: Column, room: Option<usize>) -> Cell {
        let usage = line.usage();
        Cell::Number(match (column, line) {
            (Column::Name, _) => return self.name(line, room),
            (Column::User | Column::Cgroup, _) => {
                let is_unknown =
                    matches!(line, Line::Program(_) | Line::Unknown(_) | Line::UnknownRest(_));
                let unknown = if is_unknown { "-" } else { "" };
                let owner = line.owner(column, self.programs);
                let named = |owner: Vec<u8>| self.options.charset.name(&owner);
                let owner = owner.map_or_else(|| unknown.to_owned(), named);
                return Cell::Name(owner, String::new());
            }
            (Column::Count, _) => line.count().map_or_else(String::new, |count| count.to_string()),
            (Column::Pid, Line::Rest(_) | Line::UnknownRest(_) | Line::Total(..)) => String::new(),
            (Column::Pid, Line::Program(row)) if row.count == 0 => "-".to_owned(),
            (Column::Pid, _) => line.pid().map_or_else(|| "*".to_owned(), |pid| pid.to_string()),
            (Column::Parent | Column::Depth, _) => tree_number(line, column),
            (Column::Bar, Line::Program(row)) => {
                self.scale.bar(ram(&row.usage), self.options.charset)
            }
            (Column::Bar, _) => String::new(),
            _ if !line.has(column) => String::new(),
            (Column::Events, _) => {
                let events = line.events(self.programs);
                events.map_or_else(|| "-".to_owned(), |events| charge::events(&events))
            }
            (Column::Oom, _) => line.oom().map_or_else(|| "-".to_owned(), oom::cell),
            (Column::Faults, _) => {
                line.faults(self.programs).map_or_else(|| "-".to_owned(), faults::per_second)
            }
            (Column::Pressure, _) => line.pressure_percent().unwrap_or_else(|| "-".to_owned()),
            (Column::Percent, _) => {
                self.scale.percent(usage.map(ram)).unwrap_or_else(|| "-".to_owned())
            }
            _ => match line.amount(column) {
                // Without swap the cell is empty.
                Some(Kib(0)) if column == Column::Swap => String::new(),
                Some(amount) => self.unit.format(amount),
                None => "-".to_owned(),
            },
        })
    }

    /// The name of a line, and its suffix. Two names share the room.
    fn name(&self, line: Line<'_>, room: Option<usize>) -> Cell {
        let number = self.suffix(line);
        let suffix = match line {
            Line::Total(..) => return Cell::Words("TOTAL USED BY PROCESSES", "TOTAL"),
            Line::Program(row) => number + &self.charge_marks(row),
            Line::Rest(rest) => format!("({} more)", rest.rows),
            Line::Sharing(row) => {
                let suffix = number + " shares the memory of ";
                let room = room.map(|room| room.saturating_sub(layout::display_width(&suffix)));
                suffix + &self.memory_owner(row, room)
            }
            Line::Unknown(row) => number + &self.unread(Some(row.obstacle), row.known),
            Line::UnknownRest(UnknownRest { rows, obstacle, known }) => {
                format!("({rows} more){}", self.unread(*obstacle, *known))
            }
        };
        // A name that reads like the row of the rest has a number as suffix, or an escape.
        let looks_like_rest = !suffix.starts_with(" (") && is_count_of_more(line.name());
        let name = self.options.charset.name(line.name());
        let indent = INDENT.repeat(line.tree().map_or(0, |tree| tree.depth.min(DEPTH_MAX)));
        // A blank of the name would look like another level.
        let looks_deeper = line.tree().is_some() && name.starts_with(' ');
        let is_escaped = looks_like_rest || looks_deeper;
        let name = if is_escaped { escape::first_char(&name) } else { name };
        Cell::Name(indent + &name, suffix)
    }

    /// The marks of figures of control groups.
    fn charge_marks(&self, row: &Program<'_>) -> String {
        let has_limit =
            self.options.columns.iter().any(|c| matches!(c, Column::Left | Column::Limit));
        let elsewhere = row.is_charged_elsewhere() == Some(true);
        let file = charge::limit_file(row).filter(|_| has_limit);
        let marks = [
            elsewhere.then(|| "charged elsewhere".to_owned()),
            file.map(|file| format!("left to {file}")),
        ];
        let marks: Vec<String> = marks.into_iter().flatten().collect();
        if marks.is_empty() { String::new() } else { format!(" {}", marks.join(", ")) }
    }

    /// The number of processes or the process id, unless it has a column.
    fn suffix(&self, line: Line<'_>) -> String {
        match (self.suffix_column(), line.pid(), line.count()) {
            (Some(Column::Pid), Some(pid), _) => format!(" ({pid})"),
            (Some(_), _, Some(count)) => format!(" ({count})"),
            _ => String::new(),
        }
    }

    fn suffix_column(&self) -> Option<Column> {
        let column = match self.programs.grouping {
            Grouping::Pid | Grouping::Tree => Column::Pid,
            _ => Column::Count,
        };
        (!self.options.columns.contains(&column)).then_some(column)
    }

    /// The reason, unless there are several, and the known figures.
    fn unread(&self, obstacle: Option<Obstacle>, known: Known) -> String {
        let figure = |word: &str, amount: Option<Kib>| match amount {
            Some(kib) => format!(", {word} {} {}", self.unit.format(kib), self.unit.head()),
            None => String::new(),
        };
        let why = obstacle.map_or("unknown", Labelled::label);
        let swap = known.swap.filter(|swap| *swap > Kib(0));
        format!(" {why}{}{}", figure("RSS", known.rss), figure("swap", swap))
    }

    /// The owner of the memory of a row, cut to the room that the name of the row leaves.
    fn memory_owner(&self, row: &Sharing<'_>, room: Option<usize>) -> String {
        let charset = self.options.charset;
        let owner = charset.name(row.owner);
        match (row.owner_pid, room) {
            (Some(pid), _) => pid.to_string(),
            (None, None) => owner,
            (None, Some(room)) => {
                let name = layout::display_width(&charset.name(row.name));
                cut(&owner, room.saturating_sub(name).max(room / 2), charset).into_owned()
            }
        }
    }
}

/// The parent or the depth of a row in a tree; a root has no parent.
fn tree_number(line: Line<'_>, column: Column) -> String {
    let number = line.tree().and_then(|tree| match column {
        Column::Parent => tree.parent.map(|pid| pid.to_string()),
        _ => Some(tree.depth.to_string()),
    });
    number.unwrap_or_default()
}

/// Whether a name reads as `(3 more)`.
fn is_count_of_more(name: &[u8]) -> bool {
    let number = name.strip_prefix(b"(").and_then(|name| name.strip_suffix(b" more)"));
    number.is_some_and(|number| number.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::process::{Glimpse, ProcessUsage, StatFigures};
    use crate::program::ColumnKind;
    use crate::program::{Annotations, Labels, Order, Unread, group};
    use crate::smaps::{Smaps, naive};
    use crate::units::Pid;

    fn nothing() -> Smaps {
        let text = b"Pss: 0 kB\nPrivate_Clean: 0 kB\nPrivate_Dirty: 0 kB\nSwapPss: 0 kB\n";
        naive::scan(text).expect("smaps")
    }

    fn usage(pid: u32, name: &str) -> ProcessUsage<'_> {
        let (name, smaps) = (name.as_bytes(), nothing());
        ProcessUsage {
            pid: Pid(pid),
            name,
            smaps,
            uid: None,
            cgroup: None,
            page_tables: None,
            stat: StatFigures::default(),
        }
    }

    fn shown(columns: Option<usize>, name: &str) -> String {
        let usage = usage(7, name);
        let (rss, swap) = (Some(Kib(2048)), Some(Kib(512)));
        let glimpse = Glimpse { comm: b"stuck".to_vec(), rss, swap, ..Glimpse::default() };
        let obstacle = Obstacle::TimedOut;
        let unread = Unread { pid: Pid(8), obstacle, glimpse, cgroup: None };
        let (unread, sharing, shares) = (&[&unread], &HashMap::new(), &HashMap::new());
        let annotations =
            Annotations { is_incomplete: true, unread, ..Annotations::new(sharing, shares) };
        let labels = Labels::new([].into_iter(), Grouping::Program, None);
        let programs = group([usage].into_iter(), &labels, annotations, Order::default());
        table(&programs, &TableOptions { terminal: columns, ..TableOptions::default() })
    }

    #[test]
    fn names_are_cut_and_numbers_are_not() {
        let wide = "   MiB RAM    SHARED   SWAPPED  PROCESS (COUNT)\n       \
                    0.0       0.0            worker of a long name (1)\n         \
                    -         -         -  stuck (1) timed out, RSS 2.0 MiB, swap 0.5 MiB\n#      \
                    0.0                      TOTAL USED BY PROCESSES\n";
        let narrow = " MiB RAM  SHARED SWAPPED  PROCESS\n     \
                      0.0     0.0          worker of… (1)\n       \
                      -       -       -  stuck (1) timed out, RSS 2.0 MiB, swap 0.5 MiB\n#    \
                      0.0                  TOTAL\n";
        let name = "worker of a long name";
        assert_eq!(shown(None, name), wide);
        assert_eq!(shown(Some(80), name), wide);
        assert_eq!(shown(Some(40), name), narrow);
    }

    #[test]
    fn the_names_of_a_row_and_of_its_owner_share_the_room() {
        let both = [usage(1, "a server of a long name"), usage(2, "a helper of a long name")];
        let (sharing, shares) = (&HashMap::from([(Pid(2), Pid(1))]), &HashMap::new());
        let annotations = Annotations::new(sharing, shares);
        let row = |grouping, columns| {
            let labels = Labels::new([].into_iter(), grouping, None);
            let programs = group(both.into_iter(), &labels, annotations, Order::default());
            let options = TableOptions { terminal: columns, ..TableOptions::default() };
            table(&programs, &options).lines().nth(2).expect("a row").trim_start().to_owned()
        };
        let whole = "a helper of a long name (1) shares the memory of a server of a long name";
        assert_eq!(row(Grouping::Program, None), whole);
        assert_eq!(row(Grouping::Program, Some(32 + whole.len())), whole);
        let cut = "a helper … (1) shares the memory of a server …";
        assert_eq!(row(Grouping::Program, Some(32 + 46)), cut);
        assert_eq!(row(Grouping::Pid, Some(32 + 37)), "a helper … (2) shares the memory of 1");
    }

    /// Numbers leave no room: a line is wider than the terminal rather than without a name.
    #[test]
    fn a_name_that_is_cut_can_be_read() {
        let name = "worker of a long name";
        for (columns, shared) in
            [(38, "     0.0"), (37, "    0.0"), (30, "    0.0"), (1, "    0.0")]
        {
            let text = shown(Some(columns), name);
            let row = text.lines().nth(1).expect("a row");
            assert_eq!(row, format!("     0.0{shared}          worker … (1)"), "{columns}");
        }
        let room = |contents: &[Content], columns| {
            let options = TableOptions { terminal: Some(columns), ..TableOptions::default() };
            Layout::new(contents, &options).name_room()
        };
        let content = |kind, is_name, widest| Content { kind, is_name, head: 6, widest };
        let amount = content(Column::Ram.kind(), false, 6);
        let [path, name] = [false, true].map(|is_name| content(ColumnKind::Text, is_name, 40));
        assert_eq!(room(&[amount, path, amount, name], 50), Some(15), "texts have 34 of 50");
        let many = [amount, path, amount, amount, amount, name];
        assert_eq!(room(&many, 50), Some(12), "paths have three columns");
        assert_eq!(room(&many, 40), Some(12), "lines are wider than the terminal");
    }

    #[test]
    fn a_name_that_fits_is_not_cut() {
        for name in ["worker of a long name", "データ収集データ収集", "cafe\u{301} au lait"]
        {
            let needed = 32 + layout::display_width(name) + 4;
            for columns in [needed, needed + 1] {
                let text = shown(Some(columns.max(60)), name);
                assert!(text.contains(&format!("  {name} (1)\n")), "{text}");
            }
        }
        let text = shown(Some(60), "データ収集データ収集データ収集");
        let row = text.lines().nth(1).expect("a row");
        assert_eq!(
            (row, layout::display_width(row)),
            ("       0.0       0.0            データ収集データ収集デ… (1)", 59)
        );
    }
}
