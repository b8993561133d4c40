//! The scripts of docs/GROUPING.md, row by row: argument lists of interpreters to names.

use psm_uring::process::{Fate, NameRule, Plan, Probe};
use psm_uring::units::Errno;

use crate::support::failures::{Failures, check_eq};
use crate::support::rules::{check, table};
use crate::support::world::World;

fn script(cmdline: &[u8]) -> Vec<u8> {
    let plan = Plan { name_rule: NameRule::Script, ..Plan::default() };
    let mut probe = Probe::new();
    World::user().with_bytes("cmdline", cmdline).carry(&mut probe, &plan);
    probe.name().to_vec()
}

#[test]
fn scripts() {
    for (heading, least) in
        [("### Interpreters\n", 80), ("### Emulators, loaders and multi-call binaries\n", 18)]
    {
        check(heading, least, "", |arguments| {
            let nul = |byte: &u8| if *byte == b' ' { 0 } else { *byte };
            let mut cmdline: Vec<u8> = arguments.iter().map(nul).collect();
            cmdline.push(0);
            Some(script(&cmdline))
        });
    }
}

/// A program wrote the whole command line, or a title, to `argv[0]`.
#[test]
fn scripts_of_one_string() {
    check("### Command lines of one string\n", 14, "", |line| {
        Some(script(&[line, b"\0\0"].concat()))
    });
}

/// The binary is the interpreter. An empty cell is a link that the kernel refuses.
#[test]
fn scripts_behind_magic_links() {
    let mut failures = Failures::new();
    let rows = table("### Magic links\n");
    assert!(rows.len() >= 10, "{} rows", rows.len());
    let filter = Some(regex::bytes::Regex::new("").expect("a pattern"));
    for row in rows {
        let [arguments, exe, expected] = &row[..] else { panic!("{row:?}") };
        let nuls = arguments.replace(' ', "\0") + "\0";
        // One of them is the whole command line in `argv[0]`.
        for cmdline in [nuls, format!("{arguments}\0\0")] {
            let world = World::user().with("cmdline", &cmdline);
            let world = match &exe[..] {
                "" => world.failing(&["exe"], Errno::ACCES),
                exe => world.with("exe", exe),
            };
            let is_script = arguments.contains(" -c ") || arguments.starts_with("/usr/bin/");
            if is_script && cmdline.contains(' ') {
                continue;
            }
            for filter in [None, filter.clone()] {
                let plan = Plan { name_rule: NameRule::Script, filter, ..Plan::default() };
                let mut probe = Probe::new();
                let found = world.clone().carry(&mut probe, &plan);
                let name = String::from_utf8_lossy(probe.name()).into_owned();
                check_eq!(failures, (found.fate, &name), (Fate::Measured, expected), "{cmdline:?}");
            }
        }
    }
}

/// The word behind an unknown option of a known kind is a wrong name, but no panic.
#[test]
fn odd_arguments_are_no_script() {
    for (cmdline, expected) in [
        (&b"qemu-aarch64\0"[..], "qemu-aarch64"),
        (b"qemu-aarch64-static\0-L\0", "qemu-aarch64-static"),
        (b"ld.so\0--argv0\0x\0", "ld.so"),
        (b"beam.smp\0-extra\0", "beam.smp"),
        (b"rosetta\0/usr/bin/node\0node\0", "node"),
        (b"wine\0\0", "wine"),
        (b"node ", "node "),
        (b"node  -e x.js", "node  -e x.js"),
    ] {
        assert_eq!(String::from_utf8_lossy(&script(cmdline)), expected);
    }
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
