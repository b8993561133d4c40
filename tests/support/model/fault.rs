//! Operations that fail although the process is healthy: counted, so that a loop can fail each one.

use psm_uring::units::Errno;

use super::world::Place;

/// The action of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Open,
    /// An open of a link: a lookup without a read.
    Link,
    Read,
}

/// Errors that opens and reads return. `ECANCELED` is excluded: the engine cancels nothing, so a
/// request only returns it when there is no worker (`Trouble::no_worker_from`).
pub const ERRNOS: [i32; 22] = [
    libc::ENOENT,
    libc::ESRCH,
    libc::EACCES,
    libc::EPERM,
    libc::EIO,
    libc::ENOMEM,
    libc::EMFILE,
    libc::ENFILE,
    libc::EAGAIN,
    libc::EBUSY,
    libc::EINTR,
    libc::EINVAL,
    libc::EFAULT,
    libc::EBADF,
    libc::ENODEV,
    libc::ENXIO,
    libc::EOPNOTSUPP,
    libc::EOVERFLOW,
    libc::ETIMEDOUT,
    libc::EISDIR,
    libc::ENOTDIR,
    libc::ENAMETOOLONG,
];

/// One operation to fail.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// The index of the operation, counted from 0.
    pub op: u64,
    pub errno: Errno,
    /// The same operation on the same file of the same process fails from then on.
    pub for_good: bool,
}

/// A failed operation.
#[derive(Clone, Copy, Debug)]
pub struct Hit {
    pub place: Place,
    pub op: Op,
    pub errno: Errno,
    pub for_good: bool,
    /// The memory of the same pair could not be opened either, and its error counts.
    pub is_overruled: bool,
}

/// All faults, and the current count.
#[derive(Debug, Default)]
pub struct Faults {
    pub planned: Vec<Fault>,
    pub hits: Vec<Hit>,
    /// Operations so far.
    pub ops: u64,
    /// Injected failures so far, without those of the world.
    pub injected: u64,
}

impl Faults {
    /// Counts an operation, and returns whether it fails.
    pub fn strike(&mut self, place: Place, op: Op) -> Option<Errno> {
        let number = self.ops;
        self.ops += 1;
        let same = |hit: &Hit| hit.place.seat == place.seat && hit.place.file == place.file;
        let again = |hit: &&Hit| hit.for_good && hit.op == op && same(hit);
        let errno = match self.planned.iter().find(|fault| fault.op == number) {
            Some(&Fault { errno, for_good, .. }) => {
                self.hits.push(Hit { place, op, errno, for_good, is_overruled: false });
                errno
            }
            None => self.hits.iter().find(again)?.errno,
        };
        self.injected += 1;
        Some(errno)
    }
}
