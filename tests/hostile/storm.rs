//! Processes that start, exit and change during the survey: categories add up, the program measures
//! unchanged processes, and no change counts as a failure.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::container::contained;
use super::stuck::engines;
use super::timed::start;
use super::user::{User, program};

const LIMIT: Duration = Duration::from_secs(60);
const RUNS: usize = 20;
/// The time after which an engine has run often enough, on a host with other work.
const RUNS_END: Duration = Duration::from_secs(10);
const STORMS: usize = 4;
/// Processes that take no part in the storm.
const STILL: usize = 10;
/// Long enough for the storm to reach full load.
const BEGIN: Duration = Duration::from_millis(200);

/// Shells that run a script in a loop. Dropping them ends the processes.
struct Storm(Vec<Child>);

impl Storm {
    fn of(script: &str) -> Storm {
        let shell = || {
            let mut command = Command::new("sh");
            command.args(["-c", script, script]).stdin(Stdio::null()).stderr(Stdio::null());
            command.spawn().expect("a shell")
        };
        let storm = Storm((0..STORMS).map(|_| shell()).collect());
        std::thread::sleep(BEGIN);
        storm
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Runs repeatedly in a storm; returns the number of processes that change during the reads.
fn survive(script: &str) -> usize {
    let _still = User::with(STILL);
    let _storm = Storm::of(script);
    let mut moved = 0;
    for engine in engines() {
        let began = Instant::now();
        for _ in (0..RUNS).take_while(|_| began.elapsed() < RUNS_END) {
            let mut command = program();
            command.args(["--engine", engine, "--stats"]);
            let timed = start(command).wait();
            let (stdout, stderr) = (timed.ran.stdout(), timed.ran.stderr());
            assert_eq!(timed.ran.code, Some(0), "{engine}: {stderr}");
            let (listed, all) = (timed.count("listed"), timed.counts().values().sum::<usize>());
            assert_eq!(all, 2 * listed, "{engine}: fates add up: {stderr}");
            for fate in ["denied", "timed out", "not understood", "failed"] {
                assert_eq!(timed.count(fate), 0, "{engine}, {fate}: {stderr}");
            }
            assert!(stdout.contains(&format!("sleep ({STILL})")), "{engine}:\n{stdout}");
            moved += timed.count("gone") + timed.count("changed") + timed.count("zombies");
        }
    }
    moved
}

#[test]
fn fork_storm() {
    contained(LIMIT, || {
        let moved = survive("while :; do for n in 1 2 3 4 5 6 7 8; do : & done; wait; done");
        assert!(moved > 0, "not one process went away: this tests nothing");
    });
}

#[test]
fn exec_storm() {
    contained(LIMIT, || {
        survive("exec sh -c \"$0\" \"$0\"");
    });
}
