//! The rival: threads of our own, each carrying one process at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use bumpalo::Bump;

use super::tally::Tally;
use super::{Carrier, Engine, Survey};
use crate::error::Error;
use crate::process::Plan;
use crate::sys::proc_root::ProcRoot;
use crate::units::{Errno, Pid};

/// What a thread needs of stack: it calls nothing deep.
const STACK_BYTES: usize = 128 * 1024;

/// The engine `threads`.
pub(super) struct Threads {
    root: Arc<ProcRoot>,
    workers: usize,
}

/// What the threads of one survey share: the list, and how far it is handed out.
struct Work {
    root: Arc<ProcRoot>,
    pids: Vec<Pid>,
    plan: Plan,
    next: AtomicUsize,
}

impl Threads {
    pub(super) fn open(root: &ProcRoot, workers: usize) -> Result<Threads, Error> {
        let root = Arc::new(root.try_clone().map_err(Error::Resources)?);
        Ok(Threads { root, workers: workers.max(1) })
    }
}

impl Engine for Threads {
    fn survey<'run>(
        &mut self,
        pids: &[Pid],
        plan: &Plan,
        arena: &'run Bump,
    ) -> Result<Survey<'run>, Error> {
        let work = Arc::new(Work {
            root: Arc::clone(&self.root),
            pids: pids.to_vec(),
            plan: plan.clone(),
            next: AtomicUsize::new(0),
        });
        let (sender, tallies) = mpsc::channel();
        let wanted = self.workers.min(pids.len());
        for started in 0..wanted {
            let (shared, sender) = (Arc::clone(&work), sender.clone());
            let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
            // Nobody listening any more is no concern of the thread.
            let spawned = thread.spawn(move || sender.send(shared.carry_all(wanted)).ok());
            match spawned {
                Ok(_) => {}
                // Fewer threads do the same work; none at all: this one does it.
                Err(_) if started > 0 => break,
                Err(_) => {
                    let tally = work.carry_all(1);
                    return Ok(Tally::survey(&[tally], arena));
                }
            }
        }
        drop(sender);
        let tallies: Vec<Tally> = tallies.iter().collect();
        let survey = Tally::survey(&tallies, arena);
        if survey.coverage.listed() < pids.len() {
            return Err(Error::Resources(Errno::CANCELED));
        }
        Ok(survey)
    }
}

impl Work {
    /// Carries one process after another until the list is handed out.
    fn carry_all(&self, workers: usize) -> Tally {
        let tally = Tally::with_room(self.pids.len() / workers + 1);
        let mut carrier = Carrier::new(&self.root, &self.plan, tally);
        // Relaxed: the number alone is shared, the list does not change.
        while let Some(pid) = self.pids.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            carrier.carry(*pid);
        }
        carrier.tally
    }
}
