//! Notes on processes that a report may have delayed, and on figures that it read while they
//! changed.

use std::time::Duration;

use super::notes::list;
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

/// A note on rollups of big processes: their number, and the longest hold of the lock. Or on reads
/// of smaps, which has the single mappings that a report is of (`are_mappings`).
pub fn stalled(processes: usize, longest: Duration, are_mappings: bool) -> Option<String> {
    let noun = if processes == 1 { "process" } else { "processes" };
    let why = if are_mappings {
        "a read of smaps keeps a process from mapping memory"
    } else {
        "a rollup keeps a process from mapping memory, and only root may read page tables instead"
    };
    let note = || {
        format!(
            "{processes} big {noun} may have waited for this report, up to about {} ms: {why}",
            longest.as_millis()
        )
    };
    (processes > 0).then(note)
}

/// A note on figures that need page frames, and the error of an open for them.
pub fn no_frames(errno: Errno) -> String {
    let why = match errno {
        Errno::NOT_SUPPORTED => "which are those of this /proc",
        _ => "which only root sees",
    };
    format!("FREED and OUTSIDE are unknown: they need page frames, {why}")
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
        assert_eq!(stalled(0, Duration::ZERO, false), None);
        let note = stalled(1, Duration::from_millis(42), false).expect("a note");
        assert!(
            note.starts_with("1 big process may have waited for this report, up to about 42 ms: ")
        );
    }
}
