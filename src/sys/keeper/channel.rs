//! A channel of the keeper: a socket, and threads that share its requests.
//!
//! An open that waits for a stuck exec holds one thread and one request: the other threads take the
//! requests of its packet, and send its replies.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rustix::io::retry_on_intr;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv, sendmsg};

use super::process::answer;
use super::protocol::{KeeperRequest, PACKET_MAX, Reply};
use crate::sys::this_process;
use crate::units::Errno;

/// The exit code after a request that no parser sends.
pub(super) const BAD_REQUEST: u8 = 3;

/// A socket and its work.
pub(super) struct ServedChannel {
    socket: OwnedFd,
    work: Mutex<Work>,
    changed: Condvar,
}

#[derive(Default)]
struct Work {
    requests: VecDeque<KeeperRequest>,
    /// Not sent yet.
    replies: Vec<Reply>,
    /// One thread waits for the next packet, and idle ones wait for it.
    is_receiving: bool,
    has_ended: bool,
}

impl ServedChannel {
    pub(super) fn new(socket: OwnedFd) -> ServedChannel {
        ServedChannel { socket, work: Mutex::default(), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers requests until the parser closes the channel.
    pub(super) fn serve(&self, proc: BorrowedFd<'_>) {
        // A new thread comes when others wait for stuck execs, perhaps with replies to send.
        let mut is_due = true;
        let mut work = self.lock();
        while !work.has_ended {
            is_due |= work.requests.is_empty() || work.replies.len() == PACKET_MAX;
            if is_due && !work.replies.is_empty() {
                let replies = std::mem::take(&mut work.replies);
                drop(work);
                let is_sent = self.send(replies).is_ok();
                work = self.lock();
                work.has_ended |= !is_sent;
            } else if let Some(request) = work.requests.pop_front() {
                drop(work);
                let result = answer(request, proc);
                work = self.lock();
                // The descriptors of replies that are not sent may be those that lack.
                is_due = matches!(result, Err(Errno::MFILE)) && !work.replies.is_empty();
                if is_due {
                    work.requests.push_front(request);
                } else {
                    work.replies.push(Reply { tag: request.tag, result });
                }
                continue;
            } else if work.is_receiving {
                work = self.changed.wait(work).unwrap_or_else(PoisonError::into_inner);
            } else {
                work.is_receiving = true;
                drop(work);
                let packet = self.receive();
                work = self.lock();
                work.is_receiving = false;
                work.has_ended |= packet.is_none();
                work.requests.extend(packet.into_iter().flatten());
                self.changed.notify_one();
            }
            is_due = false;
        }
        // The next thread ends as well.
        self.changed.notify_one();
    }

    /// Waits for a packet. `None`: the parser has closed the channel.
    fn receive(&self) -> Option<Vec<KeeperRequest>> {
        // One byte more than a packet shows those that are too long.
        let mut bytes = [0; PACKET_MAX * KeeperRequest::BYTES + 1];
        let received = retry_on_intr(|| recv(&self.socket, &mut bytes, RecvFlags::empty()));
        let (len, _) = received.ok().filter(|(len, _)| *len > 0)?;
        let requests = bytes[..len].chunks(KeeperRequest::BYTES).map(KeeperRequest::decode);
        requests.collect::<Option<Vec<_>>>().or_else(|| this_process::exit(BAD_REQUEST))
    }

    /// Sends replies in one packet, with the files that were opened.
    pub(super) fn send(&self, mut replies: Vec<Reply>) -> Result<(), Errno> {
        self.send_once(&replies).or_else(|errno| {
            // Too many descriptors of this user are in flight, or memory is short.
            for reply in replies.iter_mut().filter(|reply| matches!(reply.result, Ok(Some(_)))) {
                reply.result = Err(errno);
            }
            self.send_once(&replies)
        })
    }

    fn send_once(&self, replies: &[Reply]) -> Result<(), Errno> {
        let files = replies.iter().filter_map(|reply| reply.result.as_ref().ok()?.as_ref());
        let files: Vec<BorrowedFd<'_>> = files.map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PACKET_MAX))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !files.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(&files));
        }
        let bytes: Vec<u8> = replies.iter().flat_map(Reply::encode).collect();
        sendmsg(&self.socket, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}
