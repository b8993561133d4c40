//! Processes to rows.
//!
//! - `cgroup`   control groups to units and containers
//! - `grouping` by user, unit, container
//! - `host`     host memory by parts
//! - `shares`   memory that processes hold together counts once
//! - `vfork`    an address space of several processes counts once

mod cgroup;
pub(crate) mod grouping;
mod host;
mod shares;
mod vfork;
