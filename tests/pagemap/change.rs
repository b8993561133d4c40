//! Processes whose memory changes while the program reads it: a figure is near the resident pages
//! that the kernel counts before and after, or it is missing; it is never half of a process.

use std::time::Duration;

use psm_uring::units::Pid;
use rustix::process::{Signal, kill_process};

use super::alone;
use super::parties::{SOURCES, report, row};
use super::support::{Rng, skip};
use super::zoo::Zoo;

const MIB: u64 = 256;
/// Looks at each process.
const LOOKS: usize = 10;
/// The longest time between the start of the program and the end of its target.
const DELAY_US: usize = 20_000;
/// More than a process without memory of its own has.
const SMALL_KIB: u64 = 4 << 10;

/// The kinds of change, and the memory in KiB that one reader may miss or count twice while it
/// walks: a block of 16 MiB that is emptied, filled or moved.
const CHANGES: [(&str, u64); 4] = [
    ("change_grow", 0),
    ("change_fork", 0),
    ("change_refill", 32 << 10),
    ("change_move", 16 << 10),
];

/// Resident KiB. Each CPU counts up to 64 pages for itself.
fn resident(pid: Pid) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).expect("it lives");
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("pages");
    (pages * rustix::param::page_size() as u64) >> 10
}

fn tolerance(kib: u64) -> u64 {
    kib / 100 + psm_uring::sys::threads::cpus() as u64 * 256
}

#[test]
fn figures_of_changing_processes_are_near() {
    const TEST: &str = "change::figures_of_changing_processes_are_near";
    let _alone = alone();
    for source in SOURCES {
        for (kind, slack) in CHANGES {
            let zoo = match Zoo::start(&[kind, &MIB.to_string()]) {
                Ok(zoo) => zoo,
                Err(why) => return skip(TEST, &why),
            };
            let judged = (0..LOOKS).filter(|_| is_near(source, kind, slack, zoo.pids()[1])).count();
            assert!(judged > 0, "{kind}, {source}: no look counts");
        }
    }
}

/// The KiB that a process has faulted in so far: `minflt` of `/proc/PID/stat`.
fn faulted(pid: Pid) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let faults: u64 = behind_name.split(' ').nth(8).and_then(|it| it.parse().ok()).expect("faults");
    (faults * rustix::param::page_size() as u64) >> 10
}

/// One look. `false` if it says nothing: the process has no figure, or began again meanwhile.
fn is_near(source: &str, kind: &str, slack: u64, pid: Pid) -> bool {
    let (faulted_before, before) = (faulted(pid), resident(pid));
    let report = report(&["--source", source], &[pid]);
    let (after, faulted_after) = (resident(pid), faulted(pid));
    let Some(row) = row(&report, pid) else {
        assert_eq!(report["coverage"]["measured"], 0, "{kind}: {report}");
        return false;
    };
    // It grew by less than it faulted in.
    let kept = after.saturating_sub(before) + tolerance(after);
    if kind == "change_grow" && kept < faulted_after - faulted_before {
        return false;
    }
    let found = row["rss"].as_u64().expect("a figure") >> 10;
    let notes = report["notes"].to_string();
    if notes.contains("changed while page tables were read") {
        // Twice in a row: the figure is marked.
        return true;
    }
    let (least, most) = (before.min(after), before.max(after));
    let room = slack + tolerance(most);
    assert!(
        (least.saturating_sub(room)..=most + room).contains(&found),
        "{kind}, {source}: {found} kB resident, {before} before, {after} after, +- {room}"
    );
    true
}

/// Ends and replaces processes at any time of the walk.
#[test]
fn ended_processes_have_no_half_figure() {
    const TEST: &str = "change::ended_processes_have_no_half_figure";
    let _alone = alone();
    let mut rng = Rng::seeded();
    for source in SOURCES {
        for (kind, signal) in [("change_end", Signal::KILL), ("change_exec", Signal::USR1)] {
            for _ in 0..LOOKS {
                let zoo = match Zoo::start(&[kind, &MIB.to_string()]) {
                    Ok(zoo) => zoo,
                    Err(why) => return skip(TEST, &why),
                };
                let delay = Duration::from_micros(rng.below(DELAY_US) as u64);
                let found = figure_at_the_end(source, zoo.pids(), signal, delay);
                let is_whole = |kib: &u64| *kib < SMALL_KIB || kib.abs_diff(MIB << 10) < SMALL_KIB;
                assert!(found.iter().all(is_whole), "{kind}, {source}, {delay:?}: {found:?} kB");
            }
        }
    }
}

/// The resident KiB of a child in a report that also has its parent, if it is in there. The child
/// gets a signal meanwhile.
fn figure_at_the_end(source: &str, pids: &[Pid], signal: Signal, delay: Duration) -> Option<u64> {
    let raw = i32::try_from(pids[1].0).ok().and_then(rustix::process::Pid::from_raw);
    let raw = raw.expect("an id");
    let end = std::thread::spawn(move || {
        std::thread::sleep(delay);
        kill_process(raw, signal).expect("it waits");
    });
    let report = report(&["--source", source], pids);
    end.join().expect("no panic");
    Some(row(&report, pids[1])?["rss"].as_u64().expect("a figure") >> 10)
}
