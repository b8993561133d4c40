//! The crowds of the performance measurements: members have the promised memory, busy loops run
//! beside them, and no process, file or control group remains after a kill of any process.
//!
//! A separate binary: it counts the children of its process and the pages that the host swaps in,
//! including those of other tests.

mod support;

#[path = "../benches/crowd/mod.rs"]
mod crowd;

use std::collections::BTreeMap;
use std::fs::read_to_string;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crowd::{Crowd, Kind, Session, Sizes, Spec};
use psm_uring::units::Pid;
use rustix::process::{Pid as RawPid, Signal, kill_process};
use support::{skip, until};

/// Far longer than a few processes take to exit.
const END_LIMIT: Duration = Duration::from_secs(20);
/// Far longer than a few processes take to get a CPU, on a host with load.
const RUN_LIMIT: Duration = Duration::from_secs(60);

/// The roots and members of the crowds run only this test.
#[test]
fn child() {
    crowd::become_one();
}

/// One crowd at a time, so that a test sees only its own processes.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start(spec: &Spec) -> Crowd {
    Crowd::start(spec).unwrap_or_else(|error| panic!("{spec:?}: {error}"))
}

fn few(kind: Kind, processes: usize) -> Spec {
    Spec { processes, ..Spec::usual(kind) }
}

fn text(pid: Pid, file: &str) -> String {
    read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default()
}

/// The amounts of a rollup in kB.
fn rollup(pid: Pid) -> BTreeMap<String, u64> {
    let text = text(pid, "smaps_rollup");
    let amounts = text.lines().filter_map(|line| {
        let (key, kib) = line.strip_suffix(" kB")?.split_once(':')?;
        Some((key.to_owned(), kib.trim().parse().ok()?))
    });
    amounts.collect()
}

/// Fields of `/proc/PID/stat`, proc(5). The session is 0 when its leader is outside this PID
/// namespace; getsid(2) then returns 0, which rustix takes for impossible.
#[derive(PartialEq, Debug)]
struct Stat {
    state: char,
    parent: u32,
    session: u32,
    /// Pages that were read from disk.
    major_faults: u64,
    /// CPU time.
    ticks: u64,
}

fn stat(pid: Pid) -> Option<Stat> {
    let text = text(pid, "stat");
    let (_, fields) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let number = |n: usize| fields[n].parse::<u64>().ok();
    Some(Stat {
        state: fields[0].chars().next()?,
        parent: fields[1].parse().ok()?,
        session: fields[3].parse().ok()?,
        major_faults: number(9)?,
        ticks: number(11)? + number(12)?,
    })
}

/// Whether none of them runs or sleeps. Zombies count as gone.
fn are_gone(pids: &[Pid]) -> bool {
    pids.iter().all(|pid| stat(*pid).is_none_or(|stat| "ZX".contains(stat.state)))
}

fn kill(pid: Pid) {
    let raw = i32::try_from(pid.0).ok().and_then(RawPid::from_raw);
    kill_process(raw.expect("an id"), Signal::KILL).expect("it is alive");
}

/// Ends a crowd, which undoes its changes; also after its root was killed.
fn finish(crowd: Crowd, is_root_killed: bool) {
    if is_root_killed {
        kill(crowd.root());
    } else {
        crowd.end().expect("the crowd ends");
    }
}

fn children() -> Vec<Pid> {
    let own = std::process::id();
    let entries = std::fs::read_dir("/proc").expect("a /proc").flatten();
    let pids = entries.filter_map(|entry| Pid::parse(entry.file_name().as_encoded_bytes()));
    pids.filter(|pid| stat(*pid).is_some_and(|stat| stat.parent == own)).collect()
}

#[test]
fn forked_members_have_the_promised_memory() {
    let _alone = alone();
    for (kind, processes) in [(Kind::Small, 24), (Kind::Many, 40)] {
        let spec = few(kind, processes);
        let crowd = start(&spec);
        assert_eq!(crowd.pids().len(), processes);
        for pid in crowd.pids() {
            assert_eq!(text(*pid, "maps").lines().count(), spec.mappings, "{kind:?}");
            let rollup = rollup(*pid);
            let private = rollup["Private_Clean"] + rollup["Private_Dirty"];
            let promised = 4 * spec.private as u64;
            // The program writes to few pages after the fork.
            assert!((promised..promised + 256).contains(&private), "{private} of {promised}");
            let shared = 4 * spec.shared as u64;
            assert!(rollup["Rss"] >= promised + shared, "{rollup:?}");
            assert!(rollup["Pss"] < promised + 256 + 2 * shared / processes as u64, "{rollup:?}");
        }
        assert_idle(&crowd);
        let pids = crowd.pids().to_vec();
        drop(crowd);
        assert!(are_gone(&pids), "{kind:?}");
    }
}

/// Mappings are summed by name as processes complete, so that many take little memory.
#[test]
fn maps_of_a_crowd_take_little_memory() {
    const KIB_MAX: u64 = 24 * 1024;
    let _alone = alone();
    let spec = Spec { private: 16, shared: 16, ..Spec::usual(Kind::Small) };
    assert_eq!((spec.processes, spec.mappings), (2000, 100));
    let crowd = start(&spec);
    for engine in ["threads", "auto"] {
        let ran = support::run(["maps", "--stats", "--json", "--engine", engine]);
        let peak = ran.stat("peak memory");
        let peak: u64 = peak.split(' ').next().and_then(|kib| kib.parse().ok()).expect("KiB");
        assert!(peak <= KIB_MAX, "{engine}: {peak} KiB");
        let report: serde_json::Value = serde_json::from_str(&ran.stdout()).expect("JSON");
        let mappings = report["total"]["mappings"].as_u64().expect("a number");
        assert!(mappings >= 200_000, "{engine}: {mappings} mappings");
    }
    finish(crowd, false);
}

/// All members sleep, are children of the root, and use no CPU time.
fn assert_idle(crowd: &Crowd) {
    let look = || -> Vec<_> { crowd.pids().iter().map(|pid| stat(*pid)).collect() };
    let before = look();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(before, look());
    for member in before.into_iter().map(|stat| stat.expect("a member")) {
        assert_eq!((member.state, member.parent), ('S', crowd.root().0));
    }
}

#[test]
fn killing_the_root_ends_all() {
    let _alone = alone();
    let crowd = start(&few(Kind::Small, 50));
    kill(crowd.root());
    let gone = until(END_LIMIT, || are_gone(crowd.pids()).then_some(()));
    assert!(gone.is_some(), "members outlive their root");
    let error = crowd.end().expect_err("the crowd is gone");
    assert!(error.contains("root was killed"), "{error}");
}

#[test]
fn a_crowd_ends_when_a_member_dies() {
    let _alone = alone();
    let crowd = start(&few(Kind::Many, 8));
    kill(crowd.pids()[5]);
    let gone = until(END_LIMIT, || are_gone(crowd.pids()).then_some(()));
    assert!(gone.is_some(), "the root does not watch its members");
    let error = crowd.end().expect_err("a member is missing");
    assert!(error.contains("a member died"), "{error}");
}

#[test]
fn crowds_that_are_too_big_are_refused() {
    let _alone = alone();
    let absurd = usize::MAX / 2;
    let usual = Spec::usual(Kind::Small);
    let pid_max = read_to_string("/proc/sys/kernel/pid_max").expect("a limit");
    let processes = pid_max.trim().parse().expect("a number");
    // One page each, so that memory is not short.
    let tiny = Spec { private: 1, shared: 0, mappings: 60, ..Spec::usual(Kind::Many) };
    let refused = [
        (Spec { processes: absurd, ..usual.clone() }, "MiB of memory"),
        (Spec { private: absurd, ..usual.clone() }, "MiB of memory"),
        (Spec { shared: absurd, ..usual.clone() }, "MiB of memory"),
        (Spec { private: absurd, ..Spec::usual(Kind::Huge) }, "MiB of memory"),
        (Spec { processes, ..tiny.clone() }, "processes"),
        (Spec { processes: 1, mappings: 10_000_000, ..tiny.clone() }, "mappings in a process"),
        (Spec { processes: 1, mappings: 3, ..tiny }, "too few"),
    ];
    for (spec, word) in refused {
        let before = children();
        let error = Crowd::start(&spec).err().unwrap_or_else(|| panic!("{spec:?} started"));
        assert!(error.contains(word) && !error.contains('\n'), "{spec:?}: {error}");
        assert_eq!(children(), before, "{spec:?}: something was started");
    }
}

#[test]
fn sizes_of_other_kinds_are_refused() {
    let mib = Sizes { mib: Some(1), ..Sizes::default() };
    let error = mib.of(Kind::Small).expect_err("a size of another kind");
    assert!(error.contains("--mib"), "{error}");
    let mappings = Sizes { mappings: Some(60), ..Sizes::default() };
    let error = mappings.of(Kind::Thrash).expect_err("a size of another kind");
    assert!(error.contains("--mappings"), "{error}");
    assert_eq!(mib.of(Kind::Huge).expect("a size of this kind").private, 256);
    let error = Sizes { mappings: Some(257), ..mib }.of(Kind::Huge).expect_err("empty mappings");
    assert!(error.contains("256 pages"), "{error}");
}

#[test]
fn the_huge_member_records_its_latency() {
    let _alone = alone();
    let spec = Spec { private: 4096, mappings: 500, ..Spec::usual(Kind::Huge) };
    let crowd = start(&spec);
    let pid = crowd.pids()[0];
    assert!(rollup(pid)["Rss"] >= 4 * 4096);
    assert!((500..600).contains(&text(pid, "maps").lines().count()), "{}", text(pid, "maps"));
    std::thread::sleep(Duration::from_millis(200));
    let report = crowd.end().expect("the crowd ends").expect("a record");
    let words: Vec<&str> = report.split(' ').collect();
    let number = |n: usize| words[n].parse::<u64>().unwrap_or_else(|_| panic!("{report}"));
    assert!(number(0) > 20, "too few times in 200 ms: {report}");
    let figures: Vec<u64> = (4..words.len()).step_by(2).map(number).collect();
    assert_eq!(figures.len(), 5, "{report}");
    assert!(figures.is_sorted(), "{report}");
}

/// Whether the host swaps to this file.
fn is_swap_area(path: &Path) -> bool {
    let text = read_to_string("/proc/swaps").expect("a file of the kernel");
    text.lines().any(|line| line.split(' ').next() == path.to_str())
}

/// Whether this user, or this container, may not add swap or limit memory.
fn lacks_rights(why: &str) -> bool {
    ["only root may", "swap file", "no control group"].iter().any(|part| why.contains(part))
}

#[test]
fn swapped_members_are_in_swap() {
    let _alone = alone();
    let spec = few(Kind::Swapped, 64);
    for is_root_killed in [false, true] {
        let mut crowd = match Crowd::start(&spec) {
            Err(why) if lacks_rights(&why) => {
                return skip("swapped_members_are_in_swap", &why);
            }
            started => started.unwrap_or_else(|error| panic!("{error}")),
        };
        let file = spec.swap_dir.join(format!("psm-uring-crowd-{}.swap", crowd.root()));
        assert!(is_swap_area(&file), "{file:?}");
        for _ in 0..2 {
            are_in_swap(&spec, crowd.pids());
            // The check swapped their arguments in.
            crowd.push_out().expect("the crowd lives");
        }
        let pids = crowd.pids().to_vec();
        finish(crowd, is_root_killed);
        assert!(are_gone(&pids));
        assert!(!is_swap_area(&file) && !file.exists(), "{file:?}");
    }
}

/// The directories of the host's control groups that have the name of this root's.
fn groups_of(root: Pid) -> Vec<PathBuf> {
    let mounts = read_to_string("/proc/self/mounts").expect("a file of the kernel");
    let hierarchies = mounts.lines().filter_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        words[2].starts_with("cgroup").then(|| Path::new(words[1]).to_owned())
    });
    let groups = hierarchies.map(|dir| dir.join(format!("psm-uring-crowd-{root}")));
    groups.filter(|group| group.exists()).collect()
}

/// Six members of 4 MiB in 10 MiB of memory.
#[test]
fn thrashing_members_swap_without_end() {
    let _alone = alone();
    let spec = Spec { private: 1024, ..few(Kind::Thrash, 6) };
    for is_root_killed in [false, true] {
        let crowd = match Crowd::start(&spec) {
            Err(why) if lacks_rights(&why) => {
                return skip("thrashing_members_swap_without_end", &why);
            }
            started => started.unwrap_or_else(|error| panic!("{error}")),
        };
        let (root, pids) = (crowd.root(), crowd.pids().to_vec());
        let file = spec.swap_dir.join(format!("psm-uring-crowd-{root}.swap"));
        assert!(is_swap_area(&file), "{file:?}");
        let name = format!("psm-uring-crowd-{root}");
        let is_inside = |pid: &Pid| text(*pid, "cgroup").lines().any(|line| line.ends_with(&name));
        assert!(pids.iter().all(is_inside) && !groups_of(root).is_empty(), "{pids:?}");
        let faults =
            || pids.iter().filter_map(|pid| stat(*pid)).map(|stat| stat.major_faults).sum();
        let before: u64 = faults();
        let swapped = until(RUN_LIMIT, || (faults() > before + 100).then_some(()));
        assert!(swapped.is_some(), "the members wait for no page");
        finish(crowd, is_root_killed);
        assert!(are_gone(&pids));
        assert!(!is_swap_area(&file) && !file.exists(), "{file:?}");
        assert_eq!(groups_of(root), [] as [PathBuf; 0]);
    }
}

#[test]
fn busy_loops_run_in_their_session() {
    let _alone = alone();
    let session = |pid: Pid| stat(pid).map(|stat| stat.session);
    for (busy_session, is_root_killed) in
        [(Session::Own, false), (Session::Own, true), (Session::Same, false), (Session::Same, true)]
    {
        let spec = Spec { busy: 3, busy_session, ..few(Kind::Small, 4) };
        let crowd = start(&spec);
        let (root, loops) = (crowd.root(), crowd.busy().to_vec());
        assert_eq!(loops.len(), 3);
        let sessions: Vec<_> = loops.iter().map(|pid| session(*pid)).collect();
        assert!(sessions.iter().all(|one| one.is_some() && *one == sessions[0]), "{sessions:?}");
        let is_ours = sessions[0] == session(root);
        assert_eq!(is_ours, busy_session == Session::Same, "{sessions:?}");
        let times = || loops.iter().map(|pid| stat(*pid).map_or(0, |stat| stat.ticks));
        let runs = until(RUN_LIMIT, || times().all(|ticks| ticks > 0).then_some(()));
        assert!(runs.is_some(), "{busy_session:?}: a loop uses no CPU time");
        finish(crowd, is_root_killed);
        assert!(are_gone(&loops), "{busy_session:?}");
    }
}

/// Pages of other processes that return from swap stay in the swap cache. They do not count as
/// pages of the crowd.
#[test]
fn pages_of_others_may_stay_in_the_swap_cache() {
    const NAME: &str = "pages_of_others_may_stay_in_the_swap_cache";
    let _alone = alone();
    let spec = few(Kind::Swapped, 16);
    let swapped = || match Crowd::start(&spec) {
        Err(why) if lacks_rights(&why) => {
            skip(NAME, &why);
            None
        }
        started => Some(started.unwrap_or_else(|error| panic!("{error}"))),
    };
    let Some(mut crowd) = swapped() else { return };
    let Some(others) = swapped() else { return };
    are_in_swap(&spec, others.pids());
    crowd.push_out().expect("the crowd lives");
    are_in_swap(&spec, crowd.pids());
    for crowd in [others, crowd] {
        crowd.end().expect("swap goes off");
    }
}

#[test]
fn unusable_swap_files_are_refused() {
    let _alone = alone();
    let on = |dir: &str| Spec { swap_dir: dir.into(), ..few(Kind::Swapped, 2) };
    let error = Crowd::start(&on("/proc/none")).err().expect("there is no such directory");
    assert!(error.contains("only root may") || error.contains("--swap-dir"), "{error}");
    // The kernel does not swap to a file system in memory.
    let in_memory = Path::new("/dev/shm");
    let list = || std::fs::read_dir(in_memory).map(Iterator::count).unwrap_or(0);
    if !in_memory.is_dir() {
        return skip("unusable_swap_files_are_refused", "a part: there is no /dev/shm");
    }
    let before = list();
    let error = Crowd::start(&on("/dev/shm")).err().expect("no swap in memory");
    assert!(error.contains("only root may") || error.contains("swap file"), "{error}");
    assert_eq!(list(), before, "a file is left behind");
}

/// The arguments of all members are on disk, and each has its own title.
fn are_in_swap(spec: &Spec, pids: &[Pid]) {
    let swapped_in = || {
        let text = read_to_string("/proc/vmstat").expect("a file of the kernel");
        let count = text.lines().find_map(|line| line.strip_prefix("pswpin ")?.parse().ok());
        count.unwrap_or(0_usize)
    };
    let before = swapped_in();
    for (n, pid) in pids.iter().enumerate() {
        assert!(rollup(*pid)["SwapPss"] >= 4 * spec.private as u64, "{pid}");
        let title = format!("crowd: member {n} of {}", pids.len());
        assert_eq!(text(*pid, "cmdline").split('\0').next(), Some(title.as_str()));
    }
    // The kernel reads a few neighbouring pages as well.
    let pages = swapped_in() - before;
    assert!(pages >= pids.len(), "{pages} pages were read from disk");
}
