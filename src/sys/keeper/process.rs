//! The keeper itself.
//!
//! Its first thread starts the threads of channels. An open can wait for a stuck exec, and then
//! holds one of them.

use std::collections::BTreeMap;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Weak};

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, accessat, openat};
use rustix::io::retry_on_intr;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::path::DecInt;
use rustix::process::{Pid as RawPid, Signal, getppid, set_parent_process_death_signal};
use rustix::thread::CapabilitySet;

use super::channel::{BAD_REQUEST, ServedChannel};
use super::protocol::{KeeperRequest, Kind, NO_OPENER, Reply};
use super::{drop_to, filter};
use crate::process::ProcFile;
use crate::sys::{memory, this_process, threads};
use crate::units::{Errno, Pid};

/// The exit code when the keeper cannot be confined.
const NOT_CONFINED: u8 = 4;
/// The stack of a thread that opens: no call chain is deep.
const STACK_BYTES: usize = 64 * 1024;
/// About the number of descriptors of files that are not yet sent, and of channels.
const DESCRIPTORS: usize = 256;
/// The maximum number of threads: those of a ring, and of the threads of the parser.
const THREADS_MAX: usize = 4096;

/// Confines the process and serves the parser until that ends.
pub(super) fn run(control: &OwnedFd, parser: RawPid, capability: CapabilitySet) -> ! {
    let Ok(proc) = confine(control, parser, capability) else { this_process::exit(NOT_CONFINED) };
    serve_control(control, &proc)
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
    // A request must not take the CPU from the reads of the parser.
    threads::set_batch(true);
    this_process::raise_file_limit();
    this_process::reserve_descriptors(DESCRIPTORS, proc.as_fd());
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

/// Starts a thread per packet: on a new channel, whose socket comes with it, or on an old one.
fn serve_control(control: &OwnedFd, proc: &Arc<OwnedFd>) -> ! {
    let mut channels = BTreeMap::<u32, Weak<ServedChannel>>::new();
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut number = [0; 4];
        let slices = &mut [IoSliceMut::new(&mut number)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = retry_on_intr(|| recvmsg(control, slices, &mut ancillary, flags));
        match received.map_or(0, |received| received.bytes) {
            4 => {}
            0 => this_process::exit(0), // The parser has ended.
            _ => this_process::exit(BAD_REQUEST),
        }
        let number = u32::from_ne_bytes(number);
        let sockets = ancillary.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
            _ => None,
        });
        if let Some(socket) = sockets.flatten().next() {
            let channel = Arc::new(ServedChannel::new(socket));
            start_opener(&channel, proc);
            channels.retain(|_, channel| channel.strong_count() > 0);
            channels.insert(number, Arc::downgrade(&channel));
        } else if let Some(channel) = channels.get(&number).and_then(Weak::upgrade) {
            start_opener(&channel, proc);
        }
    }
}

/// Starts a thread for a channel, or tells the parser that there is none.
fn start_opener(channel: &Arc<ServedChannel>, proc: &Arc<OwnedFd>) {
    let (own, own_proc) = (Arc::clone(channel), Arc::clone(proc));
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    // Every thread holds its own reference.
    let is_room = Arc::strong_count(proc) < THREADS_MAX;
    if !is_room || thread.spawn(move || own.serve(own_proc.as_fd())).is_err() {
        let _ = channel.send(vec![Reply { tag: NO_OPENER, result: Err(Errno(libc::EAGAIN)) }]);
    }
}

/// Opens a file of a process, or compares two.
pub(super) fn answer(
    request: KeeperRequest,
    proc: BorrowedFd<'_>,
) -> Result<Option<OwnedFd>, Errno> {
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
