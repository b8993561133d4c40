//! Reads the tree of control groups. Threads read it: a file of a group takes locks of the kernel,
//! and a directory in place of the mount may be on a server.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::host_files::{TEXT_MAX, mounts, read_text};
use super::readers::{Patience, Readers};
use crate::host::{
    CgroupMount, CgroupVersion, GroupNode, GroupPlan, GroupTree, MemoryGroup, UnreadGroup,
};
use crate::units::Errno;

/// The threads that read: the kernel makes most texts under one lock, so more of them would wait.
const READERS: usize = 4;
/// The most groups of one tree.
const GROUPS_MAX: usize = 100_000;
/// A file that the root of version 1 has, and no other group.
const V1_ROOT: &str = "release_agent";

/// The mount of the memory controller here; `None` without one.
pub fn mount() -> Option<CgroupMount> {
    CgroupMount::find(&mounts()?)
}

/// A directory that stands for the mount, or has it below. `None` if it is neither.
pub fn mount_at(dir: &Path) -> Option<CgroupMount> {
    let dir = std::fs::canonicalize(dir).ok()?;
    let named = |(below, file, version): (&str, &str, CgroupVersion)| {
        let dir = if below.is_empty() { dir.clone() } else { dir.join(below) };
        dir.join(file).exists().then_some((dir, version))
    };
    let files =
        [(CgroupVersion::V1, "memory.usage_in_bytes"), (CgroupVersion::V2, "cgroup.controllers")];
    let mut places = ["", "memory", "unified"]
        .into_iter()
        .flat_map(|below| files.map(|(version, file)| (below, file, version)));
    let (dir, version) = places.find_map(named)?;
    Some(CgroupMount::at(&dir, version, &mounts().unwrap_or_default()))
}

/// The questions for every group.
pub struct GroupQuestions {
    /// The mount.
    pub mount: CgroupMount,
    /// The figures.
    pub plan: GroupPlan,
    /// The paths of groups with measured processes, if groups of other processes are to be known.
    pub measured: Option<HashSet<Vec<u8>>>,
}

/// Reads the tree.
pub fn read(questions: GroupQuestions, patience: Patience) -> GroupTree {
    static GROUPS: Readers<PathBuf> = Readers::new();
    let questions = Arc::new(questions);
    let mut reading = Reading::default();
    let top = reading.ask(vec![questions.mount.dir.clone()]);
    let answer = {
        let questions = Arc::clone(&questions);
        move |path: &PathBuf| questions.answer(path)
    };
    GROUPS.ask(READERS, top, patience, answer, |path, answer| reading.take(path, answer));
    reading.finish(&questions.mount)
}

/// The groups that were asked for, by the paths of their directories, and the answers.
#[derive(Default)]
struct Reading {
    /// Groups without an answer.
    unanswered: BTreeSet<PathBuf>,
    answers: Vec<(PathBuf, Answer)>,
    is_cut: bool,
}

impl Reading {
    /// The first of these groups, as many as there is room for.
    fn ask(&mut self, mut groups: Vec<PathBuf>) -> Vec<PathBuf> {
        let room = GROUPS_MAX.saturating_sub(self.unanswered.len() + self.answers.len());
        self.is_cut |= groups.len() > room;
        groups.truncate(room);
        self.unanswered.extend(groups.iter().cloned());
        groups
    }

    /// Takes an answer, and returns the groups below.
    fn take(&mut self, path: PathBuf, mut answer: Answer) -> Vec<PathBuf> {
        self.unanswered.remove(&path);
        let below = self.ask(std::mem::take(&mut answer.children));
        self.answers.push((path, answer));
        below
    }

    /// The groups with memory of their own. A group without passes its processes on to the one
    /// above.
    fn finish(mut self, mount: &CgroupMount) -> GroupTree {
        let late = |path| (path, Answer::new(Look::Unread(UnreadGroup::Late)));
        let unread = self.unanswered.into_iter().map(late);
        self.answers.extend(unread);
        self.answers.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let mut tree = GroupTree { is_cut: self.is_cut, ..GroupTree::default() };
        let mut places: HashMap<PathBuf, usize> = HashMap::new();
        for (path, Answer { look, mut has_others, .. }) in self.answers {
            let (memory, reason) = match look {
                Look::Memory(memory, not_understood) => {
                    (*memory, not_understood.map(UnreadGroup::NotUnderstood))
                }
                Look::Unread(reason) => {
                    has_others = true;
                    (MemoryGroup::default(), Some(reason))
                }
                Look::NoMemory | Look::NoMemoryHere => {
                    tree.has_controller |= matches!(look, Look::NoMemoryHere);
                    let mut above = path.ancestors().skip(1).filter(|_| has_others);
                    let owner = above.find_map(|above| places.get(above).copied());
                    owner.into_iter().for_each(|place: usize| tree.groups[place].has_others = true);
                    continue;
                }
                Look::Gone => continue,
            };
            if let Some(reason) = reason {
                tree.unread += 1;
                tree.first_unread.get_or_insert_with(|| (mount.path(&path), reason));
            }
            tree.groups.push(GroupNode { path: mount.path(&path), memory, has_others });
            places.insert(path, tree.groups.len() - 1);
        }
        tree
    }
}

/// What a thread found of one group.
struct Answer {
    look: Look,
    has_others: bool,
    children: Vec<PathBuf>,
}

enum Look {
    /// With a file whose text is no figure.
    Memory(Box<MemoryGroup>, Option<&'static str>),
    /// The kernel charges its memory to a group above, or to none.
    NoMemory,
    /// The same, at the top of a mount that has the controller.
    NoMemoryHere,
    Unread(UnreadGroup),
    Gone,
}

impl Answer {
    fn new(look: Look) -> Answer {
        Answer { look, has_others: false, children: Vec::new() }
    }
}

impl GroupQuestions {
    fn answer(&self, path: &Path) -> Answer {
        self.read(path).unwrap_or_else(|errno| match errno {
            // `ENODEV`: the group was removed while its files were open.
            Errno(libc::ENOENT | libc::ENODEV) => Answer::new(Look::Gone),
            errno => Answer::new(Look::Unread(UnreadGroup::Refused(errno))),
        })
    }

    fn read(&self, path: &Path) -> Result<Answer, Errno> {
        let GroupQuestions { mount, plan, measured } = self;
        let dir = File::open(path)?;
        let is_root = path == mount.dir && path.join(V1_ROOT).exists();
        let current = mount.version.current_file();
        let look = match read_text(&dir, current, TEXT_MAX) {
            _ if is_root => Look::NoMemoryHere,
            Err(Errno::NOENT) if path == mount.dir && lists_memory(&dir) => Look::NoMemoryHere,
            Err(Errno::NOENT) => Look::NoMemory,
            Err(errno) => return Err(errno),
            Ok(text) => {
                let mut texts = vec![(current, text)];
                for file in mount.version.files(*plan) {
                    match read_text(&dir, file, TEXT_MAX) {
                        Ok(text) => texts.push((file, text)),
                        // Absent, or without PSI.
                        Err(Errno::NOENT | Errno::NOT_SUPPORTED) => {}
                        Err(errno) => return Err(errno),
                    }
                }
                let memory = MemoryGroup::parse(mount.version, *plan, &texts);
                Look::Memory(Box::new(memory), MemoryGroup::not_understood(&texts))
            }
        };
        let has_others = measured.as_ref().is_some_and(|measured| {
            // A threaded group refuses the list: its processes are those of the group above.
            let has_some = || read_text(&dir, "cgroup.procs", 1).is_ok_and(|text| !text.is_empty());
            !measured.contains(&mount.path(path)) && has_some()
        });
        Ok(Answer { look, has_others, children: children(path)? })
    }
}

/// Whether the groups below a group of version 2 can have the memory controller.
fn lists_memory(dir: &File) -> bool {
    let text = read_text(dir, "cgroup.controllers", TEXT_MAX).unwrap_or_default();
    text.split(u8::is_ascii_whitespace).any(|word| word == b"memory")
}

/// The directories of the groups in a group.
fn children(path: &Path) -> Result<Vec<PathBuf>, Errno> {
    let mut children = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            children.push(entry.path());
        }
    }
    Ok(children)
}
