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

use crate::error::Error;
use crate::process::{Coverage, Plan, Probe, ProcFile, ProcessUsage, Progress};
use crate::sys::proc_root::ProcRoot;
use crate::sys::ring::kernel::Features;
use crate::units::{Errno, Pid};

pub use uring::Uring;

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

/// Carries one process from its first file to its fate with ordinary system calls.
fn carry(root: &ProcRoot, probe: &mut Probe, plan: &Plan, room: &mut [u8], io: &mut IoStats) {
    while let Some(file) = probe.want() {
        io.operations += 2; // open and close
        match root.open_file(file, &probe.path(file)) {
            Ok(open) => read_all(open, file, probe, plan, room, io),
            Err(errno) => probe.fail(plan, errno),
        }
    }
}

fn read_all(
    mut open: crate::sys::proc_root::OpenFile,
    file: ProcFile,
    probe: &mut Probe,
    plan: &Plan,
    room: &mut [u8],
    io: &mut IoStats,
) {
    debug_assert_eq!(probe.want(), Some(file));
    loop {
        io.operations += 1;
        match open.read(room) {
            Ok(len) => {
                io.reads += 1;
                io.bytes += len as u64;
                if probe.feed(plan, &room[..len], room.len()) == Progress::Turn {
                    return;
                }
            }
            Err(errno) => return probe.fail(plan, errno),
        }
    }
}
