//! Host memory by parts, on `meminfo` files of real hosts.
//!
//! Each file of `tests/data/meminfo` begins with its source and with lines that start with `#`:
//! `part NAME KIB` is an amount that was worked out by hand, `owner NAME` names the owner of a
//! large rest, `arc KIB` is the cache of ZFS on that host, `writer KIND` names the file system that
//! made the file.

use std::collections::BTreeMap;

use psm_uring::host::{HostCounters, Meminfo, ZfsArc};
use psm_uring::process::GpuMemory;
use psm_uring::program::{HeldByGpu, HostMemory, HostPart};
use psm_uring::report;
use psm_uring::units::{Kib, Labelled};

use crate::support::failures::{Failures, check, check_eq};
use crate::support::{Rng, data, files};

/// A recorded host: the words behind `#`, and the counters.
struct Recorded {
    name: String,
    facts: Vec<(String, String)>,
    counters: HostCounters,
}

impl Recorded {
    fn all() -> Vec<Recorded> {
        let all: Vec<Recorded> = files(&data("meminfo")).into_iter().map(Recorded::new).collect();
        assert!(all.len() >= 10, "{}", all.len());
        all
    }

    fn named(name: &str) -> Recorded {
        let is_it = |one: &Recorded| one.name.starts_with(name);
        Recorded::all().into_iter().find(is_it).expect("a recorded host")
    }

    fn new((name, text): (String, Vec<u8>)) -> Recorded {
        let text = String::from_utf8(text).expect("a text");
        let (head, meminfo): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| line.starts_with('#'));
        let fact = |line: &&str| {
            let (key, value) = line.trim_start_matches("# ").split_once(' ')?;
            Some((key.to_owned(), value.to_owned()))
        };
        let facts: Vec<(String, String)> = head.iter().filter_map(fact).collect();
        let find = |key: &str| facts.iter().find(|fact| fact.0 == key).map(|fact| fact.1.clone());
        let size = find("arc").map(|size| Kib(size.parse().expect("an amount")));
        let arc = size.map(|size| ZfsArc { size, in_slab: Kib(0) });
        let (meminfo, writer) = (Meminfo::parse(meminfo.join("\n").as_bytes()), find("writer"));
        let counters = HostCounters { meminfo, arc, writer, ..HostCounters::default() };
        Recorded { name, facts, counters }
    }

    fn memory(&self) -> HostMemory {
        HostMemory::new(&self.counters, None)
    }

    fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.facts.iter().filter(move |fact| fact.0 == key).map(|fact| fact.1.as_str())
    }
}

#[test]
fn recorded_hosts_have_their_parts() {
    let mut failures = Failures::new();
    for host in Recorded::all() {
        let part = |words: &str| {
            let (part, amount) = words.split_once(' ').expect("a part and its amount");
            (part.to_owned(), amount.parse::<u64>().expect("an amount"))
        };
        let expected: BTreeMap<String, u64> = host.values("part").map(part).collect();
        let memory = host.memory();
        let amount = |part: &HostPart| Some((part.label().to_owned(), memory.get(*part)?.0));
        let found: BTreeMap<String, u64> = HostPart::ALL.iter().filter_map(amount).collect();
        check_eq!(failures, found, expected, "{}", host.name);
        check!(failures, expected.len() > 5, "{}: {expected:?}", host.name);
    }
}

/// At most 2 % of the memory of a host is unattributed, or its owner is named: a part, a part that
/// this kernel does not count, or a line of meminfo.
#[test]
fn a_large_rest_has_an_owner() {
    let mut failures = Failures::new();
    for host in Recorded::all() {
        let memory = host.memory();
        let Some(rest) = memory.get(HostPart::Unattributed) else {
            check!(failures, report::notes::host(&memory).is_some(), "{}: no note", host.name);
            continue;
        };
        let names = memory.uncounted().map(|part| part.label().to_owned());
        let counted = HostPart::ALL.iter().filter(|part| memory.get(**part) > Some(Kib(0)));
        let mut names: Vec<String> =
            names.chain(counted.map(|part| part.label().to_owned())).collect();
        names.extend(memory.candidates.iter().map(|candidate| candidate.line.clone()));
        for owner in host.values("owner") {
            check!(failures, names.iter().any(|name| name == owner), "{}: {owner}", host.name);
        }
        let is_small = rest.0 * 50 <= memory.total.expect("MemTotal").0;
        let is_owned = host.values("owner").next().is_some();
        check!(failures, is_small || is_owned, "{}: {rest:?} unattributed", host.name);
    }
}

/// Whatever GPU drivers hold, on every host: the parts add up as before, and only those that count
/// buffers give some away.
#[test]
fn buffers_of_gpus_leave_the_sum_of_parts() {
    let mut failures = Failures::new();
    let mut rng = Rng::seeded();
    let sum = |memory: &HostMemory| -> Kib {
        HostPart::ALL.iter().filter_map(|part| memory.get(*part)).sum()
    };
    for host in Recorded::all() {
        let before = host.memory();
        let has_counter = before.get(HostPart::GpuActive).is_some();
        let of_ttm = if has_counter { HostPart::GpuActive } else { HostPart::Unattributed };
        for _ in 0..200 {
            let mut memory = || {
                let most = Kib(rng.next() >> (20 + rng.below(44)));
                GpuMemory { most, least: Kib(most.0 / 2) }
            };
            let held = HeldByGpu { shmem: memory(), ttm: memory(), unknown: 0 };
            let after = host.memory().with_gpu(held);
            let name = &host.name;
            check_eq!(failures, sum(&after), sum(&before), "{name}: {held:?}");
            let most = held.shmem.most + held.ttm.most;
            check!(failures, after.get(HostPart::Gpu) <= Some(most), "{name}: {held:?}");
            for part in HostPart::ALL {
                let (now, then) = (after.get(*part), before.get(*part));
                let may = [HostPart::Shmem, of_ttm].contains(part) && now <= then;
                check!(failures, now == then || may || *part == HostPart::Gpu, "{name}: {part:?}");
            }
        }
    }
}

/// A container sees the counters of its host beside a total of its own.
#[test]
fn counters_of_another_host_have_a_note() {
    let mut container = Recorded::named("lxcfs-lxd");
    let fact = "lxcfs writes meminfo here in place of the kernel: ALL MEMORY is that of this \
                container, and parts such as page tables are the host's";
    assert_eq!(report::notes::host(&container.memory()).as_deref(), Some(fact));
    container.counters.writer = Some("fuse.other".to_owned());
    let guess = "other writes meminfo here in place of the kernel: ALL MEMORY is probably that of \
                 this container, and parts such as page tables are probably the host's";
    assert_eq!(report::notes::host(&container.memory()).as_deref(), Some(guess));
    // From a copy of the file nothing is known about its writer.
    container.counters.writer = None;
    let guess = "anonymous memory (8081.8 MiB) exceeds all memory (1907.3 MiB): probably these \
                 counters are the host's, and all memory is a limit of this container";
    assert_eq!(report::notes::host(&container.memory()).as_deref(), Some(guess));
    assert_eq!(container.memory().get(HostPart::Unattributed), None);
}

/// `GPUReclaim` was seen above `MemTotal` (Linux 7.2.5).
#[test]
fn a_counter_that_cannot_be_true_has_a_note() {
    let mut host = Recorded::named("gpu-amdgpu");
    assert_eq!(report::notes::host(&host.memory()), None);
    let text = "MemTotal: 31997424 kB\nMemFree: 4639528 kB\nBuffers: 336 kB\nCached: 7051908 kB\n\
                Shmem: 407680 kB\nGPUReclaim: 34000000 kB\n";
    host.counters.meminfo = Meminfo::parse(text.as_bytes());
    let note = "GPU memory for reuse (33203.1 MiB) exceeds all memory (31247.5 MiB): probably the \
                GPU driver counts wrongly";
    assert_eq!(report::notes::host(&host.memory()).as_deref(), Some(note));
}

/// A broken lxcfs prints more free swap than swap: unknown, not 0.
#[test]
fn impossible_counters_are_missing_with_a_note() {
    let mut host = Recorded::named("vm-365");
    assert_eq!(report::notes::impossible(&host.memory()), None);
    let text = "MemTotal: 1000000 kB\nMemFree: 1000001 kB\nBuffers: 3 kB\nCached: 70000 kB\n\
                Shmem: 90000 kB\nAnonPages: 4 kB\nSwapTotal: 1024 kB\nSwapFree: 2048 kB\n";
    host.counters.meminfo = Meminfo::parse(text.as_bytes());
    let memory = host.memory();
    assert_eq!((memory.swap_used, memory.swap_total), (None, Some(Kib(1024))));
    for part in [HostPart::Free, HostPart::PageCache, HostPart::Unattributed] {
        assert_eq!(memory.get(part), None, "{part:?}");
    }
    assert_eq!(memory.get(HostPart::Shmem), Some(Kib(90_000)));
    let note = "MemFree exceeds MemTotal, of which it is a part: MemFree is left out; SwapFree \
                exceeds SwapTotal, of which it is a part: SwapFree is left out; Shmem exceeds \
                Cached, of which it is a part: Cached is left out; probably a file system for \
                containers made up meminfo";
    assert_eq!(report::notes::impossible(&memory).as_deref(), Some(note));
}
