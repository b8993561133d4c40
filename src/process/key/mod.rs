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
//! A text can begin without a sign: behind the program only a role is a part of the key (`unicorn
//! worker`), as programs have few roles, but any number of states. Behind a sign no word is kept,
//! except where [`NAMED`] knows it. A state can also come before the program; `words` has the usual
//! ones:
//!
//! ```text
//!   7/400 [ready] gunicorn: worker [shop]        85% busy mydaemon waiting for jobs
//!   └─ states ──┘└─ title ──────────────┘        └ states┘└─ key ┘└─ text ────────┘
//!   [mydaemon] idle                              [mydaemon] renderer: frame 17
//!   └─ key ──┘└────┘ text                        └────────┘└─ key ─┘ a state, as text has a mark
//! ```
//!
//! - `plain` blanks, digits and signs beyond ASCII
//! - `words` the words and signs of titles that change
#![forbid(unsafe_code)]

mod plain;
mod words;

use std::borrow::Cow;

use self::words::{
    AMOUNT_MAX, STATE_MAX, VALUE_MAX, bare, is_amount, is_capitalised, is_letter, is_letter_id,
    is_opening, is_option, is_package, is_plain, is_reading, is_release, is_role, is_separator,
    is_state, is_text_state, is_value, signs_len, without_release, words,
};
use super::NameRule;
use super::name::DELETED;
use super::script;

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

const NAMED: [Named; 9] = [
    named("celeryd@", "", ": ", "celeryd"),
    named("celeryd: ", "", "@:", "celeryd"),
    named("gunicorn: ", "[", "]", "gunicorn"),
    Named { may_be_last: true, ..named("php-fpm: pool ", "", " ", "php-fpm") },
    named("postgres: ", "", ":", "postgres"),
    named("puma ", " [", "]", "puma"),
    named("puma: ", " [", "]", "puma"),
    named("sidekiq ", " ", " ", "sidekiq"),
    // Only names in quotation marks.
    named("unit: ", "", "", "unit"),
];

/// The program whose titles are its command line: `npm run start`.
const COMMAND_TITLE: &[u8] = b"npm";

const fn named(
    begin: &'static str,
    before: &'static str,
    ends: &'static str,
    program: &'static str,
) -> Named {
    Named { begin, before, ends, may_be_last: false, program }
}

/// The key of a name by a rule. It is never empty unless the name is.
pub fn key(rule: NameRule, name: &[u8]) -> Cow<'_, [u8]> {
    match rule {
        NameRule::Cmdline => Cow::Borrowed(name),
        NameRule::Exe => Cow::Borrowed(name.strip_suffix(DELETED).unwrap_or(name)),
        NameRule::Title | NameRule::Comm | NameRule::Script => match plain::plain(name) {
            Some(name) => Cow::Owned(bracketed(&name).into_owned()),
            None => bracketed(name),
        },
    }
}

/// The key of a name that may be in brackets, such as `[celeryd@shop:MainProcess] -active-` and
/// `(sd-pam)`. They stay, so that `[comm]` is another program.
fn bracketed(name: &[u8]) -> Cow<'_, [u8]> {
    let name = behind_states(name).unwrap_or(name);
    let opening = name.iter().take_while(|byte| closing(**byte).is_some()).count();
    if opening == 0 {
        return of_title(name, false);
    }
    let (opening, rest) = name.split_at(opening);
    let inner_len = group_len(&name[opening.len() - 1..]).map_or(rest.len(), |len| len - 2);
    let (inner, rest) = rest.split_at(inner_len);
    let inner = behind_states(inner).unwrap_or(inner);
    let expected = opening.iter().rev().map(|byte| closing(*byte));
    let closed = rest.iter().zip(expected).take_while(|(byte, one)| Some(**byte) == *one).count();
    Cow::Owned([opening, &of_title(inner, true), &rest[..closed]].concat())
}

fn closing(byte: u8) -> Option<u8> {
    match byte {
        b'[' => Some(b']'),
        b'(' => Some(b')'),
        b'{' => Some(b'}'),
        b'<' => Some(b'>'),
        b'"' | b'\'' | b'`' => Some(byte),
        _ => None,
    }
}

/// The length of the brackets or quotes that the text begins with and of all inside; `None` if
/// nothing closes them.
fn group_len(text: &[u8]) -> Option<usize> {
    let (open, close) = (*text.first()?, closing(*text.first()?)?);
    if open == close {
        return text[1..].iter().position(|byte| *byte == close).map(|end| end + 2);
    }
    let mut depth = 0;
    let end = text.iter().position(|byte| {
        depth += i32::from(*byte == open) - i32::from(*byte == close);
        depth == 0
    });
    end.map(|end| end + 1)
}

/// The title behind signs, numbers, states and brackets; `None` if none of them or no word follows.
fn behind_states(name: &[u8]) -> Option<&[u8]> {
    let begin = name.trim_ascii_start();
    let mut rest = begin;
    // The first brackets that may name the program, and the text inside.
    let mut program = None;
    loop {
        let is_behind = rest.len() < begin.len();
        let len = match program {
            None => state_len(rest, is_behind),
            Some(_) => words(rest).next().filter(|word| is_separator(word)).map_or(0, <[u8]>::len),
        };
        if len > 0 {
            rest = rest[len..].trim_ascii_start();
            continue;
        }
        let Some(len) = group_len(rest) else { break };
        let inner = &rest[1..len - 1];
        // `[celeryd@shop:MainProcess] working`
        if NAMED.iter().any(|named| inner.starts_with(named.begin.as_bytes())) {
            break;
        }
        let is_word = |word: &[u8]| {
            let bare = bare(word);
            !bare.is_empty() && !is_value(bare) && !is_text_state(bare)
        };
        program = program.or(words(inner).any(is_word).then_some((rest, inner)));
        rest = rest[len..].trim_ascii_start();
    }
    let first = words(rest).next().unwrap_or_default();
    let has_title = first.iter().any(is_letter) && !is_value(bare(first)) && !is_option(first);
    let is_text = || is_text_state(bare(first));
    let has_mark = || {
        let behind = rest[end_of_program(rest, false)..].trim_ascii_start();
        behind.first().is_some_and(|byte| b":[({<".contains(byte))
    };
    // `[mydaemon] idle`, `[mydaemon] 17 jobs`, `[celery worker] rests`
    let is_name = |inner: &[u8]| {
        let is_whole = end_of_program(inner, true) == inner.len();
        is_whole && words(inner).all(is_plain) && !words(inner).next().is_some_and(is_text_state)
    };
    let is_program = |inner: &[u8]| !has_title || is_text() || is_name(inner) && !has_mark();
    match program.filter(|(_, inner)| is_program(inner)) {
        Some((brackets, _)) => Some(brackets),
        None => (rest.len() < name.len() && has_title).then(|| without_directory(rest)),
    }
}

/// The length of a sign, a number or a state at the begin of a text: of `==>`, `17`, `idle:`, and
/// of `idle|` in `idle|mydaemon`. In front of a word only some signs are none of the word's.
fn state_len(text: &[u8], is_behind: bool) -> usize {
    let Some(word) = words(text).next() else { return 0 };
    let is_state = |word: &[u8]| is_value(word) || is_state(word);
    let whole = bare(word);
    if is_option(word) && !is_state(whole) {
        return 0;
    }
    if is_separator(word) || is_state(whole) || is_behind && is_text_state(whole) {
        return word.len();
    }
    let signs = signs_len(word);
    let is_arrow = || word[..signs].contains(&b'>');
    match word[0] {
        _ if signs == 0 => {}
        first if is_opening(&first) => return 0,
        b'-' if signs == 1 => return 0,
        b'.' | b'/' | b'\\' | b'@' if !is_arrow() => return 0,
        _ => return signs,
    }
    let ends = (1..word.len().min(AMOUNT_MAX)).rev();
    let glued = ends.filter(|at| b":|/@,;>=~".contains(&word[*at]) && is_state(&word[..*at]));
    let next = |at: usize| {
        let signs = &word[at..at + signs_len(&word[at..])];
        at + signs.iter().position(is_opening).unwrap_or(signs.len())
    };
    let is_title = |first: &u8| is_letter(first) || is_opening(first);
    glued.map(next).find(|at| word.get(*at).is_some_and(is_title)).unwrap_or_default()
}

/// A title without the directory of its program: `[idle] /usr/sbin/mydaemon`.
fn without_directory(title: &[u8]) -> &[u8] {
    let path = words(title).next().unwrap_or_default();
    let is_path = [&b"/"[..], b"./", b"../"].iter().any(|begin| path.starts_with(begin));
    let begin = path.iter().rposition(|byte| *byte == b'/').filter(|_| is_path);
    begin.map(|slash| &title[slash + 1..]).filter(|name| !name.is_empty()).unwrap_or(title)
}

fn of_title(title: &[u8], is_in_brackets: bool) -> Cow<'_, [u8]> {
    let found = NAMED.iter().find_map(|named| Some((named.program, named.find(title)?)));
    if let Some((program, name)) = found {
        return Cow::Owned([program.as_bytes(), b": ", name].concat());
    }
    let first = words(title).next().filter(|first| is_amount(first));
    let program = first.unwrap_or(&title[..end_of_program(title, is_in_brackets)]);
    // A number alone may be a binary, such as `2048`.
    if !is_amount(program) || !is_in_brackets && program.iter().all(u8::is_ascii_digit) {
        return Cow::Borrowed(program);
    }
    let mut key: Vec<u8> =
        program.iter().map(|byte| if byte.is_ascii_digit() { b'#' } else { *byte }).collect();
    key.dedup_by(|a, b| (*a, *b) == (b'#', b'#'));
    Cow::Owned(key)
}

impl Named {
    /// The stable name in a title of this program. Numbers, ids and releases are none, unless it is
    /// in quotation marks.
    fn find<'a>(&self, title: &'a [u8]) -> Option<&'a [u8]> {
        let rest = title.strip_prefix(self.begin.as_bytes())?;
        let before = self.before.as_bytes();
        let begin = match before.len() {
            0 => 0,
            len => len + rest.windows(len).position(|window| window == before)?,
        };
        let rest = &rest[begin..];
        if let Some(label) = rest.strip_prefix(b"\"") {
            let end = label.iter().position(|byte| *byte == b'"').filter(|end| *end > 0)?;
            return Some(&label[..end]);
        }
        let end = rest.iter().position(|byte| self.ends.as_bytes().contains(byte));
        let name = &rest[..end.or_else(|| self.may_be_last.then_some(rest.len()))?];
        let starts_well = name.first().is_some_and(|byte| is_letter(byte) || byte.is_ascii_digit());
        let name = without_release(name);
        (starts_well && !name.is_empty() && !name.contains(&b' ')).then_some(name)
    }
}

/// The place where the name of a program ends and its text begins: behind a word at the sign of a
/// text, or before the second or a later word that is no part of a name.
fn end_of_program(title: &[u8], is_in_brackets: bool) -> usize {
    if title.starts_with(b" ") {
        return title.len();
    }
    let mut end = 0;
    for word in title.split_inclusive(|byte| *byte == b' ') {
        let is_first = end == 0;
        let word = word.strip_suffix(b" ").unwrap_or(word);
        let text = text_begin(word, is_first && !is_in_brackets);
        let (word, text_of_word) = word.split_at(text.unwrap_or(word.len()));
        // `unicorn worker[0]` has a role, `renderd frame=17` has a text.
        let ends_name = || {
            let is_end = signs_len(text_of_word) == text_of_word.len();
            let is_version = || text_of_word[0] == b'@' && is_command_title(title);
            is_end
                || b"[({<".contains(&text_of_word[0])
                || text_of_word.starts_with(b"::")
                || is_version()
        };
        let is_part = || is_part_of_name(&title[..end], word) && ends_name();
        if !(is_first || is_part()) {
            break;
        }
        end += usize::from(!is_first) + word.len();
        if text.is_some() {
            break;
        }
    }
    end
}

/// Whether a word behind the beginning of a name is a part of it: a role, a command of npm, the
/// script of an interpreter, or one with a capital letter like the beginning, as in `Web Content`.
fn is_part_of_name(begin: &[u8], word: &[u8]) -> bool {
    if is_package(word) && is_command_title(begin) {
        return true;
    }
    if !is_plain(word) || is_text_state(word) {
        return false;
    }
    let first = words(begin).next().unwrap_or_default();
    is_role(word)
        || is_command_title(begin)
        || is_capitalised(word) && first.first().is_some_and(u8::is_ascii_uppercase)
        || script::has_script_end(word) && script::interpreter_id(first).is_some()
}

fn is_command_title(title: &[u8]) -> bool {
    words(title).next() == Some(COMMAND_TITLE)
}

/// The place in a word where a text begins.
fn text_begin(word: &[u8], may_have_port: bool) -> Option<usize> {
    let mut at = 1;
    let slash = word.iter().rposition(|byte| *byte == b'/').filter(|_| !is_memfd(word));
    while at < word.len() {
        let signs = if word[at] == b'_' { 1 } else { signs_len(&word[at..]) };
        let (signs, value) = word[at..].split_at(signs);
        // `com.foo.Main$1` is a class.
        let is_class = || signs == b"$" && word[..at].contains(&b'.');
        // `lsphp:/srv/a.php`, `fetcher:http://host/x`; the scheme of a URL is none: `ipp://host/x`.
        let is_path = |sign: &u8| b":,;".contains(sign) && slash > Some(at);
        if signs.first().is_some_and(is_path) && !signs.starts_with(b"://") {
            return Some(at);
        }
        if !signs.is_empty() && is_text(signs, value, may_have_port) && !is_class() {
            return Some(at);
        }
        at += signs.len().max(1);
    }
    None
}

/// Whether a name is that of a memory file, which can be a path: `memfd:runc:/proc/self/exe`.
fn is_memfd(name: &[u8]) -> bool {
    name.starts_with(b"memfd:")
}

/// Whether these signs and the rest of a word behind them are a text: a bracket, an arrow, a state
/// or a value, as in `load=8%`, `mydaemon@17:23`, `mydaemon/idle`. A port is part of a name:
/// `app:8080`. So are short numbers and versions behind a dash, a dot, a plus or a `_`.
fn is_text(signs: &[u8], value: &[u8], may_have_port: bool) -> bool {
    const PORT_LENGTHS: std::ops::RangeInclusive<usize> = 4..=5;
    let bare = bare(&value[..value.len().min(VALUE_MAX)]);
    let is_bracket = |sign: &u8| b"[({<>=|\"`".contains(sign) || !sign.is_ascii();
    if signs.iter().any(is_bracket) || signs.windows(2).any(|two| two == b"::") {
        return true;
    }
    if value.is_empty() {
        return signs.iter().any(|sign| b":,;.!?*~'".contains(sign));
    }
    if bare.len() <= STATE_MAX && is_state(bare) {
        // `hd-idle`, `order_processing`
        return !matches!(signs, b"-" | b"." | b"+" | b"_");
    }
    let is_number = bare.iter().all(u8::is_ascii_digit);
    match signs[0] {
        b'#' if value[0].is_ascii_digit() => true,
        b':' if is_number && PORT_LENGTHS.contains(&bare.len()) => !may_have_port,
        b'/' => {
            is_release(bare)
                || is_number
                || is_reading(bare)
                || is_amount(bare) && bare.contains(&b':')
        }
        b'-' | b'.' | b'+' | b'_' => is_release(bare) || is_reading(value),
        b'\\' => false,
        _ => is_value(bare) || is_letter_id(bare),
    }
}
