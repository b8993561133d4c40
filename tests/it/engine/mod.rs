//! Engines: all of them say the same.
//!
//! - `agreement` on every fixture, in every tuning
//! - `deadline`  of what is not done in time
//! - `live`      of real processes, and what the kernel says
//! - `uring`     the ring alone

mod agreement;
mod deadline;
mod live;
mod uring;
