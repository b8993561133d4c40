//! The control group that holds the members of a crowd `thrash` and limits their memory. The group
//! is of version 2 where that has the memory controller, else of version 1. Where neither is
//! mounted, the crowd mounts version 1 in a directory of its own.

use std::fs::{create_dir, read_to_string, remove_dir, write};
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

use super::{sys, until};

/// The files with the limit, in version 2 and in version 1.
const UNIFIED: &str = "memory.max";
const LEGACY: &str = "memory.limit_in_bytes";

/// A control group with a limit.
pub struct MemoryGroup(PathBuf);

impl MemoryGroup {
    /// Creates the group of this root. After a failure, too, [`remove`] undoes the changes.
    pub fn make(root: u32, bytes: u64) -> std::result::Result<MemoryGroup, String> {
        let failed = |what: &Path, error| {
            let what = what.display();
            format!("no control group can limit the memory of the crowd: {what}: {error}")
        };
        let own = own_hierarchy(root);
        let hierarchy = shared_hierarchy().map_or_else(|| mount(&own), Ok);
        let (hierarchy, limit) = hierarchy.map_err(|error| failed(&own, error))?;
        let path = hierarchy.join(name(root));
        let made = create_dir(&path).and_then(|()| write(path.join(limit), bytes.to_string()));
        made.map_err(|error| failed(&path, error))?;
        Ok(MemoryGroup(path))
    }

    /// The directory of the group.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Moves this process into the group.
    pub fn join(&self) -> Result<()> {
        write(self.0.join("cgroup.procs"), "0")
    }
}

/// Removes the group of a root, and the hierarchy if the crowd mounted it. A missing group is not
/// an error. No member is left, but the last ones may be exiting.
pub fn remove(root: u32) -> std::result::Result<(), String> {
    let own = own_hierarchy(root);
    let shared = shared_hierarchy().map(|(hierarchy, _)| hierarchy.join(name(root)));
    for group in shared.into_iter().chain([own.join(name(root))]) {
        let mut removed = Ok(());
        until(|| {
            removed = remove_dir(&group);
            removed.as_ref().err().is_none_or(|error| error.kind() != ErrorKind::ResourceBusy)
        });
        let removed = removed.or_else(missing);
        removed.map_err(|error| format!("remove {}: {error}", group.display()))?;
    }
    // A directory that is left from a failed mount is no mount.
    let _ = sys::unmount(&own);
    remove_dir(&own).or_else(missing).map_err(|error| format!("remove {}: {error}", own.display()))
}

fn missing(error: Error) -> Result<()> {
    if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// The name of a root's group. The starter knows the root and can remove its group.
fn name(root: u32) -> String {
    format!("psm-uring-crowd-{root}")
}

/// The directory where a root mounts a hierarchy for itself.
fn own_hierarchy(root: u32) -> PathBuf {
    std::env::temp_dir().join(name(root) + ".cgroup")
}

fn mount(dir: &Path) -> Result<(PathBuf, &'static str)> {
    create_dir(dir)?;
    sys::mount_memory_cgroup(dir)?;
    Ok((dir.to_owned(), LEGACY))
}

/// A hierarchy of the host whose groups can limit memory, and its file with the limit.
fn shared_hierarchy() -> Option<(PathBuf, &'static str)> {
    let mounts = read_to_string("/proc/self/mounts").ok()?;
    let find = |limit| {
        mounts.lines().find_map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let [_, dir, kind, options, ..] = words[..] else { return None };
            let dir = Path::new(dir);
            let has_memory = match (limit, kind) {
                // The controllers that groups in the top directory have.
                (UNIFIED, "cgroup2") => read_to_string(dir.join("cgroup.subtree_control"))
                    .is_ok_and(|list| list.split_whitespace().any(|word| word == "memory")),
                // A hierarchy that another crowd mounted ends with that crowd.
                (LEGACY, "cgroup") => {
                    let is_of_crowd = dir.extension().is_some_and(|end| end == "cgroup");
                    options.split(',').any(|word| word == "memory") && !is_of_crowd
                }
                _ => false,
            };
            has_memory.then(|| (dir.to_owned(), limit))
        })
    };
    find(UNIFIED).or_else(|| find(LEGACY))
}
