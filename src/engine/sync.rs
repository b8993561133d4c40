//! The reference: one process after another, ordinary system calls.

use bumpalo::Bump;

use super::tally::Tally;
use super::{Engine, Survey, carry};
use crate::error::Error;
use crate::process::{Plan, Probe};
use crate::sys::proc_root::ProcRoot;
use crate::units::Pid;

/// Room for one read: more than the kernel hands out at once.
pub(super) const READ_BYTES: usize = 16 * 1024;

/// The engine `sync`.
pub(super) struct Sync {
    root: ProcRoot,
}

impl Sync {
    pub(super) fn open(root: &ProcRoot) -> Result<Sync, Error> {
        Ok(Sync { root: root.try_clone().map_err(Error::Resources)? })
    }
}

impl Engine for Sync {
    fn survey<'run>(
        &mut self,
        pids: &[Pid],
        plan: &Plan,
        arena: &'run Bump,
    ) -> Result<Survey<'run>, Error> {
        let mut tally = Tally::with_room(pids.len());
        let mut probe = Probe::new();
        let mut room = vec![0; READ_BYTES];
        for pid in pids {
            probe.restart(*pid, plan);
            carry(&self.root, &mut probe, plan, &mut room, &mut tally.io);
            tally.take(&probe);
        }
        Ok(Tally::survey(&[tally], arena))
    }
}
