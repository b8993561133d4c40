//! A cgroup (version 1) of a case, gone when it is dropped.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use psm_uring::units::Pid;

use super::support::until;

const LIMIT: Duration = Duration::from_secs(10);

pub struct Cgroup(PathBuf);

impl Cgroup {
    /// Makes one below a controller; the error says why there is none.
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

    /// Takes a process in.
    pub fn take(&self, pid: Pid) {
        self.set("cgroup.procs", &pid.to_string());
    }

    /// A command that runs another inside.
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

/// Lets frozen processes of this container go on, so that they can die.
pub fn thaw() {
    let state = Path::new("/sys/fs/cgroup/freezer").join(name()).join("freezer.state");
    let _ = std::fs::write(state, "THAWED");
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Its processes are dying.
        until(LIMIT, || std::fs::remove_dir(&self.0).ok());
    }
}
