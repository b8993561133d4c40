//! From a word of the command line to a value, or to what is wrong with it.

use std::time::Duration;

use regex::bytes::{Regex, RegexBuilder};

use crate::units::Pid;

/// The most memory a compiled `--filter` may take.
const FILTER_BYTES_MAX: usize = 1 << 20;
/// The shortest `--stuck-after`.
const PATIENCE_MIN: Duration = Duration::from_millis(20);

pub(super) fn filter(pattern: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(pattern).size_limit(FILTER_BYTES_MAX).build();
    built.map_err(|error| error.to_string())
}

pub(super) fn pid(text: &str) -> Result<Pid, String> {
    match Pid::parse(text.trim().as_bytes()) {
        Some(Pid(0)) | None => Err("not a process id: a list looks like 1,42,4711".to_owned()),
        Some(pid) => Ok(pid),
    }
}

/// How long a read may sleep. Whether it sleeps is looked at every few milliseconds, so a shorter
/// time would give up what has just begun.
pub(super) fn patience(text: &str) -> Result<Duration, String> {
    match duration(text) {
        Ok(time) if time < PATIENCE_MIN => Err("too short: write 20ms or more".to_owned()),
        parsed => parsed,
    }
}

/// A time as people write it: `2s`, `500ms`, `1.5m`; a bare number is seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[digits.len()..] {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        _ => return Err("the unit is ms, s or m: 500ms, 2s, 1m".to_owned()),
    };
    let number: f64 = digits.parse().map_err(|_| "not a time: write 500ms, 2s or 1m".to_owned())?;
    let time = Duration::try_from_secs_f64(number * seconds);
    time.map_err(|_| "not a time that can be waited for".to_owned())
}
