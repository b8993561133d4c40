//! A user without privileges: the program at a path that every user can execute, and processes of
//! that user. With `PSM_TEST_CAPABILITY`, cases about processes run the program as that user, with
//! this capability: `PSM_TEST_CAPABILITY=cap_sys_ptrace cargo test --test hostile -- stuck still`.

use std::ffi::OsStr;
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::time::Duration;

use psm_uring::units::Pid;

use super::support::{self, until};

/// A user id that is unused on an ordinary host: limits count all processes of a user.
const ID: &str = "61234";
/// A directory that belongs to the container.
const BIN: &str = "/srv";
const LIMIT: Duration = Duration::from_secs(10);
/// The environment variable with the capability of the program.
const CAPABILITY: &str = "PSM_TEST_CAPABILITY";

/// The program with the rights to read all processes: run by root, or by a user with a capability.
pub fn program() -> Command {
    let Ok(capability) = std::env::var(CAPABILITY) else { return support::program() };
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        install();
        let mut setcap = Command::new("setcap");
        setcap.args([&format!("{capability}+p"), &User::program()]);
        assert!(setcap.status().is_ok_and(|status| status.success()), "{setcap:?}");
    });
    let mut command = User::command(User::program());
    command.stdin(Stdio::null()).env("COLUMNS", "100");
    command
}

/// The command with the program and its arguments behind its own.
pub fn with_program(mut command: Command) -> Command {
    let program = program();
    command.arg(program.get_program()).args(program.get_args());
    command
}

/// The number of processes of a run: with a capability, the program has a keeper.
pub fn processes_of_program() -> usize {
    if std::env::var(CAPABILITY).is_ok() { 2 } else { 1 }
}

/// Copies the program to a file system of the container.
fn install() {
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "mode=755", "tmpfs", BIN]);
    assert!(mount.status().is_ok_and(|status| status.success()), "{mount:?}");
    let program = support::program();
    std::fs::copy(program.get_program(), User::program()).expect("a copy of the program");
}

pub struct User {
    theirs: Vec<Child>,
}

impl User {
    /// Creates a user with this many processes.
    pub fn with(processes: usize) -> User {
        install();
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
