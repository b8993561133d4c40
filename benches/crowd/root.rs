//! The process that makes the members, watches them, and ends them.
//!
//! ```text
//! starter ── out ──► root      root ── members PID... | out | report TEXT | error TEXT ──► starter
//! ```
//!
//! The socket is its standard input. Its end is the end of the crowd.

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
use super::swap::{self, Outcasts};
use super::sys::Range;
use super::{LIMIT, verify};

/// How often it looks whether all members live. A CPU does not notice.
const WATCH: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
/// After so many members it looks whether anybody still wants them.
const BATCH: usize = 64;

/// A crowd, from within.
struct Root {
    spec: Spec,
    starter: UnixStream,
    members: Vec<Pid>,
    swap_file: Option<PathBuf>,
    outcasts: Option<Outcasts>,
    huge: Option<Huge>,
}

/// Runs a crowd from its first member to its last. Never unwinds: whatever fails is told to the
/// starter after all is as it was.
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
    // A starter that is gone wants no answer.
    let _ = starter.write_all(line.as_bytes());
    this_process::exit(0)
}

fn live(spec: Spec, starter: &UnixStream) -> Result<String, String> {
    let starter = starter.try_clone().map_err(|error| format!("socket: {error}"))?;
    let members = Vec::with_capacity(spec.processes);
    let mut root = Root { spec, starter, members, swap_file: None, outcasts: None, huge: None };
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
        self.make(|_, _| member::fork(&layout, &writer))?;
        wait_for_all(&self.members, &reader)?;
        verify::forked(&self.spec, &self.members, &layout)
    }

    fn build_swapped(&mut self) -> Result<(), String> {
        let (reader, writer) = new_pipe()?;
        let path = swap::path(&self.spec.swap_dir, std::process::id());
        let mut outcasts = Outcasts::new(swap::swap_cached());
        swap::on(&path, swap::bytes(&self.spec))?;
        self.swap_file = Some(path);
        self.make(|spec, n| member::exec(spec, n, &writer))?;
        let starts = wait_for_all(&self.members, &reader)?;
        let len = self.spec.private * rustix::param::page_size();
        for pid in &self.members {
            let start = starts.get(pid).copied().unwrap_or(0);
            outcasts.add(*pid, Range { start, len })?;
        }
        outcasts.push_out()?;
        verify::swapped(&self.spec, &self.members)?;
        // Looking at some of them brought their pages back.
        outcasts.push_out()?;
        self.outcasts = Some(outcasts);
        Ok(())
    }

    fn build_huge(&mut self) -> Result<(), String> {
        let (reader, writer) = new_pipe()?;
        let (pid, huge) = Huge::fork(&self.spec, &writer)?;
        self.members.push(pid);
        let huge = self.huge.insert(huge);
        wait_for_all(&self.members, &reader)?;
        verify::huge(&self.spec, pid)?;
        // Only now: looking at it stalls it.
        huge.begin()
    }

    /// Makes all members, as long as anybody wants them.
    fn make(
        &mut self,
        mut one: impl FnMut(&Spec, usize) -> Result<Pid, String>,
    ) -> Result<(), String> {
        for n in 0..self.spec.processes {
            if n % BATCH == 0 && is_readable(&self.starter, &AT_ONCE) {
                return Err("nobody wants the crowd any more".to_owned());
            }
            let member = one(&self.spec, n)?;
            self.members.push(member);
        }
        Ok(())
    }

    /// Does what the starter wants until it wants no more.
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
            // There is one order.
            if let Some(outcasts) = &mut self.outcasts {
                outcasts.push_out()?;
            }
            self.answer("out")?;
        }
    }

    fn answer(&mut self, line: &str) -> Result<(), String> {
        let line = format!("{line}\n");
        self.starter.write_all(line.as_bytes()).map_err(|error| format!("the starter: {error}"))
    }

    /// Ends and reaps all members, then undoes the rest.
    fn end(&self) -> Result<(), String> {
        let members = || self.members.iter().filter_map(|pid| raw(*pid));
        // None of them is reaped yet, so all these ids are still theirs.
        for pid in members() {
            let _ = kill_process(pid, Signal::KILL);
        }
        for pid in members() {
            let _ = waitpid(Some(pid), WaitOptions::empty());
        }
        self.swap_file.as_deref().map_or(Ok(()), swap::off)
    }
}

/// Waits until all members stand; the answer is where the private memory of each is.
fn wait_for_all(members: &[Pid], ready: &PipeReader) -> Result<HashMap<Pid, usize>, String> {
    let began = Instant::now();
    let mut starts = HashMap::with_capacity(members.len());
    while starts.len() < members.len() {
        if is_readable(ready, &WATCH) {
            let (pid, start) =
                member::read_record(ready).map_err(|error| format!("pipe: {error}"))?;
            starts.insert(pid, start);
        } else {
            all_live()?;
        }
        if began.elapsed() > LIMIT {
            let (stand, all) = (starts.len(), members.len());
            return Err(format!("only {stand} of {all} members stand after {LIMIT:?}"));
        }
    }
    Ok(starts)
}

fn all_live() -> Result<(), String> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    match waitid(WaitId::All, options) {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err("a member died, so the crowd was ended".to_owned()),
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
