//! Users by name, from the database of this host.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::support::{Ran, TempDir, output, run, skip};

/// User names come from this host, which has root.
#[test]
fn users_of_this_host_have_names() {
    let own = rustix::process::geteuid().as_raw();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = passwd.lines().find(|line| line.split(':').nth(2) == Some(&own.to_string()));
    let Some(name) = line.and_then(|line| line.split(':').next()) else {
        return skip("users_of_this_host_have_names", "this user has no name");
    };
    let pid = std::process::id().to_string();
    for user in [name, &own.to_string()] {
        let ran = run(["-p", &pid, "-u", user, "--by", "user", "--no-header"]);
        let row = ran.stdout().lines().next().map(str::to_owned).unwrap_or_default();
        assert!(row.ends_with(&format!("  {name} (1)")), "{user}: {row} {}", ran.stderr());
    }
    let other = if own == 1 { "2" } else { "1" };
    let ran = run(["-p", &pid, "-u", other]);
    let told = format!("no row: --user '{other}' has none of 1 process; see them with --by user\n");
    assert!(ran.stderr().ends_with(&told), "{}", ran.stderr());
}

/// A host with a user named `4` beside the id 4, which has no name, and two users of one name.
#[test]
fn users_with_equal_labels_have_rows_of_their_own() {
    const IDS: [u32; 4] = [4, 1004, 500, 501];
    let test = "users_with_equal_labels_have_rows_of_their_own";
    if !rustix::process::geteuid().is_root() {
        return skip(test, "needs root");
    }
    let directory = TempDir::new("passwd");
    let passwd = directory.path().join("passwd");
    let users = "root:x:0:0::/:/bin/sh\n4:x:1004:4::/:\napp:x:500:1::/:\napp:x:501:1::/:\n";
    std::fs::write(&passwd, users).expect("a file of ours");
    // In a namespace of its own the file hides that of the host.
    let reported = |arguments: &[&str]| -> Ran {
        let script = "mount --bind \"$0\" /etc/passwd || exit 77; exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", script]).arg(&passwd);
        command.arg(env!("CARGO_BIN_EXE_psm-uring")).args(arguments).stdin(Stdio::null());
        output(command)
    };
    let start = |id: &u32| {
        let started = Command::new("sleep").arg("60").uid(*id).gid(*id).spawn();
        started.expect("root may start processes of any user")
    };
    let mut sleepers = IDS.each_ref().map(start);
    let pids = sleepers.each_ref().map(|sleeper| sleeper.id().to_string());
    let list = pids.join(",");
    let given = ["-p", &list, "--by", "user", "-o", "csv", "--columns", "count,name"];
    let all = reported(&given);
    let selected = ["4", "1004", "app", "501"].map(|user| {
        (user, reported(&[&given[..2], &["-u", user, "-o", "csv", "--columns", "pid"]].concat()))
    });
    for sleeper in &mut sleepers {
        let _ = sleeper.kill();
        let _ = sleeper.wait();
    }
    if all.code == Some(77) {
        return skip(test, "needs a mount namespace");
    }
    let text = all.stdout();
    let rows = text.lines().filter(|line| line.starts_with("program,"));
    let mut names: Vec<&str> = rows.filter_map(|line| line.split(',').nth(2)).collect();
    names.sort_unstable();
    assert_eq!(names, ["4", "4 (uid 1004)", "app (uid 500)", "app (uid 501)"], "{text}");
    for ((user, ran), id) in selected.iter().zip([4, 1004, 500, 501]) {
        let place = IDS.iter().position(|one| *one == id).expect("an id of ours");
        let text = ran.stdout();
        let rows = text.lines().filter(|line| line.starts_with("program,"));
        let found: Vec<&str> = rows.filter_map(|line| line.split(',').nth(1)).collect();
        assert_eq!(found, [pids[place].as_str()], "{user}: {text}");
        let note = "psm-uring: --user 'app' is id 500; /etc/passwd also has this name for id 501: \
                    select that by its number\n";
        let expected = if *user == "app" { note } else { "" };
        assert_eq!(ran.stderr(), expected, "{user}");
    }
}
