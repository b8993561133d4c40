//! The command `crowd`: a crowd from the command line, and a command that runs among it.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};

use clap::Parser;
use rustix::event::{PollFd, PollFlags};
use rustix::process::Signal;

use super::sys::Signals;
use super::{Crowd, Kind, Sizes};

const EXAMPLES: &str = "\
Examples:
  scripts/crowd.sh small                               until Enter
  scripts/crowd.sh small -- target/release/psm-uring   run a command among it
  scripts/crowd.sh many --processes 20000 -- psm-uring bench
  scripts/crowd.sh swapped --rounds 5 -- psm-uring --engine threads -t
  scripts/crowd.sh small --busy 64 -- psm-uring bench  beside 64 busy loops in another session
  scripts/crowd.sh thrash -- psm-uring                 among members that swap without end
  scripts/crowd.sh huge -- sh -c 'psm-uring -p $CROWD_MEMBER'";

/// Start a crowd of processes, run a command among it, and end it
///
/// Without a command the crowd stays until Enter, the end of standard input or a signal.
/// CROWD_ROOT and CROWD_MEMBER hold the ids of the crowd's root and of its first member for the
/// command. The exit code is that of the command; 125 means that the crowd failed.
#[derive(Debug, Parser)]
#[command(name = "crowd", bin_name = "scripts/crowd.sh", before_help = EXAMPLES)]
struct Options {
    /// The kind of crowd
    kind: Kind,

    #[command(flatten)]
    sizes: Sizes,

    /// Run the command N times; before each, push the pages of a swapped crowd out again
    #[arg(long, value_name = "N", default_value_t = 1, requires = "command",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rounds: u32,

    /// The command to run among the crowd
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs the command line of this process and returns its exit code.
pub fn main() -> u8 {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    // `cargo bench` adds its own word behind all others.
    if words.last().is_some_and(|word| word == "--bench") {
        words.pop();
    }
    let options = Options::parse_from(words);
    run(&options).unwrap_or_else(|error| {
        say(&error);
        NO_CROWD
    })
}

/// The code of `env(1)`, `nohup(1)` and `timeout(1)` for a failure of their own.
const NO_CROWD: u8 = 125;

fn run(options: &Options) -> Result<u8, String> {
    let spec = options.sizes.of(options.kind)?;
    let mut crowd = Crowd::start(&spec)?;
    let signals = Signals::block().map_err(|error| format!("signals: {error}"))?;
    let ran = match &options.command[..] {
        [] => wait_for_end(&crowd, &signals),
        command => run_rounds(options.rounds, command, &mut crowd, &signals),
    };
    // If both failed, the crowd is the reason.
    if let Some(report) = crowd.end()? {
        say(&report);
    }
    ran
}

fn wait_for_end(crowd: &Crowd, signals: &Signals) -> Result<u8, String> {
    let (members, root) = (crowd.pids().len(), crowd.root());
    say(&format!("{members} processes are ready, their root is {root}; press Enter to end them"));
    let (stdin, trouble) = (rustix::stdio::stdin(), crowd.trouble());
    let mut fds = [&stdin, &trouble].map(|fd| PollFd::new(fd, PollFlags::IN)).to_vec();
    fds.push(PollFd::new(signals.fd(), PollFlags::IN));
    wait_for_any(&mut fds).map(|()| 0)
}

fn run_rounds(
    rounds: u32,
    command: &[OsString],
    crowd: &mut Crowd,
    signals: &Signals,
) -> Result<u8, String> {
    let mut code = 0;
    for round in 0..rounds {
        // A new crowd has its pages pushed out.
        if round > 0 {
            crowd.push_out()?;
        }
        let (status, is_asked_to_end) = run_one(command, crowd, signals)?;
        code = exit_code(status);
        if code != 0 || is_asked_to_end {
            break;
        }
    }
    Ok(code)
}

/// Runs the command once. The second value says whether a signal asked for the end meanwhile.
fn run_one(
    words: &[OsString],
    crowd: &Crowd,
    signals: &Signals,
) -> Result<(ExitStatus, bool), String> {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env("CROWD_ROOT", crowd.root().to_string());
    command.env("CROWD_MEMBER", crowd.pids()[0].to_string());
    signals.unblock_in(&mut command);
    let failed = |error| format!("{}: {error}", words[0].display());
    let mut child = command.spawn().map_err(failed)?;
    let mut is_asked_to_end = false;
    loop {
        let trouble = crowd.trouble();
        let mut fds =
            [PollFd::new(signals.fd(), PollFlags::IN), PollFd::new(&trouble, PollFlags::IN)];
        wait_for_any(&mut fds)?;
        if !fds[1].revents().is_empty() {
            let _ = child.kill();
            let _ = child.wait();
            return Err("the crowd broke down".to_owned());
        }
        while let Some(signal) = signals.next() {
            if signal != libc::SIGCHLD {
                // The second signal kills.
                end(&child, if is_asked_to_end { Signal::KILL } else { Signal::TERM });
                is_asked_to_end = true;
            }
        }
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Ok((status, is_asked_to_end));
        }
    }
}

fn end(child: &Child, signal: Signal) {
    // The command may have ended a moment ago.
    let _ = rustix::process::kill_process(rustix::process::Pid::from_child(child), signal);
}

fn wait_for_any(fds: &mut [PollFd<'_>]) -> Result<(), String> {
    rustix::event::poll(fds, None).map(drop).map_err(|error| format!("poll: {error}"))
}

/// The exit code that a shell reports.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(NO_CROWD)
}

fn say(line: &str) {
    // A closed standard error cannot be reported.
    let _ = writeln!(std::io::stderr(), "crowd: {line}");
}
