//! Processes that change while their page tables are walked: they exit, exec, move their memory or
//! grow, at every step. A report has the figures of one moment, or a mark.

use crate::support::failures::{Failures, check, check_eq};
use crate::support::tables::{Kind, Mapping, Tables, frame_of_count, page};
use crate::support::world::{PID, RULE, World};
use psm_uring::process::{Fate, NameRule, Plan, Probe, WINDOW_BYTES, WalkRule};
use psm_uring::smaps::Smaps;
use psm_uring::units::Errno;
use regex::bytes::Regex;

/// Pages of the process, which take ten windows.
const PAGES: u64 = 10 * 256 / 8;
/// Pages after which no rollup replaces a torn walk: it would take longer than 20 ms.
const BIG_PAGES: u64 = 251_000;

fn private(pages: u64, first: u64) -> Tables {
    let frame = page(frame_of_count(Kind::Anon, 0, 1));
    let entries = vec![frame; usize::try_from(pages).expect("few pages")];
    Tables { mappings: vec![Mapping { first, device: "00:00", entries }], ..Tables::default() }
}

fn plans() -> Vec<Plan> {
    let walk = Some(RULE);
    let all = Regex::new("title|comm|exe").expect("a regular expression");
    let mut plans = Vec::new();
    for name_rule in [NameRule::Title, NameRule::Comm, NameRule::Exe] {
        for filter in [None, Some(all.clone())] {
            let plan = Plan { name_rule, walk, filter, ..Plan::default() };
            plans.push(Plan { owner: true, cgroup: true, stat: true, ..plan.clone() });
            plans.push(plan);
        }
    }
    plans
}

/// A process of each origin of a name, and one without its leader.
fn worlds() -> [World; 5] {
    let worlds = [World::user(), World::nameless(), World::doubtful(), World::magic()];
    let worlds = worlds.map(|world| world.with_tables(private(PAGES, 512)));
    let mut leaderless = World::leaderless();
    for (path, text) in World::user().with_tables(private(PAGES, 512)).texts {
        leaderless.texts.insert(path.replace("7/", "7/task/8/"), text);
    }
    leaderless.tables = private(PAGES, 512);
    let [user, nameless, doubtful, magic] = worlds;
    [user, nameless, doubtful, magic, leaderless]
}

fn steps(world: &World, plan: &Plan) -> Vec<String> {
    let mut sound = world.clone();
    let fate = sound.carry(&mut Probe::new(), plan).fate;
    assert_eq!(fate, Fate::Measured, "{plan:?}");
    sound.steps
}

/// The steps that open or read the page tables.
fn reads_of_tables(world: &World, plan: &Plan) -> Vec<usize> {
    let steps = steps(world, plan);
    let is_read = |step: &usize| steps[*step].ends_with("/pagemap");
    (0..steps.len()).filter(is_read).collect()
}

/// The process is gone, or has released its memory: no figure, or the whole one.
#[test]
fn an_exit_at_every_step() {
    let mut failures = Failures::new();
    let zombie = |world: &World| {
        let names = ["smaps", "smaps_rollup", "exe"];
        let mut world = world.clone().failing(&names, Errno::SRCH).with_tables_of_a_zombie();
        world.texts.retain(|path, _| !path.contains("/task/"));
        world.with("status", "Name:\tcomm\nState:\tZ (zombie)\nThreads:\t1\n").with("task", "7\n")
    };
    let gone = |_: &World| World { room: 4096, ..World::default() };
    for (what, next) in [("zombie", &zombie as &dyn Fn(&World) -> World), ("gone", &gone)] {
        for world in worlds() {
            let whole = Some(world.tables.figures());
            for plan in plans() {
                for step in 0..steps(&world, &plan).len() {
                    let next = Some((step, Box::new(next(&world))));
                    let mut world = World { next, ..world.clone() };
                    let found = world.carry(&mut Probe::new(), &plan);
                    let is_known = match found.fate {
                        Fate::Measured => found.smaps == whole && !found.name.is_empty(),
                        fate => [Fate::Zombie, Fate::Gone].contains(&fate),
                    };
                    // A name of a process without memory may be another one.
                    let is_left_out = found.fate == Fate::NotSelected && plan.filter.is_some();
                    check!(failures, is_known || is_left_out, "{what} {step} {plan:?}: {found:?}");
                }
            }
        }
    }
}

/// A process that execs at any two steps has the memory of one program, or a mark.
#[test]
fn two_execs_at_any_steps() {
    let mut failures = Failures::new();
    let plan = Plan { walk: Some(RULE), ..Plan::default() };
    let programs = [512, 4096, 9000].map(|first| private(PAGES + first / 10, first));
    let [first, second, third] = [0, 1, 2].map(|n| World::user().with_tables(programs[n].clone()));
    let figures: Vec<Smaps> = programs.iter().map(Tables::figures).collect();
    let mut marked = 0;
    for one in 0..24 {
        for two in one + 1..40 {
            let last = Some((two, Box::new(third.clone())));
            let next = Some((one, Box::new(World { next: last, ..second.clone() })));
            let mut probe = Probe::new();
            let found = World { next, ..first.clone() }.carry(&mut probe, &plan);
            let is_whole = found.smaps.is_some_and(|smaps| figures.contains(&smaps));
            let is_known = is_whole && !probe.is_torn() || found.fate == Fate::Changed;
            marked += usize::from(probe.is_torn());
            check!(failures, is_known || probe.is_torn(), "{one}, {two}: {found:?}");
        }
    }
    assert!(marked < 10, "{marked} of 700 have a mark");
}

/// Memory that moves during a walk to addresses that were walked already, or to new ones.
#[test]
fn a_torn_walk_is_repeated() {
    let mut failures = Failures::new();
    for world in worlds() {
        for plan in plans() {
            let reads = reads_of_tables(&world, &plan);
            for step in &reads[1..] {
                let moves = vec![(*step, private(PAGES, 4096))];
                let mut torn = World { moves, ..world.clone() };
                if torn.texts.contains_key("7/task/8/comm") {
                    continue;
                }
                let mut probe = Probe::new();
                let found = torn.carry(&mut probe, &plan);
                let whole = [private(PAGES, 512), private(PAGES, 4096)].map(|t| t.figures());
                let is_whole = found.smaps.is_some_and(|smaps| whole.contains(&smaps));
                check!(failures, is_whole && !probe.is_torn(), "{step} {plan:?}: {found:?}");
            }
        }
    }
}

/// A process whose memory moves in each walk, and whose rollup is short or long.
fn moving(pages: u64, walk: WalkRule) -> (World, Plan) {
    let plan = Plan { walk: Some(walk), ..Plan::default() };
    let world = World { room: 1 << 20, ..World::user() }.with_tables(private(pages, 512));
    let reads = reads_of_tables(&world, &plan);
    let halfway = reads[reads.len() / 2];
    // The second walk follows the reads of statm after the first one, and of status and maps.
    let again = steps(&world, &plan).len() + 5 + reads.len() / 2;
    let far = 512 + 2 * pages;
    let moves = vec![(halfway, private(pages, far)), (again, private(pages, 512))];
    (World { moves, ..world }, plan)
}

#[test]
fn a_walk_that_is_torn_twice_is_replaced_or_marked() {
    let big = WalkRule { is_forced: false, window_bytes: WINDOW_BYTES, ..RULE };
    for (pages, walk, is_marked) in
        [(PAGES, RULE, true), (10_000, big, false), (BIG_PAGES, big, true)]
    {
        let (mut world, plan) = moving(pages, walk);
        let mut probe = Probe::new();
        let found = world.carry(&mut probe, &plan);
        assert_eq!((found.fate, world.moves.len()), (Fate::Measured, 0), "{pages}");
        let walks = world.windows.iter().filter(|(window, _)| *window == world.windows[0].0);
        assert_eq!(world.opens_of("pagemap"), 2, "{pages}: {} windows", walks.count());
        assert_eq!((probe.is_torn(), probe.is_walked()), (is_marked, is_marked), "{pages}");
        let is_whole = found.smaps == Some(private(pages, 512).figures());
        assert_eq!(is_whole, !is_marked, "{pages}: {found:?}");
        // The next process has no mark.
        World::user().carry(&mut probe, &Plan::default());
        assert!(!probe.is_torn() && !probe.is_walked());
    }
}

/// A process that grows or shrinks during its walk has figures between those before and after.
#[test]
fn growth_is_no_tear() {
    let mut failures = Failures::new();
    let plan = Plan { walk: Some(RULE), ..Plan::default() };
    for (before, after) in [(PAGES, 2 * PAGES), (2 * PAGES, PAGES), (PAGES, PAGES + 3)] {
        let world = World::user().with_tables(private(before, 512));
        for step in &reads_of_tables(&world, &plan)[1..] {
            let moves = vec![(*step, private(after, 512))];
            let mut world = World { moves, ..world.clone() };
            let mut probe = Probe::new();
            let found = world.carry(&mut probe, &plan).smaps.expect("it is measured");
            let range = before.min(after) * 4..=before.max(after) * 4;
            let walks = world.opens_of("pagemap");
            check_eq!(failures, (walks, probe.is_torn()), (1, false), "{step} to {after}");
            check!(failures, range.contains(&found.rss().0), "{step} to {after}: {found:?}");
        }
    }
}

/// The counters of old kernels are late by some pages on each CPU.
#[test]
fn late_counters_are_no_tear() {
    let slack_pages = 64;
    let rule = WalkRule { slack_pages, ..RULE };
    for (late, walks) in [(0, 1), (64 + 3, 1), (64 + 8, 2)] {
        let statm = format!("{PAGES} {} 0 0 0 0 0\n", PAGES + late);
        let mut world = World::user().with_tables(private(PAGES, 512)).with("statm", &statm);
        let mut probe = Probe::new();
        let plan = Plan { walk: Some(rule), ..Plan::default() };
        let found = world.carry(&mut probe, &plan);
        assert_eq!(found.smaps, Some(private(PAGES, 512).figures()));
        assert_eq!((world.opens_of("pagemap"), probe.is_torn()), (walks, walks > 1), "{late}");
    }
}

/// Another file has the name: name and memory are read as a pair once more.
#[test]
fn a_name_of_another_file_takes_another_walk() {
    let plan = Plan { walk: Some(RULE), ..Plan::default() };
    for (world, name) in [(World::magic(), "exe"), (World::nameless(), "[comm]")] {
        let mut world = world.with_tables(private(PAGES, 512));
        let mut probe = Probe::new();
        let found = world.carry(&mut probe, &plan);
        assert_eq!((found.name.as_str(), found.smaps), (name, Some(world.tables.figures())));
        assert_eq!((world.opens_of("pagemap"), world.opens_of("statm")), (2, 2), "{name}");
        assert!(probe.is_walked());
    }
}

/// The first thread is dead: the page tables are those of another one.
#[test]
fn a_thread_shows_the_page_tables_of_its_process() {
    for plan in plans() {
        let [.., mut world] = worlds();
        let mut probe = Probe::new();
        let found = world.carry(&mut probe, &plan);
        assert_eq!(found.smaps, Some(private(PAGES, 512).figures()), "{plan:?}");
        assert!(probe.is_walked() && world.steps.contains(&"7/task/8/pagemap".to_owned()));
        assert_eq!(probe.pid(), PID);
    }
}
