//! The host memory that a GPU driver holds for a client: the text of `fdinfo/FD` of an open device.
//!
//! Keys and units are those of Documentation/gpu/drm-usage-stats.rst; `drm_print_memory_stats`
//! (drivers/gpu/drm/drm_file.c) and amdgpu_fdinfo.c print them. A driver names its own regions.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use super::name::DELETED;
use crate::units::Kib;

/// The most text of one client that is read: drivers print less than a tenth of it.
pub const FDINFO_MAX: usize = 64 * 1024;

/// One open file of a GPU driver, which processes may share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuClient {
    /// The driver: foreign bytes, none if it does not print its name.
    pub driver: Vec<u8>,
    /// The device and the number of the client; `None` if the driver does not number clients.
    pub id: Option<(Vec<u8>, u64)>,
    /// The host memory of its buffers; `None` if the driver does not report it.
    pub memory: Option<GpuMemory>,
    /// Whether the driver reports an amount that is not understood, as of another unit.
    pub is_unclear: bool,
}

/// The host memory of buffers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct GpuMemory {
    /// The amount, with buffers that other clients may count, too.
    pub most: Kib,
    /// The amount that no other client counts.
    pub least: Kib,
}

/// The counter of meminfo that has the buffers of a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GpuPool {
    /// `Shmem`: buffers are files in memory.
    Shmem,
    /// `GPUActive` where the kernel prints it (7.1), else none: buffers are pages of TTM.
    Ttm,
    /// Not known.
    Unknown,
}

/// A driver of GPUs.
struct Driver {
    name: &'static [u8],
    pool: GpuPool,
    /// Whether a missing `drm-resident-` means that no buffer has pages: the core prints that key
    /// only if a buffer has the status, or if the driver reports no status at all
    /// (`drm_show_memory_stats`).
    reports_status: bool,
}

impl Driver {
    const fn new(name: &'static [u8], pool: GpuPool, reports_status: bool) -> Driver {
        Driver { name, pool, reports_status }
    }

    fn find(name: &[u8]) -> Option<&'static Driver> {
        DRIVERS.iter().find(|driver| driver.name == name)
    }
}

static DRIVERS: [Driver; 15] = [
    Driver::new(b"i915", GpuPool::Shmem, true),
    Driver::new(b"msm", GpuPool::Shmem, true),
    Driver::new(b"panfrost", GpuPool::Shmem, true),
    Driver::new(b"panthor", GpuPool::Shmem, true),
    Driver::new(b"etnaviv", GpuPool::Shmem, false),
    Driver::new(b"lima", GpuPool::Shmem, false),
    Driver::new(b"v3d", GpuPool::Shmem, false),
    Driver::new(b"amdxdna_accel_driver", GpuPool::Shmem, false),
    Driver::new(b"intel_vpu", GpuPool::Shmem, false),
    Driver::new(b"amdgpu", GpuPool::Ttm, true),
    Driver::new(b"xe", GpuPool::Ttm, true),
    Driver::new(b"nouveau", GpuPool::Ttm, false),
    Driver::new(b"radeon", GpuPool::Ttm, false),
    Driver::new(b"qxl", GpuPool::Ttm, false),
    Driver::new(b"vmwgfx", GpuPool::Ttm, false),
];

/// The regions that are host memory and part of `MemTotal`, without the number behind: the reserved
/// name, those of xe and i915, and those of amdgpu. Others are memory of the device (`vram`,
/// `local0`), registers (`gds`, `doorbell`), or `stolen`, which firmware takes from `MemTotal`.
const HOST_REGIONS: [&[u8]; 4] = [b"memory", b"system", b"gtt", b"cpu"];

/// The bytes of one region.
#[derive(Default)]
struct Region {
    resident: Option<u64>,
    /// The older name of the same (amdgpu).
    memory: Option<u64>,
    total: Option<u64>,
    shared: u64,
}

impl GpuClient {
    /// Parses the text of a descriptor of a device.
    pub fn parse(text: &[u8]) -> GpuClient {
        let (mut driver, mut device, mut number) = (Vec::new(), Vec::new(), None);
        let (mut regions, mut is_plain) = (BTreeMap::<&[u8], Region>::new(), true);
        for line in text.split(|byte| *byte == b'\n') {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
            let (key, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
            match key {
                b"drm-driver" => driver = value.to_vec(),
                b"drm-pdev" => device = value.to_vec(),
                b"drm-client-id" => number = digits(value),
                _ => {
                    let Some((kind, region)) = memory_key(key) else { continue };
                    let Some(bytes) = amount(value) else {
                        is_plain = false;
                        continue;
                    };
                    let region = regions.entry(region).or_default();
                    match kind {
                        Kind::Resident => region.resident = Some(bytes),
                        Kind::Memory => region.memory = Some(bytes),
                        Kind::Total => region.total = Some(bytes),
                        Kind::Shared => region.shared = bytes,
                    }
                }
            }
        }
        let sums_up = is_plain && !regions.is_empty();
        let reports_status = Driver::find(&driver).is_some_and(|known| known.reports_status);
        let memory = sums_up.then(|| sum(regions.values(), reports_status)).flatten();
        GpuClient {
            driver,
            id: number.map(|number| (device, number)),
            memory,
            is_unclear: !is_plain,
        }
    }

    /// The counter of meminfo that has its buffers.
    pub fn pool(&self) -> GpuPool {
        Driver::find(&self.driver).map_or(GpuPool::Unknown, |known| known.pool)
    }
}

impl AddAssign for GpuMemory {
    fn add_assign(&mut self, other: GpuMemory) {
        self.most += other.most;
        self.least += other.least;
    }
}

/// Whether a descriptor is that of a GPU client, by the target of its link: a device such as
/// `/dev/dri/renderD128`, wherever a container has it. NVIDIA's driver has devices of its own, and
/// reports no memory.
pub fn is_gpu_link(target: &[u8]) -> bool {
    let target = target.strip_suffix(DELETED).unwrap_or(target);
    let devices: [&[u8]; 4] = [b"/dri/card", b"/dri/renderD", b"/accel/accel", b"/dev/nvidia"];
    let name = without_number(target);
    name.len() < target.len() && devices.iter().any(|device| name.ends_with(device))
}

/// Whether the kernel has a driver of GPUs or of their like, by the text of `/proc/devices`.
pub fn has_gpu_driver(devices: &[u8]) -> bool {
    let is_driver = |line: &[u8]| {
        let name = line.trim_ascii().rsplit(|byte| *byte == b' ').next();
        name.is_some_and(|name| matches!(name, b"drm" | b"accel") || name.starts_with(b"nvidia"))
    };
    devices.split(|byte| *byte == b'\n').any(is_driver)
}

/// The kinds of amounts that count.
enum Kind {
    Resident,
    Memory,
    Total,
    Shared,
}

/// The kind and the region of a key, if the region is host memory.
fn memory_key(key: &[u8]) -> Option<(Kind, &[u8])> {
    let rest = key.strip_prefix(b"drm-")?;
    let dash = rest.iter().position(|byte| *byte == b'-')?;
    let (kind, region) = (&rest[..dash], &rest[dash + 1..]);
    let kind = match kind {
        b"resident" => Kind::Resident,
        b"memory" => Kind::Memory,
        b"total" => Kind::Total,
        b"shared" => Kind::Shared,
        _ => return None,
    };
    HOST_REGIONS.contains(&without_number(region)).then_some((kind, region))
}

/// A name without the digits at its end.
fn without_number(name: &[u8]) -> &[u8] {
    let digits = name.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    &name[..name.len() - digits]
}

fn digits(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()
}

/// An amount in bytes.
fn amount(value: &[u8]) -> Option<u64> {
    let end = value.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(value.len());
    let unit: u64 = match value[end..].trim_ascii() {
        b"" => 1,
        b"KiB" => 1 << 10,
        b"MiB" => 1 << 20,
        _ => return None,
    };
    Some(digits(&value[..end])?.saturating_mul(unit))
}

/// The sum of regions. `shared` counts buffers without pages as well, so the rest is a least
/// amount.
fn sum<'a>(regions: impl Iterator<Item = &'a Region>, reports_status: bool) -> Option<GpuMemory> {
    let (mut most, mut least) = (0_u64, 0_u64);
    for region in regions {
        let resident = region.resident.or(region.memory);
        let is_exact = resident.is_some() || reports_status;
        let bytes = resident.or_else(|| region.total.map(|all| if is_exact { 0 } else { all }))?;
        most = most.saturating_add(bytes);
        let own = if is_exact { bytes.saturating_sub(region.shared) } else { 0 };
        least = least.saturating_add(own);
    }
    Some(GpuMemory { most: Kib(most.div_ceil(1024)), least: Kib(least / 1024) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(text: &str) -> Option<(u64, u64)> {
        let client = GpuClient::parse(text.as_bytes());
        client.memory.map(|memory| (memory.most.0, memory.least.0))
    }

    /// The regions of each driver, and its older and newer keys.
    #[test]
    fn host_memory_counts_and_device_memory_does_not() {
        for (text, expected) in [
            // amdgpu before 6.12, and since.
            (
                "drm-driver:\tamdgpu\ndrm-memory-vram:\t900 KiB\ndrm-memory-gtt: \t64 KiB\n\
              drm-memory-cpu: \t4 KiB\ndrm-shared-gtt:\t16 KiB\n",
                Some((68, 52)),
            ),
            (
                "drm-driver:\tamdgpu\ndrm-total-cpu:\t0\ndrm-shared-cpu:\t0\ndrm-resident-cpu:\t0\n\
              drm-total-gtt:\t3 MiB\ndrm-shared-gtt:\t0\ndrm-resident-gtt:\t2 MiB\n\
              drm-resident-vram:\t44564 KiB\ndrm-resident-doorbell:\t4 KiB\n\
              drm-memory-gtt: \t2048 KiB\ndrm-memory-cpu: \t0 KiB\n",
                Some((2048, 2048)),
            ),
            (
                "drm-driver:\txe\ndrm-total-system:\t8 KiB\ndrm-resident-system:\t8192\n\
              drm-resident-gtt:\t192 KiB\ndrm-shared-gtt:\t1 MiB\ndrm-resident-stolen:\t9 MiB\n\
              drm-resident-vram0:\t23 MiB\ndrm-total-cycles-rcs:\t7655183225\n",
                Some((200, 8)),
            ),
            (
                "drm-driver: i915\ndrm-total-system0: 12 MiB\ndrm-shared-system0: 2 MiB\n\
              drm-resident-system0: 10 MiB\ndrm-resident-stolen-system0: 4 MiB\n\
              drm-resident-local0: 5 MiB\n",
                Some((10 << 10, 8 << 10)),
            ),
            // The status of no buffer: none has pages. Without a status, all may have them.
            (
                "drm-driver:\tpanfrost\ndrm-total-memory:\t4 MiB\ndrm-shared-memory:\t0\n",
                Some((0, 0)),
            ),
            (
                "drm-driver:\tv3d\ndrm-total-memory:\t4 MiB\ndrm-shared-memory:\t0\n",
                Some((4096, 0)),
            ),
            // A client on another driver that reports the memory of its device alone, or no memory.
            ("drm-driver:\tmsm\ndrm-engine-gpu:\t5 ns\n", None),
            ("drm-driver:\tnew\ndrm-resident-vram:\t5 KiB\n", None),
            // An unknown unit, and an amount that no host has.
            ("drm-driver:\tnew\ndrm-resident-memory:\t5 kB\n", None),
            ("drm-driver:\tnew\ndrm-shared-memory:\t5 KiB\n", None),
            (
                "drm-driver:\tnew\ndrm-resident-memory:\t18446744073709551615 MiB\n",
                Some((u64::MAX.div_ceil(1024), u64::MAX / 1024)),
            ),
        ] {
            assert_eq!(memory(text), expected, "{text}");
        }
    }

    #[test]
    fn an_unknown_unit_is_not_a_driver_without_memory() {
        let is_unclear = |text: &str| GpuClient::parse(text.as_bytes()).is_unclear;
        assert!(is_unclear("drm-driver:\tmsm\ndrm-resident-memory:\t5 GiB\n"));
        assert!(!is_unclear("drm-driver:\tmsm\ndrm-resident-memory:\t5 MiB\n"));
        assert!(!is_unclear("drm-driver:\tmsm\ndrm-engine-gpu:\t5 ns\n"));
    }

    #[test]
    fn a_client_has_a_device_and_a_number() {
        let id = |text: &str| GpuClient::parse(text.as_bytes()).id;
        let pci = "pos:\t0\ndrm-driver:\txe\ndrm-client-id:\t3\ndrm-pdev:\t0000:03:00.0\n";
        assert_eq!(id(pci), Some((b"0000:03:00.0".to_vec(), 3)));
        assert_eq!(id("drm-driver:\tmsm\ndrm-client-id:\t7\n"), Some((Vec::new(), 7)));
        assert_eq!(id("drm-driver:\tmsm\n"), None);
        let silent = GpuClient::parse(b"pos:\t0\nflags:\t02\nmnt_id:\t9\n");
        assert_eq!((silent.id, silent.memory), (None, None));
        let pool = |driver: &str| {
            let text = format!("drm-driver:\t{driver}\n");
            GpuClient::parse(text.as_bytes()).pool()
        };
        assert_eq!(
            ["i915", "xe", "new"].map(pool),
            [GpuPool::Shmem, GpuPool::Ttm, GpuPool::Unknown]
        );
    }

    #[test]
    fn devices_and_links_of_gpus_are_known() {
        let none = b"Character devices:\n  1 mem\n 10 misc\n\nBlock devices:\n254 virtblk\n";
        assert!(!has_gpu_driver(none) && !has_gpu_driver(b""));
        assert!(has_gpu_driver(b"Character devices:\n226 drm\n") && has_gpu_driver(b"261 accel\n"));
        assert!(has_gpu_driver(b"195 nvidia-frontend\n"));
        for link in [
            "/dev/dri/card0",
            "/dev/dri/renderD128",
            "/x/dev/accel/accel0 (deleted)",
            "/dev/nvidia0",
        ] {
            assert!(is_gpu_link(link.as_bytes()), "{link}");
        }
        for link in [
            "/usr/lib/dri/iris_dri.so",
            "/home/dri/card",
            "/dri/card0/x",
            "socket:[7]",
            "/dev/null",
            "",
        ] {
            assert!(!is_gpu_link(link.as_bytes()), "{link}");
        }
    }

    /// Any text has an answer: each prefix, and each byte replaced.
    #[test]
    fn damaged_texts_keep_their_bounds() {
        let text = b"drm-driver:\txe\ndrm-client-id:\t3\ndrm-pdev:\t0000:03:00.0\n\
            drm-total-system:\t8 KiB\ndrm-shared-system:\t4 KiB\ndrm-resident-gtt:\t9 MiB\n";
        let check = |text: &[u8]| {
            let GpuMemory { most, least } = GpuClient::parse(text).memory.unwrap_or_default();
            assert!(least <= most, "{}", text.escape_ascii());
        };
        for place in 0..text.len() {
            check(&text[..place]);
            for byte in [b'\0', b'9', b'\n', b':', b'-', b'\xff'] {
                let mut damaged = text.to_vec();
                damaged[place] = byte;
                check(&damaged);
            }
        }
    }
}
