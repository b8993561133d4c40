//! How wide a text stands on a terminal, and how to cut it. Knows nothing of what it says.

use std::borrow::Cow;

use super::color;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Stands for what was cut.
const CUT: char = '…';

/// The columns that a text takes.
pub(super) fn columns(text: &str) -> usize {
    text.width()
}

/// The text itself, or as much of its beginning as fits in so many columns. Something is always
/// left, so that a row never looks nameless.
pub fn cut(text: &str, columns: usize) -> Cow<'_, str> {
    if text.width() <= columns {
        return Cow::Borrowed(text);
    }
    let mut room = columns.saturating_sub(1);
    let mut left = String::new();
    for c in text.chars() {
        // A mark takes no room and stays with its letter.
        let Some(more) = room.checked_sub(c.width().unwrap_or(0)) else { break };
        room = more;
        left.push(c);
    }
    left.push(CUT);
    Cow::Owned(left)
}

/// A line of a table, or as much of it as fits in so many columns. It ends where a blank stands, so
/// that no number is cut, which would be another one. A style takes no room.
pub fn cut_line(line: &str, columns: usize) -> Cow<'_, str> {
    let (begin, text, end) = color::parts(line);
    let left = match cut(text, columns) {
        Cow::Borrowed(_) => return Cow::Borrowed(line),
        Cow::Owned(left) => left,
    };
    match left.rsplit_once(' ') {
        Some((whole, _)) => format!("{begin}{} {CUT}{end}", whole.trim_end()).into(),
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
            assert_eq!(cut_line(line, room), expected, "{line:?} in {room}");
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
            assert_eq!(cut(text, room), expected, "{text} in {room}");
            assert!(columns(&cut(text, room)) <= room.max(1), "{text} in {room}");
        }
    }
}
