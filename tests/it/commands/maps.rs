//! `psm-uring maps`: the same figures as the files, as the table, and in all formats.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use psm_uring::units::Pid;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::child::{Target, children_of, state};
use crate::support::failures::{Failures, check, check_eq};
use crate::support::{
    RUN_LIMIT, Ran, TREES, TempDir, copy_dir, output, program, readers, run, skip, tree, until,
};

const ENGINES: [&str; 3] = ["sync", "threads", "auto"];

/// The trees whose processes have smaps.
fn trees() -> impl Iterator<Item = &'static str> {
    TREES.into_iter().filter(|tree| !["empty", "hollow", "no-smaps"].contains(tree))
}

fn maps<I: AsRef<OsStr>>(words: impl IntoIterator<Item = I>) -> Ran {
    let mut command = program();
    command.arg("maps").args(words);
    output(command)
}

fn document(words: &[&str]) -> Value {
    let ran = maps([&["--json"], words].concat());
    assert_eq!(ran.code, Some(0), "{words:?}: {}", ran.stderr());
    serde_json::from_str(&ran.stdout()).expect("JSON")
}

/// Stacks of all threads of glibc, which are named with their numbers.
const THREAD_STACK: &str = "[anon: glibc: pthread stack]";

/// RAM, USS, RSS and swap in KiB, mappings, processes: of one name.
type Figures = [u64; 6];

fn figures(row: &Value) -> Figures {
    let keys = ["ram", "uss", "rss", "swap", "mappings", "processes"];
    let figure = |key: &str| row[key].as_u64().unwrap_or_else(|| panic!("{key} of {row}"));
    let [ram, uss, rss, swap, mappings, processes] = keys.map(figure);
    [ram / 1024, uss / 1024, rss / 1024, swap / 1024, mappings, processes]
}

fn rows(document: &Value) -> BTreeMap<String, Figures> {
    let rows = document["rows"].as_array().expect("rows").iter();
    rows.map(|row| (row["name"].as_str().expect("a name").to_owned(), figures(row))).collect()
}

/// The same by the simplest way that there is: every line of every file, split at blanks.
fn by_hand(root: &str, pids: &[Pid]) -> BTreeMap<String, Figures> {
    let mut all: BTreeMap<String, Figures> = BTreeMap::new();
    for pid in pids {
        let text = std::fs::read(format!("{root}/{pid}/smaps")).expect("smaps");
        let mut of_process: BTreeMap<String, Figures> = BTreeMap::new();
        let mut name = String::new();
        for line in String::from_utf8_lossy(&text).lines() {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            if !words[0].ends_with(':') {
                name = match words.get(5..).unwrap_or_default() {
                    [] => "(anonymous)".to_owned(),
                    ["/memfd:pool", "(deleted)"] => "memfd:pool".to_owned(),
                    ["[anon:", "glibc:", "pthread", "stack:", _] => THREAD_STACK.to_owned(),
                    words => words.join(" ").replace("\\012", "\n"),
                };
                of_process.entry(name.clone()).or_default()[4] += 1;
                continue;
            }
            let row = of_process.get_mut(&name).expect("a header came before");
            let amount = words[1].parse().unwrap_or(0);
            match words[0] {
                "Pss:" | "Shared_Hugetlb:" | "Private_Hugetlb:" => row[0] += amount,
                "Private_Clean:" | "Private_Dirty:" => row[1] += amount,
                "Rss:" => row[2] += amount,
                "SwapPss:" => row[3] += amount,
                _ => {}
            }
        }
        for (name, figures) in of_process {
            let row = all.entry(name).or_default();
            figures.iter().zip(row.iter_mut()).for_each(|(more, sum)| *sum += more);
            row[5] += 1;
        }
    }
    all
}

fn rollup(root: &str, pid: Pid, key: &str) -> u64 {
    let text = std::fs::read_to_string(format!("{root}/{pid}/smaps_rollup")).expect("a rollup");
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_suffix(" kB"));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("{key}: {text}"))
}

/// A static program with two children, all stopped; `Err` says why there is none.
struct Mapped {
    child: std::process::Child,
    pids: Vec<Pid>,
    _directory: TempDir,
}

impl Mapped {
    fn start() -> Result<Mapped, String> {
        let directory = TempDir::new("maps-static");
        let built = directory.path().join("mapped");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/commands/mapped.c");
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-Wall", "-Wextra", "-static", "-o"]).arg(&built).arg(source);
        let made = cc.output().map_err(|_| "there is no C compiler".to_owned())?;
        if !made.status.success() {
            return Err(format!("no static program: {}", String::from_utf8_lossy(&made.stderr)));
        }
        let child = Command::new(&built).arg(directory.path()).spawn().expect("a file of ours");
        let parent = Pid(child.id());
        let pids = until(RUN_LIMIT, || {
            let pids: Vec<Pid> = [parent].into_iter().chain(children_of(parent)).collect();
            let are_ready = pids.len() == 3 && pids.iter().all(|pid| state(*pid) == Some('T'));
            are_ready.then_some(pids)
        });
        Ok(Mapped { child, pids: pids.expect("the children are ready"), _directory: directory })
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Rows and totals to the KiB; less than 1 KiB for each mapping and field from the rollups.
fn compare(root: &str, pids: &[Pid], expected: &BTreeMap<String, Figures>) {
    let list = pids.iter().map(Pid::to_string).collect::<Vec<_>>().join(",");
    let sums = expected.values().fold([0; 6], |mut sum: Figures, row| {
        sum.iter_mut().zip(row).for_each(|(sum, more)| *sum += more);
        sum
    });
    let [ram, uss, rss, swap, mappings, _] = sums;
    for engine in ENGINES {
        let document = document(&["--proc-root", root, "-p", &list, "--engine", engine]);
        assert_eq!(rows(&document), *expected, "{engine} {list}");
        let total = |key: &str| document["total"][key].as_u64().expect("a total") / 1024;
        assert_eq!([total("ram"), total("uss"), total("swap")], [ram, uss, swap], "{engine}");
    }
    let rollups = |keys: &[&str]| -> u64 {
        let pids = pids.iter();
        pids.flat_map(|pid| keys.iter().map(|key| rollup(root, *pid, key))).sum()
    };
    for (keys, summed) in
        [(&["Pss:"][..], ram), (&["Rss:"], rss), (&["Private_Clean:", "Private_Dirty:"], uss)]
    {
        let exact = rollups(keys);
        assert!((summed..summed + mappings).contains(&exact), "{keys:?}: {exact} and {summed}");
    }
}

#[test]
fn rows_are_those_of_the_files() {
    let targets = match Mapped::start() {
        Ok(targets) => targets,
        Err(why) => return skip("rows_are_those_of_the_files", &why),
    };
    let expected = by_hand("/proc", &targets.pids);
    for name in ["(anonymous)", "/dev/zero (deleted)", "memfd:pool", "[heap]", "[stack]"] {
        assert!(expected.contains_key(name), "{name}: {expected:?}");
    }
    for name in ["/two\nlines", "/gone (deleted)"] {
        assert!(expected.keys().any(|key| key.ends_with(name)), "{name}: {expected:?}");
    }
    compare("/proc", &targets.pids, &expected);
    assert_eq!(by_hand("/proc", &targets.pids), expected, "the targets changed");
}

/// Mappings and RSS in KiB of names in the tree `named`, as the kernel printed them, by hand.
const NAMED: [(u32, &str, u64, u64); 19] = [
    (40, "[anon: Go: heap]", 2, 8700),
    (40, "[anon: Go: page alloc]", 5, 20),
    (40, "[anon: Go: page summary]", 5, 0),
    (40, "[anon: Go: immortal metadata]", 4, 368),
    (41, "[anon:]", 1, 32),
    (41, "[anon_shmem:ring: 0-63 (a b)]", 1, 512),
    (41, "[anon: glibc: malloc]", 1, 3076),
    (41, "[anon: glibc: malloc arena]", 3, 344),
    (41, "[anon: glibc: loader malloc]", 2, 12),
    (41, THREAD_STACK, 3, 24),
    (41, "[anon: glibc: .bss /usr/lib/x86_64-linux-gnu/libc.so.6]", 1, 20),
    (42, "[anon:absl]", 1, 1036),
    (42, "[anon: glibc: malloc]", 1, 1580),
    (42, THREAD_STACK, 6, 76),
    (42, "anon_inode:[io_uring]", 6, 84),
    (43, "[anon:cpython:pymalloc]", 7, 9804),
    (46, "[anon:zend_alloc]", 1, 1772),
    (51, "[anon_shmem:ring: 0-63 (a b)]", 1, 0),
    (51, THREAD_STACK, 3, 24),
];

/// Recordings of programs that name their memory: Go, glibc, V8, CPython, PHP.
#[test]
fn recorded_names_have_their_figures() {
    let root = tree_path("named");
    let pids = [40, 41, 42, 43, 46, 51].map(Pid);
    for pid in pids {
        let expected = by_hand(&root, &[pid]);
        compare(&root, &[pid], &expected);
        let rows = rows(&document(&["--proc-root", &root, "-p", &pid.to_string()]));
        for (_, name, mappings, rss) in NAMED.iter().filter(|row| row.0 == pid.0) {
            let [_, _, found, _, count, _] = rows[*name];
            assert_eq!((count, found), (*mappings, *rss), "{pid} {name}");
        }
    }
    let all = by_hand(&root, &pids);
    compare(&root, &pids, &all);
    // Every name that a program gave, and no other.
    assert_eq!(all.keys().filter(|name| name.starts_with("[anon")).count(), 27, "{all:?}");
}

/// RAM, USS and SWAPPED of all rows are those of the table, on every tree.
#[test]
fn totals_are_those_of_the_table() {
    let mut failures = Failures::new();
    for tree in trees() {
        let root = tree_path(tree);
        for (by, name) in [("mapping", "comm"), ("program", "title")] {
            // Where nothing shows a title, it is not read.
            let words = ["--proc-root", &root, "--source", "smaps", "--json", "--name", name];
            let table: Value = serde_json::from_str(&run(words).stdout()).expect("JSON");
            let found = document(&["--proc-root", &root, "--big", "--by", by]);
            for key in ["ram", "uss", "swap"] {
                check_eq!(failures, found["total"][key], table["total"][key], "{tree} {by} {key}");
            }
            let rows: Vec<&Value> = match by {
                "mapping" => found["rows"].as_array().expect("rows").iter().collect(),
                _ => found["programs"].as_array().expect("programs").iter().collect(),
            };
            let sum: u64 = rows.iter().filter_map(|row| row["ram"].as_u64()).sum();
            check_eq!(
                failures,
                Some(sum),
                found["total"]["ram"].as_u64().or(Some(0)),
                "{tree} {by}"
            );
            for program in rows.iter().filter(|_| by == "program") {
                let inner = program["rows"].as_array().expect("rows").iter();
                let sum: u64 = inner.filter_map(|row| row["ram"].as_u64()).sum();
                check_eq!(failures, Some(sum), program["ram"].as_u64(), "{tree} {program}");
            }
        }
    }
}

fn tree_path(name: &str) -> String {
    tree(name).to_str().expect("UTF-8").to_owned()
}

/// Parent and child in one address space: its mappings count once.
#[test]
fn an_address_space_counts_once() {
    let own = Pid(std::process::id());
    if psm_uring::sys::this_process::share_memory(own, own) != Some(true) {
        return skip("an_address_space_counts_once", "kcmp(2) does not answer here");
    }
    let parent = Target::start_as(b"pair", "clone 40000");
    let child = parent.children(1, 'T')[0];
    let both = format!("{},{child}", parent.pid());
    let found = document(&["-p", &both]);
    let alone = document(&["-p", &parent.pid().to_string()]);
    assert_eq!(found["sharing"], 1, "{found}");
    assert_eq!(found["total"]["mappings"], alone["total"]["mappings"]);
    assert_eq!(found["total"]["processes"], 1);
    let ran = maps(["-p", &both]);
    let note = "1 process runs in the address space of another one (vfork, CLONE_VM): its mappings";
    assert!(ran.stderr().contains(note), "{}", ran.stderr());
}

/// CSV, JSON and table have the same rows; `--top` changes no sum.
#[test]
fn formats_agree() {
    let mut failures = Failures::new();
    for tree in trees() {
        let root = tree_path(tree);
        let words = ["--proc-root", &root, "--engine", "sync"];
        let all = document(&words);
        let csv = maps([&words[..], &["-o", "csv"]].concat()).stdout();
        let records = readers::csv(&csv);
        let of_json: Vec<Value> = all["rows"].as_array().expect("rows").clone();
        let of_csv: Vec<_> = records.iter().filter(|record| record["row"] == "mapping").collect();
        check_eq!(failures, of_csv.len(), of_json.len(), "{tree}");
        for (record, row) in of_csv.iter().zip(&of_json) {
            for key in ["ram", "uss", "rss", "swap", "mappings", "processes", "most"] {
                check_eq!(
                    failures,
                    record[key].parse().ok(),
                    row[key].as_u64(),
                    "{tree} {row} {key}"
                );
            }
        }
        let total = records.last().expect("a total");
        check_eq!(failures, total["ram"].parse().ok(), all["total"]["ram"].as_u64(), "{tree}");
        let table = maps([&words[..], &["--unit", "B", "--no-header"]].concat()).stdout();
        let first = |line: &str| {
            line.trim_start_matches('#').split_whitespace().next().and_then(|n| n.parse().ok())
        };
        let ram: Vec<Option<u64>> = table.lines().map(first).collect();
        let expected = of_json.iter().chain([&all["total"]]).map(|row| row["ram"].as_u64());
        check_eq!(failures, ram, expected.collect::<Vec<_>>(), "{tree}: {table}");
        let few = document(&[&words[..], &["-n", "2"]].concat());
        check_eq!(failures, few["total"], all["total"], "{tree}");
        let shown = few["rows"].as_array().expect("rows").iter().chain([&few["rest"]]);
        let sum: u64 = shown.filter_map(|row| row["ram"].as_u64()).sum();
        check_eq!(failures, Some(sum), all["total"]["ram"].as_u64().or(Some(0)), "{tree}");
    }
}

#[test]
fn json_keeps_its_schema() {
    let mut documents = Vec::new();
    for tree in trees() {
        let root = tree_path(tree);
        for words in ["", "--by program", "--by program -n 1", "-n 0", "--total", "--big"] {
            let words = words.split_whitespace().chain(["--proc-root", &root, "-o", "ndjson"]);
            documents.push(maps(words).stdout());
        }
    }
    readers::validate_or_skip("json_keeps_its_schema", "maps", &documents);
}

/// A process that is too big is left out, named and counted, unless it is selected.
#[test]
fn big_processes_are_left_out() {
    let root = tree_path("mappings");
    let words = |more: &'static str| {
        ["--proc-root", &root]
            .map(str::to_owned)
            .into_iter()
            .chain(more.split_whitespace().map(str::to_owned))
    };
    let ran = maps(words("--strict"));
    assert_eq!(ran.code, Some(3), "{}", ran.stderr());
    let note = "measured 6 of 7 processes; 1 left out (PID 820 mysqld with RSS 1621.1 MiB): a read \
                would keep the process from mapping memory for more than 20 ms; read it with \
                --pid 820 or --big\n";
    assert!(ran.stderr().contains(note), "{}", ran.stderr());
    let json = maps(words("--json")).stdout();
    let document: Value = serde_json::from_str(&json).expect("JSON");
    let missing = &document["missing"][0];
    let rss = (1_660_056_u64 << 10).into();
    assert_eq!((&missing["name"], &missing["rss"]), (&"mysqld".into(), &rss), "{missing}");
    for more in ["--strict --big", "--strict -p 820,801", "--strict -f mysqld"] {
        let ran = maps(words(more));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr());
        assert!(!ran.stderr().contains("left out"), "{}", ran.stderr());
        assert!(ran.stdout().contains("/usr/sbin/mysqld"), "{}", ran.stdout());
    }
    // The processes of other users are not left out but not selected.
    let ran = maps(words("-u 4242"));
    assert!(ran.stderr().contains("has none of 7 processes"), "{}", ran.stderr());
    assert!(!ran.stderr().contains("left out"), "{}", ran.stderr());
}

/// A shell that becomes `sleep` again and again: no report has mappings of both programs.
#[test]
fn an_exec_leaves_no_mixed_rows() {
    const REPORTS: usize = 60;
    let scripts = TempDir::new("maps-exec");
    let script = scripts.path().join("loop");
    // Each program replaces the other one, with the same process id.
    std::fs::write(&script, "#!/bin/sh\nexec perl -e 'exec(\"/bin/sh\", $ARGV[0])' \"$0\"\n")
        .expect("a file of ours");
    if Command::new("perl").arg("-v").output().is_err() {
        return skip("an_exec_leaves_no_mixed_rows", "perl is missing");
    }
    let mut child = Command::new("/bin/sh").arg(&script).spawn().expect("sh");
    let pid = child.id().to_string();
    let (mut seen, mut mixed) = ([0, 0], Vec::new());
    for turn in 0..REPORTS {
        let ran = maps(["-p", &pid, "-o", "csv", "--engine", ENGINES[turn % 3]]);
        let text = ran.stdout();
        let has = |program: &str| text.lines().any(|line| line.contains(program));
        let [shell, perl] = [has("/bin/dash") || has("/bin/bash"), has("/bin/perl")];
        seen[0] += usize::from(shell);
        seen[1] += usize::from(perl);
        if shell && perl {
            mixed.push(text);
        }
    }
    child.kill().expect("a child of ours");
    child.wait().expect("a child of ours");
    assert!(mixed.is_empty(), "{} of {REPORTS}: {}", mixed.len(), mixed[0]);
    assert!(seen.iter().sum::<usize>() > REPORTS / 10, "{seen:?}: hardly any report");
}

/// The peak memory in KiB that the program reports for itself.
fn peak(words: &[&str]) -> u64 {
    let ran = maps([&["--stats"], words].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr());
    let peak = ran.stat("peak memory");
    peak.split(' ').next().expect("a word").parse().expect("a number")
}

/// The most mappings that the kernel allows by default.
#[test]
fn the_most_mappings_take_little_memory() {
    const MAPPINGS: usize = 65_400;
    const KIB_MAX: u64 = 24 * 1024;
    let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count").expect("a limit");
    if limit.trim().parse::<usize>().expect("a number") < MAPPINGS + 100 {
        return skip("the_most_mappings_take_little_memory", "vm.max_map_count is too low");
    }
    let target = Target::stopped(&format!("mappings {MAPPINGS}"));
    let pid = target.pid().to_string();
    for engine in ENGINES {
        let document = document(&["-p", &pid, "--engine", engine]);
        let most = document["fullest"]["mappings"].as_u64().expect("a number");
        assert!(most >= MAPPINGS as u64, "{engine}: {most}");
        let peak = peak(&["-p", &pid, "--engine", engine]);
        assert!(peak <= KIB_MAX, "{engine}: {peak} KiB");
    }
    let ran = maps(["-p", &pid]);
    let note = format!("PID {pid} ");
    assert!(
        ran.stderr().contains(&note) && ran.stderr().contains(" (vm.max_map_count)"),
        "{}",
        ran.stderr()
    );
    target.signal(Signal::KILL);
}

/// As many files, each with a path of its own: a name is kept once for its process, once for all,
/// and in a row.
#[test]
fn the_most_names_take_bounded_memory() {
    const FILES: usize = 65_000;
    const KIB_MAX: u64 = 48 * 1024;
    let root = TempDir::new("maps-names");
    copy_dir(&tree("mappings").join("801"), &root.path().join("801"));
    let mapping = |n: usize| {
        let begin = 0x7f00_0000_0000 + n * 8192;
        format!(
            "{begin:x}-{:x} r--p 00000000 08:01 {n}  /usr/lib/x86_64-linux-gnu/of/this/program/\
             module-{n:06}.so\nRss: 4 kB\nPss: 4 kB\nPrivate_Clean: 4 kB\nPrivate_Dirty: 0 kB\n",
            begin + 4096
        )
    };
    let text: String = (0..FILES).map(mapping).collect();
    std::fs::write(root.path().join("801/smaps"), text).expect("a file of ours");
    let root = root.path().to_str().expect("UTF-8");
    let peak = peak(&["--proc-root", root, "--big", "--engine", "threads", "-n", "9"]);
    assert!(peak <= KIB_MAX, "{peak} KiB");
}

/// Saves a report of mappings.
fn save(directory: &TempDir, name: &str, words: &str) -> PathBuf {
    let path = directory.path().join(name);
    let words = words.split_whitespace();
    let file = ["--json", "--output-file", path.to_str().expect("UTF-8")];
    let ran = maps(words.chain(file));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr());
    path
}

fn diff(before: &PathBuf, after: &PathBuf, words: &[&str]) -> Ran {
    let mut command = program();
    command.arg("diff").args([before, after]).args(words);
    output(command)
}

#[test]
fn two_reports_are_compared() {
    let directory = TempDir::new("maps-diff");
    let root = tree_path("mappings");
    let before = save(&directory, "a", &format!("--proc-root {root}"));
    let after = save(&directory, "b", &format!("--proc-root {root} --big"));
    let same = diff(&before, &before, &[]).stdout();
    assert!(same.contains("rows alike)") && same.starts_with("   MiB RAM"), "{same}");
    let ran = diff(&before, &after, &[]);
    let text = ran.stdout();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].ends_with(" MAPS  MAPPING"), "{text}");
    let grown = lines.iter().rev().nth(2).expect("a row");
    assert!(grown.trim_start().starts_with("+1600.0") && grown.ends_with("(anonymous)"), "{text}");
    assert!(text.contains("/usr/sbin/mysqld (new)"), "{text}");
    assert!(ran.stderr().contains("a is missing 1 process"), "{}", ran.stderr());
    let json: Value =
        serde_json::from_str(&diff(&before, &after, &["--json"]).stdout()).expect("JSON");
    assert_eq!((&json["by"], &json["schema"]), (&"mapping".into(), &"psm-uring.diff.v2".into()));
    readers::validate_or_skip("two_reports_are_compared", "diff", &[json.to_string()]);
}

#[test]
fn reports_of_other_rows_are_refused() {
    let directory = TempDir::new("maps-diff-other");
    let root = tree_path("mappings");
    let one = save(&directory, "a", &format!("--proc-root {root}"));
    let by_program = save(&directory, "b", &format!("--proc-root {root} --by program"));
    let table = directory.path().join("c");
    run(["--proc-root", &root, "--json", "--output-file", table.to_str().expect("UTF-8")]);
    for (other, why) in [(&by_program, "with maps --by program --name"), (&table, "--by program ")]
    {
        let ran = diff(&one, other, &[]);
        assert_eq!(ran.code, Some(1), "{}", ran.stdout());
        assert!(ran.stderr().contains(why), "{}", ran.stderr());
    }
    let programs = diff(&by_program, &by_program, &[]);
    assert_eq!(programs.code, Some(0), "{}", programs.stderr());
    let few = save(&directory, "d", &format!("--proc-root {root} -n 2"));
    assert!(diff(&few, &one, &[]).stderr().contains("without --top"));
}

/// On a terminal the end of a path is shown, which tells files apart.
#[test]
fn paths_are_cut_at_the_front() {
    let mut command = program();
    command.args(["maps", "--proc-root", &tree_path("mappings"), "--by", "program"]);
    command.env("COLUMNS", "70");
    let mut failures = Failures::new();
    let text = output(command).stdout();
    for line in text.lines() {
        check!(failures, line.chars().count() <= 70 || !line.contains('…'), "{line}");
    }
    check!(failures, text.contains("libc.so.6"), "{text}");
}

/// `--top 0` cuts all rows: the rest sums up names, not programs.
#[test]
fn the_rest_of_no_rows_has_all_names() {
    let words = ["--proc-root".to_owned(), tree("grouped").display().to_string()];
    let print = |more: &str| {
        let more = more.split(' ').map(str::to_owned);
        let ran = maps(words.iter().cloned().chain(more));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr());
        ran.stdout()
    };
    let whole: Value = serde_json::from_str(&print("--json")).expect("JSON");
    let names = whole["rows"].as_array().expect("rows").len();
    assert!(names > 1, "{whole}");
    let none: Value = serde_json::from_str(&print("--json -n 0")).expect("JSON");
    assert_eq!((&none["rest"]["cut"], none["rows"].as_array()), (&names.into(), Some(&vec![])));
    assert_eq!(none["rest"]["ram"], whole["total"]["ram"]);
    let table = print("-n 0");
    assert!(table.contains(&format!("({names} more)\n")), "{table}");
    let csv = print("-o csv -n 0");
    assert!(csv.contains("\r\nrest,") && !csv.contains("program-rest"), "{csv}");
}
