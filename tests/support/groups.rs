//! Control groups: trees of fixtures laid out as files, and real groups of the memory controller.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{data, until};

const LIMIT: Duration = Duration::from_secs(10);

/// Writes the files of a tree under `tests/data/cgroups`: `[PATH]`, then `FILE = TEXT`.
pub fn lay_out(name: &str, dir: &Path) {
    let text = std::fs::read_to_string(data("cgroups").join(name)).expect("a fixture");
    let mut group = dir.to_owned();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(path) = line.strip_prefix("[/").and_then(|line| line.strip_suffix(']')) {
            group = dir.join(path);
            std::fs::create_dir_all(&group).expect("a directory of ours");
        } else {
            let (file, text) = line.split_once(" =").expect("FILE = TEXT");
            let lines = text.trim().split(';').filter(|line| !line.is_empty());
            let text: String = lines.map(|line| format!("{line}\n")).collect();
            std::fs::write(group.join(file), text).expect("a file of ours");
        }
    }
}

/// A real group with memory of its own, and the groups below it. Dropping it removes them.
pub struct MemoryGroups {
    top: PathBuf,
    /// Whether they are of version 2.
    pub is_unified: bool,
}

impl MemoryGroups {
    /// Makes the group where the memory controller is mounted; the error gives the reason.
    pub fn make(name: &str) -> Result<MemoryGroups, String> {
        let mounted = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
        let dirs = mounted.map(Path::new).into_iter();
        let is_unified = |dir: &Path| dir.join("cgroup.controllers").exists();
        let has_memory = |dir: &&Path| match is_unified(dir) {
            true => std::fs::read_to_string(dir.join("cgroup.subtree_control"))
                .is_ok_and(|list| list.split_whitespace().any(|word| word == "memory")),
            false => dir.join("memory.usage_in_bytes").exists(),
        };
        let mount = dirs.into_iter().find(has_memory).ok_or("no memory controller is mounted")?;
        let top = mount.join(format!("psm-uring-{name}-{}", std::process::id()));
        let made = std::fs::create_dir(&top);
        made.map_err(|error| format!("no control group can be made: {error}"))?;
        let groups = MemoryGroups { top, is_unified: is_unified(mount) };
        if groups.is_unified {
            groups.set("", "cgroup.subtree_control", "+memory");
        }
        Ok(groups)
    }

    /// The directory of a group below, or of the group itself.
    pub fn dir(&self, below: &str) -> PathBuf {
        if below.is_empty() { self.top.clone() } else { self.top.join(below) }
    }

    /// Makes a group below.
    pub fn add(&self, below: &str) -> PathBuf {
        let dir = self.dir(below);
        std::fs::create_dir(&dir).expect("a group of ours");
        dir
    }

    pub fn set(&self, below: &str, file: &str, text: &str) {
        let path = self.dir(below).join(file);
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    }

    /// Sets the limit, of memory and of swap with it.
    pub fn limit(&self, below: &str, bytes: u64) {
        let (memory, both, swap) = match self.is_unified {
            true => ("memory.max", "memory.swap.max", 0),
            false => ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", bytes),
        };
        self.set(below, memory, &bytes.to_string());
        // Absent without swap accounting.
        let _ = std::fs::write(self.dir(below).join(both), swap.to_string());
    }

    /// The charge of a group in bytes.
    pub fn charged(&self, below: &str) -> u64 {
        let file = if self.is_unified { "memory.current" } else { "memory.usage_in_bytes" };
        let text = std::fs::read_to_string(self.dir(below).join(file)).expect("a group of ours");
        text.trim().parse().expect("a number")
    }
}

impl Drop for MemoryGroups {
    fn drop(&mut self) {
        let below = std::fs::read_dir(&self.top).into_iter().flatten().flatten();
        let below = below.map(|entry| entry.path()).filter(|path| path.is_dir());
        // Their processes may still be ending.
        for dir in below.chain([self.top.clone()]) {
            until(LIMIT, || std::fs::remove_dir(&dir).ok());
        }
    }
}
