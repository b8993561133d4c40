//! The files that tell of the whole machine. They answer at once: none of them looks into a
//! process, and a device that is just being set up is waited for no longer than that takes.

use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};

use super::proc_root::ProcRoot;
use crate::machine::{Machine, Meminfo, Pressure, Zram};
use crate::units::Errno;

/// More than any of them has.
const TEXT_MAX: usize = 16 * 1024;
/// The most devices of compressed memory that are added up.
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
    let zram = if root.is_own() { devices(Path::new("/sys/block")) } else { None };
    Ok(Machine { meminfo, zram, pressure })
}

/// All devices of compressed memory; none of them is an answer, no sysfs is not, nor are too many.
fn devices(block: &Path) -> Option<Zram> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let dir = rustix::fs::openat(CWD, block, flags, Mode::empty()).ok()?;
    let mut sum = Zram::default();
    let mut count = 0;
    for entry in rustix::fs::Dir::read_from(&dir).ok()? {
        let name = entry.ok()?.file_name().to_bytes().to_vec();
        if name.starts_with(b"zram") {
            count += 1;
            if count > DEVICES_MAX {
                return None;
            }
            let path = [&name[..], b"/mm_stat"].concat();
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&dir, path, flags, Mode::empty());
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
        assert_eq!(devices(&block), Some(Zram::default()));
        (0..DEVICES_MAX).for_each(add);
        let takes = Kib(2 * DEVICES_MAX as u64);
        assert_eq!(devices(&block).map(|all| all.takes), Some(takes));
        add(DEVICES_MAX);
        assert_eq!(devices(&block), None, "a sum of some would be a wrong one");
        std::fs::remove_dir_all(&block).expect("ours");
        assert_eq!(devices(&block), None);
    }
}
