//! A process made of texts, for tests of probes: no kernel, no files.

use std::collections::BTreeMap;
use std::sync::Arc;

use psm_uring::process::{
    CgroupPaths, Fate, Plan, Probe, ProcFile, ReadNext, WalkRule, Want, Window,
};
use psm_uring::smaps::Smaps;
use psm_uring::units::{Errno, Pid};

use super::tables::{Frames, Tables};

pub const PID: Pid = Pid(7);
pub const ROLLUP: &str = "55e0-7ffd ---p 00000000 00:00 0                          [rollup]
Rss:                 300 kB\nPss:                 200 kB\nPrivate_Clean:        40 kB
Private_Dirty:        60 kB\nSwap:                 24 kB\nSwapPss:              12 kB\n";
const STATUS: &str = "Name:\tcomm\nState:\tS (sleeping)\nUid:\t1\t33\t33\t33
VmSize:\t 100 kB\nThreads:\t1\n";
pub const LEADER: &str = "Name:\tcomm\nState:\tZ (zombie)\nUid:\t1\t2\t3\t4\nThreads:\t2\n";
/// Walks with several windows.
pub const RULE: WalkRule = WalkRule {
    is_forced: true,
    is_whole_host: true,
    has_swap: false,
    window_bytes: 256,
    page_bytes: 4096,
    slack_pages: 0,
};
/// More steps than any process needs.
const STEPS_MAX: usize = 60_000;

/// A fault that replaces one answer, once or at every repetition of the same path.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub step: usize,
    pub errno: Errno,
    pub again: bool,
}

/// A process made of texts. A file without a text does not exist.
#[derive(Clone, Default)]
pub struct World {
    pub texts: BTreeMap<String, Result<Vec<u8>, Errno>>,
    /// The size of every read.
    pub room: usize,
    pub fault: Option<Fault>,
    pub faulty: Option<String>,
    /// The path of every open and read so far.
    pub steps: Vec<String>,
    /// Reads of one byte at the beginning return nothing, this many times: the process exec'ed.
    pub execs: usize,
    /// From this step on another process has the id, with these texts.
    pub next: Option<(usize, Box<World>)>,
    /// The number of earlier processes with this id.
    pub life: usize,
    /// The page tables, which `pagemap` shows; the text of it is empty.
    pub tables: Tables,
    pub frames: Frames,
    /// From each of these steps on, the process has these page tables.
    pub moves: Vec<(usize, Tables)>,
    /// The paths of the opens among the steps.
    pub opens: Vec<String>,
    /// The bytes of `pagemap`, over and over, instead of the entries of `tables`.
    pub entries: Option<Vec<u8>>,
    /// The windows that were read, with the bytes that came.
    pub windows: Vec<(Window, usize)>,
}

impl World {
    fn new(texts: &[(&str, &str)]) -> World {
        let text = |(name, text): &(&str, &str)| (format!("7/{name}"), Ok(text.as_bytes().into()));
        World { texts: texts.iter().map(text).collect(), room: 4096, ..World::default() }
    }

    pub fn user() -> World {
        World::new(&[
            ("cmdline", "/bin/title\0-x\0"),
            ("comm", "comm\n"),
            ("exe", "/bin/exe"),
            ("status", STATUS),
            ("cgroup", "0::/group\n"),
        ])
        .with_tables(Tables::of_kib(200, 256))
    }

    /// The same with this memory, whichever file shows it.
    pub fn with_tables(mut self, tables: Tables) -> World {
        for (name, text) in [
            ("statm", tables.statm()),
            ("maps", tables.maps()),
            ("pagemap", String::new()),
            ("smaps_rollup", tables.rollup()),
            ("smaps", tables.rollup()),
        ] {
            self = self.with(name, &text);
        }
        World { tables, ..self }
    }

    /// Memory files of a process that has released its memory.
    pub fn with_tables_of_a_zombie(self) -> World {
        let world = self.with("statm", "0 0 0 0 0 0 0\n").with("maps", "").with("pagemap", "");
        World { tables: Tables::default(), ..world }
    }

    /// The number of times that a file of the process or its thread was opened.
    pub fn opens_of(&self, name: &str) -> usize {
        self.opens.iter().filter(|path| path.rsplit('/').next() == Some(name)).count()
    }

    pub fn with(self, name: &str, text: &str) -> World {
        self.with_bytes(name, text.as_bytes())
    }

    pub fn with_bytes(mut self, name: &str, text: &[u8]) -> World {
        self.texts.insert(format!("7/{name}"), Ok(text.into()));
        self
    }

    pub fn failing(mut self, names: &[&str], errno: Errno) -> World {
        self.texts.extend(names.iter().map(|name| (format!("7/{name}"), Err(errno))));
        self
    }

    /// No argument list: the name comes from comm.
    pub fn nameless() -> World {
        World::user().with("cmdline", "")
    }

    /// comm tells where the path in `argv[0]` ends.
    pub fn doubtful() -> World {
        World::user().with("cmdline", "/bin/title: a/b\0")
    }

    /// comm and the binary tell whether the title is a path.
    pub fn relative() -> World {
        World::user().with("cmdline", "lib/title\0")
    }

    /// The binary has the name.
    pub fn magic() -> World {
        World::user().with("cmdline", "/proc/self/exe\0-x\0")
    }

    /// The first thread is dead, the second has the memory.
    pub fn leaderless() -> World {
        let mut world = World::user();
        for (path, text) in World::user().texts {
            let path = path.replace("7/", "7/task/8/");
            world.texts.insert(path, text);
        }
        let dead = world.with("smaps_rollup", "").with("smaps", "").with("status", LEADER);
        let dead = dead.with("cgroup", "0::/dead\n").with("maps", "");
        let dead = dead.with("statm", "0 0 0 0 0 0 0\n");
        dead.with("task", "7\n8\n")
    }

    /// Whether this step fails.
    fn fault(&mut self, path: &str) -> Option<Errno> {
        let step = self.steps.len();
        if let Some((_, next)) = self.next.take_if(|(at, _)| *at == step) {
            (self.texts, self.tables, self.next) = (next.texts, next.tables, next.next);
            self.life += 1;
        }
        if let Some(place) = self.moves.iter().position(|(at, _)| *at == step) {
            let (_, tables) = self.moves.swap_remove(place);
            *self = std::mem::take(self).with_tables(tables);
        }
        self.steps.push(path.to_owned());
        assert!(step < STEPS_MAX, "it reads for ever: {path}");
        let fault = self.fault?;
        if fault.step == step {
            self.faulty = Some(path.to_owned());
        }
        let hit = fault.step == step || fault.again && self.faulty.as_deref() == Some(path);
        hit.then_some(fault.errno)
    }

    fn open(&mut self, probe: &mut Probe, file: ProcFile) -> Option<Open> {
        let path = String::from_utf8(probe.path(file).as_bytes().into()).expect("paths are ASCII");
        let fault = self.fault(&path);
        let missing = self.texts.get(&path).map_or(Some(Errno::NOENT), |text| text.clone().err());
        self.opens.push(path.clone());
        match fault.or(missing) {
            None => Some(Open { path, life: self.life }),
            Some(errno) => {
                probe.fail(file, errno);
                None
            }
        }
    }

    fn read(&mut self, probe: &mut Probe, file: ProcFile, open: &Open) {
        let Open { path, life } = open;
        let (mut at, mut progress) = (0, probe.first_read(file));
        while progress != ReadNext::Done {
            if let Some(errno) = self.fault(path) {
                return probe.fail(file, errno);
            }
            let is_gone = file.is_memory() && *life != self.life;
            if is_gone && !matches!(file, ProcFile::Maps | ProcFile::Pagemap) {
                return probe.fail(file, Errno::SRCH);
            }
            if is_gone {
                probe.feed(file, &[], self.room);
                return;
            }
            let gone = Err(Errno::SRCH);
            let text = match self.texts.get(path).unwrap_or(&gone) {
                Ok(text) => text,
                Err(errno) => return probe.fail(file, *errno),
            };
            progress = match progress {
                ReadNext::Verify => {
                    let has_execed = self.execs > 0;
                    self.execs = self.execs.saturating_sub(1);
                    probe.feed(file, &text[..usize::from(!has_execed)], 1)
                }
                ReadNext::Window(window) => self.read_window(probe, file, window),
                _ => {
                    let end = (at + self.room).min(text.len());
                    let bytes = &text[at..end];
                    at = end;
                    probe.feed(file, bytes, self.room)
                }
            };
            if progress == ReadNext::Count {
                progress = probe.count(&mut self.frames);
            }
        }
    }

    fn read_window(&mut self, probe: &mut Probe, file: ProcFile, window: Window) -> ReadNext {
        // Without memory there is no entry, not even an empty one.
        let has_memory = !self.tables.mappings.is_empty();
        let len = if has_memory { window.len.min(self.room.next_multiple_of(8)) } else { 0 };
        let bytes = match &self.entries {
            None => self.tables.read(window.offset, len),
            Some(entries) => {
                let from = usize::try_from(window.offset).expect("an offset") % entries.len();
                entries.iter().cycle().skip(from).take(len).copied().collect()
            }
        };
        self.windows.push((window, bytes.len()));
        probe.feed(file, &bytes, self.room)
    }

    /// Carries the process to its fate, as engines do.
    pub fn carry(&mut self, probe: &mut Probe, plan: &Plan) -> Found {
        probe.restart(PID, &Arc::new(plan.clone()));
        while let Some(want) = probe.want() {
            let (first, memory) = match want {
                Want::One(file) => (file, None),
                Want::Pair { name, memory } => (name, Some(memory)),
            };
            let opened = memory.map(|memory| (memory, self.open(probe, memory)));
            if let Some((_, None)) = opened {
                continue;
            }
            if let Some(path) = self.open(probe, first) {
                self.read(probe, first, &path);
            }
            if let Some((memory, Some(path))) = opened
                && probe.awaits_memory()
            {
                self.read(probe, memory, &path);
            }
        }
        let fate = probe.fate().expect("nothing is wanted any more");
        let measured = fate == Fate::Measured;
        let name = String::from_utf8_lossy(probe.name()).into_owned();
        Found {
            fate,
            name: if measured { name } else { String::new() },
            smaps: probe.smaps().copied(),
            uid: probe.uid().filter(|_| measured),
            cgroups: probe.cgroup().filter(|_| measured).map(owned),
        }
    }
}

/// An open file. A memory file belongs to the life of its open.
struct Open {
    path: String,
    life: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub fate: Fate,
    pub name: String,
    pub smaps: Option<Smaps>,
    pub uid: Option<u32>,
    pub cgroups: Option<[Vec<u8>; 2]>,
}

/// The charged and the managed path.
pub fn owned(paths: CgroupPaths<'_>) -> [Vec<u8>; 2] {
    [paths.charged, paths.managed].map(<[u8]>::to_vec)
}
