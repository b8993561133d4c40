//! A deadline says the same of processes in every engine: nothing is begun once time is over.

mod support;

use std::os::unix::fs::symlink;
use std::time::Duration;

use psm_uring::engine::{EngineKind, Patience, Surveyor, Tuning};
use psm_uring::process::{Coverage, Plan};
use psm_uring::sys::proc_root::ProcRoot;
use psm_uring::sys::ring::kernel::Features;
use psm_uring::units::Pid;
use support::survey::{has_uring, open, tuning};
use support::{RUN_LIMIT, TempDir, tree};

/// Far more than any engine has at work.
const PROCESSES: u32 = 2000;
/// As soon as a race is lost, all is.
const ROUNDS: usize = 6;
const WORKERS: usize = 2;
const DEPTH: usize = 256;

/// One process of a fixture, many times; and its ids.
fn crowd(name: &str) -> (TempDir, Vec<Pid>) {
    let crowd = TempDir::new(name);
    let pids: Vec<Pid> = (1000..1000 + PROCESSES).map(Pid).collect();
    for pid in &pids {
        symlink(tree("ordinary/111"), crowd.path().join(pid.to_string())).expect("a link");
    }
    (crowd, pids)
}

/// Every engine, and the ring as older kernels have it.
fn surveyors(test: &str, root: &ProcRoot) -> Vec<(&'static str, Surveyor)> {
    let with = |kind, features| open(kind, root, Tuning { features, ..tuning(WORKERS, DEPTH) });
    let crews = [("sync", EngineKind::Sync), ("threads", EngineKind::Threads)];
    let mut surveyors: Vec<_> =
        crews.into_iter().map(|(name, kind)| (name, with(kind, Features::ALL))).collect();
    if has_uring(test) {
        let staged = Features { chains: false, ..Features::ALL };
        surveyors.push(("uring", with(EngineKind::Uring, Features::ALL)));
        surveyors.push(("uring, staged", with(EngineKind::Uring, staged)));
    }
    surveyors
}

/// What becomes of all of them in so many milliseconds.
fn survey(surveyor: &mut Surveyor, pids: &[Pid], plan: &Plan, millis: u64) -> Coverage {
    let deadline = Some(Duration::from_millis(millis));
    let patience = Patience { stuck_after: RUN_LIMIT, deadline };
    let found = surveyor.survey(pids, plan, &patience).expect("an engine that works").coverage();
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
