//! The processes of `zoo.c`, which this module compiles once. Dropping one ends it with its
//! children, and removes the shared memory that outlives them.

use std::fs::{File, read_to_string};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use psm_uring::units::Pid;

use super::support::until;

/// Names a compiled `zoo.c`, for hosts without a compiler.
const COMPILED: &str = "PSM_ZOO";
/// KSM scans for seconds.
const READY_LIMIT: Duration = Duration::from_secs(60);
const END_LIMIT: Duration = Duration::from_secs(20);

/// A process with memory of one kind, and its children.
pub struct Zoo {
    child: Child,
    pids: Vec<Pid>,
}

impl Zoo {
    /// Starts a process with these words of `zoo.c` and waits until it has its memory. The error
    /// names the memory that the host lacks.
    pub fn start(words: &[&str]) -> Result<Zoo, String> {
        Zoo::start_by(Command::new(program()?), words)
    }

    /// The same, inside a control group from the exec on, so that all its pages count there.
    pub fn start_in(group: &Path, words: &[&str]) -> Result<Zoo, String> {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ >\"$0\"/cgroup.procs && exec \"$@\""]);
        command.arg(group).arg(program()?);
        Zoo::start_by(command, words)
    }

    fn start_by(mut command: Command, words: &[&str]) -> Result<Zoo, String> {
        command.args(words).current_dir(work_dir()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a process of ours");
        let stdout = child.stdout.take().expect("piped");
        let mut zoo = Zoo { child, pids: Vec::new() };
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(stdout).read_line(&mut line);
            sender.send(line)
        });
        let line = receiver.recv_timeout(READY_LIMIT);
        let line = line.unwrap_or_else(|_| panic!("zoo {words:?} is not ready"));
        let (word, rest) = line.trim_end().split_once(' ').unwrap_or_default();
        match word {
            "ready" => zoo.pids.extend(rest.split(' ').filter_map(|id| Pid::parse(id.as_bytes()))),
            "cannot" => return Err(rest.to_owned()),
            _ => panic!("zoo {words:?} printed {line:?}"),
        }
        Ok(zoo)
    }

    /// The process, then its children.
    pub fn pids(&self) -> &[Pid] {
        &self.pids
    }
}

impl Drop for Zoo {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        if until(END_LIMIT, || self.child.try_wait().ok().flatten()).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let id = self.child.id();
        let _ = std::fs::remove_file(format!("/dev/shm/psm-uring-zoo.{id}"));
        for segment in segments().filter(|segment| segment.creator == u64::from(id)) {
            let Ok(zoo) = program() else { continue };
            let _ = Command::new(zoo).args(["remove", &segment.id.to_string()]).status();
        }
    }
}

/// A segment of shared memory of System V.
pub struct Segment {
    pub id: u64,
    /// It ends with the last process that maps it.
    pub is_removed: bool,
    creator: u64,
}

/// The segments of this host: key, id, permissions in octal, size, creator.
pub fn segments() -> impl Iterator<Item = Segment> {
    const SHM_DEST: u64 = 0o1000;
    let text = read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let parse = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let permissions = u64::from_str_radix(words.get(2)?, 8).ok()?;
        let is_removed = permissions & SHM_DEST != 0;
        Some(Segment { id: words[1].parse().ok()?, is_removed, creator: words[4].parse().ok()? })
    };
    text.lines().filter_map(parse).collect::<Vec<_>>().into_iter()
}

/// The directory of the program and of its files.
fn work_dir() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    if dir.is_dir() { dir.to_owned() } else { std::env::temp_dir() }
}

/// The path of the compiled program, for a user whose tests can use it.
fn program() -> Result<PathBuf, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let build = || match std::env::var_os(COMPILED) {
        _ if !shows_frames() => Err("only root may read the numbers of page frames".to_owned()),
        Some(path) => Ok(path.into()),
        None => compile(),
    };
    BUILT.get_or_init(build).clone()
}

/// Compiles it statically: the pages of shared libraries count differently while other programs
/// start and exit.
fn compile() -> Result<PathBuf, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pagemap/zoo.c");
    let built = work_dir().join(format!("zoo.{}", std::process::id()));
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-Wall", "-Wextra", "-static", "-o"]).arg(&built).arg(source);
    let output = cc.output().map_err(|_| "there is no C compiler".to_owned())?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("zoo.c: {}", errors.lines().next().unwrap_or_default()));
    }
    // Another run of the tests may use the old one.
    let program = work_dir().join("zoo");
    std::fs::rename(&built, &program).expect("a file of ours");
    Ok(program)
}

/// Whether this process sees the numbers of page frames and their counts.
fn shows_frames() -> bool {
    let byte = std::hint::black_box([1_u8]);
    let page = byte.as_ptr().addr() / rustix::param::page_size();
    let mut entry = [0; 8];
    let read = File::open("/proc/self/pagemap")
        .and_then(|file| file.read_exact_at(&mut entry, page as u64 * 8));
    let has_number = read.is_ok() && u64::from_ne_bytes(entry) << 9 != 0;
    has_number && File::open("/proc/kpagecount").is_ok()
}
