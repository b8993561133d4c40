//! The keeper ([`super::keeper`]) as the parser knows it: whether it lives, and how to ask it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::retry_on_intr;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv, recvmsg, send, sendmsg,
    socketpair,
};
use rustix::process::{Signal, WaitOptions};

use super::keeper::{KeeperRequest, Kind, NO_OPENER, PACKET_MAX, Reply};
use super::this_process;
use super::threads::{self, ThreadState};
use crate::process::{ProcFile, RelPath};
use crate::units::{Errno, Pid};

/// The maximum number of threads of a channel. Opens wait for a stuck exec, each in a thread.
const OPENERS_MAX: usize = 1024;
/// The wait for the end of the keeper.
const END_MAX: Duration = Duration::from_millis(5);
/// The pause between two looks for its end.
const REAP_PAUSE: Duration = Duration::from_micros(100);

static KEEPER: OnceLock<Keeper> = OnceLock::new();
static HAS_ENDED: AtomicBool = AtomicBool::new(false);
static CHANNELS: AtomicU32 = AtomicU32::new(0);

/// The running keeper.
pub(super) struct Keeper {
    pub(super) pid: Pid,
    pub(super) parser: Pid,
    pub(super) may_trace: bool,
    /// Passes the sockets of new channels.
    pub(super) control: OwnedFd,
}

/// The right of the keeper to open memory figures of other users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// `CAP_SYS_PTRACE`.
    Trace,
    /// `CAP_PERFMON` (Linux 6.15 or newer), which does not compare address spaces.
    Perfmon,
    /// The keeper could not be started, or has ended, for instance by a signal.
    Ended,
}

/// Records the keeper; `None` if it could not be started.
pub(super) fn set(keeper: Option<Keeper>) {
    match keeper {
        Some(keeper) => drop(KEEPER.set(keeper)),
        None => HAS_ENDED.store(true, Ordering::Relaxed),
    }
}

/// The right of the keeper; `None` if this process has none.
pub fn right() -> Option<Right> {
    if HAS_ENDED.load(Ordering::Relaxed) {
        return Some(Right::Ended);
    }
    Some(if KEEPER.get()?.may_trace { Right::Trace } else { Right::Perfmon })
}

/// Whether a keeper opens memory files.
pub fn has_keeper() -> bool {
    right().is_some_and(|right| right != Right::Ended)
}

/// Ends the keeper, and waits a moment for that: not every first process of a container reaps the
/// children of others. A keeper that waits for a stuck exec ends later.
pub fn end() {
    let Some(keeper) = KEEPER.get().and_then(|keeper| i32::try_from(keeper.pid.0).ok()) else {
        return;
    };
    let Some(pid) = rustix::process::Pid::from_raw(keeper) else { return };
    let _ = rustix::process::kill_process(pid, Signal::KILL);
    let until = Instant::now() + END_MAX;
    while Instant::now() < until {
        match rustix::process::waitpid(Some(pid), WaitOptions::NOHANG) {
            // A thread that yields can wait for seconds where others start all the time.
            Ok(None) => std::thread::sleep(REAP_PAUSE),
            Ok(Some(_)) | Err(_) => return,
        }
    }
}

/// Whether the two processes of each pair share an address space. Hands over each answer with the
/// place of its pair, as it arrives; none for pairs that neither this process nor its keeper may
/// compare. Waits for an exec of any of them.
pub fn share_memory(pairs: &[(Pid, Pid)], mut take: impl FnMut(usize, bool)) {
    let may_keeper = right() == Some(Right::Trace);
    let mut requests = Vec::new();
    for (place, (pid, other)) in pairs.iter().copied().enumerate() {
        match this_process::share_memory(pid, other) {
            Some(is_shared) => take(place, is_shared),
            None if may_keeper => {
                let (tag, kind) = (place as u64, Kind::ShareMemory);
                requests.push(KeeperRequest { tag, kind, pid, other });
            }
            None => {}
        }
    }
    for packet in requests.chunks(PACKET_MAX) {
        ask(packet, &mut |Reply { tag, result }| match (usize::try_from(tag), result) {
            (Ok(place), Ok(_)) => take(place, true),
            (Ok(place), Err(Errno::NOT_SUPPORTED)) => take(place, false),
            _ => {}
        });
    }
}

/// The process id of the keeper; `None` if this process has none.
pub(super) fn pid() -> Option<Pid> {
    KEEPER.get().map(|keeper| keeper.pid)
}

thread_local! {
    /// The channel of a thread that waits for each reply.
    static OWN: RefCell<Option<Channel>> = const { RefCell::new(None) };
}

/// Opens the memory file of a process of `/proc` through the keeper. `None` without a keeper: then
/// the caller's rights decide. Can wait forever, as the open itself.
pub(super) fn open_memory(path: &RelPath) -> Option<Result<OwnedFd, Errno>> {
    let request = KeeperRequest::open(path, 0)?;
    let mut opened = None;
    ask(&[request], &mut |reply| opened = Some(reply.result));
    opened.map(|result| result.and_then(|file| file.ok_or(Errno::MFILE)))
}

/// Sends a packet of requests, and hands over the replies as they arrive. If the keeper ends, the
/// rest gets none.
fn ask(packet: &[KeeperRequest], take: &mut dyn FnMut(Reply)) {
    OWN.with_borrow_mut(|own| {
        if own.is_none() {
            *own = spare().take().or_else(|| Channel::open(SendFlags::empty()));
        }
        let Some(channel) = own.as_mut() else {
            // A keeper without a channel means a lack of descriptors, not of rights.
            let result = || Err(Errno::MFILE);
            let of = |request: &KeeperRequest| Reply { tag: request.tag, result: result() };
            return packet.iter().filter(|_| has_keeper()).map(of).for_each(take);
        };
        let thread = threads::thread_id();
        askers().push(thread);
        let (mut replies, mut left) = (VecDeque::new(), packet.len());
        let mut asked = channel.send(packet, SendFlags::empty());
        while asked.is_ok() && left > 0 {
            asked = channel.receive(&mut replies, RecvFlags::empty());
            for reply in replies.drain(..) {
                if reply.tag == NO_OPENER {
                    asked = Err(Errno::MFILE);
                } else {
                    left -= 1;
                    take(reply);
                }
            }
        }
        askers().retain(|asker| *asker != thread);
        if asked.is_err() {
            *own = None;
            HAS_ENDED.store(true, Ordering::Relaxed);
        }
    });
}

/// The threads that wait for a reply.
static ASKERS: Mutex<Vec<u32>> = Mutex::new(Vec::new());

fn askers() -> MutexGuard<'static, Vec<u32>> {
    ASKERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a thread of this process waits for the keeper.
pub fn is_awaited_by(thread: u32) -> bool {
    askers().contains(&thread)
}

/// Whether no thread of the keeper waits for a lock, so that its replies lack only CPU time.
pub fn is_free() -> bool {
    let (mut seen, mut blocked) = (0, 0);
    if let Some(keeper) = pid() {
        threads::threads_of(keeper, |_, state| {
            seen += 1;
            blocked += usize::from(state == ThreadState::Blocked);
        });
    }
    // `hidepid` can hide the keeper.
    seen > 0 && blocked == 0
}

/// A channel with two threads, which start during a survey for the comparisons after it. If one of
/// them waits for a stuck exec, the other one answers the rest of the packet.
static SPARE: Mutex<Option<Channel>> = Mutex::new(None);

fn spare() -> MutexGuard<'static, Option<Channel>> {
    SPARE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the threads of the keeper for the comparisons after a survey. On busy CPUs that takes
/// milliseconds.
pub(super) fn prepare_comparisons() {
    let mut spare = spare();
    if spare.is_none() {
        *spare = Channel::with(2);
    }
}

/// A socket to threads of the keeper, which share its requests.
pub(super) struct Channel {
    socket: OwnedFd,
    number: u32,
    openers: usize,
}

impl KeeperRequest {
    pub(super) fn encode(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.tag.to_ne_bytes());
        for (place, number) in [self.kind as u32, self.pid.0, self.other.0].iter().enumerate() {
            bytes[8 + 4 * place..][..4].copy_from_slice(&number.to_ne_bytes());
        }
        bytes
    }

    /// `None` without a keeper, and for files that it does not open: those of this process, which
    /// may read them, and is hidden from the keeper by `hidepid`.
    pub(super) fn open(path: &RelPath, tag: u64) -> Option<KeeperRequest> {
        let keeper = KEEPER.get()?;
        let (file, pid, task) = path.parts().filter(|(_, pid, _)| *pid != keeper.parser)?;
        let kind = match file {
            ProcFile::SmapsRollup => Kind::SmapsRollup,
            ProcFile::Smaps => Kind::Smaps,
            _ => return None,
        };
        Some(KeeperRequest { tag, kind, pid, other: task.unwrap_or(Pid(0)) })
    }
}

impl Reply {
    /// Decodes a reply, with its file among those that came with the packet. A file that did not
    /// arrive found no free descriptor. `None` for bytes that no keeper sends.
    pub(super) fn decode(bytes: &[u8], files: &mut impl Iterator<Item = OwnedFd>) -> Option<Reply> {
        let (tag, result) = bytes.split_first_chunk::<8>()?;
        let result = match i32::from_ne_bytes(result.try_into().ok()?) {
            Self::WITH_FILE => files.next().map(Some).ok_or(Errno::MFILE),
            0 => Ok(None),
            errno => Err(Errno(errno)),
        };
        Some(Reply { tag: u64::from_ne_bytes(*tag), result })
    }
}

impl Channel {
    /// A channel with this many threads of the keeper, for a caller that never waits. `None`
    /// without a keeper.
    pub(super) fn with(openers: usize) -> Option<Channel> {
        let mut channel = Channel::open(SendFlags::DONTWAIT)?;
        channel.grow(openers);
        Some(channel)
    }

    /// A channel with one thread. Without a flag it waits until the keeper takes requests up.
    fn open(flags: SendFlags) -> Option<Channel> {
        if !has_keeper() {
            return None;
        }
        let (kind, of_socket) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
        // With its own copy of the other end, the parser would not notice the end of the keeper.
        let (socket, theirs) = socketpair(AddressFamily::UNIX, kind, of_socket, None).ok()?;
        let number = CHANNELS.fetch_add(1, Ordering::Relaxed);
        let mut channel = Channel { socket, number, openers: 0 };
        channel.start_opener(Some(theirs.as_fd()), flags).then_some(channel)
    }

    /// The number of threads that open.
    pub(super) fn openers(&self) -> usize {
        self.openers
    }

    /// Starts threads until there are this many.
    pub(super) fn grow(&mut self, openers: usize) {
        while self.openers < openers.min(OPENERS_MAX)
            && self.start_opener(None, SendFlags::DONTWAIT)
        {}
    }

    /// Starts a thread, on the other end of the socket if it is the first one.
    fn start_opener(&mut self, theirs: Option<BorrowedFd<'_>>, flags: SendFlags) -> bool {
        let Some(keeper) = KEEPER.get() else { return false };
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !theirs.as_slice().is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(theirs.as_slice()));
        }
        let number = self.number.to_ne_bytes();
        let flags = flags | SendFlags::NOSIGNAL;
        match sendmsg(&keeper.control, &[IoSlice::new(&number)], &mut ancillary, flags) {
            Ok(_) => self.openers += 1,
            // The keeper does not take them up; the next check tries again.
            Err(rustix::io::Errno::AGAIN) => return false,
            Err(_) => {
                HAS_ENDED.store(true, Ordering::Relaxed);
                return false;
            }
        }
        true
    }

    /// The socket, to wait for replies.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Records that the keeper could not start one of the threads.
    pub(super) fn lost_opener(&mut self) {
        self.openers = self.openers.saturating_sub(1);
    }

    /// Whether the keeper lives, and has a thread for this channel. It holds the only other end of
    /// the control socket.
    pub(super) fn is_open(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let control = KEEPER.get().map(|keeper| &keeper.control);
        let has_ended =
            control.is_none_or(|control| matches!(recv(control, &mut [0; 1], flags), Ok((0, _))));
        let has_ended = has_ended || self.openers == 0;
        if has_ended {
            HAS_ENDED.store(true, Ordering::Relaxed);
        }
        !has_ended
    }

    /// Sends at most [`PACKET_MAX`] requests, and never waits.
    ///
    /// # Errors
    /// `EAGAIN` if the socket is full; others if the keeper has ended.
    pub(super) fn try_send(&self, requests: &[KeeperRequest]) -> Result<(), Errno> {
        self.send(requests, SendFlags::DONTWAIT)
    }

    /// Receives replies, and never waits.
    ///
    /// # Errors
    /// `EAGAIN` if there is none; others if the keeper has ended.
    pub(super) fn try_receive(&self, replies: &mut VecDeque<Reply>) -> Result<(), Errno> {
        self.receive(replies, RecvFlags::DONTWAIT)
    }

    fn send(&self, requests: &[KeeperRequest], flags: SendFlags) -> Result<(), Errno> {
        let mut packet = [0; PACKET_MAX * KeeperRequest::BYTES];
        for (place, request) in packet.chunks_exact_mut(KeeperRequest::BYTES).zip(requests) {
            place.copy_from_slice(&request.encode());
        }
        let len = requests.len() * KeeperRequest::BYTES;
        send(&self.socket, &packet[..len], flags | SendFlags::NOSIGNAL)?;
        Ok(())
    }

    fn receive(&self, replies: &mut VecDeque<Reply>, flags: RecvFlags) -> Result<(), Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PACKET_MAX))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut packet = [0; PACKET_MAX * Reply::BYTES];
        let slices = &mut [IoSliceMut::new(&mut packet)];
        let flags = flags | RecvFlags::CMSG_CLOEXEC;
        let len = retry_on_intr(|| recvmsg(&self.socket, slices, &mut ancillary, flags))?.bytes;
        let files = ancillary.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(files) => Some(files),
            _ => None,
        });
        let mut files = files.flatten();
        let decoded = packet[..len].chunks(Reply::BYTES).map(|one| Reply::decode(one, &mut files));
        replies.extend(decoded.flatten());
        if len > 0 { Ok(()) } else { Err(Errno(libc::ECONNRESET)) }
    }
}
