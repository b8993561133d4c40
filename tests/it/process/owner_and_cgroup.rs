//! Owner and control group in a probe, answer by answer and without a kernel, requested or not.

use crate::support::failures::{Failures, check, check_eq};
use crate::support::world::World;
use psm_uring::process::{Fate, Plan, Probe, ProcFile};
use psm_uring::units::Errno;
use regex::bytes::Regex;

/// Plans that request neither, one or both; with a filter and without.
fn plans() -> Vec<Plan> {
    let all = Regex::new("").expect("a regular expression");
    let mut plans = Vec::new();
    for (owner, cgroup) in [(false, false), (true, false), (false, true), (true, true)] {
        for filter in [None, Some(all.clone())] {
            plans.push(Plan { owner, cgroup, filter, ..Plan::default() });
        }
    }
    plans
}

/// Owner and control group are those of the thread that represents the process. The probe reads
/// their files only on request.
#[test]
fn owner_and_cgroup_are_read_on_request() {
    let mut failures = Failures::new();
    for plan in plans() {
        for world in [World::user(), World::nameless(), World::leaderless()] {
            let is_leaderless = world.texts.contains_key("7/task/8/comm");
            let mut world = world;
            let found = world.carry(&mut Probe::new(), &plan);
            check_eq!(
                failures,
                (found.fate, found.uid),
                (Fate::Measured, plan.owner.then_some(33)),
                "{plan:?}"
            );
            let groups = plan.cgroup.then(|| ["/group"; 2].map(Into::into));
            check_eq!(failures, found.cgroups, groups, "{plan:?}");
            let reads = |path: &str| world.steps.iter().filter(|step| *step == path).count();
            let groups = reads("7/cgroup") + reads("7/task/8/cgroup");
            let tries = if is_leaderless && !plan.owner { 2 } else { 1 };
            let expected = if plan.cgroup { 2 * tries } else { 0 };
            check_eq!(failures, groups, expected, "{plan:?} {:?}", world.steps);
            check_eq!(failures, world.steps[0] == "7/status", plan.owner, "{:?}", world.steps);
        }
    }
}

/// A kernel without control groups, or with an unreadable path: the probe keeps the rest.
#[test]
fn an_unknown_owner_or_cgroup_is_left_out() {
    let mut failures = Failures::new();
    for plan in plans() {
        for errno in [libc::ENOENT, libc::ENAMETOOLONG] {
            let mut world = World::user().failing(&["cgroup"], Errno(errno));
            let found = world.carry(&mut Probe::new(), &plan);
            check_eq!(failures, (found.fate, found.cgroups), (Fate::Measured, None), "{plan:?}");
        }
        let mut world = World::user().with("status", "Name:\tx\nState:\tS\nVmSize:\t1 kB\n");
        let found = world.carry(&mut Probe::new(), &plan);
        check_eq!(failures, (found.fate, found.uid), (Fate::Measured, None), "{plan:?}");
    }
}

/// A `status` that no kernel wrote: the process has no owner, and its memory counts. A selection of
/// users reports it as malformed.
#[test]
fn with_a_malformed_status_the_memory_counts() {
    let mut failures = Failures::new();
    let text = "Name:\tx\nState:\tsleeping?\nThreads:\tmany\nVmRSS:\n\u{fffd}";
    let texts = ["", "\0", text].map(|text| World::user().with("status", text));
    let no_name = Regex::new("^$").expect("a regular expression");
    for world in texts {
        let gone = world.clone().failing(&["smaps", "smaps_rollup", "statm"], Errno::SRCH);
        for plan in plans() {
            let found = world.clone().carry(&mut Probe::new(), &plan);
            check_eq!(failures, (found.fate, found.uid), (Fate::Measured, None), "{plan:?}");
            let expected = [Fate::Measured, Fate::Malformed, Fate::Gone];
            let users = Plan { users: vec![33], ..plan.clone() };
            let found = [(&world, &plan), (&world, &users), (&gone, &users)]
                .map(|(world, plan)| world.clone().carry(&mut Probe::new(), plan).fate);
            check_eq!(failures, found, expected, "{:?} {plan:?}", world.texts["7/status"]);
            let unnamed = Plan { filter: Some(no_name.clone()), ..users };
            let found = world.clone().carry(&mut Probe::new(), &unnamed).fate;
            check_eq!(failures, found, Fate::NotSelected, "{plan:?}");
        }
    }
}

/// The probe reads a dozen hierarchies with long paths completely, but not a text without an end.
#[test]
fn control_groups_of_any_length() {
    let mut failures = Failures::new();
    let long = |n: usize| format!("{n}:c{n}:/{}\n", "x".repeat(1000));
    let hierarchies: String = (2..14).rev().map(long).collect();
    let plan = Plan { cgroup: true, ..Plan::default() };
    for room in [64, 512, 4096, 16_384, 100_000] {
        let text = format!("{hierarchies}1:name=systemd:/last\n0::/\n");
        let mut world = World { room, ..World::user() }.with("cgroup", &text);
        let found = world.carry(&mut Probe::new(), &plan).cgroups;
        check_eq!(failures, found, Some(["/last"; 2].map(Into::into)), "by {room}");
        let endless = "x".repeat(3 * ProcFile::Cgroup.text_max());
        let mut world = World { room, ..World::user() }.with("cgroup", &endless);
        check_eq!(
            failures,
            world.carry(&mut Probe::new(), &plan).fate,
            Fate::Measured,
            "by {room}"
        );
        let reads = world.steps.iter().filter(|step| step.ends_with("cgroup")).count();
        check!(
            failures,
            reads <= ProcFile::Cgroup.text_max() / room + 2,
            "{reads} reads by {room}"
        );
    }
}
