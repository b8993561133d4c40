//! The budget of a process: counted work, independent of the load of the machine.
//!
//! Every engine surveys 64 members of a crowd and then all 256; the difference, divided by 192, is
//! the cost of one process, without the fixed cost of a survey. Each figure has a budget a little
//! above its count, with the reason for it. A build that exceeds one fails: make the program do
//! less, or raise the budget in a commit that gives the reason.
//!
//! A separate binary: its allocator counts for the whole process, including other tests.

mod support;

#[path = "support/counting.rs"]
mod counting;
#[path = "../benches/crowd/mod.rs"]
mod crowd;

use std::collections::BTreeSet;
use std::fs::read;
use std::mem::MaybeUninit;
use std::num::NonZeroU32;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crowd::{Crowd, Kind, Spec};
use psm_uring::engine::{EngineKind, IoStats, Surveyor, Timeouts, Tuning};
use psm_uring::process::{Plan, Source, WINDOW_BYTES, WalkRule};
use psm_uring::sys::proc_root::ProcRoot;
use psm_uring::sys::ring::kernel::Features;
use psm_uring::sys::this_process;
use psm_uring::units::{Labelled, Pid};
use rustix::fs::inotify;
use support::gpu;
use support::groups::{MemoryGroups, lay_out};
use support::survey::{CHAINED, TIMED, has_uring, open, tuning};
use support::{RUN_LIMIT, TempDir, copy_dir, run, skip, tree, until};

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

const FEW: usize = 64;
const ALL: usize = 256;
const WORKERS: usize = 2;
const DEPTH: usize = 32;
/// The number of surveys that are counted.
const ROUNDS: usize = 5;

/// Both files are read once. The width of the kernel's output may change between two reads.
const BYTES_PER_BYTE_OF_FILES: f64 = 1.01;
/// A process completes twice (name, memory), and one enter waits for a quarter of those in flight:
/// 0.25. The scheduler determines the number of further completions until the loop runs again:
/// counted 0.05 to 0.3, so this only detects a loop that wakes up for every completion.
const RING_ENTERS: f64 = 0.5;
/// By time, a process completes four times, so this is at least five completions for each enter.
/// Counted 0.34 to 0.44.
const TIMED_ENTERS: f64 = 0.7;
/// By time, the sleeps of the submitting thread and of workers without work. Counted 0.25 to 0.34
/// with 32 in flight; one wake-up for each completion would be 4.
const TIMED_SWITCHES: f64 = 0.6;
/// With smaps twice as many completions.
const SMAPS_RING_ENTERS: f64 = 1.0;
/// A tally's two lists double as they grow: twice for four times as many processes.
const SYNC_GROWTHS: u64 = 2 * 2;
/// Includes one for the additional fields.
const SYNC_PLACES_GROWTHS: u64 = 3 * 2;
/// Control groups follow the names in a buffer with initial room for the names alone.
const PLACES_GROWTHS: u64 = 2;
/// The scheduler distributes processes over threads; in the worst case each list doubles from zero.
const THREADS_GROWTHS: u64 = WORKERS as u64 * 2 * ALL.ilog2() as u64;

/// The rule of a walk that no member needs.
const WALK: WalkRule = WalkRule {
    is_forced: false,
    is_whole_host: true,
    has_swap: false,
    window_bytes: WINDOW_BYTES,
    page_bytes: 4096,
    slack_pages: 0,
};

/// The maximum cost of one process.
struct Budget {
    kind: EngineKind,
    /// Features of the ring that may be used.
    ring: Features,
    source: Source,
    /// Whether owner and control group are requested, too.
    places: bool,
    /// Whether the figures of `stat` are requested, too.
    stat: bool,
    /// Whether page tables of big processes are walked; members are small.
    walks: bool,
    /// Whether files stay open, and names are known.
    kept: bool,
    operations: f64,
    enters: f64,
    /// Voluntary context switches of all threads, where they are steady: not of a chain, whose
    /// workers wake the submitting thread as the scheduler has it.
    switches: f64,
    reads: f64,
    /// Allocations for all the processes of the difference.
    growths: u64,
    /// The source of operations and reads.
    why: &'static str,
}

/// A chain of the ring.
const RING: Budget = Budget {
    kind: EngineKind::Uring,
    ring: CHAINED,
    source: Source::Rollup,
    places: false,
    stat: false,
    walks: false,
    kept: false,
    operations: 4.1,
    enters: RING_ENTERS,
    switches: f64::INFINITY,
    reads: 2.0,
    growths: 0,
    why: "one chain: open, open, read, read",
};

/// One thread that waits for each call.
const SYNC: Budget = Budget {
    kind: EngineKind::Sync,
    operations: 6.0,
    enters: 0.0,
    growths: SYNC_GROWTHS,
    why: "open, read, close of two files",
    ..RING
};

const BUDGETS: [Budget; 16] = [
    Budget {
        ring: TIMED,
        enters: TIMED_ENTERS,
        switches: TIMED_SWITCHES,
        why: "three steps: two opens, a read, a read",
        ..RING
    },
    RING,
    Budget {
        source: Source::Smaps,
        operations: 6.1,
        enters: SMAPS_RING_ENTERS,
        reads: 4.0,
        why: "one chain, of which one read brings all of smaps; its end; whether it was all",
        ..RING
    },
    Budget { kind: EngineKind::Threads, growths: THREADS_GROWTHS, ..SYNC },
    SYNC,
    Budget {
        kind: EngineKind::Threads,
        source: Source::Smaps,
        operations: 28.0,
        reads: 24.0,
        growths: THREADS_GROWTHS,
        why: "a read for 5 of 100 mappings, the name, the end, whether it was all",
        ..SYNC
    },
    Budget {
        source: Source::Smaps,
        operations: 28.0,
        reads: 24.0,
        why: "a read for 5 of 100 mappings, the name, the end, whether it was all",
        ..SYNC
    },
    Budget {
        places: true,
        operations: 8.1,
        enters: SMAPS_RING_ENTERS,
        reads: 4.0,
        growths: PLACES_GROWTHS,
        why: "one chain as without, and two of open and read: status, cgroup",
        ..RING
    },
    Budget {
        places: true,
        operations: 12.0,
        reads: 4.0,
        growths: SYNC_PLACES_GROWTHS,
        why: "open, read, close of four files",
        ..SYNC
    },
    Budget {
        stat: true,
        operations: 6.1,
        enters: SMAPS_RING_ENTERS,
        reads: 3.0,
        why: "one chain as without, and one of open and read: stat",
        ..RING
    },
    Budget {
        stat: true,
        operations: 9.0,
        reads: 3.0,
        growths: SYNC_PLACES_GROWTHS,
        why: "open, read, close of three files",
        ..SYNC
    },
    Budget {
        walks: true,
        reads: 3.0,
        why: "one chain as without; the submitting thread itself reads statm",
        ..RING
    },
    Budget {
        ring: TIMED,
        kept: true,
        operations: 1.2,
        enters: TIMED_ENTERS,
        reads: 1.1,
        why: "a read; one process of 32 is opened again",
        ..RING
    },
    Budget {
        kept: true,
        operations: 1.2,
        reads: 1.1,
        why: "a read; one process of 32 is opened again",
        ..RING
    },
    Budget {
        walks: true,
        operations: 9.0,
        reads: 3.0,
        why: "open, read, close of three files: the size shows that the process is small",
        ..SYNC
    },
    Budget {
        kept: true,
        operations: 1.3,
        reads: 1.1,
        why: "a read; one process of 32 is opened again",
        ..SYNC
    },
];

/// The mode of the members of the crowd.
#[test]
fn child() {
    crowd::become_one();
}

#[test]
fn a_process_stays_within_its_budget() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let spec = Spec { processes: ALL, ..Spec::usual(Kind::Small) };
    let crowd = Crowd::start(&spec).unwrap_or_else(|error| panic!("{error}"));
    let has_uring = has_uring("a_process_stays_within_its_budget");
    let budgets = BUDGETS.iter().filter(|budget| budget.kind != EngineKind::Uring || has_uring);
    let exceeded: Vec<String> = budgets.flat_map(|budget| budget.exceeded(crowd.pids())).collect();
    assert!(exceeded.is_empty(), "{} budgets exceeded\n{}", exceeded.len(), exceeded.join("\n"));
}

/// The tests run one after another: one counts allocations of the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// The files of one control group that each column opens, of version 1 and of version 2
/// (docs/COLUMNS.md).
const GROUP_FILES: [(&str, [usize; 2]); 7] = [
    ("ram,name", [0, 0]),
    ("charged", [5, 2]),
    ("left", [5, 3]),
    ("cg-swap", [3, 2]),
    ("events", [5, 2]),
    ("pressure", [2, 2]),
    ("oom", [6, 4]),
];

/// The files of a process that each column or grouping opens beside its memory and its name
/// (docs/COLUMNS.md).
const PROCESS_FILES: [(&str, &[&str]); 6] = [
    ("--columns ram,name", &[]),
    ("--by pid", &[]),
    ("--by tree", &["stat"]),
    ("--columns page-tables,name", &["status"]),
    ("--columns faults,name", &["stat"]),
    ("--columns oom,name", &["cgroup", "oom_score", "oom_score_adj", "stat", "status"]),
];

/// A column opens the files that it needs, and a run without it none of them.
#[test]
fn files_of_processes_are_opened_on_request() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut member = Command::new("sleep").arg("60").spawn().expect("sleep");
    let (pid, mut wrong) = (member.id().to_string(), Vec::new());
    let dir = Path::new("/proc").join(&pid);
    for (words, files) in PROCESS_FILES {
        // Other programs may read the process, too.
        let opened = (0..GROUP_ROUNDS).map(|_| {
            let ran =
                || run(["-p", &pid, "--source", "rollup"].into_iter().chain(words.split(' ')));
            opened_in(&dir, || assert_eq!(ran().code, Some(0))).into_iter().collect()
        });
        let always = opened.reduce(|a: BTreeSet<String>, b| &a & &b).expect("there are rounds");
        let usual = ["cmdline", "smaps_rollup"];
        let more: Vec<&str> =
            always.iter().map(String::as_str).filter(|one| !usual.contains(one)).collect();
        if more != files {
            wrong.push(format!("{words}: opens {more:?}, not {files:?}"));
        }
    }
    member.kill().expect("a child of ours");
    member.wait().expect("a child of ours");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The column of GPU memory lists descriptors where the kernel has a driver, and nothing elsewhere.
#[test]
fn descriptors_are_listed_on_request() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = TempDir::new("budget-gpu");
    let root = dir.path().to_str().expect("a name of ours");
    copy_dir(&tree("ordinary"), dir.path());
    gpu::lay_out(dir.path(), &[(101, 5, "xe"), (102, 5, "i915")]);
    let opened = |columns: &str, below: &str| -> Vec<String> {
        let words = ["--proc-root", root, "--source", "rollup", "--columns", columns];
        let ran = || assert_eq!(run(words).code, Some(0));
        let names: BTreeSet<String> = opened_in(&dir.path().join(below), ran).into_iter().collect();
        names.into_iter().filter(|name| !["cmdline", "smaps_rollup"].contains(&&name[..])).collect()
    };
    let none: Vec<String> = Vec::new();
    assert_eq!(opened("gpu,name", "101"), ["fd"]);
    // Only the text of a device.
    assert_eq!(opened("gpu,name", "101/fdinfo"), ["5"]);
    assert_eq!(opened("gpu,name", "103/fdinfo"), none);
    assert_eq!(opened("ram,name", "101"), none);
    std::fs::write(dir.path().join("devices"), "Character devices:\n  1 mem\n").expect("ours");
    assert_eq!(opened("gpu,name", "101"), none);
}

/// Others, as a container's runtime, may open the files, too.
const GROUP_ROUNDS: usize = 5;

/// Only a column of control groups opens files of these, and only those that it needs.
#[test]
fn files_of_control_groups_are_opened_on_request() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    const TEST: &str = "files_of_control_groups_are_opened_on_request";
    let groups = match MemoryGroups::make(TEST) {
        Ok(groups) => groups,
        Err(why) => return skip(TEST, &why),
    };
    let group = groups.add("one");
    let mut shell = Command::new("sh");
    let words = "echo $$ >\"$0\"/cgroup.procs && exec sleep 60";
    let mut member = shell.args(["-c", words]).arg(&group).spawn().expect("sh");
    let is_there = || read(group.join("cgroup.procs")).is_ok_and(|text| !text.is_empty());
    assert!(until(RUN_LIMIT, || is_there().then_some(())).is_some(), "no member");
    let pid = member.id().to_string();
    for (columns, files) in GROUP_FILES {
        let opened = (0..GROUP_ROUNDS).map(|_| {
            let names = opened_in(&group, || {
                let ran = run(["--by", "cgroup", "-p", &pid, "--columns", columns]);
                assert_eq!(ran.code, Some(0), "{}", ran.stderr());
            });
            names.len()
        });
        let least = opened.min().expect("there are rounds");
        let documented = files[usize::from(groups.is_unified)];
        assert_eq!(least, documented, "--columns {columns}: files opened in the group");
    }
    member.kill().expect("a child of ours");
    member.wait().expect("a child of ours");
}

/// The same for version 2 on a fixture, whatever version this host has.
#[test]
fn files_of_version_2_are_opened_on_request() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = TempDir::new("budget-groups");
    lay_out("v2.txt", dir.path());
    let group = dir.path().join("system.slice/cron.service");
    for file in ["memory.swap.max", "memory.oom.group"] {
        std::fs::write(group.join(file), "0\n").expect("a file of ours");
    }
    let (host, mount) = (tree("grouped"), dir.path());
    let roots = [host.as_path(), mount].map(|path| path.to_str().expect("a name of ours"));
    let words = ["--proc-root", roots[0], "--cgroup-root", roots[1], "--by", "unit", "-p", "701"];
    for (columns, [_, files]) in &GROUP_FILES[1..] {
        let opened = opened_in(&group, || {
            let ran = run([&words[..], &["--columns", columns]].concat());
            assert_eq!(ran.code, Some(0), "{}", ran.stderr());
        });
        assert_eq!(opened.len(), *files, "--columns {columns}: {opened:?}");
    }
}

/// The files in a directory that are opened meanwhile, by name.
fn opened_in(dir: &Path, meanwhile: impl FnOnce()) -> Vec<String> {
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK).expect("inotify");
    inotify::add_watch(&watch, dir, inotify::WatchFlags::OPEN).expect("a directory of ours");
    meanwhile();
    let mut room = [MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(&watch, &mut room);
    // Without a name, the directory itself was opened.
    let names = std::iter::from_fn(|| {
        let event = events.next().ok()?;
        Some(event.file_name().map(|name| name.to_string_lossy().into_owned()))
    });
    names.flatten().collect()
}

impl Budget {
    /// One line for every figure above its budget.
    fn exceeded(&self, pids: &[Pid]) -> Vec<String> {
        let root = ProcRoot::open("/proc".as_ref()).expect("a /proc");
        let (source, owner, cgroup) = (self.source, self.places, self.places);
        let walk = self.walks.then_some(WALK);
        let surveys_per_name = Some(if self.kept { NonZeroU32::MAX } else { NonZeroU32::MIN });
        let stat = self.stat;
        let plan = Plan { source, owner, cgroup, stat, walk, surveys_per_name, ..Plan::default() };
        let (features, keeps_files) = (self.ring, self.kept);
        let tuning = Tuning { features, keeps_files, ..tuning(WORKERS, DEPTH) };
        let mut surveyor = open(self.kind, &root, tuning);
        // Slots, buffers and probes allocate their permanent memory.
        survey(&mut surveyor, pids, &plan);
        // First all of them, whose files would not stay open while others are asked.
        survey(&mut surveyor, pids, &plan);
        let all = Work::typical(&mut surveyor, pids, &plan);
        let few = Work::typical(&mut surveyor, &pids[..FEW], &plan);
        let (kind, source) = (self.kind.label(), self.source);
        let why = self.why;
        let mut lines = Vec::new();
        let mut check = |what: &str, more: u64, budget: f64, why: &str| {
            let counted = more as f64 / (ALL - FEW) as f64;
            if counted > budget {
                let most = format!("at most {budget:.3} ({why})");
                lines.push(format!("{kind}, {source:?}: {counted:.3} {what} per process, {most}"));
            }
        };
        let files = self.bytes_of_files(&pids[FEW..]) * BYTES_PER_BYTE_OF_FILES;
        let growths = self.growths as f64 / (ALL - FEW) as f64;
        let [io, less] = [all.io, few.io];
        check("operations", io.operations - less.operations, self.operations, why);
        check("enters", io.enters.saturating_sub(less.enters), self.enters, "see RING_ENTERS");
        let switches = all.switches.saturating_sub(few.switches);
        check("voluntary switches", switches, self.switches, "see TIMED_SWITCHES");
        check("reads", io.reads - less.reads, self.reads, why);
        check("bytes", io.bytes - less.bytes, files, "what the files hold");
        let allocations = all.allocations.saturating_sub(few.allocations);
        check("allocations", allocations, growths, "lists that double");
        lines
    }

    /// The content of the files of one process, from plain reads.
    fn bytes_of_files(&self, pids: &[Pid]) -> f64 {
        let memory = if self.source == Source::Smaps { "smaps" } else { "smaps_rollup" };
        let places = ["status", "cgroup"].into_iter().filter(|_| self.places);
        let size = self.walks.then_some("statm").into_iter();
        let size = size.chain(self.stat.then_some("stat"));
        let name = ["cmdline"].into_iter().filter(|_| !self.kept);
        let files: Vec<&str> = [memory].into_iter().chain(name).chain(places).chain(size).collect();
        let len = |pid: &Pid, file| read(format!("/proc/{pid}/{file}")).expect("there").len();
        let all: usize =
            pids.iter().map(|pid| files.iter().map(|file| len(pid, *file)).sum::<usize>()).sum();
        all as f64 / pids.len() as f64
    }
}

/// The cost of one survey.
struct Work {
    io: IoStats,
    allocations: u64,
    switches: u64,
}

impl Work {
    /// The minimum of several surveys, figure by figure. Of allocations the median: one by a thread
    /// that starts with a survey may come after its end, and counts for the next one.
    fn typical(surveyor: &mut Surveyor, pids: &[Pid], plan: &Plan) -> Work {
        let works: Vec<Work> = (0..ROUNDS).map(|_| survey(surveyor, pids, plan)).collect();
        let least = |figure: fn(&Work) -> u64| works.iter().map(figure).min().unwrap_or_default();
        let mut allocations: Vec<u64> = works.iter().map(|work| work.allocations).collect();
        allocations.sort_unstable();
        Work {
            io: IoStats {
                operations: least(|work| work.io.operations),
                enters: least(|work| work.io.enters),
                reads: least(|work| work.io.reads),
                bytes: least(|work| work.io.bytes),
            },
            allocations: allocations[ROUNDS / 2],
            switches: least(|work| work.switches),
        }
    }
}

fn survey(surveyor: &mut Surveyor, pids: &[Pid], plan: &Plan) -> Work {
    let timeouts = Timeouts { stuck_after: RUN_LIMIT, deadline: None };
    let before = counting::allocations();
    let [switches, _] = this_process::switches();
    let survey = surveyor.survey(pids, plan, &timeouts);
    let allocations = counting::allocations() - before;
    let switches = this_process::switches()[0] - switches;
    let survey = survey.expect("an engine that works");
    assert_eq!(survey.coverage().measured, pids.len(), "{:?}", surveyor.kind());
    Work { io: survey.io(), allocations, switches }
}
