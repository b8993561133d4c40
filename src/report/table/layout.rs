//! The widths of columns, and the text that fits. Texts are cut, numbers never are.

use super::TableOptions;
use super::style::{self, Style};
use crate::program::ColumnKind;
use crate::report::escape::Charset;
use std::borrow::Cow;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The least width of a column of amounts; all of them grow to the widest amount.
const WIDTH_MIN: usize = 10;
/// The same on a terminal narrower than [`NARROW`], where names need the room.
const WIDTH_MIN_NARROW: usize = 8;
const NARROW: usize = 60;
/// The blanks in front of a column.
const GAP: usize = 2;
/// The least width of a name that is cut, and of the column of names, which also counts processes.
/// A line that needs more is wider than the terminal: a row without a name is of no use.
const NAME_MIN: usize = 8;
const NAME_COLUMN_MIN: usize = NAME_MIN + 4;

/// The content of a cell.
#[derive(Debug)]
pub enum Cell {
    /// A number or its replacement: aligned to the right, never cut.
    Number(String),
    /// A text that may be cut, and a suffix that is not.
    Name(String, String),
    /// Fixed words, long and short.
    Words(&'static str, &'static str),
}

impl Cell {
    /// The number of terminal columns.
    pub fn display_width(&self) -> usize {
        match self {
            Cell::Number(text) => display_width(text),
            Cell::Name(name, suffix) => display_width(name) + display_width(suffix),
            Cell::Words(long, _) => long.len(),
        }
    }
}

/// The content of a column.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    /// The kind of its values.
    pub kind: ColumnKind,
    /// Whether it has the names of rows, of which a blank at the end is a part.
    pub is_name: bool,
    /// The width of the header.
    pub head: usize,
    /// The width of the widest cell below the header.
    pub widest: usize,
}

impl Content {
    /// The width of its widest cell, the header included.
    fn width(&self) -> usize {
        self.widest.max(self.head)
    }
}

/// The columns of a table and their widths, gaps included.
#[derive(Debug)]
pub struct Layout {
    columns: Vec<(ColumnKind, usize)>,
    /// The column with the names of rows.
    name: Option<usize>,
    is_colored: bool,
    /// Whether texts must fit.
    is_terminal: bool,
    charset: Charset,
}

impl Layout {
    /// A layout of these columns, fitted to the width of a terminal.
    pub fn new(contents: &[Content], options: &TableOptions<'_>) -> Layout {
        let TableOptions { terminal, is_colored, charset, .. } = *options;
        let is_narrow = terminal.is_some_and(|columns| columns < NARROW);
        let least = if is_narrow { WIDTH_MIN_NARROW } else { WIDTH_MIN };
        let amounts = contents.iter().filter(|content| content.kind.is_amount());
        let amount = amounts.fold(least, |width, content| width.max(content.widest + GAP));
        let width = |content: &Content| match content.kind {
            // One blank separates headers.
            kind if kind.is_amount() => (kind, amount.max(content.head + 1)),
            kind => (kind, content.width() + GAP),
        };
        let columns = contents.iter().map(width).collect();
        let (name, is_terminal) = (contents.iter().position(|one| one.is_name), terminal.is_some());
        let mut layout = Layout { columns, name, is_colored, is_terminal, charset };
        if let Some(columns) = terminal {
            layout.fit(contents, columns);
        }
        layout
    }

    /// Shortens the widest texts, then the blanks in front of the widest numbers, until all columns
    /// fit or nothing is left to shorten.
    fn fit(&mut self, contents: &[Content], terminal: usize) {
        let all: usize = self.columns.iter().map(|(_, width)| width).sum();
        for _ in terminal..all {
            let least = |place: usize, kind| match kind {
                ColumnKind::Text if self.name == Some(place) => GAP + NAME_COLUMN_MIN,
                ColumnKind::Text => GAP + 1,
                _ => contents[place].width() + 1,
            };
            let columns = self.columns.iter_mut().enumerate();
            let longer = columns.filter(|(place, (kind, width))| *width > least(*place, *kind));
            let widest =
                longer.max_by_key(|(_, (kind, width))| (*kind == ColumnKind::Text, *width));
            let Some((_, (_, width))) = widest else { return };
            *width -= 1;
        }
    }

    /// The limit for the name of a row, if there is one.
    pub fn name_room(&self) -> Option<usize> {
        let (_, width) = self.columns.get(self.name?)?;
        self.is_terminal.then_some(width.saturating_sub(GAP).max(NAME_MIN))
    }

    /// Writes a line of cells, one for each column. A mark replaces the first blank.
    pub fn line(
        &self,
        text: &mut String,
        style: Style,
        mark: Option<char>,
        cells: impl IntoIterator<Item = Cell>,
    ) {
        let mut line = String::new();
        let last = self.columns.len().saturating_sub(1);
        for ((place, (_, width)), cell) in self.columns.iter().enumerate().zip(cells) {
            let room = self.is_terminal.then_some(width.saturating_sub(GAP));
            let content = match cell {
                Cell::Number(number) => format!("{number:>width$}"),
                Cell::Name(name, suffix) => match room.filter(|_| !name.is_empty()) {
                    Some(room) => {
                        let indent = name.len() - name.trim_start_matches(' ').len();
                        let least = if self.name == Some(place) { indent + NAME_MIN } else { 0 };
                        let room = room.saturating_sub(display_width(&suffix)).max(least);
                        format!("  {}{suffix}", cut(&name, room, self.charset))
                    }
                    None => format!("  {name}{suffix}"),
                },
                Cell::Words(long, short) => {
                    let fits = room.is_none_or(|room| long.len() <= room);
                    format!("  {}", if fits { long } else { short })
                }
            };
            line.push_str(&content);
            if place != last {
                let free = width.saturating_sub(display_width(&content));
                line.extend(std::iter::repeat_n(' ', free));
            }
        }
        // A blank at the end of a name is a part of the name.
        let mut line = if self.name == Some(last) { &line[..] } else { line.trim_end() };
        if let Some(mark) = mark {
            // Every column begins with a blank.
            line = line.get(1..).unwrap_or_default();
            style.write(text, self.is_colored, &format!("{mark}{line}"));
        } else {
            style.write(text, self.is_colored, line);
        }
        text.push('\n');
    }
}

/// The number of terminal columns of a text.
pub(super) fn display_width(text: &str) -> usize {
    text.width()
}

/// The text, or as much of its beginning as fits into the columns, followed by a mark. At least the
/// mark is left, so that no name looks empty.
pub fn cut(text: &str, columns: usize, charset: Charset) -> Cow<'_, str> {
    if text.width() <= columns {
        return Cow::Borrowed(text);
    }
    let mut room = columns.saturating_sub(1);
    let mut left = String::new();
    for c in text.chars() {
        // A combining mark takes no column and stays with its letter.
        let Some(more) = room.checked_sub(c.width().unwrap_or(0)) else { break };
        room = more;
        left.push(c);
    }
    left.push(charset.cut_mark());
    Cow::Owned(left)
}

/// The text, or as much of its end as fits into the columns, behind a mark.
pub fn cut_front(text: &str, columns: usize, charset: Charset) -> Cow<'_, str> {
    if text.width() <= columns {
        return Cow::Borrowed(text);
    }
    let mut room = columns.saturating_sub(1);
    let mut begin = text.len();
    for (at, c) in text.char_indices().rev() {
        let Some(more) = room.checked_sub(c.width().unwrap_or(0)) else { break };
        room = more;
        // A combining mark stays with its letter.
        begin = if c.width() == Some(0) { begin } else { at };
    }
    Cow::Owned(format!("{}{}", charset.cut_mark(), &text[begin..]))
}

/// The text in lines of at most so many columns, cut at blanks; all but the first are indented. A
/// word that is too long keeps a line of its own.
pub fn wrap(text: &str, columns: usize, indent: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= columns => {
                line.extend([" ", word]);
            }
            Some(_) => lines.push(" ".repeat(indent) + word),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The line of a table, or as much of it as fits into the columns. It is cut at a blank, because a
/// cut number is another number. A style takes no columns.
pub fn cut_line(line: &str, columns: usize, charset: Charset) -> Cow<'_, str> {
    let (begin, text, end) = style::parts(line);
    let left = match cut(text, columns, charset) {
        Cow::Borrowed(_) => return Cow::Borrowed(line),
        Cow::Owned(left) => left,
    };
    match left.rsplit_once(' ') {
        Some((whole, _)) => {
            format!("{begin}{} {}{end}", whole.trim_end(), charset.cut_mark()).into()
        }
        None => format!("{begin}{left}{end}").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_between_numbers() {
        for (line, room, expected) in [
            ("  148.5   12.0  name", 20, "  148.5   12.0  name"),
            ("  148.5   12.0  name", 19, "  148.5   12.0 …"),
            ("  148.5   12.0  name", 16, "  148.5   12.0 …"),
            ("  148.5   12.0  name", 15, "  148.5 …"),
            ("  148.5   12.0  name", 5, " …"),
            ("\x1b[1m  148.5   12.0\x1b[0m", 14, "\x1b[1m  148.5   12.0\x1b[0m"),
            ("\x1b[1m  148.5   12.0\x1b[0m", 13, "\x1b[1m  148.5 …\x1b[0m"),
            ("nginx", 3, "ng…"),
        ] {
            assert_eq!(cut_line(line, room, Charset::Unicode), expected, "{line:?} in {room}");
        }
    }

    #[test]
    fn lines_are_wrapped_between_words() {
        let lines = ["measured 3 of", "    5", "    processes"];
        assert_eq!(wrap("measured 3 of 5 processes", 13, 4), lines);
        assert_eq!(wrap("  1 denied: データ", 18, 4), ["  1 denied: データ"]);
        assert_eq!(wrap("  1 denied: データ", 17, 4), ["  1 denied:", "    データ"]);
        assert_eq!(wrap("/a/very/long/path ends", 5, 2), ["/a/very/long/path", "  ends"]);
    }

    #[test]
    fn the_end_of_a_path_is_kept() {
        for (text, room, expected) in [
            ("/lib/libc.so.6", 14, "/lib/libc.so.6"),
            ("/lib/libc.so.6", 10, "…libc.so.6"),
            ("/lib/libc.so.6", 1, "…"),
            ("/lib/libc.so.6", 0, "…"),
            ("データ収集", 9, "…ータ収集"),
            ("データ収集", 8, "…タ収集"),
            ("cafe\u{301}s", 3, "…e\u{301}s"),
            ("cafe\u{301}s", 2, "…s"),
        ] {
            let left = cut_front(text, room, Charset::Unicode);
            assert_eq!(left, expected, "{text} in {room}");
        }
    }

    #[test]
    fn cuts_by_columns() {
        for (text, room, expected) in [
            ("nginx", 5, "nginx"),
            ("nginx", 4, "ngi…"),
            ("nginx", 1, "…"),
            ("nginx", 0, "…"),
            ("データ収集", 10, "データ収集"),
            ("データ収集", 9, "データ収…"),
            ("データ収集", 8, "データ…"),
            ("cafe\u{301}s", 5, "cafe\u{301}s"),
            ("cafe\u{301}-au-lait", 5, "cafe\u{301}…"),
        ] {
            let left = cut(text, room, Charset::Unicode);
            assert_eq!(left, expected, "{text} in {room}");
            assert!(display_width(&left) <= room.max(1), "{text} in {room}");
        }
    }
}
