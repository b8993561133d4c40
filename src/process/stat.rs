//! The line of `/proc/PID/stat`, written by `do_task_stat` (fs/proc/array.c).

/// How many fields stand between the name and the start time (`proc_pid_stat(5)`: 3 to 21).
const FIELDS_BEFORE_START: usize = 19;

/// When the process started, in clock ticks since boot. The name stands in parentheses and may hold
/// any byte, a closing one included.
pub(super) fn start_time(line: &[u8]) -> Option<u64> {
    let behind_name = line.iter().rposition(|byte| *byte == b')')? + 2;
    let mut fields = line.get(behind_name..)?.split(|byte| byte.is_ascii_whitespace());
    std::str::from_utf8(fields.nth(FIELDS_BEFORE_START)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_stands_behind_any_name() {
        let rest = b" S 1 2 2 0 -1 4194560 10 11 12 13 14 15 16 17 20 0 1 0 4711 18 19\n";
        for name in [&b"7 (sh)"[..], b"7 (a) R 1 2 (b))", b"7 (\xff\n)"] {
            assert_eq!(start_time(&[name, rest].concat()), Some(4711));
        }
        for line in [&b""[..], b"7 (sh", b"7 (sh)", b"7 (sh) S 1 2"] {
            assert_eq!(start_time(line), None);
        }
    }
}
