//! Foreign names made safe: the one place every untrusted byte passes before any output.
//!
//! A process may call itself anything. A name must not move the cursor, start a line, forge a
//! row, or turn the direction of the text around.

use std::fmt::Write;

/// The name as a line of text: printable characters as they are, every other as an escape.
///
/// Control characters, invalid UTF-8, line and paragraph separators, marks of direction, invisible
/// and unassigned characters become `\n`, `\u{202e}`, `\xff`. A backslash stays: escapes are
/// for eyes, machine formats have their own.
pub fn name(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|c| push(&mut text, c));
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

fn push(text: &mut String, c: char) {
    match c {
        ' ' | '\\' | '\'' | '"' => text.push(c),
        _ if is_combining(c) => text.push(c),
        // The standard library knows what is printable: no controls, formats, private use,
        // separators, unassigned.
        _ => text.extend(c.escape_debug()),
    }
}

/// Marks that stand on the letter before them; `escape_debug` escapes them when alone.
fn is_combining(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}' | '\u{3099}' | '\u{309a}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmless_names_stay() {
        for text in
            ["nginx: worker process", "[kthreadd]", "a\\b'c\"d", "größe", "日本語", "e\u{301}"]
        {
            assert_eq!(name(text.as_bytes()), text);
        }
    }

    #[test]
    fn nothing_else_gets_out() {
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
}
