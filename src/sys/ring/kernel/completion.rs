//! Completions of the kernel to completions of fetches.

use std::os::fd::{AsFd, FromRawFd, OwnedFd};

use super::opens::ANSWERED;
use super::submission::{NUDGE, Op, Tag};
use super::{KernelRing, int};
use crate::sys::proc_root;
use crate::sys::ring::{Completion, Failure, Half};
use crate::units::Errno;

impl KernelRing {
    /// Whether the fetch of a request is still in flight.
    pub(super) fn is_awaited(&self, tag: Tag) -> bool {
        let slot = self.slots.get(tag.slot).filter(|slot| slot.generation == tag.generation);
        slot.is_some_and(|slot| slot.pending[tag.half as usize].is_some())
    }

    /// Handles one completion of the kernel.
    fn completed(&mut self, tag: Tag, result: i32) {
        if !self.is_awaited(tag) {
            // The cancelled rest of a broken chain: its fetches are completed already.
            return;
        }
        let result = usize::try_from(result).map_err(|_| Errno(-result));
        match (tag.op, result) {
            (Op::Open, Ok(fd)) => self.opened(tag, int(fd)),
            (Op::Open, Err(errno)) => self.not_opened(tag, errno),
            (Op::Read, result) => {
                self.complete_read(tag, result);
                self.name_is_done(tag);
            }
        }
    }

    fn opened(&mut self, tag: Tag, fd: i32) {
        let is_link = self.is_link(tag.slot, tag.half);
        if self.features.chains && !is_link {
            return; // The read follows in the chain.
        }
        if is_link || !self.features.direct_descriptors {
            // SAFETY: a successful OPENAT without a direct descriptor has just made this
            // descriptor, and its completion is handled once.
            let file = unsafe { OwnedFd::from_raw_fd(fd) };
            if is_link {
                let target = proc_root::link_target(file.as_fd());
                self.complete_with(tag, target.as_deref().map_err(|errno| *errno));
                return self.name_is_done(tag);
            }
            self.store(tag, file);
        }
        self.open_is_done(tag);
    }

    /// Stores an ordinary descriptor.
    pub(super) fn store(&mut self, Tag { slot, half, .. }: Tag, file: OwnedFd) {
        let slot = &mut self.slots[slot];
        match slot.openings[half as usize].place() {
            None => slot.files[half as usize] = Some(file),
            Some(place) => {
                if self.places.len() <= place {
                    self.places.resize_with(place + 1, || None);
                }
                self.places[place] = Some(file);
            }
        }
    }

    pub(super) fn not_opened(&mut self, tag: Tag, errno: Errno) {
        if self.is_link(tag.slot, tag.half) {
            self.complete(tag, Err(Failure::Refused(errno)));
            return self.name_is_done(tag);
        }
        if self.features.chains {
            return self.refuse(tag, errno);
        }
        self.slots[tag.slot].refused[tag.half as usize] = Some(errno);
        self.open_is_done(tag);
    }

    /// Completes a slot with the error of an open: the requests behind it never run.
    fn refuse(&mut self, tag: Tag, errno: Errno) {
        self.complete(tag, Err(Failure::Refused(errno)));
        for half in [Half::First, Half::Second] {
            self.complete(Tag { half, ..tag }, Err(Failure::NotTried));
        }
    }

    /// In steps, queues the next one once no open of the slot is in flight. If one has failed,
    /// nothing is read; the error of the memory comes first.
    pub(super) fn open_is_done(&mut self, tag: Tag) {
        let slot = &mut self.slots[tag.slot];
        slot.queued[tag.half as usize] = None;
        if slot.queued.iter().any(Option::is_some) {
            return;
        }
        match slot.refused {
            [_, Some(errno)] => self.refuse(Tag { half: Half::Second, ..tag }, errno),
            [Some(errno), None] => self.refuse(Tag { half: Half::First, ..tag }, errno),
            [None, None] => {
                let is_next = tag.half == Half::Second && self.is_name_opened_later(tag.slot);
                let op = if is_next { Op::Open } else { Op::Read };
                self.push_step(tag.slot, Half::First, op);
            }
        }
    }

    /// In steps, queues the read of the memory behind that of the name, unless it is in flight: two
    /// reads would write to one buffer.
    fn name_is_done(&mut self, tag: Tag) {
        let is_due = self.pending(tag.slot, Half::Second).is_some()
            && self.slots[tag.slot].queued[Half::Second as usize].is_none();
        if tag.half == Half::First && is_due && !self.features.chains {
            self.push_step(tag.slot, Half::Second, Op::Read);
        }
    }

    /// Completes a fetch with a text that is known already.
    pub(super) fn complete_with(&mut self, tag: Tag, text: Result<&[u8], Errno>) {
        let result = text.map(|text| {
            if let Some(fetch) = &mut self.slots[tag.slot].pending[tag.half as usize] {
                // One byte stays free: a full buffer would mean that there is more.
                let len = text.len().min(fetch.buffer.room() - 1);
                fetch.buffer.put(&text[..len]);
            }
        });
        self.complete(tag, result.map_err(Failure::Refused));
    }

    /// Completes a fetch with the bytes that the kernel has written.
    fn complete_read(&mut self, tag: Tag, result: Result<usize, Errno>) {
        let result = result.map(|len| {
            self.slots[tag.slot].positions[tag.half as usize] += len as u64;
            if let Some(fetch) = &mut self.slots[tag.slot].pending[tag.half as usize] {
                // SAFETY: this is the completion of a read of `len` bytes into this buffer:
                // `completed` has compared generation and half, and a pending fetch has one read in
                // flight.
                unsafe { fetch.buffer.set_filled(len) };
            }
        });
        self.complete(tag, result.map_err(Failure::Refused));
    }

    pub(super) fn complete(&mut self, tag: Tag, result: Result<(), Failure>) {
        let Tag { slot, half, .. } = tag;
        let state = &mut self.slots[slot];
        if let Some(fetch) = state.pending[half as usize].take() {
            state.queued[half as usize] = None;
            self.in_flight -= 1;
            self.ready.push_back(Completion { slot, half, result, buffer: fetch.buffer });
        }
    }

    /// Handles all completions of the kernel.
    pub(super) fn drain(&mut self) {
        self.collect();
        while let Some((user_data, result)) = self.raw.pop_front() {
            match user_data {
                NUDGE => self.nudges = self.nudges.saturating_sub(1),
                ANSWERED => {
                    self.opens.iter_mut().for_each(|opens| opens.is_polled = false);
                }
                tag => {
                    self.stats.completed += 1;
                    self.completed(Tag::decode(tag), result);
                }
            }
        }
        self.receive_opens();
    }

    /// Copies completions of the kernel out of its queue, to make room for more.
    pub(super) fn collect(&mut self) {
        self.raw.extend(self.ring.completion().map(|entry| (entry.user_data(), entry.result())));
    }
}
