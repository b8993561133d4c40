//! A control group (version 1) of a case. Dropping it removes the group.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use psm_uring::units::Pid;

use super::support::until;

const LIMIT: Duration = Duration::from_secs(10);

pub struct Cgroup(PathBuf);

impl Cgroup {
    /// Creates a group below a controller; the error reports why that fails.
    pub fn make(controller: &str) -> Result<Cgroup, String> {
        let top = Path::new("/sys/fs/cgroup").join(controller);
        if !top.join("cgroup.procs").exists() {
            return Err(format!("no cgroup controller `{controller}` of version 1 is mounted"));
        }
        let path = top.join(name());
        std::fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Cgroup(path))
    }

    pub fn set(&self, file: &str, value: &str) {
        let path = self.0.join(file);
        std::fs::write(&path, value).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    }

    pub fn get(&self, file: &str) -> String {
        std::fs::read_to_string(self.0.join(file)).unwrap_or_default()
    }

    /// Moves a process into the group.
    pub fn take(&self, pid: Pid) {
        self.set("cgroup.procs", &pid.to_string());
    }

    /// Returns a command that runs another command inside the group.
    pub fn enter(&self, program: &std::ffi::OsStr) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ > \"$0\"/cgroup.procs && exec \"$@\""]).arg(&self.0);
        command.arg(program);
        command
    }
}

/// A name that no other container uses.
fn name() -> String {
    let id = std::fs::read_link("/proc/self/ns/pid").expect("a namespace");
    let digits = id.to_string_lossy().chars().filter(char::is_ascii_digit).collect::<String>();
    format!("psm-uring-{digits}")
}

/// Thaws frozen processes of this container, so that they can exit.
pub fn thaw() {
    let state = Path::new("/sys/fs/cgroup/freezer").join(name()).join("freezer.state");
    let _ = std::fs::write(state, "THAWED");
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The processes of the group are still exiting.
        until(LIMIT, || std::fs::remove_dir(&self.0).ok());
    }
}
