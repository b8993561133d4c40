//! The content of packages, as far as a check without a build can cover it;
//! `scripts/package-check.sh` builds, installs and runs them.

use crate::support::sources::read;
use crate::support::{TempDir, run};

/// The service calls the program with valid options.
#[test]
fn the_service_calls_an_existing_command() {
    let unit = read("packaging/systemd/psm-uring.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/psm-uring "));
    let dir = TempDir::new("service");
    let file = dir.path().join("psm-uring.prom");
    let line = line.expect("a line that starts it");
    let line = line.replace("/var/lib/psm-uring/psm-uring.prom", &file.display().to_string());
    let ran = run(line.split(' ').chain(["--proc-root", "ordinary"]));
    assert_eq!((ran.stdout().as_str(), ran.stderr().as_str(), ran.code), ("", "", Some(0)));
    let metrics = std::fs::read_to_string(file).expect("the file that the collector reads");
    assert!(metrics.contains("psm_uring_ram_bytes{program=\"java\"} "), "{metrics}");
}

#[test]
fn the_changelog_knows_the_version() {
    let changelog = read("CHANGELOG.md");
    let version = env!("CARGO_PKG_VERSION");
    let is_told = changelog.contains(&format!("## [{version}]"));
    let is_next = changelog.contains("## [Unreleased]") && changelog.contains(version);
    assert!(is_told || is_next, "CHANGELOG.md: no word about {version}");
}
