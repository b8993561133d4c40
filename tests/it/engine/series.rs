//! A series of surveys whose files stay open: its figures are those of surveys that open every
//! file, whatever the processes do in between.

use std::io::Write;
use std::num::NonZeroU32;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::support::child::Target;
use crate::support::failures::{Failures, check, check_eq};
use crate::support::survey::{CHAINED, STAGED, Snapshot, TIMED, has_uring, open, survey, tuning};
use crate::support::{RUN_LIMIT, skip, until};
use psm_uring::engine::{EngineKind, Surveyor, Timeouts, Tuning};
use psm_uring::process::{NameRule, Plan, Source};
use psm_uring::smaps::Smaps;
use psm_uring::sys::proc_root::ProcRoot;
use psm_uring::sys::ring::kernel::Features;
use psm_uring::units::Pid;
use rustix::process::Signal;

/// Surveys after which every file is open: the first sees a process, the second opens it.
const BEFORE: usize = 2;
/// Held by the test that reuses ids, and by the one whose ended process must stay gone.
static IDS: Mutex<()> = Mutex::new(());

fn root() -> ProcRoot {
    ProcRoot::open("/proc".as_ref()).expect("a /proc")
}

/// Every engine, and every way of the ring.
fn engines(test: &str) -> Vec<(EngineKind, Features)> {
    let mut engines = vec![(EngineKind::Sync, CHAINED), (EngineKind::Threads, CHAINED)];
    if has_uring(test) {
        let plain = Features { direct_descriptors: false, ..STAGED };
        engines.extend([CHAINED, TIMED, STAGED, plain].map(|ring| (EngineKind::Uring, ring)));
    }
    engines
}

fn series((kind, features): (EngineKind, Features)) -> Surveyor {
    open(kind, &root(), Tuning { features, keeps_files: true, ..tuning(2, 8) })
}

/// The names of a process are read in every survey with 1, in none of a test with more.
fn plan(surveys_per_name: u32) -> Plan {
    Plan { surveys_per_name: NonZeroU32::new(surveys_per_name), ..Plan::default() }
}

fn opened(pids: &[Pid]) -> Snapshot {
    survey(&mut open(EngineKind::Sync, &root(), tuning(1, 1)), pids, &plan(1))
}

fn operations(surveyor: &mut Surveyor, pids: &[Pid], plan: &Plan) -> u64 {
    let timeouts = Timeouts { stuck_after: RUN_LIMIT, deadline: None };
    surveyor.survey(pids, plan, &timeouts).expect("an engine that works").io().operations
}

/// The files of a process among the descriptors of this one. Direct descriptors are not among them.
fn open_files(pid: Pid) -> usize {
    let dir = format!("/proc/{pid}");
    let files = std::fs::read_dir("/proc/self/fd").expect("the descriptors of this process");
    let links = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    links.filter(|link| link.starts_with(&dir)).count()
}

#[test]
fn rollups_that_stay_open_have_the_same_figures() {
    const TEST: &str = "rollups_that_stay_open_have_the_same_figures";
    let targets = [
        Target::stopped("touch 4000"),
        Target::stopped("mappings 300"),
        // Its name is in another file.
        Target::stopped_as(b"", "touch 100"),
        Target::stopped("leaderless 100"),
    ];
    let mut pids: Vec<Pid> = targets.iter().map(Target::pid).collect();
    pids.extend(targets[3].children(1, 'Z'));
    pids.sort_unstable();
    // Programs that start and end meanwhile change no other figures than the shares of pages.
    let lasting = |of: &Snapshot| {
        let one = |(pid, name, smaps): &(Pid, Vec<u8>, Smaps)| {
            (*pid, name.clone(), smaps.rss(), smaps.addresses())
        };
        of.processes.iter().map(one).collect::<Vec<_>>()
    };
    let mut failures = Failures::new();
    for engine in engines(TEST) {
        for per_name in [1, 2, 1000] {
            let (mut surveyor, plan) = (series(engine), plan(per_name));
            for number in 1..=36 {
                let same = until(RUN_LIMIT, || {
                    let before = opened(&pids);
                    let found = survey(&mut surveyor, &pids, &plan);
                    let both = [&before, &found].map(lasting);
                    check_eq!(failures, both[1], both[0], "{engine:?}, {per_name}, {number}");
                    (found == before).then_some(())
                });
                check!(failures, same.is_some(), "{engine:?}, {per_name}, survey {number}");
            }
        }
    }
}

/// The third survey opens nothing: a read for the memory of each process, and one for its name. A
/// leader's death, a thread, and a name in another file need more.
#[test]
fn a_process_takes_a_read_for_each_file() {
    const TEST: &str = "a_process_takes_a_read_for_each_file";
    let targets = [(); 3].map(|()| Target::stopped("touch 100"));
    let mut pids = targets.each_ref().map(Target::pid);
    pids.sort_unstable();
    let mut failures = Failures::new();
    for engine in engines(TEST) {
        for (surveys_per_name, reads) in [(1000, 1), (1, 2)] {
            let (mut surveyor, plan) = (series(engine), plan(surveys_per_name));
            let first = operations(&mut surveyor, &pids, &plan);
            let all = if engine.0 == EngineKind::Uring { 4 } else { 6 };
            check_eq!(failures, first, 3 * all, "{engine:?}, first");
            check_eq!(failures, operations(&mut surveyor, &pids, &plan), first, "{engine:?}, next");
            // In one of 32 surveys a process is opened again.
            let third = (0..3).map(|_| operations(&mut surveyor, &pids, &plan)).min();
            check_eq!(failures, third, Some(3 * reads), "{engine:?}, {surveys_per_name}");
        }
    }
}

/// A survey of a part between two surveys of a series opens every file, and changes neither the
/// files that stay open nor the names.
#[test]
fn a_survey_of_a_part_leaves_the_series_alone() {
    let targets = [(); 3].map(|()| Target::stopped_as(b"a title", "touch 100"));
    let mut pids = targets.each_ref().map(Target::pid);
    pids.sort_unstable();
    let mut failures = Failures::new();
    let of_part = Plan { name_rule: NameRule::Comm, ..Plan::default() };
    for engine in engines("a_survey_of_a_part_leaves_the_series_alone") {
        let (mut surveyor, plan) = (series(engine), plan(1000));
        let all = operations(&mut surveyor, &pids, &plan);
        // In one of 32 surveys a process is opened again.
        let least = (0..4).map(|_| operations(&mut surveyor, &pids, &plan)).min();
        check_eq!(failures, least, Some(3), "{engine:?}, before");
        for _ in 0..3 {
            let found = operations(&mut surveyor, &pids[..1], &of_part);
            check_eq!(failures, found, all / 3, "{engine:?}, part");
        }
        let found = [(); 3].map(|()| survey(&mut surveyor, &pids, &plan));
        let is_title = |process: &(Pid, Vec<u8>, Smaps)| process.1 == b"a title";
        let has_titles = found.iter().all(|found| found.processes.iter().all(is_title));
        check!(failures, has_titles, "{engine:?}: {found:?}");
        operations(&mut surveyor, &pids[..1], &of_part);
        let next = (0..2).map(|_| operations(&mut surveyor, &pids, &plan)).min();
        check!(failures, next <= Some(all / 3 + 2), "{engine:?}: {next:?} operations");
    }
}

/// A shell that waits for a line and then becomes another program.
struct Changing(Child);

impl Changing {
    fn start() -> Changing {
        let mut shell = Command::new("sh");
        shell.args(["-c", "read line; exec sleep 1000"]);
        let child = shell.stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        Changing(child.expect("a shell"))
    }

    fn pid(&self) -> Pid {
        Pid(self.0.id())
    }

    fn change(&mut self) {
        self.0.stdin.take().expect("a pipe").write_all(b"\n").expect("the shell reads");
        let is_changed = || {
            let title = std::fs::read(format!("/proc/{}/cmdline", self.0.id())).ok()?;
            title.starts_with(b"sleep\0").then_some(())
        };
        until(RUN_LIMIT, is_changed).expect("the shell becomes sleep");
    }
}

impl Drop for Changing {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_exec_changes_name_and_memory() {
    let mut failures = Failures::new();
    for engine in engines("an_exec_changes_name_and_memory") {
        for per_name in [1, 1000] {
            let (mut surveyor, plan) = (series(engine), plan(per_name));
            let mut target = Changing::start();
            let pids = [target.pid()];
            until(RUN_LIMIT, || (opened(&pids).processes[0].1 == b"sh").then_some(()))
                .expect("the shell starts");
            (0..=BEFORE).for_each(|_| drop(survey(&mut surveyor, &pids, &plan)));
            target.change();
            let same = until(RUN_LIMIT, || {
                let before = opened(&pids);
                let found = survey(&mut surveyor, &pids, &plan);
                check_eq!(failures, found.processes[0].1, b"sleep", "{engine:?}, {per_name}");
                (found == before).then_some(())
            });
            check!(failures, same.is_some(), "{engine:?}, {per_name}: other figures");
        }
    }
}

/// A process that has ended is not measured, and one that is not asked any more has no open file.
#[test]
fn files_of_ended_processes_are_closed() {
    let _alone = IDS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut failures = Failures::new();
    for engine in engines("files_of_ended_processes_are_closed") {
        let (mut surveyor, plan) = (series(engine), plan(1000));
        let mut targets = [(); 3].map(|()| Target::stopped("touch 100"));
        targets.sort_unstable_by_key(Target::pid);
        let pids = targets.each_ref().map(Target::pid);
        (0..=BEFORE).for_each(|_| drop(survey(&mut surveyor, &pids, &plan)));
        let has_ordinary = engine.0 != EngineKind::Uring || !engine.1.direct_descriptors;
        let expected = if has_ordinary { 2 } else { 0 };
        check_eq!(failures, pids.map(open_files), [expected; 3], "{engine:?}");
        targets[0].end();
        let found = survey(&mut surveyor, &pids, &plan);
        check_eq!(failures, (found.coverage.measured, found.coverage.gone), (2, 1), "{engine:?}");
        check_eq!(failures, pids.map(open_files), [0, expected, expected], "{engine:?}");
        let found = survey(&mut surveyor, &pids[2..], &plan);
        check_eq!(failures, found.coverage.measured, 1, "{engine:?}");
        check_eq!(failures, pids.map(open_files), [0, 0, expected], "{engine:?}");
        surveyor.forget(&|_| true);
        check_eq!(failures, pids.map(open_files), [0; 3], "{engine:?}");
        let all = if engine.0 == EngineKind::Uring { 4 } else { 6 };
        let found = operations(&mut surveyor, &pids[2..], &plan);
        check_eq!(failures, found, all, "{engine:?}, forgotten");
    }
}

/// Another process with the id of one that ended: only root can choose the next id.
#[test]
fn an_id_that_changes_hands_is_a_new_process() {
    const TEST: &str = "an_id_that_changes_hands_is_a_new_process";
    const LAST: &str = "/proc/sys/kernel/ns_last_pid";
    if std::fs::OpenOptions::new().write(true).open(LAST).is_err() {
        return skip(TEST, "this user cannot choose the next process id");
    }
    let mut failures = Failures::new();
    let _alone = IDS.lock().unwrap_or_else(PoisonError::into_inner);
    let ways = |engine| [1, 1000].map(|surveys_per_name| (engine, surveys_per_name));
    for (engine, surveys_per_name) in engines(TEST).into_iter().flat_map(ways) {
        let (mut surveyor, plan) = (series(engine), plan(surveys_per_name));
        let mut first = Target::stopped_as(b"first", "touch 4000");
        let pids = [first.pid()];
        (0..=BEFORE).for_each(|_| drop(survey(&mut surveyor, &pids, &plan)));
        first.end();
        // Other processes start meanwhile.
        let second = until(RUN_LIMIT, || {
            std::fs::write(LAST, (pids[0].0 - 1).to_string()).ok()?;
            Some(Target::start_as(b"second", "touch 100")).filter(|it| it.pid() == pids[0])
        });
        let Some(second) = second else { return skip(TEST, "other processes take the id") };
        second.wait_for_state(second.pid(), 'T');
        let same = until(RUN_LIMIT, || {
            let before = opened(&pids);
            let found = survey(&mut surveyor, &pids, &plan);
            check_eq!(failures, found.processes[0].1, b"second", "{engine:?}");
            (found == before).then_some(())
        });
        check!(failures, same.is_some(), "{engine:?}: other figures");
    }
}

/// A title that changes without an exec is seen when the name is read next.
#[test]
fn titles_change_within_their_surveys() {
    let mut failures = Failures::new();
    for engine in engines("titles_change_within_their_surveys") {
        let (mut surveyor, plan) = (series(engine), plan(4));
        let target = Target::stopped_as(b"a long first title", "retitle");
        let pids = [target.pid()];
        let mut name = || survey(&mut surveyor, &pids, &plan).processes[0].1.clone();
        (0..=BEFORE).for_each(|_| check_eq!(failures, name(), b"a long first title", "{engine:?}"));
        target.signal(Signal::CONT);
        let is_changed = || {
            let title = std::fs::read(format!("/proc/{}/cmdline", pids[0])).ok()?;
            title.starts_with(b"second\0").then_some(())
        };
        until(RUN_LIMIT, is_changed).expect("the title changes");
        let names: Vec<_> = (0..4).map(|_| name()).collect();
        let at = names.iter().position(|name| name == b"second");
        check!(failures, at.is_some(), "{engine:?}: {names:?}");
        let rest = &names[at.unwrap_or(0)..];
        check!(failures, rest.iter().all(|name| name == b"second"), "{engine:?}: {names:?}");
    }
}

/// Files of full smaps are not kept, and those of a directory that replaces `/proc` are not either.
#[test]
fn other_files_are_opened_each_time() {
    let target = Target::stopped("touch 100");
    let smaps = Plan { source: Source::Smaps, ..plan(1000) };
    for engine in engines("other_files_are_opened_each_time") {
        let mut surveyor = series(engine);
        let counts = [(); 4].map(|()| operations(&mut surveyor, &[target.pid()], &smaps));
        assert_eq!(counts, [counts[0]; 4], "{engine:?}");
        // A slot of the ring closes its files with its next request.
        if engine.0 != EngineKind::Uring {
            assert_eq!(open_files(target.pid()), 0, "{engine:?}");
        }
    }
    let fixture = ProcRoot::open(&crate::support::tree("ordinary")).expect("a fixture");
    let pids = fixture.pids().expect("processes");
    let tuning = Tuning { keeps_files: true, ..tuning(1, 1) };
    let mut surveyor = open(EngineKind::Sync, &fixture, tuning);
    let counts = [(); 4].map(|()| operations(&mut surveyor, &pids, &plan(1000)));
    assert_eq!(counts, [counts[0]; 4]);
}
