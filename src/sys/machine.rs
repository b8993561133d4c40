//! The files that tell of the whole machine. They answer at once: none of them looks into a
//! process, and a device that is just being set up is waited for no longer than that takes.

use rustix::fs::{CWD, Mode, OFlags};

use super::proc_root::ProcRoot;
use crate::machine::{Machine, Meminfo, Pressure, Zram};
use crate::units::Errno;

/// More than any of them has.
const TEXT_MAX: usize = 16 * 1024;
/// The most devices that are looked for.
const DEVICES_MAX: usize = 256;

/// The memory of the machine whose processes these are.
///
/// # Errors
/// Those of `open(2)` and `read(2)`: without meminfo nothing is known.
pub fn look(root: &ProcRoot) -> Result<Machine, Errno> {
    let meminfo = Meminfo::parse(&read(root, "meminfo")?);
    // Older than 4.20, or switched off.
    let pressure = read(root, "pressure/memory").ok();
    let pressure = pressure.and_then(|text| Pressure::parse(&text));
    // Devices are those of the machine we run on.
    let zram = if root.is_own() { devices() } else { None };
    Ok(Machine { meminfo, zram, pressure })
}

/// All devices of compressed memory; none of them is an answer, no sysfs is not.
fn devices() -> Option<Zram> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let dir = rustix::fs::openat(CWD, "/sys/block", flags, Mode::empty()).ok()?;
    let mut sum = Zram::default();
    for entry in rustix::fs::Dir::new(dir).ok()?.take(DEVICES_MAX) {
        let name = entry.ok()?.file_name().to_bytes().to_vec();
        if name.starts_with(b"zram") {
            let path = [b"/sys/block/", &name[..], b"/mm_stat"].concat();
            let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
            let mut text = [0; 512];
            let len = rustix::io::read(file.ok()?, &mut text).ok()?;
            sum.add(&Zram::parse(&text[..len])?);
        }
    }
    Some(sum)
}

fn read(root: &ProcRoot, path: &str) -> Result<Vec<u8>, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(root, path, flags, Mode::empty())?;
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
