//! From a name to its key, which stays the same when the text of a title changes. docs/GROUPING.md
//! has the rule, and is its test.
//!
//! ```text
//!   zabbix_server: poller #1 [got 1 values in 0.016686 sec, idle 1 sec]
//!   └─ key ─────┘└─ text ────────────────────────────────────────────┘
//!   puma: cluster worker 0: 4711 [shop]
//!   └──┘                          └──┘    the key is `puma: shop`
//! ```
//!
//! Words of a text are states and roles alike, so none is kept, except where [`NAMED`] knows it.

use std::borrow::Cow;

use super::NameRule;
use super::name::DELETED;

/// A program whose text has a stable name.
struct Named {
    /// The beginning of its titles.
    begin: &'static str,
    /// The text in front of the name, if the name does not come first.
    before: &'static str,
    /// The characters that end the name; one of them is there, unless the title may end instead.
    ends: &'static str,
    may_be_last: bool,
    /// The name of the program.
    program: &'static str,
}

const NAMED: [Named; 8] = [
    named("celeryd@", "", ": ", "celeryd"),
    named("celeryd: ", "", "@:", "celeryd"),
    named("gunicorn: ", "[", "]", "gunicorn"),
    Named { may_be_last: true, ..named("php-fpm: pool ", "", " ", "php-fpm") },
    named("postgres: ", "", ":", "postgres"),
    named("puma ", " [", "]", "puma"),
    named("puma: ", " [", "]", "puma"),
    named("sidekiq ", " ", " ", "sidekiq"),
];

const fn named(
    begin: &'static str,
    before: &'static str,
    ends: &'static str,
    program: &'static str,
) -> Named {
    Named { begin, before, ends, may_be_last: false, program }
}

/// The least length of an id in hexadecimal digits: shorter ones may be words.
const ID_MIN: usize = 7;

/// The key of a name by a rule. It is never empty unless the name is.
pub fn key(rule: NameRule, name: &[u8]) -> Cow<'_, [u8]> {
    match rule {
        NameRule::Cmdline => Cow::Borrowed(name),
        NameRule::Exe => Cow::Borrowed(name.strip_suffix(DELETED).unwrap_or(name)),
        NameRule::Title | NameRule::Comm | NameRule::Script => bracketed(name),
    }
}

/// The key of a name that may be in brackets, such as `[celeryd@shop:MainProcess] -active-` and
/// `(sd-pam)`. They stay, so that `[comm]` is another program.
fn bracketed(name: &[u8]) -> Cow<'_, [u8]> {
    let closing = match name.first() {
        Some(b'[') => b']',
        Some(b'(') => b')',
        _ => return of_title(name),
    };
    let close = name.iter().position(|byte| *byte == closing);
    let inner = of_title(&name[1..close.unwrap_or(name.len())]);
    let end = close.map(|close| &name[close..=close]).unwrap_or_default();
    Cow::Owned([&name[..1], &inner, end].concat())
}

fn of_title(title: &[u8]) -> Cow<'_, [u8]> {
    let found = NAMED.iter().find_map(|named| Some((named.program, named.find(title)?)));
    found.map_or_else(
        || Cow::Borrowed(&title[..end_of_program(title)]),
        |(program, name)| Cow::Owned([program.as_bytes(), b": ", name].concat()),
    )
}

impl Named {
    /// The stable name in a title of this program. Numbers and ids are none.
    fn find<'a>(&self, title: &'a [u8]) -> Option<&'a [u8]> {
        let rest = title.strip_prefix(self.begin.as_bytes())?;
        let before = self.before.as_bytes();
        let begin = match before.len() {
            0 => 0,
            len => len + rest.windows(len).position(|window| window == before)?,
        };
        let rest = &rest[begin..];
        let end = rest.iter().position(|byte| self.ends.as_bytes().contains(byte));
        let name = &rest[..end.or_else(|| self.may_be_last.then_some(rest.len()))?];
        let starts_well = name.first().is_some_and(|byte| is_letter(byte) || byte.is_ascii_digit());
        (starts_well && !name.contains(&b' ') && !is_id(name)).then_some(name)
    }
}

/// Whether a word is a number or an id, as deployments and containers have.
fn is_id(word: &[u8]) -> bool {
    let has_digit = word.iter().any(u8::is_ascii_digit);
    let is_long = word.len() >= ID_MIN || word.iter().all(u8::is_ascii_digit);
    has_digit && is_long && word.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
}

/// The place where the name of a program ends and its text begins: at `: `, `::`, `[`, `(`, or
/// before the second or a later word that is not made of letters.
fn end_of_program(title: &[u8]) -> usize {
    if title.starts_with(b" ") {
        return title.len();
    }
    let mut end = 0;
    for word in title.split_inclusive(|byte| *byte == b' ') {
        let is_first = end == 0;
        let word = word.strip_suffix(b" ").unwrap_or(word);
        let mark = (1..word.len()).find(|at| is_mark(&word[*at..]));
        let word = &word[..mark.unwrap_or(word.len())];
        if !is_first && !is_plain(word) {
            break;
        }
        end += usize::from(!is_first) + word.len();
        if mark.is_some() {
            break;
        }
    }
    end
}

fn is_mark(rest: &[u8]) -> bool {
    rest == b":" || [&b"::"[..], b"[", b"("].iter().any(|mark| rest.starts_with(mark))
}

/// Whether a word is made of letters.
fn is_plain(word: &[u8]) -> bool {
    let is_of_word = |byte: &u8| is_letter(byte) || b"._-+&',".contains(byte);
    word.first().is_some_and(is_letter) && word.iter().all(is_of_word)
}

fn is_letter(byte: &u8) -> bool {
    byte.is_ascii_alphabetic() || *byte == b'_' || !byte.is_ascii()
}
