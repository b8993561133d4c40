//! Notes on processes that a report may have delayed, and on figures that it read while they
//! changed.

use std::time::Duration;

use super::notes::list;
use super::{escape, plural};
use crate::units::{Errno, Pid};

/// A note on torn walks.
pub fn torn(pids: &[Pid]) -> Option<String> {
    let noun = if pids.len() == 1 { "its figures" } else { "their figures" };
    let shown = || list(pids, Pid::to_string);
    let note = || {
        format!(
            "PID {} changed while page tables were read: {noun} may be off by more than 1 %",
            shown()
        )
    };
    (!pids.is_empty()).then(note)
}

/// The reason that big processes are read by rollup or smaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StallCause {
    /// The report is of single mappings.
    Mappings,
    /// A figure that page tables do not have is asked for.
    Figure,
    /// Page tables are hidden from this user.
    Hidden,
}

/// A note on big processes that may have waited: their number, and the longest hold of the lock.
pub fn stalled(processes: usize, longest: Duration, cause: StallCause) -> Option<String> {
    let noun = if processes == 1 { "process" } else { "processes" };
    let why = match cause {
        StallCause::Mappings => "a read of smaps keeps a process from mapping memory",
        StallCause::Figure => {
            "their read keeps them from mapping memory; without the columns lazyfree and heap page \
             tables are read instead"
        }
        StallCause::Hidden => {
            "a rollup keeps a process from mapping memory, and only root with CAP_SYS_ADMIN may \
             read page tables instead"
        }
    };
    let note = || {
        format!(
            "{processes} big {noun} may have waited for this report, up to about {} ms: {why}",
            longest.as_millis()
        )
    };
    (processes > 0).then(note)
}

/// A note on rows without the figure `lazyfree`, which page tables do not have.
pub fn no_lazyfree(walked: &[Pid]) -> String {
    format!(
        "no series of lazyfree for the rows of {} (PID {}): page tables, which are read there, do \
         not show it; --source rollup does, but keeps such a process from mapping memory",
        plural(walked.len(), "big process"),
        list(walked, Pid::to_string)
    )
}

/// A note on `--source pagemap` where page frames are hidden, and the error of an open for them.
pub fn no_walk(errno: Errno) -> String {
    let why = hidden_frames(errno);
    format!("--source pagemap needs page frames, {why}: rollups were read instead")
}

/// A note on figures that need page frames, and the error of an open for them.
pub fn no_frames(errno: Errno) -> String {
    format!("FREED and OUTSIDE are unknown: they need page frames, {}", hidden_frames(errno))
}

fn hidden_frames(errno: Errno) -> &'static str {
    match errno {
        Errno::NOT_SUPPORTED => "which are those of this /proc",
        _ => "which only root with CAP_SYS_ADMIN sees",
    }
}

/// The reason that a row has no figure for the memory that returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotFreed {
    /// Hugetlb pages are in page tables that processes share.
    HiddenUsers,
    /// A process has far more addresses than pages.
    Sparse,
    /// A process changed during each walk, or all have ended.
    Changed,
    /// A process did not answer in time.
    Late,
    /// A process could not be read.
    Unread,
}

impl NotFreed {
    /// Every reason.
    pub const ALL: [NotFreed; 5] = [
        NotFreed::HiddenUsers,
        NotFreed::Sparse,
        NotFreed::Changed,
        NotFreed::Late,
        NotFreed::Unread,
    ];

    fn text(self) -> &'static str {
        match self {
            NotFreed::HiddenUsers => {
                "page tables of hugetlb mappings from 1 GiB on may be shared, and their pages do \
                 not show how often they are mapped"
            }
            NotFreed::Sparse => {
                "a process reserves so many addresses that reading its page tables would take more \
                 than a second"
            }
            NotFreed::Changed => {
                "processes changed or ended while their page tables were read; try again"
            }
            NotFreed::Late => {
                "a process did not answer before --stuck-after or --deadline; raise it"
            }
            NotFreed::Unread => "a process could not be read",
        }
    }
}

/// Notes on rows without a figure for the memory that returns, one for each reason.
pub fn not_freed(rows: &[(NotFreed, &[u8])]) -> Vec<String> {
    let note = |why: NotFreed| {
        let names = rows.iter().filter(|(reason, _)| *reason == why).map(|(_, name)| *name);
        let names: Vec<&[u8]> = names.collect();
        let head = plural(names.len(), "row");
        let shown = list(&names, |name| escape::name(name));
        let line = || format!("FREED and OUTSIDE are unknown for {head} ({shown}): {}", why.text());
        (!names.is_empty()).then(line)
    };
    NotFreed::ALL.into_iter().filter_map(note).collect()
}

/// A note on a low priority, at which a walk keeps the lock while other processes have the CPU.
pub fn low_priority(nice: i32) -> String {
    format!(
        "at nice {nice} on busy CPUs, the processes that are read wait longer, because the reader \
         does; CAP_SYS_NICE is missing to undo it"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_name_numbers() {
        assert_eq!(torn(&[]), None);
        assert_eq!(
            torn(&[Pid(7)]).as_deref(),
            Some(
                "PID 7 changed while page tables were read: its figures may be off by more than 1 %"
            )
        );
        let rows: [(NotFreed, &[u8]); 3] =
            [(NotFreed::Late, b"b"), (NotFreed::Sparse, b"node"), (NotFreed::Late, b"c")];
        let notes = not_freed(&rows);
        let heads: Vec<_> = notes.iter().map(|note| note.split(": ").next()).collect();
        let expected = [
            Some("FREED and OUTSIDE are unknown for 1 row (node)"),
            Some("FREED and OUTSIDE are unknown for 2 rows (b, c)"),
        ];
        assert_eq!(heads, expected);
        assert_eq!(stalled(0, Duration::ZERO, StallCause::Hidden), None);
        let note = stalled(1, Duration::from_millis(42), StallCause::Figure).expect("a note");
        assert!(
            note.starts_with("1 big process may have waited for this report, up to about 42 ms: ")
        );
    }
}
