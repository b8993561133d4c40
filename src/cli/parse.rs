//! From a word of the command line to a value, or to the problem with it.

use std::fmt;
use std::time::Duration;

use regex::bytes::{Regex, RegexBuilder};

use crate::report::escape;
use crate::units::{Kib, Pid};

/// The most memory that a compiled `--filter` may take.
const FILTER_BYTES_MAX: usize = 1 << 20;
/// The shortest interval of `--watch`: every report costs every process a little.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// The longest: a day.
const INTERVAL_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// The shortest `--stuck-after`.
const STUCK_AFTER_MIN: Duration = Duration::from_millis(20);

pub(super) fn filter(pattern: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(pattern).size_limit(FILTER_BYTES_MAX).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => {
            "the regular expression is too big; use fewer repetitions".to_owned()
        }
        // The pattern and an arrow come first, the reason last.
        error => {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!(
                "invalid regular expression: {reason}; a \\ before a character makes it literal"
            )
        }
    })
}

/// Process ids with commas, blanks or newlines between, as `pgrep` and `pidof` print them.
#[derive(Clone, Debug)]
pub struct PidList(pub(crate) Vec<Pid>);

pub(super) fn pids(text: &str) -> Result<PidList, String> {
    let words = text.split(|c: char| c == ',' || c.is_ascii_whitespace());
    let pid = |word: &str| Pid::parse(word.as_bytes()).filter(|pid| *pid != Pid(0));
    let pids = words.filter(|word| !word.is_empty()).map(pid).collect::<Option<Vec<Pid>>>();
    match pids {
        Some(pids) if pids.is_empty() => {
            Err("the list is empty; if a command printed it, that found no process".to_owned())
        }
        pids => pids
            .map(PidList)
            .ok_or_else(|| "not process ids; a list looks like 1,42,4711".to_owned()),
    }
}

/// A user as the command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum User {
    /// By id, whether a user has it or not.
    Id(u32),
    /// By name.
    Name(String),
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            User::Id(id) => id.fmt(f),
            User::Name(name) => f.write_str(&escape::argument(name)),
        }
    }
}

pub(super) fn user(text: &str) -> Result<User, String> {
    let text = text.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text {
        "" => Err("not a user; a list looks like root,1000".to_owned()),
        number if is_number => {
            let id = number.parse().map(User::Id);
            id.map_err(|_| "not a user id; ids end at 4294967295".to_owned())
        }
        name => Ok(User::Name(name.to_owned())),
    }
}

/// A whole number within limits.
pub(crate) fn number<const MIN: usize, const MAX: usize>(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (MIN..=MAX).contains(number));
    number.ok_or_else(|| match MAX {
        usize::MAX => format!("not a whole number of {MIN} or more"),
        _ => format!("not a whole number from {MIN} to {MAX}"),
    })
}

/// An amount of memory with its unit: `10MiB`, `512KiB`; 0 needs none.
pub(super) fn size(text: &str) -> Result<Kib, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "kib" => Some(0),
        "mib" => Some(10),
        "gib" => Some(20),
        _ => None,
    };
    let number = digits.parse::<u64>().ok();
    match number.zip(shift) {
        _ if text == "0" => Ok(Kib(0)),
        Some((number, shift)) if number <= u64::MAX >> shift => Ok(Kib(number << shift)),
        _ => Err("not an amount of memory; write 10MiB, 512KiB or 1GiB".to_owned()),
    }
}

/// A ratio of at least 1.
pub(crate) fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse().ok().filter(|ratio: &f64| ratio.is_finite() && *ratio >= 1.0);
    ratio.ok_or_else(|| "not a ratio of 1 or more; 1.10 allows 10 % more".to_owned())
}

/// The time that a read may sleep. The engines look every few milliseconds, so a shorter time would
/// give up on reads that have just begun.
pub(super) fn stuck_after(text: &str) -> Result<Duration, String> {
    match duration(text) {
        Ok(time) if time < STUCK_AFTER_MIN => Err("too short; write 20ms or more".to_owned()),
        parsed => parsed,
    }
}

/// The time from one report to the next.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    match duration(text) {
        Ok(time) if time < INTERVAL_MIN => Err("too short; write 100ms or more".to_owned()),
        Ok(time) if time > INTERVAL_MAX => Err("too long; write 1440m or less".to_owned()),
        parsed => parsed,
    }
}

/// A time: `2s`, `500ms`, `1.5m`; a bare number is seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[digits.len()..] {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        _ => return Err("the unit is ms, s or m; write 500ms, 2s or 1m".to_owned()),
    };
    let number: f64 = digits.parse().map_err(|_| "not a time; write 500ms, 2s or 1m".to_owned())?;
    let time = Duration::try_from_secs_f64(number * seconds);
    time.map_err(|_| "time out of range; write 500ms, 2s or 1m".to_owned())
}
