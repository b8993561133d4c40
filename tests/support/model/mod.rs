//! A model of the ring, of its workers and of the processes they read: deterministic, in virtual
//! time. The engine `uring` runs on it unchanged. Models the promises of the kernel and of
//! `sys::ring`, and is independent of the internals of engine and probe.
//!
//! ```text
//!   Dice ─► Script ─► World: seats, locks, faults ◄─ open, read ─ Pool: workers
//!                                                                   ▲     │
//!                      engine `uring` ─ fetch, submit, reap ─► ModelRing ◄┘
//! ```
//!
//! - `dice`     the source of choices: a seed, or the bytes of a fuzzer
//! - `life`     the visible state of one address space, and its expected report
//! - `seat`     one process id, its current process, and its future events
//! - `world`    the answers of every file of every process
//! - `log`      the answers for a process, and the fate that follows from them
//! - `fault`    operations that fail, once or permanently
//! - `pool`     workers: limited concurrency, blocked requests included
//! - `slots`    slots, their steps and their completions
//! - `watch`    the ring's record of a survey, for the checks
//! - `ring`     the trait `Ring` over the modules above
//! - `carrier`  ordinary system calls on the same world, the fallback for a broken ring
//! - `script`   random worlds, faults and settings
//! - `schedule` one run of the engine on one script
//! - `check`    invariants that hold after every survey
// Each test that uses the model is a separate crate and uses a part of it.
#![allow(dead_code, unreachable_pub)]

pub mod carrier;
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
pub mod slots;
pub mod watch;
pub mod world;

/// Virtual time, in microseconds since the model began.
pub type Micros = u64;
/// A time that never comes.
pub const NEVER: Micros = Micros::MAX;
/// One millisecond in microseconds.
pub const MILLIS: Micros = 1000;
