//! The program as an administrator installs it for a group: with a capability in its file, run by
//! an ordinary user. Root installs it without any tool. `tests/privilege/acceptance.sh` attacks the
//! same installation with the tools of an ordinary host.

use std::fs::{File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::child::{Target, Targets, children_of, status};
use crate::support::{RUN_LIMIT, Ran, TempDir, copy_dir, output, program, run, skip, tree, until};
use psm_uring::sys::privileges::{is_perfmon_enough, privileges};
use psm_uring::units::Pid;
use rustix::fs::{StatVfsMountFlags, XattrFlags, setxattr, statvfs};
use rustix::process::{Signal, kill_process};
use rustix::thread::{CapabilitySet, capability_is_in_bounding_set, no_new_privs};

/// A user id that is unused on an ordinary host.
const USER: u32 = 61234;
/// The attribute of a file with capabilities, in the format of Linux 2.6.25 and newer: version,
/// permitted, inheritable, and the upper halves of both (`vfs_cap_data`, linux/capability.h). The
/// flag that puts capabilities in force at once is not set.
const REVISION: u32 = 0x0200_0000;
const NO_CAPABILITY: &str = "0000000000000000";

/// Two copies of the program that every user can execute, of which one has a capability.
struct Installed {
    dir: TempDir,
    capability: CapabilitySet,
}

impl Installed {
    /// Installs the program with each capability that suffices on this kernel.
    fn each(test: &str) -> Vec<Installed> {
        let mut capabilities = vec![CapabilitySet::SYS_PTRACE];
        capabilities.extend(is_perfmon_enough().then_some(CapabilitySet::PERFMON));
        match capabilities.into_iter().map(Installed::with).collect() {
            Ok(installed) => installed,
            Err(why) => {
                assert!(std::env::var_os("PSM_REQUIRE_CAPABILITY").is_none(), "{why}");
                skip(test, &format!("no capability can be installed here: {why}"));
                Vec::new()
            }
        }
    }

    fn with(capability: CapabilitySet) -> Result<Installed, String> {
        let own = privileges();
        let is_withheld =
            capability_is_in_bounding_set(capability) != Ok(true) || no_new_privs() != Ok(false);
        let dir = TempDir::new("installed");
        let mount = statvfs(dir.path()).expect("a file system").f_flag;
        for (is_so, why) in [
            (own.credentials.uid != 0, "this user is not root"),
            (own.is_in_user_namespace, "this is a user namespace"),
            (is_withheld, "this process and its children cannot gain it"),
            (mount.contains(StatVfsMountFlags::NOSUID), "temporary files are mounted nosuid"),
        ] {
            if is_so {
                return Err(why.to_owned());
            }
        }
        let installed = Installed { dir, capability };
        installed.copy();
        let [low, high] = [capability.bits() & u64::from(u32::MAX), capability.bits() >> 32];
        let words = [u64::from(REVISION), low, 0, high, 0];
        let value: Vec<u8> =
            words.iter().flat_map(|word| word.to_le_bytes()[..4].to_vec()).collect();
        setxattr(installed.program(), "security.capability", &value, XattrFlags::empty())
            .map_err(|errno| format!("the file system refuses it: {errno}"))?;
        Ok(installed)
    }

    fn program(&self) -> PathBuf {
        self.dir.path().join("psm-uring")
    }

    /// The copy without a capability.
    fn plain(&self) -> PathBuf {
        self.dir.path().join("plain")
    }

    /// Copies the program in another process: a child of another test that inherits a descriptor
    /// with which this process writes the file would prevent its execution.
    fn copy(&self) {
        let all = Permissions::from_mode(0o755);
        std::fs::set_permissions(self.dir.path(), all.clone()).expect("a directory of ours");
        for to in [self.program(), self.plain()] {
            let copied = Command::new("cp").arg(program().get_program()).arg(&to).status();
            assert!(copied.is_ok_and(|status| status.success()), "{to:?}");
            std::fs::set_permissions(to, all.clone()).expect("a file of ours");
        }
    }

    /// Runs the program with its capability.
    fn run(&self, arguments: &[&str]) -> Ran {
        output(as_user(&self.program(), arguments))
    }

    /// The engines that this user can choose.
    fn engines(&self, test: &str) -> Vec<&'static str> {
        let mut engines = vec!["auto", "threads", "sync"];
        let tried = output(as_user(&self.plain(), &["--engine", "uring", "--stats"]));
        if tried.code == Some(0) {
            engines.push("uring");
        } else {
            let is_required = std::env::var_os("PSM_REQUIRE_URING").is_some();
            assert!(!is_required, "{}", tried.stderr());
            skip(test, "the part with io_uring: this user has none");
        }
        engines
    }
}

/// A command that the user runs: the kernel drops all capabilities with the user id of root.
fn as_user(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).uid(USER).gid(USER).current_dir("/").stdin(Stdio::null());
    command
}

/// The ids of the processes that a report measured.
fn measured(ran: &Ran) -> Vec<Pid> {
    let report: serde_json::Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    let rows = report["programs"].as_array().expect("rows");
    let ids = rows.iter().filter_map(|row| u32::try_from(row["pid"].as_u64()?).ok());
    ids.map(Pid).collect()
}

/// Byte for byte for stopped processes, without figures that other processes change. Of all others,
/// no process that lives is missing.
#[test]
fn a_user_measures_what_root_measures() {
    const TEST: &str = "a_user_measures_what_root_measures";
    let targets = Targets::start();
    for installed in Installed::each(TEST) {
        let ask = ["--pid", &targets.list, "--by", "pid", "--columns", "rss,pid,name", "--stats"];
        let plain = output(as_user(&installed.plain(), &ask));
        let denied = format!("{} denied", targets.pids.len());
        assert!(plain.stat("processes").contains(&denied), "{}", plain.stderr());
        for engine in installed.engines(TEST) {
            for source in ["rollup", "smaps"] {
                let ask = [&ask[..], &["--engine", engine, "--source", source]].concat();
                let agreed = until(RUN_LIMIT, || {
                    let (expected, found) = (run(&ask), installed.run(&ask));
                    assert_eq!((expected.code, found.code), (Some(0), Some(0)));
                    // With a header and a total.
                    let lines = found.stdout().lines().count();
                    assert_eq!(lines, targets.pids.len() + 2, "{}", found.stderr());
                    (found.stdout == expected.stdout).then_some(found)
                });
                let found = agreed.unwrap_or_else(|| panic!("{engine} differs, {source}"));
                let used = found.stat("engine");
                assert!(engine == "auto" || used == engine, "{used}");
            }
            let ask = ["--by", "pid", "--json", "--engine", engine];
            let mut lost = Vec::new();
            let is_complete = until(RUN_LIMIT, || {
                let (expected, found) = (run(ask), installed.run(&ask));
                let (expected, found) = (measured(&expected), measured(&found));
                let is_there = |pid: &Pid| Path::new(&format!("/proc/{pid}")).exists();
                assert!(expected.len() > targets.pids.len());
                lost = expected;
                lost.retain(|pid| !found.contains(pid) && is_there(pid));
                lost.is_empty().then_some(())
            });
            assert!(is_complete.is_some(), "{engine} does not measure {lost:?}");
        }
    }
}

/// A run with reports twice a second. The drop ends it.
struct Watch {
    child: Child,
    keeper: Pid,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Watch {
    /// Starts the program and waits for its first report.
    fn start(installed: &Installed, engine: &str, arguments: &[&str]) -> Watch {
        let arguments =
            [&["--watch", "500ms", "--by", "pid", "--engine", engine], arguments].concat();
        let mut command = as_user(&installed.program(), &arguments);
        let [stdout, stderr] = ["out", "err"].map(|name| installed.dir.path().join(name));
        let file = |path: &Path| File::create(path).expect("a file of ours");
        command.stdout(file(&stdout)).stderr(file(&stderr));
        let child = command.spawn().expect("the program starts");
        let mut watch = Watch { child, keeper: Pid(0), stdout, stderr };
        let is_reported = until(RUN_LIMIT, || watch.stdout().contains("TOTAL").then_some(()));
        assert!(is_reported.is_some(), "{engine}: no report: {}", watch.stderr());
        let keepers = children_of(watch.parser());
        assert_eq!(keepers.len(), 1, "{engine}: the keeper is the only child");
        watch.keeper = keepers[0];
        watch
    }

    fn parser(&self) -> Pid {
        Pid(self.child.id())
    }

    fn stdout(&self) -> String {
        std::fs::read_to_string(&self.stdout).expect("a file of ours")
    }

    /// The complete reports.
    fn reports(&self) -> Vec<String> {
        let reports = self.stdout();
        let complete = reports.split("\n\n").filter(|report| report.contains("TOTAL"));
        complete.map(str::to_owned).collect()
    }

    fn stderr(&self) -> String {
        std::fs::read_to_string(&self.stderr).expect("a file of ours")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The threads of a process. Any of them may end before the test reads its status.
fn threads_of(pid: Pid) -> Vec<Pid> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a process of ours");
    let name = |entry: std::fs::DirEntry| entry.file_name().into_string().ok();
    entries.filter_map(|entry| Pid::parse(name(entry.ok()?)?.as_bytes())).collect()
}

/// Checks a line of the status of every thread, at least one.
fn assert_every_thread_has(pid: Pid, key: &str, wanted: &str, what: &str) {
    let found: Vec<String> =
        threads_of(pid).into_iter().filter_map(|thread| status(thread, key)).collect();
    let is_so = !found.is_empty() && found.iter().all(|value| value == wanted);
    assert!(is_so, "{what}: {key} {found:?}, not {wanted}");
}

#[test]
fn the_parser_holds_nothing_and_the_keeper_one_capability() {
    const TEST: &str = "the_parser_holds_nothing_and_the_keeper_one_capability";
    for installed in Installed::each(TEST) {
        let own = Pid(std::process::id());
        assert_ne!(status(own, "CapEff:").as_deref(), Some(NO_CAPABILITY), "root holds several");
        let one = format!("{:016x}", installed.capability.bits());
        for engine in installed.engines(TEST) {
            let watch = Watch::start(&installed, engine, &[]);
            for (pid, what, held) in
                [(watch.parser(), "parser", NO_CAPABILITY), (watch.keeper, "keeper", &one)]
            {
                let what = format!("{what}, {engine}");
                for key in ["CapPrm:", "CapEff:"] {
                    assert_every_thread_has(pid, key, held, &what);
                }
                for key in ["CapInh:", "CapAmb:"] {
                    assert_every_thread_has(pid, key, NO_CAPABILITY, &what);
                }
                assert_every_thread_has(pid, "NoNewPrivs:", "1", &what);
                assert_every_thread_has(
                    pid,
                    "Uid:",
                    &[USER.to_string().as_str(); 4].join("\t"),
                    &what,
                );
                // The files of processes that cannot be dumped belong to root.
                let owner = std::fs::metadata(format!("/proc/{pid}/mem")).expect("a process").uid();
                assert_eq!(owner, 0, "{what} can be dumped");
            }
            assert_every_thread_has(watch.keeper, "Seccomp:", "2", engine);
        }
    }
}

/// The link `/proc/PID/root` leads a process with `CAP_SYS_PTRACE` to files that the user may open
/// by other paths; only the link refuses the user.
#[test]
fn paths_open_with_the_rights_of_the_caller() {
    const TEST: &str = "paths_open_with_the_rights_of_the_caller";
    let target = Target::stopped("touch 100");
    for installed in Installed::each(TEST) {
        let open = installed.dir.path().join("open");
        std::fs::create_dir(&open).expect("a directory of ours");
        std::fs::set_permissions(&open, Permissions::from_mode(0o777)).expect("a directory");
        let fixture = open.join("proc");
        copy_dir(&tree("ordinary"), &fixture);
        let text = |path: PathBuf| path.into_os_string().into_string().expect("UTF-8");
        let [fixture, report] = [fixture, open.join("report")].map(text);
        let commands: [(&[&str], &str); 4] = [
            (&["--proc-root"], &fixture),
            (&["--json", "--output-file"], &report),
            (&["--watch", "--count", "1", "--since"], &report),
            (&["diff", &report], &report),
        ];
        for (arguments, path) in commands {
            let link = format!("/proc/{}/root{path}", target.pid());
            let with = |path| [arguments, &[path]].concat();
            let control = installed.run(&with(path));
            assert_eq!(control.code, Some(0), "{arguments:?}: {}", control.stderr());
            let control = run(with(&link));
            assert_eq!(control.code, Some(0), "{arguments:?} as root: {}", control.stderr());
            let before = std::fs::read(&report).ok();
            let refused = installed.run(&with(&link));
            let told = refused.stderr();
            assert_eq!((refused.code, refused.stdout().as_str()), (Some(1), ""), "{told}");
            assert!(told.contains("Permission denied"), "{arguments:?}: {told}");
            assert_eq!(std::fs::read(&report).ok(), before, "{arguments:?} wrote");
        }
    }
}

/// Reports after the end of the keeper lack the processes of others, and say why.
#[test]
fn a_killed_keeper_is_reported() {
    const TEST: &str = "a_killed_keeper_is_reported";
    let targets = Targets::start();
    let count = targets.pids.len();
    let is_row = |line: &&str| targets.pids.iter().any(|pid| line.ends_with(&format!(" ({pid})")));
    let rows = |report: &str| report.lines().filter(is_row).count();
    let why = "the process with the capability to read them has ended";
    let told = format!("measured 0 of {count} processes; {count} denied");
    for installed in Installed::each(TEST) {
        for engine in installed.engines(TEST) {
            let watch = Watch::start(&installed, engine, &["--pid", &targets.list]);
            assert_eq!(watch.reports().first().map(|report| rows(report)), Some(count), "{engine}");
            kill(watch.keeper);
            let is_told = until(RUN_LIMIT, || {
                let text = watch.stderr();
                let is_told = text.contains(&told) && text.contains(why);
                (is_told && watch.reports().last().is_some_and(|last| rows(last) == 0))
                    .then_some(())
            });
            assert!(is_told.is_some(), "{engine}: {} {}", watch.stdout(), watch.stderr());
        }
    }
}

fn kill(pid: Pid) {
    let raw = i32::try_from(pid.0).ok().and_then(rustix::process::Pid::from_raw);
    kill_process(raw.expect("a process"), Signal::KILL).expect("root may kill");
}

/// The keeper compares address spaces, if its capability allows it; else the report says so.
#[test]
fn a_vfork_pair_of_another_user_counts_once() {
    const TEST: &str = "a_vfork_pair_of_another_user_counts_once";
    const KIB: u64 = 20_000;
    let pair = Target::start_as(b"pair", &format!("vfork {KIB}"));
    let list = format!("{},{}", pair.pid(), pair.children(1, 'T')[0]);
    for installed in Installed::each(TEST) {
        for engine in installed.engines(TEST) {
            let ask = ["-p", &list, "--unit", "KiB", "--no-header", "--engine", engine];
            let ran = installed.run(&ask);
            let rows = ran.rows();
            assert_eq!((rows.len(), rows[0].name.as_str()), (1, "pair (2)"), "{engine}");
            let is_noted = ran.stderr().contains("may count twice");
            let times = if installed.capability == CapabilitySet::SYS_PTRACE { 1 } else { 2 };
            assert_eq!((rows[0].ram + KIB / 2) / KIB, times, "{engine}: {} KiB", rows[0].ram);
            assert_eq!(is_noted, times == 2, "{engine}: {}", ran.stderr());
        }
    }
}
