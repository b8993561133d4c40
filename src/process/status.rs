//! The lines of `/proc/PID/status` that tell what kind of process it is.
//!
//! Written by `proc_pid_status` (fs/proc/array.c). Read when the memory is refused with "no such
//! process" or, with a filter, the argument list is empty: then it tells kernel threads, zombies
//! and processes with an empty argument list apart. And where the owner is asked for.

use super::Glimpse;
use crate::units::{Kib, Pid};

/// What kind of process a status text describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProcessKind {
    /// It has an address space.
    User,
    /// It is a thread of the kernel.
    KernelThread,
    /// It gave its address space up and is no zombie yet.
    Exiting,
    /// It is dead, all of it.
    Zombie,
    /// Its leading thread is dead or dying, others live: the memory is theirs.
    Leaderless,
}

/// Tells the kind. `is_whole` is false when the text was cut; then a missing line tells nothing.
///
/// A process that ends gives its address space up first (`exit_mm`, kernel/exit.c), is in state
/// `R` for as long as the kernel takes that apart, and a zombie after: 457 ms for 1.2 GiB.
pub(super) fn kind(text: &[u8], is_whole: bool) -> ProcessKind {
    let is_dead = matches!(value(text, b"State").and_then(<[u8]>::first), Some(b'Z' | b'X'));
    let has_memory = value(text, b"VmSize").is_some() || !is_whole;
    if !is_dead && is_kernel_thread(text, has_memory) {
        return ProcessKind::KernelThread;
    }
    if !is_dead && has_memory {
        return ProcessKind::User;
    }
    match value(text, b"Threads") {
        Some(threads) if threads != b"1" => ProcessKind::Leaderless,
        _ if is_dead => ProcessKind::Zombie,
        _ => ProcessKind::Exiting,
    }
}

/// Before 6.8 there is no line Kthread. There it is told by what it ignores: a process cannot
/// ignore `SIGKILL` and `SIGSTOP`, a thread of the kernel ignores all that it did not ask for
/// (`kthreadd`, kernel/kthread.c).
fn is_kernel_thread(text: &[u8], has_memory: bool) -> bool {
    const UNIGNORABLE: u64 = 1 << (libc::SIGKILL - 1) | 1 << (libc::SIGSTOP - 1);
    match value(text, b"Kthread") {
        Some(is_thread) => is_thread == b"1",
        None => {
            !has_memory && hexadecimal(text, b"SigIgn").is_some_and(|set| set & UNIGNORABLE != 0)
        }
    }
}

/// comm, as the kernel escapes it here: a newline as `\n`, a backslash doubled. Blanks that it
/// begins with are part of it; only one tab stands before it.
pub(super) fn comm(text: &[u8], name: &mut Vec<u8>) {
    let line = line(text, b"Name").unwrap_or_default();
    let mut bytes = line.strip_prefix(b"\t").unwrap_or(line).iter();
    while let Some(byte) = bytes.next() {
        name.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'n') => b'\n',
                Some(other) => *other,
                None => b'\\',
            },
            other => *other,
        });
    }
}

/// The user it acts as: the effective id, second of four.
pub(super) fn owner(text: &[u8]) -> Option<u32> {
    let ids = value(text, b"Uid")?;
    let effective = ids.split(u8::is_ascii_whitespace).nth(1)?;
    std::str::from_utf8(effective).ok()?.parse().ok()
}

/// The process that started it, or that took it over when that one ended.
pub(super) fn parent(text: &[u8]) -> Option<Pid> {
    value(text, b"PPid").and_then(Pid::parse)
}

/// What else there is to tell of a process that cannot be measured.
pub(super) fn glimpse(text: &[u8]) -> Glimpse {
    let mut name = Vec::new();
    comm(text, &mut name);
    let state = value(text, b"State").and_then(<[u8]>::first).copied().map(char::from);
    let (rss, swap) = (kib(text, b"VmRSS"), kib(text, b"VmSwap"));
    Glimpse { comm: name, state, rss, swap, uid: owner(text) }
}

fn kib(text: &[u8], key: &[u8]) -> Option<Kib> {
    let number = value(text, key)?.strip_suffix(b" kB")?;
    std::str::from_utf8(number).ok()?.parse().ok().map(Kib)
}

fn hexadecimal(text: &[u8], key: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(value(text, key)?).ok()?, 16).ok()
}

/// The value of one line, without the tab and the blanks before it.
fn value<'a>(text: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    line(text, key).map(<[u8]>::trim_ascii_start)
}

/// One line, behind its key.
fn line<'a>(text: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(key)?.strip_prefix(b":"))
}

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
    fn kinds() {
        let user = b"Name:\tsh\nState:\tS (sleeping)\nVmSize:\t 100 kB\nThreads:\t1\n";
        assert_eq!(kind(user, true), ProcessKind::User);
        for (text, expected) in [
            (&b"Name:\tkthreadd\nState:\tS\nKthread:\t1\n"[..], ProcessKind::KernelThread),
            (b"State:\tS\nThreads:\t1\nSigIgn:\tffffffffffffffff\n", ProcessKind::KernelThread),
            // One that asked for SIGKILL, as nfsd does.
            (b"State:\tS\nThreads:\t1\nSigIgn:\tfffffffffffffeff\n", ProcessKind::KernelThread),
            // All that a process can ignore.
            (b"State:\tR\nThreads:\t1\nSigIgn:\tfffffffffffbfeff\n", ProcessKind::Exiting),
            (b"State:\tR\nKthread:\t0\nThreads:\t1\nSigIgn:\t0\n", ProcessKind::Exiting),
            (b"State:\tR\nKthread:\t0\nThreads:\t3\n", ProcessKind::Leaderless),
            (b"State:\tZ (zombie)\nKthread:\t0\nThreads:\t1\n", ProcessKind::Zombie),
            (b"State:\tX (dead)\nThreads:\t1\n", ProcessKind::Zombie),
            (b"State:\tZ (zombie)\nThreads:\t3\n", ProcessKind::Leaderless),
        ] {
            assert_eq!(kind(text, true), expected, "{}", text.escape_ascii());
        }
        assert_eq!(kind(b"Name:\tsh\nState:\tS\nGroups:\t0 1 2", false), ProcessKind::User);
    }

    #[test]
    fn glimpses() {
        let text = b"Name:\tsh\nState:\tD (disk sleep)\nVmRSS:\t    1740 kB\nVmSwap:\t 0 kB\n";
        let seen = glimpse(text);
        assert_eq!((seen.comm, seen.state), (b"sh".to_vec(), Some('D')));
        assert_eq!((seen.rss, seen.swap), (Some(Kib(1740)), Some(Kib(0))));
        assert_eq!(glimpse(b""), Glimpse::default());
    }

    #[test]
    fn owners() {
        for (text, expected) in [
            (&b"Name:\tsu\nUid:\t1000\t0\t0\t0\nGid:\t7\t7\t7\t7\n"[..], Some(0)),
            (b"Uid:\t33\t4294967294\t33\t33\n", Some(4_294_967_294)),
            (b"Name:\tUid:\nUid:\t5\t6\t7\t8\n", Some(6)),
            (b"Uid:\t5\n", None),
            (b"Uid:\t5\t4294967296\n", None),
            (b"Gid:\t1\t1\t1\t1\n", None),
        ] {
            assert_eq!(owner(text), expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn comm_is_unescaped() {
        for (text, expected) in [
            (&b"Name:\ta\\nb\\\\c\nState:\tS\n"[..], &b"a\nb\\c"[..]),
            (b"Name:\t\t sh \nState:\tS\n", b"\t sh "),
            (b"Name:\t\nState:\tS\n", b""),
        ] {
            let mut name = Vec::new();
            comm(text, &mut name);
            assert_eq!(name, expected, "{}", text.escape_ascii());
        }
    }

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
