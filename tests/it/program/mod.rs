//! Processes to rows.
//!
//! - `bare_groups`  control groups without a process, or without figures
//! - `charges`      figures of control groups: fixtures, and a random tree
//! - `cgroup`       control groups to units and containers
//! - `gpu`          the memory that GPU drivers hold
//! - `live_charges` figures of real control groups
//! - `live_oom`     the choices of the OOM killer in real control groups
//! - `oom`          the same, of fixtures
//! - `grouping`     by user, unit, container
//! - `host`         host memory by parts
//! - `shares`       memory that processes hold together counts once
//! - `vfork`        an address space of several processes counts once

mod bare_groups;
mod cgroup;
mod charges;
mod gpu;
pub(crate) mod grouping;
mod host;
mod live_charges;
mod live_oom;
mod oom;
mod shares;
mod vfork;
