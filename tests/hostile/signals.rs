//! A signal ends the program immediately, also during a wait.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::container::contained_alone;
use super::hostage::Hold;
use super::stuck::{Scene, engines, is_busy};
use super::sys;
use super::timed::start;
use super::user::program;

const END_LIMIT: Duration = Duration::from_millis(100);
/// Long enough for the program to reach its wait.
const BEGIN: Duration = Duration::from_millis(300);
/// A busy machine disturbs one run, but not all of these attempts.
const ATTEMPTS: usize = 3;

/// Sends the signal to a run that waits for stuck processes; returns the time until its end.
fn end_with(signal: Signal, engine: &str) -> Duration {
    let mut command = program();
    command.args(["--engine", engine, "--stuck-after", "20s"]);
    sys::heed(&mut command, signal.as_raw());
    let running = start(command);
    std::thread::sleep(BEGIN);
    let sent = Instant::now();
    kill_process(Pid::from_child(running.child()), signal).expect("a child of ours");
    let timed = running.wait();
    let lived_on = sent.elapsed();
    assert_eq!(timed.status.signal(), Some(signal.as_raw()), "{engine}: {}", timed.status);
    // A partial table looks like a complete one.
    assert_eq!((timed.ran.stdout().as_str(), timed.ran.stderr().as_str()), ("", ""), "{engine}");
    lived_on
}

#[test]
fn signals_end_a_waiting_run() {
    contained_alone(Duration::from_secs(40), || {
        let Some(_scene) = Scene::of(3, &[Hold::Mmap, Hold::Exec, Hold::Fault]) else { return };
        for signal in [Signal::INT, Signal::TERM] {
            for engine in engines() {
                let mut attempts = (0..ATTEMPTS).map(|_| end_with(signal, engine));
                let is_quick = attempts.any(|lived_on| lived_on <= END_LIMIT);
                assert!(
                    is_quick || is_busy(),
                    "{engine} lives longer than {END_LIMIT:?} after {signal:?}"
                );
            }
        }
    });
}
