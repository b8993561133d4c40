//! Lives: the visible state of one address space, and its expected report. Some have the recorded
//! memory of real processes. No two share a name or a sum, so a mismatch of name and memory is
//! detectable.

use std::fmt::Write;
use std::sync::OnceLock;

use psm_uring::process::{CgroupPaths, NameRule};
use psm_uring::smaps::{Malformed, Smaps, naive};

use super::super::tables::Tables;

/// The index of a life in [`lives`].
pub type LifeId = usize;

/// The number of different lives, more than one schedule uses. Miri is a thousand times slower.
pub const LIVES: usize = if cfg!(miri) { 60 } else { 400 };
/// The engine's buffer for a rollup: some texts are longer, some exactly as long.
const ROLLUP_ROOM: usize = 1024;

/// Rollup and smaps of real processes: see `tests/data/procfs/record.sh`. No two have equal sums.
macro_rules! recorded {
    ($($pid:literal)*) => {[$([
        include_str!(concat!("../../data/procfs/recorded/", $pid, "/smaps_rollup")),
        include_str!(concat!("../../data/procfs/recorded/", $pid, "/smaps")),
    ]),*]};
}
const RECORDED: [[&str; 2]; 6] = recorded!(4 5 6 7 8 9);
/// The first life with recorded texts: among those that worlds without scripts also use.
const FIRST_RECORDED: LifeId = 3;

/// The first page of a life, and the distance to the first page of the next one.
const LIFE_PAGES: u64 = 2048;
/// Entries without pages: around those of a life.
static HOLES: [u8; 4096] = [0; 4096];

/// The texts of one address space.
pub struct Life {
    pub cmdline: Vec<u8>,
    pub comm: Vec<u8>,
    pub exe: Vec<u8>,
    /// The owner and the control groups.
    pub uid: u32,
    pub cgroup: Vec<u8>,
    charged: String,
    managed: String,
    /// `status` of a living, an exiting and a zombie process, and of a leader that died before its
    /// threads.
    pub status: String,
    pub exiting: String,
    pub zombie: String,
    pub leaderless: String,
    pub rollup: Vec<u8>,
    pub smaps: Vec<u8>,
    pub statm: String,
    pub maps: String,
    /// The entries of its pages, from the first page on, and the offset of the first one.
    entries: Vec<u8>,
    entries_at: u64,
    /// The figures of its pages.
    pub walked: Smaps,
    /// The ends of the smaps records.
    pub ends: Vec<usize>,
    /// Every name of it contains "even"; otherwise none does.
    pub is_even: bool,
    /// Neither of its texts is smaps.
    pub is_malformed: bool,
    /// The result of the naive scanner for rollup and smaps.
    sums: [Result<Smaps, Malformed>; 2],
    title: Vec<u8>,
    arguments: Vec<u8>,
}

/// `status` of a thread of the kernel; nothing in it is even.
pub const KERNEL_STATUS: &str =
    "Name:\tkworker\nState:\tI (idle)\nThreads:\t1\nUid:\t0\t0\t0\t0\nKthread:\t1\n";

/// All lives, created once.
pub fn lives() -> &'static [Life] {
    static MADE: OnceLock<Vec<Life>> = OnceLock::new();
    MADE.get_or_init(|| (0..LIVES).map(Life::new).collect())
}

impl Life {
    fn new(id: LifeId) -> Life {
        let is_even = id.is_multiple_of(2);
        let tag = format!("{}-{id}", if is_even { "even" } else { "odd" });
        let (cmdline, title, arguments) = arguments(id, &tag);
        let uid = uid_of(id);
        let name = format!("Name:\tc-{tag}\nUid:\t7\t{uid}\t7\t7\n");
        let recorded = RECORDED.get(id.wrapping_sub(FIRST_RECORDED)).filter(|_| !cfg!(miri));
        let (rollup, (smaps, ends)) = match recorded {
            Some([rollup, smaps]) => ((*rollup).to_owned(), ((*smaps).to_owned(), ends(smaps))),
            None => (rollup(id), smaps(id)),
        };
        // Some take more than one read, and some have one path.
        let (long, charged) = ("x".repeat(id % 5 * 1500), format!("/g-{tag}"));
        let managed = if id % 3 == 0 { format!("/m-{tag}") } else { charged.clone() };
        // No two have as many.
        let (kib, first) = (800 + 5 * id as u64, LIFE_PAGES * (1 + id as u64));
        let tables = Tables::of_kib(kib, first);
        let (first, end) = (tables.mappings[0].first, tables.mappings[0].end());
        let entries = tables.read(8 * first, 8 * usize::try_from(end - first).expect("few"));
        let sums = [&rollup, &smaps].map(|text| naive::scan(text.as_bytes()));
        Life {
            cmdline: cmdline.into_bytes(),
            comm: format!("c-{tag}\n").into_bytes(),
            exe: format!("/opt/dir/e-{tag}").into_bytes(),
            uid,
            cgroup: format!("2:cpu:/{long}\n1:name=systemd:{managed}\n0::{charged}\n").into_bytes(),
            charged,
            managed,
            status: format!("{name}State:\tS (sleeping)\nVmSize:\t 100 kB\nThreads:\t1\n"),
            exiting: format!("{name}State:\tR (running)\nThreads:\t1\nKthread:\t0\n"),
            zombie: format!("{name}State:\tZ (zombie)\nThreads:\t1\n"),
            leaderless: format!("{name}State:\tZ (zombie)\nThreads:\t3\n"),
            rollup: rollup.into_bytes(),
            smaps: smaps.into_bytes(),
            statm: tables.statm(),
            maps: tables.maps(),
            entries,
            entries_at: 8 * first,
            walked: tables.figures(),
            ends,
            is_even,
            is_malformed: sums[0].is_err(),
            sums,
            title: title.into_bytes(),
            arguments: arguments.into_bytes(),
        }
    }

    /// The paths of its control groups.
    pub fn groups(&self) -> CgroupPaths<'_> {
        CgroupPaths { charged: self.charged.as_bytes(), managed: self.managed.as_bytes() }
    }

    /// The name that a report must show.
    pub fn name(&self, rule: NameRule) -> &[u8] {
        match rule {
            NameRule::Title | NameRule::Script => &self.title,
            NameRule::Cmdline => &self.arguments,
            NameRule::Comm => self.bare_comm(),
            NameRule::Exe => &self.exe[b"/opt/dir/".len()..],
        }
    }

    /// The name where the one that the rule selects is unavailable, or where `argv[0]` was empty or
    /// a magic link a moment ago.
    pub fn is_fallback(&self, rule: NameRule, name: &[u8]) -> bool {
        let is_titled = matches!(rule, NameRule::Title | NameRule::Script);
        let bare = match rule {
            NameRule::Title | NameRule::Script | NameRule::Cmdline => {
                name.strip_prefix(b"[").and_then(|name| name.strip_suffix(b"]"))
            }
            NameRule::Comm | NameRule::Exe => Some(name),
        };
        let is_linked = is_titled && [self.name(NameRule::Exe), self.bare_comm()].contains(&name);
        bare == Some(self.bare_comm()) || is_linked
    }

    fn bare_comm(&self) -> &[u8] {
        &self.comm[..self.comm.len() - 1]
    }

    /// At most so many bytes of its entries. A read ends where the entries of its pages begin and
    /// end.
    pub fn entries(&self, offset: u64, room: usize) -> &[u8] {
        let size = |bytes: u64| usize::try_from(bytes).expect("addresses of 64 bits");
        let rest = match offset.checked_sub(self.entries_at) {
            None => &HOLES[..size(self.entries_at - offset).min(HOLES.len())],
            Some(at) if size(at) < self.entries.len() => &self.entries[size(at)..],
            Some(_) => &HOLES,
        };
        &rest[..rest.len().min(room)]
    }

    /// Its memory, by the naive scanner over the whole text.
    pub fn sums(&self, of_smaps: bool) -> Result<Smaps, Malformed> {
        self.sums[usize::from(of_smaps)]
    }
}

/// The owner of a life.
pub fn uid_of(id: LifeId) -> u32 {
    1000 + u32::try_from(id).expect("few lives")
}

/// The argument list, and its expected interpretation.
fn arguments(id: LifeId, tag: &str) -> (String, String, String) {
    let long = format!("t-{tag} {}", "x".repeat(5000));
    match id / 2 % 6 {
        0 => {
            (format!("/usr/bin/t-{tag}\0-x\0"), format!("t-{tag}"), format!("/usr/bin/t-{tag} -x"))
        }
        1 => {
            (format!("t-{tag}: worker\0\0"), format!("t-{tag}: worker"), format!("t-{tag}: worker"))
        }
        2 => (String::new(), format!("[c-{tag}]"), format!("[c-{tag}]")),
        // The binary has the name.
        5 => {
            let whole = format!("/proc/self/exe -{tag}");
            (whole.replace(' ', "\0"), format!("e-{tag}"), whole)
        }
        3 => (format!("./t-{tag}"), format!("t-{tag}"), format!("./t-{tag}")),
        _ => (long.clone(), long[..4096].to_owned(), long[..4096].to_owned()),
    }
}

fn figures(text: &mut String, base: usize) {
    for (key, value) in [
        ("Rss:", base + 9),
        ("Pss:", base + 5),
        ("Private_Clean:", base / 4),
        ("Private_Dirty:", base / 4 + 1),
        ("Swap:", base / 8 + 2),
        ("SwapPss:", base / 8),
    ] {
        let _ = writeln!(text, "{key:<16}{value:>8} kB");
    }
}

fn rollup(id: LifeId) -> String {
    let mut text = "55e0-7ffd ---p 00000000 00:00 0                          [rollup]\n".to_owned();
    if id % 23 == 22 {
        return text + "Rss:   12 kB\nPss:   x kB\n";
    }
    figures(&mut text, 100_000 + 100 * id);
    let padding = match id % 7 {
        5 => ROLLUP_ROOM,
        6 => ROLLUP_ROOM + 500,
        _ => 0,
    };
    if let Some(missing) = padding.checked_sub(text.len() + "Future: \n".len()) {
        let _ = writeln!(text, "Future: {}", "x".repeat(missing));
    }
    text
}

/// The ends of the records of a text: the last line of each contains its flags.
fn ends(smaps: &str) -> Vec<usize> {
    let mut at = 0;
    let lines = smaps.split_inclusive('\n').map(|line| {
        at += line.len();
        (line, at)
    });
    lines.filter(|(line, _)| line.starts_with("VmFlags:")).map(|(_, end)| end).collect()
}

/// Records of one to four mappings, and their ends.
fn smaps(id: LifeId) -> (String, Vec<usize>) {
    let (mut text, mut ends) = (String::new(), Vec::new());
    if id % 23 == 22 {
        return ("Rss:   12 kB\nPss:   x kB\n".to_owned(), vec![25]);
    }
    for mapping in 0..=(id % 4) {
        let name = if mapping == 1 { "[heap]" } else { "/lib/x.so" };
        let _ = writeln!(text, "55e{mapping}-55e{mapping}f rw-p 00000000 00:00 0       {name}");
        figures(&mut text, 1_000 + 1_000 * id + mapping);
        ends.push(text.len());
    }
    (text, ends)
}
