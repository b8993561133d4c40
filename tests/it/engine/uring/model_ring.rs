//! The engine `uring` on a model of the ring, its workers and the processes they read: random
//! schedules, every operation failing once and permanently, and the README's guarantees for a host
//! in trouble. Time is virtual, so no test waits.
//!
//! A failure prints `PSM_SEED=... PSM_SCHEDULES=1`, which reproduces it. A full run takes a few
//! seconds:
//!
//! ```text
//! PSM_SCHEDULES=200000 cargo test --locked --test it engine::uring::model_ring
//! ```

use std::time::Duration;

use crate::support::failures::{Failures, check, check_eq};
use crate::support::model::dice::Dice;
use crate::support::model::fault::{ERRNOS, Fault, Hit};
use crate::support::model::log::Expected;
use crate::support::model::schedule::{self, Ran, Totals};
use crate::support::model::script::{Script, plans, world_of};
use crate::support::model::seat::{Body, Denial, Seat, first_thread};
use crate::support::model::{MILLIS, Micros, NEVER};
use crate::support::{Rng, say};
use psm_uring::process::{Fate, Plan, ProcFile, Source};
use psm_uring::units::Errno;

/// Schedules per run; `PSM_SCHEDULES` overrides it.
const SCHEDULES: u64 = if cfg!(debug_assertions) { 20_000 } else { 200_000 };

/// Prints the variables that reproduce a failure.
struct Again(u64);

impl Drop for Again {
    fn drop(&mut self) {
        if std::thread::panicking() {
            say(&format!("again with: PSM_SEED={} PSM_SCHEDULES=1", self.0));
        }
    }
}

fn dice(seed: u64) -> Dice {
    let mut rng = Rng::new(seed);
    Dice::new(move || rng.next())
}

#[test]
fn schedules_at_random() {
    let given = std::env::var("PSM_SCHEDULES").ok().and_then(|count| count.parse().ok());
    let (first, schedules) = (Rng::seed(), given.unwrap_or(SCHEDULES));
    let mut totals = Totals::default();
    for seed in (0..schedules).map(|n| first.wrapping_add(n)) {
        let again = Again(seed);
        totals += schedule::run(Script::random(dice(seed))).totals;
        drop(again);
    }
    let Totals { coverage, injected, broken, left, abandoned, late, touched, pauses, .. } = totals;
    let resumed = totals.resumed;
    say(&format!(
        "model_ring: {schedules} schedules from PSM_SEED={first}: {} processes, {} measured, \
         {touched} touched while they were read, {injected} failures, {broken} rings broken and \
         {left} processes left, {abandoned} slots abandoned, {late} late completions, \
         {pauses} pauses, {resumed} files read again",
        coverage.listed() as u64 + left,
        coverage.measured,
    ));
    // Schedules without any failure prove nothing.
    let gone = [coverage.gone, coverage.zombies, coverage.kernel_threads, coverage.changed];
    let other = [coverage.denied, coverage.malformed, coverage.failed];
    let late_ones = [coverage.timed_out, coverage.not_asked];
    let all = gone.into_iter().chain(other).chain(late_ones).map(|count| count as u64);
    let rare = all.chain([injected, broken, left, abandoned, late, touched, pauses, resumed]).min();
    assert!(schedules < 2_000 || rare > Some(0), "something never happened: {totals:?}");
}

/// Any byte string is a valid schedule, as a fuzzer supplies it.
#[test]
fn schedules_of_bytes() {
    let mut rng = Rng::seeded();
    for len in 0..600 {
        let bytes = (0..len).map(|_| rng.byte()).collect();
        schedule::run(Script::random(Dice::of_bytes(bytes)));
    }
}

/// One process of each kind.
fn standard(plan: &'static Plan) -> Script {
    let thread = first_thread(6);
    let kinds = [
        (Body::User, 0),
        (Body::User, 3),
        (Body::User, 4),  // no argument list
        (Body::User, 6),  // a rollup longer than its room
        (Body::User, 8),  // a very long argument list
        (Body::User, 12), // a rollup as long as its room
        (Body::Leaderless(thread), 10),
        (Body::Zombie, 14),
        (Body::Kernel, 16),
        (Body::Absent, 18),
        (Body::User, 20),
        (Body::User, 24),
        (Body::User, 22), // no smaps
        (Body::Exiting, 26),
    ];
    let seats = kinds.iter().enumerate().map(|(n, (body, life))| Seat::new(n, *body, *life));
    let mut seats: Vec<Seat> = seats.collect();
    seats[10].denial = Denial::Memory;
    seats[11].denial = Denial::All;
    let mut script = Script::calm(world_of(seats, plan), dice(1));
    script.trouble.short_percent = 50;
    script
}

/// The fate of a process after an operation fails.
fn fate_after(hit: Hit, seat: &Seat, plan: &Plan) -> Fate {
    let untouched = match seat.log.expected {
        Some(Expected::Fate(fate)) => fate,
        _ => Fate::Measured,
    };
    let is_memory = matches!(hit.place.file, ProcFile::Smaps | ProcFile::SmapsRollup);
    let is_leaderless = matches!(seat.body, Body::Leaderless(_));
    let mut task = hit.place.task;
    if hit.is_overruled && !is_memory {
        if !hit.for_good || !is_leaderless {
            return untouched;
        }
        // It strikes again at the thread that replaces the leader.
        task = Some(seat.pid);
    }
    let has_memory = matches!(seat.body, Body::User | Body::Leaderless(_));
    let has_lost = if hit.for_good { Fate::Changed } else { untouched };
    match (hit.place.file, hit.errno.0) {
        // The binary is missing or unreadable: comm replaces it.
        (ProcFile::Exe, libc::ENOENT | libc::ESRCH | libc::EACCES | libc::EPERM) => untouched,
        (ProcFile::Exe, libc::EOPNOTSUPP | libc::ENAMETOOLONG) => untouched,
        (ProcFile::Cgroup, libc::ENOENT | libc::ESRCH | libc::EACCES | libc::EPERM) => untouched,
        (ProcFile::Cgroup, libc::ENAMETOOLONG) => untouched,
        // A rollup replaces the walk.
        (ProcFile::Maps | ProcFile::Pagemap, _) if has_memory && seat.life().is_malformed => {
            Fate::Malformed
        }
        (ProcFile::Maps | ProcFile::Pagemap, _) => untouched,
        // Only the dead leader has no pages to walk.
        (ProcFile::SmapsRollup, libc::ESRCH)
            if plan.walk.is_some_and(|walk| walk.is_forced) && seat.denial == Denial::None =>
        {
            untouched
        }
        // A kernel without rollups.
        (ProcFile::SmapsRollup, libc::ENOENT) if plan.source == Source::Auto => untouched,
        // The address space is gone. If the process has a new one, the engine reads that.
        (_, libc::ESRCH) if is_memory && has_memory && seat.denial != Denial::All => has_lost,
        (_, libc::ESRCH) if is_memory => untouched,
        // The file is missing. If the process has memory, the engine tries again.
        (_, libc::ENOENT) if is_memory && has_memory && seat.denial != Denial::All => {
            if hit.for_good { Fate::Failed(Errno::NOENT) } else { untouched }
        }
        (_, libc::ENOENT) if is_memory => untouched,
        // The status of the process fails as well.
        (ProcFile::Status, libc::ENOENT | libc::ESRCH | libc::ENOTDIR) if hit.for_good => {
            Fate::Gone
        }
        // The thread is gone; the engine looks for it again.
        (_, libc::ENOENT | libc::ESRCH | libc::ENOTDIR) if task.is_some() => has_lost,
        (_, libc::ENOENT | libc::ESRCH | libc::ENOTDIR) => Fate::Gone,
        (_, libc::EACCES | libc::EPERM) => Fate::Denied,
        (_, errno) => Fate::Failed(Errno(errno)),
    }
}

/// Each operation fails with every third error, the next one with the next third: all errors would
/// take a minute and a half, and the plans have mostly the same operations.
#[test]
fn every_operation_fails_once_and_for_good() {
    let (mut runs, mut injected) = (0, 0);
    let mut failures = Failures::new();
    let plans = plans().iter().flat_map(|plan| [(plan, false), (plan, true)]);
    for (third, (plan, is_chained)) in (0..).zip(plans) {
        let standard = |plan| Script { is_chained, ..standard(plan) };
        let sound = schedule::run(standard(plan));
        let ops = sound.model.borrow().world.faults.ops;
        for op in 0..ops {
            let errnos = (0..).zip(ERRNOS).filter(|(n, _)| (n + op + third) % 3 == 0);
            for (errno, for_good) in errnos.flat_map(|(_, e)| [(e, false), (e, true)]) {
                let mut script = standard(plan);
                script.world.faults.planned = vec![Fault { op, errno: Errno(errno), for_good }];
                let ran = schedule::run(script);
                check_fates(&ran, &sound, plan, &mut failures);
                runs += 1;
                injected += ran.totals.injected;
            }
        }
    }
    say(&format!("model_ring: {injected} operations failed in {runs} runs"));
    assert!(injected >= 20_000, "only {injected} failures");
}

/// The process with the fault gets the fate of its error; all others keep theirs.
fn check_fates(ran: &Ran, sound: &Ran, plan: &Plan, failures: &mut Failures) {
    let world = &ran.model.borrow().world;
    let [hit] = world.faults.hits[..] else { panic!("one fault: {:?}", world.faults.hits) };
    for (index, seat) in world.seats.iter().enumerate() {
        let is_hit = index == hit.place.seat;
        let expected = if is_hit { fate_after(hit, seat, plan) } else { sound.fate(index) };
        check_eq!(failures, ran.fate(index), expected, "seat {index} after {hit:?}, {plan:?}");
    }
}

/// When the ring fails or has no worker, another engine finishes its work: the report is the same.
#[test]
fn the_ring_breaks_at_every_call() {
    let mut failures = Failures::new();
    let mut breaks = 0;
    for plan in plans().iter() {
        let sound = schedule::run(standard(plan));
        let stats = sound.model.borrow().stats;
        let mut check = |spoil: &dyn Fn(&mut Script)| {
            let mut script = standard(plan);
            spoil(&mut script);
            let ran = schedule::run(script);
            breaks += ran.totals.broken;
            for index in 0..sound.fates.len() {
                check_eq!(failures, ran.fate(index), sound.fate(index), "seat {index}, {plan:?}");
            }
        };
        for call in 0..stats.enters {
            for errno in [libc::EBADF, libc::ENOMEM, libc::EFAULT, libc::EBUSY] {
                check(&|script| script.trouble.fails_at = Some((call, Errno(errno))));
            }
        }
        for chain in 0..stats.operations {
            for once in [false, true] {
                check(&|script| {
                    script.trouble.no_worker_from = Some(chain);
                    script.trouble.no_worker_once = once;
                });
            }
        }
    }
    assert!(breaks > 1_000, "only {breaks} rings broke");
}

/// A number of stuck processes first, last or interleaved, and a number of healthy ones.
fn crowd(stuck: usize, healthy: usize, place: usize, lazy: bool) -> Script {
    let all = stuck + healthy;
    let is_stuck = |n: usize| match place {
        0 => n < stuck,
        1 => n >= healthy,
        _ => (n + 1) * stuck / all > n * stuck / all,
    };
    let seat = |n: usize| {
        let mut seat = Seat::new(n, Body::User, 2 * (n % 10));
        if is_stuck(n) {
            (seat.memory_lock, seat.exec_lock) = [(NEVER, 0), (0, NEVER)][n % 2];
        }
        seat
    };
    let mut script = Script::calm(world_of((0..all).map(seat).collect(), &plans()[0]), dice(2));
    (script.slots_max, script.depth, script.is_lazy) = (2048, 128, lazy);
    script.is_chained = !lazy;
    script
}

fn ended(ran: &Ran) -> Micros {
    ran.model.borrow().world.now
}

/// Stuck processes cost no healthy process its result, and the report is in time.
#[test]
fn stuck_processes_delay_no_other() {
    let mut failures = Failures::new();
    for (stuck, healthy) in [(1, 0), (1, 1), (64, 200), (512, 200)] {
        for (place, lazy) in [(0, true), (0, false), (1, true), (2, true), (2, false)] {
            for workers in [1, 2, 8] {
                let mut script = crowd(stuck, healthy, place, lazy);
                script.workers = workers;
                let ran = schedule::run(script);
                let found = ran.totals.coverage;
                check_eq!(
                    failures,
                    (found.measured, found.timed_out),
                    (healthy, stuck),
                    "{stuck} stuck, {healthy} healthy, {workers} workers"
                );
                let ended = ended(&ran);
                check!(failures, ended <= 2500 * MILLIS, "{stuck} stuck of {healthy}: {ended} µs");
            }
        }
    }
}

/// A stuck process times out on its own clock, however long others take.
#[test]
fn stuck_processes_time_out_while_others_are_read() {
    for workers in [1, 2, 8] {
        let mut script = crowd(64, 200, 0, true);
        for seat in &mut script.world.seats {
            seat.walk = 20 * MILLIS * workers;
        }
        script.workers = usize::try_from(workers).expect("a few");
        let ran = schedule::run(script);
        let found = ran.totals.coverage;
        assert_eq!((found.measured, found.timed_out), (200, 64));
        // The healthy take 4 s. Waiting for the stuck until nothing else moved took 6 s.
        let ended = ended(&ran);
        assert!(ended <= 4500 * MILLIS, "{workers} workers: {ended} µs");
    }
}

/// A step that ends is a sign of life, though no file is complete: both locks together are held for
/// longer than the timeout.
#[test]
fn each_step_restarts_the_timeout() {
    let mut script = crowd(0, 1, 0, true);
    let seat = &mut script.world.seats[0];
    (seat.exec_lock, seat.memory_lock) = (150 * MILLIS, 300 * MILLIS);
    script.timeouts.stuck_after = Duration::from_millis(200);
    assert_eq!(schedule::run(script).totals.coverage.measured, 1);
}

/// All workers start soon, though a burst starts at most one.
#[test]
fn a_small_crowd_has_all_workers() {
    let mut failures = Failures::new();
    for workers in [1, 2, 4, 8, 16] {
        let time = |lazy: bool| {
            let mut script = crowd(0, 200, 0, lazy);
            script.world.seats.iter_mut().for_each(|seat| seat.walk = MILLIS);
            script.workers = workers;
            let ran = schedule::run(script);
            assert_eq!(ran.totals.coverage.measured, 200);
            ended(&ran)
        };
        let (lazy, eager) = (time(true), time(false));
        check!(
            failures,
            lazy <= eager * 11 / 10 + 5 * MILLIS,
            "{workers} workers: {lazy}, {eager} µs"
        );
    }
}

#[test]
fn the_deadline_holds_among_stuck_processes() {
    for deadline in [0, 1, 50, 500] {
        let mut script = crowd(64, 200, 2, true);
        script.timeouts.deadline = Some(Duration::from_millis(deadline));
        let ran = schedule::run(script);
        assert!(ended(&ran) <= deadline * MILLIS + MILLIS, "{} µs", ended(&ran));
        assert!(deadline > 0 || ran.totals.coverage.not_asked == 264, "no time is no time");
    }
}

/// The engine waits for running reads, however long they take, also beside stuck processes.
#[test]
fn big_processes_are_waited_for() {
    for stuck in [0, 1, 3] {
        let mut script = crowd(stuck, 5, 0, true);
        for seat in &mut script.world.seats[stuck..] {
            seat.walk = 60_000 * MILLIS;
        }
        let ran = schedule::run(script);
        let found = ran.totals.coverage;
        assert_eq!((found.measured, found.timed_out), (5, stuck));
        assert!(ended(&ran) > 60_000 * MILLIS);
    }
}

/// A deadline cuts off processes that are only late. Their slots are free for the next survey.
#[test]
fn slots_of_late_requests_return() {
    let mut script = crowd(0, 12, 0, false);
    script.world.seats.iter_mut().for_each(|seat| seat.walk = 50 * MILLIS);
    script.timeouts.deadline = Some(Duration::from_millis(20));
    (script.slots_max, script.depth, script.surveys) = (10, 4, 12);
    script.comes_back = true;
    let ran = schedule::run(script);
    assert_eq!((ran.totals.broken, ran.totals.coverage.listed()), (0, 12 * 12));
    assert!(ran.totals.late >= 10, "{} came late", ran.totals.late);
}

/// When stuck processes hold all slots, another engine takes the remaining processes.
#[test]
fn no_slot_is_left() {
    let mut script = crowd(2, 3, 0, true);
    (script.slots_max, script.depth, script.surveys) = (2, 2, 2);
    let ran = schedule::run(script);
    assert_eq!((ran.totals.broken, ran.totals.left), (1, 3));
    assert_eq!(ran.fates.iter().filter(|(_, fate)| *fate == Fate::Measured).count(), 3);
}

/// Processes whose page tables are walked.
fn walked(processes: usize) -> Script {
    let plan = plans().iter().find(|plan| plan.walk.is_some()).expect("a plan that walks");
    let seats = (0..processes).map(|n| Seat::new(n, Body::User, 2 * (n % 10))).collect();
    let mut script = Script::calm(world_of(seats, plan), dice(3));
    script.depth = processes;
    script
}

/// The pauses of one process do not delay another one, and no call is in vain.
#[test]
fn pauses_overlap() {
    let [one, many] = [1, 16].map(|processes| schedule::run(walked(processes)));
    for (ran, processes) in [(&one, 1), (&many, 16)] {
        let (found, stats) = (ran.totals.coverage, ran.model.borrow().stats);
        assert_eq!(found.measured, processes);
        assert!(ran.totals.pauses >= 3 * processes as u64, "{} pauses", ran.totals.pauses);
        // One call submits a window and waits for it, one waits for the end of a pause.
        assert!(stats.enters <= 2 * stats.operations, "{stats:?}");
    }
    assert!(ended(&one) >= 50 * one.totals.pauses, "{} µs", ended(&one));
    assert!(ended(&many) < 50 * many.totals.pauses, "{} µs", ended(&many));
}

/// A deadline in a pause: the process was not asked for more, and no worker has it.
#[test]
fn a_deadline_ends_a_pause() {
    let mut paused = 0;
    for deadline in (0..1500).step_by(13) {
        let mut script = walked(1);
        script.timeouts.deadline = Some(Duration::from_micros(deadline));
        (script.surveys, script.comes_back) = (2, true);
        let ran = schedule::run(script);
        // A process whose window a worker has is timed out too, as every schedule checks.
        let model = ran.model.borrow();
        let seat = &model.world.seats[0];
        let is_paused = seat.log.is_walking && model.in_flight(seat.pid).is_none();
        paused += usize::from(is_paused && ran.fate(0) == Fate::TimedOut);
    }
    assert!(paused > 10, "{paused} deadlines in a pause");
}
