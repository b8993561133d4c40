//! Runs of the program, timed and parsed: duration, time from the last output to the exit, and
//! reported counts.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use psm_uring::units::Pid;

use super::support::{Ran, until};
use super::user::program;

/// A run that takes longer counts as hung.
const LIMIT: Duration = Duration::from_secs(30);

/// A finished run.
pub struct Timed {
    pub ran: Ran,
    pub status: ExitStatus,
    /// From its start to its end.
    pub took: Duration,
    /// From the last byte on standard output to its end.
    pub lingered: Duration,
}

/// A run in progress.
pub struct Running {
    command: Command,
    child: Child,
    began: Instant,
    stdout: JoinHandle<(Vec<u8>, Instant)>,
    stderr: JoinHandle<(Vec<u8>, Instant)>,
}

/// Runs the program with these arguments, split at blanks, and `--stats`.
pub fn run(arguments: &str) -> Timed {
    let mut command = program();
    command.args(arguments.split(' ')).arg("--stats");
    start(command).wait()
}

pub fn start(mut command: Command) -> Running {
    let began = Instant::now();
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stdout = collect(child.stdout.take().expect("piped"));
    let stderr = collect(child.stderr.take().expect("piped"));
    Running { command, child, began, stdout, stderr }
}

/// The complete output, and the time of its last byte.
fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<(Vec<u8>, Instant)> {
    std::thread::spawn(move || {
        let (mut bytes, mut room) = (Vec::new(), vec![0; 1 << 16]);
        let mut last = Instant::now();
        while let Ok(len @ 1..) = from.read(&mut room) {
            last = Instant::now();
            bytes.extend_from_slice(&room[..len]);
        }
        (bytes, last)
    })
}

impl Running {
    pub fn child(&self) -> &Child {
        &self.child
    }

    pub fn wait(mut self) -> Timed {
        let ended = until(LIMIT, || {
            let status = self.child.try_wait().expect("a child of ours")?;
            Some((status, Instant::now()))
        });
        let Some((status, end)) = ended else {
            let _ = self.child.kill();
            panic!("{:?} did not end within {LIMIT:?}", self.command);
        };
        let (stdout, last) = self.stdout.join().expect("no panic");
        let (stderr, _) = self.stderr.join().expect("no panic");
        let ran = Ran { stdout, stderr, code: status.code() };
        let lingered = end.saturating_duration_since(last);
        Timed { ran, status, took: end - self.began, lingered }
    }
}

impl Timed {
    /// The counts of process outcomes that `--stats` reports; one zombie counts as `zombies`.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let text = self.ran.stderr();
        let line = text.lines().find_map(|line| line.strip_prefix("processes"));
        let line = line.unwrap_or_else(|| panic!("no counts in\n{text}"));
        let parts = line.trim().split([',', ':']).filter_map(|part| part.trim().split_once(' '));
        let plural = |fate: &str| match fate {
            "zombie" | "kernel thread" => format!("{fate}s"),
            _ => fate.to_owned(),
        };
        parts.filter_map(|(count, fate)| Some((plural(fate), count.parse().ok()?))).collect()
    }

    pub fn count(&self, fate: &str) -> usize {
        let counts = self.counts();
        *counts.get(fate).unwrap_or_else(|| panic!("nothing is said of {fate}: {counts:?}"))
    }

    /// The duration of the survey that `--stats` reports.
    pub fn survey(&self) -> Duration {
        let text = self.ran.stderr();
        let time = text.lines().find(|line| line.starts_with("time")).expect("a line of times");
        let time = time.split_once("survey ").expect("a survey").1;
        let milliseconds: f64 = time.split(' ').next().and_then(|n| n.parse().ok()).expect("ms");
        Duration::from_secs_f64(milliseconds / 1e3)
    }

    /// The rows without figures, by process; the table requires `--by pid`.
    pub fn unknown(&self) -> BTreeMap<Pid, String> {
        let text = self.ran.stdout();
        let rows = text.lines().filter_map(|line| {
            let name = line.trim_start().strip_prefix('-')?.trim_start().strip_prefix('-')?;
            let name = name.trim_start().strip_prefix('-')?.trim_start();
            let (_, rest) = name.split_once(" (")?;
            let (pid, _) = rest.split_once(')')?;
            Some((Pid::parse(pid.as_bytes())?, name.to_owned()))
        });
        rows.collect()
    }
}
