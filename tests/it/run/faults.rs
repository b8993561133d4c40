//! Major page faults: processes that read pages of a file that are not in memory.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::fs::{Advice, fadvise};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::child::Target;
use crate::support::{RUN_LIMIT, TempDir, output, program, run, skip, until};

const PAGES: u64 = 512;
const PAGE: u64 = 4096;
/// The read-ahead of a file system whose device does not tell it.
const USUAL_READ_AHEAD_KIB: u64 = 128;

/// A file on a disk.
struct ColdFile {
    dir: TempDir,
}

impl ColdFile {
    fn make() -> ColdFile {
        let file = ColdFile { dir: TempDir::new("faults") };
        let mut open = File::create(file.path()).expect("a file of ours");
        open.write_all(&vec![1; usize::try_from(PAGES * PAGE).expect("small")]).expect("room");
        open.sync_all().expect("a disk");
        file
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("cold")
    }

    /// Drops the pages of this file alone.
    fn drop_pages(&self) {
        let open = File::open(self.path()).expect("a file of ours");
        fadvise(&open, 0, None, Advice::DontNeed).expect("a regular file");
    }

    /// The pages that one fault reads.
    fn read_ahead(&self) -> u64 {
        let device = std::fs::metadata(self.path()).expect("a file of ours").dev();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let text = std::fs::read_to_string(format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb"));
        let kib = text.ok().and_then(|text| text.trim().parse::<u64>().ok());
        (kib.unwrap_or(USUAL_READ_AHEAD_KIB) * 1024 / PAGE).max(1)
    }
}

fn faults_of(target: &Target) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", target.pid())).expect("a child");
    let (_, fields) = stat.rsplit_once(") ").expect("stat");
    fields.split(' ').nth(9).and_then(|field| field.parse().ok()).expect("majflt")
}

/// Has a target read the file; the faults that this took.
fn read_cold(target: &Target, file: &ColdFile) -> u64 {
    let before = faults_of(target);
    file.drop_pages();
    target.signal(Signal::CONT);
    // It stops again, for ever.
    let read = until(RUN_LIMIT, || {
        let is_read = Path::new(&format!("{}.{}", file.path().display(), target.pid())).exists();
        is_read.then_some(())
    });
    assert!(read.is_some(), "the target did not read");
    target.wait_for_state(target.pid(), 'T');
    faults_of(target) - before
}

/// A watching program, and its documents one by one.
struct Documents {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Documents {
    fn start(arguments: &[&str]) -> Documents {
        let mut command = program();
        command.args(["--watch", "300ms", "-o", "ndjson", "--columns", "faults"]).args(arguments);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = child.expect("the program");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Documents { child, lines }
    }

    fn next(&mut self) -> Value {
        let line = self.lines.next().expect("another report").expect("text");
        serde_json::from_str(&line).expect("a document")
    }

    /// The next document that this accepts, among the first hundred.
    fn find(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        (0..100).map(|_| self.next()).find(is_it).expect("a report as expected")
    }
}

impl Drop for Documents {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn count(row: &Value) -> u64 {
    row["major_faults"].as_u64().unwrap_or_else(|| panic!("no count in {row}"))
}

#[test]
fn cold_pages_are_faults() {
    const TEST: &str = "cold_pages_are_faults";
    let file = ColdFile::make();
    let mode = format!("cold {}", file.path().display());
    let target = Target::stopped_as(b"coldreader", &mode);
    let pid = target.pid().to_string();
    let mut documents = Documents::start(&["--by", "pid", "-p", &pid]);
    let first = documents.next();
    let row = &first["programs"][0];
    assert!(row["faults"].is_null() && first["total"]["faults"].is_null(), "{first}");
    let began = count(row);
    assert_eq!(documents.next()["programs"][0]["faults"], 0.0);
    let least = PAGES / file.read_ahead();
    let faults = read_cold(&target, &file);
    if faults < least {
        return skip(TEST, "the pages of a file in the directory of the tests stay in memory");
    }
    let read = documents.find(|one| count(&one["programs"][0]) >= began + faults);
    assert!(read["programs"][0]["faults"].as_f64() > Some(0.0), "{read}");
    assert_eq!(read["programs"][0]["faults"], read["total"]["faults"], "{read}");
    let after = documents.find(|one| one["programs"][0]["faults"] == 0.0);
    assert_eq!(count(&after["programs"][0]), began + faults);
}

/// A process that began between two reports counts from its start, and one that ends takes its
/// faults with it.
#[test]
fn processes_come_and_go() {
    const TEST: &str = "processes_come_and_go";
    let file = ColdFile::make();
    let mode = format!("cold {}", file.path().display());
    let _idle = Target::stopped_as(b"psm-cold-twin", &mode);
    let mut documents = Documents::start(&["-f", "^psm-cold-twin$"]);
    documents.next();
    let mut other = Target::stopped_as(b"psm-cold-twin", &mode);
    let faults = read_cold(&other, &file);
    if faults < PAGES / file.read_ahead() {
        return skip(TEST, "the pages of a file in the directory of the tests stay in memory");
    }
    let mut rates = Vec::new();
    loop {
        let document = documents.next();
        let row = &document["programs"][0];
        rates.push(row["faults"].as_f64().unwrap_or_else(|| panic!("{document}")));
        if row["count"] == 2 && rates.iter().any(|rate| *rate > 0.0) {
            break;
        }
        assert!(rates.len() < 100, "no faults in {rates:?}");
    }
    other.end();
    let alone = documents.find(|one| one["programs"][0]["count"] == 1);
    rates.push(alone["programs"][0]["faults"].as_f64().unwrap_or_else(|| panic!("{alone}")));
    assert!(rates.iter().all(|rate| *rate >= 0.0), "{rates:?}");
}

/// Two saved reports of one process have a rate; a single report has a note.
#[test]
fn saved_reports_are_compared() {
    let target = Target::stopped_as(b"saved", "touch 64");
    let (dir, pid) = (TempDir::new("faults-saved"), target.pid().to_string());
    let file = |name: &str| dir.path().join(name).display().to_string();
    let save = |name: &str, by: &str| {
        let out = file(name);
        let arguments = ["--json", "--columns", "faults", "-p", &pid, "--by", by];
        let ran = run(arguments.iter().chain(&["--output-file", &out]));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr());
        assert!(ran.stderr().contains("known from the second report on"), "{}", ran.stderr());
        std::fs::read_to_string(out).expect("a report")
    };
    let diff = |before: &str, after: &str, more: &[&str]| {
        let mut command = program();
        command.args(["diff", &file(before), &file(after)]).args(more);
        let ran = output(command);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr());
        ran.stdout()
    };
    let text = save("before", "pid");
    let before: Value = serde_json::from_str(&text).expect("JSON");
    let had = count(&before["programs"][0]);
    // As if it had 60 faults more ten seconds later.
    let at = before["run"]["started_at"].as_str().expect("a time");
    let time = humantime::parse_rfc3339(at).expect("a time");
    let later = humantime::format_rfc3339_millis(time + std::time::Duration::from_secs(10));
    let mut after = before.clone();
    after["run"]["started_at"] = later.to_string().into();
    after["programs"][0]["major_faults"] = (had + 60).into();
    std::fs::write(file("after"), after.to_string()).expect("a file of ours");
    let changed: Value = serde_json::from_str(&diff("before", "after", &["--json"])).expect("JSON");
    assert_eq!(changed["rows"][0]["change"]["faults"], 6.0, "{changed}");
    assert_eq!(changed["total"]["change"]["faults"], 6.0, "{changed}");
    let table = diff("before", "after", &[]);
    assert!(table.lines().any(|line| line.contains(" 6.00  saved (")), "{table}");
    // Another process has the id. It may have begun before the first report, which lacks it.
    after["programs"][0]["start_time"] = 1.into();
    after["programs"][0]["major_faults"] = 20.into();
    std::fs::write(file("after"), after.to_string()).expect("a file of ours");
    let table = diff("before", "after", &[]);
    assert!(table.contains(", new)") && !table.contains("FAULTS/S"), "{table}");
    // Rows of programs have no rate.
    save("of-program", "program");
    let table = diff("of-program", "of-program", &[]);
    assert!(!table.contains("FAULTS/S"), "{table}");
}

/// The first report of a watch has no time that faults relate to.
#[test]
fn metrics_have_a_rate_from_the_second_report_on() {
    let target = Target::stopped_as(b"metered", "touch 64");
    let (dir, pid) = (TempDir::new("faults-metrics"), target.pid().to_string());
    let file = dir.path().join("metrics.prom");
    let rates = |reports: &str| {
        let mut command = program();
        command.args(["--watch", "100ms", "--count", reports, "-o", "openmetrics", "-p", &pid]);
        command.args(["--columns", "faults", "--output-file"]).arg(&file);
        assert_eq!(output(command).code, Some(0));
        let text = std::fs::read_to_string(&file).expect("a report");
        let sample = "psm_uring_faults_per_second{program=\"metered\"} ";
        let rates = text.lines().filter_map(|line| line.strip_prefix(sample));
        rates.map(|rate| rate.parse::<f64>().expect("a number")).collect::<Vec<_>>()
    };
    assert_eq!((rates("1"), rates("2")), (vec![], vec![0.0]));
}

/// The figures are those of the process, also if its first thread is dead.
#[test]
fn a_process_without_its_leader_counts_whole() {
    let target = Target::start_as(b"leaderless", "leaderless 256");
    let pid = target.children(1, 'Z')[0];
    let id = pid.to_string();
    let ran = run(["--json", "--by", "pid", "--columns", "faults", "-p", &id]);
    let document: Value = serde_json::from_str(&ran.stdout()).expect("JSON");
    let row = &document["programs"][0];
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a child");
    let (_, fields) = stat.rsplit_once(") ").expect("stat");
    let field = |number: usize| fields.split(' ').nth(number - 3).map(str::to_owned);
    assert_eq!(Some(row["start_time"].to_string()), field(22), "{document}");
    assert_eq!(Some(row["major_faults"].to_string()), field(12), "{document}");
}
