//! Where the columns of the table stand: how wide each is, and what of a text fits. Numbers are
//! never cut. Knows nothing of programs.

use super::color::Style;
use super::width;
use crate::program::{Column, Kind};

/// The least width of a column of amounts; all of them grow to the widest amount.
const WIDTH_MIN: usize = 10;
/// The same on a terminal with fewer columns than [`NARROW`]: names need them more.
const WIDTH_MIN_NARROW: usize = 8;
const NARROW: usize = 60;
/// What is kept free between two columns.
const GAP: usize = 2;

/// The content of a cell.
#[derive(Debug)]
pub(super) enum Cell {
    /// A number, or what stands for one: to the right, and whole.
    Number(String),
    /// A text that may be cut, and one behind it that is not.
    Name(String, String),
    /// Words of ours, and fewer of them for where room is short.
    Words(&'static str, &'static str),
}

impl Cell {
    pub(super) fn columns(&self) -> usize {
        match self {
            Cell::Number(text) => width::columns(text),
            Cell::Name(name, behind) => width::columns(name) + width::columns(behind),
            Cell::Words(long, _) => long.len(),
        }
    }
}

/// What a column has to hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content {
    pub(super) column: Column,
    /// How wide the head is.
    pub(super) head: usize,
    /// How wide the widest cell below it is.
    pub(super) widest: usize,
}

/// The columns of a table and their widths, gaps included.
#[derive(Debug)]
pub(super) struct Layout {
    columns: Vec<(Column, usize)>,
    is_colored: bool,
    /// Whether texts have to fit.
    is_terminal: bool,
}

impl Layout {
    /// A layout that holds so much.
    pub(super) fn new(contents: &[Content], terminal: Option<usize>, is_colored: bool) -> Layout {
        let is_narrow = terminal.is_some_and(|columns| columns < NARROW);
        let least = if is_narrow { WIDTH_MIN_NARROW } else { WIDTH_MIN };
        let amounts = contents.iter().filter(|content| content.column.is_amount());
        let amount = amounts.fold(least, |width, content| width.max(content.widest + GAP));
        let width = |content: &Content| match content.column {
            // Heads may stand closer than numbers.
            column if column.is_amount() => (column, amount.max(content.head + 1)),
            column => (column, content.widest.max(content.head) + GAP),
        };
        let columns = contents.iter().map(width).collect();
        let mut layout = Layout { columns, is_colored, is_terminal: terminal.is_some() };
        if let Some(columns) = terminal {
            layout.fit(columns);
        }
        layout
    }

    /// Cuts the widest texts until all columns fit, or hardly anything is left of them.
    fn fit(&mut self, terminal: usize) {
        let is_text = |column: Column| column.definition().kind == Kind::Text;
        let all: usize = self.columns.iter().map(|(_, width)| width).sum();
        let mut excess = all.saturating_sub(terminal);
        while excess > 0 {
            let texts = self.columns.iter_mut().filter(|(column, _)| is_text(*column));
            let Some((_, width)) = texts.max_by_key(|(_, width)| *width) else { return };
            if *width <= GAP + 1 {
                return;
            }
            *width -= 1;
            excess -= 1;
        }
    }

    /// What a text may take in this column, where there is a limit.
    pub(super) fn room(&self, column: Column) -> Option<usize> {
        let (_, width) = self.columns.iter().find(|one| one.0 == column)?;
        self.is_terminal.then_some(width.saturating_sub(GAP))
    }

    /// Writes a line of cells, one for each column. That of the sum is marked.
    pub(super) fn line(
        &self,
        text: &mut String,
        style: Style,
        mark: Option<char>,
        mut cell: impl FnMut(Column) -> Cell,
    ) {
        let mut line = String::new();
        let last = self.columns.last().map(|last| last.0);
        for (column, width) in &self.columns {
            let content = match cell(*column) {
                Cell::Number(number) => format!("{number:>width$}"),
                other => format!("  {}", self.fitting(*column, &other)),
            };
            line.push_str(&content);
            if last != Some(*column) {
                let free = width.saturating_sub(width::columns(&content));
                line.extend(std::iter::repeat_n(' ', free));
            }
        }
        // A blank at the end of a name belongs to it.
        let mut line = if last == Some(Column::Name) { &line[..] } else { line.trim_end() };
        if let Some(mark) = mark {
            // Every column begins with a gap.
            line = line.get(1..).unwrap_or_default();
            style.write(text, self.is_colored, &format!("{mark}{line}"));
        } else {
            style.write(text, self.is_colored, line);
        }
        text.push('\n');
    }

    fn fitting(&self, column: Column, cell: &Cell) -> String {
        let room = self.room(column);
        match cell {
            Cell::Number(text) => text.clone(),
            Cell::Name(name, behind) => match room.filter(|_| !name.is_empty()) {
                Some(room) => {
                    let room = room.saturating_sub(width::columns(behind));
                    format!("{}{behind}", width::cut(name, room))
                }
                None => format!("{name}{behind}"),
            },
            Cell::Words(long, short) => {
                let does_fit = room.is_none_or(|room| long.len() <= room);
                (if does_fit { *long } else { *short }).to_owned()
            }
        }
    }
}
