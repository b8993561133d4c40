//! The command `crowd`: `scripts/crowd.sh small -- COMMAND`, see `--help`.
//!
//! With the tests (without the word `--bench`, which `cargo bench` adds) and with all benches
//! (without a kind) it runs itself a few times, tiny, so that it stays in working order.

#[path = "mod.rs"]
mod crowd;
#[path = "../harness/mod.rs"]
mod harness;

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};

use rustix::process::{Pid, Signal, kill_process, test_kill_process_group};

fn main() -> ExitCode {
    crowd::become_one();
    if harness::is_test() || std::env::args().len() == 2 {
        passes_on_exit_codes();
        ends_on_a_signal();
        return ExitCode::SUCCESS;
    }
    ExitCode::from(crowd::cli::main())
}

/// This command among a crowd of four.
fn tiny(words: &[&str]) -> Command {
    let program = std::env::current_exe().expect("the path of this program");
    let mut command = Command::new(program);
    command.args(["small", "--processes", "4", "--"]).args(words).arg("--bench");
    command
}

fn passes_on_exit_codes() {
    // Four members and nothing else are children of the root.
    let count = "exec test $(cat /proc/$CROWD_ROOT/task/*/children | wc -w) = 4";
    for (script, code) in [(count, 0), ("exit 7", 7), ("kill -9 $$", 137)] {
        let status = tiny(&["sh", "-c", script]).status().expect("a command of ours");
        assert_eq!(status.code(), Some(code), "{script}");
    }
}

/// A signal ends the command, then the crowd, and only then there is an exit code. If the starter
/// is killed, the crowd ends a moment later.
fn ends_on_a_signal() {
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let mut command = tiny(&["sh", "-c", "echo $CROWD_ROOT; exec sleep 20"]);
        let mut started = command.stdout(Stdio::piped()).spawn().expect("a command of ours");
        let mut root = String::new();
        let mut stdout = BufReader::new(started.stdout.take().expect("piped"));
        stdout.read_line(&mut root).expect("the id of the root");
        let root = root.trim().parse().ok().and_then(Pid::from_raw).expect("an id");
        let is_gone = || test_kill_process_group(root).is_err();
        assert!(!is_gone(), "the crowd stays while its command runs");
        kill_process(Pid::from_child(&started), signal).expect("it runs");
        let status = started.wait().expect("a child of ours");
        if signal == Signal::KILL {
            assert!(crowd::until(is_gone), "a member of the crowd is left");
        } else {
            assert_eq!(status.code(), Some(128 + Signal::TERM.as_raw()), "{signal:?}");
            assert!(is_gone(), "a member of the crowd is left");
        }
    }
}
