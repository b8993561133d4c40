//! A host with real faults: processes that hold their memory lock for ever, a forbidden io_uring,
//! exhausted limits, a `/proc` that hides processes.
//!
//! A separate binary: it starts itself again as the first process of each container, and a case
//! that measures times runs alone on the host.
//!
//! Every case runs as root in a separate container with a hard time limit; its processes and mounts
//! end with the container. A case that cannot run reports that. `docs/RELIABILITY.md` lists the
//! cases.
//!
//! - `container` a PID and mount namespace for each case
//! - `cgroup`    a control group of a case
//! - `user`      a user without privileges
//! - `dead_fs`   a file system whose server does not answer
//! - `hostage`   modes of the processes that the cases measure
//! - `timed`     runs of the program, timed and parsed
//! - `sys`       system calls without a safe form; the only `unsafe`
//!
//! The other modules are cases.

// A test is a separate crate: its public items have no users outside it.
#![allow(unreachable_pub)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../../benches/crowd/mod.rs"]
mod crowd;

mod big;
mod cgroup;
mod container;
mod dead_fs;
mod hostage;
mod input;
mod privilege;
mod refused;
mod signals;
mod still;
mod storm;
mod stuck;
mod stuck_groups;
mod sys;
mod timed;
mod user;
mod visible;

/// Modes of the processes that the cases start.
#[test]
fn child() {
    crowd::become_one();
    hostage::become_one();
    support::child::become_one();
}
