//! Invariants that hold after every survey.

use std::time::Duration;

use psm_uring::engine::{Survey, Timeouts};
use psm_uring::process::{Coverage, Fate, Plan, Probe, ProcessUsage, Source};
use psm_uring::sys::ring::RingStats;
use psm_uring::units::{Errno, Kib, Pid};

use super::life::{Life, LifeId, lives};
use super::log::{Expected, Log};
use super::seat::{Body, Seat, seat_of};
use super::slots::Model;
use super::{MILLIS, Micros};

/// The tolerance of the engine: the duration of one ring call, and of its look at the workers.
const SLACK: Micros = MILLIS;
/// The maximum of opens and reads of one process, besides those of smaps, that are as short as a
/// byte.
const STEPS_MAX: u64 = 100;

/// One survey with all recorded facts.
pub struct Check<'a> {
    pub model: &'a Model,
    pub survey: &'a Survey,
    pub pids: &'a [Pid],
    /// Processes that a broken ring left behind.
    pub left: &'a [Pid],
    pub depth: usize,
    pub timeouts: Timeouts,
    pub began: Micros,
}

fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).expect("a time of this world")
}

impl Check<'_> {
    /// Runs all checks. Returns the fates, except those of left-behind processes.
    pub fn all(&self, before: RingStats) -> Vec<(Pid, Fate)> {
        let fates = self.every_process_once();
        self.work(before);
        if self.left.is_empty() {
            self.time();
            self.kept(&fates);
        }
        fates
    }

    /// Categories add up, and every process is in the correct one.
    fn every_process_once(&self) -> Vec<(Pid, Fate)> {
        let mut left: Vec<Pid> = self.left.to_vec();
        left.sort_unstable();
        left.dedup();
        assert_eq!(left.len(), self.left.len(), "a process is left twice: {:?}", self.left);
        assert!(left.iter().all(|pid| self.pids.contains(pid)), "it was never listed: {left:?}");
        let finished = self.pids.iter().filter(|pid| left.binary_search(pid).is_err());
        let fates: Vec<_> = finished.map(|pid| (*pid, self.fate(*pid))).collect();
        for pid in &left {
            let is_measured = self.survey.processes().any(|process| process.pid == *pid);
            assert!(!is_measured, "{pid} is measured, and left to be measured");
        }
        let found = self.survey.coverage();
        let mut expected = Coverage::default();
        fates.iter().for_each(|(_, fate)| expected.count(*fate));
        assert_eq!(found, expected, "found and expected");
        let mut missing = fates.clone();
        missing.retain(|(_, fate)| fate.is_missing());
        missing.sort_unstable_by_key(|(pid, _)| *pid);
        assert_eq!(self.survey.missing(), missing, "found and expected by name");
        assert_eq!(found.listed() + left.len(), self.pids.len(), "none lost, none doubled");
        fates
    }

    fn seat(&self, pid: Pid) -> &Seat {
        &self.model.world.seats[seat_of(pid)]
    }

    /// The expected fate of a process.
    fn fate(&self, pid: Pid) -> Fate {
        let seat = self.seat(pid);
        let mut rows = self.survey.processes().filter(|process| process.pid == pid);
        let row = rows.next();
        assert!(rows.next().is_none(), "{pid} is measured twice");
        let given_up = |(other, fate): &(Pid, Fate)| {
            let is_given_up = matches!(fate, Fate::TimedOut | Fate::NotAsked);
            (*other == pid && is_given_up).then_some(*fate)
        };
        let given_up: Vec<Fate> = self.survey.missing().iter().filter_map(given_up).collect();
        assert!(
            given_up.len() + usize::from(row.is_some()) <= 1,
            "{pid} ended as {given_up:?} and more"
        );
        if let [fate] = given_up[..] {
            if seat.log.is_given_up {
                assert_eq!(fate, Fate::TimedOut, "{pid}");
                return fate;
            }
            self.given_up(seat);
            let slot = self.model.in_flight(pid);
            let is_at_work = slot.is_some_and(|slot| self.model.pool.at_work().contains(&slot));
            let is_paused = slot.is_none() && seat.log.is_walking;
            assert_eq!(fate == Fate::TimedOut, is_at_work || is_paused, "{pid} is {fate:?}");
            return fate;
        }
        assert!(!seat.log.is_given_up, "{pid} was given up");
        let fate = match row {
            Some(row) => {
                measured(seat, self.model.world.plan, &row);
                Fate::Measured
            }
            None => {
                assert!(seat.log.expected.is_some(), "{pid} is lost: it was never asked");
                let slot = self.model.in_flight(pid);
                assert_eq!(slot, None, "{pid} is lost: in flight, and not timed out");
                seat.log.fate()
            }
        };
        explained(self.model, seat, fate);
        fate
    }

    /// A process is given up with reason: the time is over, or nothing makes progress.
    fn given_up(&self, seat: &Seat) {
        let Model { world, watch, pool, .. } = self.model;
        let (now, slot) = (world.now, self.model.in_flight(seat.pid));
        let is_paused = seat.log.is_walking;
        let is_new = seat.log.expected.is_none();
        assert!(slot.is_some() || is_new || is_paused, "{} was finished", seat.pid);
        assert!(slot.is_none_or(|slot| pool.has(slot)), "{}: what came was not taken", seat.pid);
        if self.timeouts.deadline.is_some_and(|time| now >= self.began + micros(time)) {
            return;
        }
        let timeouts = micros(self.timeouts.stuck_after);
        assert!(now >= watch.last_reaped + timeouts, "{}: others were completed", seat.pid);
        assert!(now >= watch.last_fetched + timeouts, "{}: others were begun", seat.pid);
        let seen = watch.last_seen_running + timeouts;
        assert!(now + 2 * self.model.look_period() >= seen, "{}: others ran", seat.pid);
        assert_eq!(pool.running(), 0, "{} is given up while a worker runs", seat.pid);
        match slot {
            Some(slot) => {
                let mut workers = pool.active.iter().filter(|active| active.job.slot == slot);
                assert!(workers.any(|active| active.is_blocked), "{} had no worker", seat.pid);
            }
            None => {
                let used = watch.in_flight + watch.abandoned;
                assert_eq!(used, self.model.slots_max(), "{} was not even begun", seat.pid);
            }
        }
    }

    /// The work of the engine equals its reported work, and stays within the limits.
    fn work(&self, before: RingStats) {
        let Model { watch, stats, world, .. } = self.model;
        let io = self.survey.io();
        assert_eq!(io.operations, stats.operations - before.operations, "operations");
        assert_eq!(io.enters, stats.enters - before.enters, "enters");
        assert_eq!(io.reads, watch.reads_delivered, "reads");
        assert!(watch.moving_max <= self.depth, "{} in flight, not held", watch.moving_max);
        // The engine reads each at most twice.
        let longest = |seat: &Seat| seat.lives.iter().map(|life| lives()[*life].smaps.len()).max();
        let reads = |pid: &Pid| 2 * longest(self.seat(*pid)).unwrap_or(0) as u64;
        let most: u64 = self.pids.iter().map(|pid| reads(pid) + STEPS_MAX).sum();
        assert!(io.operations <= most, "{} operations, {most} at the most", io.operations);
        let looks = (world.now - self.began) / (5 * MILLIS);
        // At most one sleep in vain for each that brings a completion.
        let enters_max = 2 * io.operations + 2 * looks + 50;
        assert!(io.enters <= enters_max, "{} calls, it spins: {enters_max}", io.enters);
    }

    /// Files stay open only of processes that were measured. An abandoned slot keeps
    /// its place.
    fn kept(&self, fates: &[(Pid, Fate)]) {
        let is_late = |(_, fate): &(Pid, Fate)| matches!(fate, Fate::TimedOut | Fate::NotAsked);
        if self.model.watch.abandoned > 0 || fates.iter().any(is_late) {
            return;
        }
        for seat in self.model.kept().map(|index| &self.model.world.seats[index]) {
            assert!(fates.contains(&(seat.pid, Fate::Measured)), "{} is kept open", seat.pid);
        }
    }

    /// The survey ends on time.
    fn time(&self) {
        let Model { world, watch, .. } = self.model;
        let moved = [watch.last_reaped, watch.last_fetched, watch.last_ran, self.began];
        let moves = self.model.pool.running() > 0;
        let moved = if moves { world.now } else { moved.into_iter().max().unwrap_or(0) };
        let enough = moved + micros(self.timeouts.stuck_after) + self.model.look_period() + SLACK;
        assert!(world.now <= enough, "it ended at {}, {enough} was enough", world.now);
        if let Some(deadline) = self.timeouts.deadline {
            let end = self.began + micros(deadline);
            let is_early = watch.last_fetched < end || watch.moving_max == 0;
            assert!(is_early, "one was begun at {}, {end} is the deadline", watch.last_fetched);
            let end = end + SLACK;
            assert!(world.now <= end, "it ended at {}, {end} is the deadline", world.now);
        }
    }
}

/// Name and memory of one complete life, which the process has while the engine reads it.
fn measured(seat: &Seat, plan: &Plan, row: &ProcessUsage<'_>) {
    let ProcessUsage { name, smaps, .. } = row;
    let sources = match plan.source {
        Source::Auto | Source::Pagemap => &[false, true][..],
        Source::Rollup => &[false],
        Source::Smaps => &[true],
    };
    let walks = plan.walk.is_some_and(|walk| walk.is_forced);
    let is_it = |life: &&LifeId| {
        let life = &lives()[**life];
        let is_read = sources.iter().any(|of_smaps| life.sums(*of_smaps) == Ok(*smaps));
        // Only after an event does another file replace a walk.
        walks && life.walked == *smaps || is_read && (!walks || seat.log.is_touched)
    };
    let lives_since = &seat.lives[seat.log.first_life..];
    if walks && smaps.rss() == Kib(0) && lives_since.len() > 2 {
        // It exec'ed in two walks, each time between its addresses and their entries: the program
        // marks such figures.
        return;
    }
    let life = lives_since.iter().find(is_it);
    let life = life.unwrap_or_else(|| panic!("{}: sums of no life of it: {smaps:?}", seat.pid));
    let life = &lives()[*life];
    let is_fallback = life.is_fallback(plan.name_rule, name);
    // The name can be from an earlier survey.
    let is_touched = seat.log.is_touched || seat.was_touched;
    assert!(
        *name == life.name(plan.name_rule) || is_fallback && is_touched,
        "{}: `{}` has the memory of `{}`",
        seat.pid,
        name.escape_ascii(),
        life.name(plan.name_rule).escape_ascii()
    );
    assert!(plan.filter.is_none() || life.is_even, "{}: it was not selected", seat.pid);
    let is_selected = plan.users.is_empty() || life.is_even || seat.log.is_touched;
    assert!(is_selected, "{}: it is another user's", seat.pid);
    placed(seat, plan, row, life);
}

/// Owner and control group, where requested, of this life, or after an event, of one that the
/// process has during the reads; unavailable values are omitted.
fn placed(seat: &Seat, plan: &Plan, row: &ProcessUsage<'_>, life: &Life) {
    let ProcessUsage { pid, uid, cgroup, .. } = *row;
    let is_touched = seat.log.is_touched;
    let had = |is_it: &dyn Fn(&Life) -> bool| {
        let lives_since = &seat.lives[seat.log.first_life..];
        is_it(life) || is_touched && lives_since.iter().any(|life| is_it(&lives()[*life]))
    };
    let asks_owner = plan.owner || !plan.users.is_empty();
    let is_owner = uid.map_or(!asks_owner, |uid| asks_owner && had(&|life| life.uid == uid));
    assert!(is_owner, "{pid}: the owner is {uid:?}: {seat:?}");
    let is_group = match cgroup {
        Some(paths) => plan.cgroup && had(&|life| life.groups() == paths),
        None => !plan.cgroup || is_touched,
    };
    assert!(is_group, "{pid}: the group is {cgroup:?}");
}

/// An answer alone is not enough: it must match the actual state.
fn explained(model: &Model, seat: &Seat, fate: Fate) {
    let Seat { pid, log, .. } = seat;
    let Log { expected, is_touched, .. } = *log;
    let expected = expected.expect("it was asked");
    let is_as_expected = match expected {
        Expected::Measured(_) => fate == Fate::Measured,
        Expected::Fate(expected) => fate == expected,
    };
    // The kernel refuses an open, and not the read of a file that is open.
    let is_open = model.kept().any(|index| index == seat_of(*pid));
    let was_open = is_open && (fate, expected) == (Fate::Measured, Expected::Fate(Fate::Denied));
    let is_as_expected = is_as_expected || was_open;
    assert!(is_touched || is_as_expected, "{pid}: {fate:?}, and {expected:?} was expected");
    let lacks_rollup = model.world.plan.source == Source::Rollup && !model.world.kernel.has_rollup;
    let mut hits = model.world.faults.hits.iter().filter(|hit| hit.place.seat == seat_of(*pid));
    match fate {
        Fate::Gone => {
            let says = [Errno::NOENT, Errno::SRCH, Errno::NOTDIR];
            let is_told = hits.any(|hit| says.contains(&hit.errno));
            assert!(log.has_left || is_told, "{pid} is there: {seat:?}");
        }
        Fate::Failed(Errno::NOENT) => {
            let is_told = hits.any(|hit| hit.errno == Errno::NOENT);
            assert!(lacks_rollup || is_told, "{pid} has a file: {log:?}");
        }
        Fate::Changed => assert!(log.losses >= 2, "{pid} did not change twice: {log:?}"),
        Fate::NotSelected => {
            let plan = model.world.plan;
            assert!(plan.filter.is_some() || !plan.users.is_empty(), "{pid}: {log:?}");
        }
        Fate::Zombie => assert!(!matches!(seat.body, Body::User | Body::Kernel) || is_touched),
        _ => {}
    }
}

/// A process that the ring leaves behind continues like any other.
pub fn check_left(model: &Model, pid: Pid, fate: Fate, probe: &Probe) {
    let seat = &model.world.seats[seat_of(pid)];
    match (fate, probe.smaps()) {
        (Fate::TimedOut, _) => return,
        (Fate::Measured, Some(smaps)) => {
            let (name, uid, smaps) = (probe.name(), probe.uid(), *smaps);
            let (cgroup, stat) = (probe.cgroup(), probe.stat());
            let row = ProcessUsage { pid, name, smaps, uid, cgroup, page_tables: None, stat };
            measured(seat, model.world.plan, &row);
        }
        _ => assert_eq!(fate, seat.log.fate(), "{pid} left behind"),
    }
    explained(model, seat, fate);
}
