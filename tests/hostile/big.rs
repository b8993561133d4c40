//! A process so large, on a machine so busy, that reading it takes far longer than the timeouts,
//! next to a stuck process: the program waits for it.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::container::contained_alone;
use super::crowd::{Crowd, Kind, Spec};
use super::stuck::engines;
use super::support::skip;
use super::timed::start;
use super::user::with_program;

const STUCK_AFTER: Duration = Duration::from_millis(50);
/// The number of competing processes that use a CPU. They have the nice value of the tests.
const BUSY: usize = 4;
/// The CPU that all processes share.
const CPU: &str = "0";

/// A process that uses the CPU without pause. Dropping it ends the process.
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
        // An mmap in this process holds its lock while it waits for a CPU.
        let pid = crowd.pids()[0];
        let raw = rustix::process::Pid::from_raw(pid.0.cast_signed()).expect("an id");
        rustix::process::kill_process(raw, rustix::process::Signal::STOP).expect("it is there");
        let pid = pid.to_string();
        let _busy = [(); BUSY].map(|()| Busy::start());
        for engine in engines() {
            let mut command = Command::new("taskset");
            // A small share of the CPU: work that takes 40 ms alone takes a second or two.
            command.args(["-c", CPU, "nice", "-n", "10"]);
            let mut command = with_program(command);
            command.args(["--pid", &pid, "--engine", engine, "--stuck-after", "50ms"]);
            // A walk would return to the nice value 0.
            command.args(["--stats", "--strict", "--source", "rollup"]);
            let timed = start(command).wait();
            assert_eq!(timed.ran.code, Some(0), "{engine}: {}", timed.ran.stderr());
            assert_eq!(timed.count("measured"), 1, "{engine}");
            let survey = timed.survey();
            assert!(survey > 2 * STUCK_AFTER, "{engine}: {survey:?} tests nothing");
        }
    });
}
