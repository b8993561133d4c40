//! A container for each case: the test starts itself once more as the first process of a new PID
//! namespace, with mounts and a `/proc` of its own. When it ends, the kernel ends everything in it.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use super::support::{skip, until};

/// Names the case that this process is to run inside.
const INSIDE: &str = "PSM_TEST_INSIDE";
/// How much longer the container is waited for than it lives.
const GRACE: Duration = Duration::from_secs(5);

/// Cases whose times count run alone, all others beside each other.
static MACHINE: RwLock<()> = RwLock::new(());

/// Runs a case, which must be a closure written in the test itself, in a container.
pub fn contained<Case: FnOnce()>(limit: Duration, case: Case) {
    let name = name_of::<Case>();
    if is_inside(&name) {
        return live(limit, case);
    }
    let _shared = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
    start(&name, limit);
}

/// The same for a case whose times count.
pub fn contained_alone<Case: FnOnce()>(limit: Duration, case: Case) {
    let name = name_of::<Case>();
    if is_inside(&name) {
        return live(limit, case);
    }
    let _alone = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
    start(&name, limit);
}

/// The path of the test that a closure is written in: `stuck::one_of_each`.
fn name_of<Case>() -> String {
    let name = std::any::type_name::<Case>().trim_end_matches("::{{closure}}");
    name.split_once("::").map_or(name, |(_, path)| path).to_owned()
}

fn is_inside(name: &str) -> bool {
    std::env::var(INSIDE).is_ok_and(|inside| inside == name)
}

/// Inside. The end of this process is the end of all others here, whatever state they are in.
fn live(limit: Duration, case: impl FnOnce()) {
    std::thread::spawn(move || {
        std::thread::sleep(limit);
        super::support::say(&format!("not done after {limit:?}"));
        super::cgroup::thaw();
        std::process::exit(124);
    });
    case();
}

/// Outside.
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
    // A name that is no test's would pass as well: none of none failed.
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
