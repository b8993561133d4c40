//! Files with the memory of the whole host. They answer at once: none of them reads from a process,
//! and a device in setup delays them only for the time of the setup.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::path::Arg;

use super::if_there;
use super::proc_root::ProcRoot;
use crate::host::{HostCounters, Meminfo, Pressure, Zram};
use crate::units::Errno;

/// The maximum size of a file: more than any of them has.
const TEXT_MAX: u64 = 16 * 1024;
/// The maximum number of zram devices.
const DEVICES_MAX: usize = 256;

/// Reads the memory of the host with these processes.
///
/// # Errors
/// Those of `open(2)` and `read(2)` for `meminfo`; no descriptor is left.
pub fn read(root: &ProcRoot) -> Result<HostCounters, Errno> {
    let meminfo = Meminfo::parse(&read_text(root, "meminfo")?);
    // Kernels before 4.20 have no such file, and it can be disabled.
    let pressure = if_there(read_text(root, "pressure/memory"))?;
    let pressure = pressure.and_then(|text| Pressure::parse(&text));
    // `/sys` belongs to the host that runs this program.
    let zram = if root.is_own() { devices(Path::new("/sys/block"))? } else { None };
    Ok(HostCounters { meminfo, zram, pressure })
}

/// The sum over all zram devices, which may be 0; `None` without sysfs and for too many devices.
fn devices(block: &Path) -> Result<Option<Zram>, Errno> {
    let Some(stats) = if_there(stats(block))? else { return Ok(None) };
    let mut sum = Zram::default();
    for stat in &stats {
        let text = if_there(read_text(CWD, stat))?;
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

/// Reads a file without blocking, even if a FIFO replaces it.
fn read_text(dir: impl AsFd, path: impl Arg) -> Result<Vec<u8>, Errno> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(dir, path, flags, Mode::empty())?);
    let mut text = Vec::new();
    file.take(TEXT_MAX).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Kib;

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
