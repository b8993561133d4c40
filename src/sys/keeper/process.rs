//! The keeper itself.
//!
//! Its first thread receives the sockets of channels, once for each thread that is to open there.
//! That thread takes one request after another: an open can wait for a stuck exec, and
//! then holds one thread. Several threads of a channel take its requests in turn.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, accessat, openat};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recv, recvmsg, sendmsg,
};
use rustix::path::DecInt;
use rustix::process::{Pid as RawPid, Signal, getppid, set_parent_process_death_signal};
use rustix::thread::CapabilitySet;

use super::{KeeperRequest, Kind, NO_OPENER, THREADS_MAX, drop_to, encode_reply, filter};
use crate::process::ProcFile;
use crate::sys::{memory, this_process};
use crate::units::{Errno, Pid};

/// The exit code after a request that no parser sends.
const BAD_REQUEST: u8 = 3;
/// The exit code when the keeper cannot be confined.
const NOT_CONFINED: u8 = 4;
/// The stack of a thread that opens: no call chain is deep.
const STACK_BYTES: usize = 64 * 1024;

/// Confines the process and serves the parser until that ends.
pub(super) fn run(control: &OwnedFd, parser: RawPid, capability: CapabilitySet) -> ! {
    match confine(control, parser, capability) {
        Ok(proc) => serve_control(control, &proc),
        Err(_) => this_process::exit(NOT_CONFINED),
    }
}

/// Leaves the process `/proc`, one capability, and the system calls that it needs.
fn confine(
    control: &OwnedFd,
    parser: RawPid,
    capability: CapabilitySet,
) -> Result<Arc<OwnedFd>, Errno> {
    close_others(control.as_raw_fd());
    rustix::process::chdir(c"/")?;
    // With several heaps the C library would read the number of CPUs from a file.
    memory::share_one_heap();
    // A reader of standard output must not wait for this process.
    let null = openat(CWD, c"/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    // The terminal sends these to both processes, and the parser ends this one.
    for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP] {
        // SAFETY: an ignored signal runs no handler.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = openat(CWD, c"/proc", flags, Mode::empty())?;
    drop_to(capability)?;
    this_process::raise_file_limit();
    // After the last change of credentials, which clears it.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != Some(parser) {
        this_process::exit(0);
    }
    filter::apply()?;
    Ok(Arc::new(proc))
}

/// Closes all descriptors but the standard streams and one: a lock or a pipe of the caller must not
/// stay open here. Kernels before 5.9 cannot.
fn close_others(kept: RawFd) {
    let Ok(kept) = libc::c_uint::try_from(kept) else { return };
    for (first, last) in [(3, kept - 1), (kept + 1, libc::c_uint::MAX)] {
        // SAFETY: the call takes and returns only numbers, and nothing here owns these descriptors.
        unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    }
}

/// Starts a thread for each socket that arrives.
fn serve_control(control: &OwnedFd, proc: &Arc<OwnedFd>) -> ! {
    let threads = Arc::new(AtomicUsize::new(0));
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let slices = &mut [IoSliceMut::new(&mut byte)];
        match recvmsg(control, slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Ok(received) if received.bytes > 0 => {}
            Err(rustix::io::Errno::INTR) => continue,
            // The parser has ended.
            _ => this_process::exit(0),
        }
        let channels = ancillary.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(channels) => Some(channels),
            _ => None,
        });
        for channel in channels.flatten() {
            start_opener(channel, proc, &threads);
        }
    }
}

/// Starts a thread for a channel, or tells the parser that there is none.
fn start_opener(channel: OwnedFd, proc: &Arc<OwnedFd>, threads: &Arc<AtomicUsize>) {
    let channel = Arc::new(channel);
    let (proc, count, own) = (Arc::clone(proc), Arc::clone(threads), Arc::clone(&channel));
    let work = move || {
        serve(&own, proc.as_fd());
        count.fetch_sub(1, Ordering::Relaxed);
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    let is_room = threads.fetch_add(1, Ordering::Relaxed) < THREADS_MAX;
    if !is_room || thread.spawn(work).is_err() {
        threads.fetch_sub(1, Ordering::Relaxed);
        let _ = reply(&channel, NO_OPENER, libc::EAGAIN, None);
    }
}

/// Answers the requests of a channel until the parser closes it.
fn serve(channel: &OwnedFd, proc: BorrowedFd<'_>) {
    loop {
        // One byte more than a request shows packets that are too long.
        let mut bytes = [0; KeeperRequest::BYTES + 1];
        let received = match recv(channel, &mut bytes, RecvFlags::empty()) {
            Ok((0, _)) => return,
            Ok((len, _)) => &bytes[..len],
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
        };
        let Some(request) = KeeperRequest::decode(received) else {
            this_process::exit(BAD_REQUEST);
        };
        let (result, file) = match answer(request, proc) {
            Ok(file) => (0, file),
            Err(Errno(errno)) => (errno, None),
        };
        let sent = reply(channel, request.tag, result, file.as_ref().map(AsFd::as_fd));
        // Too many descriptors of this user are in flight, or memory is short.
        let sent = sent.or_else(|Errno(errno)| reply(channel, request.tag, errno, None));
        if sent.is_err() {
            return;
        }
    }
}

/// Sends a reply, with the descriptor if a file was opened.
fn reply(
    channel: &OwnedFd,
    tag: u64,
    result: i32,
    file: Option<BorrowedFd<'_>>,
) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let files = file.as_slice();
    if !files.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(files));
    }
    let bytes = encode_reply(tag, result);
    sendmsg(channel, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Opens a file of a process, or compares two.
fn answer(request: KeeperRequest, proc: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Errno> {
    let KeeperRequest { kind, pid, other, .. } = request;
    let task = Some(other).filter(|task| task.0 > 0);
    let file = match kind {
        Kind::SmapsRollup => ProcFile::SmapsRollup,
        Kind::Smaps => ProcFile::Smaps,
        Kind::ShareMemory => {
            may_see(proc, pid)?;
            may_see(proc, other)?;
            return match this_process::share_memory(pid, other) {
                Some(true) => Ok(None),
                Some(false) => Err(Errno::NOT_SUPPORTED),
                None => Err(Errno(libc::EPERM)),
            };
        }
    };
    may_see(proc, pid)?;
    let path = file.path(pid, task);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(Some(openat(proc, path.as_bytes(), flags, Mode::empty())?))
}

/// Whether the caller itself may see a process: access(2) asks with the real ids and without
/// capabilities, so the mount option `hidepid` stays in force.
fn may_see(proc: BorrowedFd<'_>, pid: Pid) -> Result<(), Errno> {
    let dir = DecInt::new(pid.0);
    Ok(accessat(proc, dir.as_c_str(), Access::EXISTS, AtFlags::empty())?)
}
