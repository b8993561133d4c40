//! The table for people: by itself the columns of psm, the biggest row next to the prompt.

mod diff;
mod host;
mod layout;
mod style;

pub use self::diff::{DiffFormat, diff};
pub use self::host::summary;
use self::layout::{Cell, Content, Layout};
pub use self::layout::{cut, cut_line};
pub use self::style::Color;
use self::style::Style;
use crate::program::{
    Column, ColumnKind, Grouping, Known, Program, Programs, Sharing, Snapshot, Uniform, Unknown,
    Usage,
};
use crate::report::{Unit, escape, labels};
use crate::units::{Kib, Pid};

/// The columns of psm.
pub const COLUMNS: [Column; 4] = [Column::Ram, Column::Shared, Column::Swap, Column::Name];

/// How a table is to look.
#[derive(Clone, Debug)]
pub struct TableOptions<'a> {
    /// The columns, from left to right, each at most once.
    pub columns: &'a [Column],
    /// The unit of all amounts.
    pub unit: Unit,
    /// Whether the head is left out.
    pub no_header: bool,
    /// The columns of the terminal it is for. Names are cut to fit, numbers never are.
    pub terminal: Option<usize>,
    /// Whether there is colour.
    pub is_colored: bool,
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
            before: None,
        }
    }
}

/// The whole table.
pub fn table(programs: &Programs<'_>, options: &TableOptions<'_>) -> String {
    let table = Table::new(programs, options);
    let mut text = String::new();
    let layout = table.layout(options);
    let mut write = |line: &Line<'_>| {
        layout.line(&mut text, line.style(), line.mark, |column| table.cell(line, column));
    };
    if !options.no_header {
        write(&table.head());
    }
    table.each_line(layout.room(Column::Name), write);
    text
}

/// Only the sum of RAM, one number on a line; behind it the unit, where the caller did not choose.
pub fn total(ram: Kib, unit: Unit) -> String {
    match unit {
        Unit::Auto => {
            let unit = unit.resolve(ram);
            format!("{} {}\n", unit.format(ram), unit.head())
        }
        unit => format!("{}\n", unit.format(ram)),
    }
}

struct Table<'a, 'run> {
    programs: &'a Programs<'run>,
    columns: &'a [Column],
    unit: Unit,
    before: Option<&'a Snapshot>,
    /// RAM of the biggest row and of all, 0 where there is none.
    biggest: Kib,
    total: Kib,
}

/// It is known of every process that was measured.
fn ram(usage: &Usage) -> Kib {
    usage.get(Column::Ram).unwrap_or_default()
}

impl<'a, 'run> Table<'a, 'run> {
    fn new(programs: &'a Programs<'run>, options: &TableOptions<'a>) -> Table<'a, 'run> {
        let total = programs.total.unwrap_or(Usage::NOTHING);
        let TableOptions { columns, unit, before, .. } = *options;
        let unit = unit.resolve(ram(&total).max(total.get(Column::Swap).unwrap_or_default()));
        let biggest = programs.rows.iter().map(|row| ram(&row.usage)).max().unwrap_or_default();
        Table { programs, columns, unit, before, biggest, total: ram(&total) }
    }

    fn layout(&self, options: &TableOptions<'_>) -> Layout {
        let content = |column: &Column| {
            // Nothing stands behind the last one.
            let is_free = self.columns.last() == Some(column) && options.terminal.is_none();
            let widest = if is_free { 0 } else { self.widest(*column) };
            let head = if options.no_header {
                0
            } else {
                self.cell(&self.head(), *column).display_width()
            };
            Content { column: *column, head, widest }
        };
        let contents: Vec<Content> = self.columns.iter().map(content).collect();
        Layout::new(&contents, options.terminal, options.is_colored)
    }

    /// How wide the widest cell of a column is.
    fn widest(&self, column: Column) -> usize {
        if column.is_amount() {
            let usages = self.programs.rows.iter().map(|row| &row.usage);
            let sums =
                self.programs.rest.iter().map(|rest| &rest.usage).chain(&self.programs.total);
            let biggest = usages.chain(sums).filter_map(|usage| usage.get(column)).max();
            return self.unit.format(biggest.unwrap_or_default()).len();
        }
        let mut widest = 0;
        self.each_line(None, |line| widest = widest.max(self.cell(line, column).display_width()));
        widest
    }

    /// Every line below the head, in turn.
    fn each_line(&self, room: Option<usize>, mut tell: impl FnMut(&Line<'_>)) {
        let Programs { rows, rest, sharing, unknown, unknown_rest, .. } = self.programs;
        rows.iter().for_each(|row| tell(&self.row(row)));
        if let Some(rest) = rest {
            tell(&Line {
                figures: Figures::Rest(&rest.usage),
                count: Some(rest.count),
                pid: None,
                label: Label::Name(b"", format!("({} more)", rest.rows)),
                mark: None,
            });
        }
        sharing.iter().for_each(|row| tell(&self.sharing(row, room)));
        unknown.iter().for_each(|row| tell(&self.unknown(row)));
        if let Some((rows, known)) = unknown_rest {
            let behind = format!("({rows} more){}", self.timed_out(*known));
            let label = Label::Name(b"", behind);
            let figures = Figures::Unknown(None);
            tell(&Line { figures, count: None, pid: None, label, mark: None });
        }
        tell(&Line {
            figures: Figures::Total(self.programs.total.as_ref()),
            count: Some(self.programs.count),
            pid: None,
            label: Label::Words("TOTAL USED BY PROCESSES", "TOTAL"),
            mark: Some('#'),
        });
    }

    fn head(&self) -> Line<'a> {
        let [numbered, title] = self.programs.grouping.titles();
        let label = Label::Words(self.behind().map_or(title, |_| numbered), title);
        Line { figures: Figures::Head, count: None, pid: None, label, mark: None }
    }

    fn row<'row>(&self, row: &'row Program<'run>) -> Line<'row> {
        Line {
            figures: Figures::Row(row),
            count: Some(row.count),
            pid: row.pid,
            label: Label::Name(row.name, self.which(row.count, row.pid)),
            mark: self.mark(row),
        }
    }

    /// How a row changed, as far as the table shows it.
    fn mark(&self, row: &Program<'run>) -> Option<char> {
        let before = self.before?;
        let Some(then) = before.row(row) else {
            return before.is_whole.then_some('*');
        };
        let (then, now) = (then.amounts.ram?, ram(&row.usage));
        let is_shown = self.unit.format(then) != self.unit.format(now);
        is_shown.then_some(if now > then { '+' } else { '-' })
    }

    fn sharing<'row>(&self, row: &'row Sharing<'run>, room: Option<usize>) -> Line<'row> {
        let mut behind = format!("{} shares the memory of ", self.which(row.count, row.pid));
        match (row.owner_pid, room) {
            (Some(pid), _) => behind += &pid.to_string(),
            (None, None) => behind += &escape::name(row.owner),
            // Two names share what room there is.
            (None, Some(room)) => {
                let room = room.saturating_sub(layout::display_width(&behind));
                let name = layout::display_width(&escape::name(row.name));
                let room = room.saturating_sub(name).max(room / 2);
                behind += &cut(&escape::name(row.owner), room);
            }
        }
        let label = Label::Name(row.name, behind);
        Line {
            figures: Figures::Elsewhere,
            count: Some(row.count),
            pid: row.pid,
            label,
            mark: None,
        }
    }

    fn unknown<'row>(&self, row: &'row Unknown) -> Line<'row> {
        let behind = self.which(row.count, row.pid) + &self.timed_out(row.known);
        let label = Label::Name(&row.name, behind);
        let figures = Figures::Unknown(Some(row));
        Line { figures, count: Some(row.count), pid: row.pid, label, mark: None }
    }

    fn timed_out(&self, known: Known) -> String {
        let told = |what: &str, amount: Option<Kib>| {
            let (amount, unit) = (amount.map(|kib| self.unit.format(kib)), self.unit.head());
            amount.map_or_else(String::new, |amount| format!(", {what} {amount} {unit}"))
        };
        let rss = told("RSS", known.rss);
        // Nothing swapped is nothing to look at.
        let swap = told("swap", known.swap.filter(|swap| *swap > Kib(0)));
        format!(" timed out{rss}{swap}")
    }

    /// What stands behind each name, unless it has a column of its own.
    fn behind(&self) -> Option<Column> {
        let which = match self.programs.grouping {
            Grouping::Pid => Column::Pid,
            _ => Column::Count,
        };
        (!self.columns.contains(&which)).then_some(which)
    }

    fn which(&self, count: u64, pid: Option<Pid>) -> String {
        match (self.behind(), pid) {
            (None, _) => String::new(),
            (Some(Column::Pid), Some(pid)) => format!(" ({pid})"),
            (Some(_), _) => format!(" ({count})"),
        }
    }

    fn cell(&self, line: &Line<'_>, column: Column) -> Cell {
        let head = column.definition().head;
        Cell::Number(match (line.figures, column) {
            (_, Column::Name) => return line.name(),
            (figures, Column::User | Column::Cgroup) => {
                return Cell::Name(self.place(figures, column), String::new());
            }
            (Figures::Head, _) if self.is_first_amount(column) => {
                format!("{} {head}", self.unit.head())
            }
            (Figures::Head, Column::Bar) => " ".repeat(BAR),
            (Figures::Head, _) => head.to_owned(),
            (_, Column::Count) => line.count.map_or_else(String::new, |count| count.to_string()),
            (_, Column::Pid) => line.pid(),
            (Figures::Elsewhere, _) => String::new(),
            (Figures::Row(row), Column::Bar) => bar(ram(&row.usage), self.biggest),
            (_, Column::Bar) => String::new(),
            (figures, Column::Percent) => {
                let percent = percent(figures.usage().map(ram), self.total);
                percent.unwrap_or_else(|| "-".to_owned())
            }
            (Figures::Total(_), _) if column.definition().kind == ColumnKind::Overlapping => {
                String::new()
            }
            (figures, _) => match figures.usage().and_then(|usage| usage.get(column)) {
                // Nothing swapped is nothing to look at.
                Some(Kib(0)) if column == Column::Swap => String::new(),
                Some(amount) => self.unit.format(amount),
                None => "-".to_owned(),
            },
        })
    }

    /// The user or the control group of a row.
    fn place(&self, figures: Figures<'_>, column: Column) -> String {
        let (uid, cgroup) = match figures {
            Figures::Head => return column.definition().head.to_owned(),
            Figures::Row(row) => (row.uid, row.cgroup),
            // Its group was not asked, or is not known.
            Figures::Unknown(row) => {
                (row.map_or(Uniform::Unknown, |row| row.uid), Uniform::Unknown)
            }
            Figures::Rest(_) | Figures::Elsewhere | Figures::Total(_) => return String::new(),
        };
        let known = match column {
            Column::User => labels::user(self.programs, uid).map(|user| escape::name(&user)),
            _ => labels::cgroup(cgroup).map(escape::name),
        };
        known.unwrap_or_else(|| "-".to_owned())
    }

    /// The one that tells the unit of all.
    fn is_first_amount(&self, column: Column) -> bool {
        self.columns.iter().find(|column| column.is_amount()) == Some(&column)
    }
}

/// What is known of the memory of a line.
#[derive(Clone, Copy)]
pub(super) enum Figures<'a> {
    /// The words above the columns.
    Head,
    /// A row.
    Row(&'a Program<'a>),
    /// Rows that were cut.
    Rest(&'a Usage),
    /// Counted in another row: there is no figure to show, nor is one missing.
    Elsewhere,
    /// Nothing: `-`, never 0. The row, or none where it was cut.
    Unknown(Option<&'a Unknown>),
    /// The sum of all rows, or nothing.
    Total(Option<&'a Usage>),
}

/// A line of the table.
pub(super) struct Line<'a> {
    pub(super) figures: Figures<'a>,
    pub(super) count: Option<u64>,
    pub(super) pid: Option<Pid>,
    pub(super) label: Label<'a>,
    /// What stands before everything else, in the gap of the first column.
    pub(super) mark: Option<char>,
}

/// What stands in the column of names.
pub(super) enum Label<'a> {
    /// A name, and what stands behind it and is never cut.
    Name(&'a [u8], String),
    /// Words of ours, long and short.
    Words(&'static str, &'static str),
}

impl<'a> Figures<'a> {
    pub(super) fn usage(self) -> Option<&'a Usage> {
        match self {
            Figures::Row(row) => Some(&row.usage),
            Figures::Rest(usage) => Some(usage),
            Figures::Total(usage) => usage,
            Figures::Head | Figures::Elsewhere | Figures::Unknown(_) => None,
        }
    }
}

impl Line<'_> {
    fn style(&self) -> Style {
        match self.figures {
            Figures::Head | Figures::Total(_) => Style::Strong,
            Figures::Row(_) => Style::Plain,
            Figures::Rest(_) | Figures::Elsewhere => Style::Faint,
            Figures::Unknown(_) => Style::Warning,
        }
    }

    fn name(&self) -> Cell {
        match &self.label {
            Label::Name(name, behind) => {
                // With a number behind it nobody takes it for the row of what was cut.
                let looks_cut = !behind.starts_with(" (") && is_count_of_more(name);
                let name = escape::name(name);
                let name = if looks_cut { escape::first(&name) } else { name };
                Cell::Name(name, behind.clone())
            }
            Label::Words(long, short) => Cell::Words(long, short),
        }
    }

    pub(super) fn pid(&self) -> String {
        match (self.figures, self.pid) {
            (_, Some(pid)) => pid.to_string(),
            (Figures::Rest(_) | Figures::Total(_), None) => String::new(),
            (_, None) if self.count.is_none() => String::new(),
            (_, None) => "*".to_owned(),
        }
    }
}

/// Whether a name reads as `(3 more)`.
fn is_count_of_more(name: &[u8]) -> bool {
    let number = name.strip_prefix(b"(").and_then(|name| name.strip_suffix(b" more)"));
    number.is_some_and(|number| number.iter().all(u8::is_ascii_digit))
}

/// How long a whole bar is.
pub(super) const BAR: usize = 10;

/// The part in per cent with one decimal, rounded half up; nobody knows the part of nothing.
pub(super) fn percent(part: Option<Kib>, whole: Kib) -> Option<String> {
    let part = part.filter(|_| whole > Kib(0))?;
    let (part, whole) = (u128::from(part.0), u128::from(whole.0));
    let tenths = (part * 1000 + whole / 2) / whole;
    Some(format!("{}.{}", tenths / 10, tenths % 10))
}

/// A bar, and blanks to its whole length.
pub(super) fn bar(part: Kib, whole: Kib) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = u128::from(part.0) * 8 * BAR as u128 / u128::from(whole.0.max(1));
    let eighths = usize::try_from(eighths).map_or(8 * BAR, |eighths| eighths.min(8 * BAR));
    let bar = "█".repeat(eighths / 8) + EIGHTHS[eighths % 8];
    format!("{bar:<BAR$}")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::process::{Glimpse, ProcessUsage};
    use crate::program::{Annotations, Labels, Order, TimedOut, group};
    use crate::smaps::{Smaps, naive};
    use crate::units::Pid;

    fn nothing() -> Smaps {
        let text = b"Pss: 0 kB\nPrivate_Clean: 0 kB\nPrivate_Dirty: 0 kB\nSwapPss: 0 kB\n";
        naive::scan(text).expect("smaps")
    }

    fn usage(pid: u32, name: &str) -> ProcessUsage<'_> {
        let (name, smaps) = (name.as_bytes(), nothing());
        ProcessUsage { pid: Pid(pid), name, smaps, uid: None, cgroup: None, start_time: None }
    }

    fn shown(columns: Option<usize>, name: &str) -> String {
        let usage = usage(7, name);
        let (rss, swap) = (Some(Kib(2048)), Some(Kib(512)));
        let glimpse = Glimpse { comm: b"stuck".to_vec(), rss, swap, ..Glimpse::default() };
        let timed_out = TimedOut { pid: Pid(8), glimpse };
        let (timed_out, sharing) = (&[&timed_out], &HashMap::new());
        let annotations = Annotations { unknown: 1, timed_out, sharing };
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
                      -       -       -  … (1) timed out, RSS 2.0 MiB, swap 0.5 MiB\n#    \
                      0.0                  TOTAL\n";
        let name = "worker of a long name";
        assert_eq!(shown(None, name), wide);
        assert_eq!(shown(Some(80), name), wide);
        assert_eq!(shown(Some(40), name), narrow);
    }

    #[test]
    fn both_names_are_cut_where_one_shares_the_memory_of_the_other() {
        let both = [usage(1, "a server of a long name"), usage(2, "a helper of a long name")];
        let sharing = HashMap::from([(Pid(2), Pid(1))]);
        let annotations = Annotations { unknown: 0, timed_out: &[], sharing: &sharing };
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
        assert_eq!(row(Grouping::Pid, Some(32 + 34)), "a help… (2) shares the memory of 1");
    }

    #[test]
    fn what_fits_is_not_cut() {
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

    #[test]
    fn parts_are_rounded_and_bars_are_not() {
        for (part, whole, number, drawn) in [
            (0, 3, Some("0.0"), "          "),
            (1, 3, Some("33.3"), "███▎      "),
            (2, 3, Some("66.7"), "██████▋   "),
            (3, 3, Some("100.0"), "██████████"),
            (u64::MAX, u64::MAX, Some("100.0"), "██████████"),
            (0, 0, None, "          "),
        ] {
            assert_eq!(percent(Some(Kib(part)), Kib(whole)).as_deref(), number);
            assert_eq!(bar(Kib(part), Kib(whole)), drawn);
        }
        assert_eq!(percent(None, Kib(3)), None);
    }
}
