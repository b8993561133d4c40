//! A forbidden or broken io_uring, and exhausted limits: the program prints the same table by other
//! means, or one line names the required change.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

use psm_uring::units::Pid;

use super::cgroup::Cgroup;
use super::container::contained;
use super::crowd::{Crowd, Kind, Spec};
use super::support::survey::has_uring;
use super::support::{Ran, output, program, skip, until};
use super::sys::refuse;
use super::timed::start;
use super::user::User;

const LIMIT: Duration = Duration::from_secs(60);
/// The timeout for two reports of the same processes to agree: counts of shared library pages vary
/// while other programs start and exit.
const QUIET_LIMIT: Duration = Duration::from_secs(20);

/// Idle processes, as arguments: `--pid LIST` and the options of their table.
pub struct Still {
    list: String,
}

impl Still {
    pub fn of(pids: impl Iterator<Item = Pid>) -> Still {
        let list: Vec<String> = pids.map(|pid| pid.to_string()).collect();
        Still { list: list.join(",") }
    }

    /// Returns the command on these processes.
    pub fn ask(&self, mut command: Command, options: &[&str]) -> Ran {
        command.args(["--pid", &self.list, "--by", "pid"]).args(options);
        output(command)
    }

    /// Checks that a run gives the same table as `--engine sync` without restrictions.
    pub fn assert_same(&self, what: &str, mut ask: impl FnMut() -> Ran) -> Ran {
        let reference = || {
            let ran = self.ask(program(), &["--engine", "sync"]);
            assert_eq!((ran.code, ran.stderr().as_str()), (Some(0), ""));
            ran.stdout()
        };
        let (mut last, mut expected) = (None, String::new());
        let agreed = until(QUIET_LIMIT, || {
            expected = reference();
            let ran = ask();
            assert_eq!(ran.code, Some(0), "{what}: {}", ran.stderr());
            let is_same = ran.stdout() == expected;
            last = Some(ran.clone());
            is_same.then_some(ran)
        });
        agreed.unwrap_or_else(|| {
            let found = last.map_or_else(String::new, |ran| ran.stdout());
            panic!("{what}:\n{found}\nis not\n{expected}")
        })
    }

    /// Asks with a limit of memory, `as` or `data`.
    fn ask_within(&self, limit: &str, kib: u64, options: &str) -> Ran {
        let command = limited(&format!("--{limit}={}", kib * 1024));
        self.ask(command, &options.split(' ').collect::<Vec<_>>())
    }

    /// The least KiB with which the program prints a report, or up to 32 more.
    fn least(&self, limit: &str, options: &str) -> u64 {
        let is_enough = |kib| self.ask_within(limit, kib, options).code == Some(0);
        let (mut too_little, mut enough) = (128, 64 * 1024);
        assert!(is_enough(enough) && !is_enough(too_little), "these sizes test nothing");
        while enough - too_little > 32 {
            let between = (enough + too_little) / 2;
            *if is_enough(between) { &mut enough } else { &mut too_little } = between;
        }
        enough
    }
}

fn crowd(processes: usize) -> (Crowd, Still) {
    let spec = Spec { processes, private: 20, ..Spec::usual(Kind::Small) };
    let crowd = Crowd::start(&spec).unwrap_or_else(|error| panic!("{spec:?}: {error}"));
    let still = Still::of(crowd.pids().iter().copied());
    (crowd, still)
}

/// No report: standard output is empty, standard error has one line.
fn assert_reported(ran: &Ran, what: &str) {
    let text = ran.stderr();
    assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""), "{what}: {text}");
    assert!(text.starts_with("psm-uring: "), "{what}: {text}");
    assert_eq!((text.matches('\n').count(), text.ends_with('\n')), (1, true), "{what}: {text}");
}

/// The exit code of the program loader when a prerequisite is missing.
const LOADER: i32 = 127;
/// This many descriptors may be too few: two files, `/proc`, standard streams, and inherited ones.
const FEW: u64 = 8;

const REFUSALS: [(i32, &str); 5] = [
    (libc::EPERM, "kernel.io_uring_disabled"),
    (libc::ENOSYS, "5.11"),
    (libc::ENOMEM, "ulimit -l"),
    (libc::EACCES, "kernel.io_uring_disabled"),
    (libc::EINVAL, "5.11"),
];

/// `io_uring_setup` fails, or `io_uring_enter` fails on an existing ring.
#[test]
fn refused_ring_is_replaced() {
    contained(LIMIT, || {
        if !has_uring("refused_ring_is_replaced") {
            return;
        }
        let (_crowd, still) = crowd(300);
        for call in [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter] {
            for (errno, remedy) in REFUSALS {
                let ask = |options: &[&str]| {
                    let mut command = program();
                    refuse(&mut command, call, errno);
                    still.ask(command, options)
                };
                let what = format!("{errno} for call {call}");
                let ran = still.assert_same(&what, || ask(&["--stats"]));
                assert!(
                    ran.stat("engine").starts_with("threads (uring: "),
                    "{what}: {}",
                    ran.stderr()
                );
                let ran = ask(&["--engine", "uring"]);
                assert_reported(&ran, &what);
                let reason = std::io::Error::from_raw_os_error(errno).to_string();
                for word in [remedy, &reason] {
                    assert!(ran.stderr().contains(word), "{what}: no {word}: {}", ran.stderr());
                }
            }
        }
    });
}

/// Without `io_uring_register` the ring has no table of files and no limit of workers. It cannot
/// grow with the number of stuck processes, so only an explicit option selects it.
#[test]
fn refused_register_is_done_without() {
    contained(LIMIT, || {
        if !has_uring("refused_register_is_done_without") {
            return;
        }
        let (_crowd, still) = crowd(300);
        for (errno, _) in REFUSALS {
            let threads = "threads (uring: Operation not supported (os error 95))";
            for (kind, engine) in [("auto", threads), ("uring", "uring")] {
                let what = format!("{errno} for io_uring_register, {kind}");
                let ran = still.assert_same(&what, || {
                    let mut command = program();
                    refuse(&mut command, libc::SYS_io_uring_register, errno);
                    still.ask(command, &["--engine", kind, "--stats"])
                });
                assert_eq!(ran.stat("engine"), engine, "{what}");
            }
        }
    });
}

/// Configurations that use more memory than `--engine sync`.
const RICHER: [&str; 5] = [
    "--engine auto",
    "--engine auto --depth 1024",
    "--engine auto --source smaps",
    "--engine threads",
    "--engine threads --workers 1024",
];

fn limited(limit: &str) -> Command {
    let mut command = Command::new("prlimit");
    command.arg(limit).arg(program().get_program());
    command
}

#[test]
fn few_descriptors_are_enough() {
    contained(LIMIT, || {
        let (_crowd, still) = crowd(300);
        let mut refused = 0;
        for kind in ["sync", "threads", "auto"] {
            for descriptors in 4..=16 {
                let what = format!("{descriptors} descriptors, {kind}");
                let limit = format!("--nofile={descriptors}:{descriptors}");
                let ask = || still.ask(limited(&limit), &["--engine", kind]);
                let ran = ask();
                match ran.code {
                    Some(1) if descriptors <= FEW => {
                        assert_reported(&ran, &what);
                        refused += 1;
                    }
                    Some(LOADER) if descriptors <= FEW => {}
                    _ => drop(still.assert_same(&what, ask)),
                }
            }
        }
        assert!(refused > 0, "these limits test nothing");
    });
}

/// A table, or one line that names the limit to raise; never an abort, at any limit.
#[test]
fn too_little_address_space_is_an_error() {
    contained(LIMIT, || {
        let pid = std::process::id().to_string();
        let (mut tables, mut told) = (0, 0);
        for kind in ["sync", "threads", "auto"] {
            for kib in (4_000..16_000).step_by(64) {
                let mut command = limited(&format!("--as={}", kib * 1024));
                command.args(["--pid", &pid, "--engine", kind]);
                let timed = start(command).wait();
                let ran = timed.ran;
                let what = format!("{kib} KiB of addresses, {kind}");
                match ran.code {
                    Some(0) => tables += 1,
                    Some(1) => {
                        assert_reported(&ran, &what);
                        told += 1;
                    }
                    // The process fails before `main`: in the loader or the kernel.
                    Some(LOADER) => {}
                    // Or in the language runtime, which first allocates a stack for its handler.
                    None if ran.stderr().contains("failed to allocate an alternative stack") => {}
                    None => {
                        assert_eq!(timed.status.signal(), Some(libc::SIGSEGV), "{what}");
                        assert_eq!(ran.stderr(), "", "{what}");
                    }
                    code => panic!("{what}: {code:?}: {}", ran.stderr()),
                }
            }
        }
        assert!(tables > 0 && told > 0, "{tables} tables, {told} told: these sizes test nothing");
    });
}

/// Every engine falls back: where the simplest engine prints a table, every other one does.
#[test]
fn little_address_space_is_enough() {
    contained(LIMIT, || {
        let (_crowd, still) = crowd(300);
        for limit in ["as", "data"] {
            let enough = still.least(limit, "--engine sync");
            // The heap grows by 128 KiB at a time, so the least size is that uncertain. So it is by
            // the stacks of two threads: one may start while the room for the next is checked.
            let more = (9..20).map(|power| enough + (1 << power));
            for (kib, options) in more.flat_map(|kib| RICHER.map(|options| (kib, options))) {
                let ran = still.ask_within(limit, kib, options);
                let stderr = ran.stderr();
                let what = format!("{limit}: {kib} KiB, sync gets by with {enough}: {options}");
                // The one thing that the report may lack is the search for shared address spaces.
                let is_noted = stderr.contains("there is no room for a thread that compares them");
                assert!(ran.code == Some(0) && (stderr.is_empty() || is_noted), "{what}: {stderr}");
            }
        }
    });
}

/// A ring that finds no memory for the processes leaves its own to the threads that replace it. The
/// texts of many rows in JSON take the most.
#[test]
fn a_ring_without_memory_leaves_its_own() {
    contained(LIMIT, || {
        let (_crowd, still) = crowd(800);
        let enough = still.least("data", "--engine sync --json");
        for more in [768, 896, 1024] {
            let ran = still.ask_within("data", enough + more, "--engine auto --json");
            assert_eq!(ran.code, Some(0), "{enough} and {more} KiB: {}", ran.stderr());
        }
    });
}

/// Ring setup fails for lack of locked memory, or every request is cancelled for lack of a worker:
/// `prlimit` for a user, a cgroup of processes for root.
#[test]
fn no_memory_and_no_workers_for_the_ring() {
    contained(LIMIT, || {
        let user = User::with(20);
        let still = Still::of(user.pids());
        for limit in ["--memlock=0", "--memlock=16384", "--memlock=65536", "--nproc=0"] {
            for kind in ["auto", "threads", "sync"] {
                let ask = || still.ask(User::limited(limit), &["--engine", kind, "--stats"]);
                let ran = still.assert_same(&format!("{limit}, {kind}"), ask);
                if kind == "auto" && ["--memlock=0", "--nproc=0"].contains(&limit) {
                    assert!(ran.stat("engine").starts_with("threads (uring: "), "{}", ran.stderr());
                }
            }
        }
        for limit in ["--memlock=0", "--nproc=0"] {
            assert_reported(&still.ask(User::limited(limit), &["--engine", "uring"]), limit);
        }
        let cgroup = match Cgroup::make("pids") {
            Ok(cgroup) => cgroup,
            Err(why) => return skip("no_memory_and_no_workers_for_the_ring, cgroup", &why),
        };
        cgroup.set("pids.max", "1");
        for kind in ["auto", "threads", "sync"] {
            let command = || cgroup.enter(program().get_program());
            let ask = || still.ask(command(), &["--engine", kind, "--stats"]);
            let ran = still.assert_same(&format!("pids.max=1, {kind}"), ask);
            if kind == "auto" {
                assert!(ran.stat("engine").starts_with("threads (uring: "), "{}", ran.stderr());
            }
        }
        let ran = still.ask(cgroup.enter(program().get_program()), &["--engine", "uring"]);
        assert_reported(&ran, "pids.max=1");
        assert!(ran.stderr().contains("pids.max"), "{}", ran.stderr());
    });
}

/// The program reports a file size limit like a full disk; no signal ends it.
#[test]
fn a_file_beyond_its_limit_is_an_error() {
    contained(LIMIT, || {
        let path = "/mnt/report";
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "tmpfs", "/mnt"]);
        assert!(mount.status().is_ok_and(|status| status.success()), "{mount:?}");
        for kind in ["sync", "auto"] {
            let file = File::create(path).expect("a file on a file system of our own");
            let mut command = limited("--fsize=100");
            command.args(["--engine", kind]).stdout(file).stderr(std::process::Stdio::piped());
            let ended = command.output().expect("prlimit is there");
            let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
            assert_eq!(ended.status.code(), Some(1), "{kind}: {} {stderr}", ended.status);
            assert!(stderr.contains("File too large"), "{stderr}");
        }
    });
}

/// A cgroup with little memory is enough for a report of 2,000 processes.
#[test]
fn little_memory_is_enough() {
    contained(LIMIT, || {
        let memory = match Cgroup::make("memory") {
            Ok(memory) => memory,
            Err(why) => return skip("little_memory_is_enough", &why),
        };
        memory.set("memory.limit_in_bytes", "16M");
        let spec = Spec { processes: 2000, private: 8, shared: 0, ..Spec::usual(Kind::Small) };
        let _crowd = Crowd::start(&spec).unwrap_or_else(|error| panic!("{spec:?}: {error}"));
        for engine in ["sync", "threads", "auto"] {
            let mut command = memory.enter(program().get_program());
            command.args(["--engine", engine, "--by", "pid", "--stats"]);
            let timed = start(command).wait();
            assert_eq!(timed.ran.code, Some(0), "{engine}: {}", timed.status);
            // In addition to the crowd: its root, the test, the program.
            assert_eq!(timed.count("measured"), spec.processes + 3, "{engine}");
        }
    });
}
