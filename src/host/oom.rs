//! The rule of the OOM killer at the limit of a control group.

use super::memory_group::{GroupTexts, limit, number, text, value};
use super::{CgroupVersion, MemoryGroup};
use crate::units::Kib;

pub(super) const OOM_GROUP: &str = "memory.oom.group";
pub(super) const SWAP_MAX: &str = "memory.swap.max";
pub(super) const SWAPPINESS: &str = "memory.swappiness";

/// The rule of the OOM killer at the limit of a control group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OomRule {
    /// The limit, if the group has one and it is known.
    pub limit: Option<OomLimit>,
    /// Whether a victim takes all processes of the group with it (`memory.oom.group`).
    pub kills_group: bool,
    /// Whether the killer is off (`oom_kill_disable` of version 1).
    pub is_off: bool,
}

/// The limit of a control group, as the OOM killer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OomLimit {
    /// The limit of memory.
    pub memory: Kib,
    /// The swap that its processes may use beside it; the swap of the host bounds it.
    pub swap: Kib,
    /// The amount that may still be charged, if known.
    pub left: Option<Kib>,
}

/// No limit.
const UNLIMITED: Kib = Kib(u64::MAX / 1024);

impl OomRule {
    /// Parses the texts of the files of one group, which the rest of `group` is made of
    /// (`mem_cgroup_get_max`, mm/memcontrol.c).
    pub(super) fn parse(
        version: CgroupVersion,
        texts: &GroupTexts,
        group: &MemoryGroup,
    ) -> OomRule {
        let [file, swap_file] = version.limit_files();
        let memory = limit(texts, file).flatten();
        let other = limit(texts, swap_file);
        let swap = match (version, other) {
            (CgroupVersion::V2, known) => known.map(|swap| swap.unwrap_or(UNLIMITED)),
            // Absent without swap accounting.
            (CgroupVersion::V1, None | Some(None)) => Some(UNLIMITED),
            (CgroupVersion::V1, Some(Some(both))) => {
                memory.map(|memory| both.saturating_sub(memory))
            }
        };
        // A kernel without swap has no such file.
        let swap = swap.unwrap_or(UNLIMITED);
        let is_swapped = number(texts, SWAPPINESS) != Some(0);
        let swap = if is_swapped { swap } else { Kib(0) };
        let left = |memory: Kib| Some(memory.saturating_sub(group.charged?));
        let control = text(texts, super::memory_group::OOM_CONTROL);
        OomRule {
            limit: memory.map(|memory| OomLimit { memory, swap, left: left(memory) }),
            kills_group: number(texts, OOM_GROUP) == Some(1),
            is_off: control.and_then(|text| value(text, "oom_kill_disable")) == Some(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::GroupPlan;
    use super::*;

    const MIB: u64 = 1024;

    fn rule(version: CgroupVersion, texts: &[(&'static str, &str)]) -> OomRule {
        let texts: Vec<(&'static str, Vec<u8>)> =
            texts.iter().map(|(file, text)| (*file, text.as_bytes().to_vec())).collect();
        let plan = GroupPlan { oom: true, ..GroupPlan::default() };
        MemoryGroup::parse(version, plan, &texts).oom
    }

    #[test]
    fn version_2_has_groups_that_end_as_one() {
        let texts = [
            ("memory.current", "4194304\n"),
            ("memory.max", "16777216\n"),
            ("memory.swap.max", "1048576\n"),
            ("memory.oom.group", "1\n"),
        ];
        let limit = OomLimit { memory: Kib(16 * MIB), swap: Kib(MIB), left: Some(Kib(12 * MIB)) };
        let expected = OomRule { limit: Some(limit), kills_group: true, is_off: false };
        assert_eq!(rule(CgroupVersion::V2, &texts), expected);
        let unlimited = [("memory.current", "4096\n"), ("memory.max", "max\n")];
        assert_eq!(rule(CgroupVersion::V2, &unlimited), OomRule::default());
        let any_swap = [("memory.max", "4096\n"), ("memory.swap.max", "max\n")];
        let limit = rule(CgroupVersion::V2, &any_swap).limit.expect("a limit");
        assert_eq!((limit.swap, limit.left), (UNLIMITED, None));
    }

    #[test]
    fn version_1_limits_memory_and_swap_together() {
        let texts = [
            ("memory.usage_in_bytes", "4194304\n"),
            ("memory.limit_in_bytes", "16777216\n"),
            ("memory.memsw.limit_in_bytes", "20971520\n"),
            ("memory.swappiness", "60\n"),
            ("memory.oom_control", "oom_kill_disable 1\nunder_oom 0\noom_kill 0\n"),
        ];
        let limit =
            OomLimit { memory: Kib(16 * MIB), swap: Kib(4 * MIB), left: Some(Kib(12 * MIB)) };
        let expected = OomRule { limit: Some(limit), kills_group: false, is_off: true };
        assert_eq!(rule(CgroupVersion::V1, &texts), expected);
        let mut without = texts;
        without[3].1 = "0\n";
        let without = rule(CgroupVersion::V1, &without).limit.expect("a limit");
        assert_eq!(without.swap, Kib(0));
        let unlimited = [("memory.limit_in_bytes", "9223372036854771712\n")];
        assert_eq!(rule(CgroupVersion::V1, &unlimited).limit, None);
    }
}
