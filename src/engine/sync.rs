//! The reference: one process after another, ordinary system calls.

use bumpalo::Bump;

use super::tally::Tally;
use super::{Carrier, Engine, Survey};
use crate::error::Error;
use crate::process::Plan;
use crate::sys::proc_root::ProcRoot;
use crate::units::Pid;

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
        let mut carrier = Carrier::new(&self.root, plan, Tally::with_room(pids.len()));
        pids.iter().for_each(|pid| carrier.carry(*pid));
        Ok(Tally::survey(&[carrier.tally], arena))
    }
}
