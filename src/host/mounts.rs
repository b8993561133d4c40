//! The mounts of this process (`/proc/self/mountinfo`, proc(5)), as far as memory needs them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Types of file systems whose files are shared memory; `devtmpfs` and `rootfs` can also be ramfs.
const IN_MEMORY: [&str; 3] = ["tmpfs", "devtmpfs", "rootfs"];
/// Types that ask no device and no server.
const INSTANT: [&str; 6] = ["proc", "sysfs", "cgroup", "cgroup2", "ramfs", "mqueue"];
/// The most mounts that one path can cross.
const DEPTH_MAX: usize = 64;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    id: u32,
    parent: u32,
    /// Major and minor number of the file system.
    pub device: (u32, u32),
    /// The directory of the file system that is mounted.
    pub root: PathBuf,
    /// Where it is mounted.
    pub point: PathBuf,
    /// The type, for FUSE with a subtype: `fuse.lxcfs`.
    pub kind: String,
    /// The options of the file system, separated by commas.
    options: String,
}

/// All mounts, in the order of the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mounts(Vec<Mount>);

impl Mounts {
    /// Parses the text. Lines in another form are left out.
    pub fn parse(text: &[u8]) -> Mounts {
        Mounts(text.split(|byte| *byte == b'\n').filter_map(Mount::parse).collect())
    }

    /// The mounts of file systems in memory.
    pub fn in_memory(&self) -> impl Iterator<Item = &Mount> {
        self.0.iter().filter(|mount| IN_MEMORY.contains(&mount.kind.as_str()))
    }

    /// The mounts of overlays, whose devices and inodes are not those of the files below.
    pub fn overlays(&self) -> impl Iterator<Item = &Mount> {
        self.0.iter().filter(|mount| mount.kind == "overlay")
    }

    /// The type of the file system at a path; of several mounts the last one is visible.
    pub fn kind_at(&self, path: &Path) -> Option<&str> {
        let mount = self.0.iter().rev().find(|mount| mount.point == path)?;
        Some(&mount.kind)
    }

    /// The visible mounts of control groups: of several at one path, the last one.
    pub fn cgroups(&self) -> impl Iterator<Item = &Mount> {
        let visible = self.0.iter().enumerate().filter(|(place, mount)| {
            !self.0[place + 1..].iter().any(|later| later.point == mount.point)
        });
        visible.map(|(_, mount)| mount).filter(|mount| mount.kind.starts_with("cgroup"))
    }

    /// Whether the path of a mount leads through no file system that may wait for a device or a
    /// server, except the root.
    pub fn is_near(&self, mount: &Mount) -> bool {
        let mut at = mount;
        for _ in 0..DEPTH_MAX {
            let parent = self.0.iter().find(|parent| parent.id == at.parent);
            // The parent of the root is not in the list.
            let Some(parent) = parent.filter(|parent| parent.id != at.id) else { return true };
            let is_instant = |list: &[&str]| list.contains(&parent.kind.as_str());
            if parent.point != Path::new("/") && !is_instant(&IN_MEMORY) && !is_instant(&INSTANT) {
                return false;
            }
            at = parent;
        }
        false
    }
}

impl Mount {
    /// Whether the file system has this option.
    pub fn has_option(&self, option: &str) -> bool {
        self.options.split(',').any(|one| one == option)
    }

    /// `25 24 0:23 / /dev/shm rw - tmpfs tmpfs rw`: optional fields end at the dash.
    fn parse(line: &[u8]) -> Option<Mount> {
        let mut fields = line.split(|byte| *byte == b' ');
        let mut text = || std::str::from_utf8(fields.next()?).ok();
        let (id, parent) = (text()?.parse().ok()?, text()?.parse().ok()?);
        let (major, minor) = text()?.split_once(':')?;
        let device = (major.parse().ok()?, minor.parse().ok()?);
        let mut path = || Some(PathBuf::from(OsString::from_vec(unescape(fields.next()?))));
        let (root, point) = (path()?, path()?);
        fields.find(|field| *field == b"-")?;
        let kind = String::from_utf8(fields.next()?.to_vec()).ok()?;
        // Its source is between them.
        let options = fields.nth(1).map(|all| String::from_utf8_lossy(all).into_owned());
        let options = options.unwrap_or_default();
        Some(Mount { id, parent, device, root, point, kind, options })
    }
}

/// The kernel writes blank, tab, newline and backslash in octal: `\040`.
fn unescape(path: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((byte, behind)) = rest.split_first() {
        let digits = behind.get(..3).filter(|_| *byte == b'\\');
        let octal = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|octal| u8::from_str_radix(octal, 8).ok()) {
            Some(escaped) => {
                bytes.push(escaped);
                rest = &behind[3..];
            }
            None => {
                bytes.push(*byte);
                rest = behind;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"\
1 0 8:1 / / rw - ext4 /dev/sda1 rw
25 1 0:23 / /dev/shm rw,relatime shared:4 master:1 - tmpfs tmpfs rw,size=24683652k
30 25 0:27 / /dev/shm rw,relatime - tmpfs tmpfs rw
40 1 0:50 / /net rw - nfs4 srv:/x rw
41 40 0:51 /sub /net/a\\040-\\040b\\134 rw - tmpfs tmpfs rw
42 1 0:21 / /proc rw - proc proc rw
43 42 0:60 / /proc/meminfo rw - fuse.lxcfs lxcfs rw,user_id=0
44 1 0:61 / /merged rw - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w
broken line
";

    #[test]
    fn mounts_have_their_fields() {
        let mounts = Mounts::parse(TEXT);
        let points: Vec<&Path> = mounts.in_memory().map(|mount| mount.point.as_path()).collect();
        assert_eq!(points, ["/dev/shm", "/dev/shm", "/net/a - b\\"].map(Path::new));
        let devices: Vec<(u32, u32)> = mounts.in_memory().map(|mount| mount.device).collect();
        assert_eq!(devices, [(0, 23), (0, 27), (0, 51)]);
        let overlays: Vec<(u32, u32)> = mounts.overlays().map(|mount| mount.device).collect();
        assert_eq!(overlays, [(0, 61)]);
        assert_eq!(mounts.kind_at(Path::new("/proc/meminfo")), Some("fuse.lxcfs"));
        assert_eq!(mounts.kind_at(Path::new("/proc/stat")), None);
    }

    /// A path through a dead server would never end.
    #[test]
    fn a_mount_behind_a_server_is_not_near() {
        let mounts = Mounts::parse(TEXT);
        let near: Vec<bool> = mounts.in_memory().map(|mount| mounts.is_near(mount)).collect();
        assert_eq!(near, [true, true, false]);
        let ring = Mounts::parse(b"1 2 0:1 / /a rw - tmpfs t rw\n2 1 0:2 / /b rw - tmpfs t rw\n");
        assert!(ring.in_memory().all(|mount| !ring.is_near(mount)), "the end is never reached");
    }
}
