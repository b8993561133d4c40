//! `--watch`, on copies of a fixture that change during the run.

use std::path::Path;
use std::process::Child;
use std::process::Stdio;
use std::time::Duration;

use crate::support::failures::{Failures, check_eq};
use crate::support::{TempDir, copy_dir, output, program, run, tree, until};

const SOON: Duration = Duration::from_secs(20);

/// A directory of processes, and the output file of the watching program.
struct Scene(TempDir);

impl Scene {
    fn new(name: &str, pids: &[u32]) -> Scene {
        let scene = Scene(TempDir::new(name));
        std::fs::create_dir(scene.0.path().join("proc")).expect("a directory of ours");
        pids.iter().for_each(|pid| scene.add(*pid));
        scene
    }

    fn add(&self, pid: u32) {
        let ready = self.0.path().join("ready");
        copy_dir(&tree("ordinary").join(pid.to_string()), &ready);
        std::fs::rename(ready, self.0.path().join(format!("proc/{pid}"))).expect("a free name");
    }

    /// Replaces a file of a process as a whole.
    fn replace(&self, file: &str, text: &str) {
        let ready = self.0.path().join("ready");
        std::fs::write(&ready, text).expect("a file of ours");
        std::fs::rename(ready, self.0.path().join("proc").join(file)).expect("a file of ours");
    }

    fn out(&self) -> String {
        std::fs::read_to_string(self.0.path().join("out")).expect("what was written")
    }

    /// Starts a watching program that runs until the test ends it.
    fn watch(&self, arguments: &[&str]) -> Watcher<'_> {
        let out = std::fs::File::create(self.0.path().join("out")).expect("a file of ours");
        let mut command = program();
        command.args(["--watch", "100ms", "--engine", "sync"]).args(arguments);
        command.arg("--proc-root").arg(self.0.path().join("proc"));
        let child = command.stdout(Stdio::from(out)).stderr(Stdio::null()).spawn();
        Watcher { scene: self, child: child.expect("the program") }
    }
}

struct Watcher<'a> {
    scene: &'a Scene,
    child: Child,
}

impl Watcher<'_> {
    /// Waits for a line with this beginning and this end.
    fn wait_for(&self, begin: &str, end: &str) {
        let is_it = |line: &str| line.starts_with(begin) && line.ends_with(end);
        let found = until(SOON, || self.scene.out().lines().any(is_it).then_some(()));
        found.unwrap_or_else(|| panic!("no line `{begin}...{end}` in\n{}", self.scene.out()));
    }
}

impl Drop for Watcher<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn rollup(pss: u32) -> String {
    format!(
        "1000-2000 ---p 00000000 00:00 0 [rollup]\nRss: {pss} kB\nPss: {pss} kB\n\
         Private_Clean: 0 kB\nPrivate_Dirty: 8 kB\nSwap: 0 kB\nSwapPss: 0 kB\n"
    )
}

#[test]
fn tables_follow_each_other() {
    let arguments = ["--proc-root", "ordinary", "--watch", "100ms", "--count", "3"];
    let ran = run(arguments);
    let table = run(["--proc-root", "ordinary"]).stdout();
    let time = r"(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, every 100ms: .+$";
    let time = crate::support::sources::regex(time);
    let expected = [&*format!("(time)\n{table}"); 3].join("\n");
    assert_eq!((ran.code, &*time.replace_all(&ran.stdout(), "(time)")), (Some(0), &*expected));
    // Standard error does not repeat a note.
    let told = |more: &[&str]| run(["--proc-root", "malformed"].iter().chain(more)).stderr();
    assert_eq!(told(&["--watch", "100ms", "--count", "3"]), told(&[]));
    let total = run(["--proc-root", "ordinary", "-t", "-w", "100ms", "--count", "2"]).stdout();
    assert_eq!(total.lines().count(), 2, "{total}");
}

#[test]
fn documents_follow_each_other() {
    let ran =
        run(["--proc-root", "ordinary", "-o", "ndjson", "-w", "100ms", "--count", "3"]).stdout();
    let document = |line| serde_json::from_str::<serde_json::Value>(line).expect("a document");
    let documents: Vec<_> = ran.lines().map(document).collect();
    let mut times: Vec<String> =
        documents.iter().map(|one| one["run"]["started_at"].to_string()).collect();
    times.dedup();
    assert_eq!((documents.len(), times.len()), (3, 3), "{times:?}");
    assert!(documents.iter().all(|one| one["coverage"]["measured"] == 12), "{ran}");
}

/// Two threads at the most use CPU time while a report is made.
#[test]
fn statistics_are_of_one_report() {
    let watch = ["--watch", "100ms", "--count", "20", "--engine", "sync", "--stats"];
    let told = run(["--proc-root", "ordinary"].iter().chain(&watch)).stderr();
    let milliseconds = |key: &str| {
        let last = told.lines().rfind(|line| line.starts_with(key)).expect("a line");
        let words: Vec<&str> = last.split_whitespace().collect();
        let times = words.windows(2).filter(|pair| pair[1].starts_with("ms"));
        times.map(|pair| pair[0].parse::<f64>().expect("a time")).sum::<f64>()
    };
    let [cpu, wall] = ["CPU", "time"].map(milliseconds);
    assert!(0.0 < cpu && cpu <= 2.0 * wall, "{cpu} ms of CPU in {wall} ms:\n{told}");
}

#[test]
fn each_report_is_fresh_and_marks_changes() {
    let scene = Scene::new("watch-marks", &[101, 110]);
    scene.replace("101/smaps_rollup", &rollup(4096));
    scene.replace("110/smaps_rollup", &rollup(4096));
    let watcher = scene.watch(&["--by", "pid"]);
    watcher.wait_for("       4.0", "(101)");
    scene.replace("101/smaps_rollup", &rollup(8192));
    watcher.wait_for("+      8.0", "(101)");
    scene.replace("101/smaps_rollup", &rollup(2048));
    watcher.wait_for("-      2.0", "(101)");
    scene.add(120);
    watcher.wait_for("*", "(120)");
    let one = scene.out().lines().filter(|line| line.starts_with('*')).count();
    assert_eq!(one, 1, "it is new once:\n{}", scene.out());
    // An unchanged row has no mark.
    assert!(!scene.out().contains("+      4.0") && !scene.out().contains("-      4.0"));
}

#[test]
fn growth_since_a_saved_report() {
    let scene = Scene::new("watch-since", &[101, 110]);
    scene.replace("101/smaps_rollup", &rollup(4096));
    let saved = scene.0.path().join("saved.json");
    let save = |more: &[&str]| {
        let mut command = program();
        command.args(["--json", "--proc-root"]).arg(scene.0.path().join("proc"));
        command.arg("--output-file").arg(&saved).args(more);
        assert_eq!(output(command).code, Some(0));
    };
    save(&[]);
    let saved_path = saved.to_str().expect("a path of ours");
    let watcher = scene.watch(&["--since", saved_path]);
    watcher.wait_for("#      0.0", "TOTAL USED BY PROCESSES");
    scene.replace("101/smaps_rollup", &rollup(8192));
    watcher.wait_for("      +4.0", "daemon off;");
    drop(watcher);
    save(&["--by", "pid"]);
    let ran = run(["--watch", "--since", saved_path, "--count", "1"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr().contains("made with --by pid"), "{}", ran.stderr());
}

#[test]
fn a_file_holds_the_last_report() {
    let dir = TempDir::new("watch-file");
    let file = dir.path().join("report.csv");
    let mut command = program();
    command.args(["--proc-root", "ordinary", "-w", "100ms", "--count", "2", "-o", "csv"]);
    command.arg("--output-file").arg(&file);
    let ran = output(command);
    assert_eq!((ran.code, ran.stdout()), (Some(0), String::new()), "{}", ran.stderr());
    let once = run(["--proc-root", "ordinary", "-o", "csv"]).stdout();
    assert_eq!(read(&file), once);
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a file of ours")
}

#[test]
fn formats_without_streams_are_refused() {
    let mut failures = Failures::new();
    for arguments in [
        &["--watch", "-o", "csv"][..],
        &["--watch", "--json"],
        &["--watch", "-o", "openmetrics"],
        &["--watch", "50ms"],
        &["--watch", "soon"],
        &["--watch", "99999999999"],
        &["--watch", "--since", "a.json", "--summary"],
        &["--watch", "--since", "a.json", "--sort", "swap"],
        &["--count", "2"],
        &["--since", "a.json"],
        &["--watch", "--since", "a.json", "-n", "3"],
        &["--watch", "--since", "a.json", "-o", "ndjson"],
        &["--watch", "--count", "0"],
    ] {
        let ran = run(arguments);
        check_eq!(
            failures,
            (ran.code, ran.stdout.len()),
            (Some(2), 0),
            "{arguments:?}: {}",
            ran.stderr()
        );
        check_eq!(failures, ran.stderr().lines().count(), 1, "{arguments:?}: {}", ran.stderr());
    }
}
