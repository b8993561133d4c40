//! The process that starts the members, watches them, and ends them.
//!
//! ```text
//! starter ── out ──► root      root ── members PID... | out | report TEXT | error TEXT ──► starter
//! ```
//!
//! The socket is its standard input. The crowd ends when the socket closes.

use std::collections::HashMap;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use psm_uring::sys::this_process;
use psm_uring::units::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, WaitId, WaitIdOptions, WaitOptions, kill_process, waitid, waitpid};

use super::huge::Huge;
use super::member::{self, Layout};
use super::spec::{Kind, Spec};
use super::swap::{self, SwappedPages};
use super::sys::Range;
use super::{LIMIT, verify};

/// The time between two checks that all members live; it costs no measurable CPU time.
const WATCH: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
/// After this number of members the root checks that the starter is still there.
const BATCH: usize = 64;

/// A crowd, from within.
struct Root {
    spec: Spec,
    starter: UnixStream,
    members: Vec<Pid>,
    swap_file: Option<PathBuf>,
    swapped: Option<SwappedPages>,
    huge: Option<Huge>,
}

/// Runs a crowd from start to end. Never unwinds: undoes its changes first, then reports a failure
/// to the starter.
pub(super) fn run(spec: &str) -> ! {
    let Ok(stdin) = rustix::io::dup(rustix::stdio::stdin()) else { this_process::exit(1) };
    let mut starter = UnixStream::from(stdin);
    let answer = match serde_json::from_str(spec) {
        Ok(spec) => live(spec, &starter),
        Err(error) => Err(format!("no crowd: {error}")),
    };
    let line = match answer {
        Ok(report) => format!("report {report}\n"),
        Err(error) => format!("error {error}\n"),
    };
    // A starter that is gone needs no answer.
    let _ = starter.write_all(line.as_bytes());
    this_process::exit(0)
}

fn live(spec: Spec, starter: &UnixStream) -> Result<String, String> {
    let starter = starter.try_clone().map_err(|error| format!("socket: {error}"))?;
    let members = Vec::with_capacity(spec.processes);
    let mut root = Root { spec, starter, members, swap_file: None, swapped: None, huge: None };
    let lived = root.build().and_then(|()| root.serve());
    let report = root.huge.take().map_or_else(String::new, |huge| huge.report());
    let ended = root.end();
    lived.and(ended).map(|()| report)
}

impl Root {
    fn build(&mut self) -> Result<(), String> {
        match self.spec.kind {
            Kind::Small | Kind::Many => self.build_forked()?,
            Kind::Swapped => self.build_swapped()?,
            Kind::Huge => self.build_huge()?,
        }
        let pids: Vec<String> = self.members.iter().map(Pid::to_string).collect();
        self.answer(&format!("members {}", pids.join(" ")))
    }

    fn build_forked(&mut self) -> Result<(), String> {
        let (reader, writer) = new_pipe()?;
        let layout = Layout::map(&self.spec)?;
        self.start(|_, _| member::fork(&layout, &writer))?;
        wait_for_all(&self.members, &reader)?;
        verify::forked(&self.spec, &self.members, &layout)
    }

    fn build_swapped(&mut self) -> Result<(), String> {
        let (reader, writer) = new_pipe()?;
        let path = swap::path(&self.spec.swap_dir, std::process::id());
        let mut swapped = SwappedPages::new(swap::swap_cached());
        swap::on(&path, swap::bytes(&self.spec))?;
        self.swap_file = Some(path);
        self.start(|spec, n| member::exec(spec, n, &writer))?;
        let starts = wait_for_all(&self.members, &reader)?;
        let len = self.spec.private * rustix::param::page_size();
        for pid in &self.members {
            let start = starts.get(pid).copied().unwrap_or(0);
            swapped.add(*pid, Range { start, len })?;
        }
        swapped.push_out()?;
        verify::swapped(&self.spec, &self.members)?;
        // The check brought some of their pages back.
        swapped.push_out()?;
        self.swapped = Some(swapped);
        Ok(())
    }

    fn build_huge(&mut self) -> Result<(), String> {
        let (reader, writer) = new_pipe()?;
        let (pid, huge) = Huge::fork(&self.spec, &writer)?;
        self.members.push(pid);
        let huge = self.huge.insert(huge);
        wait_for_all(&self.members, &reader)?;
        verify::huge(&self.spec, pid)?;
        // Only now, because the check stalls it.
        huge.begin()
    }

    /// Starts all members, unless the starter ends meanwhile.
    fn start(
        &mut self,
        mut one: impl FnMut(&Spec, usize) -> Result<Pid, String>,
    ) -> Result<(), String> {
        for n in 0..self.spec.processes {
            if n % BATCH == 0 && is_readable(&self.starter, &AT_ONCE) {
                return Err("the starter ended".to_owned());
            }
            let member = one(&self.spec, n)?;
            self.members.push(member);
        }
        Ok(())
    }

    /// Follows the orders of the starter until it closes the socket.
    fn serve(&mut self) -> Result<(), String> {
        loop {
            if !is_readable(&self.starter, &WATCH) {
                all_live()?;
                continue;
            }
            let mut order = [0; 4];
            if self.starter.read_exact(&mut order).is_err() {
                return Ok(());
            }
            // `out` is the only order.
            if let Some(swapped) = &mut self.swapped {
                swapped.push_out()?;
            }
            self.answer("out")?;
        }
    }

    fn answer(&mut self, line: &str) -> Result<(), String> {
        let line = format!("{line}\n");
        self.starter.write_all(line.as_bytes()).map_err(|error| format!("the starter: {error}"))
    }

    /// Ends and reaps all members, then removes the swap file.
    fn end(&self) -> Result<(), String> {
        let members = || self.members.iter().filter_map(|pid| raw(*pid));
        // None of them is reaped yet, so no other process has one of these ids.
        for pid in members() {
            let _ = kill_process(pid, Signal::KILL);
        }
        for pid in members() {
            let _ = waitpid(Some(pid), WaitOptions::empty());
        }
        self.swap_file.as_deref().map_or(Ok(()), swap::off)
    }
}

/// Waits until all members are ready; returns the address of the private memory of each.
fn wait_for_all(members: &[Pid], ready: &PipeReader) -> Result<HashMap<Pid, usize>, String> {
    let began = Instant::now();
    let mut starts = HashMap::with_capacity(members.len());
    while starts.len() < members.len() {
        if is_readable(ready, &WATCH) {
            let (pid, start) =
                member::read_report(ready).map_err(|error| format!("pipe: {error}"))?;
            starts.insert(pid, start);
        } else {
            all_live()?;
        }
        if began.elapsed() > LIMIT {
            let (ready, all) = (starts.len(), members.len());
            return Err(format!("only {ready} of {all} members are ready after {LIMIT:?}"));
        }
    }
    Ok(starts)
}

fn all_live() -> Result<(), String> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    match waitid(WaitId::All, options) {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err("a member died, so the crowd ended".to_owned()),
        Err(error) => Err(format!("waitid: {error}")),
    }
}

fn new_pipe() -> Result<(PipeReader, PipeWriter), String> {
    pipe().map_err(|error| format!("pipe: {error}"))
}

/// A process id for the calls that end and wait for it.
fn raw(pid: Pid) -> Option<rustix::process::Pid> {
    rustix::process::Pid::from_raw(i32::try_from(pid.0).ok()?)
}

/// Whether there is something to read, or an end, at the latest after this time.
pub(super) fn is_readable(fd: &impl AsFd, limit: &Timespec) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::IN)];
    poll(&mut fds, Some(limit)).is_ok_and(|ready| ready > 0)
}

/// A time in the form that [`is_readable`] takes.
pub(super) fn timespec(time: Duration) -> Timespec {
    Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: time.subsec_nanos().into() }
}
