//! The scripts of docs/GROUPING.md, row by row: argument lists of interpreters to names.

use psm_uring::process::{NameRule, Plan, Probe};

use crate::support::rules::check;
use crate::support::world::World;

#[test]
fn scripts() {
    let plan = Plan { name_rule: NameRule::Script, ..Plan::default() };
    check("## Scripts\n", 45, "", |arguments| {
        // A title is no argument list.
        let is_title = arguments.starts_with(b"php-fpm:");
        let nul = |byte: &u8| if *byte == b' ' && !is_title { 0 } else { *byte };
        let mut cmdline: Vec<u8> = arguments.iter().map(nul).collect();
        cmdline.push(0);
        let mut probe = Probe::new();
        World::user().with_bytes("cmdline", &cmdline).carry(&mut probe, &plan);
        Some(probe.name().to_vec())
    });
}

/// A word at the cut of the kernel is no name.
#[test]
fn a_word_that_is_cut_is_no_script() {
    let plan = Plan { name_rule: NameRule::Script, ..Plan::default() };
    let name = |cmdline: &str| {
        let mut probe = Probe::new();
        World::user().with("cmdline", cmdline).carry(&mut probe, &plan);
        String::from_utf8_lossy(probe.name()).into_owned()
    };
    let path = |len| format!("java\0-cp\0{}\0", "x".repeat(len));
    assert_eq!(name(&(path(60_000) + "kafka.Kafka\0")), "kafka.Kafka");
    assert_eq!(name(&(path(65_520) + "kafka.Kafka\0")), "java");
    assert_eq!(name("python3\0\0x.py\0"), "python3");
    assert_eq!(name("python3\0-m"), "python3");
    assert_eq!(name("python3\0x.py"), "x.py");
    let long = format!("python3\0/{}\0", "y".repeat(9000));
    assert_eq!(name(&long), "y".repeat(4096));
}
