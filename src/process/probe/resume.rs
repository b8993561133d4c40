//! A probe that goes on with the open rollup of an earlier survey.
//!
//! In a series of surveys the rollup of a process can stay open, and the pair begins with the name:
//! [`Probe::resume`]. The file is still tied to the address space of its open. So a read of it
//! proves the same: since that open the process has not exec'ed and its id has not changed hands,
//! and a name that was read in between, in this survey or an earlier one, is of this address space.
//! Some surveys read the memory alone. If the read fails, the process begins anew. One case is not
//! proven: after an exec the file still has figures if another process runs in the same address
//! space (vfork, `CLONE_VM`). So engines keep no file of such a process (`engine::series`).

use std::sync::Arc;

use super::{Plan, Probe, State};
use crate::process::Fate;
use crate::process::walk::{Size, WalkRule};
use crate::units::{Kib, Pid};

impl Probe {
    /// Starts with a process whose rollup is open since an earlier survey, which also read the
    /// name. Without a name, it is read again.
    pub fn resume(&mut self, pid: Pid, plan: &Arc<Plan>, name: Option<&[u8]>) {
        self.take_up(pid, plan);
        self.is_open = true;
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
        (self.is_open, self.is_name_known) = (false, false);
    }

    /// Whether the next read of the memory is one of the file that is open since an earlier survey.
    pub fn is_memory_open(&self) -> bool {
        self.is_open
    }

    /// Whether the rollup, if it stays open, has the memory of this process in the next survey. Not
    /// that of a thread, which can end before its process, nor one that replaced a walk.
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
