//! Files with the memory of the whole host. They answer at once: none of them reads from a process,
//! and a device in setup delays them only for the time of the setup.

use std::cell::OnceCell;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, PROC_SUPER_MAGIC};
use rustix::path::Arg;

use super::proc_root::ProcRoot;
use super::{if_there, this_process, tmpfs};
use crate::host::{HostCounters, Item, Meminfo, Mounts, Pressure, SysvSegments, ZfsArc, Zram};
use crate::units::{Errno, Kib};

/// The maximum size of a file of the host: more than any of them has.
pub(super) const TEXT_MAX: u64 = 16 * 1024;
/// The same for lists: of mounts, of segments.
const LIST_MAX: u64 = 64 << 20;
/// The maximum number of zram devices.
const DEVICES_MAX: usize = 256;
/// The maximum number of sizes of huge pages: an architecture has fewer than ten.
const SIZES_MAX: usize = 64;
/// The bit of a virtio balloon that returns pages when memory is short; its driver leaves them in
/// `MemTotal` (`VIRTIO_BALLOON_F_DEFLATE_ON_OOM`).
const DEFLATES_ON_OOM: usize = 2;

/// `meminfo` of the host with these processes. It is read once, by the first figure that needs it,
/// so that all figures of a report are of one moment.
pub struct MeminfoFile<'a> {
    root: &'a ProcRoot,
    /// The counters, and whether the kernel wrote them.
    read: OnceCell<Result<(Meminfo, bool), Errno>>,
}

impl<'a> MeminfoFile<'a> {
    /// Reads nothing yet.
    pub fn new(root: &'a ProcRoot) -> MeminfoFile<'a> {
        MeminfoFile { root, read: OnceCell::new() }
    }

    /// The counters; `None` if they cannot be read.
    pub fn counters(&self) -> Option<&Meminfo> {
        self.read().as_ref().ok().map(|(meminfo, _)| meminfo)
    }

    /// All memory of the host.
    pub fn all_memory(&self) -> Option<Kib> {
        self.counters()?.get(Item::MemTotal)
    }

    /// The huge pages of all sizes that are in use, or if the kernel has no directory of sizes, of
    /// the default size and the pools of the others. `None` if none is: the counters are not those
    /// of the processes.
    pub fn hugetlb_used(&self) -> Option<Kib> {
        let sizes = || pools_used(Path::new("/sys/kernel/mm/hugepages"));
        let used = if self.root.is_own() { sizes() } else { None };
        used.or_else(|| self.counters()?.hugetlb_used()).filter(|used| *used > Kib(0))
    }

    /// Swap in use; `None` if none is, as above.
    pub fn swap_used(&self) -> Option<Kib> {
        self.counters()?.swap_used().filter(|used| *used > Kib(0))
    }

    /// All swap.
    pub fn swap_total(&self) -> Option<Kib> {
        self.counters()?.get(Item::SwapTotal)
    }

    fn read(&self) -> &Result<(Meminfo, bool), Errno> {
        self.read.get_or_init(|| {
            let file = open(self.root, "meminfo")?;
            let is_kernels = !is_procfs(self.root) || is_procfs(&file);
            Ok((Meminfo::parse(&text_of(file, TEXT_MAX)?), is_kernels))
        })
    }
}

fn is_procfs(file: &dyn AsFd) -> bool {
    rustix::fs::fstatfs(file.as_fd()).is_ok_and(|system| system.f_type == PROC_SUPER_MAGIC)
}

/// Reads the memory of the host beside its `meminfo`.
///
/// # Errors
/// Those of `open(2)` and `read(2)` for `meminfo`; no descriptor is left.
pub fn read(file: &MeminfoFile<'_>) -> Result<HostCounters, Errno> {
    let root = file.root;
    let (meminfo, is_kernels) = file.read().clone()?;
    let is_live = is_procfs(root);
    // Kernels before 4.20 have no such file, and it can be disabled.
    let pressure = if_there(read_text(root, "pressure/memory", TEXT_MAX))?;
    let pressure = pressure.and_then(|text| Pressure::parse(&text));
    // `/sys` belongs to the host that runs this program.
    let zram = if root.is_own() { devices(Path::new("/sys/block"))? } else { None };
    let has_balloon = meminfo.get(Item::Balloon) > Some(Kib(0));
    let balloon_is_in_total = if is_live && has_balloon {
        balloon_is_in_total(Path::new("/sys/bus/virtio/drivers/virtio_balloon"))?
    } else {
        None
    };
    let segments = if_there(read_text(root, "sysvipc/shm", LIST_MAX))?;
    let sysv = segments.and_then(|text| SysvSegments::parse(&text, &meminfo));
    // A recorded directory does not have the mounts of this process.
    let mounts = if is_live { if_there(own_mounts())? } else { None };
    let writer = (!is_kernels).then(|| {
        let kind = mounts.as_ref().and_then(|mounts| mounts.kind_at(&root.path().join("meminfo")));
        kind.unwrap_or("another file system").to_owned()
    });
    let tmpfs = mounts.map(|mounts| tmpfs::all(&mounts)).transpose()?;
    let arc = arc(root, is_live)?;
    Ok(HostCounters { meminfo, zram, pressure, arc, balloon_is_in_total, tmpfs, sysv, writer })
}

fn own_mounts() -> Result<Mounts, Errno> {
    read_text(CWD, "/proc/self/mountinfo", LIST_MAX).map(|text| Mounts::parse(&text))
}

/// The mounts of this process; `None` if it has no `/proc` of its own.
pub(super) fn mounts() -> Option<Mounts> {
    own_mounts().ok()
}

/// Major and minor numbers of the overlays that this process sees.
pub fn overlay_devices() -> Vec<(u32, u32)> {
    let mounts = own_mounts().unwrap_or_default();
    mounts.overlays().map(|mount| mount.device).collect()
}

/// The ids of the System V segments that are marked to be destroyed; none if the list cannot be
/// read.
pub fn dying_segments(root: &ProcRoot) -> Vec<u64> {
    let text = read_text(root, "sysvipc/shm", LIST_MAX).unwrap_or_default();
    crate::host::dying_segments(&text)
}

/// The first two numbers of the kernel's release: `Linux version 6.18.0 (…`.
pub fn kernel(root: &ProcRoot) -> Option<(u32, u32)> {
    let text = read_text(root, "version", TEXT_MAX).ok()?;
    let text = String::from_utf8_lossy(&text);
    this_process::release_numbers(text.strip_prefix("Linux version ")?)
}

/// The number of mappings that a process may have (`vm.max_map_count`, mm/mmap.c).
pub fn max_map_count(root: &ProcRoot) -> Option<u64> {
    vm_setting(root, "max_map_count")
}

/// A setting of the kernel's memory (`/proc/sys/vm`).
pub fn vm_setting(root: &ProcRoot, name: &str) -> Option<u64> {
    let text = read_text(root, format!("sys/vm/{name}"), TEXT_MAX).ok()?;
    std::str::from_utf8(&text).ok()?.trim().parse().ok()
}

/// The sum over the sizes of huge pages: directories such as `hugepages-2048kB`. `None` for too
/// many sizes, or if one cannot be read.
fn pools_used(sizes: &Path) -> Option<Kib> {
    let used = |(place, size): (usize, std::io::Result<std::fs::DirEntry>)| {
        let size = size.ok().filter(|_| place < SIZES_MAX)?;
        let name = size.file_name();
        let kib = name.to_str()?.strip_prefix("hugepages-")?.strip_suffix("kB")?;
        let kib: u64 = kib.parse().ok()?;
        let count = |file: &str| {
            let text = read_text(CWD, size.path().join(file), TEXT_MAX).ok()?;
            std::str::from_utf8(&text).ok()?.trim().parse::<u64>().ok()
        };
        let pages = count("nr_hugepages")?.saturating_sub(count("free_hugepages")?);
        Some(Kib(kib.saturating_mul(pages)))
    };
    std::fs::read_dir(sizes).ok()?.enumerate().map(used).sum()
}

/// The cache of ZFS, which is empty where the kernel has no ZFS.
fn arc(root: &ProcRoot, is_live: bool) -> Result<Option<ZfsArc>, Errno> {
    match read_text(root, "spl/kstat/zfs/arcstats", TEXT_MAX) {
        Err(Errno::NOENT) if is_live => Ok(Some(ZfsArc::default())),
        found => Ok(if_there(found)?.and_then(|text| ZfsArc::parse(&text))),
    }
}

/// Whether `MemTotal` includes the pages in a virtio balloon; `None` without one.
fn balloon_is_in_total(driver: &Path) -> Result<Option<bool>, Errno> {
    let Some(devices) = if_there(std::fs::read_dir(driver).map_err(Errno::from))? else {
        return Ok(None);
    };
    let devices: Vec<PathBuf> = devices.flatten().map(|device| device.path()).collect();
    for device in devices {
        if let Some(text) = if_there(read_text(CWD, device.join("features"), TEXT_MAX))? {
            return Ok(text.get(DEFLATES_ON_OOM).map(|bit| *bit == b'1'));
        }
    }
    Ok(None)
}

/// The sum over all zram devices, which may be 0; `None` without sysfs and for too many devices.
fn devices(block: &Path) -> Result<Option<Zram>, Errno> {
    let Some(stats) = if_there(stats(block))? else { return Ok(None) };
    let mut sum = Zram::default();
    for stat in &stats {
        let text = if_there(read_text(CWD, stat, TEXT_MAX))?;
        let Some(zram) = text.and_then(|text| Zram::parse(&text)) else { return Ok(None) };
        sum.add(&zram);
    }
    Ok((stats.len() <= DEVICES_MAX).then_some(sum))
}

/// The statistics file of each device. None is opened during the listing, which may use the only
/// descriptor left.
fn stats(block: &Path) -> Result<Vec<PathBuf>, Errno> {
    let mut stats = Vec::new();
    for entry in std::fs::read_dir(block)? {
        let device = entry?;
        if device.file_name().as_bytes().starts_with(b"zram") && stats.len() <= DEVICES_MAX {
            stats.push(device.path().join("mm_stat"));
        }
    }
    Ok(stats)
}

pub(super) fn read_text(dir: impl AsFd, path: impl Arg, len_max: u64) -> Result<Vec<u8>, Errno> {
    text_of(open(dir, path)?, len_max)
}

/// Opens a file without blocking, even if a FIFO replaces it.
fn open(dir: impl AsFd, path: impl Arg) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::openat(dir, path, flags, Mode::empty())?))
}

fn text_of(file: File, len_max: u64) -> Result<Vec<u8>, Errno> {
    let mut text = Vec::new();
    file.take(len_max).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balloon_that_deflates_stays_in_the_total() {
        let driver = std::env::temp_dir().join(format!("psm-uring-virtio-{}", std::process::id()));
        let device = driver.join("virtio3");
        assert_eq!(balloon_is_in_total(&driver), Ok(None));
        std::fs::create_dir_all(&device).expect("a device");
        std::fs::write(driver.join("uevent"), "").expect("a file beside it");
        for (bits, is_in_total) in [("0110", Some(true)), ("1101", Some(false)), ("1", None)] {
            std::fs::write(device.join("features"), bits).expect("features");
            assert_eq!(balloon_is_in_total(&driver), Ok(is_in_total), "{bits}");
        }
        std::fs::remove_dir_all(&driver).expect("ours");
    }

    #[test]
    fn pools_of_all_sizes_are_in_use() {
        let sizes = std::env::temp_dir().join(format!("psm-uring-pools-{}", std::process::id()));
        assert_eq!(pools_used(&sizes), None);
        for (size, pages, free) in [("2048", "16\n", "7\n"), ("1048576", "3\n", "1\n")] {
            let pool = sizes.join(format!("hugepages-{size}kB"));
            std::fs::create_dir_all(&pool).expect("a pool");
            std::fs::write(pool.join("nr_hugepages"), pages).expect("a number");
            std::fs::write(pool.join("free_hugepages"), free).expect("a number");
        }
        assert_eq!(pools_used(&sizes), Some(Kib(9 * 2048 + 2 * 1_048_576)));
        std::fs::remove_file(sizes.join("hugepages-2048kB/free_hugepages")).expect("ours");
        assert_eq!(pools_used(&sizes), None, "a part is not the sum");
        for size in 0..=SIZES_MAX {
            let pool = sizes.join(format!("hugepages-{size}kB"));
            std::fs::create_dir_all(&pool).expect("a pool");
            std::fs::write(pool.join("nr_hugepages"), "1\n").expect("a number");
            std::fs::write(pool.join("free_hugepages"), "1\n").expect("a number");
        }
        std::fs::remove_dir_all(sizes.join("hugepages-2048kB")).expect("ours");
        assert_eq!(pools_used(&sizes), None, "too many sizes");
        std::fs::remove_dir_all(&sizes).expect("ours");
    }

    /// There can be any number of other devices, above all loops.
    #[test]
    fn only_zram_devices_count() {
        let block = std::env::temp_dir().join(format!("psm-uring-block-{}", std::process::id()));
        (0..DEVICES_MAX + 50).for_each(|number| {
            std::fs::create_dir_all(block.join(format!("loop{number}"))).expect("a loop");
        });
        let add = |number| {
            let device = block.join(format!("zram{number}"));
            std::fs::create_dir_all(&device).expect("a device");
            std::fs::write(device.join("mm_stat"), "4096 100 2048 0 0 0 0\n").expect("its text");
        };
        assert_eq!(devices(&block), Ok(Some(Zram::default())));
        (0..DEVICES_MAX).for_each(add);
        let takes = Kib(2 * DEVICES_MAX as u64);
        assert_eq!(devices(&block).map(|all| all.map(|all| all.takes)), Ok(Some(takes)));
        add(DEVICES_MAX);
        assert_eq!(devices(&block), Ok(None), "the sum of some devices would be wrong");
        std::fs::remove_dir_all(&block).expect("ours");
        assert_eq!(devices(&block), Ok(None));
    }
}
