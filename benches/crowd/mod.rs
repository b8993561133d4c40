//! Crowds of processes that stand still to be measured: the one generator for benches, tests, CI.
//!
//! ```text
//! starter (a bench, a test, the command `crowd`)
//!    └── root: this executable once more, with one thread      socket: orders down, answers up
//!           └── members, all in the root's process group
//! ```
//!
//! Who ends whom: the root ends when the socket closes, however the starter died; members end with
//! the root (`PR_SET_PDEATHSIG`). A swap file is switched off by the root, or by the starter
//! when the root was killed; only killing both at once leaves it.
//!
//! - `spec`   what a crowd consists of
//! - `limits` what this host cannot hold
//! - `root`   the process that makes the members, watches them and ends them
//! - `member` what a member has and does
//! - `huge`   the one big process that records how long its own `mmap` takes
//! - `swap`   the swap file, and pages pushed out to it
//! - `verify` whether members have what was promised
//! - `sys`    system calls; the only `unsafe`
//! - `cli`    the command `crowd`
//!
//! Knows nothing of psm-uring but a process id and the size of a page.

// Each bench or test uses its part.
#![allow(dead_code, unreachable_pub)]

pub mod cli;
mod huge;
mod limits;
mod member;
mod root;
mod spec;
mod swap;
mod sys;
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

pub use self::spec::{Kind, Sizes, Spec};

/// Tells this executable to become a root; holds the crowd's [`Spec`].
const ROOT: &str = "PSM_CROWD_ROOT";
/// Tells this executable to become a member; holds its orders.
const MEMBER: &str = "PSM_CROWD_MEMBER";
/// What a test binary must be told so that it runs nothing but its test `child`. Others, which
/// become one in the first line of `main`, do not look.
const CHILD: [&str; 4] = ["child", "--exact", "--nocapture", "--quiet"];

/// The longest time a crowd may take to stand, or to be gone.
const LIMIT: Duration = Duration::from_secs(180);
/// How often somebody looks whether it is so far.
const TICK: Duration = Duration::from_millis(2);

/// Becomes the root or a member when the environment says so, and never returns then. To be called
/// in the first line of `main`, or in a test named `child`.
pub fn become_one() {
    if let Ok(orders) = std::env::var(MEMBER) {
        member::stand_by_orders(&orders);
    }
    if let Ok(spec) = std::env::var(ROOT) {
        root::run(&spec);
    }
}

/// A crowd that stands. Dropping it ends it, and waits until all are gone.
pub struct Crowd {
    root: Child,
    answers: BufReader<UnixStream>,
    pids: Vec<Pid>,
    spec: Spec,
}

impl Crowd {
    /// Starts a crowd and waits until it has what was promised.
    ///
    /// # Errors
    /// The host cannot hold it, in which case nothing was started, or something failed, in which
    /// case all is as it was before.
    pub fn start(spec: &Spec) -> Result<Crowd, String> {
        limits::check(spec)?;
        let orders = serde_json::to_string(spec).map_err(|error| error.to_string())?;
        let (ours, roots) = UnixStream::pair().map_err(|error| format!("socket pair: {error}"))?;
        ours.set_read_timeout(Some(LIMIT)).map_err(|error| format!("socket: {error}"))?;
        let program = std::env::current_exe().map_err(|error| format!("own path: {error}"))?;
        // A group of its own: what a terminal sends is not meant for it.
        let root = Command::new(program)
            .args(CHILD)
            .env(ROOT, orders)
            .stdin(OwnedFd::from(roots))
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("the crowd's root: {error}"))?;
        let answers = BufReader::new(ours);
        let mut crowd = Crowd { root, answers, pids: Vec::new(), spec: spec.clone() };
        let members = crowd.expect("members")?;
        let pids = members.split_ascii_whitespace().filter_map(|pid| Pid::parse(pid.as_bytes()));
        crowd.pids = pids.collect();
        if crowd.pids.len() != spec.processes {
            return Err(format!("{} members of {}", crowd.pids.len(), spec.processes));
        }
        Ok(crowd)
    }

    /// The members, without the root.
    pub fn pids(&self) -> &[Pid] {
        &self.pids
    }

    /// The process whose end is the end of all members.
    pub fn root(&self) -> Pid {
        Pid(self.root.id())
    }

    /// Pushes the pages of a swapped crowd out again; does nothing in others.
    ///
    /// # Errors
    /// The crowd broke down, or the kernel keeps the pages.
    pub fn push_out(&mut self) -> Result<(), String> {
        if self.spec.kind != Kind::Swapped {
            return Ok(());
        }
        self.answers.get_ref().write_all(b"out\n").map_err(|error| format!("the root: {error}"))?;
        self.expect("out").map(drop)
    }

    /// Becomes readable when the crowd broke down.
    pub fn trouble(&self) -> BorrowedFd<'_> {
        self.answers.get_ref().as_fd()
    }

    /// Ends the crowd; the answer is what a huge member recorded.
    ///
    /// # Errors
    /// It broke down before, or could not undo what it did.
    pub fn end(mut self) -> Result<Option<String>, String> {
        // A root that is gone already has no other end of the socket.
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

    /// Whether the root ended by itself. It is not waited for: until then its id, which is the id
    /// of the group, cannot be given to anybody else.
    fn root_has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let id = WaitId::Pid(root_pid(&self.root));
        rustix::process::waitid(id, options).is_ok_and(|status| status.is_some())
    }

    /// Whether no member is left: those that nobody waited for yet do not count.
    fn members_are_gone(&self) -> bool {
        let is_alive = |pid: &Pid| {
            let stat = read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let (_, fields) = stat.rsplit_once(") ").unwrap_or_default();
            let mut fields = fields.split(' ');
            // State, parent, process group.
            let (state, group) = (fields.next(), fields.nth(1));
            !matches!(state, None | Some("Z" | "X")) && group == Some(&self.root().to_string())
        };
        !self.pids.iter().any(is_alive)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.answers.get_ref().shutdown(Shutdown::Both);
        let group = root_pid(&self.root);
        if !until(|| self.root_has_ended()) {
            let _ = self.root.kill();
        }
        // Where the root could not do it, its members are dying; this is for those that do not.
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
        until(|| self.members_are_gone());
        let _ = self.root.wait();
        if self.spec.kind == Kind::Swapped {
            // The root did it, unless it was killed; then there is nobody to tell a failure to.
            let _ = swap::off(&swap::path(&self.spec.swap_dir, self.root.id()));
        }
    }
}

fn root_pid(root: &Child) -> rustix::process::Pid {
    rustix::process::Pid::from_child(root)
}

/// BeforeAfter again and again until it is so; `false` when it never is.
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
