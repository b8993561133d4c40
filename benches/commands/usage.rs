//! One run of a command: its output, its exit, its usage. Knows no command.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{Read, Seek};
use std::mem::MaybeUninit;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use psm_uring::commands::bench::record::{Figure, Sample, ns};
use psm_uring::sys::this_process::{duration, switches_of};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, PidfdFlags};

/// Far more than the slowest command takes. A command that does not end is killed.
const LIMIT: Timespec = Timespec { tv_sec: 120, tv_nsec: 0 };

/// A finished command.
pub(crate) struct Ran {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) is_success: bool,
    /// Time and memory, including its threads and the children that it waited for.
    pub(crate) usage: Sample,
}

/// Runs a command to its end. It writes to memory, so that no reader runs beside it.
pub(crate) fn run(command: &mut Command) -> Result<Ran, String> {
    let program = command.get_program().display().to_string();
    let failed = |error: std::io::Error| format!("{program}: {error}");
    let [mut stdout, mut stderr] = [memory().map_err(failed)?, memory().map_err(failed)?];
    command
        .stdin(Stdio::null())
        .stdout(stdout.try_clone().map_err(failed)?)
        .stderr(stderr.try_clone().map_err(failed)?);
    let began = Instant::now();
    let mut child = command.spawn().map_err(failed)?;
    let ended = wait(&mut child).map_err(failed)?;
    let wall = began.elapsed();
    let (status, usage) = ended.ok_or_else(|| format!("{program}: killed after {LIMIT:?}"))?;
    let [waited, preempted] = switches_of(&usage);
    let [user, system] = [usage.ru_utime, usage.ru_stime].map(duration);
    let usage = Sample::from([
        (Figure::WallNs, ns(wall)),
        (Figure::CpuNs, ns(user + system)),
        (Figure::UserNs, ns(user)),
        (Figure::VoluntarySwitches, waited),
        (Figure::InvoluntarySwitches, preempted),
        (Figure::MaxRssKib, u64::try_from(usage.ru_maxrss).unwrap_or(0)),
    ]);
    let [stdout, stderr] = [text(&mut stdout).map_err(failed)?, text(&mut stderr).map_err(failed)?];
    Ok(Ran { stdout, stderr, is_success: status == 0, usage })
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

/// Status and usage of the child after its end; `None` if it had to be killed.
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
    // SAFETY: both pointers are to locals of the types that the kernel writes.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
    if waited != pid {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: all-zero bytes are an rusage, and the kernel has filled it in.
    Ok((status, unsafe { usage.assume_init() }))
}
