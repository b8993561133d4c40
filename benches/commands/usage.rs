//! One run of a command: what it printed, how it ended, and what it used. Knows no command.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{Read, Seek};
use std::mem::MaybeUninit;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use psm_uring::sys::this_process::duration;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, PidfdFlags};

/// Far more than the slowest command takes: one that does not end is ended.
const LIMIT: Timespec = Timespec { tv_sec: 120, tv_nsec: 0 };

/// What a command did and used, its threads and those children that it waited for included.
pub(crate) struct Ran {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) is_success: bool,
    pub(crate) wall: Duration,
    pub(crate) user: Duration,
    pub(crate) system: Duration,
    /// `ru_maxrss`. Begins with what this process had resident when it started the command.
    pub(crate) peak_kib: u64,
}

/// Runs a command to its end. It writes to memory, so that nobody has to read while it runs.
pub(crate) fn run(command: &mut Command) -> Result<Ran, String> {
    let program = command.get_program().display().to_string();
    let told = |error: std::io::Error| format!("{program}: {error}");
    let [mut stdout, mut stderr] = [memory().map_err(told)?, memory().map_err(told)?];
    command
        .stdin(Stdio::null())
        .stdout(stdout.try_clone().map_err(told)?)
        .stderr(stderr.try_clone().map_err(told)?);
    let began = Instant::now();
    let mut child = command.spawn().map_err(told)?;
    let ended = wait(&mut child).map_err(told)?;
    let wall = began.elapsed();
    let (status, usage) = ended.ok_or_else(|| format!("{program}: ended after {LIMIT:?}"))?;
    Ok(Ran {
        stdout: text(&mut stdout).map_err(told)?,
        stderr: text(&mut stderr).map_err(told)?,
        is_success: status == 0,
        wall,
        user: duration(usage.ru_utime),
        system: duration(usage.ru_stime),
        peak_kib: u64::try_from(usage.ru_maxrss).unwrap_or(0),
    })
}

fn memory() -> std::io::Result<File> {
    Ok(File::from(rustix::fs::memfd_create("output", MemfdFlags::CLOEXEC)?))
}

fn text(file: &mut File) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Status and usage of the child, once it has ended; `None` when it had to be ended.
fn wait(child: &mut Child) -> std::io::Result<Option<(i32, libc::rusage)>> {
    let ended = rustix::process::pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let mut fds = [PollFd::new(&ended, PollFlags::IN)];
    let is_ended = rustix::event::poll(&mut fds, Some(&LIMIT))? > 0;
    if !is_ended {
        child.kill()?;
    }
    let used = wait4(child)?;
    Ok(is_ended.then_some(used))
}

fn wait4(child: &Child) -> std::io::Result<(i32, libc::rusage)> {
    let pid = Pid::from_child(child).as_raw_nonzero().get();
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are valid for writes of what the kernel writes there.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
    if waited != pid {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: all-zero bytes are an rusage, and the kernel has filled it in.
    Ok((status, unsafe { usage.assume_init() }))
}
