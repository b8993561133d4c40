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
//! Words of a text are states and roles alike, so none is kept, except where [`NAMED`] knows it. A
//! state can also come before the program, or behind it without a mark; [`STATES`] has the usual
//! ones:
//!
//! ```text
//!   7/400 [ready] gunicorn: worker [shop]        85% busy mydaemon waiting for jobs
//!   └─ states ──┘└─ title ──────────────┘        └ states┘└─ key ┘└─ text ────────┘
//!   [mydaemon] idle                              [mydaemon] renderer: frame 17
//!   └─ key ──┘└────┘ text                        └────────┘└─ key ─┘ a state, as text has a mark
//! ```

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

/// Words that are states wherever they stand, in lower case. Parts of names are not among them:
/// `pg_standby`.
const STATES: [&str; 28] = [
    "active",
    "blocked",
    "busy",
    "closed",
    "connected",
    "disconnected",
    "done",
    "exited",
    "failed",
    "finished",
    "halted",
    "idle",
    "inactive",
    "listening",
    "ok",
    "paused",
    "pending",
    "processing",
    "queued",
    "ready",
    "running",
    "sleeping",
    "started",
    "starting",
    "stopped",
    "suspended",
    "waiting",
    "working",
];

/// The maximum length of a state with the marks behind it.
const STATE_MAX: usize = 16;

/// The least length of a word that is a state by its end, `fetching`; `ping` is a program.
const GERUND_MIN: usize = 7;

/// The least length of an id in hexadecimal digits: shorter ones may be words.
const ID_MIN: usize = 7;

/// Units of the numbers that can come before a program.
const UNITS: [&str; 20] = [
    "B", "k", "K", "M", "G", "kB", "KB", "MB", "GB", "KiB", "MiB", "GiB", "ns", "us", "ms", "s",
    "m", "min", "h", "d",
];

/// The maximum length of a number with its signs and its unit.
const AMOUNT_MAX: usize = 32;

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
    let name = behind_states(name).unwrap_or(name);
    let opening = name.iter().take_while(|byte| closing(**byte).is_some()).count();
    if opening == 0 {
        return of_title(name);
    }
    let (opening, rest) = name.split_at(opening);
    let inner_len = group_len(&name[opening.len() - 1..]).map_or(rest.len(), |len| len - 2);
    let (inner, rest) = rest.split_at(inner_len);
    let inner = behind_states(inner).unwrap_or(inner);
    let expected = opening.iter().rev().map(|byte| closing(*byte));
    let closed = rest.iter().zip(expected).take_while(|(byte, one)| Some(**byte) == *one).count();
    Cow::Owned([opening, &of_title(inner), &rest[..closed]].concat())
}

fn closing(byte: u8) -> Option<u8> {
    match byte {
        b'[' => Some(b']'),
        b'(' => Some(b')'),
        _ => None,
    }
}

/// The length of the brackets that the text begins with and of all inside; `None` if nothing
/// closes them.
fn group_len(text: &[u8]) -> Option<usize> {
    let (open, close) = (*text.first()?, closing(*text.first()?)?);
    let mut depth = 0;
    let end = text.iter().position(|byte| {
        depth += i32::from(*byte == open) - i32::from(*byte == close);
        depth == 0
    });
    end.map(|end| end + 1)
}

/// The title behind numbers, states and brackets; `None` if none of them or no word follows.
fn behind_states(name: &[u8]) -> Option<&[u8]> {
    let mut rest = name.trim_ascii_start();
    // The first brackets that may name the program, and the text inside.
    let mut program = None;
    loop {
        let is_behind = rest.len() < name.trim_ascii_start().len();
        let comes_before = |word: &&[u8]| {
            let bare = trim_marks(word);
            let is_value = is_amount(bare) || is_number_of_base_16(bare);
            let is_behind_one = is_behind && (is_text_state(bare) || is_separator(word));
            is_value || is_state(bare) || is_behind_one
        };
        let word = words(rest).next().filter(|_| program.is_none());
        if let Some(state) = word.filter(comes_before) {
            rest = rest[state.len()..].trim_ascii_start();
            continue;
        }
        let Some(len) = group_len(rest) else { break };
        let inner = &rest[1..len - 1];
        // `[celeryd@shop:MainProcess] working`
        if NAMED.iter().any(|named| inner.starts_with(named.begin.as_bytes())) {
            break;
        }
        let has_word = words(inner).any(|word| !is_amount(word) && !is_text_state(word));
        program = program.or(has_word.then_some((rest, inner)));
        rest = rest[len..].trim_ascii_start();
    }
    let has_title = rest.first().is_some_and(is_letter);
    let is_text = || words(rest).next().is_some_and(|word| is_text_state(trim_marks(word)));
    let has_mark = || {
        let behind = rest[end_of_program(rest)..].trim_ascii_start();
        behind.first().is_some_and(|byte| b":[(".contains(byte))
    };
    // `[mydaemon] idle`, `[mydaemon] 17 jobs`
    let is_program = |inner: &[u8]| !has_title || is_text() || is_plain(inner) && !has_mark();
    match program.filter(|(_, inner)| is_program(inner)) {
        Some((brackets, _)) => Some(brackets),
        None => (rest.len() < name.len() && has_title).then_some(rest),
    }
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b' ').filter(|word| !word.is_empty())
}

/// A word without the marks at its end.
fn trim_marks(word: &[u8]) -> &[u8] {
    let marks = word.iter().rev().take_while(|byte| b",;:".contains(byte)).count();
    &word[..word.len() - marks]
}

fn is_state(word: &[u8]) -> bool {
    STATES.iter().any(|state| word.eq_ignore_ascii_case(state.as_bytes()))
}

/// Whether a word of a text is a state, behind a program or in brackets.
fn is_text_state(word: &[u8]) -> bool {
    let is_long = word.len() >= GERUND_MIN && is_plain(word);
    is_state(word) || is_long && word[word.len() - 3..].eq_ignore_ascii_case(b"ing")
}

/// Whether a word is a number, or has nothing but numbers, signs and units: `17`, `7/400`, `85%`,
/// `3.5s`, `1d2h`, `12:33:01`, `2026-11-29T12:33:01Z`, `<7>`.
fn is_amount(word: &[u8]) -> bool {
    let has_sign = word.first().is_some_and(|byte| !is_letter(byte));
    let has_digit = word.iter().any(u8::is_ascii_digit);
    let mut letters = word.split(|byte| !is_letter(byte)).filter(|letters| !letters.is_empty());
    let is_time = |letters: &[u8]| matches!(letters, b"T" | b"Z");
    let is_unit = |letters| UNITS.iter().any(|unit| unit.as_bytes() == letters) || is_time(letters);
    let has_brackets = word.iter().any(|byte| b"[](){}".contains(byte));
    has_sign && has_digit && !has_brackets && word.len() <= AMOUNT_MAX && letters.all(is_unit)
}

/// Whether a word is an address or an id: `0x1f`, `3f2a9b0c`, a UUID.
fn is_number_of_base_16(word: &[u8]) -> bool {
    let digits = word.strip_prefix(b"0x").unwrap_or(word);
    let is_address = digits.len() < word.len() && !digits.is_empty();
    is_id(word) || is_address && digits.iter().all(u8::is_ascii_hexdigit)
}

/// Whether a word has nothing but signs: `-`, `|`, `—`, `✓`.
fn is_separator(word: &[u8]) -> bool {
    let is_sign = |letter: char| !letter.is_alphanumeric() && !"_[](){}".contains(letter);
    std::str::from_utf8(word).is_ok_and(|word| !word.is_empty() && word.chars().all(is_sign))
}

fn of_title(title: &[u8]) -> Cow<'_, [u8]> {
    let found = NAMED.iter().find_map(|named| Some((named.program, named.find(title)?)));
    if let Some((program, name)) = found {
        return Cow::Owned([program.as_bytes(), b": ", name].concat());
    }
    let program = &title[..end_of_program(title)];
    // A number alone may be a binary, such as `2048`.
    if !is_amount(program) || program.iter().all(u8::is_ascii_digit) {
        return Cow::Borrowed(program);
    }
    let mut key: Vec<u8> =
        program.iter().map(|byte| if byte.is_ascii_digit() { b'#' } else { *byte }).collect();
    key.dedup_by(|a, b| (*a, *b) == (b'#', b'#'));
    Cow::Owned(key)
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
/// before the second or a later word that is not made of letters or is a state. In the first word
/// also before a value: at `=`, `<`, `{`, `|`, `#7` and `:7/400`, and before `/idle` and `-idle`.
fn end_of_program(title: &[u8]) -> usize {
    if title.starts_with(b" ") {
        return title.len();
    }
    let mut end = 0;
    for word in title.split_inclusive(|byte| *byte == b' ') {
        let is_first = end == 0;
        let word = word.strip_suffix(b" ").unwrap_or(word);
        let is_end = |at: &usize| is_mark(&word[*at..]) || is_first && is_value(&word[*at..]);
        let mark = (1..word.len()).find(is_end);
        let word = &word[..mark.unwrap_or(word.len())];
        if !is_first && (!is_plain(word) || is_text_state(trim_marks(word))) {
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
    matches!(rest, b":" | b"," | b";")
        || [&b"::"[..], b"[", b"("].iter().any(|mark| rest.starts_with(mark))
}

/// Whether a value or a state begins here, as in `load=8%`, `worker<7>` and `mydaemon/idle`. A port
/// is part of a name: `app:8080`.
fn is_value(rest: &[u8]) -> bool {
    let Some((mark, value)) = rest.split_first() else { return false };
    let is_state = || value.len() <= STATE_MAX && is_state(trim_marks(value));
    match mark {
        b'=' | b'<' | b'{' | b'|' => true,
        b'#' if value.first().is_some_and(u8::is_ascii_digit) => true,
        b':' if is_amount(value) => !value.iter().all(u8::is_ascii_digit),
        _ => mark.is_ascii_punctuation() && is_state(),
    }
}

/// Whether a word is made of letters.
fn is_plain(word: &[u8]) -> bool {
    let is_of_word = |byte: &u8| is_letter(byte) || b"._-+&',".contains(byte);
    word.first().is_some_and(is_letter) && word.iter().all(is_of_word) && !is_separator(word)
}

fn is_letter(byte: &u8) -> bool {
    byte.is_ascii_alphabetic() || *byte == b'_' || !byte.is_ascii()
}
