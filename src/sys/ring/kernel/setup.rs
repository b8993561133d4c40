//! The features of the kernel, the way to read, and the size of the ring.

use io_uring::IoUring;

use super::int;
use super::submission::CHAIN_MAX;
use crate::sys::threads;
use crate::units::Errno;

/// The maximum number of submission queue entries, which an unprivileged `RLIMIT_MEMLOCK` of 64 KiB
/// allows.
const ENTRIES_MAX: u32 = 256;
const ENTRIES_MIN: u32 = 8;
/// The maximum number of slots. Stuck processes keep theirs forever, so there are more than the
/// maximum depth.
pub(super) const SLOTS_MAX: usize = 2048;

/// Features of newer kernels. Each is used if the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// `IORING_SETUP_SUBMIT_ALL` (5.18): an invalid request does not stop the batch.
    pub submit_all: bool,
    /// `IORING_SETUP_COOP_TASKRUN` (5.19): completions do not interrupt the submitting thread.
    pub coop_taskrun: bool,
    /// `IORING_SETUP_SINGLE_ISSUER` (6.0): one thread submits.
    pub single_issuer: bool,
    /// `IORING_SETUP_DEFER_TASKRUN` (6.1): completions wait until the submitting thread enters the
    /// kernel, so that it can sleep meanwhile. Used where CPUs are contended, and where `chains` is
    /// not allowed.
    pub defer_taskrun: bool,
    /// A sparse table of direct descriptors (5.19): no file needs a close.
    pub direct_descriptors: bool,
    /// `IORING_FEAT_LINKED_FILE` (5.17) and direct descriptors: one chain opens and reads. Used
    /// instead of `defer_taskrun` where CPUs are free.
    pub chains: bool,
    /// `IORING_FEAT_CQE_SKIP` (5.17): successful opens post no completion.
    pub skip_success: bool,
    /// `IORING_REGISTER_IOWQ_MAX_WORKERS` (5.15): the number of workers can be set.
    pub worker_limit: bool,
}

impl Features {
    /// All features.
    pub const ALL: Features = Features {
        submit_all: true,
        coop_taskrun: true,
        single_issuer: true,
        defer_taskrun: true,
        direct_descriptors: true,
        chains: true,
        skip_success: true,
        worker_limit: true,
    };
}

/// Parameters of a ring.
#[derive(Clone, Copy, Debug)]
pub struct RingSetup {
    /// The number of processes in flight while none is stuck.
    pub depth: usize,
    /// The maximum number of workers.
    pub workers: usize,
    /// Features that may be used; tests disable some to run the code for older kernels.
    pub allowed: Features,
    /// Whether to have places for files that stay open.
    pub keeps_files: bool,
}

/// Whether more threads of the host want a CPU than this process may use. Where it may use few of
/// many, its own may still be free; steps then cost a tenth more.
fn is_contended() -> bool {
    threads::runnable().is_some_and(|runnable| runnable > threads::cpus())
}

/// The table of direct descriptors: two for each slot, and behind them one for each place.
#[derive(Clone, Copy)]
pub(super) struct DirectTable {
    pub(super) slots: usize,
    pub(super) places: usize,
}

impl DirectTable {
    /// Registers as many slots, and these places beside them, as the limit of open files allows.
    /// `None` if these are fewer than `depth` slots.
    pub(super) fn register(ring: &IoUring, depth: usize, places: usize) -> Option<DirectTable> {
        let mut slots = SLOTS_MAX;
        while slots >= depth {
            if ring.submitter().register_files_sparse(int(2 * slots + places)).is_ok() {
                return Some(DirectTable { slots, places });
            }
            slots /= 2;
        }
        // The slots come first.
        if places > 0 { DirectTable::register(ring, depth, 0) } else { None }
    }
}

/// Creates the ring with as many features and entries as the kernel and its limits allow.
pub(super) fn build(depth: usize, allowed: Features) -> Result<(IoUring, Features), Errno> {
    let mut features = allowed;
    features.defer_taskrun &= features.single_issuer && (is_contended() || !features.chains);
    let wanted = u32::try_from(depth * CHAIN_MAX).unwrap_or(ENTRIES_MAX);
    let mut entries = wanted.next_power_of_two().clamp(ENTRIES_MIN, ENTRIES_MAX);
    // Two completions per process. In a smaller queue they overflow to a slower list of the kernel.
    let mut completions = u32::try_from(2 * depth).unwrap_or(0).max(2 * entries);
    loop {
        let mut builder = IoUring::builder();
        builder.setup_cqsize(completions);
        if features.submit_all {
            builder.setup_submit_all();
        }
        if features.defer_taskrun {
            builder.setup_defer_taskrun().setup_taskrun_flag();
        } else if features.coop_taskrun {
            builder.setup_coop_taskrun();
        }
        if features.single_issuer {
            builder.setup_single_issuer();
        }
        match builder.build(entries).map_err(Errno::from) {
            Ok(ring) => return Ok((ring, features)),
            // A flag is unknown: try without the newest, then without the next.
            Err(Errno(libc::EINVAL)) if features.defer_taskrun => features.defer_taskrun = false,
            Err(Errno(libc::EINVAL)) if features.single_issuer => features.single_issuer = false,
            Err(Errno(libc::EINVAL)) if features.coop_taskrun => features.coop_taskrun = false,
            Err(Errno(libc::EINVAL)) if features.submit_all => features.submit_all = false,
            // The memory limit: a smaller ring only takes more calls.
            Err(Errno(libc::ENOMEM)) if entries > ENTRIES_MIN => {
                entries /= 2;
                completions = 2 * entries;
            }
            Err(errno) => return Err(errno),
        }
    }
}
