//! The machine's memory as a part of the JSON document.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::text::bytes;
use crate::host::{Pressure, Stall, Zram};
use crate::program::{Column, HostMemory, HostPart};

/// What `--summary` asks for.
#[derive(Serialize)]
pub(super) struct Host<'a> {
    total: Option<u64>,
    available: Option<u64>,
    programs: Option<u64>,
    parts: Parts<'a>,
    swap: Swap,
    zram: Option<Device>,
    zswap_holds: Option<u64>,
    pressure: Option<Stalls>,
}

/// Every part by its word; those of programs beside it, where there are some.
struct Parts<'a>(&'a HostMemory);

#[derive(Serialize)]
struct Amounts {
    host: Option<u64>,
    programs: Option<u64>,
}

#[derive(Serialize)]
struct Alone {
    host: Option<u64>,
}

#[derive(Serialize)]
struct Swap {
    total: Option<u64>,
    used: Option<u64>,
    cached: Option<u64>,
    programs: Option<u64>,
}

#[derive(Serialize)]
struct Device {
    holds: u64,
    takes: u64,
}

#[derive(Serialize)]
struct Stalls {
    some: Times,
    full: Times,
}

/// Per cent of the last 10, 60 and 300 seconds, and all of it in microseconds.
#[derive(Serialize)]
struct Times {
    avg10: f64,
    avg60: f64,
    avg300: f64,
    total_us: u64,
}

impl<'a> Host<'a> {
    pub(super) fn of(host_memory: &'a HostMemory) -> Host<'a> {
        let (total, used) = host_memory.swap;
        Host {
            total: bytes(host_memory.total),
            available: bytes(host_memory.available),
            programs: bytes(host_memory.of_programs(Column::Ram)),
            parts: Parts(host_memory),
            swap: Swap {
                total: bytes(total),
                used: bytes(used),
                cached: bytes(host_memory.swap_cached),
                programs: bytes(host_memory.of_programs(Column::Swap)),
            },
            zram: host_memory
                .zram
                .map(|Zram { holds, takes }| Device { holds: holds.bytes(), takes: takes.bytes() }),
            zswap_holds: bytes(host_memory.zswapped),
            pressure: host_memory.pressure.map(|Pressure { some, full }| Stalls {
                some: Times::of(some),
                full: Times::of(full),
            }),
        }
    }
}

impl Times {
    fn of(stall: Stall) -> Times {
        let Stall { avg10, avg60, avg300, total_us } = stall;
        Times { avg10, avg60, avg300, total_us }
    }
}

impl Serialize for Parts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Parts(host_memory) = self;
        let mut map = serializer.serialize_map(None)?;
        for part in HostPart::ALL {
            let (word, host) = (part.words().0, bytes(host_memory.get(part)));
            match part.column() {
                Some(column) => {
                    let programs = bytes(host_memory.of_programs(column));
                    map.serialize_entry(word, &Amounts { host, programs })?;
                }
                None => map.serialize_entry(word, &Alone { host })?,
            }
        }
        map.end()
    }
}
