//! One process, answer by answer, without a kernel: an error at every step of every plan, each kind
//! of process, texts in pieces of any size and texts without an end.

use std::sync::Arc;

use crate::support::failures::{Failures, check, check_eq};
use crate::support::tables::Tables;
use crate::support::world::{Fault, LEADER, PID, ROLLUP, RULE, World};
use psm_uring::process::{
    Fate, NAME_MAX, NameRule, Plan, Probe, ProcFile, ReadNext, Source, TEXT_MAX, WalkRule, Want,
};
use psm_uring::units::Errno;
use regex::bytes::Regex;

const NAMES: [NameRule; 5] =
    [NameRule::Title, NameRule::Comm, NameRule::Exe, NameRule::Script, NameRule::Cmdline];
const SOURCES: [Source; 3] = [Source::Auto, Source::Rollup, Source::Smaps];
fn plans() -> Vec<Plan> {
    let all = Regex::new("").expect("a regular expression");
    let mut plans = Vec::new();
    for name_rule in NAMES {
        for source in SOURCES {
            plans.push(Plan { name_rule, source, ..Plan::default() });
            let filter = Some(all.clone());
            let asked = Plan { name_rule, source, filter, ..Plan::default() };
            plans.push(Plan { owner: true, cgroup: true, filter: None, ..asked.clone() });
            plans.push(Plan { owner: true, cgroup: true, ..asked.clone() });
            plans.push(asked);
        }
    }
    plans
}

/// The same, and plans that walk page tables: of every process, and of big ones, which this one is
/// not.
fn plans_with_walks() -> Vec<Plan> {
    let mut plans = plans();
    let of_rollup = plans.iter().filter(|plan| plan.source == Source::Auto);
    let walk = |is_forced| Some(WalkRule { is_forced, ..RULE });
    let walked =
        |plan: &Plan| [true, false].map(|forced| Plan { walk: walk(forced), ..plan.clone() });
    let walks: Vec<Plan> = of_rollup.flat_map(walked).collect();
    plans.extend(walks);
    plans
}

fn fate(world: &World, plan: &Plan) -> Fate {
    world.clone().carry(&mut Probe::new(), plan).fate
}

/// A process of each origin of a name.
fn worlds() -> [World; 5] {
    [World::user(), World::nameless(), World::doubtful(), World::relative(), World::magic()]
}

/// The fate of a process after a file fails: the rules, independent of the program's code.
fn expected_fate(what: &str, path: &str, plan: &Plan, fault: Fault) -> Fate {
    let file = path.rsplit('/').next().expect("a path");
    let is_memory = file.starts_with("smaps");
    let is_titled = matches!(plan.name_rule, NameRule::Title | NameRule::Script);
    match (file, fault.errno.0) {
        // The path ends by the rules.
        ("comm", libc::ENOENT | libc::ESRCH | libc::EACCES | libc::EPERM | libc::EOPNOTSUPP)
            if matches!(what, "doubtful" | "relative") && is_titled =>
        {
            Fate::Measured
        }
        // The binary is missing or unreadable: another name replaces it.
        (
            "exe",
            libc::ENOENT
            | libc::ESRCH
            | libc::EACCES
            | libc::EPERM
            | libc::ENAMETOOLONG
            | libc::EOPNOTSUPP,
        ) => Fate::Measured,
        // The control group is unknown.
        (
            "cgroup",
            libc::ENOENT | libc::ESRCH | libc::EACCES | libc::EPERM | libc::ENAMETOOLONG,
        ) => Fate::Measured,
        // A rollup replaces the walk.
        ("maps" | "pagemap", _) => Fate::Measured,
        // This kernel has no rollup.
        ("smaps_rollup", libc::ENOENT) if plan.source == Source::Auto => Fate::Measured,
        // The file is missing, but status reports a live process. Try again.
        (_, libc::ENOENT) if is_memory && fault.again => Fate::Failed(Errno::NOENT),
        (_, libc::ENOENT) if is_memory => Fate::Measured,
        // The address space is gone, but status reports a live process: it exec'ed. Try again.
        (_, libc::ESRCH) if is_memory && fault.again => Fate::Changed,
        (_, libc::ESRCH) if is_memory => Fate::Measured,
        // The thread is gone, but the process exists: try again.
        (_, libc::ENOENT | libc::ESRCH | libc::ENOTDIR) => match path.contains("/task/") {
            true if fault.again => Fate::Changed,
            true => Fate::Measured,
            false => Fate::Gone,
        },
        (_, libc::EACCES | libc::EPERM) => Fate::Denied,
        (_, errno) => Fate::Failed(Errno(errno)),
    }
}

const ERRNOS: [i32; 15] = [
    libc::ENOTDIR,
    libc::ENAMETOOLONG,
    libc::EOPNOTSUPP,
    libc::ENOENT,
    libc::ESRCH,
    libc::EACCES,
    libc::EPERM,
    libc::EIO,
    libc::ENOMEM,
    libc::EMFILE,
    libc::EAGAIN,
    libc::EINTR,
    libc::ECANCELED,
    libc::EOVERFLOW,
    libc::ETIMEDOUT,
];

#[test]
fn an_error_at_every_step() {
    let mut failures = Failures::new();
    let mut tried = 0;
    for (what, world) in [
        ("user", World::user()),
        ("nameless", World::nameless()),
        ("doubtful", World::doubtful()),
        ("relative", World::relative()),
        ("magic", World::magic()),
        ("leaderless", World::leaderless()),
    ] {
        for plan in plans_with_walks() {
            let mut sound = world.clone();
            let fate = sound.carry(&mut Probe::new(), &plan).fate;
            check_eq!(failures, fate, Fate::Measured, "{what} {plan:?}");
            for (step, path) in sound.steps.iter().enumerate() {
                for (errno, again) in ERRNOS.iter().flat_map(|e| [(*e, false), (*e, true)]) {
                    let fault = Fault { step, errno: Errno(errno), again };
                    let mut faulty = World { fault: Some(fault), ..world.clone() };
                    let mut probe = Probe::new();
                    let found = faulty.carry(&mut probe, &plan);
                    // A dead leader has no memory to lose.
                    let is_dead = what == "leaderless" && path.matches('/').count() == 1;
                    let expected = match expected_fate(what, path, &plan, fault) {
                        Fate::Changed | Fate::Failed(Errno::NOENT) if is_dead => Fate::Measured,
                        fate => fate,
                    };
                    check_eq!(failures, found.fate, expected, "{what} {plan:?} {path} {fault:?}");
                    assert_is_over(&mut probe);
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 5000, "only {tried} faults were tried");
}

/// Late answers change nothing.
fn assert_is_over(probe: &mut Probe) {
    let before = (probe.fate(), probe.name().to_vec(), probe.smaps().copied());
    use ProcFile::{Cmdline, Maps, Pagemap, Smaps, SmapsRollup, Statm, Status};
    for file in [Cmdline, Status, SmapsRollup, Smaps, Statm, Maps, Pagemap] {
        assert!(!probe.expects(file) && !probe.awaits_memory());
        assert_eq!(probe.feed(file, ROLLUP.as_bytes(), 4096), ReadNext::Done);
        probe.fail(file, Errno::ACCES);
    }
    assert_eq!((probe.fate(), probe.name().to_vec(), probe.smaps().copied()), before);
    assert_eq!(probe.want(), None);
}

#[test]
fn names_by_rule() {
    let mut failures = Failures::new();
    let comm =
        |rule| if rule == NameRule::Comm || rule == NameRule::Exe { "comm" } else { "[comm]" };
    for plan in plans_with_walks() {
        let name = |world: World| world.clone().carry(&mut Probe::new(), &plan).name;
        let expected = match plan.name_rule {
            NameRule::Title | NameRule::Script => "title",
            NameRule::Comm => "comm",
            NameRule::Exe => "exe",
            NameRule::Cmdline => "/bin/title -x",
        };
        check_eq!(failures, name(World::user()), expected, "{plan:?}");
        check_eq!(failures, name(World::leaderless()), expected, "{plan:?}");
        let no_exe = World::nameless().failing(&["exe"], Errno::ACCES);
        check_eq!(failures, name(no_exe), comm(plan.name_rule), "{plan:?}");
        let [doubtful, magic] = match plan.name_rule {
            NameRule::Title | NameRule::Script => ["title: a/b", "exe"],
            NameRule::Cmdline => ["/bin/title: a/b", "/proc/self/exe -x"],
            NameRule::Comm | NameRule::Exe => [expected; 2],
        };
        check_eq!(failures, name(World::doubtful()), doubtful, "{plan:?}");
        check_eq!(failures, name(World::magic()), magic, "{plan:?}");
    }
}

/// When another process takes over by an exec or by its id, the probe never combines the memory of
/// one with the name of the other.
#[test]
fn name_and_memory_belong_together() {
    let mut failures = Failures::new();
    let other = |world: World| {
        let status = "Name:\tother\nState:\tS (sleeping)\nVmSize:\t 9 kB\nThreads:\t1\n";
        let world = world.with("comm", "other\n").with("exe", "/other").with("status", status);
        world.with_tables(Tables::of_kib(777, 4096))
    };
    let others = [other(World::nameless()), other(World::user()).with("cmdline", "other\0")];
    for plan in plans_with_walks() {
        for first in worlds() {
            let mut sound = first.clone();
            sound.carry(&mut Probe::new(), &plan);
            for (step, other) in
                (0..sound.steps.len()).flat_map(|n| others.iter().map(move |o| (n, o)))
            {
                let next = Some((step, Box::new(other.clone())));
                let found = World { next, ..first.clone() }.carry(&mut Probe::new(), &plan);
                check_eq!(failures, found.fate, Fate::Measured, "{plan:?} step {step}");
                let is_other = found.smaps.is_some_and(|smaps| smaps.pss().0 == 777);
                check_eq!(
                    failures,
                    found.name.contains("other"),
                    is_other,
                    "{plan:?} {step}: {found:?}"
                );
            }
        }
    }
}

/// The size of the reads does not affect the result.
#[test]
fn reads_of_any_size() {
    let mut failures = Failures::new();
    for world in worlds().into_iter().chain([World::leaderless()]) {
        for plan in plans_with_walks() {
            let expected = world.clone().carry(&mut Probe::new(), &plan);
            for room in [1, 2, 3, 7, 28, 64, 1000] {
                let mut pieces = World { room, ..world.clone() };
                check_eq!(
                    failures,
                    pieces.carry(&mut Probe::new(), &plan),
                    expected,
                    "{room} {plan:?}"
                );
            }
        }
    }
}

/// A probe carries no state from one process to the next.
#[test]
fn a_probe_forgets() {
    let mut failures = Failures::new();
    let worlds = [
        World::user(),
        World::user().failing(&["smaps_rollup", "smaps"], Errno::SRCH),
        World::leaderless(),
        World::user().with("smaps_rollup", "Pss: x kB\n").with("smaps", "Pss:"),
        World::nameless(),
        World::doubtful(),
        World::magic(),
        World::user().failing(&["cmdline", "comm"], Errno::ACCES),
    ];
    for plan in plans_with_walks() {
        let mut used = Probe::new();
        for first in &worlds {
            for second in &worlds {
                first.clone().carry(&mut used, &plan);
                let expected = second.clone().carry(&mut Probe::new(), &plan);
                check_eq!(failures, second.clone().carry(&mut used, &plan), expected, "{plan:?}");
            }
        }
    }
}

#[test]
fn processes_without_memory() {
    let mut failures = Failures::new();
    let kthread = "Name:\tkthreadd\nState:\tS (sleeping)\nThreads:\t1\nKthread:\t1\n";
    let old_kthread =
        "Name:\tkthreadd\nState:\tS (sleeping)\nThreads:\t1\nSigIgn:\tffffffffffffffff\n";
    let exiting = "Name:\tcomm\nState:\tR (running)\nKthread:\t0\nThreads:\t1\n";
    let old_exiting = "Name:\tcomm\nState:\tR (running)\nThreads:\t1\nSigIgn:\t0000000000000001\n";
    let exiting_leader = "Name:\tcomm\nState:\tR (running)\nKthread:\t0\nThreads:\t2\n";
    let zombie = "Name:\tcomm\nState:\tZ (zombie)\nThreads:\t1\n";
    for (status, tasks, expected) in [
        (kthread, "7\n", Fate::KernelThread),
        (old_kthread, "7\n", Fate::KernelThread),
        (exiting, "7\n", Fate::Gone),
        (old_exiting, "7\n", Fate::Gone),
        // The other threads ended in the meantime.
        (exiting_leader, "7\n", Fate::Zombie),
        (zombie, "7\n", Fate::Zombie),
        ("Name:\tcomm\nState:\tX (dead)\n", "7\n", Fate::Zombie),
        // The other thread ended in the meantime.
        (LEADER, "7\n", Fate::Zombie),
        (LEADER, "", Fate::Zombie),
    ] {
        let world = World::user().with("cmdline", "").with("status", status).with("task", tasks);
        let empty = world.clone().with("smaps", "").with("smaps_rollup", "");
        let refused = world.failing(&["smaps", "smaps_rollup"], Errno::SRCH);
        for world in [empty, refused] {
            let world = world.failing(&["exe"], Errno::NOENT);
            for plan in plans() {
                check_eq!(failures, fate(&world, &plan), expected, "{status:?} {plan:?}");
            }
        }
    }
}

/// A correct guess of a kernel thread costs one file; a wrong guess changes nothing.
#[test]
fn guessed_kernel_threads() {
    let mut failures = Failures::new();
    let kthread = "Name:\tkthreadd\nState:\tS (sleeping)\nThreads:\t1\nKthread:\t1\n";
    for plan in plans_with_walks() {
        let guess = Plan { kernel_threads: vec![PID], ..plan.clone() };
        for world in [World::user(), World::nameless(), World::leaderless()] {
            let expected = world.clone().carry(&mut Probe::new(), &plan);
            check_eq!(
                failures,
                world.clone().carry(&mut Probe::new(), &guess),
                expected,
                "{plan:?}"
            );
        }
        let mut world = World::user().with("status", kthread);
        check_eq!(
            failures,
            world.carry(&mut Probe::new(), &guess).fate,
            Fate::KernelThread,
            "{plan:?}"
        );
        check_eq!(failures, world.steps, ["7/status", "7/status"], "opened and read");
    }
}

/// All threads of a process are exiting: the last one still tears down its memory.
#[test]
fn the_last_thread_is_exiting() {
    let mut failures = Failures::new();
    for (status, expected) in [
        (LEADER, Fate::Gone),
        ("State:\tR (running)\nKthread:\t0\nThreads:\t2\n", Fate::Gone),
        ("State:\tR (running)\nKthread:\t0\nThreads:\t1\n", Fate::Gone),
        ("State:\tZ (zombie)\nThreads:\t1\n", Fate::Zombie),
    ] {
        let world = World::leaderless().with("task/8/status", status).with("task/8/cmdline", "");
        let world = world.failing(&["task/8/smaps", "task/8/smaps_rollup"], Errno::SRCH);
        for plan in plans() {
            check_eq!(failures, fate(&world, &plan), expected, "{status:?} {plan:?}");
        }
    }
}

/// A file that this kernel lacks does not affect the fate of the process.
#[test]
fn no_memory_file() {
    let mut failures = Failures::new();
    let kthread = "Name:\tkthreadd\nState:\tS (sleeping)\nThreads:\t1\nKthread:\t1\n";
    for plan in plans() {
        let none = World::user().failing(&["smaps", "smaps_rollup"], Errno::NOENT);
        check_eq!(failures, fate(&none, &plan), Fate::Failed(Errno::NOENT), "{plan:?}");
        check_eq!(
            failures,
            fate(&none.clone().with("status", kthread), &plan),
            Fate::KernelThread,
            "{plan:?}"
        );
        let gone = none.failing(&["status"], Errno::NOENT);
        check_eq!(failures, fate(&gone, &plan), Fate::Gone, "{plan:?}");
        let no_rollup = World::user().failing(&["smaps_rollup"], Errno::NOENT);
        let expected = match plan.source {
            Source::Rollup => Fate::Failed(Errno::NOENT),
            Source::Auto | Source::Smaps | Source::Pagemap => Fate::Measured,
        };
        check_eq!(failures, fate(&no_rollup, &plan), expected, "{plan:?}");
    }
}

/// The probe does not measure a process that the filter excludes: it does not even open its memory.
#[test]
fn the_filter_spares_memory() {
    let is_memory = |path: &String| path.contains("map") || path.contains("statm");
    let mut failures = Failures::new();
    for plan in plans_with_walks() {
        for (pattern, expected) in [("title|comm|exe", Fate::Measured), ("x^", Fate::NotSelected)] {
            let filter = Some(Regex::new(pattern).expect("a regular expression"));
            let plan = Plan { filter, ..plan.clone() };
            for world in [World::user(), World::nameless(), World::leaderless()] {
                let mut world = world;
                check_eq!(
                    failures,
                    world.carry(&mut Probe::new(), &plan).fate,
                    expected,
                    "{plan:?}"
                );
                let reads = world.steps.iter().filter(|path| is_memory(path)).count();
                check_eq!(
                    failures,
                    reads > 0,
                    expected == Fate::Measured,
                    "{plan:?} {:?}",
                    world.steps
                );
                check!(failures, !is_memory(&world.steps[0]), "the name comes first");
            }
        }
    }
}

/// The text of a process that execs during the read ends like any other: one more read detects it.
#[test]
fn exec_while_smaps_is_read() {
    let mut failures = Failures::new();
    for plan in plans().into_iter().filter(|plan| plan.source == Source::Smaps) {
        for (execs, expected) in [(0, Fate::Measured), (1, Fate::Measured), (2, Fate::Changed)] {
            let world = World { execs, ..World::user() };
            check_eq!(failures, fate(&world, &plan), expected, "{execs} times, {plan:?}");
        }
    }
}

/// After an exec at any step, name and memory belong to the same program, one that the plan
/// selects.
#[test]
fn an_exec_at_every_step() {
    let mut failures = Failures::new();
    let other = |world: World| {
        let mut world = world;
        for text in world.texts.values_mut().filter_map(|text| text.as_mut().ok()) {
            let changed = String::from_utf8_lossy(text).replace("title", "other");
            let changed = changed.replace("comm", "else").replace("/exe", "/elf");
            *text = changed.into();
        }
        world.with_tables(Tables::of_kib(999, 4096))
    };
    let filter = Some(Regex::new("title|comm|exe").expect("a regular expression"));
    for world in worlds() {
        for plan in plans_with_walks() {
            let filter = plan.filter.as_ref().and(filter.clone());
            let plan = Plan { filter, ..plan };
            let first = world.clone().carry(&mut Probe::new(), &plan);
            let unfiltered = Plan { filter: None, ..plan.clone() };
            let second = other(world.clone()).carry(&mut Probe::new(), &unfiltered);
            assert_ne!(first.smaps, second.smaps);
            for step in 0..24 {
                let next = Some((step, Box::new(other(world.clone()))));
                let mut world = World { next, ..world.clone() };
                let found = world.carry(&mut Probe::new(), &plan);
                let is_second = found == second && plan.filter.is_none();
                let is_neither = found.fate == Fate::NotSelected && plan.filter.is_some();
                check!(
                    failures,
                    found == first || is_second || is_neither,
                    "{step} {plan:?}: {found:?}"
                );
            }
        }
    }
}

#[test]
fn texts_that_are_no_smaps() {
    let mut failures = Failures::new();
    for text in ["Pss: 1 kB\n", "Pss: x kB\nPrivate_Clean: 1 kB\nPrivate_Dirty: 1 kB\n", "\n", "?"]
    {
        let world = World::user().with("smaps", text).with("smaps_rollup", text);
        for plan in plans() {
            check_eq!(failures, fate(&world, &plan), Fate::Malformed, "{text:?} {plan:?}");
        }
    }
}

/// An argument list of 64 GiB costs as much as one of 4 KiB, and so does every other text.
#[test]
fn texts_without_an_end() {
    let mut failures = Failures::new();
    let endless = "x".repeat(4 * TEXT_MAX);
    for name in ["cmdline", "comm", "exe", "status", "task"] {
        for room in [1, 512, 4095, 4096, 4097, 16_384] {
            for base in [World::user(), World::nameless(), World::leaderless()] {
                let mut world = World { room, ..base.with(name, &endless) };
                for plan in plans_with_walks() {
                    world.steps.clear();
                    let mut probe = Probe::new();
                    world.carry(&mut probe, &plan);
                    check!(failures, probe.name().len() <= NAME_MAX, "{name} {room} {plan:?}");
                    let reads = world.steps.iter().filter(|path| path.ends_with(name)).count();
                    // The probe reads a file at most twice with a filter, and once more after an
                    // exec.
                    let is_long = plan.name_rule == NameRule::Script && name == "cmdline";
                    let most = if is_long { endless.len() } else { TEXT_MAX };
                    let enough = 4 * (most.div_ceil(room) + 2);
                    check!(
                        failures,
                        reads <= enough,
                        "{reads} reads of {name} by {room}: {plan:?}"
                    );
                }
            }
        }
    }
}

/// A process whose files stayed open: the memory alone, or after the name, and everything anew once
/// the rollup has no figures any more.
#[test]
fn open_files_are_read_without_an_open() {
    const ROOM: usize = 4096;
    let memory = ProcFile::SmapsRollup;
    let pair = Some(Want::Pair { name: ProcFile::Cmdline, memory });
    let filter = Regex::new("title").ok();
    for plan in [Plan::default(), Plan { filter, ..Plan::default() }] {
        let first = if plan.filter.is_some() { Some(Want::One(ProcFile::Cmdline)) } else { pair };
        let (plan, mut probe) = (Arc::new(plan), Probe::new());
        probe.resume(PID, &plan, Some(b"title"), true);
        assert_eq!((probe.want(), probe.is_open(memory)), (Some(Want::One(memory)), true));
        assert_eq!(probe.feed(memory, ROLLUP.as_bytes(), ROOM), ReadNext::Done);
        assert_eq!((probe.fate(), probe.name()), (Some(Fate::Measured), &b"title"[..]));
        assert!(probe.can_resume());

        probe.resume(PID, &plan, None, true);
        assert_eq!((probe.want(), probe.is_open(memory)), (pair, true));
        probe.feed(ProcFile::Cmdline, b"/bin/title2\0", ROOM);
        probe.feed(memory, ROLLUP.as_bytes(), ROOM);
        assert_eq!((probe.fate(), probe.name()), (Some(Fate::Measured), &b"title2"[..]));

        for errno in [Some(Errno::SRCH), Some(Errno::NOENT), None] {
            probe.resume(PID, &plan, Some(b"title"), true);
            match errno {
                Some(errno) => probe.fail(memory, errno),
                None => drop(probe.feed(memory, b"", ROOM)),
            }
            assert_eq!((probe.want(), probe.is_open(memory)), (first, false), "{errno:?}");
            assert_eq!((probe.name(), probe.can_resume()), (&b""[..], false));
        }
        // The process of the open name has ended. Its id may belong to another one by now.
        for errno in [Errno::SRCH, Errno::NOENT] {
            probe.resume(PID, &plan, None, true);
            probe.fail(ProcFile::Cmdline, errno);
            assert!(probe.awaits_memory(), "{errno:?}");
            probe.fail(memory, Errno::SRCH);
            assert_eq!((probe.want(), probe.is_open(memory)), (first, false), "{errno:?}");
        }
        // The leader may be dead, and a thread has the name.
        probe.resume(PID, &plan, None, true);
        probe.feed(ProcFile::Cmdline, b"", ROOM);
        probe.feed(memory, ROLLUP.as_bytes(), ROOM);
        assert_eq!((probe.want(), probe.is_open(memory)), (first, false));
    }
}
