//! A user without privileges: the program at a path that every user can execute, and processes of
//! that user.

use std::ffi::OsStr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use psm_uring::units::Pid;

use super::support::{program, until};

/// A user id that is unused on an ordinary host: limits count all processes of a user.
const ID: &str = "61234";
/// A directory that belongs to the container.
const BIN: &str = "/mnt";
const LIMIT: Duration = Duration::from_secs(10);

pub struct User {
    theirs: Vec<Child>,
}

impl User {
    /// Creates a user with this many processes.
    pub fn with(processes: usize) -> User {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "mode=755", "tmpfs", BIN]);
        assert!(mount.status().is_ok_and(|status| status.success()), "{mount:?}");
        std::fs::copy(program().get_program(), Self::program()).expect("a copy of the program");
        let sleep = || {
            let mut command = Self::command("sleep");
            command.arg("1000").stdin(Stdio::null()).stdout(Stdio::null());
            command.spawn().expect("setpriv and sleep are there")
        };
        let user = User { theirs: (0..processes).map(|_| sleep()).collect() };
        for pid in user.pids() {
            let comm = || std::fs::read_to_string(format!("/proc/{pid}/comm")).ok();
            let is_asleep = || comm().filter(|comm| comm == "sleep\n");
            until(LIMIT, is_asleep).expect("setpriv becomes sleep");
        }
        user
    }

    pub fn program() -> String {
        format!("{BIN}/psm-uring")
    }

    /// Returns a command that this user runs.
    pub fn command(program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("setpriv");
        let (user, group) = (format!("--reuid={ID}"), format!("--regid={ID}"));
        command.args([&user, &group, "--clear-groups", "--"]).arg(program);
        command.current_dir("/");
        command
    }

    /// Returns the program as a command, run by this user with a limit.
    pub fn limited(limit: &str) -> Command {
        let mut command = Self::command("prlimit");
        command.arg(limit).arg(Self::program());
        command
    }

    pub fn pids(&self) -> impl Iterator<Item = Pid> {
        self.theirs.iter().map(|child| Pid(child.id()))
    }
}

impl Drop for User {
    fn drop(&mut self) {
        for child in &mut self.theirs {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
