//! The rules of docs/GROUPING.md, row by row: control groups to units and containers, arguments to
//! scripts. What stands there is what the program does.

mod support;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use psm_uring::process::{NameRule, Plan, Probe};
use psm_uring::program::{container, unit};
use support::sources::{fail_if_any, read};
use support::world::World;
use support::{Ran, program, run};

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const POD: &str = "8c1f2e5a-77aa-4d4e-9d35-0a2f5c6b7e81";

/// The rows of the table below a heading: first and last cell, without their back quotes.
fn table(heading: &str) -> Vec<(String, String)> {
    let document = read("docs/GROUPING.md");
    let below = document.split(heading).nth(1).expect("the heading");
    let lines = below.lines().skip_while(|line| !line.starts_with("| `"));
    let rows = lines.take_while(|line| line.starts_with('|'));
    let cell = |cell: &str| cell.trim().trim_matches('`').to_owned();
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        (cell(cells[0]), cell(cells[cells.len() - 1]))
    };
    rows.map(row).collect()
}

/// The words of the document in the place of what they stand for.
fn whole(text: &str) -> String {
    let text = text.replace("POD_", &POD.replace('-', "_")).replace("POD", POD);
    text.replace("ID", ID)
}

fn check(heading: &str, least: usize, word: &str, found: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    let rows = table(heading);
    assert!(rows.len() >= least, "{heading}: {} rows", rows.len());
    let mut wrong = Vec::new();
    for (given, expected) in rows {
        let found = found(whole(&given).as_bytes()).unwrap_or_else(|| word.into());
        let found = String::from_utf8_lossy(&found).into_owned();
        if found != whole(&expected) {
            wrong.push(format!("docs/GROUPING.md: {given}: {found}, not {expected}"));
        }
    }
    fail_if_any(&wrong);
}

#[test]
fn units() {
    check("### Units\n", 20, "(no unit)", unit);
}

#[test]
fn containers() {
    check("### Containers\n", 30, "(no container)", container);
}

#[test]
fn scripts() {
    let plan = Plan { name_rule: NameRule::Script, ..Plan::default() };
    check("## Scripts\n", 45, "", |arguments| {
        // A title is no list of arguments.
        let is_title = arguments.starts_with(b"php-fpm:");
        let nul = |byte: &u8| if *byte == b' ' && !is_title { 0 } else { *byte };
        let mut cmdline: Vec<u8> = arguments.iter().map(nul).collect();
        cmdline.push(0);
        let mut probe = Probe::new();
        World::user().with_bytes("cmdline", &cmdline).carry(&mut probe, &plan);
        Some(probe.name().to_vec())
    });
}

/// Whatever stands where the kernel cuts is not taken for a name.
#[test]
fn a_word_that_is_cut_is_no_script() {
    let plan = Plan { name_rule: NameRule::Script, ..Plan::default() };
    let name = |cmdline: &str| {
        let mut probe = Probe::new();
        World::user().with("cmdline", cmdline).carry(&mut probe, &plan);
        String::from_utf8_lossy(probe.name()).into_owned()
    };
    let path = |len| format!("java\0-cp\0{}\0", "x".repeat(len));
    assert_eq!(name(&(path(60_000) + "kafka.Kafka\0")), "kafka.Kafka");
    assert_eq!(name(&(path(65_520) + "kafka.Kafka\0")), "java");
    assert_eq!(name("python3\0\0x.py\0"), "python3");
    assert_eq!(name("python3\0-m"), "python3");
    assert_eq!(name("python3\0x.py"), "x.py");
    let long = format!("python3\0/{}\0", "y".repeat(9000));
    assert_eq!(name(&long), "y".repeat(4096));
}

fn grouped<I: IntoIterator<Item: AsRef<OsStr>>>(arguments: I) -> Ran {
    let mut command = program();
    command.args(["--proc-root", "grouped", "--engine", "sync"]).args(arguments);
    support::output(command)
}

/// However processes are put together, together they are all of them.
#[test]
fn every_grouping_has_the_same_total() {
    let total = |ran: &Ran| ran.stdout().lines().last().expect("a total").to_owned();
    let expected = total(&grouped(["--unit", "B"]));
    for by in ["pid", "user", "cgroup", "unit", "container"] {
        let ran = grouped(["--unit", "B", "--by", by]);
        assert_eq!(total(&ran), expected, "{by}");
        let head = format!("  {} (", if by == "pid" { "PROCESS" } else { by }.to_uppercase());
        assert!(ran.stdout().lines().next().is_some_and(|line| line.contains(&head)), "{by}");
    }
}

/// What is not selected is not measured: of others only `status` is read.
#[test]
fn other_users_are_not_read() {
    let reads = |user: &str| {
        let text = grouped(["--stats", "-u", user]).stderr();
        let line = text.lines().find(|line| line.starts_with("operations")).expect("a line");
        let words: Vec<&str> = line.split_whitespace().collect();
        let place = words.iter().position(|word| *word == "reads,").expect("reads");
        words[place - 1].parse::<usize>().expect("a number")
    };
    let processes = 21;
    assert_eq!(reads("4242"), processes, "a status each");
    assert_eq!(reads("1001"), processes + 2, "one more with name and memory");
    assert_eq!(reads("1001,33,33"), processes + 4);
}

/// A real process: by what it runs, by its owner, by the group that the kernel says.
#[test]
fn a_process_of_this_host() {
    let directory = support::TempDir::new("grouping");
    let path = directory.path().join("job-4711.sh");
    std::fs::write(&path, "read line\n").expect("a file of ours");
    let mut command = Command::new("sh");
    command.arg("-u").arg(&path).stdin(Stdio::piped());
    let mut child = command.spawn().expect("a shell");
    let pid = child.id().to_string();
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let path_of = |mark: &str| {
        let mut paths = groups.lines().filter_map(|line| line.split_once(mark));
        paths.next().map(|(_, path)| path).filter(|path| *path != "/")
    };
    let is_none = groups.is_empty();
    let group = ["name=systemd:", ":memory:", "0::"].into_iter().find_map(path_of);
    let group = group.unwrap_or(if is_none { "(unknown)" } else { "/" });
    // Between fork and exec it is another program.
    let rows = |arguments: &[&str]| {
        let ran = run([&["-p", &pid, "--no-header"], arguments].concat());
        let row = ran.stdout().lines().next().map(str::to_owned).unwrap_or_default();
        row.trim_end_matches(" (1)").rsplit("  ").next().unwrap_or_default().to_owned()
    };
    let found = support::until(support::RUN_LIMIT, || {
        (rows(&["--name", "script"]) == "job-4711.sh").then_some(())
    });
    assert!(found.is_some(), "{}", rows(&["--name", "script"]));
    for engine in ["sync", "threads", "auto"] {
        assert_eq!(rows(&["--name", "script", "--engine", engine]), "job-4711.sh", "{engine}");
        assert_eq!(rows(&["--by", "cgroup", "--engine", engine]), group, "{engine}");
        let own = rustix::process::geteuid().as_raw().to_string();
        let both = rows(&["--by", "cgroup", "-u", &own, "--engine", engine]);
        assert_eq!(both, group, "{engine}");
    }
    drop(child.stdin.take());
    child.wait().expect("a child of ours");
}

/// A control group that goes away with its name.
struct Cgroup(PathBuf);

impl Drop for Cgroup {
    fn drop(&mut self) {
        support::until(support::RUN_LIMIT, || std::fs::remove_dir(&self.0).ok());
    }
}

impl Cgroup {
    /// Makes one in the hierarchy that stands for processes here; the error says why not.
    fn make(name: &str) -> std::io::Result<Cgroup> {
        let tops = ["systemd", "memory", "."].map(|top| Path::new("/sys/fs/cgroup").join(top));
        let top = tops.iter().find(|top| top.join("cgroup.procs").exists());
        let path = top.ok_or(std::io::ErrorKind::NotFound)?.join(name);
        std::fs::create_dir(&path)?;
        Ok(Cgroup(path))
    }
}

/// A real process in a real control group, named as docker names its own.
#[test]
fn a_container_of_this_host() {
    const TEST: &str = "a_container_of_this_host";
    let id = format!("{:08x}{}", std::process::id(), "ab".repeat(28));
    let scope = format!("docker-{id}.scope");
    let cgroup = match Cgroup::make(&scope) {
        Ok(cgroup) => cgroup,
        Err(error) => return support::skip(TEST, &format!("no control group: {error}")),
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
        return support::skip(TEST, &format!("it takes no process: {error}"));
    }
    let container = format!("docker:{}", &id[..12]);
    let [unit, found_container, path] = found;
    assert_eq!(unit, format!("{scope} (1)"));
    assert_eq!(found_container, format!("{container} (1)"));
    assert!(path.ends_with(&format!("/{scope} (1)")), "{path}");
}

/// Names of users are those of this host, which knows root.
#[test]
fn users_of_this_host_have_names() {
    let own = rustix::process::geteuid().as_raw();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = passwd.lines().find(|line| line.split(':').nth(2) == Some(&own.to_string()));
    let Some(name) = line.and_then(|line| line.split(':').next()) else {
        return support::skip("users_of_this_host_have_names", "this user has no name");
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
