//! The choices of the OOM killer, on a fixture of processes and of control groups of version 2.

use std::path::Path;
use std::time::Instant;

use serde_json::Value;

use crate::support::groups::lay_out;
use crate::support::{RUN_LIMIT, Ran, TempDir, copy_dir, make_fifo, output, program, tree};

const PIDS: [u32; 21] = [
    1, 2, 701, 702, 703, 704, 705, 706, 707, 708, 709, 710, 711, 712, 713, 714, 715, 716, 717, 718,
    719,
];

/// Processes with scores; `adj` of these.
fn lay_out_host(dir: &Path, adj: &[(u32, i32)]) {
    copy_dir(&tree("grouped"), &dir.join("proc"));
    for pid in PIDS {
        let process = dir.join("proc").join(pid.to_string());
        let adj = adj.iter().find(|one| one.0 == pid).map_or(0, |one| one.1);
        let score = if pid <= 2 || adj == -1000 { 0 } else { 666 + adj * 2 / 3 };
        std::fs::write(process.join("oom_score"), format!("{score}\n")).expect("a file of ours");
        std::fs::write(process.join("oom_score_adj"), format!("{adj}\n")).expect("as above");
    }
    lay_out("v2.txt", &dir.join("cgroups"));
}

fn report(dir: &Path, more: &[&str]) -> Ran {
    let mut command = program();
    command.arg("--proc-root").arg(dir.join("proc"));
    command.arg("--cgroup-root").arg(dir.join("cgroups")).args(more);
    let ran = output(command);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr());
    ran
}

fn document(dir: &Path, more: &[&str]) -> Value {
    let ran = report(dir, &[&["--json", "--columns", "oom"], more].concat());
    serde_json::from_str(&ran.stdout()).expect("JSON")
}

/// The processes of the choice at a limit, or of the host.
fn victims(document: &Value, path: Option<&str>) -> Vec<u64> {
    let choices = document["oom"].as_array().expect("choices");
    let choice = choices.iter().find(|one| one["cgroup"].as_str() == path).expect("a choice");
    let victims = choice["victims"].as_array().expect("a list").iter();
    let victims: Vec<u64> = victims.map(|one| one["pid"].as_u64().expect("an id")).collect();
    assert_eq!(choice["is_tie"], victims.len() > 1, "{choice}");
    victims
}

#[test]
fn each_limit_has_a_choice() {
    let dir = TempDir::new("oom-fixture");
    // On hosts of many CPUs the counters of the kernel are so inexact that others are a tie.
    lay_out_host(dir.path(), &[(702, 1000), (715, 900), (719, -1000)]);
    let cron = "/system.slice/cron.service";
    let set = |group: &str, file: &str, text: &str| {
        let path = dir.path().join("cgroups").join(&group[1..]).join(file);
        std::fs::write(path, text).expect("a file of ours");
    };
    set(cron, "memory.oom.group", "1\n");
    set("/system.slice", "memory.swap.max", "0\n");
    let whole = document(dir.path(), &["--by", "pid"]);
    assert!(victims(&whole, None).contains(&702), "{whole}");
    for path in ["/system.slice", cron] {
        assert!(victims(&whole, Some(path)).contains(&702), "{path}: {}", whole["oom"]);
    }
    let choices = whole["oom"].as_array().expect("choices");
    let at = |path: &str| choices.iter().find(|one| one["cgroup"] == path).expect("a choice");
    let slice = at("/system.slice");
    assert_eq!((slice["size"].as_u64(), slice["left"].as_u64()), (Some(42_991_616), Some(1 << 20)));
    let is_docker = |one: &&Value| one["cgroup"].as_str().is_some_and(|it| it.contains("docker"));
    let docker = choices.iter().find(is_docker).expect("a limit of 1 MiB");
    // Without a limit of its own, its processes may use all swap of the host.
    assert_eq!(docker["victims"][0]["pid"], 708);
    assert!(docker["size"].as_u64() > Some(8 << 30), "{docker}");
    assert_eq!(whole["oom"][0]["kills_cgroup"], cron);
    for choice in choices {
        let ids = choice["victims"].to_string();
        assert!(![1, 2, 719].iter().any(|pid| ids.contains(&format!(":{pid}}}"))), "{choice}");
    }
    let row = |pid: u64| {
        let rows = whole["programs"].as_array().expect("rows");
        rows.iter().find(|row| row["pid"] == pid).expect("a row").clone()
    };
    assert_eq!((&row(702)["oom_score"], &row(702)["oom_score_adj"]), (&1332.into(), &1000.into()));
    assert!(!row(702)["oom_next"].is_null() && !row(702)["oom_next_in_cgroup"].is_null());
    assert_eq!(row(719)["oom_next"], Value::Null);
    // A selection changes no choice.
    let part = document(dir.path(), &["--by", "pid", "-p", "719"]);
    assert_eq!(victims(&part, None), victims(&whole, None));
    let note = report(dir.path(), &["--columns", "oom,name"]).stderr();
    let begin =
        "psm-uring: the OOM killer's next choice, an estimate: of the host: worker (PID 702)";
    assert!(note.lines().any(|line| line.starts_with(begin)), "{note}");
    assert!(note.contains(&format!("all of {cron} (memory.oom.group)")), "{note}");
}

/// A row has the highest score of its processes; settings of the host take the place of a choice.
#[test]
fn settings_of_the_host_are_obeyed() {
    let dir = TempDir::new("oom-settings");
    lay_out_host(dir.path(), &[(708, 30), (709, 60)]);
    let rows = document(dir.path(), &["-f", "^redis"]);
    assert_eq!(rows["programs"][0]["oom_score"], 706, "{}", rows["programs"]);
    let csv = report(dir.path(), &["-o", "csv", "--columns", "oom,name", "-f", "^redis"]).stdout();
    let line = csv.lines().nth(1).expect("a row");
    assert!(csv.starts_with("row,oom,oom_marks,name,key\r\n"), "{csv}");
    assert!(line.starts_with("program,706,"), "{csv}");
    let fields: Vec<&str> = line.split(',').collect();
    assert!(fields[2].split(' ').all(|mark| !mark.starts_with(|c: char| c.is_ascii_digit())));
    let settings = dir.path().join("proc/sys/vm");
    std::fs::create_dir_all(&settings).expect("a directory of ours");
    std::fs::write(settings.join("panic_on_oom"), "1\n").expect("a file of ours");
    let ran = report(dir.path(), &["--json", "--columns", "oom"]);
    let document: Value = serde_json::from_str(&ran.stdout()).expect("JSON");
    assert!(victims(&document, None).is_empty(), "{}", document["oom"][0]);
    let reason = document["oom"][0]["obstacle"].as_str().unwrap_or_default();
    assert!(reason.contains("vm.panic_on_oom is set"), "{}", document["oom"][0]);
    assert!(!victims(&document, Some("/system.slice")).is_empty());
    assert!(ran.stderr().contains("vm.panic_on_oom is set"), "{}", ran.stderr());
    std::fs::write(settings.join("panic_on_oom"), "2\n").expect("a file of ours");
    let ran = report(dir.path(), &["--json", "--columns", "oom"]);
    let document: Value = serde_json::from_str(&ran.stdout()).expect("JSON");
    assert_eq!(document["oom"].as_array().map(Vec::len), Some(1), "{}", document["oom"]);
    assert!(ran.stderr().contains("also for control groups"), "{}", ran.stderr());
}

/// A file that never answers delays nothing but its process.
#[test]
fn a_stuck_file_has_a_note() {
    let dir = TempDir::new("oom-stuck");
    lay_out_host(dir.path(), &[(705, 1000)]);
    let file = dir.path().join("proc/705/oom_score_adj");
    std::fs::remove_file(&file).expect("a file of ours");
    make_fifo(&file);
    let began = Instant::now();
    let words = ["--json", "--by", "pid", "--columns", "oom", "--stuck-after", "300ms"];
    let ran = report(dir.path(), &words);
    assert!(began.elapsed() < RUN_LIMIT, "{:?}", began.elapsed());
    assert!(
        ran.stderr().contains("may be another: 1 process could not be read"),
        "{}",
        ran.stderr()
    );
    let document: Value = serde_json::from_str(&ran.stdout()).expect("JSON");
    let rows = document["programs"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["pid"] == 705).expect("a row");
    assert!(row["oom_score"].is_null() && row["ram"].as_u64().is_some(), "{row}");
    assert!(!victims(&document, None).contains(&705));
}

/// The leader is dead, so its files lack the memory and, with version 1, the control group: those
/// of a living thread have them.
#[test]
fn a_process_with_a_dead_leader_is_in_its_group() {
    let dir = TempDir::new("oom-leaderless");
    lay_out_host(dir.path(), &[(702, 1000)]);
    let process = dir.path().join("proc/702");
    let thread = process.join("task/799");
    std::fs::create_dir_all(&thread).expect("a directory of ours");
    let status = std::fs::read_to_string(process.join("status")).expect("a fixture");
    let cgroup = std::fs::read_to_string(process.join("cgroup")).expect("a fixture");
    let living = status.replace("Threads:\t1\n", "Threads:\t2\n");
    std::fs::write(thread.join("status"), living).expect("a file of ours");
    std::fs::write(thread.join("cgroup"), cgroup).expect("as above");
    let dead = "Name:\tworker\nState:\tZ (zombie)\nKthread:\t0\nThreads:\t2\n";
    std::fs::write(process.join("status"), dead).expect("as above");
    std::fs::write(process.join("cgroup"), "0::/\n").expect("as above");
    let whole = document(dir.path(), &["--by", "pid"]);
    for path in [None, Some("/system.slice"), Some("/system.slice/cron.service")] {
        assert!(victims(&whole, path).contains(&702), "{path:?}: {}", whole["oom"]);
    }
}

/// Without the settings of processes a choice is unknown, not none.
#[test]
fn a_copy_without_scores_has_no_choice() {
    let dir = TempDir::new("oom-no-scores");
    lay_out_host(dir.path(), &[]);
    for pid in PIDS {
        let file = dir.path().join(format!("proc/{pid}/oom_score_adj"));
        std::fs::remove_file(file).expect("a file of ours");
    }
    let told = report(dir.path(), &["--columns", "oom,name"]).stderr();
    assert!(told.contains("an estimate: of the host: unknown"), "{told}");
    let many = "may be another: 19 processes could not be read";
    assert!(told.contains(many), "{told}");
}
