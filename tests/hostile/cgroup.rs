//! A cgroup (version 1) of a case, gone when it is dropped.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

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
        // Process ids of the host, where the container's are all the same.
        let id = std::fs::read_link("/proc/self/ns/pid").map_err(|error| error.to_string())?;
        let id: String = id.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
        let path = top.join(format!("psm-uring-{id}"));
        std::fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Cgroup(path))
    }

    pub fn set(&self, file: &str, value: &str) {
        let path = self.0.join(file);
        std::fs::write(&path, value).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    }

    /// A command that runs another inside.
    pub fn enter(&self, program: &std::ffi::OsStr) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ > \"$0\"/cgroup.procs && exec \"$@\""]).arg(&self.0);
        command.arg(program);
        command
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Its processes are dying.
        until(LIMIT, || std::fs::remove_dir(&self.0).ok());
    }
}
