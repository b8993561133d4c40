//! Shared code of several tests: paths of the fixtures, reproducible random numbers, runs of the
//! program with a time limit, and uncaptured output on standard error.
//!
//! - `child`    target processes, started from a test binary
//! - `failures` collected failures of a loop
//! - `gpu`      clients of GPUs
//! - `groups`   control groups of fixtures, and real ones
//! - `made_host` a host whose pages are known one by one
//! - `model`    a model of the ring, of its workers and of the processes they read
//! - `readers`  third-party programs that read the output of the program
//! - `reports`  saved reports of fixtures, for comparison
//! - `rules`    the tables of docs/GROUPING.md
//! - `sources`  the files of this project as texts
//! - `survey`   surveys in a comparable form
//! - `tables`   an address space made of page tables
//! - `targets`  fuzz targets
//! - `world`    a process made of texts
//!
//! `counting` is the allocator of `tests/budget.rs`; only that binary includes it.
// Every test binary uses a part of this module.
#![allow(dead_code, unreachable_pub)]

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub mod child;
pub mod failures;
pub mod gpu;
pub mod groups;
pub mod made_host;
pub mod model;
pub mod readers;
pub mod reports;
pub mod rules;
pub mod sources;
pub mod survey;
pub mod tables;
pub mod targets;
pub mod world;

/// The maximum duration of one run of the program: far more than it needs, so that a busy machine
/// does not fail a test, and short enough that a hang fails soon.
pub const RUN_LIMIT: Duration = Duration::from_secs(60);

/// The fake `/proc` trees under `tests/data/procfs`.
pub const TREES: [&str; 14] = [
    "empty",
    "grouped",
    "hollow",
    "hugetlb",
    "kernel-threads",
    "malformed",
    "mappings",
    "names",
    "no-rollup",
    "no-smaps",
    "ordinary",
    "recorded",
    "scripts",
    "vanished",
];

/// A path below `tests/data`.
pub fn data(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(below)
}

/// A fake `/proc`.
pub fn tree(name: &str) -> PathBuf {
    data("procfs").join(name)
}

/// The files of a directory, sorted by name.
pub fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{dir:?}: {error}"));
    let mut files: Vec<(String, Vec<u8>)> = entries
        .map(|entry| entry.expect("a directory entry"))
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| {
            let name = entry.file_name().into_string().expect("names of ours are UTF-8");
            (name, std::fs::read(entry.path()).expect("a file of ours can be read"))
        })
        .collect();
    files.sort();
    files
}

/// Every smaps text of the corpus.
pub fn corpus() -> Vec<(String, Vec<u8>)> {
    let mut corpus = files(&data("corpus"));
    corpus.retain(|(name, _)| name.ends_with(".smaps") || name.ends_with(".smaps_rollup"));
    assert!(corpus.len() > 40, "the corpus is missing: {} texts", corpus.len());
    corpus
}

/// A table of tab-separated values with a header: rows with access by column name.
pub struct Table {
    head: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn read(path: &Path) -> Table {
        let text =
            std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let split = |line: &str| line.split('\t').map(str::to_owned).collect();
        let mut lines = text.lines();
        let head = split(lines.next().expect("a head"));
        Table { head, rows: lines.map(split).collect() }
    }

    pub fn get<'row>(&self, row: &'row [String], column: &str) -> &'row str {
        let place = self.head.iter().position(|name| name == column);
        &row[place.unwrap_or_else(|| panic!("no column {column}"))]
    }

    /// A figure; `None` for `-`.
    pub fn figure(&self, row: &[String], column: &str) -> Option<u64> {
        let text = self.get(row, column);
        (text != "-").then(|| text.parse().unwrap_or_else(|_| panic!("{column}: {text}")))
    }
}

/// Random numbers, reproducible from a seed (SplitMix64).
pub struct Rng(u64);

impl Rng {
    /// From `PSM_SEED`, or from the clock. Prints the seed, so that a failure is reproducible.
    pub fn seeded() -> Rng {
        let seed = Rng::seed();
        // The harness captures this, and shows it only when the test fails.
        #[allow(clippy::print_stdout)]
        {
            println!("again with: PSM_SEED={seed}");
        }
        Rng(seed)
    }

    /// From a seed that the caller reports.
    pub fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    /// `PSM_SEED`, or a seed from the clock.
    pub fn seed() -> u64 {
        let clock = || {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.map_or(1, |time| u64::from(time.subsec_nanos()) << 20 ^ time.as_secs())
        };
        let given = std::env::var("PSM_SEED").ok().and_then(|seed| seed.parse().ok());
        given.unwrap_or_else(clock)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("below a usize")
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    pub fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// Writes a line to standard error, in one write so that lines of other threads do not split it.
/// The harness captures `eprintln!`, and hides it when the test passes.
pub fn say(what: &str) {
    let _ = std::io::stderr().write_all(format!("{what}\n").as_bytes());
}

/// Reports that a test, or a part of it, cannot run here, with the reason. `.ci/run` compares both
/// with `tests/skips.txt`.
pub fn skip(test: &str, why: &str) {
    say(&format!("SKIPPED {test}: {why}"));
}

/// One case of so many is enough in an emulated machine, which is too slow for all (`PSM_THIN`).
pub fn thinning() -> usize {
    std::env::var("PSM_THIN").map_or(1, |text| text.parse().expect("a number"))
}

/// The words of a line, with one blank between them.
pub fn cells(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The output and exit code of a run of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub code: Option<i32>,
}

impl Ran {
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// The rows of a table in KiB without its header and its total.
    pub fn rows(&self) -> Vec<Row> {
        assert_eq!(self.code, Some(0), "{}", self.stderr());
        let stdout = self.stdout();
        let rows = stdout.lines().filter(|line| !line.starts_with('#'));
        rows.map(|line| Row::parse(line).expect(line)).collect()
    }

    /// The value behind a key of `--stats`.
    pub fn stat(&self, key: &str) -> String {
        let text = self.stderr();
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.unwrap_or_else(|| panic!("no {key} in\n{text}")).trim().to_owned()
    }
}

/// A directory for temporary files of a test. Dropping it removes the directory with its content.
pub struct TempDir(PathBuf);

impl TempDir {
    /// Creates a directory with a unique path, for any name.
    pub fn new(name: &str) -> TempDir {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let (process, made) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(format!("psm-uring-{process}-{made}-{name}"));
        std::fs::create_dir_all(&path).expect("a directory of ours");
        TempDir(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Copies files and directories; skips links.
pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory of ours");
    for entry in std::fs::read_dir(from).expect("a fixture") {
        let entry = entry.expect("a directory entry");
        let (kind, to) = (entry.file_type().expect("a kind"), to.join(entry.file_name()));
        if kind.is_dir() {
            copy_dir(&entry.path(), &to);
        } else if kind.is_file() {
            std::fs::copy(entry.path(), to).expect("a file of ours");
        }
    }
}

/// Creates a FIFO; an open of it blocks for ever without a writer.
pub fn make_fifo(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
}

/// A row of a table in KiB.
pub struct Row {
    pub ram: u64,
    pub shared: u64,
    pub name: String,
}

impl Row {
    fn parse(line: &str) -> Option<Row> {
        let mut cells = line.trim_start().splitn(2, ' ');
        let ram = cells.next()?.parse().ok()?;
        let rest = cells.next()?.trim_start();
        let (shared, name) = rest.split_once("  ")?;
        Some(Row { ram, shared: shared.parse().ok()?, name: name.trim_start().to_owned() })
    }
}

/// The program as a command for fixtures with short paths, without a terminal.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_psm-uring"));
    command
        .current_dir(data("procfs"))
        .stdin(Stdio::null())
        .env("COLUMNS", "100")
        .env("LC_ALL", "C.UTF-8");
    command
}

/// Runs the program with these arguments.
pub fn run<I: IntoIterator<Item: AsRef<OsStr>>>(arguments: I) -> Ran {
    let mut command = program();
    command.args(arguments);
    output(command)
}

/// Runs a command to its end, for at most [`RUN_LIMIT`].
pub fn output(mut command: Command) -> Ran {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // Both pipes are drained at once: a full pipe blocks the child.
    let stdout = collect(child.stdout.take().expect("piped"));
    let stderr = collect(child.stderr.take().expect("piped"));
    let status = wait(&mut child, &command);
    let bytes = |thread: std::thread::JoinHandle<Vec<u8>>| thread.join().expect("no panic");
    Ran { stdout: bytes(stdout), stderr: bytes(stderr), code: status.code() }
}

fn collect(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).expect("a pipe can be read");
        bytes
    })
}

/// Waits for a child, and ends it at the timeout.
pub fn wait(child: &mut std::process::Child, command: &Command) -> ExitStatus {
    let ended = until(RUN_LIMIT, || child.try_wait().expect("a child of ours"));
    ended.unwrap_or_else(|| {
        let _ = child.kill();
        let _ = child.wait();
        panic!("{command:?} did not end within {RUN_LIMIT:?}")
    })
}

/// Calls a function repeatedly until it returns a value or the time is over.
pub fn until<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    loop {
        let answer = look();
        if answer.is_some() || began.elapsed() > limit {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Checks that the error message is one line and contains these words.
pub fn assert_one_line(ran: &Ran, words: &str) {
    let text = ran.stderr();
    assert!(text.starts_with("psm-uring: ") && text.contains(words), "{text}");
    assert_eq!((text.matches('\n').count(), text.ends_with('\n')), (1, true), "{text}");
}
