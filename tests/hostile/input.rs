//! Processes with excessive output: an argument list of 64 GiB, paths of 10 KiB, 65,000 mappings,
//! names that contain terminal control sequences. Time and memory stay small, and the output
//! contains no control byte.

use std::time::Duration;

use psm_uring::units::Pid;

use super::container::contained;
use super::hostage::{self, Hold};
use super::stuck::{Scene, engines};
use super::support::child::Target;
use super::support::skip;
use super::timed::{Timed, start};
use super::user::program;

const LIMIT: Duration = Duration::from_secs(60);
/// Far longer than a run takes, far shorter than reading everything.
const QUICK: Duration = Duration::from_secs(5);

fn ask(pid: Pid, engine: &str, options: &str) -> Timed {
    let mut command = program();
    command.args(["--pid", &pid.to_string(), "--engine", engine, "--stats", "--strict"]);
    command.args(options.split(' '));
    let timed = start(command).wait();
    assert_eq!(timed.ran.code, Some(0), "{engine}: {}", timed.ran.stderr());
    assert_eq!(timed.count("measured"), 1, "{engine}: {}", timed.ran.stderr());
    timed
}

/// The peak of the program's memory in KiB, as the program reports it.
fn peak(timed: &Timed) -> u64 {
    let text = timed.ran.stderr();
    let line = text.lines().find_map(|line| line.strip_prefix("peak memory"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).expect("a peak")
}

#[test]
fn arguments_without_end() {
    contained(LIMIT, || {
        let target = Target::stopped("arguments");
        let plain = Target::stopped("touch 4");
        for engine in engines() {
            for name in ["title", "cmdline"] {
                let options = format!("--name {name}");
                let timed = ask(target.pid(), engine, &options);
                assert!(timed.took < QUICK, "{engine} {name}: {:?}", timed.took);
                let row = timed.ran.stdout();
                assert!(row.contains("xxxxxxxx") && row.len() < 8192, "{engine}: {}", row.len());
                let (much, little) = (peak(&timed), peak(&ask(plain.pid(), engine, &options)));
                assert!(much < little + 1024, "{engine}: {much} KiB, without it {little}");
            }
        }
    });
}

/// The owner of the argument page never delivers it (`userfaultfd(2)`): the program does not wait.
#[test]
fn arguments_that_never_come() {
    contained(LIMIT, || {
        let target = Target::stopped("held");
        let files = std::fs::read_dir(format!("/proc/{}/fd", target.pid())).expect("its files");
        let is_held = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
        if !is_held.into_iter().any(|file| file.to_string_lossy().contains("userfaultfd")) {
            return skip("arguments_that_never_come", "there is no userfaultfd");
        }
        let comm = std::fs::read_to_string(format!("/proc/{}/comm", target.pid())).expect("comm");
        for engine in engines() {
            for name in ["title", "cmdline"] {
                let timed = ask(target.pid(), engine, &format!("--name {name}"));
                let row = format!("[{}] (1)", comm.trim_end());
                assert!(timed.ran.stdout().contains(&row), "{engine}: {}", timed.ran.stdout());
                assert!(timed.took < QUICK, "{engine} {name}: {:?}", timed.took);
            }
        }
    });
}

/// The longest path that the kernel prints, in a mapping.
#[test]
fn paths_without_end() {
    contained(LIMIT, || {
        let target = Target::stopped(&format!("deep {}", hostage::DEPTH));
        let smaps = std::fs::read(format!("/proc/{}/smaps", target.pid())).expect("smaps");
        let longest = smaps.split(|byte| *byte == b'\n').map(<[u8]>::len).max();
        assert!(longest > Some(10_000), "{longest:?} bytes is the longest line");
        for engine in engines() {
            let rams = ["rollup", "smaps"].map(|source| {
                let timed = ask(target.pid(), engine, &format!("--source {source} --total"));
                let total = timed.ran.stdout();
                total.trim().parse::<u64>().expect("bytes") / 1024
            });
            // The kernel rounds each mapping down to a kB.
            let near = rams[0].abs_diff(rams[1]) < 512;
            assert!(near && rams[1] > 0, "{engine}: {rams:?} KiB");
        }
    });
}

/// Nearly as many mappings as the kernel allows (`vm.max_map_count`).
#[test]
fn mappings_without_end() {
    contained(LIMIT, || {
        let many = Target::stopped("mappings 65000");
        let few = Target::stopped("touch 4");
        for engine in engines() {
            for source in ["rollup", "smaps"] {
                let options = format!("--source {source} --stuck-after 200ms");
                let (many, few) =
                    (ask(many.pid(), engine, &options), ask(few.pid(), engine, &options));
                let (many, few) = (peak(&many), peak(&few));
                assert!(many < few + 1024, "{engine} {source}: {many} KiB, for few {few}");
            }
        }
    });
}

/// The names of stuck processes use another code path than those of measured processes.
#[test]
fn names_of_stuck_processes_are_escaped() {
    contained(LIMIT, || {
        let Some(scene) = Scene::of(1, &[Hold::Evil]) else { return };
        for engine in engines() {
            let mut command = program();
            command.args(["--engine", engine, "--stuck-after", "100ms"]);
            let timed = start(command).wait();
            assert_eq!(timed.ran.code, Some(0), "{engine}: {}", timed.ran.stderr());
            for bytes in [&timed.ran.stdout, &timed.ran.stderr] {
                let is_clean = bytes.iter().all(|byte| *byte == b'\n' || !byte.is_ascii_control());
                assert!(is_clean, "{engine}: {}", bytes.escape_ascii());
            }
            assert!(timed.ran.stdout().contains("\\u{1b}[31m"), "{engine}");
            assert!(timed.ran.stderr().contains(&scene.pids()[0].to_string()), "{engine}");
        }
    });
}
