//! The choices of the OOM killer in real control groups.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::child::Target;
use crate::support::groups::MemoryGroups;
use crate::support::{RUN_LIMIT, Rng, TempDir, run, skip, thinning, until};

const MIB: u64 = 1 << 20;
const GROUPS: usize = 20;
/// The rounds in which memory grows by 1 MiB. The kernel reclaims the cache of files before.
const ROUNDS: usize = 48;
/// A process frees more than the growth of one round.
const KIB_MIN: usize = 12 * 1024;

fn set_adj(target: &Target, adj: i64) -> std::io::Result<()> {
    std::fs::write(format!("/proc/{}/oom_score_adj", target.pid()), adj.to_string())
}

/// A process that grows on request, and is chosen last.
struct Grower {
    target: Target,
    path: PathBuf,
    rounds: usize,
}

impl Grower {
    fn start(group: &std::path::Path, path: PathBuf) -> Grower {
        let target = Target::start_in(group, &format!("grow {}", path.display()));
        Grower { target, path, rounds: 0 }
    }

    fn grow(&mut self) {
        let file =
            |end: &str| PathBuf::from(format!("{}.{}{end}", self.path.display(), self.rounds));
        std::fs::write(file(""), b"").expect("a directory of ours");
        // It may be killed after all others.
        let mut is_over = || file(".done").exists() || self.target.ended().is_some();
        let grown = until(RUN_LIMIT, || is_over().then_some(()));
        assert!(grown.is_some(), "the process did not grow");
        self.rounds += 1;
    }
}

/// The log of the kernel from now on, if it may be read.
struct KernelLog(Option<File>);

impl KernelLog {
    fn open() -> KernelLog {
        let log = File::options().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg");
        KernelLog(log.ok().filter(|mut log| log.seek(SeekFrom::End(0)).is_ok()))
    }

    /// The first process that the killer chose in a group.
    fn first_victim(&mut self, group: &str) -> Option<u64> {
        let (log, mut record) = (self.0.as_mut()?, [0; 8192]);
        // One read is one record; an error, that there is no other.
        let records = std::iter::from_fn(|| {
            let len = log.read(&mut record).ok()?;
            Some(String::from_utf8_lossy(&record[..len]).into_owned())
        });
        let of_group = format!("{group},");
        let mut choices =
            records.filter(|one| one.contains("oom-kill:") && one.contains(&of_group));
        let choice = choices.next()?;
        choice.split(',').find_map(|part| part.strip_prefix("pid=")?.parse().ok())
    }
}

/// The estimate for one group, and the rows of its processes.
fn estimate(name: &str, targets: &[Target]) -> (Value, Vec<Value>) {
    let pids: Vec<String> = targets.iter().map(|target| target.pid().to_string()).collect();
    let ran = run(["--json", "--by", "pid", "--columns", "oom", "-p", &pids.join(",")]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr());
    assert!(ran.stderr().contains("next choice, an estimate: of the host: "), "{}", ran.stderr());
    let document: Value = serde_json::from_str(&ran.stdout()).expect("JSON");
    let choices = document["oom"].as_array().expect("choices");
    let is_it = |one: &&Value| one["cgroup"].as_str().is_some_and(|path| path.ends_with(name));
    let choice = choices.iter().find(is_it).unwrap_or_else(|| panic!("no {name}: {choices:?}"));
    (choice.clone(), document["programs"].as_array().expect("rows").clone())
}

/// In twenty groups of random processes, the kernel kills the marked one, or one of a tie.
#[test]
fn the_marked_process_is_the_one_that_the_kernel_kills() {
    const TEST: &str = "the_marked_process_is_the_one_that_the_kernel_kills";
    let groups = match MemoryGroups::make("oom") {
        Ok(groups) => groups,
        Err(why) => return skip(TEST, &why),
    };
    let groups_max = GROUPS / thinning();
    let mut log = KernelLog::open();
    let (mut rng, files, mut ties) = (Rng::seeded(), TempDir::new("oom-choice"), 0);
    for number in 0..groups_max {
        let name = format!("g{number}");
        let dir = groups.add(&name);
        let start = |_| Target::start_in(&dir, &format!("touch {}", KIB_MIN + rng.below(24 << 10)));
        let mut targets: Vec<Target> = (0..2 + number % 4).map(start).collect();
        let mut grower = Grower::start(&dir, files.path().join(&name));
        targets.iter().for_each(|target| target.wait_for_state(target.pid(), 'T'));
        // Without CAP_SYS_RESOURCE, an adjustment can only be raised; the process that grows is
        // then the smallest.
        let may_lower = set_adj(&grower.target, -1000).is_ok();
        for target in &targets {
            // Most adjustments outweigh the sizes, some do not.
            let adj = [0, 0, rng.below(100), rng.below(1000)][rng.below(4)];
            let adj = i64::try_from(adj).expect("small");
            let sign = if may_lower && rng.below(2) == 0 { -1 } else { 1 };
            set_adj(target, adj * sign).expect("a child of ours");
        }
        grower.grow();
        groups.limit(&name, groups.charged(&name) + MIB);
        let (choice, rows) = estimate(&format!("/{name}"), &targets);
        let pid = |value: &Value| value["pid"].as_u64().expect("an id");
        let list = choice["victims"].as_array().expect("a list");
        let victims: Vec<u64> = list.iter().map(pid).collect();
        assert!(!victims.contains(&u64::from(grower.target.pid().0)), "{choice}");
        assert_eq!(choice["is_tie"], victims.len() > 1, "{choice}");
        ties += usize::from(victims.len() > 1);
        for row in &rows {
            let score = std::fs::read_to_string(format!("/proc/{}/oom_score", row["pid"]));
            assert_eq!(row["oom_score"].to_string(), score.expect("a child").trim(), "{row}");
            let is_marked = !row["oom_next_in_cgroup"].is_null();
            assert_eq!(is_marked, victims.contains(&pid(row)), "{row} {choice}");
        }
        let ended = |targets: &mut [Target]| -> Vec<u64> {
            targets.iter_mut().filter_map(Target::ended).map(|pid| pid.0.into()).collect()
        };
        let killed = (0..ROUNDS).any(|_| {
            grower.grow();
            !ended(&mut targets).is_empty()
        });
        assert!(killed, "{name}: the kernel killed none: {choice}");
        // The kernel may choose once more before the first victim has ended. In another PID
        // namespace the ids of its log are other ones: then the marked process is one of them.
        let is_ours = |pid: &u64| targets.iter().any(|target| u64::from(target.pid().0) == *pid);
        let is_right = match log.first_victim(&format!("/{name}")).filter(is_ours) {
            Some(pid) => victims.contains(&pid),
            None => until(RUN_LIMIT, || {
                ended(&mut targets).iter().any(|pid| victims.contains(pid)).then_some(())
            })
            .is_some(),
        };
        assert!(is_right, "{:?} ended: {choice} {rows:?}", ended(&mut targets));
    }
    assert!(2 * ties <= groups_max, "{ties} ties of {groups_max} say nothing");
}
