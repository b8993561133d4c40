//! Crowds of processes to measure, and busy loops beside them: the one generator for benches, tests
//! and CI.
//!
//! ```text
//! starter (a bench, a test, the command `crowd`)
//!    └── root: this executable again, with one thread          socket: orders down, answers up
//!           ├── members, all in the root's process group
//!           └── busy loops, in that group or in a session of their own
//! ```
//!
//! The root ends when the socket closes, however the starter ended. Members and loops end with the
//! root (`PR_SET_PDEATHSIG`). The root removes swap file and control group, or the starter does if
//! the root was killed. They stay only if both are killed at once.
//!
//! - `spec`   the kinds of crowds and their sizes
//! - `limits` crowds that are too big for this host
//! - `root`   the process that starts the members, watches them and ends them
//! - `member` the memory of a member
//! - `huge`   the one big process, which records the latency of its own `mmap`
//! - `swap`   the swap file, and the pages that are pushed out to it
//! - `thrash` the members that touch their pages at random in too little memory
//! - `cgroup` the control group that limits their memory
//! - `busy`   the loops that use CPU time beside the members
//! - `monitors` threads of the kernel that disturb measurements
//! - `verify` the check that members have the promised memory
//! - `sys`    system calls; the only `unsafe`
//! - `cli`    the command `crowd`
//!
//! Of psm-uring it uses only the process id and a few system calls.

// Each bench or test uses its part.
#![allow(dead_code, unreachable_pub, unused_imports)]

mod busy;
pub mod cgroup;
pub mod cli;
mod huge;
mod limits;
mod member;
pub mod monitors;
mod root;
mod spec;
mod swap;
mod sys;
mod thrash;
mod verify;

use std::fs::read_to_string;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use psm_uring::units::Pid;
use rustix::process::{Signal, WaitId, WaitIdOptions};

pub use self::spec::{Kind, Session, Sizes, Spec};

/// If it is set, this executable becomes a root. Holds the crowd's [`Spec`].
const ROOT: &str = "PSM_CROWD_ROOT";
/// If it is set, this executable becomes a member. Holds its orders.
const MEMBER: &str = "PSM_CROWD_MEMBER";
/// The words with which a test binary runs only its test `child`. Benches ignore them: the first
/// line of their `main` calls [`become_one`].
const CHILD: [&str; 4] = ["child", "--exact", "--nocapture", "--quiet"];

/// The longest time that a crowd may take to be ready, or to be gone.
const LIMIT: Duration = Duration::from_secs(180);
/// The time between two looks at a condition.
const TICK: Duration = Duration::from_millis(2);

/// Becomes the root or a member if the environment says so, and then never returns. Call it in the
/// first line of `main`, or in a test named `child`.
pub fn become_one() {
    if let Ok(orders) = std::env::var(MEMBER) {
        member::run_orders(&orders);
    }
    if let Ok(spec) = std::env::var(ROOT) {
        root::run(&spec);
    }
}

/// A crowd that is ready. Dropping it ends it and waits until all processes are gone.
pub struct Crowd {
    root: Child,
    answers: BufReader<UnixStream>,
    pids: Vec<Pid>,
    busy: Vec<Pid>,
    spec: Spec,
}

impl Crowd {
    /// Starts a crowd and waits until its members have their memory.
    ///
    /// # Errors
    /// The crowd is too big for the host, and nothing was started; or a step failed, and everything
    /// was undone.
    pub fn start(spec: &Spec) -> Result<Crowd, String> {
        limits::check(spec)?;
        let orders = serde_json::to_string(spec).map_err(|error| error.to_string())?;
        let (ours, roots) = UnixStream::pair().map_err(|error| format!("socket pair: {error}"))?;
        ours.set_read_timeout(Some(LIMIT)).map_err(|error| format!("socket: {error}"))?;
        let program = std::env::current_exe().map_err(|error| format!("own path: {error}"))?;
        let mut root = Command::new(program);
        root.args(CHILD).env(ROOT, orders).stdin(OwnedFd::from(roots)).stdout(Stdio::null());
        // A process group of its own gets no signals of a terminal. Services are in sessions of
        // their own too, and the scheduler shares CPUs among sessions.
        if spec.kind == Kind::Thrash {
            sys::start_session(&mut root);
        } else {
            root.process_group(0);
        }
        let root = root.spawn().map_err(|error| format!("the crowd's root: {error}"))?;
        let answers = BufReader::new(ours);
        let (pids, busy, spec) = (Vec::new(), Vec::new(), spec.clone());
        let mut crowd = Crowd { root, answers, pids, busy, spec };
        crowd.pids = crowd.expect_pids("members", crowd.spec.processes)?;
        crowd.busy = crowd.expect_pids("busy", crowd.spec.busy)?;
        Ok(crowd)
    }

    /// The members, without the root.
    pub fn pids(&self) -> &[Pid] {
        &self.pids
    }

    /// The busy loops beside the members.
    pub fn busy(&self) -> &[Pid] {
        &self.busy
    }

    /// The process that ends all members when it ends.
    pub fn root(&self) -> Pid {
        Pid(self.root.id())
    }

    /// Pushes the pages of a swapped crowd out again. Other crowds do nothing.
    ///
    /// # Errors
    /// The crowd failed, or the kernel keeps the pages.
    pub fn push_out(&mut self) -> Result<(), String> {
        if self.spec.kind != Kind::Swapped {
            return Ok(());
        }
        self.answers.get_ref().write_all(b"out\n").map_err(|error| format!("the root: {error}"))?;
        self.expect("out").map(drop)
    }

    /// Becomes readable when the crowd fails.
    pub fn trouble(&self) -> BorrowedFd<'_> {
        self.answers.get_ref().as_fd()
    }

    /// Ends the crowd and returns the record of a huge member.
    ///
    /// # Errors
    /// It failed before, or could not undo its changes.
    pub fn end(mut self) -> Result<Option<String>, String> {
        // If the root is gone, so is the other end of the socket.
        let _ = self.answers.get_ref().shutdown(Shutdown::Write);
        let report = self.expect("report")?;
        Ok((!report.is_empty()).then_some(report))
    }

    /// The next answer, which must be of this kind.
    fn expect(&mut self, wanted: &str) -> Result<String, String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(0) => return Err("the crowd's root was killed, and all members with it".to_owned()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Err(format!("no answer from the crowd's root within {LIMIT:?}"));
            }
            Err(error) => return Err(format!("the crowd's root: {error}")),
            Ok(_) => {}
        }
        let (word, rest) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
        if word == wanted { Ok(rest.to_owned()) } else { Err(rest.to_owned()) }
    }

    /// The next answer, which must have this number of process ids.
    fn expect_pids(&mut self, wanted: &str, count: usize) -> Result<Vec<Pid>, String> {
        let words = self.expect(wanted)?;
        let pids = words.split_ascii_whitespace().filter_map(|pid| Pid::parse(pid.as_bytes()));
        let pids: Vec<Pid> = pids.collect();
        if pids.len() == count {
            return Ok(pids);
        }
        Err(format!("{} {wanted} of {count}", pids.len()))
    }

    /// Whether the root has ended. It is not reaped yet: until then no other process can get its
    /// id, which is the id of the group.
    fn root_has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let id = WaitId::Pid(root_pid(&self.root));
        rustix::process::waitid(id, options).is_ok_and(|status| status.is_some())
    }

    /// Whether no member and no loop is left. Zombies do not count.
    fn members_are_gone(&self) -> bool {
        let is_alive = |pid: &Pid| {
            let stat = read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let (_, fields) = stat.rsplit_once(") ").unwrap_or_default();
            let mut fields = fields.split(' ');
            // State, parent, process group.
            let (state, group) = (fields.next(), fields.nth(1));
            let group = group.and_then(|group| Pid::parse(group.as_bytes()));
            // The group of loops in a session of their own is called after one of them.
            let is_ours = group.is_some_and(|id| id == self.root() || self.busy.contains(&id));
            !matches!(state, None | Some("Z" | "X")) && is_ours
        };
        !self.pids.iter().chain(&self.busy).any(is_alive)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.answers.get_ref().shutdown(Shutdown::Both);
        let group = root_pid(&self.root);
        if !until(|| self.root_has_ended()) {
            let _ = self.root.kill();
        }
        // If the root did not end its members, most of them are dying; this kills the others.
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
        until(|| self.members_are_gone());
        let _ = self.root.wait();
        // For a killed root. A drop cannot report a failure.
        if self.spec.kind.has_swap_file() {
            let _ = swap::off(&swap::path(&self.spec.swap_dir, self.root.id()));
        }
        if self.spec.kind == Kind::Thrash {
            let _ = cgroup::remove(self.root.id());
        }
    }
}

fn root_pid(root: &Child) -> rustix::process::Pid {
    rustix::process::Pid::from_child(root)
}

/// Polls a condition; `false` when it does not become true in time.
pub fn until(mut is_so: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    loop {
        if is_so() {
            return true;
        }
        if began.elapsed() > LIMIT {
            return false;
        }
        std::thread::sleep(TICK);
    }
}
