//! Host memory as a part of the JSON document.

use serde::{Serialize, Serializer};

use crate::host::{Pressure, Zram};
use crate::program::{Column, HostMemory, HostPart};
use crate::units::{Kib, Labelled};

/// The answer to `--host`.
#[derive(Serialize)]
pub(super) struct HostObject<'a> {
    total: Option<Kib>,
    available: Option<Kib>,
    programs: Option<Kib>,
    #[serde(serialize_with = "parts")]
    parts: &'a HostMemory,
    swap: SwapObject,
    zram: Option<Zram>,
    zswap_holds: Option<Kib>,
    pressure: Option<Pressure>,
}

#[derive(Serialize)]
struct SwapObject {
    total: Option<Kib>,
    used: Option<Kib>,
    cached: Option<Kib>,
    programs: Option<Kib>,
}

#[derive(Serialize)]
struct PartObject {
    host: Option<Kib>,
    /// Absent if programs have no such part, `null` if their part is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    programs: Option<Option<Kib>>,
}

impl<'a> HostObject<'a> {
    pub(super) fn new(memory: &'a HostMemory) -> HostObject<'a> {
        HostObject {
            total: memory.total,
            available: memory.available,
            programs: memory.of_programs(Column::Ram),
            parts: memory,
            swap: SwapObject {
                total: memory.swap_total,
                used: memory.swap_used,
                cached: memory.swap_cached,
                programs: memory.of_programs(Column::Swap),
            },
            zram: memory.zram,
            zswap_holds: memory.zswapped,
            pressure: memory.pressure,
        }
    }
}

fn parts<S: Serializer>(memory: &HostMemory, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(HostPart::ALL.iter().map(|part| {
        let programs = part.column().map(|column| memory.of_programs(column));
        (part.label(), PartObject { host: memory.get(*part), programs })
    }))
}
