//! Host memory as a part of the JSON document.

use std::os::unix::ffi::OsStrExt;

use serde::{Serialize, Serializer};

use super::{hex, lossy};
use crate::host::{Pressure, SysvSegments, Tmpfs, Zram};
use crate::program::{Column, HostMemory, HostPart, PossibleOwner, SharedMemory};
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
    shared_memory: SharedObject,
    candidates: Vec<OwnerObject<'a>>,
    balloon_outside: Option<Kib>,
    /// Absent unless the run asked for buffers of GPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    gpu_is_most: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gpu_unknown: Option<usize>,
    written_by: Option<&'a str>,
}

#[derive(Serialize)]
struct SharedObject {
    tmpfs: Option<Vec<TmpfsObject>>,
    sysv: Option<SysvSegments>,
    other: Option<Kib>,
    other_is_least: bool,
}

#[derive(Serialize)]
struct TmpfsObject {
    mount: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mount_bytes: Option<String>,
    used: Option<Kib>,
}

#[derive(Serialize)]
struct OwnerObject<'a> {
    line: &'a str,
    at_most: Kib,
    is_known: bool,
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
            shared_memory: SharedObject::new(&memory.shared),
            candidates: memory.candidates.iter().map(OwnerObject::new).collect(),
            balloon_outside: memory.balloon_outside,
            gpu_is_most: memory.gpu.map(|gpu| gpu.is_most && gpu.unknown == 0),
            gpu_unknown: memory.gpu.map(|gpu| gpu.unknown),
            written_by: memory.writer.as_deref(),
        }
    }
}

impl SharedObject {
    fn new(shared: &SharedMemory) -> SharedObject {
        let tmpfs = |all: &Vec<Tmpfs>| all.iter().map(TmpfsObject::new).collect();
        let SharedMemory { sysv, other, other_is_least, .. } = *shared;
        SharedObject { tmpfs: shared.tmpfs.as_ref().map(tmpfs), sysv, other, other_is_least }
    }
}

impl TmpfsObject {
    fn new(tmpfs: &Tmpfs) -> TmpfsObject {
        let point = tmpfs.point.as_os_str().as_bytes();
        TmpfsObject { mount: lossy(point), mount_bytes: hex(point), used: tmpfs.used }
    }
}

impl OwnerObject<'_> {
    fn new(candidate: &PossibleOwner) -> OwnerObject<'_> {
        let PossibleOwner { line, at_most, is_known } = candidate;
        OwnerObject { line, at_most: *at_most, is_known: *is_known }
    }
}

fn parts<S: Serializer>(memory: &HostMemory, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(HostPart::ALL.iter().map(|part| {
        let programs = part.column().map(|column| memory.of_programs(column));
        (part.label(), PartObject { host: memory.get(*part), programs })
    }))
}
