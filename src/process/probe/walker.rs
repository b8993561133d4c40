//! A probe that walks page tables: which processes, in which order of files, and whether the walk
//! can be believed.
//!
//! A walk takes as long as its pauses, and the process changes meanwhile. Its resident pages are
//! compared with `statm` before and after. Pages that moved under the walk are counted twice or not
//! at all, and the sum shows it. Such a walk is repeated once. If that is torn too, a rollup
//! replaces it, or for the biggest processes the figures stand, with a mark.

use super::{NameNeed, Probe, ReadNext, StatusReason};
use crate::process::walk::{
    Choice, FreedShare, PageCounts, Size, SlotRun, Walk, WalkFigures, WalkRule, WalkStep, Window,
    choose, hold,
};
use crate::process::{Fate, HoldLimit, LONG_HOLD, ProcFile};
use crate::units::Kib;

/// Resident pages may change by one in so many during a walk.
const CHANGE_MAX: u64 = 100;

/// The state of a walk.
#[derive(Debug, Default)]
pub(super) struct Walker {
    walk: Walk,
    first_window: Option<Window>,
    before: Size,
    /// The figures of a complete walk, until `statm` confirms them.
    figures: Option<WalkFigures>,
    /// A walk was torn before.
    is_second_try: bool,
    /// The process is read by rollup.
    is_off: bool,
    is_torn: bool,
    /// The number of walks that began.
    walks: u32,
}

impl Walker {
    /// Starts with another address space.
    pub(super) fn restart(&mut self) {
        (self.is_second_try, self.is_off, self.is_torn) = (false, false, false);
        self.walks = 0;
        self.figures = None;
    }

    /// A pair of name and memory begins.
    pub(super) fn begin_pair(&mut self, memory: ProcFile) {
        let is_walk = memory == ProcFile::Pagemap;
        self.walks += u32::from(is_walk);
        self.first_window = if is_walk { self.walk.begin_entries() } else { None };
    }

    pub(super) fn first_window(&self) -> Option<Window> {
        self.first_window
    }

    /// Whether the resident pages of the walk lie between those before and after it.
    fn is_consistent(&self, after: Size, rule: &WalkRule) -> bool {
        // A process that exits after the walk has no pages.
        let after = if after.resident == 0 { self.before } else { after };
        let low = self.before.resident.min(after.resident);
        let high = self.before.resident.max(after.resident);
        let slack = high / CHANGE_MAX + rule.slack_pages;
        (low.saturating_sub(slack)..=high + slack).contains(&self.walk.resident_pages())
    }
}

impl Probe {
    /// Whether the figures are those of a walk.
    pub fn is_walked(&self) -> bool {
        self.smaps.is_some() && self.walker.figures.is_some()
    }

    /// The slots of the pages in swap, if the figures are those of a walk.
    pub fn swap_slots(&self) -> &[SlotRun] {
        if self.is_walked() { self.walker.walk.slots() } else { &[] }
    }

    /// The part of the process in what its group frees; `None` without a walk, or if more than one
    /// walk has counted its pages.
    pub fn freed(&self) -> Option<FreedShare> {
        let figures = self.walker.figures.filter(|_| self.walker.walks == 1)?;
        figures.freed
    }

    /// Whether more than one walk of the process began.
    pub fn is_walk_repeated(&self) -> bool {
        self.walker.walks > 1
    }

    /// Whether the process changed so much during the walk that the figures may be wrong.
    pub fn is_torn(&self) -> bool {
        self.walker.is_torn
    }

    /// Starts to read the memory.
    pub(super) fn begin_memory(&mut self) {
        let is_sized = self.plan.walk.is_some() || self.plan.hold_max.is_some();
        if is_sized && !self.walker.is_off && !self.is_open {
            self.one(ProcFile::Statm);
        } else {
            self.pair(self.plan.source.memory_file());
        }
    }

    /// Reads the rollup instead.
    pub(super) fn leave_walk(&mut self) {
        self.walker.is_off = true;
        self.walker.figures = None;
        self.begin_memory();
    }

    /// `statm` is read, before or after a walk.
    pub(super) fn statm_read(&mut self) {
        let size = Size::parse(&self.text).unwrap_or_default();
        let Some(rule) = self.plan.walk else { return self.hold_estimated(size) };
        if let Some(figures) = self.walker.figures {
            return self.walk_is_over(figures, size, &rule);
        }
        self.walker.before = size;
        // Without pages: a kernel thread, or dead.
        if size.resident == 0 || size.is_small(rule.has_swap) && !rule.is_forced {
            self.leave_walk();
        } else {
            self.status(StatusReason::Size);
        }
    }

    /// `status` of a process that is not small.
    pub(super) fn size_read(&mut self) {
        let Some(rule) = self.plan.walk else { return self.hold_known() };
        match choose(self.walker.before, &self.text, &rule) {
            // A group has no figure without each of its walks.
            Choice::Rollup if self.plan.freed.is_some() => self.done(Fate::LeftOut),
            Choice::Rollup => self.leave_walk(),
            Choice::Walk { has_hugetlb } => {
                // A process that uses page tables of another one has pages of hugetlbfs that its
                // `status` does not have. They spoil the first walk, unless it looks for them.
                let is_sought = self.walker.is_second_try || self.plan.freed.is_some();
                let has_hugetlb = has_hugetlb || is_sought;
                self.walker.walk.begin(rule, has_hugetlb, self.plan.freed.as_ref());
                self.one(ProcFile::Maps);
            }
        }
    }

    /// `statm` is read, and a process whose read holds the lock for long is left out. Swap is not
    /// in `statm`: where the data in swap could make the difference, `status` has it.
    fn hold_estimated(&mut self, size: Size) {
        self.walker.before = size;
        let is_short = |hold| self.plan.hold_max.is_none_or(|limit| hold <= limit.time);
        if !is_short(size.hold()) {
            self.done(Fate::LeftOut);
        } else if is_short(size.hold_max()) {
            self.leave_walk();
        } else {
            self.status(StatusReason::Size);
        }
    }

    fn hold_known(&mut self) {
        let limit = self.plan.hold_max;
        let is_long = |limit: HoldLimit| {
            self.walker.before.hold_with(&self.text, limit.page_bytes) > limit.time
        };
        if limit.is_some_and(is_long) { self.done(Fate::LeftOut) } else { self.leave_walk() }
    }

    pub(super) fn feed_maps(&mut self, bytes: &[u8]) -> ReadNext {
        let ranges = &mut self.walker.walk.ranges;
        ranges.feed(bytes);
        if !bytes.is_empty() && !ranges.is_malformed() {
            return ReadNext::Continue;
        }
        if self.walker.walk.begin_entries().is_some() {
            self.pair(ProcFile::Pagemap);
        } else {
            self.leave_walk();
        }
        ReadNext::Done
    }

    pub(super) fn feed_pagemap(&mut self, bytes: &[u8]) -> ReadNext {
        match self.walker.walk.feed(bytes) {
            WalkStep::Read(window) => return ReadNext::Window(window),
            WalkStep::Count => return ReadNext::Count,
            WalkStep::Lost => self.memory_lost(),
            WalkStep::Rollup => self.leave_walk(),
        }
        ReadNext::Done
    }

    /// Counts the pages of the walk so far. Returns the next read of `pagemap`.
    pub fn count(&mut self, pages: &mut dyn PageCounts) -> ReadNext {
        let walk = &mut self.walker.walk;
        let counted = walk.count(pages);
        if let Some(window) = walk.window().filter(|_| counted.is_ok()) {
            return ReadNext::Window(window);
        }
        match (counted.and_then(|()| walk.finish(pages)), self.name_need) {
            (Err(_) | Ok(None), _) => self.leave_walk(),
            (Ok(_), NameNeed::Other(source)) => {
                self.name_source = source;
                self.pair(ProcFile::Pagemap);
            }
            (Ok(figures), _) => {
                self.walker.figures = figures;
                self.one(ProcFile::Statm);
            }
        }
        ReadNext::Done
    }

    fn walk_is_over(&mut self, figures: WalkFigures, after: Size, rule: &WalkRule) {
        if self.walker.is_consistent(after, rule) {
            return self.accept(figures.smaps);
        }
        if !std::mem::replace(&mut self.walker.is_second_try, true) {
            self.walker.figures = None;
            self.walker.before = after;
            return self.status(StatusReason::Size);
        }
        let resident = Kib(after.resident * rule.page_bytes / 1024);
        // A rollup that holds the lock for less may replace a torn walk.
        if hold(resident, rule.page_bytes) < LONG_HOLD && !rule.is_forced {
            return self.leave_walk();
        }
        self.walker.is_torn = true;
        self.accept(figures.smaps);
    }
}
