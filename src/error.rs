//! The reasons for a run without a report, each on one line: what failed, why, and the remedy.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::units::{Errno, Pid};

/// The remedy for processes that `hidepid` hides.
pub const HIDEPID_REMEDY: &str = "try as root, or as a member of the group in its option gid";

/// The remedy for a directory without processes.
const MOUNT_REMEDY: &str =
    "mount proc there (mount -t proc proc /proc) or name another with --proc-root";

/// The remedy for a file that cannot be used.
const FILE_REMEDY: &str = "choose another file";

/// The remedy if no thread, process or worker of a ring can be started.
const THREADS_REMEDY: &str =
    "allow more threads (ulimit -u, pids.max of the cgroup): none could be started";

/// The end of a run without a report.
#[derive(Debug)]
pub enum Error {
    /// The command line is wrong.
    Usage(String),
    /// The directory of processes has no processes.
    NoProcesses(PathBuf),
    /// The directory of processes cannot be opened.
    NoProc(PathBuf, Errno),
    /// The directory of processes cannot be listed.
    Listing(PathBuf, Errno),
    /// The memory of the host cannot be read.
    NoMeminfo(PathBuf, Errno),
    /// None of the processes named by id exists.
    NoSuchProcess(Vec<Pid>),
    /// None of the processes named by id is listed: this mount option may hide them.
    Hidden(Vec<Pid>, String),
    /// No process of this directory could be read; the first one, and its error.
    NothingRead(PathBuf, Pid, Errno),
    /// No process could be measured, so there is no total; the missing processes and the reasons.
    NoTotal(String),
    /// The kernel has no rollup, and no other source was allowed.
    NoRollup,
    /// `bench` cannot measure.
    Bench(String),
    /// A file cannot be used: the attempt, the path, the reason, the remedy.
    File(&'static str, PathBuf, String, &'static str),
    /// `--engine uring` was given, and io_uring is not available or failed.
    Ring(Errno),
    /// Standard output refuses the report.
    Output(Errno),
}

impl Error {
    /// An option that means nothing without another one.
    pub fn needs(option: &str, other: &str) -> Error {
        Error::Usage(format!("{option} needs {other}: add it, or leave out {option}"))
    }

    /// A file named by the caller cannot be used.
    pub fn file(what: &'static str, path: &Path, why: &dyn fmt::Display) -> Error {
        Error::File(what, path.to_owned(), why.to_string(), FILE_REMEDY)
    }

    /// The same for a reason that may be an errno of the kernel, which has its own remedy.
    pub fn refused(what: &'static str, path: &Path, why: impl Into<io::Error>) -> Error {
        let why = why.into();
        let errno = why.raw_os_error().map(Errno);
        let remedy = errno.and_then(remedy).unwrap_or(FILE_REMEDY);
        Error::File(what, path.to_owned(), why.to_string(), remedy)
    }

    /// The reason why io_uring is not available, and the remedy.
    pub fn no_ring(errno: Errno) -> String {
        format!("io_uring is not available: {errno}; {}", ring_remedy(errno))
    }

    /// 2 for a usage error, 1 for every other error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) => 2,
            _ => 1,
        }
    }

    /// Whether the reader of the output closed the pipe, which needs no message.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Error::Output(Errno(libc::EPIPE)))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Usage(message) => f.write_str(message),
            Error::NoProcesses(path) => write!(
                f,
                "{} is not a proc filesystem: it has no processes; {MOUNT_REMEDY}",
                path.display()
            ),
            Error::NoProc(path, errno) => write!(
                f,
                "cannot open {} as a directory of processes: {errno}; {}",
                path.display(),
                remedy(*errno).unwrap_or(MOUNT_REMEDY)
            ),
            Error::Listing(path, errno) => write!(
                f,
                "cannot list the processes of {}: {errno}; {}",
                path.display(),
                remedy(*errno)
                    .unwrap_or("check that it is a mounted proc filesystem and can be read")
            ),
            Error::NoMeminfo(path, errno) => write!(
                f,
                "cannot read {}: {errno}; {}",
                path.display(),
                remedy(*errno)
                    .unwrap_or("check that it is of a whole proc filesystem, or leave out --host")
            ),
            Error::NoSuchProcess(pids) => write!(
                f,
                "no process with id {}: it ended, or belongs to another PID namespace; list ids \
                 with --by pid",
                list(pids)
            ),
            Error::Hidden(pids, option) => write!(
                f,
                "no process with id {} is listed: it ended, or the mount option {option} of proc \
                 hides it; {HIDEPID_REMEDY}",
                list(pids)
            ),
            Error::NothingRead(path, pid, errno) => write!(
                f,
                "could not read any process (first: PID {pid}): {errno}; {}",
                remedy(*errno).unwrap_or(process_remedy(path == Path::new("/proc")))
            ),
            Error::NoTotal(missing) => write!(f, "no total: {missing}"),
            Error::NoRollup => f.write_str(
                "this kernel has no smaps_rollup (it came with 4.14); leave out --source rollup",
            ),
            Error::File(what, path, why, remedy) => {
                write!(f, "cannot {what}: {}: {why}; {remedy}", path.display())
            }
            Error::Bench(why) => f.write_str(why),
            Error::Ring(errno) => {
                write!(f, "{}, or leave out --engine uring", Error::no_ring(*errno))
            }
            Error::Output(errno) => write!(
                f,
                "cannot write the report to standard output: {errno}; the output is \
                 incomplete; check its destination (disk full, descriptor closed)"
            ),
        }
    }
}

impl std::error::Error for Error {}

fn list(pids: &[Pid]) -> String {
    pids.iter().map(Pid::to_string).collect::<Vec<_>>().join(", ")
}

/// The remedy if a resource that every file needs ran out; `None` for errors of the file itself.
pub fn remedy(errno: Errno) -> Option<&'static str> {
    Some(match errno.0 {
        libc::EMFILE => "raise the limit of open files (ulimit -n)",
        libc::ENFILE => "raise the host's limit of open files (sysctl fs.file-max)",
        libc::ENOMEM => {
            "free memory, or raise the limits (ulimit -v, ulimit -d, memory of the cgroup)"
        }
        _ => return None,
    })
}

/// The remedy for an error of one process, in `/proc` or in a directory that replaces it.
pub fn process_remedy(is_proc: bool) -> &'static str {
    if is_proc {
        "run it again, and report it if the error stays"
    } else {
        "check the directory that --proc-root names"
    }
}

/// The same for the start of a thread or a process.
pub fn start_remedy(errno: Errno) -> Option<&'static str> {
    if errno.0 == libc::EAGAIN { Some(THREADS_REMEDY) } else { remedy(errno) }
}

/// The remedy for io_uring, by its errno (io_uring/io_uring.c).
fn ring_remedy(errno: Errno) -> &'static str {
    match errno.0 {
        libc::ENOSYS => {
            "use a kernel with io_uring (5.11 or newer), or a seccomp profile that allows it"
        }
        libc::EPERM | libc::EACCES => {
            "set sysctl kernel.io_uring_disabled=0, or allow io_uring in the seccomp profile"
        }
        libc::ENOMEM => "raise the limits of locked and of other memory (ulimit -l, -v, -d)",
        libc::ECANCELED => THREADS_REMEDY,
        _ => start_remedy(errno).unwrap_or(
            "use a newer kernel (5.11 at least, 5.19 for all features), or a seccomp profile that \
             allows it",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever file was opened: another file would not help.
    #[test]
    fn a_lack_of_descriptors_has_its_remedy() {
        let path = || PathBuf::from("x");
        for (errno, remedy) in [(libc::EMFILE, "(ulimit -n)"), (libc::ENFILE, "fs.file-max)")] {
            let errno = Errno(errno);
            for error in [
                Error::NoProc(path(), errno),
                Error::Listing(path(), errno),
                Error::NoMeminfo(path(), errno),
                Error::NothingRead(path(), Pid(7), errno),
                Error::refused("read", &path(), errno),
            ] {
                let text = error.to_string();
                assert!(text.ends_with(remedy), "{text}");
            }
            assert!(Error::Ring(errno).to_string().contains(remedy));
        }
        let text = Error::refused("read", &path(), Errno::NOENT).to_string();
        assert!(text.ends_with("; choose another file"), "{text}");
    }

    #[test]
    fn a_lack_of_memory_names_every_limit() {
        let read = Error::NothingRead("x".into(), Pid(7), Errno::NOMEM).to_string();
        assert!(read.contains("ulimit -v") && read.contains("ulimit -d"), "{read}");
        let ring = Error::no_ring(Errno::NOMEM);
        assert!(["-l", "-v", "-d"].iter().all(|limit| ring.contains(limit)), "{ring}");
    }

    /// `EAGAIN` of a thread means a limit, of a file that it has no data yet.
    #[test]
    fn eagain_is_not_a_lack_of_memory() {
        let again = Errno(libc::EAGAIN);
        let text = Error::NoMeminfo("x".into(), again).to_string();
        assert!(!text.contains("memory, or") && text.contains("--host"), "{text}");
        assert!(Error::no_ring(again).contains("pids.max"));
        assert!(start_remedy(again).is_some_and(|text| text.contains("pids.max")));
        assert_eq!(start_remedy(Errno::NOMEM), remedy(Errno::NOMEM));
    }
}
