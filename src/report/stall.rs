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
            "a rollup keeps a process from mapping memory; without the columns lazyfree and heap \
             page tables are read instead"
        }
        StallCause::Hidden => {
            "a rollup keeps a process from mapping memory, and only root may read page tables \
             instead"
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

/// A note on figures that need page frames, and the error of an open for them.
pub fn no_frames(errno: Errno) -> String {
    let why = match errno {
        Errno::NOT_SUPPORTED => "which are those of this /proc",
        _ => "which only root sees",
    };
    format!("FREED and OUTSIDE are unknown: they need page frames, {why}")
}

/// A note on rows with hugetlb pages in page tables that processes share.
pub fn hidden_users(rows: &[&[u8]]) -> Option<String> {
    let note = || {
        format!(
            "FREED and OUTSIDE are unknown for {} ({}): page tables of hugetlb mappings from 1 GiB \
             on may be shared, and their pages do not show how often they are mapped",
            plural(rows.len(), "row"),
            list(rows, |name| escape::name(name))
        )
    };
    (!rows.is_empty()).then(note)
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
        assert_eq!(stalled(0, Duration::ZERO, StallCause::Hidden), None);
        let note = stalled(1, Duration::from_millis(42), StallCause::Figure).expect("a note");
        assert!(
            note.starts_with("1 big process may have waited for this report, up to about 42 ms: ")
        );
    }
}
