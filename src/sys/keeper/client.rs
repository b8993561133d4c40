//! How the parser asks the keeper.

use std::cell::RefCell;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv, recvmsg,
    send, sendmsg, socketpair,
};

use super::{
    HAS_ENDED, KEEPER, KeeperRequest, Kind, OPENERS_MAX, REPLY_BYTES, Right, decode_reply, right,
};
use crate::process::{ProcFile, RelPath};
use crate::units::{Errno, Pid};

thread_local! {
    /// The channel of a thread that waits for each reply.
    static OWN: RefCell<Option<Channel>> = const { RefCell::new(None) };
}

/// Opens the memory file of a process of `/proc` through the keeper. `None` without a keeper: then
/// the caller's rights decide. Can wait forever, as the open itself.
pub(in crate::sys) fn open_memory(path: &RelPath) -> Option<Result<OwnedFd, Errno>> {
    let request = KeeperRequest::open(path, 0)?;
    let reply = ask(request)?;
    Some(reply.result.and_then(|file| file.ok_or(Errno::MFILE)))
}

/// Whether two processes share an address space; `None` if the keeper cannot tell.
pub(super) fn share_memory(pid: Pid, other: Pid) -> Option<bool> {
    let kind = Kind::ShareMemory;
    match ask(KeeperRequest { tag: 0, kind, pid, other })?.result {
        Ok(_) => Some(true),
        Err(Errno::NOT_SUPPORTED) => Some(false),
        Err(_) => None,
    }
}

fn ask(request: KeeperRequest) -> Option<Reply> {
    let tag = request.tag;
    OWN.with_borrow_mut(|own| {
        if own.is_none() {
            *own = Channel::open(1).map(Channel::fixed);
        }
        let Some(channel) = own.as_mut() else {
            // A keeper without a channel means a lack of descriptors, not of rights.
            let has_keeper = right().is_some_and(|right| right != Right::Ended);
            return has_keeper.then(|| Reply { tag: request.tag, result: Err(Errno::MFILE) });
        };
        let reply = match channel.send(request, SendFlags::empty()) {
            Ok(()) => channel.receive(RecvFlags::empty()).ok().filter(|reply| reply.tag == tag),
            Err(_) => None,
        };
        if reply.is_none() {
            *own = None;
            HAS_ENDED.store(true, Ordering::Relaxed);
        }
        reply
    })
}

/// A socket to threads of the keeper that open in turn.
pub(in crate::sys) struct Channel {
    socket: OwnedFd,
    /// The end of the keeper, to start further threads on it. A thread that waits for replies must
    /// not hold it, or it would not notice the end of the keeper.
    theirs: Option<OwnedFd>,
    openers: usize,
}

/// The answer to a request.
pub(in crate::sys) struct Reply {
    pub(in crate::sys) tag: u64,
    pub(in crate::sys) result: Result<Option<OwnedFd>, Errno>,
}

impl KeeperRequest {
    /// The number that the reply returns.
    pub(in crate::sys) fn tag(&self) -> u64 {
        self.tag
    }

    /// `None` without a keeper, and for files that it does not open: those of this process, which
    /// may read them, and is hidden from the keeper by `hidepid`.
    pub(in crate::sys) fn open(path: &RelPath, tag: u64) -> Option<KeeperRequest> {
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

impl Channel {
    /// A channel with this many threads of the keeper. `None` without a keeper.
    pub(in crate::sys) fn open(openers: usize) -> Option<Channel> {
        right().filter(|right| *right != Right::Ended)?;
        let (socket, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .ok()?;
        let mut channel = Channel { socket, theirs: Some(theirs), openers: 0 };
        channel.grow(openers);
        (channel.openers > 0).then_some(channel)
    }

    /// The channel with as many threads as it has.
    fn fixed(self) -> Channel {
        Channel { theirs: None, ..self }
    }

    /// The number of threads that open.
    pub(in crate::sys) fn openers(&self) -> usize {
        self.openers
    }

    /// Starts threads until there are this many.
    pub(in crate::sys) fn grow(&mut self, openers: usize) {
        let (Some(keeper), Some(theirs)) = (KEEPER.get(), &self.theirs) else { return };
        while self.openers < openers.min(OPENERS_MAX) {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            let files = [theirs.as_fd()];
            ancillary.push(SendAncillaryMessage::ScmRights(&files));
            let byte = &[IoSlice::new(&[0])];
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match sendmsg(&keeper.control, byte, &mut ancillary, flags) {
                Ok(_) => self.openers += 1,
                // The keeper does not take them up; the next check tries again.
                Err(rustix::io::Errno::AGAIN) => return,
                Err(_) => return HAS_ENDED.store(true, Ordering::Relaxed),
            }
        }
    }

    /// The socket, to wait for replies.
    pub(in crate::sys) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Records that the keeper could not start one of the threads.
    pub(in crate::sys) fn lost_opener(&mut self) {
        self.openers = self.openers.saturating_sub(1);
    }

    /// Whether the keeper lives, and has a thread for this channel. It holds the only other end of
    /// the control socket.
    pub(in crate::sys) fn is_open(&self) -> bool {
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

    /// Sends a request, and never waits.
    ///
    /// # Errors
    /// `EAGAIN` if the socket is full; others if the keeper has ended.
    pub(in crate::sys) fn try_send(&self, request: KeeperRequest) -> Result<(), Errno> {
        self.send(request, SendFlags::DONTWAIT)
    }

    /// Receives a reply, and never waits.
    ///
    /// # Errors
    /// `EAGAIN` if there is none; others if the keeper has ended.
    pub(in crate::sys) fn try_receive(&self) -> Result<Reply, Errno> {
        self.receive(RecvFlags::DONTWAIT)
    }

    /// Sends a request.
    ///
    /// # Errors
    /// `EAGAIN` if the socket is full and the flags forbid to wait; others if the keeper has ended.
    fn send(&self, request: KeeperRequest, flags: SendFlags) -> Result<(), Errno> {
        send(&self.socket, &request.encode(), flags | SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Receives a reply.
    ///
    /// # Errors
    /// `EAGAIN` if there is none and the flags forbid to wait; others if the keeper has ended.
    fn receive(&self, flags: RecvFlags) -> Result<Reply, Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut bytes = [0; REPLY_BYTES];
        let slices = &mut [IoSliceMut::new(&mut bytes)];
        let flags = flags | RecvFlags::CMSG_CLOEXEC;
        let received =
            rustix::io::retry_on_intr(|| recvmsg(&self.socket, slices, &mut ancillary, flags))?;
        let mut files = ancillary.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut files) => files.next(),
            _ => None,
        });
        let file = files.next();
        let (tag, errno) = decode_reply(&bytes[..received.bytes]).ok_or(Errno(libc::ECONNRESET))?;
        // A file that did not arrive found no free descriptor here.
        let is_truncated = received.flags.contains(ReturnFlags::CTRUNC);
        let result = match errno {
            0 if is_truncated => Err(Errno::MFILE),
            0 => Ok(file),
            errno => Err(Errno(errno)),
        };
        Ok(Reply { tag, result })
    }
}
