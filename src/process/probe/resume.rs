//! A probe that goes on with the open files of an earlier survey.
//!
//! In a series of surveys the pair of a process can stay open, and begins with the read of the
//! name: [`Probe::resume`]. The rollup is still tied to the address space of its open. So a read of
//! it proves the same: since that open the process has not exec'ed and its id has not changed
//! hands, and a name that was read in between, in this survey or an earlier one, is of this address
//! space. The file of the name is tied to the process, through an exec, and fails or is empty once
//! that has ended. Some surveys read the memory alone. If its read fails, the process begins anew.
//! One case is not proven: after an exec the rollup still has figures if another process runs in
//! the same address space (vfork, `CLONE_VM`). So engines keep no file of such a process
//! (`engine::series`).

use std::sync::Arc;

use super::{Plan, Probe, State};
use crate::process::walk::{Size, WalkRule};
use crate::process::{Fate, ProcFile};
use crate::units::{Kib, Pid};

impl Probe {
    /// Starts with a process whose memory is open since an earlier survey, and the file of the name
    /// as well if that is what [`Probe::is_name_open`] said then. Without a name, it is read again.
    pub fn resume(&mut self, pid: Pid, plan: &Arc<Plan>, name: Option<&[u8]>, is_name_open: bool) {
        self.take_up(pid, plan);
        (self.is_open, self.is_name_open) = (true, is_name_open);
        self.begin();
        if let Some(name) = name {
            self.is_name_known = true;
            self.name.extend_from_slice(name);
            if let State::Pair(memory) = self.state {
                self.state = State::Memory(memory);
            }
        }
    }

    /// What earlier surveys found does not count any more.
    pub(super) fn reopen(&mut self) {
        (self.is_open, self.is_name_open, self.is_name_known) = (false, false, false);
    }

    /// Whether this file, which is wanted, is open since an earlier survey.
    pub fn is_open(&self, file: ProcFile) -> bool {
        let is_memory = file == ProcFile::SmapsRollup;
        self.is_open && self.can_keep(file) && (is_memory || self.is_name_open)
    }

    /// Whether the file of the name, if it stays open, is open in the next survey.
    pub fn is_name_open(&self) -> bool {
        match self.is_name_known {
            true => self.is_name_open,
            false => self.name_file() == self.plan.name_file(),
        }
    }

    /// Whether this file can stay open for the next survey: the rollup, or the name beside it,
    /// unless that is a link, or another file has the name.
    pub fn can_keep(&self, file: ProcFile) -> bool {
        let is_name = file == self.plan.name_file() && file != ProcFile::Exe;
        let is_beside_rollup = self.state == State::Pair(ProcFile::SmapsRollup);
        file == ProcFile::SmapsRollup || is_name && is_beside_rollup
    }

    /// A read of an open file shows that its process has ended, or for the memory exec'ed. After
    /// the name, the memory is still read: it shows whether the id has changed hands.
    pub(super) fn open_file_lost(&mut self, file: ProcFile) {
        if file == ProcFile::SmapsRollup {
            self.memory_lost();
        } else {
            self.nothing_read(file);
        }
    }

    /// Whether the files, if they stay open, have name and memory of this process in the next
    /// survey. Not those of a thread, which can end before its process, nor a rollup that replaced
    /// a walk.
    pub fn can_resume(&self) -> bool {
        let is_measured = self.fate() == Some(Fate::Measured) && self.is_from_rollup;
        let is_walked = self.plan.walk.is_some_and(|rule| rule.is_forced);
        is_measured && self.task.is_none() && !is_walked && !self.is_growing()
    }

    /// Whether a walk may suit the process in the next survey of a series.
    fn is_growing(&self) -> bool {
        let (rss, rule) = (self.smaps.map(|smaps| smaps.rss()), self.plan.walk);
        let is_small = |(Kib(rss), rule): (Kib, WalkRule)| {
            let resident = rss * 1024 / rule.page_bytes;
            Size { resident, ..Size::default() }.is_small(false)
        };
        rss.zip(rule).is_some_and(|known| !is_small(known))
    }
}
