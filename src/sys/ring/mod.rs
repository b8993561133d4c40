//! Requests in, completions out: what an engine knows of a ring.
//!
//! An engine has numbered *slots*, each with one file open at a time. It asks a slot to fetch one
//! file, or two one after the other, and gets exactly one completion per file, with the buffer it
//! gave. How that is done (one chain of linked requests, or a request at a time on older kernels)
//! is the ring's business.

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

/// The end of one fetch.
pub struct Completion {
    /// The slot it was asked of.
    pub slot: usize,
    /// 0 for the first file of the request, 1 for the second.
    pub nth: usize,
    /// How many bytes of the buffer were filled; 0 is the end of the file. [`Errno::CANCELED`]
    /// for a second file that was not tried because the first could not be opened.
    pub result: Result<usize, Errno>,
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

/// Something that carries fetches: io_uring, or a model of it.
pub trait Ring {
    /// Queues one file, or two one after the other, on a slot that has nothing in flight.
    fn fetch(&mut self, slot: usize, first: Fetch, second: Option<Fetch>);

    /// Queues one more read of the file that the slot opened last, from where it ended.
    fn read_on(&mut self, slot: usize, nth: usize, buffer: Buffer);

    /// Hands everything queued to the kernel and waits until `at_least` completions are there or
    /// the time is over, whichever comes first.
    ///
    /// # Errors
    /// The ring itself failed, not a request.
    fn submit_and_wait(&mut self, at_least: usize, timeout: Duration) -> Result<(), Errno>;

    /// The next completion that is there.
    fn reap(&mut self) -> Option<Completion>;

    /// What was counted so far.
    fn stats(&self) -> RingStats;
}
