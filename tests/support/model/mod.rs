//! A model of the ring, of its workers and of the processes they read: deterministic, in virtual
//! time. The engine `uring` runs on it unchanged. Knows the promises of the kernel and of
//! `sys::ring`, and nothing of how engine and probe keep theirs.
//!
//! ```text
//!   Dice ─► Script ─► World: seats, locks, faults ◄─ open, read ─ Pool: workers
//!                                                                   ▲     │
//!                      engine `uring` ─ fetch, submit, reap ─► ModelRing ◄┘
//! ```
//!
//! - `dice`     where choices come from: a seed, or the bytes of a fuzzer
//! - `life`     what one address space shows of itself, and what a report must say of it
//! - `seat`     one process id, whoever has it, and what will happen to it
//! - `world`    what every file of every process answers
//! - `log`      what was answered for a process, and the fate that follows from it
//! - `fault`    operations that fail, once or for good
//! - `step`     what a worker does for a request
//! - `pool`     workers: so many requests make progress at once, blocked ones among them
//! - `chains`   slots, chains and their completions
//! - `watch`    what the ring saw of a survey, for the checks
//! - `ring`     the trait `Ring` over all that
//! - `carrier`  ordinary system calls on the same world, for what a broken ring leaves behind
//! - `script`   worlds, faults and settings at random
//! - `schedule` one run of the engine on one script
//! - `check`    what must hold after every survey
// Each test that uses the model is a crate of its own and uses a part of it.
#![allow(dead_code, unreachable_pub)]

pub mod carrier;
pub mod chains;
pub mod check;
pub mod dice;
pub mod fault;
pub mod life;
pub mod log;
pub mod pool;
pub mod ring;
pub mod schedule;
pub mod script;
pub mod seat;
pub mod step;
pub mod watch;
pub mod world;

/// Virtual time, in microseconds since the model began.
pub type Micros = u64;
/// A moment that does not come.
pub const NEVER: Micros = Micros::MAX;
/// A thousand of them.
pub const MILLIS: Micros = 1000;
