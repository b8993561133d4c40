//! A process so big, on a machine so busy, that reading it takes far longer than the timeouts with
//! one that is stuck: it is waited for.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::container::contained_alone;
use super::crowd::{Crowd, Kind, Spec};
use super::stuck::engines;
use super::support::{program, skip};
use super::timed::start;

const STUCK_AFTER: Duration = Duration::from_millis(50);
/// So many want a CPU besides, who are as nice as the tests, which may be nice themselves.
const BUSY: usize = 4;
/// The CPU that all of it runs on.
const CPU: &str = "0";

/// A process that wants a CPU for itself, ended when it is dropped.
struct Busy(Child);

impl Busy {
    fn start() -> Busy {
        let mut command = Command::new("taskset");
        command.args(["-c", CPU, "sh", "-c", "while :; do :; done"]);
        Busy(command.stdin(Stdio::null()).spawn().expect("taskset was there a moment ago"))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn big_is_not_stuck() {
    contained_alone(Duration::from_secs(60), || {
        const TEST: &str = "big_is_not_stuck";
        let pinned = Command::new("taskset").args(["-c", CPU, "true"]).status();
        if !pinned.is_ok_and(|status| status.success()) {
            return skip(TEST, "`taskset` is missing, or may not use CPU 0");
        }
        let crowd = match Crowd::start(&Spec::usual(Kind::Huge)) {
            Ok(crowd) => crowd,
            Err(why) => return skip(TEST, &why),
        };
        // Its own mmap would hold its lock, and wait for a CPU with it.
        let pid = crowd.pids()[0];
        let raw = rustix::process::Pid::from_raw(pid.0.cast_signed()).expect("an id");
        rustix::process::kill_process(raw, rustix::process::Signal::STOP).expect("it is there");
        let pid = pid.to_string();
        let _busy = [(); BUSY].map(|()| Busy::start());
        for engine in engines() {
            let mut command = Command::new("taskset");
            // Little of the CPU: what takes 40 ms alone takes a second or two.
            command.args(["-c", CPU, "nice", "-n", "10"]).arg(program().get_program());
            command.args(["--pid", &pid, "--engine", engine, "--stuck-after", "50ms"]);
            command.args(["--stats", "--strict"]);
            let timed = start(command).wait();
            assert_eq!(timed.ran.code, Some(0), "{engine}: {}", timed.ran.stderr());
            assert_eq!(timed.count("measured"), 1, "{engine}");
            let survey = timed.survey();
            assert!(survey > 2 * STUCK_AFTER, "{engine}: {survey:?} tests nothing");
        }
    });
}
