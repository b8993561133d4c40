//! A `/proc` that hides processes, is missing or is another file system; missing capabilities. The
//! program measures the visible processes, counts the rest, and always starts.

use std::process::Command;
use std::time::Duration;

use super::container::contained;
use super::stuck::engines;
use super::support::{Ran, program, skip, until};
use super::sys::unmount;
use super::timed::{Timed, start};
use super::user::User;

const LIMIT: Duration = Duration::from_secs(60);
/// Processes of the user in addition to the program.
const THEIRS: usize = 5;

/// Mounts a file system over `/proc`; false when this kernel does not support it.
fn mount(kind: &str, options: &str) -> bool {
    let mut command = Command::new("mount");
    command.args(["-t", kind, "-o", options, kind, "/proc"]);
    command.status().is_ok_and(|status| status.success())
}

/// Runs a command with options of the program appended; checks that it prints all measurements.
fn report(mut command: Command, engine: &str) -> Timed {
    command.args(["--engine", engine, "--stats"]);
    let timed = start(command).wait();
    let ran = &timed.ran;
    assert_eq!(ran.code, Some(0), "{engine}: {}", ran.stderr());
    assert!(ran.stdout().contains("TOTAL USED BY PROCESSES"), "{engine}: {}", ran.stdout());
    assert_eq!(timed.count("failed") + timed.count("timed out"), 0, "{engine}: {}", ran.stderr());
    timed
}

/// The ids of other users are listed, but reads of their files fail.
#[test]
fn hidepid_1_is_denied() {
    contained(LIMIT, || {
        let _user = User::with(THEIRS);
        if !mount("proc", "hidepid=1") {
            return skip("hidepid_1_is_denied", "this kernel does not know hidepid=1");
        }
        for engine in engines() {
            let timed = report(User::command(User::program()), engine);
            assert_eq!(timed.count("measured"), THEIRS + 1, "{engine}");
            // The test process.
            assert_eq!(timed.count("denied"), 1, "{engine}: {}", timed.ran.stderr());
            assert!(timed.ran.stderr().contains("with hidepid="), "{}", timed.ran.stderr());
            let timed = report(program(), engine);
            assert_eq!(timed.count("measured"), THEIRS + 2, "{engine}: root sees all");
        }
    });
}

/// The processes of other users are invisible.
#[test]
fn hidepid_2_is_another_world() {
    contained(LIMIT, || {
        let _user = User::with(THEIRS);
        for word in ["hidepid=2", "hidepid=invisible", "hidepid=ptraceable", "hidepid=4"] {
            if !mount("proc", word) {
                skip("hidepid_2_is_another_world", &format!("this kernel does not know {word}"));
                continue;
            }
            for engine in engines() {
                let timed = report(User::command(User::program()), engine);
                let what = format!("{word}, {engine}: {}", timed.ran.stderr());
                assert_eq!(timed.count("listed"), THEIRS + 1, "{what}");
                assert_eq!(timed.count("measured"), THEIRS + 1, "{what}");
                let timed = report(program(), engine);
                assert_eq!(timed.count("measured"), THEIRS + 2, "{what}: root sees all");
            }
        }
    });
}

/// Only processes: no meminfo, no self, no mounts.
#[test]
fn processes_are_all_it_needs() {
    contained(LIMIT, || {
        let _user = User::with(THEIRS);
        if !mount("proc", "subset=pid") {
            return skip("processes_are_all_it_needs", "this kernel does not know subset=pid");
        }
        for engine in engines() {
            let timed = report(program(), engine);
            assert_eq!(timed.count("measured"), THEIRS + 2, "{engine}: {}", timed.ran.stderr());
        }
    });
}

fn assert_reported(ran: &Ran, what: &str) {
    let text = ran.stderr();
    assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""), "{what}: {text}");
    assert!(text.starts_with("psm-uring: ") && text.contains("mount"), "{what}: {text}");
    assert_eq!((text.matches('\n').count(), text.ends_with('\n')), (1, true), "{what}: {text}");
}

#[test]
fn missing_proc_is_an_error() {
    contained(LIMIT, || {
        let engines = engines();
        let told = |what: &str| {
            for engine in &engines {
                let mut command = program();
                command.args(["--engine", engine]);
                assert_reported(&start(command).wait().ran, &format!("{what}, {engine}"));
            }
        };
        assert!(mount("tmpfs", "size=1m"), "tmpfs is everywhere");
        told("an empty /proc");
        // Below it are the `/proc` of the container and the one of the host.
        while unmount("/proc").is_ok() {}
        told("no /proc");
    });
}

/// As lxcfs does: a file of another file system is mounted over `meminfo`.
#[test]
fn a_meminfo_of_another_writer_is_noted() {
    contained(LIMIT, || {
        let file = std::env::temp_dir().join(format!("psm-uring-meminfo-{}", std::process::id()));
        let text = "MemTotal: 1953124 kB\nMemFree: 1549084 kB\nAnonPages: 8275716 kB\n";
        std::fs::write(&file, text).expect("a file");
        let mut bind = Command::new("mount");
        bind.arg("--bind").arg(&file).arg("/proc/meminfo");
        let is_bound = bind.status().is_ok_and(|status| status.success());
        std::fs::remove_file(&file).expect("ours");
        assert!(is_bound, "root binds files");
        let mut command = program();
        command.args(["--host", "-n", "0"]);
        let ran = start(command).wait().ran;
        let stderr = ran.stderr();
        assert!(stderr.contains(" writes meminfo here in place of the kernel"), "{stderr}");
        assert!(ran.stdout().contains("\n         -            unattributed"), "{}", ran.stdout());
    });
}

/// Root with the capabilities of a container.
#[test]
fn dropped_capabilities_are_reported() {
    contained(LIMIT, || {
        let _user = User::with(THEIRS);
        let mut tried = Command::new("setpriv");
        let dropped = "--bounding-set=-sys_ptrace,-sys_admin,-perfmon";
        tried.args([dropped, "true"]);
        if !tried.status().is_ok_and(|status| status.success()) {
            return skip("dropped_capabilities_are_reported", "setpriv cannot drop capabilities");
        }
        for engine in engines() {
            let mut command = Command::new("setpriv");
            command.arg(dropped).arg(program().get_program());
            let timed = report(command, engine);
            let stderr = timed.ran.stderr();
            // The test has more capabilities, the others belong to another user.
            assert_eq!(timed.count("measured"), 1, "{engine}: {stderr}");
            assert_eq!(timed.count("denied"), THEIRS + 1, "{engine}: {stderr}");
            assert!(stderr.contains("CAP_SYS_PTRACE"), "{engine}: {stderr}");
            let mut command = Command::new("setpriv");
            command
                .arg(dropped)
                .arg(program().get_program())
                .args(["--strict", "--engine", engine]);
            assert_eq!(start(command).wait().ran.code, Some(3), "{engine}");
        }
    });
}

/// The kernel refuses processes of the same user that are not dumpable, that have another group, or
/// that have more capabilities. None of them belongs to another user.
#[test]
fn refusals_of_own_processes_have_their_reasons() {
    contained(LIMIT, || {
        let user = User::with(1);
        let mut secret = User::command("perl");
        let forbid_dumps = format!("syscall({}, 4, 0, 0, 0, 0)", libc::SYS_prctl);
        secret.args(["-e", &format!("{forbid_dumps}; $0 = 'sleep'; sleep 1000")]);
        let sleep = |options: &[&str]| {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=61234", "--clear-groups"]).args(options).args(["sleep", "1000"]);
            command
        };
        let capable = ["--regid=61234", "--inh-caps=+net_raw", "--ambient-caps=+net_raw"];
        let commands = [secret, sleep(&["--regid=61235"]), sleep(&capable)];
        let mut children = commands.map(|mut command| command.spawn().expect("setpriv is there"));
        let [secret, group, capable] = children.each_ref().map(|child| child.id());
        for child in &children {
            let comm = || std::fs::read_to_string(format!("/proc/{}/comm", child.id())).ok();
            let is_ready = || comm().filter(|comm| comm == "sleep\n");
            until(LIMIT, is_ready).expect("setpriv and perl are there");
        }
        for engine in engines() {
            let timed = report(User::command(User::program()), engine);
            let stderr = timed.ran.stderr();
            assert_eq!(timed.count("measured"), 2, "{engine}: {stderr}");
            let root = format!("1 denied (PID {}): owned by other users;", std::process::id());
            for part in [
                root,
                format!("1 denied (PID {secret}): yours, but not dumpable"),
                format!("1 denied (PID {group}): yours, but its real or saved user or a group"),
                format!("1 denied (PID {capable}): yours, but with capabilities that psm-uring"),
            ] {
                assert!(stderr.contains(&part), "{engine}: no {part}: {stderr}");
            }
        }
        for child in &mut children {
            child.kill().and_then(|()| child.wait()).expect("a child of ours");
        }
        drop(user);
    });
}

/// Root of a user namespace has no privileges outside it.
#[test]
fn user_namespaces_are_no_privilege() {
    contained(LIMIT, || {
        let _user = User::with(THEIRS);
        let inside = |program: &str| {
            let mut command = User::command("unshare");
            command.args(["--user", "--map-root-user", program]);
            command
        };
        if !inside("true").status().is_ok_and(|status| status.success()) {
            let why = "users may not make user namespaces here";
            return skip("user_namespaces_are_no_privilege", why);
        }
        for engine in engines() {
            let timed = report(inside(&User::program()), engine);
            let stderr = timed.ran.stderr();
            assert_eq!(timed.count("measured"), 1, "{engine}: {stderr}");
            assert_eq!(timed.count("denied"), THEIRS + 1, "{engine}: {stderr}");
        }
    });
}
