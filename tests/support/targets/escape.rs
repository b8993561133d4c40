//! Foreign bytes in terminal output: no control sequence passes, no two names look alike, a row
//! keeps within its columns. The first byte selects the number of columns.

use std::collections::HashMap;

use psm_uring::process::{Glimpse, ProcessUsage, StatFigures};
use psm_uring::program::{Annotations, Grouping, Labels, Obstacle, Order, Unread, group};
use psm_uring::report::{TableOptions, escape, table};
use psm_uring::smaps::Smaps;
use psm_uring::units::{Kib, Pid};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Three amounts, two blanks, eight columns of a name and its suffix.
const NEEDED: usize = 3 * 10 + 2 + 8 + " (1) timed out, RSS 2.0 MiB".len();
/// The maximum length of an escaped byte: `\u{0}` for a NUL is shorter.
const GROWTH_MAX: usize = 10;

pub fn run(bytes: &[u8]) {
    let Some((columns, name)) = bytes.split_first() else { return };
    let escaped = escape::name(name);
    check_harmless(&escaped);
    assert!(escaped.len() <= GROWTH_MAX * name.len(), "{} from {}", escaped.len(), name.len());
    assert_eq!(original(&escaped), name, "not the name that {escaped:?} stands for");
    let field = escape::field(name, false);
    assert!(!field.contains(|c: char| c.is_control() && c != '\n'), "{field:?}");
    assert_eq!(name_of_field(&field), name, "a field without its name");
    let record = escape::csv(field);
    assert!(!record.contains(char::is_control), "{record:?}");
    assert_eq!(name_of_field(&record), name, "a record without its name");
    let on_terminal = escape::field(name, true);
    assert!(!on_terminal.contains(char::is_control), "{on_terminal:?}");
    check_table(name, usize::from(*columns));
    if let Ok(text) = std::str::from_utf8(name) {
        let typed = escape::argument(text);
        assert!(!typed.contains(char::is_control), "{typed:?}");
    }
}

/// No control characters, no characters that change direction or end a line, no invisible ones.
fn check_harmless(text: &str) {
    let acts = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}' | '\u{ad}' | '\u{180e}')
            || c.is_whitespace() && c != ' '
    };
    assert!(!text.contains(acts), "{}", text.escape_unicode());
    assert!(!text.starts_with(' '), "{text:?}");
    let first = text.chars().next().and_then(UnicodeWidthChar::width);
    assert_ne!(first, Some(0), "a mark on what stands before the name: {text:?}");
}

/// The name that an escaped text represents. Escapes ensure that there is only one.
fn original(text: &str) -> Vec<u8> {
    let mut name = Vec::new();
    let mut chars = text.chars();
    let utf8 = |name: &mut Vec<u8>, c: char| name.extend(c.encode_utf8(&mut [0; 4]).bytes());
    while let Some(c) = chars.next() {
        if c != '\\' {
            utf8(&mut name, c);
            continue;
        }
        match chars.next().expect("something behind a backslash") {
            'n' => name.push(b'\n'),
            'r' => name.push(b'\r'),
            't' => name.push(b'\t'),
            '0' => name.push(0),
            '\\' => name.push(b'\\'),
            'x' => {
                let digits: String = chars.by_ref().take(2).collect();
                name.push(u8::from_str_radix(&digits, 16).expect("two digits"));
            }
            'u' => {
                let digits: String = chars.by_ref().skip(1).take_while(|c| *c != '}').collect();
                let number = u32::from_str_radix(&digits, 16).expect("a number");
                utf8(&mut name, char::from_u32(number).expect("a character"));
            }
            other => panic!("unknown escape {other:?} in {text:?}"),
        }
    }
    name
}

/// The name that a field of CSV or OpenMetrics holds: U+FFFD marks a byte in hexadecimal.
pub fn name_of_field(field: &str) -> Vec<u8> {
    let mut parts = field.split('\u{fffd}');
    let mut name = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        name.push(u8::from_str_radix(&part[..2], 16).expect("two digits"));
        name.extend(part[2..].bytes());
    }
    name
}

/// A row for the name and one for a stuck process of that name.
fn check_table(name: &[u8], columns: usize) {
    let usage = ProcessUsage {
        pid: Pid(1),
        name,
        smaps: Smaps::default(),
        uid: None,
        cgroup: None,
        page_tables: None,
        stat: StatFigures::default(),
    };
    let glimpse = Glimpse { comm: name.to_vec(), rss: Some(Kib(2048)), ..Glimpse::default() };
    let unread = Unread { pid: Pid(2), obstacle: Obstacle::TimedOut, glimpse, cgroup: None };
    let (unread, sharing, shares) = (&[&unread], &HashMap::new(), &HashMap::new());
    let found = Annotations { is_incomplete: true, unread, ..Annotations::new(sharing, shares) };
    let labels = Labels::new([].into_iter(), Grouping::Program, None);
    let programs = group([usage].into_iter(), &labels, found, Order::default());
    let text = table(&programs, &TableOptions { terminal: Some(columns), ..Default::default() });
    // Header, two rows, total: for any names.
    assert_eq!(text.lines().count(), 4, "{text}");
    let room = columns.max(NEEDED);
    for line in text.lines() {
        assert!(line.width() <= room, "{} of {room} columns: {line:?}", line.width());
    }
}
