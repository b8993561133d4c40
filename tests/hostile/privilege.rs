//! The program with a capability, run and attacked by an ordinary user. The checks are those of
//! `tests/privilege/acceptance.sh`.

use std::process::Command;
use std::time::Duration;

use super::container::contained;
use super::hostage::Hold;
use super::stuck::{Scene, check, crowd, engines};
use super::support::{program, say, skip};
use super::timed::start;
use super::user::User;

const LIMIT: Duration = Duration::from_secs(240);
/// The exit code of the script if root may not install a capability.
const NOT_INSTALLED: i32 = 2;

#[test]
fn cap_sys_ptrace_measures_all_and_opens_nothing_else() {
    contained(LIMIT, || {
        accept("cap_sys_ptrace_measures_all_and_opens_nothing_else", "cap_sys_ptrace");
    });
}

#[test]
fn cap_perfmon_measures_all_and_opens_nothing_else() {
    const NAME: &str = "cap_perfmon_measures_all_and_opens_nothing_else";
    contained(LIMIT, || {
        if !psm_uring::sys::privileges::is_perfmon_enough() {
            return skip(NAME, "this kernel does not accept CAP_PERFMON for memory figures");
        }
        accept(NAME, "cap_perfmon");
    });
}

/// The keeper's threads wait for stuck targets, and others take their place.
#[test]
fn stuck_targets_time_out_through_the_keeper() {
    contained(Duration::from_secs(60), || {
        const CROWD: usize = 500;
        const STUCK: usize = 64;
        let Some(scene) = Scene::of(STUCK, &[Hold::Mmap, Hold::Exec]) else { return };
        let _user = User::with(0);
        let mut setcap = Command::new("setcap");
        setcap.args(["cap_sys_ptrace+p", &User::program()]);
        if !setcap.status().is_ok_and(|status| status.success()) {
            let why = "root may not install a capability here, or there is no setcap";
            return skip("stuck_targets_time_out_through_the_keeper", why);
        }
        let _crowd = crowd(CROWD);
        // In addition to the crowd: the test, the crowd's root, the parents of the stuck, the
        // program and its keeper.
        let healthy = CROWD + 2 + 2 + 2;
        for engine in engines() {
            let mut command = User::command(User::program());
            command.args(["--engine", engine, "--by", "pid", "--stuck-after", "500ms", "--stats"]);
            let timed = start(command).wait();
            say(&format!("{STUCK} stuck, {engine} with a keeper: {:.1?}", timed.took));
            check(&timed, &scene, healthy);
        }
    });
}

fn accept(name: &str, capability: &str) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/privilege/acceptance.sh");
    let mut command = Command::new("bash");
    command.arg(script).arg(program().get_program()).arg(capability);
    let ran = command.output().expect("bash is there");
    if ran.status.code() == Some(NOT_INSTALLED) {
        return skip(name, "root may not install a capability here, or there is no C compiler");
    }
    let (stdout, stderr) =
        (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    say(&stdout);
    assert!(ran.status.success() && stdout.ends_with("\n0 failed\n"), "{stdout}\n{stderr}");
}
