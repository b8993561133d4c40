//! Control groups to units and containers, by the rules of docs/GROUPING.md and on this host.

use std::path::{Path, PathBuf};
use std::process::Command;

use psm_uring::program::{container, unit};

use crate::support::rules::check;
use crate::support::run;

#[test]
fn units() {
    check("### Units\n", 20, "(no unit)", |path| Some(unit(path)?.short));
}

#[test]
fn containers() {
    let short = |path: &[u8]| Some(container(path)?.short);
    check("### Containers\n", 30, "(no container)", short);
}

/// A control group that is removed on drop.
struct Cgroup(PathBuf);

impl Drop for Cgroup {
    fn drop(&mut self) {
        crate::support::until(crate::support::RUN_LIMIT, || std::fs::remove_dir(&self.0).ok());
    }
}

impl Cgroup {
    /// Creates a control group in the first of these hierarchies that is mounted, and moves a
    /// process there; the error gives the reason.
    fn holding(tops: &[&str], name: &str, pid: u32) -> std::io::Result<Cgroup> {
        let tops = tops.iter().map(|top| Path::new("/sys/fs/cgroup").join(top));
        let top = tops.into_iter().find(|top| top.join("cgroup.procs").exists());
        let path = top.ok_or(std::io::ErrorKind::NotFound)?.join(name);
        std::fs::create_dir(&path)?;
        let group = Cgroup(path);
        std::fs::write(group.0.join("cgroup.procs"), pid.to_string())?;
        Ok(group)
    }
}

/// A real process in real control groups: one that the manager names in docker's format, and with
/// version 1 another one that is charged.
#[test]
fn a_container_of_this_host() {
    const TEST: &str = "a_container_of_this_host";
    let id = format!("{:08x}{}", std::process::id(), "ab".repeat(28));
    let (scope, job) = (format!("docker-{id}.scope"), format!("psm-uring-job-{id}"));
    let mut child = Command::new("sleep").arg("60").spawn().expect("sleep");
    let managed = Cgroup::holding(&["systemd", "."], &scope, child.id());
    let charged = Cgroup::holding(&["memory"], &job, child.id());
    let found = ["unit", "container", "cgroup"].map(|by| {
        let row = run(["-p", &child.id().to_string(), "--no-header", "--by", by]).stdout();
        row.lines().next().and_then(|row| row.rsplit("  ").next()).unwrap_or_default().to_owned()
    });
    child.kill().expect("a child of ours");
    child.wait().expect("a child of ours");
    let has_memory = Path::new("/sys/fs/cgroup/memory/cgroup.procs").exists();
    if let Some(error) = managed.err().or(charged.err().filter(|_| has_memory)) {
        return crate::support::skip(TEST, &format!("no control group: {error}"));
    }
    let container = format!("docker:{}", &id[..12]);
    let [unit, found_container, path] = found;
    assert_eq!(unit, format!("{scope} (1)"));
    assert_eq!(found_container, format!("{container} (1)"));
    let last = if has_memory { job } else { scope };
    assert!(path.ends_with(&format!("/{last} (1)")), "{path}");
}
