//! `--summary`: the memory of the machine, compared with the kernel's own account.

use std::collections::HashMap;
use std::io::Write;

use serde_json::Value;

use crate::support::{TempDir, copy_dir, output, program, run, tree};

/// `/proc/meminfo` in bytes, from a second, plain parser.
fn meminfo() -> HashMap<String, u64> {
    let text = std::fs::read_to_string("/proc/meminfo").expect("meminfo");
    let line = |line: &str| {
        let (key, value) = line.split_once(':')?;
        let number: u64 = value.split_whitespace().next()?.parse().ok()?;
        Some((key.to_owned(), number * 1024))
    };
    text.lines().filter_map(line).collect()
}

fn host() -> Value {
    let ran = run(["--json", "--summary", "-n", "0"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr());
    let mut value: Value = serde_json::from_str(&ran.stdout()).expect("JSON");
    value["host"].take()
}

/// On any machine: every part counts once, and the parts add up to its memory.
#[test]
fn parts_add_up_to_all_memory() {
    let (host, kernel) = (host(), meminfo());
    let total = host["total"].as_u64().expect("MemTotal");
    assert_eq!(total, kernel["MemTotal"]);
    let parts = host["parts"].as_object().expect("parts");
    let amount = |part: &str| parts[part]["host"].as_u64();
    let sum: u64 = parts.keys().filter_map(|part| amount(part)).sum();
    assert_eq!(sum, total, "{host:#}");
    let left = amount("unattributed").expect("what is left is known");
    assert!(left < total / 4, "{left} of {total} are unattributed: {host:#}");
    // These values change during the test, by far less than their size.
    let near = |found: Option<u64>, expected: u64| {
        found.is_some_and(|found| found.abs_diff(expected) < total / 16)
    };
    assert!(near(amount("free"), kernel["MemFree"]), "{host:#}");
    assert!(near(amount("anonymous"), kernel["AnonPages"]), "{host:#}");
    assert!(near(amount("slab"), kernel["Slab"]), "{host:#}");
    let files = kernel["Cached"] + kernel["Buffers"] - kernel["Shmem"];
    assert!(near(amount("page_cache"), files), "{host:#}");
    let programs = host["programs"].as_u64().expect("this program is one");
    assert!(programs > 0 && programs < total, "{host:#}");
}

/// The programs' share of a part does not exceed the part, and their shares add up to their memory.
#[test]
fn programs_are_a_part() {
    let host = host();
    let parts = host["parts"].as_object().expect("parts");
    let explained: Vec<(&String, u64, u64)> = parts
        .iter()
        .filter_map(|(part, amounts)| {
            Some((part, amounts["programs"].as_u64()?, amounts["host"].as_u64()?))
        })
        .collect();
    if explained.is_empty() {
        return crate::support::skip("programs_are_a_part", "no parts of Pss before Linux 5.9");
    }
    // Processes start and exit between the two accounts.
    let slack = host["total"].as_u64().expect("MemTotal") / 16;
    for (part, programs, host) in &explained {
        assert!(*programs <= host + slack, "{part}: {programs} of {host}");
    }
    let sum: u64 = explained.iter().map(|(_, programs, _)| programs).sum();
    let programs = host["programs"].as_u64().expect("a sum");
    // The program rounds down each part of each process.
    assert!(sum <= programs && programs - sum < programs / 16 + (1 << 20), "{sum} of {programs}");
}

/// A file in a tmpfs belongs to its mount, and a memfd to the rest.
#[test]
fn shared_memory_has_its_owners() {
    const FILE: usize = 16 << 20;
    const MEMFD: usize = 8 << 20;
    let used = |host: &Value| {
        let all = host["shared_memory"]["tmpfs"].as_array().cloned().unwrap_or_default();
        let is_it = |one: &&Value| one["mount"] == "/dev/shm" && one["used"].is_u64();
        all.iter().find(is_it).and_then(|one| one["used"].as_u64())
    };
    let before = host();
    let other = |host: &Value| host["shared_memory"]["other"].as_u64();
    let (Some(used_before), Some(other_before)) = (used(&before), other(&before)) else {
        return crate::support::skip("shared_memory_has_its_owners", "/dev/shm is no tmpfs here");
    };
    let path = format!("/dev/shm/psm-uring-{}", std::process::id());
    std::fs::write(&path, vec![1; FILE]).expect("a file in a tmpfs");
    let memfd = rustix::fs::memfd_create("psm-uring", rustix::fs::MemfdFlags::CLOEXEC);
    let mut memfd = std::fs::File::from(memfd.expect("a memfd"));
    memfd.write_all(&vec![1; MEMFD]).expect("its memory");
    let after = host();
    std::fs::remove_file(&path).expect("ours");
    // Other tests use shared memory, too; the kernel sums up per CPU counters now and then.
    let grown = used(&after).expect("it is still there").saturating_sub(used_before);
    assert!(grown >= FILE as u64 * 3 / 4, "{grown}: {after:#}");
    let grown = other(&after).expect("as before").saturating_sub(other_before);
    let is_exact = after["shared_memory"]["other_is_least"] == false;
    assert!(!is_exact || grown >= MEMFD as u64 / 2, "{grown}: {after:#}");
}

/// Without `/proc/meminfo` there is no account, so the program writes no report.
#[test]
fn missing_meminfo_is_an_error() {
    let root = TempDir::new("no-meminfo");
    let dir = root.path().join("7");
    std::fs::create_dir_all(&dir).expect("a directory");
    for file in ["cmdline", "comm", "status", "smaps_rollup"] {
        let from = tree("ordinary").join("150").join(file);
        std::fs::copy(from, dir.join(file)).expect("a fixture");
    }
    let mut command = program();
    command.args(["--summary", "--proc-root"]).arg(root.path());
    let ran = output(command);
    let told = format!("psm-uring: cannot read {}/meminfo: No such file", root.path().display());
    assert!(ran.stderr().starts_with(&told), "{}", ran.stderr());
    assert_eq!((ran.code, ran.stderr().matches('\n').count()), (Some(1), 1));
}

/// All figures of a report are of one moment: columns, shares and parts of the host.
#[test]
fn meminfo_is_read_once() {
    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
    let copy = TempDir::new("meminfo-once");
    copy_dir(&tree("hugetlb"), copy.path());
    let opens = |words: &str| {
        let watch = inotify::init(CreateFlags::NONBLOCK).expect("inotify");
        let file = copy.path().join("meminfo");
        // The kernel merges equal events that follow each other.
        let events = WatchFlags::OPEN | WatchFlags::CLOSE_NOWRITE;
        inotify::add_watch(&watch, &file, events).expect("a watch");
        let mut command = program();
        command.arg("--proc-root").arg(copy.path()).args(words.split(' '));
        assert_eq!(output(command).code, Some(0));
        let mut room = [std::mem::MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&watch, &mut room);
        let events = std::iter::from_fn(|| reader.next().ok().map(|event| event.events()));
        events.filter(|event| event.contains(ReadFlags::OPEN)).count()
    };
    assert_eq!(opens("-n 3 --sort count --source rollup --columns percent,name --host"), 1);
    assert_eq!(opens("-n 3"), 1, "the shares of hugetlb pages need it");
}
