//! The processes that the OOM killer would likely choose next: of the host, and of each control
//! group with a limit. An estimate: memory changes until then, the counters of the kernel are
//! inexact, and an allocation on some NUMA nodes alone has another choice.

use std::collections::HashMap;

use super::levels::GroupLevels;
use crate::host::{CgroupMount, CgroupVersion, GroupTree, OomLimit};
use crate::process::OomFigures;
use crate::units::{Kib, Pid};

/// The first process of a host, which is never chosen.
const INIT: Pid = Pid(1);
/// The setting of a control group of version 1 that has no choice.
const OOM_KILL_DISABLE: &str =
    "oom_kill_disable is 1: at the limit its tasks wait until memory is freed";

/// The obstacle to a choice for which files lack the figures.
const UNKNOWN: &str = "unknown, because oom_score_adj or the memory of processes is unknown";

/// The facts of the host that choices depend on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OomHost {
    /// All memory.
    pub memory: Kib,
    /// All swap.
    pub swap: Kib,
    /// Whether groups of version 2 do not swap (`vm.swappiness` 0).
    pub is_unswapped: bool,
    /// The size of a page.
    pub page_bytes: u64,
    /// The pages by which the counters of two processes can differ from their memory, where the
    /// figures of the processes do not tell.
    pub error_pages: u64,
    /// The reason why the host has no choice, if there is one: a setting.
    pub obstacle: Option<&'static str>,
}

/// The likely choice at one limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OomChoice<'run> {
    /// The control group whose limit is reached: foreign bytes. `None`: the host.
    pub path: Option<&'run [u8]>,
    /// The memory and swap that points relate to.
    pub size: Kib,
    /// The amount that may still be charged to the group.
    pub left: Option<Kib>,
    /// The process, or several that are too close to call, by id; none if the killer is off.
    pub victims: Vec<Pid>,
    /// The control group that a victim takes with it (`memory.oom.group`).
    pub kills: Option<&'run [u8]>,
    /// The reason why none is chosen: the killer is off, or no figure is known.
    pub obstacle: Option<&'static str>,
}

/// The choices of all limits.
#[derive(Debug, Default)]
pub struct OomEstimate<'run> {
    /// The host first, then the group with the least left.
    pub choices: Vec<OomChoice<'run>>,
    /// The number of processes that may be chosen, and whose points are unknown.
    pub unknown: usize,
    tasks: HashMap<Pid, &'run OomFigures>,
    marks: HashMap<Pid, OomMarks>,
}

/// The likely choices that a process or a row is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OomMarks {
    /// Of the host.
    pub host: OomMark,
    /// Of a control group.
    pub group: OomMark,
}

/// Whether a process is the likely choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum OomMark {
    /// It is not.
    #[default]
    No,
    /// It is one of several that are too close to call.
    Tie,
    /// It is.
    Next,
}

/// The figures of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowOom {
    /// The highest score of its processes.
    pub score: Option<u64>,
    /// The adjustment of that process.
    pub adj: Option<i64>,
    /// The choices among its processes.
    pub marks: OomMarks,
}

impl RowOom {
    pub(super) fn add(&mut self, other: RowOom) {
        if other.score > self.score {
            (self.score, self.adj) = (other.score, other.adj);
        }
        self.marks.host = self.marks.host.max(other.marks.host);
        self.marks.group = self.marks.group.max(other.marks.group);
    }
}

impl OomEstimate<'_> {
    /// The figures of a process.
    pub(super) fn of(&self, pid: Pid) -> RowOom {
        let figures = self.tasks.get(&pid);
        RowOom {
            score: figures.and_then(|figures| figures.score),
            adj: figures.and_then(|figures| figures.adj),
            marks: self.marks.get(&pid).copied().unwrap_or_default(),
        }
    }

    /// The comm of a process: foreign bytes.
    pub fn comm(&self, pid: Pid) -> &[u8] {
        self.tasks.get(&pid).map_or(b"", |figures| &figures.comm)
    }
}

/// A limit, and the candidates below it.
struct Domain<'run> {
    path: Option<&'run [u8]>,
    size: Kib,
    left: Option<Kib>,
    obstacle: Option<&'static str>,
    candidates: Vec<OomCandidate>,
    /// The number of processes without points.
    unknown: usize,
}

struct OomCandidate {
    pid: Pid,
    /// The least and the most points that the kernel may count.
    points: [i64; 2],
    group: Option<usize>,
}

impl Domain<'_> {
    fn consider(&mut self, pid: Pid, task: &OomFigures, group: Option<usize>, host: OomHost) {
        let pages = self.size.bytes() / host.page_bytes.max(1);
        let Some(points) = task.points(pages, host.page_bytes) else {
            self.unknown += usize::from(task.is_unknown());
            return;
        };
        let miscount = task.miscount(host.page_bytes);
        // Nothing shows the counter of swap as it is.
        let is_vague = miscount.is_none() || task.has_swap;
        let error = if is_vague { i64::try_from(host.error_pages).unwrap_or(i64::MAX) } else { 0 };
        let miscount = miscount.unwrap_or_default();
        let least = points.saturating_add(miscount.min(0));
        let most = points.saturating_add(miscount.max(0)).saturating_add(error);
        self.candidates.push(OomCandidate { pid, points: [least, most], group });
    }

    /// The candidates that may have the most points.
    fn victims(&self) -> Vec<(Pid, Option<usize>)> {
        let most = self.candidates.iter().map(|one| one.points[0]).max();
        let Some(most) = most.filter(|_| self.obstacle.is_none()) else { return Vec::new() };
        let chosen = self.candidates.iter().filter(|one| one.points[1] >= most);
        let mut victims: Vec<_> = chosen.map(|one| (one.pid, one.group)).collect();
        victims.sort_unstable();
        victims
    }
}

/// Estimates the choices among all processes of a host; `groups` if its control groups are known.
pub fn estimate<'run>(
    tasks: &'run [(Pid, OomFigures)],
    groups: Option<(&CgroupMount, &'run GroupTree)>,
    host: OomHost,
) -> OomEstimate<'run> {
    let levels = groups.map(|(mount, tree)| (mount, GroupLevels::new(&tree.groups)));
    let mut all = Domain {
        path: None,
        size: host.memory + host.swap,
        left: None,
        obstacle: host.obstacle,
        candidates: Vec::new(),
        unknown: 0,
    };
    let mut of_groups: HashMap<usize, Domain<'run>> = HashMap::new();
    for (pid, task) in tasks {
        // The first process of a container has a score.
        if *pid == INIT && task.score.is_none_or(|score| score == 0) {
            continue;
        }
        let home = levels.as_ref().and_then(|(mount, levels)| {
            let path = task.cgroup.as_deref().filter(|path| mount.below(path).is_some())?;
            levels.group_at(path)
        });
        all.consider(*pid, task, home, host);
        let Some((mount, levels)) = &levels else { continue };
        for level in home.into_iter().flat_map(|home| levels.levels(home)) {
            let group = &levels.groups[level];
            let Some(limit) = group.memory.oom.limit else { continue };
            let domain = of_groups.entry(level).or_insert_with(|| Domain {
                path: Some(&group.path),
                size: size(mount, limit, host),
                left: limit.left,
                obstacle: group.memory.oom.is_off.then_some(OOM_KILL_DISABLE),
                candidates: Vec::new(),
                unknown: 0,
            });
            domain.consider(*pid, task, home, host);
        }
    }
    let mut estimate = OomEstimate {
        unknown: all.unknown,
        tasks: tasks.iter().map(|(pid, figures)| (*pid, figures)).collect(),
        ..OomEstimate::default()
    };
    let levels = levels.as_ref().map(|(_, levels)| levels);
    let mut found: Vec<(usize, Domain<'run>)> = of_groups.into_iter().collect();
    found.sort_unstable_by_key(|(_, domain)| (domain.left, domain.path));
    estimate.choose(&all, None, levels);
    for (level, domain) in &found {
        estimate.choose(domain, Some(*level), levels);
    }
    estimate
}

/// The memory and swap of a limit (`mem_cgroup_get_max`, mm/memcontrol.c).
fn size(mount: &CgroupMount, limit: OomLimit, host: OomHost) -> Kib {
    let is_unswapped = host.is_unswapped && mount.version == CgroupVersion::V2;
    let swap = if is_unswapped { Kib(0) } else { limit.swap.min(host.swap) };
    limit.memory + swap
}

impl<'run> OomEstimate<'run> {
    /// Adds the choice of a limit, and marks its victims.
    fn choose(
        &mut self,
        domain: &Domain<'run>,
        top: Option<usize>,
        levels: Option<&GroupLevels<'run>>,
    ) {
        let victims = domain.victims();
        // The highest group that ends as one, up to the limit (`mem_cgroup_get_oom_group`).
        let group_of = |home: usize| {
            let levels = levels?;
            let last = levels.levels(home).position(|level| Some(level) == top);
            let below = levels.levels(home).take(last.map_or(usize::MAX, |last| last + 1));
            let ends_as_one = below.filter(|level| levels.groups[*level].memory.oom.kills_group);
            ends_as_one.last().map(|level| &levels.groups[level].path[..])
        };
        // Of a tie, only if it is the same for all.
        let mut groups = victims.iter().map(|(_, home)| group_of((*home)?));
        let first = groups.next().flatten();
        let kills = first.filter(|_| groups.all(|group| group == first));
        let mark = if victims.len() == 1 { OomMark::Next } else { OomMark::Tie };
        for (pid, _) in &victims {
            let marks = self.marks.entry(*pid).or_default();
            let place = if top.is_none() { &mut marks.host } else { &mut marks.group };
            *place = mark.max(*place);
        }
        let victims: Vec<Pid> = victims.into_iter().map(|(pid, _)| pid).collect();
        let (path, size, left) = (domain.path, domain.size, domain.left);
        let is_unknown = victims.is_empty() && domain.unknown > 0;
        let obstacle = domain.obstacle.or(is_unknown.then_some(UNKNOWN));
        self.choices.push(OomChoice { path, size, left, victims, kills, obstacle });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{GroupNode, MemoryGroup, Mounts, OomRule};

    const MIB: u64 = 1024;
    const HOST: OomHost = OomHost {
        memory: Kib(1000 * MIB),
        swap: Kib(0),
        is_unswapped: false,
        page_bytes: 4096,
        error_pages: 0,
        obstacle: None,
    };

    fn task(pid: u32, mib: u64, adj: i64, group: &str) -> (Pid, OomFigures) {
        let figures = OomFigures {
            comm: format!("p{pid}").into_bytes(),
            score: Some(u64::from(pid > 1) * 600),
            adj: Some(adj),
            memory: Some(Kib(mib * MIB)),
            cgroup: Some(group.as_bytes().to_vec()),
            ..OomFigures::default()
        };
        (Pid(pid), figures)
    }

    fn group(path: &str, limit: Option<u64>, kills_group: bool) -> GroupNode {
        let limit = limit.map(|mib| OomLimit {
            memory: Kib(mib * MIB),
            swap: Kib(0),
            left: Some(Kib(mib)),
        });
        let oom = OomRule { limit, kills_group, is_off: false };
        let memory = MemoryGroup { oom, ..MemoryGroup::default() };
        GroupNode { path: path.as_bytes().to_vec(), memory, has_others: false }
    }

    fn choices(
        tasks: &[(Pid, OomFigures)],
        tree: &GroupTree,
        host: OomHost,
    ) -> Vec<(String, Vec<u32>, Option<String>)> {
        let mount = CgroupMount::at("/sys".as_ref(), CgroupVersion::V2, &Mounts::default());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let estimate = estimate(tasks, Some((&mount, tree)), host);
        let one = |choice: OomChoice<'_>| {
            let victims = choice.victims.iter().map(|pid| pid.0).collect();
            (choice.path.map_or_else(String::new, text), victims, choice.kills.map(text))
        };
        estimate.choices.into_iter().map(one).collect()
    }

    /// Where the killer is off, tasks wait at the limit: that is no choice, but a reason.
    #[test]
    fn a_group_whose_killer_is_off_has_a_reason() {
        let mut one = group("/a", Some(100), false);
        one.memory.oom.is_off = true;
        let tree = GroupTree { groups: vec![one], ..GroupTree::default() };
        let mount = CgroupMount::at("/sys".as_ref(), CgroupVersion::V1, &Mounts::default());
        let tasks = [task(2, 60, 0, "/a")];
        let estimate = estimate(&tasks, Some((&mount, &tree)), HOST);
        let of = |choice: &OomChoice<'_>| (choice.victims.len(), choice.obstacle);
        let found: Vec<_> = estimate.choices.iter().map(of).collect();
        assert_eq!(found, [(1, None), (0, Some(OOM_KILL_DISABLE))]);
    }

    #[test]
    fn each_limit_has_a_choice() {
        let groups = vec![
            group("/a", Some(100), false),
            group("/a/b", Some(50), true),
            group("/c", None, true),
        ];
        let tree = GroupTree { groups, ..GroupTree::default() };
        let tasks = [
            task(1, 900, 0, "/"),
            task(2, 300, -1000, "/c"),
            task(3, 60, 0, "/a"),
            // In its own group 45 + 0.2 * 50; above it 45 + 0.2 * 100, on the host + 0.2 * 1000.
            task(4, 45, 200, "/a/b"),
            task(5, 54, 0, "/a/b/below"),
            task(6, 240, 0, "/c"),
        ];
        let text = |words: &str| Some(words.to_owned());
        assert_eq!(
            choices(&tasks, &tree, HOST),
            [
                (String::new(), vec![4], text("/a/b")),
                ("/a/b".to_owned(), vec![4], text("/a/b")),
                ("/a".to_owned(), vec![4], text("/a/b")),
            ]
        );
        // Without the adjustment.
        let mut tasks = tasks;
        tasks[3].1.adj = Some(0);
        assert_eq!(
            choices(&tasks, &tree, HOST),
            [
                (String::new(), vec![6], text("/c")),
                ("/a/b".to_owned(), vec![5], text("/a/b")),
                ("/a".to_owned(), vec![3], None),
            ]
        );
        // Too close to call: 9 MiB are 2,304 pages.
        let host = OomHost { error_pages: 2304, ..HOST };
        let found = choices(&tasks, &tree, host);
        assert_eq!((&found[1].1, &found[2].1), (&vec![4, 5], &vec![3, 5]));
        let off = OomHost { obstacle: Some("panic"), ..HOST };
        assert!(choices(&tasks, &tree, off)[0].1.is_empty());
    }

    /// On 128 CPUs counters may lack 128 MiB, and mostly lack little.
    #[test]
    fn a_tie_is_as_wide_as_the_counters_differ() {
        let host = OomHost { error_pages: 128 * 256, ..HOST };
        let task = |pid, mib, miscount: Option<i64>, has_swap| {
            let (pid, figures) = task(pid, mib, 0, "/");
            let pages = i64::try_from(mib * MIB / 4).expect("small");
            let counted = miscount.map(|more| u64::try_from(pages + more).expect("some"));
            let (resident, counted_pages) = (figures.memory, counted);
            (pid, OomFigures { resident, counted_pages, has_swap, ..figures })
        };
        // 1 MiB is 256 pages.
        for (first, second, victims) in [
            (Some(0), Some(0), &[2][..]),
            (Some(-100), Some(90), &[2]),
            (Some(-100), Some(156), &[2, 3]),
            (Some(-256), Some(0), &[2, 3]),
            (Some(0), Some(256), &[2, 3]),
            (Some(500), Some(-9), &[2]),
            (None, Some(0), &[2]),
            (Some(0), None, &[2, 3]),
        ] {
            let tasks = [task(2, 60, first, false), task(3, 59, second, false)];
            let found = &choices(&tasks, &GroupTree::default(), host)[0].1;
            assert_eq!(found, victims, "{first:?} {second:?}");
        }
        let tasks = [task(2, 60, Some(0), false), task(3, 59, Some(0), true)];
        assert_eq!(choices(&tasks, &GroupTree::default(), host)[0].1, [2, 3]);
    }

    #[test]
    fn a_row_has_the_highest_score_and_all_marks() {
        let tree =
            GroupTree { groups: vec![group("/a", Some(100), false)], ..GroupTree::default() };
        let tasks = [task(2, 10, 0, "/a"), task(3, 10, 0, "/a"), task(4, 90, 0, "/")];
        let mount = CgroupMount::at("/sys".as_ref(), CgroupVersion::V2, &Mounts::default());
        let estimate = estimate(&tasks, Some((&mount, &tree)), HOST);
        let marks = |pid| estimate.of(Pid(pid)).marks;
        let (tie, next) = (OomMark::Tie, OomMark::Next);
        let no = OomMark::No;
        assert_eq!(marks(2), OomMarks { host: no, group: tie });
        assert_eq!(marks(4), OomMarks { host: next, group: no });
        let mut row = RowOom::default();
        [2, 4, 9].into_iter().for_each(|pid| row.add(estimate.of(Pid(pid))));
        assert_eq!((row.score, row.marks), (Some(600), OomMarks { host: next, group: tie }));
    }

    #[test]
    fn the_first_process_of_a_host_is_never_chosen() {
        let (tree, mut tasks) = (GroupTree::default(), [task(1, 900, 0, "/"), task(2, 1, 0, "/")]);
        assert_eq!(choices(&tasks, &tree, HOST)[0].1, [2]);
        tasks[0].1.score = Some(700);
        assert_eq!(choices(&tasks, &tree, HOST)[0].1, [1], "that of a container is");
    }
}
