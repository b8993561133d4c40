//! A container for each case: the test starts its binary again as the first process of a new PID
//! namespace, with separate mounts and a separate `/proc`. When that process ends, the kernel ends
//! every process in the container.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use super::support::{skip, until};

/// Names the case that this process runs inside the container.
const INSIDE: &str = "PSM_TEST_INSIDE";
/// The wait for the container exceeds the lifetime of the container by this time.
const GRACE: Duration = Duration::from_secs(5);

/// Cases that measure times run alone; all other cases run in parallel.
static MACHINE: RwLock<()> = RwLock::new(());

/// Runs a case in a container. The case must be a closure written in the test itself.
pub fn contained<Case: FnOnce()>(limit: Duration, case: Case) {
    let name = name_of::<Case>();
    if is_inside(&name) {
        return live(limit, case);
    }
    let _shared = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
    start(&name, limit);
}

/// Like the function above, for a case that measures times.
pub fn contained_alone<Case: FnOnce()>(limit: Duration, case: Case) {
    let name = name_of::<Case>();
    if is_inside(&name) {
        return live(limit, case);
    }
    let _alone = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
    start(&name, limit);
}

/// The path of the test that contains a closure: `stuck::one_of_each`.
fn name_of<Case>() -> String {
    let name = std::any::type_name::<Case>().trim_end_matches("::{{closure}}");
    name.split_once("::").map_or(name, |(_, path)| path).to_owned()
}

fn is_inside(name: &str) -> bool {
    std::env::var(INSIDE).is_ok_and(|inside| inside == name)
}

/// Runs inside the container. The end of this process ends all others here, in any state.
fn live(limit: Duration, case: impl FnOnce()) {
    std::thread::spawn(move || {
        std::thread::sleep(limit);
        super::support::say(&format!("not done after {limit:?}"));
        super::cgroup::thaw();
        std::process::exit(124);
    });
    case();
}

/// Runs outside the container.
fn start(name: &str, limit: Duration) {
    if let Some(why) = hindrance() {
        return skip(name, why);
    }
    let mut inside = unshare()
        .arg(std::env::current_exe().expect("a path of our own"))
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, name)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("unshare was there a moment ago");
    let ended = until(limit + GRACE, || inside.try_wait().expect("a child of ours"));
    if ended.is_none() {
        let _ = inside.kill();
    }
    let status = inside.wait().expect("a child of ours");
    let mut text = String::new();
    let mut stdout = inside.stdout.take().expect("piped");
    let _ = stdout.read_to_string(&mut text);
    // A name that matches no test also passes: zero of zero tests fail.
    assert!(status.success() && text.contains("1 passed"), "{name}: {status}\n{text}");
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
    command
}

fn hindrance() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root may make a container and hold up its processes");
    }
    let tried = unshare().arg("true").stderr(Stdio::null()).status();
    let works = tried.is_ok_and(|status| status.success());
    (!works).then_some("`unshare` is missing, or refused a PID and a mount namespace")
}
