//! One run of the engine on one script, checked after every survey.

use std::cell::RefCell;
use std::num::NonZeroU32;
use std::ops::AddAssign;
use std::rc::Rc;
use std::sync::Arc;

use psm_uring::engine::{Engine, EngineFailure, Survey, Tuning, Uring};
use psm_uring::process::{Coverage, Fate, Plan, Probe, Source};
use psm_uring::sys::ring::pace::Pace;
use psm_uring::units::Pid;

use super::super::tables::Frames;
use super::carrier;
use super::check::{Check, check_left};
use super::log::Log;
use super::pool::Pool;
use super::ring::ModelRing;
use super::script::Script;
use super::seat::{Seat, seat_of};
use super::slots::Model;
use super::watch::Watch;
use super::{MILLIS, Micros};

/// The coverage of schedules, so that a test can check that it covers every kind of event.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    pub schedules: u64,
    pub coverage: Coverage,
    /// Failures of operations, of whole rings, of heads without a worker.
    pub injected: u64,
    /// Broken rings, and processes that the fallback carried.
    pub broken: u64,
    pub left: u64,
    /// Processes that were given up, and their late completions.
    pub abandoned: u64,
    pub late: u64,
    /// Events during the reads of their process.
    pub touched: u64,
    /// Pauses between two windows of a walk.
    pub pauses: u64,
    /// Reads of files that stayed open.
    pub resumed: u64,
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        self.schedules += other.schedules;
        self.coverage.add(&other.coverage);
        self.injected += other.injected;
        self.broken += other.broken;
        self.left += other.left;
        self.abandoned += other.abandoned;
        self.late += other.late;
        self.touched += other.touched;
        self.pauses += other.pauses;
        self.resumed += other.resumed;
    }
}

/// A finished schedule.
pub struct Ran {
    pub totals: Totals,
    pub model: Rc<RefCell<Model>>,
    /// The fate of every process in the last survey, carried by the ring or the fallback.
    pub fates: Vec<(Pid, Fate)>,
}

impl Ran {
    pub fn fate(&self, seat: usize) -> Fate {
        let found = self.fates.iter().find(|(pid, _)| seat_of(*pid) == seat);
        found.unwrap_or_else(|| panic!("seat {seat} was not listed")).1
    }
}

/// Runs a schedule to its end.
///
/// # Panics
/// When a check fails.
pub fn run(script: Script) -> Ran {
    let Script { world, workers, depth, slots_max, timeouts, surveys, comes_back, .. } = script;
    let pool = Pool::new(workers, script.is_lazy, script.is_unfair);
    let mut model = Model::new(world, pool, script.dice, script.trouble, slots_max);
    model.is_chained = script.is_chained;
    model.can_sleep = script.can_sleep && !script.is_chained;
    model.places = vec![None; script.places];
    let model = Rc::new(RefCell::new(model));
    let keeps_files = script.keeps_files;
    let tuning = Tuning { keeps_files, ..Tuning::new(Some(workers), Some(depth), Source::Auto) };
    let mut engine =
        Uring::new(ModelRing(Rc::clone(&model), Pace::default(), Frames::default()), tuning);
    let mut totals = Totals { schedules: 1, ..Totals::default() };
    let mut fates = Vec::new();
    for _ in 0..surveys {
        let pids = begin_survey(&mut model.borrow_mut());
        let (plan, stats) = (model.borrow().world.plan, model.borrow().stats);
        let surveys_per_name = NonZeroU32::new(script.surveys_per_name);
        let plan = Plan { surveys_per_name, ..plan.clone() };
        let began = model.borrow().world.now;
        let mut tallies = Vec::new();
        let outcome = engine.survey(&pids, &Arc::new(plan), &timeouts, &mut |_| {}, &mut tallies);
        let survey = Survey::from(tallies);
        let model = &mut *model.borrow_mut();
        assert!(!model.is_urgent, "the highest priority outlives the survey");
        let left = outcome.as_ref().err().map_or(&[][..], |broken| &broken.unfinished);
        let depth = depth.min(slots_max);
        let check = Check { model, survey: &survey, pids: &pids, left, depth, timeouts, began };
        fates = check.all(stats);
        totals.coverage.add(&survey.coverage());
        totals.touched += model.world.seats.iter().filter(|s| s.log.is_touched).count() as u64;
        if let Err(broken) = outcome {
            totals.broken += 1;
            totals.left += broken.unfinished.len() as u64;
            fates.extend(take_over(model, &broken, &mut totals));
            break;
        }
        model.abandon();
        if comes_back {
            come_back(model);
        }
    }
    let last = model.borrow();
    totals.injected = last.world.faults.injected;
    totals.late = last.watch.late;
    totals.pauses = last.pauses;
    totals.resumed = last.watch.resumed;
    totals.abandoned = last.watch.abandoned as u64;
    drop(last);
    Ran { totals, model, fates }
}

/// Starts a new log. All ids are listed, including those that are gone by then.
fn begin_survey(model: &mut Model) -> Vec<Pid> {
    let now = model.world.now;
    let Watch { late, abandoned, resumed, .. } = model.watch;
    model.watch = Watch {
        last_fetched: now,
        last_reaped: now,
        last_ran: now,
        late,
        abandoned,
        resumed,
        ..Watch::default()
    };
    let seats = model.world.seats.iter_mut();
    let begin = |seat: &mut Seat| {
        seat.was_touched |= seat.log.is_touched;
        seat.log = Log::default();
        seat.pid
    };
    seats.map(begin).collect()
}

/// Stuck requests in the ring end at some time during the next survey.
fn come_back(model: &mut Model) {
    let (now, dice) = (model.world.now, &mut model.dice);
    model.pool.release(|| -> Micros { now + dice.below(20 * MILLIS) });
    model.world.unlock();
}

/// The ring is gone; the fallback carries the remaining processes.
fn take_over(model: &mut Model, broken: &EngineFailure, totals: &mut Totals) -> Vec<(Pid, Fate)> {
    let mut probe = Probe::new();
    let mut fates = Vec::new();
    for pid in &broken.unfinished {
        model.world.seats[seat_of(*pid)].log = Log::default();
        let fate = match carrier::carry(&mut model.world, &mut probe, *pid) {
            true => probe.fate().expect("it wants nothing more"),
            false => Fate::TimedOut,
        };
        check_left(model, *pid, fate, &probe);
        totals.coverage.count(fate);
        fates.push((*pid, fate));
    }
    fates
}
