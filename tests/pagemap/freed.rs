//! The memory that killed processes give back: a group of processes runs in a control group of its
//! own, a party predicts the figure, the processes are killed, and the counters of the kernel fall.

use std::fs::read_to_string;
use std::time::Duration;

use psm_uring::units::Pid;
use rustix::process::{Signal, kill_process};
use serde_json::Value;

use super::alone;
use super::crowd::cgroup::{MemoryGroup, remove};
use super::kinds::prove;
use super::parties::document;
use super::support::child::state;
use super::support::{skip, until};
use super::twin::{Class, Frame, Walk, users_of_slots};
use super::zoo::Zoo;

/// The uncertainty of the counters of a control group: each CPU adds up for itself first.
const TOLERANCE_KIB: u64 = 128;
/// The time after which a counter has its last value.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);
/// Far more than a group needs.
const GROUP_BYTES: u64 = 4 << 30;

/// The killed ones of a process and its children.
#[derive(Clone, Copy, Debug)]
enum Killed {
    All,
    Children,
    FirstChild,
}

/// Memory by the counter that knows it, in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Freed {
    /// Private and shared memory of the control group.
    memory: u64,
    /// The pool of huge pages.
    hugetlb: u64,
    swap: u64,
}

impl Freed {
    fn is_near(self, other: Freed) -> bool {
        let [a, b] = [self, other].map(|freed| [freed.memory, freed.hugetlb, freed.swap]);
        a.iter().zip(b).all(|(a, b)| a.abs_diff(b) <= TOLERANCE_KIB)
    }
}

/// One experiment.
struct Case {
    words: &'static [&'static str],
    killed: Killed,
    freed: Freed,
    /// Memory that no killed process maps, and that ends with them: no walk can find it.
    unmapped: u64,
    /// Shared memory in swap. No page table has it, so only a report of the host knows its users.
    shared_swap: u64,
}

const fn memory(words: &'static [&'static str], killed: Killed, memory: u64) -> Case {
    Case {
        words,
        killed,
        freed: Freed { memory, hugetlb: 0, swap: 0 },
        unmapped: 0,
        shared_swap: 0,
    }
}

const fn hugetlb(words: &'static [&'static str], killed: Killed, hugetlb: u64) -> Case {
    Case {
        words,
        killed,
        freed: Freed { memory: 56, hugetlb, swap: 0 },
        unmapped: 0,
        shared_swap: 0,
    }
}

const fn swapped(words: &'static [&'static str], killed: Killed, freed: Freed) -> Case {
    Case { words, killed, freed, unmapped: 0, shared_swap: 0 }
}

/// The figures were measured on Linux 6.18. A process of its own has 56 KiB, a forked one 28.
const CASES: [Case; 30] = [
    memory(&["fork", "32", "3"], Killed::All, 57_480),
    memory(&["fork", "32", "3"], Killed::Children, 24_660),
    memory(&["fork", "32", "3"], Killed::FirstChild, 8_216),
    memory(&["thp", "32"], Killed::All, 32_824),
    memory(&["thp_fork", "32"], Killed::Children, 32),
    memory(&["thp_cow_head", "32"], Killed::Children, 96),
    memory(&["shmem", "32"], Killed::All, 32_824),
    memory(&["shmem_thp", "32"], Killed::All, 32_824),
    memory(&["memfd", "32"], Killed::All, 32_824),
    Case { unmapped: 16_384, ..memory(&["memfd_unmapped", "32"], Killed::All, 32_824) },
    memory(&["tmpfs_unlinked", "32"], Killed::All, 32_824),
    memory(&["tmpfs", "32"], Killed::All, 56),
    memory(&["sysv_removed", "32"], Killed::All, 32_824),
    memory(&["sysv", "32"], Killed::All, 56),
    memory(&["file_private", "32"], Killed::All, 16_440),
    memory(&["file_shared", "32"], Killed::All, 56),
    memory(&["guard", "32"], Killed::All, 24_632),
    memory(&["locked", "32"], Killed::All, 32_824),
    memory(&["lazyfree", "32"], Killed::All, 32_824),
    memory(&["secretmem", "1"], Killed::All, 56),
    memory(&["uring", "1"], Killed::All, 56),
    memory(&["ksm", "32"], Killed::All, 220),
    hugetlb(&["hugetlb", "32"], Killed::All, 32_768),
    hugetlb(&["hugetlb_fork", "32"], Killed::All, 32_768),
    hugetlb(&["hugetlb_shared", "32"], Killed::All, 32_768),
    hugetlb(&["hugetlb_fork", "32"], Killed::Children, 0),
    swapped(&["swap_fork", "64"], Killed::All, Freed { memory: 88, hugetlb: 0, swap: 65_536 }),
    swapped(&["swap_fork", "64"], Killed::FirstChild, Freed { memory: 28, hugetlb: 0, swap: 0 }),
    swapped(&["swap", "32"], Killed::All, Freed { memory: 56, hugetlb: 0, swap: 32_768 }),
    Case {
        shared_swap: 49_152,
        ..swapped(
            &["swap_shmem", "64"],
            Killed::All,
            Freed { memory: 16_440, hugetlb: 0, swap: 49_152 },
        )
    },
];

/// Predictions for the first processes, which are to be killed, of all those that may share pages
/// with them.
type Predict = fn(&[Pid], &[Pid]) -> Freed;
const PREDICTIONS: [(&str, Predict); 3] =
    [("twin", of_twin), ("psm-uring --pid", of_selection), (HOST, of_host)];
const HOST: &str = "psm-uring";

/// The column `freed` in a report of these processes alone.
fn of_selection(group: &[Pid], _: &[Pid]) -> Freed {
    let list = group.iter().map(Pid::to_string).collect::<Vec<_>>().join(",");
    of_program(&["--by", "user", "--pid", &list], |_| true)
}

/// The column `freed` in a report of the host: it has a row for a whole control group.
fn of_host(group: &[Pid], others: &[Pid]) -> Freed {
    if !others.is_empty() {
        return of_selection(group, others);
    }
    let path = cgroup_of(group[0]);
    of_program(&["--by", "cgroup"], |row| row["name"] == path)
}

fn of_program(words: &[&str], is_it: impl Fn(&Value) -> bool) -> Freed {
    let report = document([words, &["--columns", "freed,name"]].concat());
    let rows = report["programs"].as_array().expect("rows");
    let parts = &rows.iter().find(|row| is_it(row)).expect("a row")["freed_parts"];
    let kib = |key: &str| parts[key].as_u64().expect("an amount") >> 10;
    let memory = kib("anonymous") + kib("shared");
    Freed { memory, hugetlb: kib("hugetlb"), swap: kib("swap") }
}

/// The control group whose memory is charged.
fn cgroup_of(pid: Pid) -> String {
    let text = read_to_string(format!("/proc/{pid}/cgroup")).expect("it waits");
    let paths = text.lines().filter_map(|line| {
        let (_, controllers_and_path) = line.split_once(':')?;
        controllers_and_path.split_once(':')
    });
    let charged = |(controllers, _): &(&str, &str)| controllers.split(',').any(|c| c == "memory");
    let of_version_1 = paths.clone().find(charged);
    let path =
        of_version_1.or_else(|| paths.clone().find(|(controllers, _)| controllers.is_empty()));
    path.expect("a path").1.to_owned()
}

/// A page is freed if all entries that map it are those of the group.
fn of_twin(group: &[Pid], others: &[Pid]) -> Freed {
    let read = |pids: &[Pid]| -> Vec<Walk> {
        pids.iter().map(|pid| Walk::read(*pid).expect("it waits")).collect()
    };
    let (group, others) = (read(group), read(others));
    let mut frames: Vec<&Frame> = group.iter().flat_map(|walk| &walk.frames).collect();
    frames.sort_by_key(|frame| frame.number);
    let freed = |is_wanted: &dyn Fn(Class) -> bool| {
        let same = frames.chunk_by(|a, b| a.number == b.number);
        let is_freed = |same: &&[&Frame]| {
            let is_kept = same.iter().any(|frame| frame.is_kept);
            is_wanted(same[0].class) && !is_kept && same.len() as u64 >= same[0].count
        };
        kib(same.filter(is_freed).count())
    };
    let users = users_of_slots(&group);
    let users_of_all = users_of_slots(group.iter().chain(&others));
    let swap = users.iter().filter(|(slot, users)| users_of_all[*slot] == **users).count();
    Freed {
        memory: freed(&|class| matches!(class, Class::Anon | Class::Shmem)),
        hugetlb: freed(&|class| class == Class::Hugetlb),
        swap: kib(swap),
    }
}

fn kib(pages: usize) -> u64 {
    (pages * rustix::param::page_size()) as u64 >> 10
}

/// The value behind the first word of a line.
fn value(text: &str, key: &str) -> Option<u64> {
    let mut lines = text.lines().map(str::split_ascii_whitespace);
    lines.find_map(|mut words| (words.next()? == key).then(|| words.next()?.parse().ok())?)
}

/// The used memory.
fn used(group: &MemoryGroup) -> Freed {
    let stat = read_to_string(group.path().join("memory.stat")).expect("a group of ours");
    // Version 1 of control groups calls private memory `rss`.
    let private = value(&stat, "rss").or_else(|| value(&stat, "anon")).expect("private memory");
    let shared = value(&stat, "shmem").unwrap_or(0);
    let meminfo = read_to_string("/proc/meminfo").expect("meminfo");
    let number = |key| value(&meminfo, key).unwrap_or(0);
    let pages = number("HugePages_Total:") - number("HugePages_Free:");
    let swaps = read_to_string("/proc/swaps").unwrap_or_default();
    let areas = swaps.lines().skip(1).filter_map(|line| line.split_ascii_whitespace().nth(3));
    Freed {
        memory: (private + shared) >> 10,
        hugetlb: pages * number("Hugepagesize:"),
        swap: areas.filter_map(|used| used.parse::<u64>().ok()).sum(),
    }
}

/// Waits until all swapped pages are on disk. The kernel keeps a slot whose page it is writing when
/// the last process ends, until it needs the memory.
fn wait_for_writeback(group: &MemoryGroup) {
    let path = group.path().join("memory.stat");
    let is_over = || {
        let stat = read_to_string(&path).expect("a group of ours");
        // The second name is that of version 2.
        let bytes = value(&stat, "writeback").or_else(|| value(&stat, "file_writeback"));
        (bytes.unwrap_or(0) == 0).then_some(())
    };
    assert!(until(SETTLE_LIMIT * 4, is_over).is_some(), "the disk does not take the pages");
}

/// A group that [`remove`] removes.
struct OwnGroup(MemoryGroup);

impl OwnGroup {
    fn make() -> Result<OwnGroup, String> {
        MemoryGroup::make(std::process::id(), GROUP_BYTES).map(OwnGroup)
    }
}

impl Drop for OwnGroup {
    fn drop(&mut self) {
        let _ = remove(std::process::id());
    }
}

#[test]
fn killed_processes_free_what_the_walk_finds() {
    let rounds = std::env::var("PSM_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    let mut failures = Vec::new();
    for (round, case) in (0..rounds.unwrap_or(1)).flat_map(|n| CASES.iter().map(move |c| (n, c))) {
        let _alone = alone();
        let Case { words, killed, .. } = case;
        match run(case) {
            Ok(None) => {}
            Ok(Some(wrong)) => failures.push(format!("{words:?} {killed:?} {round}: {wrong}")),
            Err(why) => skip(&format!("freed::{}", words[0]), &why),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Runs an experiment; returns its failure, or the reason that it cannot run.
fn run(case: &Case) -> Result<Option<String>, String> {
    let group = OwnGroup::make()?;
    let zoo = Zoo::start_in(group.0.path(), case.words)?;
    let pids = zoo.pids();
    prove(case.words[0], pids[0])?;
    let (killed, others) = match case.killed {
        Killed::All => (pids.to_vec(), Vec::new()),
        Killed::Children => (pids[1..].to_vec(), vec![pids[0]]),
        Killed::FirstChild => (vec![pids[1]], [&pids[..1], &pids[2..]].concat()),
    };
    let predicted = PREDICTIONS.map(|(name, predict)| (name, predict(&killed, &others)));
    wait_for_writeback(&group.0);
    let before = used(&group.0);
    kill(&killed);
    let mut fell = Freed::default();
    // The counters lag behind.
    until(SETTLE_LIMIT, || {
        let now = used(&group.0);
        fell = Freed {
            memory: before.memory.saturating_sub(now.memory),
            hugetlb: before.hugetlb.saturating_sub(now.hugetlb),
            swap: before.swap.saturating_sub(now.swap),
        };
        fell.is_near(case.freed).then_some(())
    });
    drop(zoo);
    if !fell.is_near(case.freed) {
        return Ok(Some(format!("fell by {fell:?}, expected {:?}", case.freed)));
    }
    let found = |(name, freed): (&str, Freed)| {
        let shared_swap = if name == HOST { 0 } else { case.shared_swap };
        let (memory, swap) = (freed.memory + case.unmapped, freed.swap + shared_swap);
        Freed { memory, swap, ..freed }
    };
    let wrong = predicted.into_iter().find(|one| !found(*one).is_near(fell));
    Ok(wrong.map(|(name, freed)| format!("{name} predicted {freed:?}, fell by {fell:?}")))
}

/// Kills processes and waits until none has memory.
fn kill(pids: &[Pid]) {
    for pid in pids {
        let raw = i32::try_from(pid.0).ok().and_then(rustix::process::Pid::from_raw);
        kill_process(raw.expect("an id"), Signal::KILL).expect("it waits");
    }
    let is_over = |pid: &Pid| matches!(state(*pid), None | Some('Z' | 'X'));
    let over = until(SETTLE_LIMIT, || pids.iter().all(is_over).then_some(()));
    assert!(over.is_some(), "a killed process goes on");
}
