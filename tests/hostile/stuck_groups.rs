//! Files of control groups that never answer: the other groups have their figures, the report says
//! which part is missing, and the run ends.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::container::contained;
use super::dead_fs::{DeadFs, MOUNT, UNREADABLE};
use super::support::groups::lay_out;
use super::support::{TempDir, cells, program, skip};
use super::timed::{Timed, start};

const LIMIT: Duration = Duration::from_secs(60);
/// Two rounds of threads that wait, with room for a busy machine.
const SOON: Duration = Duration::from_secs(5);
/// More than there are threads at first.
const STUCK: usize = 6;

fn report(cgroups: &Path, more: &[&str]) -> Timed {
    let mut command = program();
    command.args(["--proc-root", "grouped", "--engine", "sync", "--by", "unit", "--cgroup-root"]);
    command.arg(cgroups).args(["--columns", "charged,left,name", "-p", "701,703,704"]).args(more);
    start(command).wait()
}

#[test]
fn files_of_control_groups_that_never_answer() {
    contained(LIMIT, || {
        let dir = TempDir::new("stuck-groups");
        lay_out("v2.txt", dir.path());
        let fs = match DeadFs::mount() {
            Ok(fs) => fs,
            Err(why) => return skip("files_of_control_groups_that_never_answer", &why),
        };
        let mut stuck = vec![dir.path().join("system.slice/cron.service")];
        for n in 1..STUCK {
            stuck.push(dir.path().join(format!("system.slice/made{n}.service")));
            std::fs::create_dir_all(stuck.last().expect("one")).expect("a group of ours");
        }
        for (n, group) in stuck.iter().enumerate() {
            let file = group.join("memory.current");
            std::fs::write(&file, "").expect("a file of ours");
            let mut mount = Command::new("mount");
            mount.arg("--bind").arg(format!("{MOUNT}/{UNREADABLE}{n}")).arg(&file);
            assert!(mount.status().is_ok_and(|status| status.success()), "{mount:?}");
        }
        fs.deafen();
        let rows = |timed: &Timed| {
            let text = timed.ran.stdout();
            text.lines().skip(1).map(cells).collect::<Vec<_>>()
        };
        let timed = report(dir.path(), &["--stuck-after", "300ms"]);
        assert!(timed.took < SOON, "{:?}", timed.took);
        let found = rows(&timed);
        let healthy =
            ["1.0 1.0 getty@tty1.service (1)", "6.0 6.0 session-3.scope (1) left to memory.high"];
        for row in ["- - cron.service (1)"].into_iter().chain(healthy) {
            assert!(found.iter().any(|one| one == row), "no {row} in {found:?}");
        }
        let note = "6 control groups could not be read, and figures of their rows are unknown: the \
                    first is /system.slice/cron.service: no answer in time";
        assert!(timed.ran.stderr().contains(note), "{}", timed.ran.stderr());
        // The deadline ends the wait.
        let timed = report(dir.path(), &["--deadline", "500ms"]);
        assert!(timed.took < SOON, "{:?}", timed.took);
        let found = rows(&timed);
        assert!(found.iter().any(|row| row == healthy[1]), "{found:?}");
        // Only the first of several reports waits.
        let more = ["--watch", "100ms", "--count", "4", "--stuck-after", "2s", "-o", "ndjson"];
        let timed = report(dir.path(), &more);
        assert_eq!(timed.ran.stdout().lines().count(), 4, "{}", timed.ran.stderr());
        assert!(timed.took < SOON, "{:?}", timed.took);
        for group in &stuck {
            let _ = Command::new("umount").arg(group.join("memory.current")).status();
        }
    });
}
