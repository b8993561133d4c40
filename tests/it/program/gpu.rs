//! The host memory of GPU clients, on fixtures of each driver.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::gpu::{fdinfo, lay_out};
use crate::support::{Ran, TempDir, copy_dir, make_fifo, output, program, tree};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
/// A user without rights on files of root.
const USER: u32 = 61_234;

fn host(name: &str, held: &[(u32, u32, &str)]) -> (TempDir, PathBuf) {
    let dir = TempDir::new(name);
    let proc = dir.path().join("proc");
    copy_dir(&tree("ordinary"), &proc);
    lay_out(&proc, held);
    (dir, proc)
}

fn report(proc: &Path, more: &[&str]) -> Ran {
    let mut command = program();
    command.arg("--proc-root").arg(proc).args(more);
    let ran = output(command);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr());
    ran
}

fn document(proc: &Path, more: &[&str]) -> Value {
    let ran = report(proc, &[&["--json", "--columns", "gpu,name"], more].concat());
    serde_json::from_str(&ran.stdout()).expect("JSON")
}

/// The amount and the least amount of each process.
fn by_pid(document: &Value) -> BTreeMap<u64, [Option<u64>; 2]> {
    let rows = document["programs"].as_array().expect("rows");
    let one = |row: &Value| {
        (row["pid"].as_u64().expect("a process"), ["gpu", "gpu_least"].map(|key| row[key].as_u64()))
    };
    rows.iter().map(one).collect()
}

#[test]
fn each_driver_has_its_host_memory() {
    let held = [
        (101, 5, "amdgpu"),
        (102, 5, "amdgpu-6.1"),
        (103, 5, "i915"),
        (110, 5, "xe"),
        (111, 5, "panfrost"),
        (120, 5, "msm"),
    ];
    let (_dir, proc) = host("gpu-drivers", &held);
    let whole = document(&proc, &["--by", "pid"]);
    let rows = by_pid(&whole);
    for (pid, most, shared) in [
        (101, 20 * MIB + 256 * KIB, 4 * MIB),
        (102, 6 * MIB + 64 * KIB, 0),
        (103, 40 * MIB, 8 * MIB),
        (110, 9 * MIB, 0),
        (111, 36_496 * KIB, 0),
        // 512 bytes round up.
        (120, 2049 * KIB, KIB),
        (130, 0, 0),
    ] {
        assert_eq!(rows[&pid], [Some(most), Some(most - shared)], "{pid}");
    }
    let sum = |place: usize| rows.values().map(|row| row[place].expect("known")).sum::<u64>();
    assert_eq!(whole["total"]["gpu"], sum(0));
    assert_eq!(whole["total"]["gpu_least"], sum(1));
    let note = "113.0 MiB of GPU memory is an upper bound (at least 101.0 MiB): clients share \
                buffers, which count in each of them";
    let notes = whole["notes"].as_array().expect("notes");
    assert!(notes.iter().any(|one| one == note), "{notes:?}");
    // Without the column, no key says that it was read.
    let other = report(&proc, &["--json"]).stdout();
    assert!(other.contains("\"gpu\": null") && !other.contains("gpu_least"), "{other}");
}

/// Two workers got the client of their master by `fork(2)`, one has a second descriptor of it.
#[test]
fn a_client_counts_once_for_every_grouping() {
    let held = [
        (101, 5, "xe"),
        (102, 5, "xe"),
        (102, 9, "xe"),
        (103, 5, "xe"),
        (103, 6, "panfrost"),
        (120, 7, "i915"),
    ];
    let (_dir, proc) = host("gpu-fork", &held);
    let third = 3 * MIB;
    let rows = by_pid(&document(&proc, &["--by", "pid"]));
    let most = [101, 102, 103, 120].map(|pid| rows[&pid][0]);
    assert_eq!(most, [third, third, third + 36_496 * KIB, 40 * MIB].map(Some));
    let total = 9 * MIB + 36_496 * KIB + 40 * MIB;
    for by in ["pid", "program", "user", "tree"] {
        assert_eq!(document(&proc, &["--by", by])["total"]["gpu"], total, "{by}");
    }
    let csv = report(&proc, &["-o", "csv", "--columns", "gpu,name", "--sort", "gpu"]).stdout();
    let line = |row: &str| csv.lines().any(|line| line == row);
    let workers = 2 * third + 36_496 * KIB;
    assert!(line(&format!("program,{workers},nginx: worker process,nginx")), "{csv}");
    assert!(line(&format!("total,{total},,")), "{csv}");
    let metrics = report(&proc, &["-o", "openmetrics", "--columns", "gpu"]).stdout();
    assert!(metrics.contains(&format!("gpu_bytes{{program=\"java\"}} {}", 40 * MIB)), "{metrics}");
    let table = report(&proc, &["--columns", "gpu,name", "--sort", "gpu", "-n", "2"]).stdout();
    let shown: Vec<&str> = table.lines().map(str::trim_start).collect();
    assert!(shown.iter().any(|line| line.starts_with("41.6  nginx: worker")), "{table}");
    assert!(shown.last().expect("a total").starts_with("#     84.6"), "{table}");
    // A selection may leave out holders: a note says so.
    let note = report(&proc, &["--columns", "gpu,name", "-p", "102"]).stderr();
    assert!(note.contains("9.0 MiB of GPU memory is an upper bound: processes that"), "{note}");
}

/// Shared memory that programs map is not that of a driver, and the parts add up to `MemTotal`.
#[test]
fn parts_of_the_host_add_up() {
    let held = [(101, 5, "i915"), (102, 5, "i915"), (110, 5, "xe")];
    let (_dir, proc) = host("gpu-host", &held);
    let meminfo = fs::read_to_string(proc.join("meminfo")).expect("a fixture");
    let counted = meminfo.clone() + "GPUActive: 5120 kB\nGPUReclaim: 0 kB\n";
    let parts = |text: &str| {
        fs::write(proc.join("meminfo"), text).expect("a file of ours");
        let host = document(&proc, &["--host"])["host"].take();
        let plain = report(&proc, &["--json", "--host"]).stdout();
        let plain: Value = serde_json::from_str(&plain).expect("JSON");
        assert!(plain["host"]["parts"]["gpu"]["host"].is_null(), "{plain}");
        assert!(plain["host"].get("gpu_is_most").is_none(), "{plain}");
        let amount = |host: &Value, part: &str| host["parts"][part]["host"].as_u64();
        let all = host["parts"].as_object().expect("parts");
        let sum: u64 = all.keys().filter_map(|part| amount(&host, part)).sum();
        assert_eq!(Some(sum), host["total"].as_u64(), "{host:#}");
        // As much as no other client counts.
        assert_eq!(host["gpu_is_most"], false, "{host:#}");
        let moved = ["shmem", "gpu_active", "unattributed"]
            .map(|part| Some(amount(&plain["host"], part)? - amount(&host, part)?));
        (moved, amount(&host, "gpu"))
    };
    // Of 40 MiB, as much as no program maps.
    let mapped = document(&proc, &[])["total"]["pss_shmem"].as_u64().expect("Linux 5.9");
    let unmapped = 40_112 * KIB - mapped;
    assert!(unmapped < 40 * MIB, "{unmapped}");
    let of_old = parts(&meminfo);
    assert_eq!(of_old, ([Some(unmapped), None, Some(9 * MIB)], Some(unmapped + 9 * MIB)));
    let of_new = parts(&counted);
    let expected = [Some(unmapped), Some(5 * MIB), Some(0)];
    assert_eq!(of_new, (expected, Some(unmapped + 5 * MIB)));
    let table = report(&proc, &["--host", "--columns", "gpu,name"]).stdout();
    assert!(table.contains("24.7            GPU buffers of the programs\n"), "{table}");
    let (_dir, proc) = host("gpu-bound", &[(101, 5, "amdgpu")]);
    let table = report(&proc, &["--host", "--columns", "gpu,name"]).stdout();
    assert!(table.contains("  GPU buffers of the programs, at most\n"), "{table}");
}

/// Missing is never 0; a host without a driver has none.
#[test]
fn unknown_memory_is_not_0() {
    let (_dir, proc) = host("gpu-unknown", &[(101, 5, "nouveau"), (102, 5, "xe"), (103, 5, "xe")]);
    let fifo = proc.join("102/fdinfo/5");
    fs::remove_file(&fifo).expect("a file of ours");
    make_fifo(&fifo);
    let _writer = fs::OpenOptions::new().read(true).write(true).open(&fifo).expect("a FIFO");
    let ran = report(&proc, &["--columns", "gpu,name", "--by", "pid", "--json"]);
    let whole: Value = serde_json::from_str(&ran.stdout()).expect("JSON");
    let rows = by_pid(&whole);
    assert_eq!([101, 102, 103].map(|pid| rows[&pid][0]), [None, None, Some(9 * MIB)]);
    assert!(whole["total"]["gpu"].is_null() && whole["total"]["gpu_least"].is_null(), "{whole}");
    let note = "GPU memory is unknown of 1 process: the descriptors could not be read; of 1 \
                process: the driver reports no memory (nouveau)";
    assert!(ran.stderr().contains(note), "{}", ran.stderr());
    // With unknown clients, the sum over the others is no upper bound.
    let words = ["--host", "--columns", "gpu,name"];
    let row =
        |table: String| table.lines().find(|line| line.contains("GPU buf")).map(str::to_owned);
    let marked = |end: &str| {
        let found = row(report(&proc, &words).stdout()).expect("a row");
        assert!(found.ends_with(&format!("  GPU buffers of the programs, {end}")), "{found}");
        let host = document(&proc, &["--host"])["host"].take();
        assert_eq!((&host["gpu_is_most"], &host["gpu_unknown"]), (&false.into(), &2.into()));
    };
    marked("or more");
    fs::write(proc.join("103/fdinfo/5"), fdinfo("amdgpu")).expect("a file of ours");
    marked("some unknown");
    fs::write(proc.join("103/fdinfo/5"), fdinfo("xe")).expect("a file of ours");
    // A copy without descriptors.
    fs::remove_dir_all(proc.join("120/fd")).expect("a directory of ours");
    assert_eq!(by_pid(&document(&proc, &["--by", "pid"]))[&120][0], None);
    fs::write(proc.join("devices"), "Character devices:\n  1 mem\n").expect("a file of ours");
    let none = document(&proc, &[]);
    assert_eq!((&none["total"]["gpu"], &none["total"]["gpu_least"]), (&0.into(), &0.into()));
}

/// Another user may list neither the descriptors nor their texts.
#[test]
fn a_refused_process_is_unknown() {
    let (dir, proc) = host("gpu-refused", &[(101, 5, "xe"), (102, 5, "i915")]);
    let open = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a path of ours");
    };
    open(dir.path(), 0o755);
    open(&proc.join("101/fd"), 0o000);
    let mut command = program();
    if rustix::process::getuid().is_root() {
        let copy = dir.path().join("psm-uring");
        let copied = Command::new("cp").arg(program().get_program()).arg(&copy).status();
        assert!(copied.is_ok_and(|status| status.success()), "{copy:?}");
        command = Command::new(copy);
        command.uid(USER).gid(USER).current_dir("/").stdin(Stdio::null());
    }
    command.arg("--proc-root").arg(&proc).args([
        "--columns",
        "gpu,name",
        "-o",
        "csv",
        "--by",
        "pid",
    ]);
    let ran = output(command);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr());
    let text = ran.stdout();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.contains(name)).expect("a row");
        line.split(',').nth(1).expect("a field").to_owned()
    };
    let known = (40 * MIB).to_string();
    assert_eq!((field("nginx: master"), field("102")), (String::new(), known), "{text}");
    open(&proc.join("101/fd"), 0o700);
    let note = "unknown of 1 process: only the same user and root may read fd and fdinfo";
    assert!(ran.stderr().contains(note), "{}", ran.stderr());
}

/// The leader is dead, so it has no descriptor: a living thread has those of the process.
#[test]
fn a_process_with_a_dead_leader_has_its_clients() {
    let (_dir, proc) = host("gpu-leaderless", &[(120, 5, "i915")]);
    let (process, copy) = (proc.join("120"), proc.join("copy"));
    let thread = process.join("task/199");
    fs::create_dir_all(process.join("task")).expect("a directory of ours");
    copy_dir(&process, &copy);
    fs::rename(&copy, &thread).expect("a directory of ours");
    let dead = "Name:\tjava\nState:\tZ (zombie)\nKthread:\t0\nThreads:\t2\n";
    for (file, text) in [("status", dead), ("smaps_rollup", ""), ("smaps", "")] {
        fs::write(process.join(file), text).expect("a file of ours");
    }
    for list in ["fd", "fdinfo"] {
        // The copy has no links.
        fs::remove_dir_all(thread.join(list)).expect("a directory of ours");
        fs::rename(process.join(list), thread.join(list)).expect("as above");
        fs::create_dir(process.join(list)).expect("as above");
    }
    let gpu = |why: &str| {
        let ran = report(&proc, &["--json", "--columns", "gpu,name", "--by", "pid"]);
        let document: Value = serde_json::from_str(&ran.stdout()).expect("JSON");
        let row = by_pid(&document).remove(&120).unwrap_or_else(|| panic!("{why}: {document}"));
        (row[0], ran.stderr())
    };
    assert_eq!(gpu("in a thread").0, Some(40 * MIB));
    // Without a list, the memory is unknown, never 0.
    fs::remove_dir_all(thread.join("fd")).expect("a directory of ours");
    let (amount, told) = gpu("without a list");
    assert_eq!(amount, None);
    assert!(told.contains("GPU memory is unknown of 1 process: the"), "{told}");
}
