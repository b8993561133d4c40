//! The texts of `/proc/PID/status` and `stat`.
//!
//! `proc_pid_status` (fs/proc/array.c) prints `status`. The probe reads it if the plan asks for the
//! owner or the page tables, of likely kernel threads, of processes that may be walked, if the read
//! of the memory fails with `ESRCH`, and if the argument list is empty with a filter: it tells
//! kernel threads, zombies and ordinary processes apart.

use super::Fate;
use super::name::NAMELESS;
use crate::units::{Kib, Pid};

/// The kind of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProcessKind {
    /// It has an address space.
    User,
    /// A kernel thread.
    KernelThread,
    /// It has released its address space and is not yet a zombie.
    Exiting,
    /// All of its threads are dead.
    Zombie,
    /// Its leading thread is dead or dying. Other threads live and have the memory.
    Leaderless,
}

/// The kind of a process, by its `status`. `is_whole` is false if the text was cut: then a missing
/// line means nothing.
///
/// A process that exits releases its address space first (`exit_mm`, kernel/exit.c). It stays in
/// state `R` meanwhile (457 ms for 1.2 GiB) and becomes a zombie afterwards.
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

/// Whether a `status` has the number of threads, as every kernel prints it.
pub(super) fn has_threads(text: &[u8]) -> bool {
    value(text, b"Threads").and_then(<[u8]>::first).is_some_and(u8::is_ascii_digit)
}

/// Kernels before 6.8 print no line `Kthread`. There the ignored signals decide: a process cannot
/// ignore `SIGKILL` and `SIGSTOP`, a kernel thread ignores every signal that it did not allow
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

/// Appends comm without the escapes of this file: `\n` for a newline, a double backslash. One tab
/// precedes it; leading blanks are part of it.
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

/// The effective user.
pub(super) fn owner(text: &[u8]) -> Option<u32> {
    id(text, b"Uid", 1)
}

/// The real, the effective and the saved id, of users or groups.
pub(super) fn ids(text: &[u8], key: &[u8]) -> Option<[u32; 3]> {
    Some([id(text, key, 0)?, id(text, key, 1)?, id(text, key, 2)?])
}

fn id(text: &[u8], key: &[u8], place: usize) -> Option<u32> {
    let id = value(text, key)?.split(u8::is_ascii_whitespace).nth(place)?;
    std::str::from_utf8(id).ok()?.parse().ok()
}

/// The page tables of all levels: `VmPTE`, and `VmPMD`, which kernels from 4.0 to 4.14 print apart.
pub(super) fn page_tables(text: &[u8]) -> Option<Kib> {
    Some(kib(text, b"VmPTE")? + kib(text, b"VmPMD").unwrap_or_default())
}

/// The permitted capabilities, one bit each.
pub(super) fn permitted(text: &[u8]) -> Option<u64> {
    hexadecimal(text, b"CapPrm")
}

/// The parent process, by `status`; 0 if it is in another PID namespace.
pub fn parent(status: &[u8]) -> Option<Pid> {
    value(status, b"PPid").and_then(Pid::parse)
}

/// The process that a thread belongs to, by its `status`.
pub fn process_of(status: &[u8]) -> Option<Pid> {
    value(status, b"Tgid").and_then(Pid::parse)
}

/// The pages of hugetlbfs that a process maps, by its `status` (4.4).
pub fn mapped_hugetlb(status: &[u8]) -> Option<Kib> {
    kib(status, b"HugetlbPages")
}

/// Resident pages, shared ones counted whole.
pub(super) fn resident(text: &[u8]) -> Option<Kib> {
    kib(text, b"VmRSS")
}

/// Swapped pages, shared ones counted whole.
pub(super) fn swap(text: &[u8]) -> Option<Kib> {
    kib(text, b"VmSwap")
}

/// The fate of a process without memory, by its `status`; `None` if it may have memory.
pub fn fate_of_memoryless(status: &[u8]) -> Option<Fate> {
    match kind(status, true) {
        ProcessKind::KernelThread => Some(Fate::KernelThread),
        ProcessKind::Zombie => Some(Fate::Zombie),
        ProcessKind::Exiting => Some(Fate::Gone),
        ProcessKind::User | ProcessKind::Leaderless => None,
    }
}

/// Whether the leader of a process has an address space, by its `status`.
pub fn has_memory(status: &[u8]) -> bool {
    kind(status, true) == ProcessKind::User
}

/// Whether the leader of a process is dead while other threads live, by its `status`.
pub fn is_leaderless(status: &[u8]) -> bool {
    kind(status, true) == ProcessKind::Leaderless
}

/// The parent of all kernel threads (`kthreadd`), in the first PID namespace.
pub const KTHREADD: Pid = Pid(2);

/// `kthreadd` and its children, by its `status` and `children`. Empty if the process with its id is
/// an ordinary one, as in a container.
pub fn kernel_threads(status: &[u8], children: &[u8]) -> Vec<Pid> {
    if fate_of_memoryless(status) != Some(Fate::KernelThread) {
        return Vec::new();
    }
    let children = children.split(|byte| *byte == b' ').filter_map(Pid::parse);
    children.chain([KTHREADD]).collect()
}

/// The facts about a process whose memory could not be read in time. The kernel reports them
/// without waiting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Glimpse {
    /// comm: foreign bytes, to be escaped before any output.
    pub comm: Vec<u8>,
    /// The letter of the state; `D` is an uninterruptible wait.
    pub state: Option<char>,
    /// Resident pages, shared ones counted whole: `VmRSS`.
    pub rss: Option<Kib>,
    /// Swapped pages, shared ones counted whole: `VmSwap`.
    pub swap: Option<Kib>,
    /// The effective user.
    pub uid: Option<u32>,
}

impl Glimpse {
    /// Parses the text of `status`.
    pub fn from_status(text: &[u8]) -> Glimpse {
        let mut name = Vec::new();
        comm(text, &mut name);
        if name.is_empty() {
            name.extend_from_slice(NAMELESS);
        }
        let state = value(text, b"State").and_then(<[u8]>::first).copied().map(char::from);
        let (rss, swap) = (resident(text), swap(text));
        Glimpse { comm: name, state, rss, swap, uid: owner(text) }
    }
}

fn kib(text: &[u8], key: &[u8]) -> Option<Kib> {
    let number = value(text, key)?.strip_suffix(b" kB")?;
    std::str::from_utf8(number).ok()?.parse().ok().map(Kib)
}

fn hexadecimal(text: &[u8], key: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(value(text, key)?).ok()?, 16).ok()
}

/// The value of one line, without leading tab and blanks.
fn value<'a>(text: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    line(text, key).map(<[u8]>::trim_ascii_start)
}

/// The rest of one line after its key.
fn line<'a>(text: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(key)?.strip_prefix(b":"))
}

/// The figures of `stat` (`proc_pid_stat(5)`), as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatFigures {
    /// The parent (`ppid`); 0 if it is in another PID namespace.
    pub parent: Option<Pid>,
    /// The page faults that waited for a disk since the process began, in all of its threads, also
    /// those that ended (`majflt`).
    pub major_faults: Option<u64>,
    /// The start time in clock ticks since boot (`starttime`). Together with the id it identifies a
    /// process forever.
    pub start_time: Option<u64>,
}

impl StatFigures {
    /// The number of the first field behind the name.
    const BEHIND_NAME: usize = 3;

    /// Parses the line.
    pub(super) fn parse(line: &[u8]) -> StatFigures {
        let rest = StatFigures::behind_name(line);
        let field = |number| StatFigures::field(rest, number);
        let parent = field(4).and_then(|id| u32::try_from(id).ok()).map(Pid);
        StatFigures { parent, major_faults: field(12), start_time: field(22) }
    }

    /// Resident pages (`rss`), by the counters as they are: the parts that wait on CPUs are not in
    /// them.
    pub(super) fn counted_pages(line: &[u8]) -> Option<u64> {
        StatFigures::field(StatFigures::behind_name(line), 24)
    }

    /// The name is in parentheses and can contain any byte, also `)`.
    fn behind_name(line: &[u8]) -> &[u8] {
        let name_end = line.iter().rposition(|byte| *byte == b')');
        name_end.and_then(|end| line.get(end + 2..)).unwrap_or_default()
    }

    fn field(rest: &[u8], number: usize) -> Option<u64> {
        let mut fields = rest.split(u8::is_ascii_whitespace);
        let field = fields.nth(number - StatFigures::BEHIND_NAME)?;
        std::str::from_utf8(field).ok()?.parse().ok()
    }
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
            // It allowed SIGKILL, as nfsd does.
            (b"State:\tS\nThreads:\t1\nSigIgn:\tfffffffffffffeff\n", ProcessKind::KernelThread),
            // All signals that a process can ignore.
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
        let seen = Glimpse::from_status(text);
        assert_eq!((seen.comm, seen.state), (b"sh".to_vec(), Some('D')));
        assert_eq!((seen.rss, seen.swap), (Some(Kib(1740)), Some(Kib(0))));
        let nameless = Glimpse { comm: NAMELESS.to_vec(), ..Glimpse::default() };
        assert_eq!(Glimpse::from_status(b""), nameless);
    }

    #[test]
    fn page_tables_have_one_line_or_two() {
        for (text, expected) in [
            (&b"VmSize:\t 9 kB\nVmPTE:\t      64 kB\nVmSwap:\t 0 kB\n"[..], Some(64)),
            // Linux 4.0 to 4.14.
            (b"VmPTE:\t      64 kB\nVmPMD:\t      12 kB\n", Some(76)),
            (b"VmPMD:\t      12 kB\n", None),
            (b"VmPTE:\t 64\n", None),
            (b"", None),
        ] {
            assert_eq!(page_tables(text), expected.map(Kib), "{}", text.escape_ascii());
        }
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
    fn the_figures_of_stat_follow_any_name() {
        let rest = b" S 1 2 2 0 -1 4194560 10 11 12 13 14 15 16 17 20 0 1 0 4711 18 19\n";
        for name in [&b"7 (sh)"[..], b"7 (a) R 1 2 (b))", b"7 (\xff\n)"] {
            let (parent, major_faults, start_time) = (Some(Pid(1)), Some(12), Some(4711));
            let expected = StatFigures { parent, major_faults, start_time };
            assert_eq!(StatFigures::parse(&[name, rest].concat()), expected);
            assert_eq!(StatFigures::counted_pages(&[name, rest].concat()), Some(19));
        }
        for line in [&b""[..], b"7 (sh", b"7 (sh)", b"7 (sh) S", b"7 (sh) S -1 2"] {
            assert_eq!(StatFigures::parse(line), StatFigures::default());
            assert_eq!(StatFigures::counted_pages(line), None);
        }
        let cut = StatFigures { parent: Some(Pid(1)), ..StatFigures::default() };
        assert_eq!(StatFigures::parse(b"7 (sh) S 1 2"), cut);
    }
}
