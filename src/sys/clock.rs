//! The time of day.

use std::mem::MaybeUninit;
use std::time::{Duration, SystemTime};

/// The time of day, since 1970; 0 on a clock that is not set.
pub fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// A time since 1970 as RFC 3339 has it, in UTC: `2026-11-25T21:06:11.250Z`.
pub fn utc(since_1970: Duration) -> String {
    // A `time_t`, whose name musl's bindings warn of. None is too big for it.
    let seconds = since_1970.as_secs().try_into().unwrap_or_default();
    let mut parts = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are valid, the second for writes of a tm.
    unsafe { libc::gmtime_r(&raw const seconds, parts.as_mut_ptr()) };
    // SAFETY: all-zero bytes are a tm, and the library may have filled it in.
    let parts = unsafe { parts.assume_init() };
    let (year, month) = (i64::from(parts.tm_year) + 1900, parts.tm_mon + 1);
    let (day, hour, minute, second) = (parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
    let millis = since_1970.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (1_795_640_771, "2026-11-25T21:06:11.007Z"),
        ] {
            assert_eq!(utc(Duration::new(seconds, 7_999_999)), expected);
        }
        assert!(since_1970() > Duration::from_secs(1_700_000_000));
    }
}
