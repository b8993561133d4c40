//! Engine tests: all engines return the same survey.
//!
//! - `agreement` every fixture, in every tuning
//! - `deadline`  processes that a deadline cuts off
//! - `live`      real processes against the sums of the kernel
//! - `series`    files that stay open between surveys
//! - `uring`     the ring alone

mod agreement;
mod deadline;
mod live;
mod series;
mod uring;
