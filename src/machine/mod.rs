//! What the kernel tells of the memory of the whole machine. Pure: texts in, numbers out.
//!
//! - `meminfo`  `/proc/meminfo`
//! - `pressure` `/proc/pressure/memory`
//! - `zram`     `/sys/block/zram*/mm_stat`
#![forbid(unsafe_code)]

mod meminfo;
mod pressure;
mod zram;

pub use meminfo::{Item, Meminfo};
pub use pressure::{Pressure, Stall};
pub use zram::Zram;

/// The memory of a machine, at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Machine {
    /// The kernel's own account.
    pub meminfo: Meminfo,
    /// All devices of compressed memory; `None` when nobody knows.
    pub zram: Option<Zram>,
    /// How long tasks wait for memory; `None` when the kernel does not tell.
    pub pressure: Option<Pressure>,
}
