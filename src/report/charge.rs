//! Events of control groups as a text, and notes on what is charged.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::notes::list;
use super::{Unit, escape, plural};
use crate::host::{
    CgroupMount, CgroupVersion, ChargeParts, GroupEvents, GroupTree, LimitKind, UnreadGroup,
};
use crate::program::{LevelLimit, Program, Programs};
use crate::units::{Errno, Kib};

/// The events that happened: `max 3 oom_kill 1`, or 0.
pub(super) fn events(events: &GroupEvents) -> String {
    let happened = events.all().into_iter().filter_map(|(event, count)| {
        let count = count.filter(|count| *count > 0)?;
        Some(format!("{event} {count}"))
    });
    let words: Vec<String> = happened.collect();
    if words.is_empty() { "0".to_owned() } else { words.join(" ") }
}

/// All known events: `low=0 high=0 max=3 oom=1 oom_kill=1`.
pub(super) fn all_events(events: &GroupEvents) -> String {
    let known = events.all().into_iter().filter_map(|(event, count)| Some((event, count?)));
    known.map(|(event, count)| format!("{event}={count}")).collect::<Vec<_>>().join(" ")
}

/// The file that decides LEFT, unless it is the usual one, beyond which the OOM killer acts.
pub(super) fn limit_file(row: &Program<'_>) -> Option<&'static str> {
    match row.charge?.limit?.limit.kind {
        LimitKind::Max => None,
        LimitKind::High => Some("memory.high"),
        LimitKind::MemorySwap => Some("memory.memsw"),
    }
}

/// A pressure: `12.05`.
pub(super) fn percent(hundredths: u32) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// A note on groups above those of rows whose limit decides LEFT: the rows lack their events and
/// their pressure.
pub fn deciding_levels(programs: &Programs<'_>) -> Option<String> {
    let rows = programs.rows.iter().chain(&programs.cut);
    let levels = rows.filter_map(|row| row.charge?.limit.filter(|level| level.is_above));
    let mut by_path: BTreeMap<&[u8], (Reverse<usize>, LevelLimit<'_>)> = BTreeMap::new();
    for level in levels {
        by_path.entry(level.path).or_insert((Reverse(0), level)).0.0 += 1;
    }
    let has_signs = |level: &LevelLimit<'_>| {
        level.pressure > Some(0) || level.events.is_some_and(|events| events.is_any())
    };
    let mut found: Vec<_> = by_path.into_values().filter(|(_, level)| has_signs(level)).collect();
    found.sort_by_key(|(rows, level)| (*rows, level.path));
    let one = |(Reverse(rows), level): &(Reverse<usize>, LevelLimit<'_>)| {
        let events = level.events.map(|all| format!("events {}", events(&all)));
        let pressure = level.pressure.map(|some| format!("pressure {}", percent(some)));
        let signs = [events, pressure].into_iter().flatten().collect::<Vec<_>>().join(", ");
        format!("that of {} for {} ({signs})", escape::name(level.path), plural(*rows, "row"))
    };
    let shown = list(&found, one);
    (!found.is_empty()).then(|| format!("limits of control groups above rows decide LEFT: {shown}"))
}

/// The part of the charge that processes need not map.
fn unmapped(parts: &ChargeParts) -> Kib {
    let ChargeParts { unmapped_file, slab, sockets, kernel, .. } = *parts;
    [unmapped_file, slab, sockets, kernel].into_iter().flatten().sum()
}

/// A note on charged memory that no process maps; `None` if there is none.
pub fn beyond_processes(programs: &Programs<'_>) -> Option<String> {
    let rows = || programs.rows.iter().chain(&programs.cut);
    let charged = || rows().filter_map(|row| Some((row, row.charge?.parts)));
    let sum = |part: fn(&ChargeParts) -> Option<Kib>| {
        charged().filter_map(|(_, parts)| part(&parts)).reduce(|sum, more| sum + more)
    };
    let files = sum(|parts| parts.unmapped_file).unwrap_or_default();
    let shared = sum(|parts| parts.unmapped_file.zip(parts.shmem).map(|(all, part)| all.min(part)));
    let (slab, kernel) = (sum(|parts| parts.slab), sum(|parts| parts.kernel));
    let show = |amount: Kib| format!("{} MiB", Unit::Mib.format(amount));
    let is_shown = |amount: &Kib| *amount >= Unit::Mib.least_shown();
    let of_files = is_shown(&files).then(|| {
        let shared = shared.filter(is_shown).map_or_else(String::new, |shared| {
            format!(" (up to {} of it shared memory, as of ended processes)", show(shared))
        });
        format!("{} file cache and shared memory{shared}", show(files))
    });
    // Version 1 does not tell slab.
    let of_kernel = if slab.is_some() { "other kernel memory" } else { "kernel memory with slab" };
    let named = |amount: Option<Kib>, what: &str| {
        amount.filter(is_shown).map(|amount| format!("{} {what}", show(amount)))
    };
    let sockets = sum(|parts| parts.sockets);
    let others = [named(slab, "slab"), named(sockets, "sockets"), named(kernel, of_kernel)];
    let all: Vec<String> = of_files.into_iter().chain(others.into_iter().flatten()).collect();
    if all.is_empty() {
        return None;
    }
    let most = charged().map(|(row, parts)| (unmapped(&parts), row));
    let (most, row): (Kib, &Program<'_>) = most.max_by_key(|(amount, row)| (*amount, row.name))?;
    let row = escape::name(row.name);
    Some(format!(
        "charged and mapped by no process: {}; the most in {row} ({})",
        all.join(", "),
        show(most)
    ))
}

/// A note on groups without figures.
pub fn unread(tree: &GroupTree) -> Option<String> {
    let (path, reason) = tree.first_unread.as_ref()?;
    let (reason, remedy) = match *reason {
        UnreadGroup::Refused(errno @ (Errno::ACCES | Errno::PERM)) => {
            (errno.to_string(), "run psm-uring as root")
        }
        UnreadGroup::Refused(errno) => (errno.to_string(), "look at its files"),
        UnreadGroup::Late => {
            ("no answer in time".to_owned(), "give it more with --stuck-after or --deadline")
        }
        UnreadGroup::NotUnderstood(file) => {
            (format!("{file} is not understood"), "look at it, and report it")
        }
    };
    let (groups, path) = (plural(tree.unread, "control group"), escape::name(path));
    let (whose, first) = match tree.unread {
        1 => ("its row", ""),
        _ => ("their rows", "the first is "),
    };
    Some(format!(
        "{groups} could not be read, and figures of {whose} are unknown: {first}{path}: {reason}; \
         {remedy}"
    ))
}

/// A note on groups that the report lacks.
pub fn cut() -> String {
    "not all control groups were read: there are too many".to_owned()
}

/// A note on groups whose charge cannot be divided.
pub fn undivided(groups: usize) -> Option<String> {
    let hold = if groups == 1 { "holds" } else { "hold" };
    (groups > 0).then(|| {
        let groups = plural(groups, "control group");
        format!(
            "{groups} {hold} processes of several rows, which therefore have no charge; --by \
             cgroup shows it"
        )
    })
}

/// A note on processes whose groups are not below the mount.
pub fn outside(processes: usize) -> Option<String> {
    let are = if processes == 1 { "is" } else { "are" };
    (processes > 0).then(|| {
        let processes = plural(processes, "process");
        format!(
            "{processes} {are} in control groups that are not visible here (a namespace of control \
             groups, or a mount of a part of them): their rows have no charge"
        )
    })
}

/// The figures that are unknown without files of control groups.
pub fn unknown(has_figures: bool, has_choices: bool) -> &'static str {
    match (has_figures, has_choices) {
        (true, true) => "charges and the OOM killer's next choices in control groups are unknown",
        (_, false) => "charges are unknown",
        (false, true) => "the OOM killer's next choices in control groups are unknown",
    }
}

/// A note on figures that no file has.
pub fn no_mount(unknown: &str, is_own: bool) -> String {
    let why = if is_own {
        "no file system with the memory controller of control groups is mounted here; mount it, or \
         name a directory with it by --cgroup-root"
    } else {
        "--proc-root is not the /proc of this host; name its control groups with --cgroup-root"
    };
    format!("{unknown}: {why}")
}

/// A note on a mount without the memory controller.
pub fn no_controller(unknown: &str, mount: &CgroupMount) -> String {
    format!(
        "{unknown}: {} has no memory controller of control groups; mount it, or name a directory \
         with it by --cgroup-root",
        escape::argument(&mount.dir.to_string_lossy())
    )
}

/// A note on charges where the kernel charges all memory to the root.
pub fn no_group(mount: &CgroupMount) -> String {
    let dir = escape::argument(&mount.dir.to_string_lossy());
    let why = match mount.version {
        CgroupVersion::V1 => format!("no control group is below {dir}; start programs in groups"),
        CgroupVersion::V2 => format!(
            "no control group below {dir} has the memory controller; enable it with +memory in \
             cgroup.subtree_control"
        ),
    };
    format!("charges are unknown: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_depends_on_the_reason() {
        let note = |count, reason| {
            let first_unread = Some((b"/a\n".to_vec(), reason));
            unread(&GroupTree { unread: count, first_unread, ..GroupTree::default() })
        };
        let begin =
            "1 control group could not be read, and figures of its row are unknown: /a\\n: ";
        for (reason, end) in [
            (
                UnreadGroup::Refused(Errno::ACCES),
                "Permission denied (os error 13); run psm-uring as root",
            ),
            (
                UnreadGroup::Refused(Errno::PERM),
                "Operation not permitted (os error 1); run psm-uring as root",
            ),
            (
                UnreadGroup::Refused(Errno(libc::EIO)),
                "Input/output error (os error 5); look at its files",
            ),
            (UnreadGroup::Late, "no answer in time; give it more with --stuck-after or --deadline"),
            (
                UnreadGroup::NotUnderstood("memory.max"),
                "memory.max is not understood; look at it, and report it",
            ),
        ] {
            assert_eq!(note(1, reason), Some(format!("{begin}{end}")));
        }
        let many = note(2, UnreadGroup::Late).expect("a note");
        assert!(many.contains("of their rows are unknown: the first is /a\\n: no"), "{many}");
        assert_eq!(unread(&GroupTree::default()), None);
    }
}
