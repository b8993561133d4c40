//! The control groups of the memory controller: where they are mounted, and the tree of them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::{CgroupVersion, MemoryGroup, Mount, Mounts};
use crate::units::Errno;

/// The mount that has the memory controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupMount {
    /// The directory where it is mounted.
    pub dir: PathBuf,
    /// The group of that directory, as `/proc/PID/cgroup` writes it.
    root: PathBuf,
    /// The interface.
    pub version: CgroupVersion,
    /// Whether events of descendants do not count: always so with version 1, and with the mount
    /// option `memory_localevents`.
    pub has_local_events: bool,
}

impl CgroupMount {
    /// The mount of the memory controller: of version 1 if there is one, else version 2.
    pub fn find(mounts: &Mounts) -> Option<CgroupMount> {
        let of = |version| {
            let mut fitting: Vec<&Mount> =
                mounts.cgroups().filter(|mount| is_of_memory(mount, version)).collect();
            // Other mounts show a part of the tree.
            fitting.sort_by_key(|mount| mount.root != Path::new("/"));
            fitting.first().map(|mount| CgroupMount::new(&mount.point, version, Some(mount)))
        };
        of(CgroupVersion::V1).or_else(|| of(CgroupVersion::V2))
    }

    /// A directory that stands for the mount: a mount at another place, a group in one, or a copy.
    pub fn at(dir: &Path, version: CgroupVersion, mounts: &Mounts) -> CgroupMount {
        let above = mounts.cgroups().filter(|mount| dir.starts_with(&mount.point));
        let mount = above.max_by_key(|mount| mount.point.as_os_str().len());
        let found = CgroupMount::new(dir, version, mount);
        let below = mount.and_then(|mount| dir.strip_prefix(&mount.point).ok());
        // `join` of nothing adds a slash.
        let below = below.filter(|below| *below != Path::new(""));
        let root = below.map_or_else(|| found.root.clone(), |below| found.root.join(below));
        CgroupMount { root, ..found }
    }

    fn new(dir: &Path, version: CgroupVersion, mount: Option<&Mount>) -> CgroupMount {
        let is_local = mount.is_some_and(|mount| mount.has_option("memory_localevents"));
        CgroupMount {
            dir: dir.to_owned(),
            root: mount.map_or_else(|| PathBuf::from("/"), |mount| mount.root.clone()),
            version,
            has_local_events: is_local || version == CgroupVersion::V1,
        }
    }

    /// The path of a group below the directory. `None` if it is not below it: in a namespace of
    /// control groups, `/..` begins the path of a group outside.
    pub fn below<'a>(&self, path: &'a [u8]) -> Option<&'a Path> {
        let below = Path::new(OsStr::from_bytes(path)).strip_prefix(&self.root).ok()?;
        let is_below = below.components().all(|part| matches!(part, Component::Normal(_)));
        is_below.then_some(below)
    }

    /// The path of the group of a directory, as `/proc/PID/cgroup` writes it.
    pub fn path(&self, dir: &Path) -> Vec<u8> {
        let below = dir.strip_prefix(&self.dir).unwrap_or(dir);
        // `join` of nothing adds a slash.
        let path = if below == Path::new("") { self.root.clone() } else { self.root.join(below) };
        path.into_os_string().as_bytes().to_vec()
    }
}

fn is_of_memory(mount: &Mount, version: CgroupVersion) -> bool {
    match version {
        CgroupVersion::V1 => mount.kind == "cgroup" && mount.has_option("memory"),
        CgroupVersion::V2 => mount.kind == "cgroup2",
    }
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupNode {
    /// The path, as `/proc/PID/cgroup` writes it: foreign bytes.
    pub path: Vec<u8>,
    /// The memory; all unknown if the files could not be read.
    pub memory: MemoryGroup,
    /// Whether it has a process that was not measured.
    pub has_others: bool,
}

/// The reason why figures of a group are unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnreadGroup {
    /// The kernel refused a file.
    Refused(Errno),
    /// A file did not answer in time.
    Late,
    /// The text of this file is no figure.
    NotUnderstood(&'static str),
}

/// The groups that the memory controller charges, each after its parent. The root of all is not
/// one: its file of version 1 approximates a sum over the host (`mem_cgroup_usage`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupTree {
    /// The groups.
    pub groups: Vec<GroupNode>,
    /// The number of groups with a file that could not be read or understood.
    pub unread: usize,
    /// The path of the first of them, and the reason.
    pub first_unread: Option<(Vec<u8>, UnreadGroup)>,
    /// Whether groups are missing.
    pub is_cut: bool,
    /// Whether groups can have the memory controller.
    pub has_controller: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset
35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";
    const V2: &str = "\
31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
";
    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,memory_localevents
";
    /// A container of version 1 without a namespace of control groups, and one with: its mount is
    /// older than the namespace.
    const BIND: &str = "35 31 0:32 /docker/0a /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
    const OUTER: &str = "31 23 0:28 /../.. /host/sys/fs/cgroup ro - cgroup2 cgroup2 rw\n";

    fn mount(text: &str) -> CgroupMount {
        CgroupMount::find(&Mounts::parse(text.as_bytes())).expect("a mount")
    }

    #[test]
    fn the_mount_with_the_memory_controller_counts() {
        for (text, dir, version, has_local_events) in [
            (V1, "/sys/fs/cgroup/memory", CgroupVersion::V1, true),
            (V2, "/sys/fs/cgroup", CgroupVersion::V2, false),
            (HYBRID, "/sys/fs/cgroup/unified", CgroupVersion::V2, true),
        ] {
            let root = PathBuf::from("/");
            let expected = CgroupMount { dir: dir.into(), root, version, has_local_events };
            assert_eq!(mount(text), expected);
        }
        // A mount of the whole tree shows most; a hidden one shows nothing.
        assert_eq!(mount(&[OUTER, V2].concat()).dir, Path::new("/sys/fs/cgroup"));
        let hidden = V2.to_owned() + "50 23 0:50 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n";
        assert_eq!(CgroupMount::find(&Mounts::parse(hidden.as_bytes())), None);
        assert_eq!(CgroupMount::find(&Mounts::default()), None);
    }

    #[test]
    fn paths_are_below_the_mount() {
        for (text, path, below) in [
            (V2, "/a.slice/b c", Some("a.slice/b c")),
            (V2, "/", Some("")),
            (V2, "/../b", None),
            (V2, "/..", None),
            (BIND, "/docker/0a/x", Some("x")),
            (BIND, "/docker/0a", Some("")),
            (BIND, "/docker/0abc", None),
            (BIND, "/", None),
            (OUTER, "/../../b", Some("b")),
            (OUTER, "/../..", Some("")),
            // The name of the group between is not known.
            (OUTER, "/../b", None),
            (OUTER, "/", None),
            (OUTER, "/../../../b", None),
        ] {
            let mount = mount(text);
            let found = mount.below(path.as_bytes());
            assert_eq!(found, below.map(Path::new), "{path} of {text}");
            if let Some(found) = found {
                assert_eq!(mount.path(&mount.dir.join(found)), path.as_bytes());
            }
        }
    }

    #[test]
    fn a_directory_stands_for_a_mount() {
        let mounts = Mounts::parse(OUTER.as_bytes());
        let at = |dir| CgroupMount::at(Path::new(dir), CgroupVersion::V2, &mounts);
        assert_eq!(at("/host/sys/fs/cgroup").path(Path::new("/host/sys/fs/cgroup/b")), b"/../../b");
        assert_eq!(at("/copy").path(Path::new("/copy/b")), b"/b");
        // Of a group in a mount, paths are those of the whole tree.
        let slice = at("/host/sys/fs/cgroup/a.slice");
        assert_eq!(slice.path(Path::new("/host/sys/fs/cgroup/a.slice/b")), b"/../../a.slice/b");
        assert_eq!(slice.path(&slice.dir), b"/../../a.slice");
        assert_eq!(slice.below(b"/../../a.slice/b"), Some(Path::new("b")));
        assert_eq!(slice.below(b"/../../b.slice"), None);
    }
}
