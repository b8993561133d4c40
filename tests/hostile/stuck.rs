//! Processes that hold a lock for ever, among healthy ones: the program measures all healthy
//! processes, reports the stuck ones, and exits on time.

use std::process::Command;
use std::time::Duration;

use psm_uring::units::Pid;

use super::container::{contained, contained_alone};
use super::crowd::{Crowd, Kind, Spec};
use super::dead_fs::DeadFs;
use super::hostage::{self, Hold};
use super::support::child::{Target, state};
use super::support::survey::has_uring;
use super::support::{say, skip};
use super::sys::refuse;
use super::timed::{Timed, run, start};
use super::user::{processes_of_program, program, with_program};

/// The time limit of a run with the default of `--stuck-after`, 2 s.
const REPORT_LIMIT: Duration = Duration::from_millis(2500);
/// The tolerance beyond `--deadline`.
const DEADLINE_SLACK: Duration = Duration::from_millis(200);
/// The time limit from the last output to the exit of the program.
const LINGER_LIMIT: Duration = Duration::from_millis(50);
/// The limit where times are not the subject: far less than for ever.
const SOON: Duration = Duration::from_secs(10);
/// A busy machine disturbs one run, but not all of these attempts.
const ATTEMPTS: usize = 3;

/// Stuck processes, of all kinds in turn. The drop releases the file system first, which ends them.
pub struct Scene {
    _fs: DeadFs,
    _herds: Vec<Target>,
    stuck: Vec<(Pid, Hold)>,
}

impl Scene {
    /// Starts this many stuck processes, in equal parts of these kinds.
    pub fn of(count: usize, kinds: &[Hold]) -> Option<Scene> {
        let fs = match DeadFs::mount() {
            Ok(fs) => fs,
            Err(why) => {
                skip("stuck", &why);
                return None;
            }
        };
        let (mut herds, mut stuck) = (Vec::new(), Vec::new());
        for (n, hold) in kinds.iter().enumerate() {
            let part = count / kinds.len() + usize::from(n < count % kinds.len());
            let (herd, pids) = hostage::start(*hold, part);
            stuck.extend(pids.into_iter().map(|pid| (pid, *hold)));
            herds.push(herd);
        }
        fs.wait_for(count);
        // These processes sleep once more after their request reaches the file system.
        for (pid, _) in stuck.iter().filter(|(_, hold)| *hold == Hold::Fault) {
            herds[0].wait_for_state(*pid, 'D');
        }
        Some(Scene { _fs: fs, _herds: herds, stuck })
    }

    /// The ids of the stuck processes.
    pub fn pids(&self) -> Vec<Pid> {
        self.stuck.iter().map(|(pid, _)| *pid).collect()
    }
}

/// The engines that work on this host.
pub fn engines() -> Vec<&'static str> {
    let mut engines = vec!["sync", "threads"];
    engines.extend(has_uring("stuck").then_some("uring"));
    engines
}

/// Checks that hold for a report at any time; `healthy` includes the program.
pub fn check(timed: &Timed, scene: &Scene, healthy: usize) {
    let (stdout, stderr) = (timed.ran.stdout(), timed.ran.stderr());
    // The first process of the container is a test, which does not reap orphans.
    let all = healthy + scene.stuck.len() + timed.count("zombies");
    assert_eq!(timed.count("listed"), all, "{stderr}");
    assert_eq!(timed.count("timed out"), scene.stuck.len(), "{stderr}");
    assert_eq!(timed.count("measured"), healthy, "{stderr}");
    let unknown = timed.unknown();
    assert_eq!(unknown.len(), scene.stuck.len(), "{stdout}");
    for (pid, hold) in &scene.stuck {
        let row = unknown.get(pid).unwrap_or_else(|| panic!("{pid} is missing in\n{stdout}"));
        assert!(row.starts_with(hold.comm()) && row.contains("RSS"), "{row}");
    }
    // The report names the first ones with their state.
    let (pid, hold) = scene.stuck[0];
    let state = state(pid).expect("it is there");
    for word in [&pid.to_string(), hold.comm(), &format!("state {state}")] {
        assert!(stderr.contains(word), "no {word} in {stderr}");
    }
}

/// Repeats the run until it meets the times, at most [`ATTEMPTS`] times; all other checks must pass
/// on every run.
fn on_time(what: &str, limit: Duration, mut attempt: impl FnMut() -> Timed) {
    let mut seen = Vec::new();
    for _ in 0..ATTEMPTS {
        let timed = attempt();
        let (took, lingered) = (timed.took, timed.lingered);
        say(&format!("{what}: {took:.1?}, gone {lingered:.1?} after its last word"));
        if took <= limit && lingered <= LINGER_LIMIT {
            return;
        }
        seen.push((took, lingered));
    }
    let late = format!("{what}: at most {limit:?} and {LINGER_LIMIT:?}, but {seen:?}");
    let is_hang = seen.iter().all(|(took, _)| *took > 2 * limit);
    assert!(!is_hang && is_busy(), "{late}");
    skip("stuck, times", &format!("others keep the CPUs busy; {late}"));
}

/// Whether tasks waited for a CPU during most of the last ten seconds (`/proc/pressure/cpu`).
pub fn is_busy() -> bool {
    const MOST: f64 = 50.0;
    let pressure = std::fs::read_to_string("/proc/pressure/cpu").unwrap_or_default();
    let share = pressure.split_once("avg10=").and_then(|(_, rest)| rest.split(' ').next());
    share.and_then(|share| share.parse::<f64>().ok()).is_some_and(|share| share > MOST)
}

pub fn crowd(processes: usize) -> Crowd {
    let spec = Spec { processes, private: 8, shared: 0, ..Spec::usual(Kind::Small) };
    Crowd::start(&spec).unwrap_or_else(|error| panic!("{spec:?}: {error}"))
}

/// Stuck processes with lower ids than a crowd of healthy ones.
fn among_a_crowd(count: usize) {
    let Some(scene) = Scene::of(count, &[Hold::Mmap, Hold::Exec]) else { return };
    let crowd = crowd(2000);
    assert!(crowd.pids().iter().all(|pid| scene.stuck.iter().all(|(stuck, _)| stuck < pid)));
    // In addition to the crowd: the test, the crowd's root, the parents of the stuck, the program.
    let healthy = crowd.pids().len() + 2 + 2 + processes_of_program();
    for engine in engines() {
        let what = format!("{count} stuck among 2,000, {engine}");
        on_time(&what, REPORT_LIMIT, || {
            let timed = run(&format!("--engine {engine} --by pid --strict"));
            check(&timed, &scene, healthy);
            assert_eq!(timed.ran.code, Some(3), "{what}");
            timed
        });
    }
    for engine in engines() {
        let deadline = Duration::from_millis(1500);
        let what = format!("{count} stuck among 2,000, {engine}, a deadline of 1.5 s");
        on_time(&what, deadline + DEADLINE_SLACK, || {
            let timed = run(&format!("--engine {engine} --by pid --deadline 1500ms"));
            let measured = timed.count("measured");
            say(&format!("{what}: measured {measured} of {healthy}"));
            // On a busy machine the time may be too short for a few of them.
            if measured == healthy || !is_busy() {
                check(&timed, &scene, healthy);
            }
            assert!(10 * measured >= 9 * healthy, "{what}: {}", timed.ran.stderr());
            assert_eq!(timed.ran.code, Some(0), "{what}");
            timed
        });
    }
}

#[test]
fn sixty_four_among_a_crowd() {
    contained_alone(Duration::from_secs(60), || among_a_crowd(64));
}

#[test]
fn five_hundred_among_a_crowd() {
    contained_alone(Duration::from_secs(60), || among_a_crowd(512));
}

/// Each kind of stuck process, one process and eight, in every engine.
#[test]
fn every_lock_times_out() {
    contained(Duration::from_secs(60), || {
        for hold in [Hold::Mmap, Hold::Exec, Hold::Fault] {
            for count in [1, 8] {
                let Some(scene) = Scene::of(count, &[hold]) else { return };
                // In addition to the test, the parent of the stuck and the program: the readers of
                // the stuck.
                let readers = if hold == Hold::Fault { count } else { 0 };
                for engine in engines() {
                    let options = format!("--engine {engine} --by pid --stuck-after 300ms");
                    let timed = run(&options);
                    check(&timed, &scene, 2 + processes_of_program() + readers);
                    assert_eq!(timed.ran.code, Some(0), "{engine} {hold:?}");
                    assert!(timed.took < SOON, "{engine}: {:?}", timed.took);
                }
            }
        }
    });
}

/// More stuck processes than the ring has slots. Another engine reads the remaining processes; with
/// an explicitly selected ring they stay unread. The report contains the answers of the others.
#[test]
fn the_stuck_have_all_slots() {
    contained(Duration::from_secs(60), || {
        const STUCK: usize = 20;
        if !has_uring("the_stuck_have_all_slots") {
            return;
        }
        let Some(scene) = Scene::of(STUCK, &[Hold::Mmap]) else { return };
        // In addition to the stuck and the program: the test and the parent of the stuck.
        let healthy = 2 + processes_of_program();
        for (engine, measured) in [("uring", 2), ("auto", healthy)] {
            let mut command = Command::new("prlimit");
            // Enough for one thread per stuck process that the ring leaves: with a keeper, each has
            // three descriptors.
            command.arg(if processes_of_program() > 1 { "--nofile=40" } else { "--nofile=32" });
            let mut command = with_program(command);
            command.args(["--engine", engine, "--stuck-after", "300ms", "--stats"]);
            let timed = start(command).wait();
            assert_eq!(timed.ran.code, Some(0), "{engine}: {}", timed.ran.stderr());
            assert_eq!(timed.count("measured"), measured, "{engine}: {}", timed.ran.stderr());
            let (late, rest) = (timed.count("timed out"), timed.count("not asked"));
            assert_eq!(late + rest, STUCK + healthy - measured, "{engine}: {}", timed.ran.stderr());
            assert_eq!(rest > 0, engine == "uring", "{engine}: {}", timed.ran.stderr());
        }
        // More than the ring has workers, where it cannot have more.
        let mut command = program();
        refuse(&mut command, libc::SYS_io_uring_register, libc::EPERM);
        command.args(["--stuck-after", "300ms", "--stats"]);
        let timed = start(command).wait();
        let found = (timed.count("measured"), timed.count("timed out"));
        assert_eq!(found, (healthy, STUCK), "{}", timed.ran.stderr());
        drop(scene);
    });
}

/// Every selection: other names, other files, a filter, a list.
#[test]
fn no_option_waits_for_the_stuck() {
    contained(Duration::from_secs(60), || {
        let kinds = [Hold::Mmap, Hold::Exec, Hold::Fault];
        let Some(scene) = Scene::of(6, &kinds) else { return };
        let stuck: Vec<String> = scene.pids().iter().map(Pid::to_string).collect();
        let list = format!("--pid 1,{}", stuck.join(","));
        for options in [
            "--name comm",
            "--name exe",
            "--name cmdline",
            "--name script",
            "--by user --user 0",
            "--by unit",
            "--source smaps",
            "--source pagemap",
            "--source pagemap --gentle",
            "--columns ram,freed,shared-outside,name",
            "--heap",
            "--filter .",
            "--by pid --output ndjson",
            "--name exe --filter hostile",
            &list,
            "--top 1",
            "--total",
            "--workers 1 --depth 1",
        ] {
            // A capability does not read the links of other users.
            if options.starts_with("--name exe --filter") && processes_of_program() > 1 {
                continue;
            }
            for engine in engines() {
                let timed = run(&format!("--engine {engine} --stuck-after 100ms {options}"));
                let (stdout, stderr) = (timed.ran.stdout(), timed.ran.stderr());
                assert_eq!(timed.ran.code, Some(0), "{engine} {options}: {stderr}");
                let (measured, lost) = (timed.count("measured"), timed.count("timed out"));
                assert!(measured > 0, "{engine} {options}: {stderr}\n{stdout}");
                // Reads of comm return immediately, so a filter on comm may exclude them.
                assert_eq!(lost, stuck.len(), "{engine} {options}: {stderr}");
                assert!(timed.took < SOON, "{engine}: {:?}", timed.took);
            }
        }
    });
}
