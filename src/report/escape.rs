//! Foreign names made safe: every untrusted byte passes here before it is printed.
//!
//! A process can choose any name. A name must not move the cursor, start a line, forge a row, or
//! reverse the direction of the text.

use std::fmt::Write;

use unicode_width::UnicodeWidthChar;

/// The name as a line of text: printable characters unchanged, all others as escapes.
///
/// Control characters, invalid UTF-8, line and paragraph separators, marks of direction, blank,
/// invisible and unassigned characters become `\n`, `\u{202e}`, `\xff`. A backslash is doubled, so
/// that different names never look alike. A blank is unchanged unless it is first, where it would
/// be invisible.
pub fn name(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    // Whether a combining mark would follow a letter of the name.
    let mut is_letter = false;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            is_letter = push(&mut text, c, is_letter);
        }
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
            is_letter = false;
        }
    }
    text
}

/// An argument of the command line, with escapes for characters that would break the line.
pub fn argument(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { line.extend(c.escape_debug()) } else { line.push(c) }
    }
    line
}

/// The name with an escape for a first character that makes spreadsheets evaluate a formula. A `-`
/// or `+` before a plain word, as in `-bash`, calls no function and is unchanged.
pub(super) fn csv_formula(name: String) -> String {
    let mut rest = name.chars();
    let is_formula = match rest.next() {
        Some('=' | '@') => true,
        Some('-' | '+') => !rest.all(char::is_alphanumeric),
        _ => false,
    };
    if is_formula { first_char(&name) } else { name }
}

/// The name with an escape for its first character.
pub(super) fn first_char(name: &str) -> String {
    let mut rest = name.chars();
    let first = rest.next().map(|first| first.escape_unicode().to_string());
    first.unwrap_or_default() + rest.as_str()
}

/// Appends a character. Returns whether it is unchanged.
fn push(text: &mut String, c: char, is_letter: bool) -> bool {
    let before = text.len();
    match c {
        ' ' if text.is_empty() => text.push_str("\\u{20}"),
        ' ' | '\'' | '"' => text.push(c),
        _ if is_letter && is_combining(c, text.chars().next_back()) => text.push(c),
        _ if is_blank(c) || c.width() == Some(0) => text.extend(c.escape_unicode()),
        // Escapes controls, formats, private use, separators, unassigned characters, single marks.
        _ => text.extend(c.escape_debug()),
    }
    text[before..].chars().eq([c])
}

/// Whether a character combines with the one before: marks, and vowels and finals of Hangul.
fn is_combining(c: char, before: Option<char>) -> bool {
    match c {
        '\u{1161}'..='\u{11ff}' | '\u{d7b0}'..='\u{d7fb}' => before.is_some_and(is_hangul),
        _ => {
            matches!(c, '\u{300}'..='\u{34e}' | '\u{350}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}'
                | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}'
                | '\u{3099}' | '\u{309a}')
        }
    }
}

/// Parts of Hangul syllables, and whole ones. Elsewhere a part takes no column and is invisible.
fn is_hangul(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{11ff}' | '\u{a960}'..='\u{a97c}' | '\u{ac00}'..='\u{d7fb}')
}

/// Characters without ink: the fillers of Hangul, the empty pattern of Braille.
fn is_blank(c: char) -> bool {
    matches!(c, '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmless_names_are_unchanged() {
        for text in [
            "nginx: worker process",
            "[kthreadd]",
            "a'b\"c",
            "ends in a blank ",
            "größe",
            "日本語",
            "e\u{301}",
            "\u{1112}\u{1161}\u{11ab}",
        ] {
            assert_eq!(name(text.as_bytes()), text);
        }
    }

    #[test]
    fn other_characters_are_escaped() {
        for (bytes, expected) in [
            (&b"a\nb"[..], "a\\nb"),
            (b"\x1b]52;c;AAAA\x07", "\\u{1b}]52;c;AAAA\\u{7}"),
            (b"\x7f", "\\u{7f}"),
            (b"\xc2\x9b31m", "\\u{9b}31m"),
            (b"\x9b31m\xff", "\\x9b31m\\xff"),
            ("\u{202e}txt.exe".as_bytes(), "\\u{202e}txt.exe"),
            ("\u{2028}\u{200b}\u{feff}\u{e000}".as_bytes(), "\\u{2028}\\u{200b}\\u{feff}\\u{e000}"),
        ] {
            assert_eq!(name(bytes), expected);
        }
    }

    #[test]
    fn different_names_never_look_alike() {
        for (bytes, expected) in [
            (&b"\xff"[..], "\\xff"),
            (b"\\xff", "\\\\xff"),
            (b"a\\nb", "a\\\\nb"),
            (b"  ", "\\u{20} "),
            (b" a", "\\u{20}a"),
            (
                "\u{3164}\u{2800}\u{115f}\u{1160}\u{ffa0}".as_bytes(),
                "\\u{3164}\\u{2800}\\u{115f}\\u{1160}\\u{ffa0}",
            ),
            ("\u{301}a\u{34f}\u{301}".as_bytes(), "\\u{301}a\\u{34f}\\u{301}"),
            ("\u{1164}nginx\u{1164}".as_bytes(), "\\u{1164}nginx\\u{1164}"),
            ("nginx\u{d4e}\u{111c2}".as_bytes(), "nginx\\u{d4e}\\u{111c2}"),
        ] {
            assert_eq!(name(bytes), expected);
        }
    }

    #[test]
    fn formulas_are_escaped() {
        for (text, expected) in [
            ("nginx", "nginx"),
            ("", ""),
            ("-bash", "-bash"),
            ("=1+2,\"x\"", "\\u{3d}1+2,\"x\""),
            ("-2+3+cmd|' /C calc'!A0", "\\u{2d}2+3+cmd|' /C calc'!A0"),
            ("@SUM(A1)", "\\u{40}SUM(A1)"),
        ] {
            assert_eq!(csv_formula(text.to_owned()), expected);
        }
    }

    #[test]
    fn an_argument_stays_on_its_line() {
        assert_eq!(argument("^a\\[1\\]\u{1b}\n größe"), "^a\\[1\\]\\u{1b}\\n größe");
    }
}
