//! Why there is no report. One line each: what, why, what to do about it.
#![forbid(unsafe_code)]

use std::fmt;
use std::path::{Path, PathBuf};

use crate::units::{Errno, Pid, Reason};

/// What makes processes visible that `hidepid` hides.
pub const HIDEPID_REMEDY: &str = "try as root, or with CAP_SYS_PTRACE";

/// What makes a directory of processes.
const MOUNT_REMEDY: &str =
    "mount proc there (mount -t proc proc /proc) or name another with --proc-root";

/// What helps where it is a matter of the file.
const FILE_REMEDY: &str = "name another file";

/// What lets a thread, a process or a worker of a ring begin.
const THREADS_REMEDY: &str =
    "allow more threads (ulimit -u, pids.max of the cgroup): none could be started";

/// The end of a run without a report.
#[derive(Debug)]
pub enum Error {
    /// The command line makes no sense.
    Usage(String),
    /// There is not one process in the directory of processes.
    NoProcesses(PathBuf),
    /// There is no directory of processes to be read.
    NoProc(PathBuf, Errno),
    /// The directory of processes cannot be listed.
    Listing(PathBuf, Errno),
    /// There is no account of the machine's memory.
    NoMeminfo(PathBuf, Errno),
    /// None of the processes asked for by id exists.
    NoSuchProcess(Vec<Pid>),
    /// None of them is shown: this mount option may hide them.
    Hidden(Vec<Pid>, String),
    /// Not one process could be read, and this is why.
    NothingRead(Pid, Errno),
    /// There is no sum, because not one process could be measured; what is missing, and why.
    NoTotal(String),
    /// No process has a rollup, and nothing else was to be read.
    NoRollup,
    /// An engine measured this many processes where another measured that many or all.
    NotTheSame(&'static str, usize, usize),
    /// `bench` cannot measure what it was asked to.
    Bench(String),
    /// A file cannot be used: what was tried, where, why not, and what to do.
    File(&'static str, PathBuf, String, &'static str),
    /// `--engine uring` was asked for by name, and io_uring cannot be had or failed.
    Ring(Errno),
    /// Standard output does not take the report.
    Output(Errno),
}

/// What every run may end with besides a report (`docs`: README, "Exit codes").
impl Error {
    /// A file that the caller named cannot be used.
    pub fn file(what: &'static str, path: &Path, why: &dyn fmt::Display) -> Error {
        Error::File(what, path.to_owned(), why.to_string(), FILE_REMEDY)
    }

    /// The same, where it may be the kernel that says no.
    pub fn refused(what: &'static str, path: &Path, why: &dyn Reason) -> Error {
        let remedy = why.errno().and_then(remedy).unwrap_or(FILE_REMEDY);
        Error::File(what, path.to_owned(), why.to_string(), remedy)
    }

    /// Why io_uring cannot be had, and what would help.
    pub fn no_ring(errno: Errno) -> String {
        format!("io_uring cannot be used: {errno}; {}", ring_remedy(errno))
    }

    /// 2 for a wrong call, 1 for everything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) => 2,
            _ => 1,
        }
    }

    /// Whether the reader of our output just left, which needs no message.
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
                "there are no processes in {}: it is no proc file system; {MOUNT_REMEDY}",
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
                    .unwrap_or("check that it is a mounted proc file system and may be read")
            ),
            Error::NoMeminfo(path, errno) => write!(
                f,
                "cannot read {}: {errno}; {}",
                path.display(),
                remedy(*errno).unwrap_or(
                    "check that --proc-root is a whole proc file system, or leave out --summary"
                )
            ),
            Error::NoSuchProcess(pids) => write!(
                f,
                "no process with id {}: gone, or another PID namespace; see the ids with --by pid",
                list(pids)
            ),
            Error::Hidden(pids, option) => write!(
                f,
                "no process with id {} is shown: gone, or hidden by the mount option {option} of \
                 proc; {HIDEPID_REMEDY}",
                list(pids)
            ),
            Error::NothingRead(pid, errno) => write!(
                f,
                "no process could be read, PID {pid} for one: {errno}; {}",
                remedy(*errno).unwrap_or("look at what --proc-root names")
            ),
            Error::NoTotal(missing) => write!(f, "there is no total: {missing}"),
            Error::NoRollup => f.write_str(
                "this kernel has no smaps_rollup (it came with 4.14); leave out --source rollup",
            ),
            Error::NotTheSame(engine, measured, most) => write!(
                f,
                "the engines did not do the same work: {engine} measured {measured} processes, \
                 another {most}; run it again when fewer processes come and go"
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
                "cannot write the report to standard output: {errno}; it is incomplete, check \
                 where it goes (disk full, descriptor closed)"
            ),
        }
    }
}

impl std::error::Error for Error {}

fn list(pids: &[Pid]) -> String {
    pids.iter().map(Pid::to_string).collect::<Vec<_>>().join(", ")
}

/// What helps when something ran out that every file needs; `None` when it is a matter of what was
/// to be had.
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

/// The same where a thread or a process was to be started.
pub fn start_remedy(errno: Errno) -> Option<&'static str> {
    if errno.0 == libc::EAGAIN { Some(THREADS_REMEDY) } else { remedy(errno) }
}

/// What to change so that io_uring works, by the errno it answers with (io_uring/io_uring.c).
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
            "use a newer kernel (5.11 at the least, 5.19 for all of it), or a seccomp profile that \
             allows it",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever was to be opened: to name another would not help.
    #[test]
    fn a_lack_of_descriptors_has_its_remedy() {
        let path = || PathBuf::from("x");
        for (errno, remedy) in [(libc::EMFILE, "(ulimit -n)"), (libc::ENFILE, "fs.file-max)")] {
            let errno = Errno(errno);
            for error in [
                Error::NoProc(path(), errno),
                Error::Listing(path(), errno),
                Error::NoMeminfo(path(), errno),
                Error::NothingRead(Pid(7), errno),
                Error::refused("read", &path(), &errno),
            ] {
                let told = error.to_string();
                assert!(told.ends_with(remedy), "{told}");
            }
            assert!(Error::Ring(errno).to_string().contains(remedy));
        }
        let told = Error::refused("read", &path(), &Errno::NOENT).to_string();
        assert!(told.ends_with("; name another file"), "{told}");
    }

    /// Both limits count what is taken at once, and either may be the one.
    #[test]
    fn a_lack_of_memory_names_every_limit() {
        let read = Error::NothingRead(Pid(7), Errno::NOMEM).to_string();
        assert!(read.contains("ulimit -v") && read.contains("ulimit -d"), "{read}");
        let ring = Error::no_ring(Errno::NOMEM);
        assert!(["-l", "-v", "-d"].iter().all(|limit| ring.contains(limit)), "{ring}");
    }

    /// It says of a thread that none is to be had, and of a file that nothing is there yet.
    #[test]
    fn what_may_be_tried_again_is_no_lack_of_memory() {
        let again = Errno(libc::EAGAIN);
        let told = Error::NoMeminfo("x".into(), again).to_string();
        assert!(!told.contains("memory, or") && told.contains("--proc-root"), "{told}");
        assert!(Error::no_ring(again).contains("pids.max"));
        assert!(start_remedy(again).is_some_and(|told| told.contains("pids.max")));
        assert_eq!(start_remedy(Errno::NOMEM), remedy(Errno::NOMEM));
    }
}
