//! Figures of page tables, for every kind of memory: those of the kernel in `smaps_rollup`, of a
//! naive walk of `/proc/PID/pagemap`, and of the program. And the memory that a group of processes
//! really gives back when it is killed.
//!
//! A separate binary: a case changes counters of the whole host, so cases run one at a time. They
//! need root. Swap, huge pages and KSM come from `scripts/with-memory.sh`; a case whose memory the
//! host cannot give is skipped with the reason.
//!
//! - `change`  processes whose memory changes while it is read
//! - `freed`   processes that are killed in a control group of their own
//! - `kinds`   every kind of memory, the same for all parties
//! - `length`  the length of windows on a slow host
//! - `parties` the figures of a process, from the kernel, the twin and the program
//! - `sparse`  processes with far more addresses than pages
//! - `sys`     a system call without a safe form; the only `unsafe`
//! - `twin`    the naive walk
//! - `urgency` the priority of a walk
//! - `zoo`     the processes, of `zoo.c`

// A test is a separate crate: its public items have no users outside it.
#![allow(unreachable_pub)]

use std::sync::{Mutex, MutexGuard, PoisonError};

#[path = "../../benches/crowd/mod.rs"]
mod crowd;
#[path = "../support/mod.rs"]
mod support;

mod change;
mod freed;
mod kinds;
mod length;
mod parties;
mod sparse;
mod sys;
mod twin;
mod urgency;
mod zoo;

/// One case at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
