//! Every engine, every depth, every number of workers, every subset of ring features: the same
//! survey as the engine `sync`, on every fixture. The result of `sync` is compared with the sums
//! and names that the fixtures were generated with.

use crate::support::failures::{Failures, check_eq};
use crate::support::survey::{CHAINED, STAGED, Snapshot, TIMED, has_uring, open, survey, tuning};
use crate::support::{TREES, Table, data, thinning, tree};
use psm_uring::engine::{EngineKind, Surveyor, Tuning};
use psm_uring::process::{Coverage, NameRule, Plan, Source};
use psm_uring::sys::proc_root::ProcRoot;
use psm_uring::sys::ring::kernel::Features;
use psm_uring::units::Pid;
use regex::bytes::Regex;

const NAMES: [NameRule; 5] =
    [NameRule::Title, NameRule::Comm, NameRule::Exe, NameRule::Script, NameRule::Cmdline];
const SOURCES: [Source; 3] = [Source::Auto, Source::Rollup, Source::Smaps];
const WORKERS: [usize; 3] = [1, 2, 8];
const DEPTHS: [usize; 4] = [1, 2, 3, 64];

/// Features that older kernels lack: each alone, and all together.
fn feature_subsets() -> Vec<(&'static str, Features)> {
    let none = Features {
        submit_all: false,
        coop_taskrun: false,
        single_issuer: false,
        defer_taskrun: false,
        direct_descriptors: false,
        chains: false,
        skip_success: false,
        worker_limit: false,
    };
    vec![
        ("no submit_all", Features { submit_all: false, ..Features::ALL }),
        ("no coop_taskrun", Features { coop_taskrun: false, ..Features::ALL }),
        ("no single_issuer", Features { single_issuer: false, ..Features::ALL }),
        ("no defer_taskrun", CHAINED),
        ("no direct_descriptors", Features { direct_descriptors: false, ..Features::ALL }),
        ("no chains", TIMED),
        ("no chains, no defer_taskrun", STAGED),
        ("no skip_success", Features { skip_success: false, ..Features::ALL }),
        ("no worker_limit", Features { worker_limit: false, ..Features::ALL }),
        ("none", none),
    ]
}

fn thinned<T>(cases: Vec<T>) -> Vec<T> {
    cases.into_iter().step_by(thinning()).collect()
}

/// Every name rule and source, with and without a filter.
fn plans() -> Vec<Plan> {
    let filter = Regex::new("[aeou]").expect("a regular expression");
    let mut plans = Vec::new();
    // Ordered by source, because an engine allocates new buffers when the source changes.
    for source in SOURCES {
        for name_rule in NAMES {
            for filter in [None, Some(filter.clone())] {
                plans.push(Plan { name_rule, source, filter, ..Plan::default() });
            }
        }
        let (name_rule, filter) = (NameRule::Title, Some(filter.clone()));
        plans.push(Plan { source, owner: true, ..Plan::default() });
        plans.push(Plan { source, cgroup: true, ..Plan::default() });
        plans.push(Plan { source, stat: true, ..Plan::default() });
        plans.push(Plan { source, users: vec![0, 1000], ..Plan::default() });
        plans.push(Plan {
            name_rule,
            source,
            filter,
            owner: true,
            cgroup: true,
            ..Plan::default()
        });
    }
    thinned(plans)
}

/// A fixture with the survey of `sync` for each plan.
struct Reference {
    tree: &'static str,
    root: ProcRoot,
    pids: Vec<Pid>,
    plans: Vec<Plan>,
    expected: Vec<Snapshot>,
}

impl Reference {
    fn of(tree_name: &'static str) -> Reference {
        let root = ProcRoot::open(&tree(tree_name)).expect("a fixture");
        let pids = root.pids().expect("a listing");
        let mut sync = open(EngineKind::Sync, &root, tuning(1, 1));
        let plans = plans();
        let expected = plans.iter().map(|plan| survey(&mut sync, &pids, plan)).collect();
        Reference { tree: tree_name, root, pids, plans, expected }
    }

    /// One opened engine runs every plan, so the next plan reuses buffers and descriptors.
    fn check(&self, kind: EngineKind, tuning: Tuning, what: &str, failures: &mut Failures) {
        let mut opened: Surveyor = open(kind, &self.root, tuning);
        assert_eq!(opened.kind(), kind);
        for (plan, expected) in self.plans.iter().zip(&self.expected) {
            let found = survey(&mut opened, &self.pids, plan);
            let Tuning { workers, depth, .. } = tuning;
            let tree = self.tree;
            check_eq!(
                failures,
                &found,
                expected,
                "{kind:?} with {workers} workers, depth {depth}, {what} on {tree}, {plan:?}"
            );
        }
    }
}

#[test]
fn threads_agree_with_sync() {
    let mut failures = Failures::new();
    for reference in TREES.map(Reference::of) {
        for workers in WORKERS {
            reference.check(EngineKind::Threads, tuning(workers, 1), "", &mut failures);
        }
    }
}

#[test]
fn uring_agrees_with_sync() {
    if !has_uring("uring_agrees_with_sync") {
        return;
    }
    let tunings = DEPTHS.iter().flat_map(|depth| WORKERS.map(|workers| tuning(workers, *depth)));
    let tunings = thinned(tunings.collect());
    let mut failures = Failures::new();
    for reference in TREES.map(Reference::of) {
        for tuning in &tunings {
            reference.check(EngineKind::Uring, *tuning, "all features", &mut failures);
        }
    }
}

/// Rings of older kernels. The number of workers does not affect which steps are chained, so one
/// number is enough.
#[test]
fn uring_without_features_agrees_with_sync() {
    if !has_uring("uring_without_features_agrees_with_sync") {
        return;
    }
    let subsets = feature_subsets();
    let cases = subsets.iter().flat_map(|subset| DEPTHS.map(|depth| (subset, depth)));
    let cases = thinned(cases.collect());
    let mut failures = Failures::new();
    for reference in TREES.map(Reference::of) {
        for ((what, features), depth) in &cases {
            let tuning = Tuning { features: *features, ..tuning(2, *depth) };
            reference.check(EngineKind::Uring, tuning, what, &mut failures);
        }
    }
}

/// A list may contain processes that do not exist, in any order.
#[test]
fn lists_with_strangers() {
    let mut failures = Failures::new();
    let root = ProcRoot::open(&tree("ordinary")).expect("a fixture");
    let pids = [9, 151, 4_000_000_000, 101, 131, 7].map(Pid);
    let plan = Plan::default();
    let expected = survey(&mut open(EngineKind::Sync, &root, tuning(1, 1)), &pids, &plan);
    assert_eq!(expected.coverage, Coverage { measured: 3, gone: 3, ..Coverage::default() });
    let mut kinds = vec![EngineKind::Threads, EngineKind::Auto];
    kinds.extend(has_uring("lists_with_strangers").then_some(EngineKind::Uring));
    for kind in kinds {
        let found = survey(&mut open(kind, &root, tuning(2, 3)), &pids, &plan);
        check_eq!(failures, found, expected, "{kind:?}");
    }
}

#[test]
fn no_processes_are_an_empty_survey() {
    let mut failures = Failures::new();
    let root = ProcRoot::open(&tree("empty")).expect("a fixture");
    assert_eq!(root.pids(), Ok(Vec::new()));
    for kind in [EngineKind::Sync, EngineKind::Threads, EngineKind::Auto] {
        let found = survey(&mut open(kind, &root, tuning(2, 2)), &[], &Plan::default());
        check_eq!(
            failures,
            (found.processes.len(), found.coverage),
            (0, Coverage::default()),
            "{kind:?}"
        );
    }
}

/// Trees with complete files: `sync` must return the sums and names of the generator.
const WHOLE: [&str; 7] =
    ["grouped", "hugetlb", "kernel-threads", "names", "no-rollup", "ordinary", "scripts"];

#[test]
fn sums_are_the_expected() {
    let table = Table::read(&data("procfs/expected.tsv"));
    let mut failures = Failures::new();
    for tree in WHOLE {
        let reference = Reference::of(tree);
        let rows = table.rows.iter().filter(|row| table.get(row, "tree") == tree);
        for row in rows {
            let pid = Pid::parse(table.get(row, "pid").as_bytes()).expect("a process id");
            for (plan, found) in reference.plans.iter().zip(&reference.expected) {
                let no_rollup = tree == "no-rollup" && plan.source == Source::Rollup;
                if plan.filter.is_none() && plan.users.is_empty() && !no_rollup {
                    check_sums(&table, row, found, pid, plan, &mut failures);
                }
            }
        }
    }
}

fn check_sums(
    table: &Table,
    row: &[String],
    found: &Snapshot,
    pid: Pid,
    plan: &Plan,
    failures: &mut Failures,
) {
    let shown = format!("{} {pid} {plan:?}", table.get(row, "tree"));
    let Some(rss) = table.figure(row, "rss") else {
        check_eq!(failures, found.of(pid), None, "{shown} has no memory of its own");
        return;
    };
    let smaps = found.of(pid).unwrap_or_else(|| panic!("{shown} is missing"));
    let figure = |column| table.figure(row, column).unwrap_or(0);
    check_eq!(failures, smaps.rss().0, rss, "{shown}");
    check_eq!(failures, smaps.pss().0, figure("pss"), "{shown}");
    check_eq!(failures, smaps.uss().0, figure("uss"), "{shown}");
    let swap = table.figure(row, "swappss").or(table.figure(row, "swap"));
    check_eq!(failures, smaps.swap().map(|kib| kib.0), swap, "{shown}");
    check_eq!(failures, smaps.private_hugetlb().0, figure("private_hugetlb"), "{shown}");
    check_eq!(failures, smaps.shared_hugetlb().0, figure("shared_hugetlb"), "{shown}");
    if plan.source == Source::Smaps {
        check_eq!(failures, smaps.heap().map(|kib| kib.0), table.figure(row, "heap"), "{shown}");
    }
}

#[test]
fn fates_of_the_fixtures() {
    let mut failures = Failures::new();
    let none = Coverage::default();
    for (tree, expected) in [
        ("ordinary", Coverage { measured: 12, ..none }),
        ("names", Coverage { measured: 33, ..none }),
        ("hugetlb", Coverage { measured: 5, ..none }),
        ("grouped", Coverage { measured: 20, kernel_threads: 1, ..none }),
        ("scripts", Coverage { measured: 16, ..none }),
        ("kernel-threads", Coverage { measured: 3, kernel_threads: 3, zombies: 1, ..none }),
        ("no-rollup", Coverage { measured: 5, kernel_threads: 1, ..none }),
        ("empty", none),
    ] {
        let reference = Reference::of(tree);
        for (plan, found) in reference.plans.iter().zip(&reference.expected) {
            let no_rollup = tree == "no-rollup" && plan.source == Source::Rollup;
            if plan.filter.is_none() && plan.users.is_empty() && !no_rollup {
                check_eq!(failures, found.coverage, expected, "{tree} {plan:?}");
            }
            check_eq!(failures, found.coverage.listed(), reference.pids.len(), "{tree} {plan:?}");
        }
    }
}
