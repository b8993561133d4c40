//! Reads the tree of control groups. Threads read it: a file of a group takes locks of the kernel,
//! and a directory in place of the mount may be on a server.
//!
//! A thread whose read does not end is left alone, and another one replaces it. In later reports
//! its group is not asked again.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::host_files::{TEXT_MAX, mounts, read_text};
use super::threads::{affordable, spawn};
use crate::host::{CgroupMount, CgroupVersion, GroupNode, GroupPlan, GroupTree, MemoryGroup};
use crate::units::Errno;

/// The threads that read: the kernel makes most texts under one lock, so more of them would wait.
const READERS: usize = 4;
/// The time without an answer after which more threads start.
const LOOK: Duration = Duration::from_millis(100);
/// The most threads of one tree, counting those that wait forever.
const READERS_MAX: usize = 32;
/// The memory of one thread beside its stack.
const READER_BYTES: usize = 64 * 1024;
/// The most groups of one tree.
const GROUPS_MAX: usize = 100_000;
/// A file that the root of version 1 has, and no other group.
const V1_ROOT: &str = "release_agent";

/// Groups that a thread reads, of all trees. One that waits forever keeps its thread, so it is not
/// asked again.
static HELD: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn held() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

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

/// Reads the tree. Reads are given up when none ends for `patience`, and at the deadline.
pub fn read(asked: GroupQuestions, patience: Duration, deadline: Option<Duration>) -> GroupTree {
    let end = deadline.and_then(|left| Instant::now().checked_add(left));
    let shared = Arc::new(Shared { asked, waiting: Mutex::default(), wake: Condvar::new() });
    let mut reading = Reading::default();
    reading.ask(&shared, vec![PathBuf::new()]);
    let (sender, answers) = channel();
    let mut readers = start(&shared, &sender, READERS);
    let readers_max = READERS_MAX.saturating_sub(held().len());
    let mut answered = Instant::now();
    while readers > 0 && !reading.asked.is_empty() {
        let left = end.map_or(LOOK, |end| end.saturating_duration_since(Instant::now()));
        match answers.recv_timeout(left.min(LOOK)) {
            Ok(answer) => {
                reading.take(&shared, answer);
                answered = Instant::now();
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                if left.is_zero() || answered.elapsed() >= patience {
                    break;
                }
                // All of them seem to wait.
                let more = READERS.min(readers_max.saturating_sub(readers));
                readers += if shared.is_empty() { 0 } else { start(&shared, &sender, more) };
            }
        }
    }
    shared.close();
    reading.finish(&shared.asked.mount)
}

/// Starts threads, as many as memory is enough for; returns how many.
fn start(shared: &Arc<Shared>, answers: &Sender<Answer>, wanted: usize) -> usize {
    let one = |_: &usize| {
        let (shared, answers) = (Arc::clone(shared), answers.clone());
        spawn(
            move || {
                while shared.next().is_some_and(|dir| answers.send(shared.look(dir)).is_ok()) {}
            },
        )
    };
    (0..affordable(wanted, READER_BYTES, 0)).take_while(one).count()
}

/// The groups that were asked for, and the answers.
#[derive(Default)]
struct Reading {
    /// Groups without an answer.
    asked: BTreeSet<PathBuf>,
    answers: Vec<Answer>,
    is_cut: bool,
}

impl Reading {
    fn ask(&mut self, shared: &Shared, mut groups: Vec<PathBuf>) {
        let room = GROUPS_MAX.saturating_sub(self.asked.len() + self.answers.len());
        self.is_cut |= groups.len() > room;
        groups.truncate(room);
        let (waiting, groups): (Vec<PathBuf>, Vec<PathBuf>) = {
            let held = held();
            groups.into_iter().partition(|below| held.contains(&shared.asked.mount.dir.join(below)))
        };
        self.answers.extend(waiting.into_iter().map(|below| Answer::new(below, Look::Unread)));
        self.asked.extend(groups.iter().cloned());
        shared.push(groups);
    }

    fn take(&mut self, shared: &Shared, mut answer: Answer) {
        if self.asked.remove(&answer.below) {
            self.ask(shared, std::mem::take(&mut answer.children));
            self.answers.push(answer);
        }
    }

    /// The groups with memory of their own. A group without passes its processes on to the one
    /// above.
    fn finish(mut self, mount: &CgroupMount) -> GroupTree {
        let unanswered = self.asked.into_iter().map(|below| Answer::new(below, Look::Unread));
        self.answers.extend(unanswered);
        self.answers.sort_unstable_by(|a, b| a.below.cmp(&b.below));
        let mut tree = GroupTree { is_cut: self.is_cut, ..GroupTree::default() };
        let mut places: HashMap<PathBuf, usize> = HashMap::new();
        for Answer { below, look, mut has_others, .. } in self.answers {
            let memory = match look {
                Look::Memory(memory) => *memory,
                Look::Unread => {
                    tree.unread += 1;
                    has_others = true;
                    MemoryGroup::default()
                }
                Look::NoMemory => {
                    let mut above = below.ancestors().skip(1).filter(|_| has_others);
                    let owner = above.find_map(|above| places.get(above).copied());
                    owner.into_iter().for_each(|place: usize| tree.groups[place].has_others = true);
                    continue;
                }
                Look::Gone => continue,
            };
            tree.groups.push(GroupNode { path: mount.path(&below), memory, has_others });
            places.insert(below, tree.groups.len() - 1);
        }
        tree
    }
}

/// What a thread found of one group.
struct Answer {
    below: PathBuf,
    look: Look,
    has_others: bool,
    children: Vec<PathBuf>,
}

enum Look {
    Memory(Box<MemoryGroup>),
    /// The kernel charges its memory to a group above, or to none.
    NoMemory,
    Unread,
    Gone,
}

impl Answer {
    fn new(below: PathBuf, look: Look) -> Answer {
        Answer { below, look, has_others: false, children: Vec::new() }
    }
}

/// What the threads share.
struct Shared {
    asked: GroupQuestions,
    /// Groups that no thread has taken; `None` at the end.
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Default)]
struct Waiting {
    groups: Vec<PathBuf>,
    is_over: bool,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, groups: Vec<PathBuf>) {
        self.waiting().groups.extend(groups);
        self.wake.notify_all();
    }

    fn is_empty(&self) -> bool {
        self.waiting().groups.is_empty()
    }

    fn close(&self) {
        self.waiting().is_over = true;
        self.wake.notify_all();
    }

    /// The next group, as soon as there is one; `None` at the end.
    fn next(&self) -> Option<PathBuf> {
        let mut waiting = self.waiting();
        loop {
            if waiting.is_over {
                return None;
            }
            match waiting.groups.pop() {
                Some(group) => return Some(group),
                None => waiting = self.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn look(&self, below: PathBuf) -> Answer {
        let path = self.asked.mount.dir.join(&below);
        held().insert(path.clone());
        let answer = self.read(&below);
        held().remove(&path);
        match answer {
            Ok(mut answer) => {
                answer.below = below;
                answer
            }
            // `ENODEV`: the group was removed while its files were open.
            Err(Errno(libc::ENOENT | libc::ENODEV)) => Answer::new(below, Look::Gone),
            Err(_) => Answer::new(below, Look::Unread),
        }
    }

    fn read(&self, below: &Path) -> Result<Answer, Errno> {
        let GroupQuestions { mount, plan, measured } = &self.asked;
        let path = mount.dir.join(below);
        let dir = File::open(&path)?;
        let is_top = below == Path::new("");
        let is_root = is_top && path.join(V1_ROOT).exists();
        let current = mount.version.current_file();
        let look = match read_text(&dir, current, TEXT_MAX) {
            _ if is_root => Look::NoMemory,
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
                Look::Memory(Box::new(MemoryGroup::parse(mount.version, *plan, &texts)))
            }
        };
        let has_others = measured.as_ref().is_some_and(|measured| {
            // A threaded group refuses the list: its processes are those of the group above.
            let has_some = || read_text(&dir, "cgroup.procs", 1).is_ok_and(|text| !text.is_empty());
            !measured.contains(&mount.path(below)) && has_some()
        });
        let children = children(&path, below)?;
        Ok(Answer { below: PathBuf::new(), look, has_others, children })
    }
}

/// The groups in a group.
fn children(path: &Path, below: &Path) -> Result<Vec<PathBuf>, Errno> {
    let mut children = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            children.push(below.join(entry.file_name()));
        }
    }
    Ok(children)
}
