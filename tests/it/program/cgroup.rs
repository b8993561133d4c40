//! Control groups to units and containers, by the rules of docs/GROUPING.md and on this host.

use std::path::{Path, PathBuf};
use std::process::Command;

use psm_uring::program::{container, unit};

use crate::support::rules::check;
use crate::support::run;

#[test]
fn units() {
    check("### Units\n", 20, "(no unit)", unit);
}

#[test]
fn containers() {
    check("### Containers\n", 30, "(no container)", container);
}

/// A control group that is removed on drop.
struct Cgroup(PathBuf);

impl Drop for Cgroup {
    fn drop(&mut self) {
        crate::support::until(crate::support::RUN_LIMIT, || std::fs::remove_dir(&self.0).ok());
    }
}

impl Cgroup {
    /// Creates a control group in the process hierarchy; the error gives the reason.
    fn make(name: &str) -> std::io::Result<Cgroup> {
        let tops = ["systemd", "memory", "."].map(|top| Path::new("/sys/fs/cgroup").join(top));
        let top = tops.iter().find(|top| top.join("cgroup.procs").exists());
        let path = top.ok_or(std::io::ErrorKind::NotFound)?.join(name);
        std::fs::create_dir(&path)?;
        Ok(Cgroup(path))
    }
}

/// A real process in a real control group, with a name in docker's format.
#[test]
fn a_container_of_this_host() {
    const TEST: &str = "a_container_of_this_host";
    let id = format!("{:08x}{}", std::process::id(), "ab".repeat(28));
    let scope = format!("docker-{id}.scope");
    let cgroup = match Cgroup::make(&scope) {
        Ok(cgroup) => cgroup,
        Err(error) => return crate::support::skip(TEST, &format!("no control group: {error}")),
    };
    let mut child = Command::new("sleep").arg("60").spawn().expect("sleep");
    let moved = std::fs::write(cgroup.0.join("cgroup.procs"), child.id().to_string());
    let found = ["unit", "container", "cgroup"].map(|by| {
        let row = run(["-p", &child.id().to_string(), "--no-header", "--by", by]).stdout();
        row.lines().next().and_then(|row| row.rsplit("  ").next()).unwrap_or_default().to_owned()
    });
    child.kill().expect("a child of ours");
    child.wait().expect("a child of ours");
    if let Err(error) = moved {
        return crate::support::skip(TEST, &format!("it takes no process: {error}"));
    }
    let container = format!("docker:{}", &id[..12]);
    let [unit, found_container, path] = found;
    assert_eq!(unit, format!("{scope} (1)"));
    assert_eq!(found_container, format!("{container} (1)"));
    assert!(path.ends_with(&format!("/{scope} (1)")), "{path}");
}
