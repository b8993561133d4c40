//! The real `/proc`: the test starts and stops processes, and compares the program's figures with
//! an independent, plain reading of the same files. Needs no privilege: the test owns all
//! processes.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use crate::support::child::Target;
use crate::support::survey::{Snapshot, has_uring, open, survey, tuning};
use crate::support::{run, skip, until};
use psm_uring::engine::EngineKind;
use psm_uring::process::{NameRule, Plan, Source, WINDOW_BYTES, WalkRule};
use psm_uring::smaps::{Field, Smaps};
use psm_uring::sys::pages::walk_rule;
use psm_uring::sys::proc_root::ProcRoot;
use psm_uring::sys::threads;
use psm_uring::units::{Kib, Pid};
use rustix::process::{getpriority_process, nice};

/// Time limit for two readings of one process to agree: pages of shared libraries count differently
/// while other programs start and exit.
const QUIET_LIMIT: Duration = Duration::from_secs(20);

fn root() -> ProcRoot {
    ProcRoot::open("/proc".as_ref()).expect("a /proc")
}

/// The sums of a smaps text by key, from a plain parser.
fn sums(pid: Pid, file: &str) -> BTreeMap<String, u64> {
    let text = std::fs::read(format!("/proc/{pid}/{file}")).expect("a child of ours may be read");
    let text = String::from_utf8_lossy(&text).into_owned();
    let mut sums = BTreeMap::new();
    for line in text.lines().filter(|line| line.ends_with(" kB")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let kib: u64 = words[1].parse().expect("a number");
        *sums.entry(words[0].trim_end_matches(':').to_owned()).or_default() += kib;
    }
    sums
}

fn one_survey(kind: EngineKind, source: Source, pids: &[Pid]) -> Snapshot {
    let plan = Plan { source, ..Plan::default() };
    survey(&mut open(kind, &root(), tuning(2, 3)), pids, &plan)
}

/// Measures one process while nothing around it changes: the kernel's sums and the program's.
fn measure(kind: EngineKind, source: Source, pid: Pid) -> (BTreeMap<String, u64>, Smaps) {
    let measured = until(QUIET_LIMIT, || {
        let before = sums(pid, "smaps_rollup");
        let snapshot = one_survey(kind, source, &[pid]);
        assert_eq!(snapshot.coverage.measured, 1, "{:?}", snapshot.coverage);
        (before == sums(pid, "smaps_rollup")).then(|| (before, snapshot.processes[0].2))
    });
    measured.expect("two readings of a stopped process that agree")
}

fn engines(test: &str) -> Vec<EngineKind> {
    let mut kinds = vec![EngineKind::Sync, EngineKind::Threads];
    kinds.extend(has_uring(test).then_some(EngineKind::Uring));
    kinds
}

#[test]
fn sums_equal_the_kernels() {
    let target = Target::stopped("family 8192 3");
    let mut family = target.children(3, 'T');
    family.push(target.pid());
    for kind in engines("sums_equal_the_kernels") {
        for pid in &family {
            let (kernel, smaps) = measure(kind, Source::Rollup, *pid);
            assert_eq!(smaps.rss().0, kernel["Rss"], "{kind:?}");
            assert_eq!(smaps.pss().0, kernel["Pss"], "{kind:?}");
            let uss = kernel["Private_Clean"] + kernel["Private_Dirty"];
            assert_eq!(smaps.uss().0, uss, "{kind:?}");
            let swap = kernel.get("SwapPss").unwrap_or(&kernel["Swap"]);
            assert_eq!(smaps.swap(), Some(Kib(*swap)), "{kind:?}");
        }
    }
}

/// A walk over page tables has the kernel's sums, small windows or big ones, with every engine.
#[test]
fn walks_equal_the_kernels_sums() {
    const TEST: &str = "walks_equal_the_kernels_sums";
    let target = Target::stopped("family 8192 3");
    let mut family = target.children(3, 'T');
    family.push(target.pid());
    let keys = ["Rss", "Pss", "Pss_Anon", "Pss_File", "Pss_Shmem", "Swap"];
    for (kind, window_bytes) in
        engines(TEST).into_iter().flat_map(|kind| [(kind, WINDOW_BYTES), (kind, 4096)])
    {
        let rule = match walk_rule(&root(), window_bytes) {
            Ok(rule) => WalkRule { is_forced: true, ..rule },
            Err(errno) => return skip(TEST, &format!("no page frames: {errno}")),
        };
        let plan = Plan { source: Source::Pagemap, walk: Some(rule), ..Plan::default() };
        for pid in &family {
            let agreed = until(QUIET_LIMIT, || {
                let kernel = sums(*pid, "smaps_rollup");
                let found = survey(&mut open(kind, &root(), tuning(2, 3)), &[*pid], &plan);
                let smaps = found.of(*pid).expect("it is measured");
                assert_eq!(smaps.get(Field::LazyFree), None, "the figures are those of a walk");
                let uss = kernel["Private_Clean"] + kernel["Private_Dirty"];
                let is_field = |key: &str, field: &Field| field.key() == key;
                let figure = |key: &str| {
                    let field = Field::ALL.into_iter().find(|field| is_field(key, field));
                    smaps.get(field.expect("a field")).map(|kib| kib.0)
                };
                let is_equal = |key: &&str| figure(key) == kernel.get(*key).copied();
                (keys.iter().all(is_equal) && smaps.uss().0 == uss).then_some(())
            });
            assert!(agreed.is_some(), "{kind:?} {window_bytes}: {pid} differs from its rollup");
        }
    }
}

/// The kernel rounds each mapping down to a kB; no other difference is allowed.
#[test]
fn smaps_differ_by_rounding_only() {
    let target = Target::stopped("family 8192 2");
    target.children(2, 'T');
    for kind in engines("smaps_differ_by_rounding_only") {
        let (kernel, smaps) = measure(kind, Source::Smaps, target.pid());
        assert!(smaps.mappings() > 10, "{} mappings", smaps.mappings());
        let near = |ours: u64, kernels: u64| ours <= kernels && kernels - ours <= smaps.mappings();
        assert!(near(smaps.pss().0, kernel["Pss"]), "{:?} {}", smaps.pss(), kernel["Pss"]);
        assert_eq!(smaps.rss().0, kernel["Rss"], "whole pages are never rounded");
        let uss = kernel["Private_Clean"] + kernel["Private_Dirty"];
        assert_eq!(smaps.uss().0, uss, "whole pages are never rounded");
        let swap = kernel.get("SwapPss").unwrap_or(&kernel["Swap"]);
        assert!(near(smaps.swap().expect("SwapPss").0, *swap), "{:?} {swap}", smaps.swap());
    }
}

/// Memory shared by four processes counts once, not four times.
#[test]
fn shared_memory_counts_once() {
    const KIB: u64 = 64 * 1024;
    let target = Target::stopped_as(b"the family", &format!("family {KIB} 3"));
    let mut family = target.children(3, 'T');
    family.push(target.pid());
    let list: Vec<String> = family.iter().map(Pid::to_string).collect();
    let ran = run(["--pid", &list.join(","), "--unit", "KiB", "--no-header"]);
    let rows = ran.rows();
    let [row] = &rows[..] else { panic!("one program expected: {}", ran.stdout()) };
    assert_eq!(row.name, "the family (4)");
    assert!(row.ram >= KIB && row.ram < KIB + KIB / 4, "{} KiB for {KIB}", row.ram);
    assert!(row.shared >= KIB && row.shared <= row.ram, "{} KiB are shared", row.shared);
}

/// The private memory of a process is exact to the kB in the table: RAM less SHARED.
#[test]
fn touched_memory_is_in_the_table() {
    let target = Target::stopped("touch 20000");
    let pid = target.pid().to_string();
    for engine in ["sync", "threads", "auto"] {
        let arguments =
            ["-p", &pid, "--by", "pid", "--unit", "kib", "--no-header", "--engine", engine];
        let agreed = until(QUIET_LIMIT, || {
            let rows = run(arguments).rows();
            assert_eq!(rows[0].name, format!("target ({pid})"));
            let kernel = sums(target.pid(), "smaps_rollup");
            let uss = kernel["Private_Clean"] + kernel["Private_Dirty"];
            assert!((20_000..24_000).contains(&uss), "{uss}");
            (rows[0].ram - rows[0].shared == uss).then_some(())
        });
        assert!(agreed.is_some(), "{engine} does not agree with the kernel");
    }
}

/// Every engine, name rule and source on stopped processes.
#[test]
fn engines_agree_on_live_processes() {
    let targets = [
        Target::stopped("touch 1000"),
        Target::stopped("mappings 500"),
        Target::stopped_as(b"\xff\x1b[31m", "family 3000 2"),
        // These names need the binary, and comm.
        Target::stopped_as(b"/proc/self/exe", "touch 10"),
        Target::stopped_as(b"bin/server", "touch 20"),
    ];
    let mut pids: Vec<Pid> = targets.iter().map(Target::pid).collect();
    pids.extend(targets[2].children(2, 'T'));
    let mut cases = Vec::new();
    for kind in engines("engines_agree_on_live_processes") {
        for (workers, depth) in [(1, 1), (2, 2), (8, 3), (2, 64)] {
            cases.push((kind, tuning(workers, depth)));
        }
    }
    for name_rule in [NameRule::Title, NameRule::Comm, NameRule::Exe, NameRule::Cmdline] {
        for source in [Source::Auto, Source::Rollup, Source::Smaps] {
            let plan = Plan { name_rule, source, ..Plan::default() };
            let reference =
                || survey(&mut open(EngineKind::Sync, &root(), tuning(1, 1)), &pids, &plan);
            for (kind, tuning) in &cases {
                let agreed = until(QUIET_LIMIT, || {
                    let before = reference();
                    assert_eq!(before.processes.len(), pids.len(), "{:?}", before.coverage);
                    let found = survey(&mut open(*kind, &root(), *tuning), &pids, &plan);
                    (found == before).then_some(())
                });
                assert!(agreed.is_some(), "{kind:?} {tuning:?} {plan:?} differs from sync");
            }
        }
    }
}

#[test]
fn titles_as_processes_set_them() {
    let binary = std::env::current_exe().expect("a path of our own");
    let binary = binary.file_name().and_then(|name| name.to_str()).expect("a name of ours");
    for (argv0, shown) in [
        (&b"postgres: writer"[..], "postgres: writer"),
        (b"/opt/some where/server", "server"),
        (b".venv/bin/python", "python"),
        (b"bin/server", "server"),
        (format!("lib/{binary}").as_bytes(), binary),
        (b"TCP/IP helper", "TCP/IP helper"),
        (b"/proc/self/exe", binary),
        (b"/dev/fd/3", binary),
        (b"[celeryd@default:MainProcess]", "[celeryd@default:MainProcess]"),
        (b"serv\xff\xfeer", "serv\\xff\\xfeer"),
        (b"red\x1b[31m\nrow\x07", "red\\u{1b}[31m\\nrow\\u{7}"),
        (b"re\xe2\x80\xaetxt", "re\\u{202e}txt"),
    ] {
        let target = Target::stopped_as(argv0, "touch 4");
        let pid = target.pid().to_string();
        let ran = run(["--pid", &pid, "--no-header", "--unit", "KiB"]);
        assert_eq!(ran.rows()[0].name, format!("{shown} (1)"));
        let ran = run(["--pid", &pid, "--no-header", "--unit", "KiB", "--name", "comm"]);
        let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).expect("comm");
        assert_eq!(ran.rows()[0].name, format!("{} (1)", comm.trim_end()));
    }
}

/// The peak memory that the program reports for itself.
fn peak(pid: Pid, engine: &str) -> u64 {
    let ran = run(["-p", &pid.to_string(), "--source", "smaps", "--stats", "--engine", engine]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr());
    let peak = ran.stat("peak memory");
    peak.split(' ').next().expect("a word").parse().expect("a number")
}

/// A smaps text of any length passes through the same buffers.
#[test]
fn many_mappings_in_bounded_memory() {
    const MAPPINGS: u64 = 10_000;
    let few = Target::stopped("touch 4");
    let many = Target::stopped(&format!("mappings {MAPPINGS}"));
    let agreed = until(QUIET_LIMIT, || {
        let snapshot = one_survey(EngineKind::Auto, Source::Smaps, &[many.pid()]);
        let smaps = snapshot.of(many.pid()).expect("it is measured");
        assert!(smaps.mappings() >= MAPPINGS, "{} mappings", smaps.mappings());
        let kernel = sums(many.pid(), "smaps");
        assert_eq!(smaps.rss().0, kernel["Rss"]);
        // Pages of this test's file change between private and shared as other tests start and
        // exit.
        (smaps.uss().0 == kernel["Private_Clean"] + kernel["Private_Dirty"]).then_some(())
    });
    assert!(agreed.is_some(), "private pages differ from the kernel's sums");
    for engine in ["sync", "threads", "auto"] {
        let (few, many) = (peak(few.pid(), engine), peak(many.pid(), engine));
        assert!(many < few + 1024, "{engine}: {many} KiB for many mappings, {few} for few");
    }
}

/// The peak is the program's own, independent of its parent: `ru_maxrss` of a process starts with
/// the parent's value before the exec.
#[test]
fn peak_memory_is_its_own() {
    let ballast = vec![1_u8; 64 << 20];
    let target = Target::stopped("touch 4");
    for engine in ["sync", "threads", "auto"] {
        let peak = peak(target.pid(), engine);
        assert!(peak < 16 * 1024, "{engine}: {peak} KiB");
    }
    drop(std::hint::black_box(ballast));
}

/// Swap and huge pages are few: one test at a time.
static SCARCE: Mutex<()> = Mutex::new(());

/// A line of `/proc/meminfo`.
fn meminfo(key: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").expect("meminfo");
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let number = value.and_then(|value| value.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0)
}

fn has_swap(test: &str) -> bool {
    let has_swap = meminfo("SwapFree") >= 16 * 1024;
    if !has_swap {
        skip(test, "there is no swap");
    }
    has_swap
}

fn has_huge_page(test: &str) -> bool {
    let has_page = meminfo("HugePages_Free") > 0 && meminfo("Hugepagesize") == 2048;
    if !has_page {
        skip(test, "no huge page of 2 MiB is free (vm.nr_hugepages)");
    }
    has_page
}

#[test]
fn swapped_memory() {
    let _one = SCARCE.lock();
    if !has_swap("swapped_memory") {
        return;
    }
    let target = Target::stopped("swapped 8192");
    for kind in engines("swapped_memory") {
        let (kernel, smaps) = measure(kind, Source::Auto, target.pid());
        assert_eq!(smaps.swap(), Some(Kib(kernel["SwapPss"])));
        if kernel["SwapPss"] == 0 {
            skip("swapped_memory", "the kernel did not swap out what it was asked to");
        }
    }
}

/// A figure in KiB of these processes together: the total, which is the sum of the rows.
fn figures(column: &str, pids: &[Pid], arguments: [&str; 2]) -> u64 {
    let list: Vec<String> = pids.iter().map(Pid::to_string).collect();
    let (list, columns) = (list.join(","), format!("{column},name"));
    let ran = run(["-p", &list, "-o", "csv", "--columns", &columns].into_iter().chain(arguments));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr());
    let kib = |line: &str| line.split(',').nth(1)?.parse::<u64>().ok().map(|bytes| bytes / 1024);
    let text = ran.stdout();
    let total = text.lines().find(|line| line.starts_with("total,")).and_then(kib);
    let rows = text.lines().filter(|line| line.starts_with("program,")).filter_map(kib);
    let rows: u64 = rows.sum();
    assert_eq!(total, Some(rows), "{arguments:?}\n{text}");
    rows
}

/// Shared memory in swap counts whole in each process, in the figures of the kernel. The memory is
/// 8 MiB by construction, and `/proc/swaps` has at least as much in use.
#[test]
fn swapped_memory_of_several_processes_counts_once() {
    const KIB: u64 = 8192;
    let _one = SCARCE.lock();
    let test = "swapped_memory_of_several_processes_counts_once";
    if !has_swap(test) {
        return;
    }
    let target = Target::start_as(b"pool", &format!("swapped-pool {KIB} 3"));
    let mut pids = target.children(3, 'T');
    pids.push(target.pid());
    let kernel = |key: &str| pids.iter().map(|pid| sums(*pid, "smaps_rollup")[key]).sum::<u64>();
    if pids.iter().any(|pid| sums(*pid, "smaps_rollup")["Swap"] < KIB) {
        return skip(test, "the kernel did not swap out what it was asked to");
    }
    assert!(kernel("Swap") >= 4 * KIB, "{} KiB", kernel("Swap"));
    assert!(used_swap() >= KIB, "{} KiB in use", used_swap());
    for arguments in SOME_ROWS {
        let agreed = until(QUIET_LIMIT, || {
            // Pages of their own may be in swap, too.
            let expected = KIB + kernel("SwapPss");
            let found = figures("swap", &pids, arguments);
            (found == expected && expected == KIB + kernel("SwapPss")).then_some(())
        });
        let found = figures("swap", &pids, arguments);
        assert!(agreed.is_some(), "{arguments:?}: {found} KiB for {KIB} and {}", kernel("SwapPss"));
    }
}

/// Rows of one process and of several.
const SOME_ROWS: [[&str; 2]; 5] =
    [["--by", "pid"], ["--by", "user"], ["--by", "unit"], ["--name", "comm"], ["--name", "title"]];

/// The swap in use, in KiB.
fn used_swap() -> u64 {
    let text = std::fs::read_to_string("/proc/swaps").expect("swaps");
    let used = |line: &str| line.split_whitespace().nth(3)?.parse::<u64>().ok();
    text.lines().skip(1).filter_map(used).sum()
}

/// Huge pages are not in the kernel's Pss, but they are RAM.
#[test]
fn huge_pages_are_counted() {
    let _one = SCARCE.lock();
    if !has_huge_page("huge_pages_are_counted") {
        return;
    }
    let target = Target::stopped("hugetlb 1");
    let agreed = until(QUIET_LIMIT, || {
        let ran = run(["-p", &target.pid().to_string(), "--unit", "KiB", "--no-header"]);
        let (smaps, row) = (sums(target.pid(), "smaps_rollup"), &ran.rows()[0]);
        assert_eq!(smaps["Private_Hugetlb"], 2048);
        let uss = smaps["Private_Clean"] + smaps["Private_Dirty"];
        (row.ram - row.shared == uss + 2048).then_some(())
    });
    assert!(agreed.is_some(), "the page of 2 MiB is not private RAM in the table");
}

/// The children inherit the page, and each has a comm of its own. The counters of the host tell
/// how many pages are in use.
#[test]
fn huge_pages_are_counted_once_for_several_processes() {
    let _one = SCARCE.lock();
    if !has_huge_page("huge_pages_are_counted_once_for_several_processes") {
        return;
    }
    let free = meminfo("HugePages_Free");
    let target = Target::start_as(b"pool", "pool 1 3");
    let mut pids = target.children(3, 'T');
    pids.push(target.pid());
    let taken = (free - meminfo("HugePages_Free")) * meminfo("Hugepagesize");
    assert_eq!(taken, 2048, "huge pages of other processes came or went");
    let kernel = pids.iter().map(|pid| sums(*pid, "smaps_rollup")["Shared_Hugetlb"]);
    assert_eq!(kernel.sum::<u64>(), 4 * taken, "the kernel counts the page in each process");
    for arguments in SOME_ROWS {
        assert_eq!(figures("hugetlb", &pids, arguments), taken, "{arguments:?}");
    }
}

/// This host, for any user: a report, and at most one line about missing processes.
#[test]
fn the_host_as_it_is() {
    for engine in ["sync", "threads", "auto"] {
        let ran = run(["--engine", engine]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr());
        assert!(ran.stdout().contains("TOTAL USED BY PROCESSES\n"), "{}", ran.stdout());
        let notes = ran.stderr();
        assert!(notes.lines().count() <= 1, "{notes}");
        assert!(notes.is_empty() || notes.starts_with("psm-uring: measured "), "{notes}");
    }
}

/// Counts the ring workers of the calling thread by their nice value, which they inherit. Their
/// names have the id of the thread in the first PID namespace, which a container does not know.
fn ring_workers(nice: i32) -> usize {
    let mut workers = 0;
    threads::ring_workers(false, |thread, _| {
        let thread = i32::try_from(thread).ok().and_then(rustix::process::Pid::from_raw);
        workers += usize::from(getpriority_process(thread) == Ok(nice));
    });
    workers
}

/// By default the kernel assigns a crowd of the size of most hosts to a single worker.
#[test]
fn a_small_crowd_is_shared_by_two_workers() {
    const TEST: &str = "a_small_crowd_is_shared_by_two_workers";
    const CHILDREN: usize = 100;
    const SURVEYS: usize = 9;
    if !has_uring(TEST) {
        return;
    }
    if threads::cpus() < 2 {
        return skip(TEST, "there is one CPU");
    }
    let target = Target::stopped(&format!("family 64 {CHILDREN}"));
    let pids = target.children(CHILDREN, 'T');
    // Workers belong to the thread, not to the ring: each survey runs in its own thread.
    let workers_of_one = || {
        let nice = nice(1).expect("a lower priority");
        let mut surveyor = open(EngineKind::Uring, &root(), tuning(2, 128));
        let measured = survey(&mut surveyor, &pids, &Plan::default());
        assert_eq!(measured.coverage.measured, CHILDREN);
        ring_workers(nice)
    };
    let one = || std::thread::scope(|scope| scope.spawn(workers_of_one).join());
    let workers = [(); SURVEYS].map(|()| one().expect("a survey"));
    // On a busy machine one worker may finish before the other starts.
    assert!(
        workers.iter().any(|workers| *workers >= 2),
        "workers of {SURVEYS} surveys: {workers:?}"
    );
}

/// The start time distinguishes two processes with the same id.
#[test]
fn the_start_time_is_that_of_stat() {
    let target = Target::stopped("touch 64");
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", target.pid())).expect("a child");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    let list = target.pid().to_string();
    let ran = run(["--pid", &list, "--by", "pid", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout()).expect("a document");
    let told = &report["programs"][0]["start_time"];
    assert_eq!(told.to_string(), fields[19], "{stat}");
}

/// Even at deadline 0 the program recognizes a dead process: its memory is not missing. The search
/// takes little time; a busy machine may use that up in one run, but not in all.
#[test]
fn a_zombie_is_not_missing_at_a_deadline() {
    let target = Target::start_as(b"zombie", "exit");
    target.wait_for_state(target.pid(), 'Z');
    let list = target.pid().to_string();
    for engine in ["auto", "threads", "sync"] {
        let mut told = String::new();
        let is_found = until(QUIET_LIMIT, || {
            told = run(["--pid", &list, "--deadline", "0", "--engine", engine, "--stats"]).stderr();
            let is_zombie = told.contains("1 listed:") && told.contains(" 1 zombie");
            (is_zombie && told.contains(" 0 not asked")).then_some(())
        });
        assert!(is_found.is_some(), "{engine}: {told}");
    }
}
