//! Random worlds, faults and settings: the complete input of one schedule.

use std::sync::OnceLock;
use std::time::Duration;

use psm_uring::engine::Timeouts;
use psm_uring::process::{NameRule, Plan, Source, WalkRule};
use psm_uring::units::{Errno, Pid};
use regex::bytes::Regex;

use super::dice::Dice;
use super::fault::{ERRNOS, Fault, Faults};
use super::life::{LIVES, uid_of};
use super::seat::{Body, Change, Denial, Lock, Seat, When, first_thread, pid_of};
use super::slots::Trouble;
use super::world::{Kernel, World};
use super::{MILLIS, Micros, NEVER};

/// The maximum number of processes of a random world.
const PROCESSES_MAX: u64 = 12;

/// Walks of four windows and more.
const WALK: WalkRule = WalkRule {
    is_forced: true,
    is_whole_host: true,
    has_swap: false,
    window_bytes: 512,
    page_bytes: 4096,
    slack_pages: 0,
};

/// One schedule, before its run.
pub struct Script {
    pub world: World,
    pub trouble: Trouble,
    pub workers: usize,
    pub depth: usize,
    pub slots_max: usize,
    /// Requests are chains; else the ring can reap by time.
    pub is_chained: bool,
    pub can_sleep: bool,
    pub is_lazy: bool,
    pub is_unfair: bool,
    pub timeouts: Timeouts,
    /// The number of surveys of the same engine.
    pub surveys: usize,
    /// Files stay open between surveys, in so many places; and the number of surveys for each read
    /// of a name.
    pub keeps_files: bool,
    pub places: usize,
    pub surveys_per_name: u32,
    /// Stuck requests complete after a survey, too late.
    pub comes_back: bool,
    /// The choices that remain for the run.
    pub dice: Dice,
}

/// Every name rule and source, with a filter and without; and some with more fields.
pub fn plans() -> &'static [Plan] {
    static MADE: OnceLock<Vec<Plan>> = OnceLock::new();
    MADE.get_or_init(|| {
        let even = Regex::new("even").expect("a regular expression");
        let mut plans = Vec::new();
        for filter in [None, Some(even)] {
            for source in [Source::Auto, Source::Rollup, Source::Smaps] {
                let rules = [NameRule::Title, NameRule::Comm, NameRule::Exe, NameRule::Cmdline];
                plans.extend(rules.map(|name_rule| Plan {
                    name_rule,
                    source,
                    filter: filter.clone(),
                    kernel_threads: guessed(),
                    ..Plan::default()
                }));
            }
        }
        let asked = |plan: &Plan| Plan { owner: true, cgroup: true, ..plan.clone() };
        plans.extend([0, 21].map(|plan| asked(&plans[plan])));
        let users: Vec<u32> = (0..LIVES).step_by(2).map(uid_of).collect();
        let selected = |plan: &Plan| Plan { users: users.clone(), ..plan.clone() };
        plans.push(selected(&plans[7]));
        plans.push(Plan { name_rule: NameRule::Script, ..plans[12].clone() });
        let walked = |plan: &Plan| Plan { walk: Some(WALK), ..plan.clone() };
        plans.extend([0, 13, 24].map(|plan| walked(&plans[plan])));
        // No process is big enough.
        let walk = Some(WalkRule { is_forced: false, ..WALK });
        plans.push(Plan { walk, ..plans[12].clone() });
        plans
    })
}

/// Every fourth process counts as a kernel thread, independent of its kind.
fn guessed() -> Vec<Pid> {
    let processes = usize::try_from(PROCESSES_MAX).expect("few processes");
    (0..processes).step_by(4).map(pid_of).collect()
}

impl Script {
    /// A world without events and failures, with timeouts.
    pub fn calm(world: World, dice: Dice) -> Script {
        let stuck_after = Duration::from_secs(2);
        Script {
            world,
            trouble: Trouble::default(),
            workers: 2,
            depth: 4,
            slots_max: 64,
            is_chained: false,
            can_sleep: true,
            is_lazy: false,
            is_unfair: false,
            timeouts: Timeouts { stuck_after, deadline: None },
            surveys: 1,
            keeps_files: false,
            places: 0,
            surveys_per_name: 1,
            comes_back: false,
            dice,
        }
    }

    pub fn random(mut dice: Dice) -> Script {
        let world = random_world(&mut dice);
        let depth = 1 + dice.index(8);
        let roomy = dice.percent(75);
        let stuck_after = Duration::from_millis(*dice.pick(&[80, 100, 150, 200, 400, 2000]));
        let has_deadline = dice.percent(20);
        let longest = *dice.pick(&[1, 2 * MILLIS, 500 * MILLIS]);
        let deadline = has_deadline.then(|| Duration::from_micros(dice.below(longest)));
        Script {
            trouble: random_trouble(&mut dice),
            workers: 1 + dice.index(4),
            depth,
            slots_max: if roomy { 64 } else { depth + dice.index(4) },
            is_chained: dice.percent(50),
            can_sleep: dice.percent(50),
            is_lazy: dice.percent(50),
            is_unfair: dice.percent(50),
            timeouts: Timeouts { stuck_after, deadline },
            surveys: *dice.pick(&[1, 2, 3, 6]),
            comes_back: dice.percent(60),
            keeps_files: dice.percent(70),
            places: dice.index(16),
            surveys_per_name: *dice.pick(&[1, 2, 3]),
            world,
            dice,
        }
    }
}

/// A world without scripts.
pub fn world_of(seats: Vec<Seat>, plan: &'static Plan) -> World {
    let kernel = Kernel { has_rollup: true, refuses_at_open: true };
    World { now: 0, seats, kernel, faults: Faults::default(), plan }
}

fn random_world(dice: &mut Dice) -> World {
    let processes = dice.between(1, PROCESSES_MAX + 1);
    // Each life is used once.
    let mut next_life = dice.index(LIVES);
    let mut life = move || {
        next_life = (next_life + 1) % LIVES;
        next_life
    };
    let is_troubled = dice.percent(70);
    let seats = (0..processes).map(|n| {
        let index = usize::try_from(n).expect("few processes");
        let mut seat = Seat::new(index, random_body(index, dice), life());
        if dice.percent(8) {
            seat.denial = *dice.pick(&[Denial::Memory, Denial::All]);
        }
        seat.walk = random_walk(dice);
        if is_troubled && dice.percent(50) {
            for _ in 0..=dice.below(3) {
                seat.script.push_back((random_when(dice), random_change(dice, &mut life)));
            }
        }
        seat
    });
    let mut world = world_of(seats.collect(), &plans()[0]);
    world.plan = dice.pick(plans());
    world.kernel.has_rollup = dice.percent(85);
    world.kernel.refuses_at_open = dice.percent(50);
    if dice.percent(30) {
        let faults = 1 + dice.below(3);
        world.faults.planned = (0..faults).map(|_| random_fault(dice)).collect();
    }
    world
}

fn random_body(index: usize, dice: &mut Dice) -> Body {
    match dice.below(20) {
        0 => Body::Absent,
        1 => Body::Zombie,
        2 => Body::Kernel,
        3 | 4 => Body::Leaderless(first_thread(index)),
        5 => Body::Exiting,
        _ => Body::User,
    }
}

/// Most are small. Some are so large that a walk takes longer than the timeout of a sleeping
/// process.
fn random_walk(dice: &mut Dice) -> Micros {
    match dice.below(20) {
        0 => dice.below(3000 * MILLIS),
        1 => dice.below(100 * MILLIS),
        _ => 0,
    }
}

fn random_when(dice: &mut Dice) -> When {
    match dice.below(4) {
        0 => When::At(dice.below(2 * MILLIS)),
        1 => When::At(dice.below(300 * MILLIS)),
        _ => When::Steps(u32::try_from(dice.below(10)).expect("few steps")),
    }
}

fn random_change(dice: &mut Dice, life: &mut impl FnMut() -> usize) -> Change {
    match dice.below(13) {
        0..=2 => Change::Exec(life()),
        3 => Change::Die,
        10 => Change::Exit,
        4 => Change::Reap,
        5 => Change::Reuse(life()),
        6 => Change::EndThread,
        7 => Change::Deny(*dice.pick(&[Denial::Memory, Denial::All, Denial::None])),
        8 => Change::Hang(random_lock(dice), dice.below(60 * MILLIS)),
        9 => Change::Hang(random_lock(dice), dice.below(1000 * MILLIS)),
        _ => Change::Hang(random_lock(dice), NEVER),
    }
}

fn random_lock(dice: &mut Dice) -> Lock {
    *dice.pick(&[Lock::Memory, Lock::Exec])
}

fn random_fault(dice: &mut Dice) -> Fault {
    let (op, errno) = (dice.below(60), Errno(*dice.pick(&ERRNOS)));
    Fault { op, errno, for_good: dice.percent(50) }
}

fn random_trouble(dice: &mut Dice) -> Trouble {
    const BROKEN: [i32; 5] = [libc::EBADF, libc::ENOMEM, libc::EFAULT, libc::ENXIO, libc::EBUSY];
    let mut trouble = Trouble::default();
    match dice.below(20) {
        0 => trouble.fails_at = Some((dice.below(30), Errno(*dice.pick(&BROKEN)))),
        1 => trouble.no_worker_from = Some(dice.below(30)),
        _ => {}
    }
    trouble.no_worker_once = dice.percent(50);
    trouble.early_returns = if dice.percent(25) { dice.below(20) } else { 0 };
    trouble.short_percent = *dice.pick(&[0, 30, 90]);
    trouble
}
