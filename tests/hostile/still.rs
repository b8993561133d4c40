//! Processes that do not run, each for another reason, and look stuck: all of them are readable, so
//! the program measures them.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use psm_uring::units::Pid;

use super::cgroup::Cgroup;
use super::container::contained;
use super::crowd::{Crowd, Kind, Spec};
use super::dead_fs::{DeadFs, MOUNT, UNREADABLE};
use super::stuck::engines;
use super::support::child::{Target, state};
use super::support::{skip, until};
use super::sys::Traced;
use super::timed::{Timed, start};
use super::user::program;

const LIMIT: Duration = Duration::from_secs(60);
/// The timeout for a process to reach its state.
const READY_LIMIT: Duration = Duration::from_secs(20);
/// The private memory of the targets.
const KIB: u64 = 20_000;
/// Far longer than a run takes.
const QUICK: Duration = Duration::from_secs(10);

fn ask(pid: Pid, engine: &str) -> Timed {
    let mut command = program();
    command.args(["--pid", &pid.to_string(), "--unit", "KiB", "--no-header", "--strict"]);
    command.args(["--engine", engine, "--stats"]);
    start(command).wait()
}

/// The sums of RAM and of swap in KiB.
fn total(timed: &Timed) -> (u64, u64) {
    let stdout = timed.ran.stdout();
    let line = stdout.lines().find_map(|line| line.strip_prefix('#'));
    let line = line.unwrap_or_else(|| panic!("no total in\n{stdout}"));
    let numbers: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
    (numbers[0], numbers.get(1).copied().unwrap_or(0))
}

fn assert_measured(what: &str, pid: Pid) {
    for engine in engines() {
        let timed = ask(pid, engine);
        assert_eq!(timed.ran.code, Some(0), "{what}, {engine}: {}", timed.ran.stderr());
        assert_eq!(timed.count("measured"), 1, "{what}, {engine}");
        let (ram, _) = total(&timed);
        assert!(ram >= KIB, "{what}, {engine}: {ram} KiB of {KIB}");
        assert!(timed.took < QUICK, "{what}, {engine}: {:?}", timed.took);
    }
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    assert!(until(READY_LIMIT, || is_so().then_some(())).is_some(), "it never is {what}");
}

/// Stopped by SIGSTOP, and by a tracer.
#[test]
fn stopped_and_traced() {
    contained(LIMIT, || {
        let target = Target::stopped(&format!("touch {KIB}"));
        assert_measured("stopped", target.pid());
        let traced = Traced::stop(target.pid()).expect("a child may be traced");
        wait_for("traced", || state(target.pid()) == Some('t'));
        assert_measured("traced", target.pid());
        drop(traced);
    });
}

#[test]
fn frozen() {
    contained(LIMIT, || {
        let freezer = match Cgroup::make("freezer") {
            Ok(freezer) => freezer,
            Err(why) => return skip("frozen", &why),
        };
        // The drop runs after the frozen process is thawed.
        let target = Target::stopped(&format!("touch {KIB}"));
        freezer.take(target.pid());
        freezer.set("freezer.state", "FROZEN");
        let _thaw = Thaw;
        wait_for("frozen", || freezer.get("freezer.state") == "FROZEN\n");
        assert_measured("frozen", target.pid());
    });
}

/// Thaws the frozen process, also when the case fails.
struct Thaw;

impl Drop for Thaw {
    fn drop(&mut self) {
        super::cgroup::thaw();
    }
}

/// A command. Dropping it ends the process.
struct Ended(Child);

impl Ended {
    fn start(mut command: Command) -> Ended {
        Ended(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts"))
    }

    fn pid(&self) -> Pid {
        Pid(self.0.id())
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Its cgroup is out of memory with the OOM killer off: the process waits in state D.
#[test]
fn out_of_memory() {
    contained(LIMIT, || {
        const TEST: &str = "out_of_memory";
        let memory = match Cgroup::make("memory") {
            Ok(memory) => memory,
            Err(why) => return skip(TEST, &why),
        };
        memory.set("memory.limit_in_bytes", &((KIB + 4096) * 1024).to_string());
        memory.set("memory.oom_control", "1");
        // Reads until the end of a line, which never arrives.
        let mut greedy = memory.enter("tail".as_ref());
        greedy.arg("/dev/zero");
        let greedy = Ended::start(greedy);
        wait_for("out of memory", || {
            memory.get("memory.oom_control").contains("under_oom 1")
                && state(greedy.pid()) == Some('D')
        });
        assert_measured("out of memory", greedy.pid());
    });
}

/// A parent that waits for the exec of its child, which waits for a dead file system. They share
/// the memory.
#[test]
fn vfork_parent() {
    contained(LIMIT, || {
        let fs = match DeadFs::mount() {
            Ok(fs) => fs,
            Err(why) => return skip("vfork_parent", &why),
        };
        let target = Target::stopped(&format!("vfork {KIB} {MOUNT}/{UNREADABLE}0"));
        fs.wait_for(1);
        let parent = target.children(1, 'D')[0];
        assert_measured("a parent in vfork", parent);
        drop(fs);
    });
}

/// Memory and arguments in swap: the program counts them, and reads of them do not time out.
#[test]
fn swapped() {
    contained(LIMIT, || {
        let spec = Spec { processes: 50, ..Spec::usual(Kind::Swapped) };
        let crowd = match Crowd::start(&spec) {
            Ok(crowd) => crowd,
            Err(why) => return skip("swapped", &why),
        };
        let list: Vec<String> = crowd.pids().iter().map(Pid::to_string).collect();
        for engine in engines() {
            let mut command = program();
            command.args(["--pid", &list.join(","), "--unit", "KiB", "--engine", engine]);
            command.arg("--stats");
            let timed = start(command).wait();
            assert_eq!(timed.count("measured"), spec.processes, "{}", timed.ran.stderr());
            let (_, swap) = total(&timed);
            let least = (spec.processes * spec.private * 4) as u64;
            assert!(swap >= least, "{engine}: {swap} KiB of {least} are in swap");
        }
    });
}
