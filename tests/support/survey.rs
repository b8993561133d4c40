//! Surveys in a comparable form, and a check for io_uring on this host.

use std::sync::OnceLock;

use psm_uring::engine::{EngineKind, Surveyor, Timeouts, Tuning, Uring};
use psm_uring::process::{Coverage, Plan, ProcessUsage, Source};
use psm_uring::smaps::Smaps;
use psm_uring::sys::proc_root::ProcRoot;
use psm_uring::sys::ring::kernel::Features;
use psm_uring::units::{Errno, Pid};

use super::world::owned;

/// The ring's way to read where CPUs are free.
pub const CHAINED: Features = Features { defer_taskrun: false, ..Features::ALL };
/// Its way where CPUs are contended.
pub const TIMED: Features = Features { chains: false, ..Features::ALL };
/// Its way on older kernels.
pub const STAGED: Features = Features { chains: false, ..CHAINED };

/// A process, with its owner, its group and its start time, where requested.
pub type Place = (Pid, Option<u32>, Option<[Vec<u8>; 2]>, Option<u64>);

/// The result of a survey, in an order that does not depend on timing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub processes: Vec<(Pid, Vec<u8>, Smaps)>,
    pub places: Vec<Place>,
    pub coverage: Coverage,
}

impl Snapshot {
    pub fn of(&self, pid: Pid) -> Option<&Smaps> {
        self.processes.iter().find(|process| process.0 == pid).map(|process| &process.2)
    }
}

/// A tuning with all features.
pub fn tuning(workers: usize, depth: usize) -> Tuning {
    Tuning::new(Some(workers), Some(depth), Source::Auto)
}

/// Opens an engine that must be available.
pub fn open(kind: EngineKind, root: &ProcRoot, tuning: Tuning) -> Surveyor {
    Surveyor::open(kind, root, tuning)
        .unwrap_or_else(|error| panic!("{kind:?} {tuning:?}: {error}"))
}

/// Runs one survey, with longer timeouts than a busy machine needs.
pub fn survey(surveyor: &mut Surveyor, pids: &[Pid], plan: &Plan) -> Snapshot {
    let timeouts = Timeouts { stuck_after: super::RUN_LIMIT, deadline: None };
    let survey = surveyor.survey(pids, plan, &timeouts);
    let survey = survey.unwrap_or_else(|error| panic!("{:?} {plan:?}: {error}", surveyor.kind()));
    let copy = |process: ProcessUsage<'_>| (process.pid, process.name.to_vec(), process.smaps);
    let mut processes: Vec<_> = survey.processes().map(copy).collect();
    processes.sort_unstable_by_key(|process| process.0);
    let place =
        |one: ProcessUsage<'_>| (one.pid, one.uid, one.cgroup.map(owned), one.stat.start_time);
    let mut places: Vec<_> = survey.processes().map(place).collect();
    places.sort_unstable();
    Snapshot { processes, places, coverage: survey.coverage() }
}

/// Whether io_uring works here. If not, reports that on standard error, once per test.
///
/// Only a legitimate refusal of the host counts as missing; any other failure is a fault. With
/// `PSM_REQUIRE_URING` set every failure is a fault: for a CI that must not lose half of its tests
/// unnoticed.
pub fn has_uring(test: &str) -> bool {
    static PROBED: OnceLock<Result<(), Errno>> = OnceLock::new();
    let probed = PROBED.get_or_init(|| {
        let root = ProcRoot::open(&super::tree("empty")).expect("a fixture");
        Uring::open(&root, tuning(1, 1)).map(drop)
    });
    let Err(errno) = probed else { return true };
    // Kernels that are too old return the last error; `sys::kernel` checks that they are.
    let refused =
        [libc::EPERM, libc::EACCES, libc::ENOSYS, libc::ENOMEM, libc::ECANCELED, libc::EOPNOTSUPP];
    let required = std::env::var_os("PSM_REQUIRE_URING").is_some();
    assert!(refused.contains(&errno.0) && !required, "no io_uring: {errno}");
    super::skip(test, &format!("the part with io_uring: {errno}"));
    false
}
