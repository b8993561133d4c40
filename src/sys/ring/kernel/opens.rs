//! Opens of memory files by the keeper ([`crate::sys::keeper`]), beside the requests of the ring.
//!
//! The submitting thread never waits for the keeper's socket: it sends what the socket takes, and
//! receives what has arrived, whenever it enters the ring. When the ring has little to do, a poll
//! request of the ring waits for the socket too.

use std::collections::VecDeque;
use std::os::fd::AsRawFd;
use std::time::Duration;

use io_uring::opcode;
use io_uring::types::Fd;

use super::submission::{Op, Tag};
use super::{KernelRing, Queued, int};
use crate::sys::keeper::{KeeperRequest, NO_OPENER, PACKET_MAX, Reply};
use crate::sys::keeper_client::{self, Channel};
use crate::sys::ring::{Fetch, Half, Opening};
use crate::units::Errno;

/// The tag of the poll request. No slot has this number.
pub(super) const ANSWERED: u64 = u64::MAX - 1;

/// One of so many fetches in the ring completes before this thread wakes, and takes the replies of
/// the keeper: both it and the keeper may wait for a CPU, and the workers must not run out of work.
const IN_RING_PER_WAKE: usize = 4;
/// With fewer fetches in the ring, replies of the keeper are as urgent as completions.
const POLLED_BELOW: usize = 16;

/// The opens that the keeper has to do, and their channel.
pub(super) struct Opens {
    pub(super) channel: Channel,
    unsent: VecDeque<KeeperRequest>,
    /// The slots of sent requests, in the order in which the keeper takes them up.
    unanswered: VecDeque<u64>,
    received: VecDeque<Reply>,
    /// The ring waits for the socket.
    pub(super) is_polled: bool,
}

impl Opens {
    /// `None` without a keeper.
    pub(super) fn new(openers: usize) -> Option<Opens> {
        let channel = Channel::with(openers)?;
        keeper_client::prepare_comparisons();
        let (unsent, unanswered, received) = Default::default();
        Some(Opens { channel, unsent, unanswered, received, is_polled: false })
    }

    /// The number of opens that are not done.
    fn waiting(&self) -> usize {
        self.unanswered.len() + self.unsent.len()
    }

    /// The slots whose opens the threads of the keeper have taken up.
    pub(super) fn executing(&self) -> impl Iterator<Item = usize> {
        let first = self.unanswered.iter().take(self.channel.openers());
        first.map(|tag| Tag::decode(*tag).slot)
    }

    /// Sends what the socket takes.
    fn send(&mut self) {
        while !self.unsent.is_empty() {
            let count = self.unsent.len().min(PACKET_MAX);
            let packet = &self.unsent.make_contiguous()[..count];
            if self.channel.try_send(packet).is_err() {
                return;
            }
            self.unanswered.extend(self.unsent.drain(..count).map(|request| request.tag));
        }
    }

    /// The next reply that has arrived.
    fn receive(&mut self) -> Option<Reply> {
        loop {
            if self.received.is_empty() && !self.unanswered.is_empty() {
                self.channel.try_receive(&mut self.received).ok()?;
            }
            let reply = self.received.pop_front()?;
            if let Some(place) = self.unanswered.iter().position(|tag| *tag == reply.tag) {
                self.unanswered.remove(place);
            }
            if reply.tag != NO_OPENER {
                return Some(reply);
            }
            self.channel.lost_opener();
        }
    }
}

impl KernelRing {
    /// Whether the keeper opens this file.
    pub(super) fn is_for_keeper(&self, slot: usize, half: Half) -> bool {
        let is_request = |fetch: &Fetch| {
            let is_open = matches!(fetch.opening, Opening::Open(_));
            !is_open && KeeperRequest::open(&fetch.path, 0).is_some()
        };
        self.opens.is_some() && self.pending(slot, half).is_some_and(is_request)
    }

    /// Whether the request in flight for this file is an open by the keeper.
    pub(super) fn is_opened_by_keeper(&self, slot: usize, half: Half) -> bool {
        let queued = self.slots[slot].queued[half as usize];
        self.is_for_keeper(slot, half) && queued.is_some_and(|queued| queued.op == Op::Open)
    }

    /// Asks the keeper for a file.
    pub(super) fn push_to_keeper(&mut self, tag: Tag) {
        let path = self.pending(tag.slot, tag.half).map(|fetch| fetch.path);
        let request = path.and_then(|path| KeeperRequest::open(&path, tag.encode()));
        let (Some(request), Some(opens)) = (request, &mut self.opens) else { return };
        opens.unsent.push_back(request);
        self.stats.operations += 1;
        let (number, op) = (self.stats.operations, Op::Open);
        let queued = Queued { number, op, is_read_first: false };
        self.slots[tag.slot].queued[tag.half as usize] = Some(queued);
    }

    pub(super) fn send_opens(&mut self) {
        if let Some(opens) = &mut self.opens {
            opens.send();
        }
    }

    /// Submits, and waits for as many completions of the ring as there can be. With few requests
    /// in the ring, it waits for the first completion or reply.
    pub(super) fn enter_with_opens(&mut self, wanted: usize, timeout: Duration) {
        let Some(opens) = self.opens.as_mut().filter(|opens| opens.waiting() > 0 && wanted > 0)
        else {
            return self.enter(wanted, timeout);
        };
        let in_ring = self.in_flight.saturating_sub(2 * opens.waiting());
        if in_ring >= POLLED_BELOW {
            return self.enter(wanted.min(in_ring / IN_RING_PER_WAKE), timeout);
        }
        if !std::mem::replace(&mut opens.is_polled, true) {
            let socket = Fd(opens.channel.as_fd().as_raw_fd());
            let poll = opcode::PollAdd::new(socket, int(libc::POLLIN)).build().user_data(ANSWERED);
            self.push_without_slot(&poll);
        }
        self.enter(1, timeout);
    }

    /// Handles the replies that have arrived.
    pub(super) fn receive_opens(&mut self) {
        while let Some(Reply { tag, result }) = self.opens.as_mut().and_then(Opens::receive) {
            self.stats.completed += 1;
            let tag = Tag::decode(tag);
            if !self.is_awaited(tag) {
                continue;
            }
            match result.and_then(|file| file.ok_or(Errno::MFILE)) {
                Ok(file) => {
                    self.store(tag, file);
                    if self.features.chains {
                        self.push_chain(tag.slot);
                    } else {
                        self.open_is_done(tag);
                    }
                }
                Err(errno) => self.not_opened(tag, errno),
            }
        }
    }

    /// After the end of the keeper, the ring opens with the rights of the caller.
    pub(super) fn replace_keeper(&mut self) {
        if self.opens.as_ref().is_none_or(|opens| opens.channel.is_open()) {
            return;
        }
        self.receive_opens();
        let Some(opens) = self.opens.take() else { return };
        self.stats.completed += opens.waiting() as u64;
        let unsent = opens.unsent.iter().map(|request| request.tag);
        for tag in opens.unanswered.into_iter().chain(unsent).map(Tag::decode) {
            if self.is_awaited(tag) && self.features.chains {
                self.push_chain(tag.slot);
            } else if self.is_awaited(tag) {
                self.push_step(tag.slot, tag.half, Op::Open);
            }
        }
    }
}
