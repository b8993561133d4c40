//! Every fuzz target has a test, a program under libFuzzer and seeds; and there are no others.

use std::collections::BTreeSet;

use crate::support::sources::{fail_if_any, read, root};
use crate::support::targets::TARGETS;
use crate::support::{data, files, skip};

#[test]
fn targets_are_complete() {
    if !root().join("fuzz").exists() {
        return skip("targets_are_complete", "fuzz/ is not part of the package");
    }
    let (own, manifest) = (read("tests/it/fuzz.rs"), read("fuzz/Cargo.toml"));
    let mut wrong = Vec::new();
    for (name, _) in TARGETS {
        let program = read(&format!("fuzz/fuzz_targets/{name}.rs"));
        for (what, is_there) in [
            ("test in tests/it/fuzz.rs", own.contains(&format!("fuzz(\"{name}\")"))),
            ("program in fuzz/Cargo.toml", manifest.contains(&format!("name = \"{name}\""))),
            ("line of its own", program.contains(&format!("targets::{name}::run"))),
            ("seed in tests/data/seeds", files(&data("seeds").join(name)).len() > 2),
        ] {
            wrong.extend((!is_there).then(|| format!("fuzz_targets/{name}.rs:1: no {what}")));
        }
    }
    let names: BTreeSet<String> = TARGETS.iter().map(|target| format!("{}.rs", target.0)).collect();
    let found = files(&root().join("fuzz/fuzz_targets"));
    let programs: BTreeSet<String> = found.into_iter().map(|(name, _)| name).collect();
    assert_eq!(programs, names, "fuzz/fuzz_targets against TARGETS of tests/support/targets");
    fail_if_any(&wrong);
}
