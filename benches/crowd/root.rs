//! The process that starts the members, watches them, and ends them.
//!
//! ```text
//! starter ── out ──► root      root ── members PID... | out | report TEXT | error TEXT ──► starter
//!                                      busy PID...
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
use rustix::process::{
    Signal, WaitId, WaitIdOptions, WaitOptions, getpid, kill_process, set_child_subreaper, waitid,
    waitpid,
};

use super::huge::Huge;
use super::member::{self, Layout};
use super::spec::{Kind, Spec};
use super::swap::{self, SwappedPages};
use super::sys::Range;
use super::thrash::Thrash;
use super::{LIMIT, busy, cgroup, verify};

/// The time between two checks that all members live; it costs no measurable CPU time.
const WATCH: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
/// After this number of members the root checks that the starter is still there.
const BATCH: usize = 64;
/// The number of times that a swapped crowd is verified.
const VERIFICATIONS_MAX: u32 = 5;

/// A crowd, from within.
struct Root {
    spec: Spec,
    starter: UnixStream,
    members: Vec<Pid>,
    /// The busy loops; at first only their leader.
    busy: Vec<Pid>,
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
    let (busy, swap_file, swapped, huge) = (Vec::new(), None, None, None);
    let mut root = Root { spec, starter, members, busy, swap_file, swapped, huge };
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
            Kind::Thrash => self.build_thrash()?,
            Kind::Huge => self.build_huge()?,
        }
        if self.spec.busy > 0 {
            self.start_busy()?;
        }
        self.answer(&list("members", &self.members))?;
        self.answer(&list("busy", &self.busy))
    }

    fn build_forked(&mut self) -> Result<(), String> {
        let (reader, writer) = new_pipe()?;
        let layout = Layout::map(&self.spec)?;
        self.start(|_, _| member::fork(&layout, &writer))?;
        wait_for_all(self.members.len(), &reader)?;
        verify::forked(&self.spec, &self.members, &layout)
    }

    fn build_swapped(&mut self) -> Result<(), String> {
        let (reader, writer) = new_pipe()?;
        let mut swapped = SwappedPages::new(swap::swap_cached());
        self.add_swap()?;
        self.start(|spec, n| member::exec(spec, n, &writer))?;
        let starts = wait_for_all(self.members.len(), &reader)?;
        let len = self.spec.private * rustix::param::page_size();
        for pid in &self.members {
            let start = starts.get(pid).copied().unwrap_or(0);
            swapped.add(*pid, Range { start, len })?;
        }
        swapped.push_out()?;
        // Another process, such as `ps`, may read a title first, and the kernel then has it.
        for attempt in 1.. {
            match verify::swapped(&self.spec, &self.members) {
                Err(why) if attempt == VERIFICATIONS_MAX => return Err(why),
                Err(_) => swapped.push_out()?,
                Ok(()) => break,
            }
        }
        // The check brought some of their pages back.
        swapped.push_out()?;
        self.swapped = Some(swapped);
        Ok(())
    }

    fn add_swap(&mut self) -> Result<(), String> {
        let path = swap::path(&self.spec.swap_dir, std::process::id());
        swap::on(&path, swap::bytes(&self.spec))?;
        self.swap_file = Some(path);
        Ok(())
    }

    fn build_thrash(&mut self) -> Result<(), String> {
        let (reader, writer) = new_pipe()?;
        let thrash = Thrash::new(&self.spec)?;
        self.add_swap()?;
        self.start(|spec, _| thrash.fork(spec, &writer))?;
        wait_for_all(self.members.len(), &reader)?;
        verify::thrash(&self.spec, &self.members)?;
        // Only now, so that no member delays the others before they have their memory.
        thrash.begin(self.members.len())
    }

    fn start_busy(&mut self) -> Result<(), String> {
        let (reader, writer) = new_pipe()?;
        // The loops are children of their leader; after its end, the root reaps them.
        set_child_subreaper(Some(getpid())).map_err(|error| format!("subreaper: {error}"))?;
        self.busy.push(busy::fork(&self.spec, &writer)?);
        self.busy = wait_for_all(self.spec.busy, &reader)?.into_keys().collect();
        Ok(())
    }

    fn build_huge(&mut self) -> Result<(), String> {
        let (reader, writer) = new_pipe()?;
        let (pid, huge) = Huge::fork(&self.spec, &writer)?;
        self.members.push(pid);
        let huge = self.huge.insert(huge);
        wait_for_all(self.members.len(), &reader)?;
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

    /// Ends and reaps all members and loops, then removes the swap file and the control group.
    fn end(&self) -> Result<(), String> {
        // None of them is reaped yet, so no other process has one of these ids.
        for pid in self.members.iter().chain(&self.busy).filter_map(|pid| raw(*pid)) {
            let _ = kill_process(pid, Signal::KILL);
        }
        // Until there is no child.
        while waitpid(None, WaitOptions::empty()).is_ok() {}
        let is_off = self.swap_file.as_deref().map_or(Ok(()), swap::off);
        let is_thrash = self.spec.kind == Kind::Thrash;
        is_off.and(if is_thrash { cgroup::remove(std::process::id()) } else { Ok(()) })
    }
}

/// A line with process ids.
fn list(word: &str, pids: &[Pid]) -> String {
    let pids: Vec<String> = pids.iter().map(Pid::to_string).collect();
    format!("{word} {}", pids.join(" "))
}

/// Waits until this number of processes is ready; returns the address of the private memory of
/// each.
fn wait_for_all(all: usize, ready: &PipeReader) -> Result<HashMap<Pid, usize>, String> {
    let began = Instant::now();
    let mut starts = HashMap::with_capacity(all);
    while starts.len() < all {
        if is_readable(ready, &WATCH) {
            let (pid, start) =
                member::read_report(ready).map_err(|error| format!("pipe: {error}"))?;
            starts.insert(pid, start);
        } else {
            all_live()?;
        }
        if began.elapsed() > LIMIT {
            let ready = starts.len();
            return Err(format!("only {ready} of {all} processes are ready after {LIMIT:?}"));
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
