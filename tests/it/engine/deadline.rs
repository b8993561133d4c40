//! A deadline has the same effect in every engine: no read begins after it, and a process that only
//! waited for a worker counts as not asked.

use std::os::unix::fs::symlink;
use std::time::Duration;

use crate::support::survey::{CHAINED, STAGED, TIMED, has_uring, open, tuning};
use crate::support::{RUN_LIMIT, TempDir, copy_dir, make_fifo, tree};
use psm_uring::engine::{EngineKind, Surveyor, Timeouts, Tuning};
use psm_uring::process::{Coverage, Fate, Plan};
use psm_uring::sys::proc_root::ProcRoot;
use psm_uring::sys::ring::kernel::Features;
use psm_uring::units::Pid;

/// Far more than any engine reads at once.
const PROCESSES: u32 = 2000;
/// If one race is lost, all are.
const ROUNDS: usize = 6;
const WORKERS: usize = 2;
const DEPTH: usize = 256;
/// Maximum number of workers for reads that sleep briefly (engine/uring/scaling.rs).
const AT_WORK_MAX: usize = 64;

/// Many links to one process of a fixture, and their ids.
fn crowd(name: &str) -> (TempDir, Vec<Pid>) {
    let crowd = TempDir::new(name);
    let pids: Vec<Pid> = (1000..1000 + PROCESSES).map(Pid).collect();
    for pid in &pids {
        symlink(tree("ordinary/111"), crowd.path().join(pid.to_string())).expect("a link");
    }
    (crowd, pids)
}

/// Every engine, and the ring with the features of older kernels.
fn surveyors(test: &str, root: &ProcRoot) -> Vec<(&'static str, Surveyor)> {
    let with = |kind, features| open(kind, root, Tuning { features, ..tuning(WORKERS, DEPTH) });
    let crews = [("sync", EngineKind::Sync), ("threads", EngineKind::Threads)];
    let mut surveyors: Vec<_> =
        crews.into_iter().map(|(name, kind)| (name, with(kind, Features::ALL))).collect();
    if has_uring(test) {
        for (name, features) in [("chained", CHAINED), ("by time", TIMED), ("staged", STAGED)] {
            surveyors.push((name, with(EngineKind::Uring, features)));
        }
    }
    surveyors
}

fn timeouts(millis: u64) -> Timeouts {
    Timeouts { stuck_after: RUN_LIMIT, deadline: Some(Duration::from_millis(millis)) }
}

/// Surveys all of them with a deadline in milliseconds.
fn survey(surveyor: &mut Surveyor, pids: &[Pid], plan: &Plan, millis: u64) -> Coverage {
    let found = surveyor.survey(pids, plan, &timeouts(millis)).expect("an engine").coverage();
    let late = found.timed_out + found.not_asked;
    assert_eq!(found.measured + late, pids.len(), "{found:?}");
    found
}

#[test]
fn nothing_is_begun_when_time_is_over() {
    let (crowd, pids) = crowd("deadline-over");
    let root = ProcRoot::open(crowd.path()).expect("a crowd");
    for (engine, mut surveyor) in surveyors("nothing_is_begun_when_time_is_over", &root) {
        for _ in 0..ROUNDS {
            let found = survey(&mut surveyor, &pids, &Plan::default(), 0);
            assert_eq!(found.not_asked, pids.len(), "{engine}: {found:?}");
        }
    }
}

#[test]
fn a_process_waiting_for_a_worker_does_not_time_out() {
    let (crowd, pids) = crowd("deadline-queue");
    let root = ProcRoot::open(crowd.path()).expect("a crowd");
    // One chain per process, and two.
    let plans = [false, true].map(|owner| Plan { owner, ..Plan::default() });
    for (engine, mut surveyor) in
        surveyors("a_process_waiting_for_a_worker_does_not_time_out", &root)
    {
        let mut cut = 0;
        for millis in [1, 2, 4, 8, 16] {
            for plan in plans.iter().cycle().take(ROUNDS) {
                let found = survey(&mut surveyor, &pids, plan, millis);
                assert!(found.timed_out <= AT_WORK_MAX, "{engine}, {millis} ms: {found:?}");
                cut += usize::from(found.not_asked > 0);
            }
        }
        assert!(cut > 0, "{engine}: time is never over, so this tests nothing");
    }
}

/// A stuck process that holds a worker times out; it does not count as not asked.
#[test]
fn a_stuck_process_times_out_among_others() {
    let (crowd, mut pids) = crowd("deadline-stuck");
    let stuck = Pid(1);
    let copy = crowd.path().join("1");
    copy_dir(&tree("ordinary/111"), &copy);
    let file = copy.join("smaps_rollup");
    std::fs::remove_file(&file).expect("it was copied");
    make_fifo(&file);
    pids.insert(0, stuck);
    let root = ProcRoot::open(crowd.path()).expect("a crowd");
    for (engine, mut surveyor) in surveyors("a_stuck_process_times_out_among_others", &root) {
        let survey = surveyor.survey(&pids, &Plan::default(), &timeouts(20)).expect("an engine");
        let (found, missing) = (survey.coverage(), survey.missing());
        let is_first = missing.first() == Some(&(stuck, Fate::TimedOut));
        assert!(is_first || found.measured == 0, "{engine}: {found:?}");
    }
}
