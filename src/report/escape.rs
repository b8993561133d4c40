//! Foreign names made safe: every untrusted byte passes here before it is printed.
//!
//! A process can choose any name. In a text for people a name must not move the cursor, start a
//! line, forge a row, or reverse the direction of the text. In a field of a format for programs it
//! keeps its text, which that format escapes; its other bytes are marked.

use std::borrow::Cow;
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

/// The name for a format with an escape of its own, which comes on top.
///
/// A byte that is not UTF-8 is U+FFFD and two hexadecimal digits. So are the bytes of a control
/// character, which a reader may refuse or a pipe bring to a terminal, except the line feed, for
/// which the formats have an escape; and those of a U+FFFD, so that different names stay different.
/// On a terminal, characters that could act on it are escapes as in a table.
pub fn field(bytes: &[u8], is_terminal: bool) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut is_letter = false;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            is_letter = match c {
                ' ' | '\\' => {
                    text.push(c);
                    true
                }
                _ if is_terminal && c != char::REPLACEMENT_CHARACTER => {
                    push(&mut text, c, is_letter)
                }
                _ if c == char::REPLACEMENT_CHARACTER || c.is_control() && c != '\n' => {
                    c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| mark(&mut text, byte));
                    false
                }
                _ => {
                    text.push(c);
                    true
                }
            };
        }
        chunk.invalid().iter().for_each(|byte| mark(&mut text, *byte));
    }
    text
}

/// The bytes of a field that was not for a terminal.
pub fn of_field(field: &str) -> Vec<u8> {
    let mut parts = field.split(char::REPLACEMENT_CHARACTER);
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let marked = part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.extend(marked);
        bytes.extend_from_slice(&part.as_bytes()[if marked.is_some() { 2 } else { 0 }..]);
    }
    bytes
}

/// Appends a byte as U+FFFD and two hexadecimal digits.
fn mark(text: &mut String, byte: u8) {
    // Writing to a String cannot fail.
    let _ = write!(text, "{}{byte:02x}", char::REPLACEMENT_CHARACTER);
}

/// The field for CSV, whose records are one line each: a line feed is marked. So is a first
/// character that makes spreadsheets call a function or another program. A `-` or `+` alone, as in
/// `-bash` and `-.mount`, does neither.
pub fn csv(field: String) -> String {
    let mut line = String::new();
    mark(&mut line, b'\n');
    let field = if field.contains('\n') { field.replace('\n', &line) } else { field };
    let is_formula = match field.chars().next() {
        Some('=' | '@') => true,
        Some('-' | '+') => field.contains(['(', '|', '!']),
        _ => false,
    };
    if is_formula { marked(&field) } else { field }
}

/// A text of JSON, with escapes for the characters that its grammar allows and that act on a
/// terminal or deceive readers: they are in strings alone, so it says the same.
pub fn json(text: String) -> String {
    if text.is_ascii() && !text.contains('\u{7f}') {
        return text;
    }
    let acts = |c: char| match c {
        '\u{7f}' => true,
        _ => !c.is_ascii() && !push(&mut String::new(), c, true),
    };
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// The field with its first character, which is ASCII, as a marked byte.
pub(super) fn marked(field: &str) -> String {
    let mut text = String::new();
    let (first, rest) = field.split_at(1);
    first.bytes().for_each(|byte| mark(&mut text, byte));
    text + rest
}

/// The name with an escape for its first character.
pub fn first_char(name: &str) -> String {
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

/// The characters of a text for people. Only the decoration of this program is replaced by others;
/// a foreign character has an escape, so that different names never look alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    /// All that can be printed.
    #[default]
    Unicode,
    /// ASCII alone.
    Ascii,
}

impl Charset {
    /// The name as a line of text: see [`name`].
    pub fn name(self, bytes: &[u8]) -> String {
        self.text(&name(bytes)).into_owned()
    }

    /// A text whose names are escaped, with escapes for further characters.
    pub fn text(self, text: &str) -> Cow<'_, str> {
        if self == Charset::Unicode || text.is_ascii() {
            return Cow::Borrowed(text);
        }
        let mut line = String::with_capacity(text.len());
        for c in text.chars() {
            if c.is_ascii() { line.push(c) } else { line.extend(c.escape_unicode()) }
        }
        Cow::Owned(line)
    }

    /// The end of a text that was cut.
    pub fn cut_mark(self) -> char {
        match self {
            Charset::Unicode => '…',
            Charset::Ascii => '~',
        }
    }

    /// A bar of this many eighths of a column.
    pub(super) fn bar(self, eighths: usize) -> String {
        const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
        match self {
            Charset::Unicode => "█".repeat(eighths / 8) + PARTS[eighths % 8],
            Charset::Ascii => "#".repeat((eighths + 4) / 8),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_read_back() {
        for bytes in
            [&b""[..], b"a\\b \n", b"\x1b[1m", b"\xff", b"a\x00\x7f\xc3", "\u{fffd}7f".as_bytes()]
        {
            assert_eq!(of_field(&field(bytes, false)), bytes, "{}", bytes.escape_ascii());
        }
        assert_eq!(of_field("a\u{fffd}"), b"a");
        assert_eq!(of_field("\u{fffd}x\u{e9}"), "x\u{e9}".as_bytes());
    }

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
    fn fields_have_all_bytes() {
        for (bytes, in_file, on_terminal) in [
            (&b"app-google\\x2dchrome.scope"[..], "app-google\\x2dchrome.scope", None),
            (" größe\"'日本語".as_bytes(), " größe\"'日本語", None),
            (b"a\x1b[31m\nb", "a\u{fffd}1b[31m\nb", Some("a\\u{1b}[31m\\nb")),
            (
                b"a\t\x7f\xc2\x9b",
                "a\u{fffd}09\u{fffd}7f\u{fffd}c2\u{fffd}9b",
                Some("a\\t\\u{7f}\\u{9b}"),
            ),
            ("\u{202e}txt".as_bytes(), "\u{202e}txt", Some("\\u{202e}txt")),
            (b"serv\xffer", "serv\u{fffd}ffer", None),
            ("serv\u{fffd}ffer".as_bytes(), "serv\u{fffd}ef\u{fffd}bf\u{fffd}bdffer", None),
        ] {
            assert_eq!(field(bytes, false), in_file);
            assert_eq!(field(bytes, true), on_terminal.unwrap_or(in_file));
        }
    }

    #[test]
    fn formulas_and_lines_are_marked() {
        for (text, expected) in [
            ("nginx", "nginx"),
            ("", ""),
            ("-bash", "-bash"),
            ("-.mount", "-.mount"),
            ("=1+2,\"x\"", "\u{fffd}3d1+2,\"x\""),
            ("-2+3+cmd|' /C calc'!A0", "\u{fffd}2d2+3+cmd|' /C calc'!A0"),
            ("+SUM(A1)", "\u{fffd}2bSUM(A1)"),
            ("@SUM(A1)", "\u{fffd}40SUM(A1)"),
            ("two\nlines\n", "two\u{fffd}0alines\u{fffd}0a"),
            ("\n=1", "\u{fffd}0a=1"),
        ] {
            assert_eq!(csv(text.to_owned()), expected);
        }
    }

    #[test]
    fn json_says_the_same_without_characters_that_act() {
        for (name, expected) in [
            ("größe 日本語 e\u{301} \\ \"", None),
            ("a\u{7f}\u{9b}31m", Some(r#""a\u007f\u009b31m""#)),
            (
                "\u{202e}txt\u{200b}\u{e0001}\u{fffd}",
                Some("\"\\u202etxt\\u200b\\udb40\\udc01\u{fffd}\""),
            ),
        ] {
            let text = serde_json::to_string(name).expect("a text");
            let escaped = json(text.clone());
            assert_eq!(escaped, expected.map_or(text, str::to_owned));
            assert_eq!(serde_json::from_str::<String>(&escaped).expect("JSON"), name);
        }
    }

    #[test]
    fn an_argument_stays_on_its_line() {
        assert_eq!(argument("^a\\[1\\]\u{1b}\n größe"), "^a\\[1\\]\\u{1b}\\n größe");
    }

    #[test]
    fn names_in_ascii_have_escapes_and_decoration_has_replacements() {
        let ascii = |text: &str| Charset::Ascii.name(text.as_bytes());
        assert_eq!(ascii("ng…"), "ng\\u{2026}");
        assert_eq!(ascii("ng~ #"), "ng~ #");
        assert_eq!(ascii("größe\n"), "gr\\u{f6}\\u{df}e\\n");
        assert_eq!(Charset::Unicode.name("größe…".as_bytes()), "größe…");
        assert_eq!(Charset::Ascii.text("größe \\n"), "gr\\u{f6}\\u{df}e \\n");
        for (eighths, unicode, ascii) in [
            (0, "", ""),
            (3, "▍", ""),
            (4, "▌", "#"),
            (26, "███▎", "###"),
            (80, "██████████", "##########"),
        ] {
            let bars = [Charset::Unicode, Charset::Ascii].map(|charset| charset.bar(eighths));
            assert_eq!(bars, [unicode, ascii]);
        }
    }
}
