//! A line of the table: what is known, and whose it is.

use super::color::Style;
use super::escape;
use super::layout::Cell;
use crate::program::{Program, Unknown, Usage};
use crate::units::Pid;

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
    pub(super) fn style(&self) -> Style {
        match self.figures {
            Figures::Head | Figures::Total(_) => Style::Strong,
            Figures::Row(_) => Style::Plain,
            Figures::Rest(_) | Figures::Elsewhere => Style::Faint,
            Figures::Unknown(_) => Style::Warning,
        }
    }

    pub(super) fn name(&self) -> Cell {
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
