//! Ways to carry bytes from `/proc` to the probes.
//!
//! Engines differ in how they wait for the kernel, never in what they report: everything that
//! could differ lives in [`Probe`]. `sync` is the reference, `threads` the honest rival, `uring`
//! the product.
//!
//! - `sync`    one process after another
//! - `threads` the same on several threads
//! - `uring`   one thread, many processes in flight
//! - `tally`   results on their way from a probe to the survey
#![forbid(unsafe_code)]

mod sync;
mod tally;
mod threads;
mod uring;

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;

use self::tally::Tally;
use crate::error::Error;
use crate::process::{Coverage, Plan, Probe, ProcFile, ProcessUsage, Progress, Want};
use crate::sys::proc_root::{OpenFile, ProcRoot};
use crate::sys::ring::kernel::Features;
use crate::units::{Errno, Pid};

pub use uring::Uring;

/// Room for one ordinary read: more than the kernel hands out at once.
const READ_BYTES: usize = 16 * 1024;
/// How much is read again to see whether smaps still has something to say.
const REWIND_BYTES: usize = 1;

/// Which way to carry bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineKind {
    /// `uring` when a real read through the ring works here, else `threads`.
    #[default]
    Auto,
    /// One thread submits to io_uring, the kernel's workers read.
    Uring,
    /// Threads of our own, each one process at a time.
    Threads,
    /// One thread, one process at a time.
    Sync,
}

impl EngineKind {
    /// The word of the command line.
    pub fn word(self) -> &'static str {
        match self {
            EngineKind::Auto => "auto",
            EngineKind::Uring => "uring",
            EngineKind::Threads => "threads",
            EngineKind::Sync => "sync",
        }
    }
}

/// How an engine is set up.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Threads that read at once, the kernel's or our own.
    pub workers: usize,
    /// Processes asked at once by `uring`.
    pub depth: usize,
    /// Features of io_uring that may be used.
    pub features: Features,
}

/// Work that was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoStats {
    /// Requests to the kernel: system calls, or entries of the submission queue.
    pub operations: u64,
    /// Calls of `io_uring_enter(2)`; 0 without a ring.
    pub enters: u64,
    /// Reads that were answered.
    pub reads: u64,
    /// Bytes that were read.
    pub bytes: u64,
}

impl IoStats {
    fn add(&mut self, other: &IoStats) {
        self.operations += other.operations;
        self.enters += other.enters;
        self.reads += other.reads;
        self.bytes += other.bytes;
    }
}

/// Every listed process, measured or counted.
pub struct Survey<'run> {
    /// Those that were measured, in no particular order.
    pub processes: BumpVec<'run, ProcessUsage<'run>>,
    /// What became of all of them.
    pub coverage: Coverage,
    /// What it took.
    pub io: IoStats,
}

/// A way to read every process once.
pub trait Engine {
    /// Measures every listed process as the plan says.
    ///
    /// # Errors
    /// The engine itself failed. A process that cannot be read is no error: it is counted.
    fn survey<'run>(
        &mut self,
        pids: &[Pid],
        plan: &Plan,
        arena: &'run Bump,
    ) -> Result<Survey<'run>, Error>;
}

/// An engine, and why it is this one.
pub struct Opened {
    /// The engine.
    pub engine: Box<dyn Engine>,
    /// Which one it is; never [`EngineKind::Auto`].
    pub kind: EngineKind,
    /// Why `uring` was not used though it was wished for.
    pub fallback: Option<Errno>,
}

/// Opens the engine that was asked for.
///
/// # Errors
/// [`Error::Ring`] when `uring` was asked for by name and cannot be had.
pub fn open(kind: EngineKind, root: &ProcRoot, tuning: Tuning) -> Result<Opened, Error> {
    let ring = match kind {
        EngineKind::Auto | EngineKind::Uring => Uring::open(root, tuning),
        EngineKind::Threads | EngineKind::Sync => Err(Errno(0)),
    };
    let opened = |kind, engine, fallback| Ok(Opened { engine, kind, fallback });
    match (kind, ring) {
        (EngineKind::Auto | EngineKind::Uring, Ok(ring)) => {
            opened(EngineKind::Uring, Box::new(ring), None)
        }
        (EngineKind::Uring, Err(errno)) => Err(Error::Ring(errno)),
        (EngineKind::Sync, _) => opened(kind, Box::new(sync::Sync::open(root)?), None),
        (EngineKind::Auto, Err(errno)) => {
            let threads = threads::Threads::open(root, tuning.workers)?;
            opened(EngineKind::Threads, Box::new(threads), Some(errno))
        }
        (EngineKind::Threads, _) => {
            opened(kind, Box::new(threads::Threads::open(root, tuning.workers)?), None)
        }
    }
}

/// Carries processes from their first file to their fate with ordinary system calls.
struct Carrier<'a> {
    root: &'a ProcRoot,
    plan: &'a Plan,
    room: Vec<u8>,
    probe: Probe,
    tally: Tally,
}

impl<'a> Carrier<'a> {
    fn new(root: &'a ProcRoot, plan: &'a Plan, tally: Tally) -> Carrier<'a> {
        Carrier { root, plan, room: vec![0; READ_BYTES], probe: Probe::new(), tally }
    }

    fn carry(&mut self, pid: Pid) {
        self.probe.restart(pid, self.plan);
        while let Some(want) = self.probe.want(self.plan) {
            match want {
                Want::One(file) => self.open_and_read(file),
                Want::Pair { name, memory } => {
                    let Some(open) = self.open(memory) else { continue };
                    self.open_and_read(name);
                    if self.probe.awaits_memory() {
                        self.read(memory, open);
                    }
                }
            }
        }
        self.tally.take(&self.probe);
    }

    fn open_and_read(&mut self, file: ProcFile) {
        if let Some(open) = self.open(file) {
            self.read(file, open);
        }
    }

    fn open(&mut self, file: ProcFile) -> Option<OpenFile> {
        self.tally.io.operations += 2; // and the close
        match self.root.open_file(file, &self.probe.path(file)) {
            Ok(open) => Some(open),
            Err(errno) => {
                self.probe.fail(self.plan, file, errno);
                None
            }
        }
    }

    fn read(&mut self, file: ProcFile, mut open: OpenFile) {
        let mut progress = Progress::ReadOn;
        while progress != Progress::Turn {
            self.tally.io.operations += 1;
            let read = match progress {
                Progress::Rewind => open.read_beginning(&mut self.room[..REWIND_BYTES]),
                _ => open.read(&mut self.room),
            };
            match read {
                Ok(len) => {
                    self.tally.io.reads += 1;
                    self.tally.io.bytes += len as u64;
                    let room = self.room.len();
                    progress = self.probe.feed(self.plan, file, &self.room[..len], room);
                }
                Err(errno) => {
                    self.probe.fail(self.plan, file, errno);
                    progress = Progress::Turn;
                }
            }
        }
    }
}
