//! Requests in, completions out: what an engine knows of a ring.
//!
//! An engine has numbered *slots*. It asks a slot to fetch one file, or the pair that makes up a
//! process, and gets exactly one completion per file, with the buffer it gave. How that is done
//! (one chain of linked requests, or a request at a time on older kernels) is the ring's business.
//!
//! - `kernel` io_uring(7)

pub mod kernel;

use std::time::Duration;

use super::buffer::Buffer;
use crate::process::{ProcFile, RelPath};
use crate::units::Errno;

/// One file to open and to read into a buffer.
pub struct Fetch {
    /// What kind of file: a link and a listing are not read but looked up.
    pub file: ProcFile,
    /// Where it stands.
    pub path: RelPath,
    /// Where its bytes go. Comes back with the completion.
    pub buffer: Buffer,
}

/// What a slot is asked for.
pub enum Request {
    /// Open and read one file. Its completion has the half [`Half::First`].
    One(Fetch),
    /// Open the memory, open and read the name, read the memory (see `process::probe` for why).
    Pair {
        /// The name; completes with [`Half::First`].
        name: Fetch,
        /// The memory; completes with [`Half::Second`].
        memory: Fetch,
    },
}

/// Which of a slot's two files is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// The only file, or the name of a pair.
    First = 0,
    /// The memory of a pair.
    Second = 1,
}

/// Where a further read of an open file begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// Where the last one ended.
    Current,
    /// At the beginning, for a single byte.
    Beginning,
}

/// Why a fetch brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The kernel's answer to the open or the read; [`Errno::CANCELED`] when there is no worker to
    /// be had.
    Refused(Errno),
    /// It was not tried, because the other file of the pair could not be opened.
    NotTried,
}

/// The end of one fetch.
pub struct Completion {
    /// The slot it was asked of.
    pub slot: usize,
    /// Which of the slot's files.
    pub half: Half,
    /// Whether the bytes stand in the buffer; none are the end of the file.
    pub result: Result<(), Failure>,
    /// The buffer of the fetch.
    pub buffer: Buffer,
}

/// Work that was counted, for `--stats` and the budgets of the tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingStats {
    /// Requests handed to the kernel (submission queue entries).
    pub operations: u64,
    /// Calls of `io_uring_enter(2)`.
    pub enters: u64,
}

/// What the workers are doing, and did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerStates {
    /// Walking page tables, or waiting for a CPU to do so.
    pub running: usize,
    /// Asleep where only a fatal signal wakes them: in a lock or for a page of the target.
    pub blocked: usize,
    /// Those of the blocked that have not run for a moment in as long as was asked about; each has
    /// a request that was queued before.
    pub stuck: usize,
    /// Asleep otherwise: without work, or in a file that does not block as procfs does.
    pub idle: usize,
    /// How often one went to sleep since the ring was set up.
    pub sleeps: u64,
    /// For how long all together were on a CPU.
    pub cpu: Duration,
}

/// Something that carries fetches: io_uring, or a model of it.
pub trait Fetcher {
    /// Queues a request on a slot that has nothing in flight.
    fn fetch(&mut self, slot: usize, request: Request);

    /// Queues one more read of a file that the slot's last request opened.
    fn read_more(&mut self, slot: usize, half: Half, from: ReadFrom, buffer: Buffer);

    /// Hands everything queued to the kernel and waits until `at_least` completions are there or
    /// the time is over, whichever comes first.
    ///
    /// # Errors
    /// The ring itself failed, not a request.
    fn submit_and_wait(&mut self, at_least: usize, timeout: Duration) -> Result<(), Errno>;

    /// The next completion that is there.
    fn reap(&mut self) -> Option<Completion>;

    /// How many slots there can be at the most.
    fn slots_max(&self) -> usize;

    /// The time since some moment before the first request.
    fn now(&self) -> Duration;

    /// What the workers are doing, and how many of them are stuck, for at least this long. Asked
    /// again and again: a worker counts from when it was first found asleep.
    fn workers(&mut self, stuck_after: Duration) -> WorkerStates;

    /// The slots whose request one of these workers has taken up; where that cannot be told, all
    /// that are in flight.
    fn executing(&self, workers: &WorkerStates) -> Vec<usize>;

    /// Lets so many workers run at once, and sees to it that requests which wait for a worker
    /// get one.
    fn set_worker_limit(&mut self, workers: usize);

    /// Every worker was started. Until then the submitting thread should get a CPU whenever it
    /// wakes, for it has to come while the others are at work.
    fn all_started(&mut self);

    /// What was counted so far.
    fn stats(&self) -> RingStats;
}
