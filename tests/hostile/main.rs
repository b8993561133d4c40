//! A host where everything is wrong, built for real: processes that hold their memory lock for
//! ever, an io_uring that is forbidden, limits that are reached, a `/proc` that hides.
//!
//! A binary of its own: it starts itself once more as the first process of each container, and a
//! case whose times count has the host to itself.
//!
//! Every case runs as root in a container of its own with a hard limit of time; what it made
//! ends with it. Where a case cannot run it says so. `docs/RELIABILITY.md` lists them.
//!
//! - `container` a PID and mount namespace for each case
//! - `cgroup`    a control group of a case
//! - `user`      somebody without privilege
//! - `dead_fs`   a file system whose server does not answer
//! - `hostage`   what processes become that are to be measured
//! - `timed`     runs of the program, timed and taken apart
//! - `sys`       system calls that have no safe form; the only `unsafe`
//!
//! The rest are cases.

// A test is a crate of its own: what is public here is seen by nobody else.
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
mod refused;
mod signals;
mod still;
mod storm;
mod stuck;
mod sys;
mod timed;
mod user;
mod visible;

/// What processes become that the cases start.
#[test]
fn child() {
    crowd::become_one();
    hostage::become_one();
    support::child::become_one();
}
