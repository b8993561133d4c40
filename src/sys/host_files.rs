//! The files that tell of the whole machine. They answer at once: none of them looks into a
//! process, and a device that is just being set up is waited for no longer than that takes.

use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::path::Arg;

use super::if_there;
use super::proc_root::ProcRoot;
use crate::host::{HostCounters, Meminfo, Pressure, Zram};
use crate::units::Errno;

/// More than any of them has.
const TEXT_MAX: usize = 16 * 1024;
/// The most devices of compressed memory that are added up.
const DEVICES_MAX: usize = 256;

/// The memory of the machine whose processes these are.
///
/// # Errors
/// Those of `open(2)` and `read(2)`: without meminfo nothing is known.
pub fn read(root: &ProcRoot) -> Result<HostCounters, Errno> {
    let meminfo = Meminfo::parse(&read_text(root, "meminfo")?);
    // Older than 4.20, or switched off.
    let pressure = if_there(read_text(root, "pressure/memory"))?;
    let pressure = pressure.and_then(|text| Pressure::parse(&text));
    // Devices are those of the machine we run on.
    let zram = if root.is_own() { devices(Path::new("/sys/block"))? } else { None };
    Ok(HostCounters { meminfo, zram, pressure })
}

/// All devices of compressed memory; none of them is an answer, no sysfs is not, nor are too many.
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

/// Where each device tells of itself. None is opened while they are listed: a descriptor may be all
/// there is.
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

/// What stands in for one of them may be a FIFO, which is not waited for either.
fn read_text(dir: impl AsFd, path: impl Arg) -> Result<Vec<u8>, Errno> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, path, flags, Mode::empty())?;
    let mut text = vec![0; TEXT_MAX];
    let mut len = 0;
    while len < text.len() {
        match rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut text[len..]))? {
            0 => break,
            more => len += more,
        }
    }
    text.truncate(len);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Kib;

    /// Other devices, loops above all, can be as many as they like.
    #[test]
    fn only_compressed_memory_counts() {
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
        assert_eq!(devices(&block), Ok(None), "a sum of some would be a wrong one");
        std::fs::remove_dir_all(&block).expect("ours");
        assert_eq!(devices(&block), Ok(None));
    }
}
