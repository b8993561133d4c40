//! Requests in, completions out: a ring as engines see it, which fetches files of processes.
//!
//! An engine has numbered *slots*. In each it requests one file, or the pair of name and memory,
//! and gets exactly one completion per file, which returns the buffer. The ring decides whether
//! that takes one chain of linked requests or several steps.
//!
//! - `kernel` io_uring(7)
//! - `pace`   the length of a sleep between two reaps

pub mod kernel;
pub mod pace;

use std::time::Duration;

use super::buffer::Buffer;
use crate::process::{PageCounts, ProcFile, RelPath, Window};
use crate::units::Errno;

/// One file to open and to read into a buffer.
pub struct Fetch {
    /// The kind of file: links and directories are not read but resolved and listed.
    pub file: ProcFile,
    /// The path of the file.
    pub path: RelPath,
    /// The part to read.
    pub from: ReadFrom,
    /// The end of the open file.
    pub opening: Opening,
    /// The buffer for its bytes. The completion returns it.
    pub buffer: Buffer,
}

/// The beginning and the end of an open file. A file that stays open has a *place*, which outlives
/// the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Opening {
    /// It is opened, and the next request of the slot closes it.
    #[default]
    Slot,
    /// It is opened in this place, and stays open. A file there before is closed.
    Place(usize),
    /// It is open in this place, and read from its beginning.
    Open(usize),
}

impl Opening {
    /// The place of the file, if it stays open.
    pub fn place(self) -> Option<usize> {
        match self {
            Opening::Slot => None,
            Opening::Place(place) | Opening::Open(place) => Some(place),
        }
    }
}

/// A request for one slot.
pub enum Request {
    /// Open one file, unless it is open, and read it; it completes as [`Half::First`].
    One(Fetch),
    /// Open the memory, open and read the name, read the memory; `process::probe` says why. What
    /// is open is not opened: the memory, or both.
    Pair {
        /// The name; it completes as [`Half::First`].
        name: Fetch,
        /// The memory; it completes as [`Half::Second`].
        memory: Fetch,
    },
}

/// One of the two files of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// The only file, or the name of a pair.
    First = 0,
    /// The memory of a pair.
    Second = 1,
}

/// The part of an open file to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// From the end of the last read; at first, from the beginning.
    Current,
    /// The beginning of the file, for a single byte.
    Beginning,
    /// A window.
    At(Window),
}

/// The failure of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The error of the open or the read; [`Errno::CANCELED`] if no worker can be started.
    Refused(Errno),
    /// It was not read, because the other file of the pair could not be opened.
    NotTried,
}

/// The end of one fetch.
pub struct Completion {
    /// The slot of the request.
    pub slot: usize,
    /// The file of the slot.
    pub half: Half,
    /// Whether the read succeeded. No bytes in the buffer are the end of the file.
    pub result: Result<(), Failure>,
    /// The buffer of the fetch.
    pub buffer: Buffer,
}

/// Counters for `--stats` and for the budgets of the tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingStats {
    /// Submission queue entries.
    pub operations: u64,
    /// Calls of `io_uring_enter(2)`.
    pub enters: u64,
    /// Requests that have completed, each step of a process.
    pub completed: u64,
}

impl RingStats {
    /// Requests in flight, where each of them completes: not in a chain.
    pub fn in_flight(&self) -> u64 {
        self.operations - self.completed
    }
}

/// The states of the workers, and their work so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerStates {
    /// Workers that walk page tables or wait for a CPU.
    pub running: usize,
    /// Workers in an uninterruptible sleep: for a lock or for a page of the target.
    pub blocked: usize,
    /// Blocked workers that have not run for the given time; each has a request that was queued
    /// before.
    pub stuck: usize,
    /// Threads of the keeper among those that run and are blocked.
    pub of_keeper: usize,
    /// There is no worker, though requests are in flight.
    pub is_none: bool,
    /// Other sleeping workers: without work, or in a file that is not of procfs.
    pub idle: usize,
    /// The number of times that workers went to sleep since the setup of the ring.
    pub sleeps: u64,
    /// The CPU time of all workers together.
    pub cpu: Duration,
}

/// A ring: io_uring, or a model of it.
pub trait Fetcher {
    /// Queues a request for a slot with nothing in flight, and may submit the queue. A file that
    /// never blocks completes at once.
    fn fetch(&mut self, slot: usize, request: Request);

    /// Queues another read of a file that the last request of the slot opened.
    fn read_more(&mut self, slot: usize, half: Half, from: ReadFrom, buffer: Buffer);

    /// Submits all queued requests, and waits for `at_least` completions or until the timeout. More
    /// than one may be waited for by time: then the call returns earlier, or up to a millisecond
    /// later. With nothing in flight it waits until the timeout.
    ///
    /// # Errors
    /// The ring itself failed, not a request.
    fn submit_and_wait(&mut self, at_least: usize, timeout: Duration) -> Result<(), Errno>;

    /// The next completion, if one has arrived.
    fn reap(&mut self) -> Option<Completion>;

    /// The maximum number of slots.
    fn slots_max(&self) -> usize;

    /// The number of places for files that stay open.
    fn places_max(&self) -> usize;

    /// Closes the file in a place that no request in flight uses. Does not wait.
    fn close(&mut self, place: usize);

    /// The time since a moment before the first request.
    fn now(&self) -> Duration;

    /// The states of the workers. A worker is stuck after `stuck_after`, counted from the first of
    /// the calls that have found it asleep.
    fn workers(&mut self, stuck_after: Duration) -> WorkerStates;

    /// The slots whose requests these workers have taken up, some twice; all slots in flight if
    /// that is unknown.
    fn executing(&self, workers: &WorkerStates) -> Vec<usize>;

    /// Sets the maximum number of workers.
    fn set_worker_limit(&mut self, workers: usize);

    /// Queues requests that wake or start up to this many workers, within the maximum. A ring
    /// starts one by itself only for a request that arrives while all workers are busy.
    fn wake_workers(&mut self, count: usize);

    /// Sets whether the threads that submit and read have the highest priority, if that is allowed.
    fn set_urgent(&mut self, is_urgent: bool);

    /// The counts of page frames, for walks over page tables.
    fn pages(&mut self) -> &mut dyn PageCounts;

    /// The counters.
    fn stats(&self) -> RingStats;
}
