//! The words of titles: roles, which are parts of names, and states, numbers, times, ids and signs,
//! which change.

/// Words that are states wherever they stand, in lower case. Parts of names are not among them:
/// `pg_standby`.
const STATES: [&str; 53] = [
    "aborted",
    "accepting",
    "active",
    "alive",
    "blocked",
    "busy",
    "cancelled",
    "closed",
    "completed",
    "connected",
    "connecting",
    "crashed",
    "degraded",
    "disconnected",
    "done",
    "exited",
    "failed",
    "finished",
    "halted",
    "healthy",
    "idle",
    "inactive",
    "listening",
    "loading",
    "offline",
    "ok",
    "online",
    "paused",
    "pending",
    "polling",
    "processing",
    "queued",
    "reading",
    "ready",
    "receiving",
    "reloading",
    "restarting",
    "running",
    "sending",
    "sleeping",
    "stalled",
    "started",
    "starting",
    "stopped",
    "stopping",
    "suspended",
    "terminated",
    "terminating",
    "unhealthy",
    "unknown",
    "waiting",
    "working",
    "writing",
];

/// Roles that programs name in their titles, besides those that end in `er` or `or`.
const ROLES: &str =
    "agent api app beat child client core daemon gui main parent service task ui web";

/// Words with such an end that are no roles.
const NO_ROLES: &str = "\
    after answer cover enter error ever later longer never number offer order other prefer rather \
    recover refer remember transfer trigger under whether";

/// The least length of a role by its end: shorter words are `per`, `over`, `user`.
const ROLE_MIN: usize = 5;

/// Days and months, which have a capital letter as names do.
const TIMES: &str = "\
    Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec Mon Tue Wed Thu Fri Sat Sun January February \
    March April June July August September October November December Monday Tuesday Wednesday \
    Thursday Friday Saturday Sunday";

/// The maximum length of a state with the signs around it.
pub(super) const STATE_MAX: usize = 16;

/// The least length of a word that is a state by its end, `fetching`; `ping` is a program.
const GERUND_MIN: usize = 7;

/// The least length of an id in hexadecimal digits: shorter ones may be words.
const ID_MIN: usize = 7;

/// The least length of an id of hexadecimal letters alone: shorter ones are words, as `facade`.
const LETTER_ID_MIN: usize = 8;

/// The least length of a number that is a date, a time or an id: `261129`.
const LONG_NUMBER_MIN: usize = 6;

/// The length of a value; of a longer text its beginning tells.
pub(super) const VALUE_MAX: usize = 64;

/// Units of the numbers that can come before a program.
const UNITS: [&str; 20] = [
    "B", "k", "K", "M", "G", "kB", "KB", "MB", "GB", "KiB", "MiB", "GiB", "ns", "us", "ms", "s",
    "m", "min", "h", "d",
];

/// The maximum length of a number with its signs and its unit.
pub(super) const AMOUNT_MAX: usize = 32;

pub(super) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b' ').filter(|word| !word.is_empty())
}

/// The length of the sign that a text begins with; 0 if there is none.
pub(super) fn sign_len(text: &[u8]) -> usize {
    match text.first() {
        Some(b'_') | None => 0,
        Some(first) if first.is_ascii() => usize::from(first.is_ascii_punctuation()),
        Some(_) => {
            let char = text[..text.len().min(4)].utf8_chunks().next();
            let char = char.and_then(|chunk| chunk.valid().chars().next());
            char.filter(|char| is_sign(*char)).map_or(0, char::len_utf8)
        }
    }
}

/// Whether a character beyond ASCII is no part of a word: Latin signs, dashes, bullets, arrows,
/// shapes, Braille, CJK brackets, emoji. A hyphen and an apostrophe are parts of words, and so is a
/// character without ink, which may be there to deceive.
fn is_sign(char: char) -> bool {
    let is_of_word = matches!(char, 'ª' | '·' | 'º' | '‐' | '‑' | '’' | '\u{ad}' | '\u{2800}');
    let is_known = matches!(char, '\u{a1}'..='\u{bf}' | '×' | '÷' | '\u{2010}'..='\u{2027}'
        | '\u{2030}'..='\u{205e}' | '\u{2190}'..='\u{2bff}' | '\u{3001}'..='\u{3003}'
        | '\u{3008}'..='\u{3020}' | '\u{1f000}'..='\u{1faff}');
    is_known && !is_of_word
}

/// The length of the signs that a text begins with.
pub(super) fn signs_len(text: &[u8]) -> usize {
    let mut len = 0;
    while let one @ 1.. = sign_len(&text[len..]) {
        len += one;
    }
    len
}

/// A word without the signs at its ends. A bracket that opens stays: it may hold more words.
pub(super) fn bare(word: &[u8]) -> &[u8] {
    let begin = if word.first().is_some_and(is_opening) { 0 } else { signs_len(word) };
    let mut word = &word[begin..];
    loop {
        let is_begin = |at: &usize| word[*at] & 0xc0 != 0x80;
        let last = (word.len().saturating_sub(4)..word.len()).rev().find(is_begin);
        match last.filter(|last| sign_len(&word[*last..]) == word.len() - last) {
            Some(last) => word = &word[..last],
            None => return word,
        }
    }
}

pub(super) fn is_opening(byte: &u8) -> bool {
    b"[({<\"'`".contains(byte)
}

pub(super) fn is_state(word: &[u8]) -> bool {
    STATES.iter().any(|state| word.eq_ignore_ascii_case(state.as_bytes()))
}

/// Whether a word of a text is a state by the list or by its end, or a day or a month.
pub(super) fn is_text_state(word: &[u8]) -> bool {
    let is_long = word.len() >= GERUND_MIN && is_plain(word);
    let is_gerund = is_long && word[word.len() - 3..].eq_ignore_ascii_case(b"ing");
    let is_time = TIMES.split(' ').any(|time| time.as_bytes() == word);
    is_state(word) || is_gerund || is_time
}

/// Whether a word names a role: `worker`, `Scheduler`, `io-helper`.
pub(super) fn is_role(word: &[u8]) -> bool {
    let is_in = |list: &str| list.split(' ').any(|one| word.eq_ignore_ascii_case(one.as_bytes()));
    let is_written_as_word = is_capitalised(word) || !word.iter().any(u8::is_ascii_uppercase);
    let is_doer = word.len() >= ROLE_MIN && (word.ends_with(b"er") || word.ends_with(b"or"));
    is_written_as_word && (is_doer && !is_in(NO_ROLES) || is_in(ROLES))
}

/// Whether a word begins with a capital letter and has small ones, too: `Content`, `RubyApp`.
pub(super) fn is_capitalised(word: &[u8]) -> bool {
    let (first, rest) = word.split_first().unwrap_or((&0, b""));
    first.is_ascii_uppercase() && rest.iter().any(u8::is_ascii_lowercase)
}

/// Whether a word is a number, or has nothing but numbers, signs and units: `17`, `7/400`, `85%`,
/// `3.5s`, `1d2h`, `12:33:01`, `2026-11-29T12:33:01Z`.
pub(super) fn is_amount(word: &[u8]) -> bool {
    if word.len() > AMOUNT_MAX {
        return false;
    }
    let has_sign = word.first().is_some_and(|byte| !is_letter(byte));
    let has_digit = word.iter().any(u8::is_ascii_digit);
    let mut letters = word.split(|byte| !is_letter(byte)).filter(|letters| !letters.is_empty());
    let is_time = |letters: &[u8]| matches!(letters, b"T" | b"Z");
    let is_unit = |letters| UNITS.iter().any(|unit| unit.as_bytes() == letters) || is_time(letters);
    let has_brackets = word.iter().any(|byte| b"[](){}<>\"'`".contains(byte));
    has_sign && has_digit && !has_brackets && letters.all(is_unit)
}

/// Whether a text begins with a share, a fraction or a time of day: `85%`, `3/10`, `17:23`.
pub(super) fn is_reading(text: &[u8]) -> bool {
    let is_of_number = |byte: &&u8| byte.is_ascii_digit() || **byte == b'.';
    let len = text.iter().take_while(is_of_number).count();
    let is_digit = |at: usize| text.get(at).is_some_and(u8::is_ascii_digit);
    match text.get(len) {
        Some(b'%') => len > 0,
        Some(b'/') => len > 0 && is_digit(len + 1),
        Some(b':') => len == 2 && is_digit(3) && is_digit(4),
        _ => false,
    }
}

/// Whether a word is a number, an address or an id: `17`, `0x1f`, `3f2a9b0c`, a UUID.
pub(super) fn is_value(word: &[u8]) -> bool {
    let digits = word.strip_prefix(b"0x").unwrap_or(word);
    let is_address = digits.len() < word.len() && !digits.is_empty();
    is_amount(word) || is_id(word) || is_address && digits.iter().all(u8::is_ascii_hexdigit)
}

/// Whether a word is a number or an id, as deployments and containers have.
fn is_id(word: &[u8]) -> bool {
    let has_digit = word.iter().any(u8::is_ascii_digit);
    let is_long = word.len() >= ID_MIN || word.iter().all(u8::is_ascii_digit);
    has_digit && is_long && word.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
}

/// Whether a word behind a program has nothing but many hexadecimal letters: `abcdefab`.
pub(super) fn is_letter_id(word: &[u8]) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_hexdigit() && byte.is_ascii_alphabetic();
    word.len() >= LETTER_ID_MIN && word.iter().all(is_letter)
}

/// Whether a text begins with a long number, a date, an id or a version of three parts:
/// `20261129-1`, `2026-11-29`, `3f2a9b0c`, `v1.2.3`. Shorter numbers are parts of names: `app-2`.
pub(super) fn is_release(text: &[u8]) -> bool {
    let text = &text[..text.len().min(VALUE_MAX)];
    let first = text.split(|byte| !byte.is_ascii_alphanumeric()).next().unwrap_or_default();
    let digits = first.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let is_long_id = first.len() >= ID_MIN && is_id(first) || is_letter_id(first);
    let number = text.strip_prefix(b"v").unwrap_or(text);
    let numbers = number.split(|byte| b"._-".contains(byte));
    let is_number = |part: &&[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let is_dotted = number.contains(&b'.') || digits == 4;
    let is_version = is_dotted && numbers.take_while(is_number).count() >= 3;
    digits >= LONG_NUMBER_MIN || is_long_id || is_version || text.len() > ID_MIN && is_id(text)
}

/// A name without the release behind it: `shop-20261129` is `shop`, and `v42` is nothing.
pub(super) fn without_release(name: &[u8]) -> &[u8] {
    let number = name.strip_prefix(b"v").unwrap_or(name);
    if number.iter().all(u8::is_ascii_digit) || is_release(name) {
        return b"";
    }
    let is_end = |at: &usize| b"-_.@+".contains(&name[*at]) && is_release(&name[*at + 1..]);
    &name[..(1..name.len()).find(is_end).unwrap_or(name.len())]
}

/// Whether a word has nothing but signs: `-`, `|`, `==>`, `—`, `✓`.
pub(super) fn is_separator(word: &[u8]) -> bool {
    !word.is_empty() && !b"[](){}".contains(&word[0]) && signs_len(word) == word.len()
}

/// Whether a word is an option of a program: `-k`, `--kid`. `-idle-` is a state.
pub(super) fn is_option(word: &[u8]) -> bool {
    let name = word.strip_prefix(b"--").or_else(|| word.strip_prefix(b"-"));
    name.and_then(<[u8]>::first).is_some_and(is_letter)
}

/// Whether a word is a package of npm with its scope: `@angular/cli`.
pub(super) fn is_package(word: &[u8]) -> bool {
    let Some(name) = word.strip_prefix(b"@") else { return false };
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-@".contains(byte);
    let is_part = |part: &[u8]| part.first().is_some_and(is_letter) && part.iter().all(is_of_name);
    let mut parts = name.split(|byte| *byte == b'/');
    parts.clone().count() == 2 && parts.all(is_part)
}

/// Whether a word is made of letters.
pub(super) fn is_plain(word: &[u8]) -> bool {
    let is_of_word = |byte: &u8| is_letter(byte) || b"._-+&',".contains(byte);
    word.first().is_some_and(is_letter) && word.iter().all(is_of_word) && !is_separator(word)
}

pub(super) fn is_letter(byte: &u8) -> bool {
    byte.is_ascii_alphabetic() || *byte == b'_' || !byte.is_ascii()
}
