//! Figures of processes that a column adds, on a real `/proc`.

use crate::support::child::Target;
use crate::support::{run, skip};

/// The fields of the first row as CSV.
fn row(target: &Target, columns: &str, engine: &str) -> Vec<Option<u64>> {
    let pid = target.pid().to_string();
    let ran = run(["-o", "csv", "--columns", columns, "-p", &pid, "--engine", engine]);
    assert_eq!((ran.code, ran.stderr().as_str()), (Some(0), ""));
    let text = ran.stdout();
    let mut row: Vec<&str> = text.lines().nth(1).expect("a row").split(',').skip(1).collect();
    row.pop(); // the key
    row.into_iter().map(|field| field.parse().ok()).collect()
}

const ENGINES: [&str; 3] = ["sync", "threads", "auto"];

/// Memory that was freed with `MADV_FREE` is still RAM, and is named as such.
#[test]
fn memory_that_the_kernel_may_take_back() {
    const BYTES: u64 = 8 << 20;
    let (freed, kept) = (Target::stopped("lazyfree 8192"), Target::stopped("touch 8192"));
    for engine in ENGINES {
        let fields = row(&freed, "lazyfree,uss", engine);
        // Pages that a CPU has not yet put on a list of the kernel cannot be marked.
        let marked = BYTES - (256 << 10)..=BYTES;
        assert!(fields[0].is_some_and(|bytes| marked.contains(&bytes)), "{engine}: {fields:?}");
        assert!(fields[1] >= Some(BYTES), "{engine}: {fields:?}");
        assert_eq!(row(&kept, "lazyfree", engine), [Some(0)], "{engine}");
    }
}

/// A table of the last level takes 4 KiB and maps 2 MiB of small pages: 64 MiB need 32 tables.
#[test]
fn page_tables_are_those_of_status() {
    let target = Target::stopped("pages 65536");
    let status = std::fs::read_to_string(format!("/proc/{}/status", target.pid()));
    let status = status.expect("a child of ours may be read");
    let line = status.lines().find_map(|line| line.strip_prefix("VmPTE:")).expect("a line");
    let kib = line.trim().strip_suffix(" kB").and_then(|kib| kib.parse::<u64>().ok());
    let bytes = kib.map(|kib| kib * 1024);
    assert!(bytes >= Some(32 * 4096), "{line}");
    for engine in ENGINES {
        assert_eq!(row(&target, "page-tables", engine), [bytes], "{engine}");
        assert_eq!(row(&target, "ram,pte,name", engine)[1], bytes, "{engine}");
    }
}

/// The figure needs page frames, whatever the source of the others is.
#[test]
fn freed_memory_needs_no_source() {
    let target = Target::stopped("touch 8192");
    let pid = target.pid().to_string();
    for words in ["heap,freed", "lazyfree,freed", "freed --source rollup", "freed --gentle"] {
        let ran = run(["-o", "csv", "-p", &pid, "--columns"].into_iter().chain(words.split(' ')));
        let told = ran.stderr();
        if told
            == "psm-uring: FREED and OUTSIDE are unknown: they need page frames, which only \
                    root sees\n"
        {
            return skip("freed_memory_needs_no_source", "page frames are hidden from this user");
        }
        let text = ran.stdout();
        let mut table = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let (keys, row) = (table.next().expect("keys"), table.next().expect("a row"));
        let place = keys.iter().position(|key| *key == "freed").expect("a column");
        let freed: Option<u64> = row[place].parse().ok();
        assert!((8 << 20..16 << 20).contains(&freed.unwrap_or(0)), "{words}: {text}{told}");
    }
    let elsewhere = run(["--proc-root", "ordinary", "--columns", "freed,name"]);
    let told = elsewhere.stderr();
    assert!(told.contains("they need page frames, which are those of this /proc"), "{told}");
}
