//! The control groups above a process: the one that is charged for it, and those that include it.

use std::collections::HashMap;

use crate::host::GroupNode;

/// Control groups by their paths.
pub(super) struct GroupLevels<'run> {
    pub(super) groups: &'run [GroupNode],
    by_path: HashMap<&'run [u8], usize>,
}

impl<'run> GroupLevels<'run> {
    pub(super) fn new(groups: &'run [GroupNode]) -> GroupLevels<'run> {
        let by_path = groups.iter().enumerate().map(|(place, one)| (&one.path[..], place));
        GroupLevels { groups, by_path: by_path.collect() }
    }

    /// The group that is charged for processes in this one: itself, or the nearest one above with
    /// memory of its own.
    pub(super) fn group_at(&self, path: &[u8]) -> Option<usize> {
        above(path).find_map(|path| self.by_path.get(path).copied())
    }

    /// The groups whose limits hold for a group: itself first.
    pub(super) fn levels(&self, group: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(Some(group), |group| self.parent(*group))
    }

    /// The group that includes this one.
    pub(super) fn parent(&self, group: usize) -> Option<usize> {
        let path = &self.groups.get(group)?.path;
        let parent = above(path).skip(1).find_map(|path| self.by_path.get(path).copied())?;
        (!self.groups[parent].memory.excludes_descendants).then_some(parent)
    }
}

/// The path and the paths above it, up to the root.
fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(Some(path), |path| {
        let slash = path.iter().rposition(|byte| *byte == b'/')?;
        match slash {
            0 if path.len() > 1 => path.get(..1),
            0 => None,
            slash => path.get(..slash),
        }
    })
}
