//! The kernel's counters of the memory of the whole host. Pure: texts in, numbers out.
//!
//! - `meminfo` `/proc/meminfo`
//! - `mounts`  `/proc/self/mountinfo`
//! - `cgroups` the mount of the memory controller, and its tree of groups
//! - `memory_group` the files of one control group
//! - `oom`     the OOM killer at the limit of a control group
//! - `shared`  `/proc/sysvipc/shm`, and file systems in memory
//! - `zfs`     `/proc/spl/kstat/zfs/arcstats`
//!
//! `/proc/pressure/memory` and `/sys/block/zram*/mm_stat` are parsed here.
#![forbid(unsafe_code)]

mod cgroups;
mod meminfo;
mod memory_group;
mod mounts;
mod oom;
mod shared;
mod zfs;

use serde::Serialize;

pub use self::cgroups::{CgroupMount, GroupNode, GroupTree, UnreadGroup};
pub use self::meminfo::{Item, Meminfo};
pub use self::memory_group::{
    CgroupVersion, ChargeParts, GroupEvents, GroupLimit, GroupPlan, LimitKind, MemoryGroup,
};
pub use self::mounts::{Mount, Mounts};
pub use self::oom::{OomLimit, OomRule};
pub use self::shared::{SysvSegments, Tmpfs, dying_segments};
pub use self::zfs::ZfsArc;
use crate::units::Kib;

/// The counters at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostCounters {
    /// The counters of `meminfo`.
    pub meminfo: Meminfo,
    /// The sum over all zram devices; `None` if unknown.
    pub zram: Option<Zram>,
    /// The time that tasks wait for memory; `None` if the kernel does not report it.
    pub pressure: Option<Pressure>,
    /// The cache of ZFS; `None` if unknown.
    pub arc: Option<ZfsArc>,
    /// Whether `MemTotal` still includes the memory of a balloon, if that is known.
    pub balloon_is_in_total: Option<bool>,
    /// File systems in memory, each once; `None` if unknown.
    pub tmpfs: Option<Vec<Tmpfs>>,
    /// The segments of System V; `None` if unknown.
    pub sysv: Option<SysvSegments>,
    /// The file system that made up `meminfo` in place of the kernel: `fuse.lxcfs`.
    pub writer: Option<String>,
}

/// The time that tasks waited for memory.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Pressure {
    /// At least one task waited.
    pub some: Stall,
    /// All tasks waited at once.
    pub full: Stall,
}

/// Shares of the time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Stall {
    /// Of the last 10 seconds, in percent.
    pub avg10: f64,
    /// Of the last 60.
    pub avg60: f64,
    /// Of the last 300.
    pub avg300: f64,
    /// The sum since the boot, in microseconds.
    pub total_us: u64,
}

impl Pressure {
    /// Parses the text.
    pub fn parse(text: &[u8]) -> Option<Pressure> {
        let text = std::str::from_utf8(text).ok()?;
        let line = |word: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(' '));
            lines.find(|(first, _)| *first == word).and_then(|(_, rest)| Stall::parse(rest))
        };
        Some(Pressure { some: line("some")?, full: line("full")? })
    }
}

impl Stall {
    fn parse(text: &str) -> Option<Stall> {
        let value = |key: &str| {
            text.split(' ').filter_map(|part| part.split_once('=')).find(|part| part.0 == key)
        };
        let percent = |key| value(key)?.1.parse().ok().filter(|part: &f64| part.is_finite());
        Some(Stall {
            avg10: percent("avg10")?,
            avg60: percent("avg60")?,
            avg300: percent("avg300")?,
            total_us: value("total")?.1.parse().ok()?,
        })
    }
}

/// The memory of zram devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Zram {
    /// The size of the data before compression (`orig_data_size`).
    pub holds: Kib,
    /// The memory that the data takes (`mem_used_total`). No line of meminfo includes it.
    pub takes: Kib,
}

impl Zram {
    /// Parses the text of one device.
    pub fn parse(text: &[u8]) -> Option<Zram> {
        let text = std::str::from_utf8(text).ok()?;
        let mut fields = text.split_whitespace().map(|field| field.parse::<u64>().ok());
        let (holds, _, takes) = (fields.next()??, fields.next()??, fields.next()??);
        Some(Zram { holds: Kib(holds / 1024), takes: Kib(takes / 1024) })
    }

    /// Adds another device.
    pub fn add(&mut self, other: &Zram) {
        self.holds += other.holds;
        self.takes += other.takes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lines_are_needed() {
        let some = "some avg10=0.50 avg60=1.25 avg300=99.00 total=47670469\n";
        let full = "full avg10=0.00 avg60=0.00 avg300=0.04 total=14841120\n";
        let found = Pressure::parse(format!("{some}{full}").as_bytes()).expect("pressure");
        assert_eq!((found.some.avg60, found.full.total_us), (1.25, 14_841_120));
        for text in [some, "", "some avg10=0.50\nfull avg10=0\n", "some avg10=nan"] {
            assert_eq!(Pressure::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn fields_have_their_places() {
        let text = b"  4096000   102400   131072        0   131072     12        0        0\n";
        let found = Zram::parse(text).expect("numbers");
        assert_eq!((found.holds, found.takes), (Kib(4000), Kib(128)));
        for text in [&b""[..], b"1 2", b"1 2 x"] {
            assert_eq!(Zram::parse(text), None);
        }
    }
}
