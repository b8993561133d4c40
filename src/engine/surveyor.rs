//! The engine of a run: the choice, the fallback, and the processes that need no engine.

use std::time::{Duration, Instant};

use super::backoff::Backoff;
use super::threads::Threads;
use super::{Broken, Engine, Progress, Survey, Tally, Timeouts, Tuning, Uring};
use crate::error::Error;
use crate::process::{Fate, KTHREADD, Plan};
use crate::sys::proc_root::ProcRoot;
use crate::sys::this_process;
use crate::units::{Errno, Labelled, Pid, labels};

/// How long it may take after a deadline to find out who is dead.
const JUDGING_MAX: Duration = Duration::from_millis(50);

/// Which way to carry bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineKind {
    /// `uring` when a real read through the ring works here, and the ring can have more workers
    /// when some are stuck; else `threads`.
    #[default]
    Auto,
    /// One thread submits to io_uring, the kernel's workers read.
    Uring,
    /// Threads of our own, each one process at a time.
    Threads,
    /// One thread, one process at a time.
    Sync,
}

labels!(EngineKind {
    Auto => "auto", "uring where it works, else threads";
    Uring => "uring", "One thread submits to io_uring";
    Threads => "threads", "Several threads read";
    Sync => "sync", "One thread reads";
});

impl EngineKind {
    /// The word of the command line.
    pub fn word(self) -> &'static str {
        self.label()
    }
}

/// The engine of a run, and the one that stands in when it breaks down.
pub struct Surveyor {
    engine: Box<dyn Engine>,
    kind: EngineKind,
    /// Whether another engine may take over.
    is_auto: bool,
    fallback: Option<Errno>,
    root: ProcRoot,
    tuning: Tuning,
    held: Backoff,
}

impl Surveyor {
    /// Opens the engine that was asked for.
    ///
    /// # Errors
    /// [`Error::Ring`] when `uring` was asked for by name and cannot be had.
    pub fn open(kind: EngineKind, root: &ProcRoot, tuning: Tuning) -> Result<Surveyor, Error> {
        let is_auto = kind == EngineKind::Auto;
        let crew = |workers| Box::new(Threads::new(root, workers));
        let (engine, kind, fallback): (Box<dyn Engine>, _, _) = match kind {
            EngineKind::Sync => (crew(1), kind, None),
            EngineKind::Threads => (crew(tuning.workers), kind, None),
            EngineKind::Auto | EngineKind::Uring => match Uring::open(root, tuning) {
                Ok(ring) if is_auto && !ring.can_grow() => {
                    (crew(tuning.workers), EngineKind::Threads, Some(Errno::NOT_SUPPORTED))
                }
                Ok(ring) => (Box::new(ring), EngineKind::Uring, None),
                Err(errno) if is_auto => (crew(tuning.workers), EngineKind::Threads, Some(errno)),
                Err(errno) => return Err(Error::Ring(errno)),
            },
        };
        let (root, held) = (root.clone(), Backoff::default());
        Ok(Surveyor { engine, kind, is_auto, fallback, root, tuning, held })
    }

    /// The engine at work; never [`EngineKind::Auto`].
    pub fn kind(&self) -> EngineKind {
        self.kind
    }

    /// How it was set up.
    pub fn tuning(&self) -> Tuning {
        self.tuning
    }

    /// Why `uring` is not, or no longer, used though it was wished for.
    pub fn fallback(&self) -> Option<Errno> {
        self.fallback
    }

    /// Measures every listed process; ids ascend.
    ///
    /// # Errors
    /// [`Error::Ring`] when the ring breaks down and was asked for by name.
    pub fn survey(
        &mut self,
        pids: &[Pid],
        plan: &Plan,
        timeouts: &Timeouts,
    ) -> Result<Survey, Error> {
        self.observed(pids, plan, timeouts, &mut |_| {})
    }

    /// The same, telling somebody every few milliseconds how far it is.
    ///
    /// # Errors
    /// As above.
    pub fn observed(
        &mut self,
        pids: &[Pid],
        plan: &Plan,
        timeouts: &Timeouts,
        observer: &mut dyn FnMut(Progress),
    ) -> Result<Survey, Error> {
        let began = Instant::now();
        let mut survey = Survey::default();
        let (users, kernel_threads) =
            self.without_kernel_threads(pids, timeouts, &mut survey.tallies);
        let asked = self.without_held(&users, &mut survey.tallies);
        let plan = &Plan { kernel_threads, ..plan.clone() };
        let tallies = &mut survey.tallies;
        if let Err(broken) = self.engine.carry(&asked, plan, timeouts, observer, tallies) {
            if self.is_auto && self.kind == EngineKind::Uring {
                let deadline = timeouts.deadline.map(|time| time.saturating_sub(began.elapsed()));
                let timeouts = Timeouts { deadline, ..*timeouts };
                let (listed, before) = (asked.len(), asked.len() - broken.left.len());
                let mut observer = |progress: Progress| {
                    observer(Progress { finished: before + progress.finished, listed, ..progress });
                };
                self.go_on_with_threads(&broken, plan, &timeouts, &mut observer, tallies);
            } else if broken.errno == Errno::MFILE {
                // The stuck have all the slots. What the others told is worth a report.
                let mut tally = Tally::default();
                broken.left.iter().for_each(|pid| tally.skip(*pid, Fate::NotAsked));
                tallies.push(tally);
            } else {
                return Err(Error::Ring(broken.errno));
            }
        }
        // Whom a deadline cuts off may be well, or dead, which can be told at once: there can be
        // thousands, so their status is read only where they may have no memory.
        match timeouts.deadline.filter(|deadline| began.elapsed() >= *deadline) {
            None => self.held.note([pids, &asked], &survey.missing(), &self.root),
            Some(deadline) => {
                let has_time = || began.elapsed() < deadline + JUDGING_MAX;
                let is_own = self.root.is_own();
                let is_well = |pid| is_own && this_process::has_memory(pid) == Some(true);
                let may_tell = |pid| has_time() && !is_well(pid);
                let better = |pid| may_tell(pid).then(|| self.root.fate_at_once(pid)).flatten();
                survey.tallies.iter_mut().for_each(|tally| tally.reclassify(better));
            }
        }
        // No process is lost and none is counted twice.
        assert_eq!(survey.coverage().listed(), pids.len(), "every process has one fate");
        Ok(survey)
    }

    /// Has threads of our own measure whom a broken ring left, now and from now on.
    fn go_on_with_threads(
        &mut self,
        broken: &Broken,
        plan: &Plan,
        timeouts: &Timeouts,
        observer: &mut dyn FnMut(Progress),
        tallies: &mut Vec<Tally>,
    ) {
        let crew = Threads::new(&self.root, self.tuning.workers);
        self.kind = EngineKind::Threads;
        self.fallback = Some(broken.errno);
        crew.work_off(&broken.left, plan, timeouts, observer, tallies);
        // Not dropped: the kernel may still hold some of its requests.
        std::mem::forget(std::mem::replace(&mut self.engine, Box::new(crew)));
    }

    /// Leaves out those that were stuck and may still be: they are given up once more, unasked.
    fn without_held(&mut self, pids: &[Pid], tallies: &mut Vec<Tally>) -> Vec<Pid> {
        let mut tally = Tally::default();
        let mut asked = pids.to_vec();
        asked.retain(|pid| {
            let rests = self.held.should_skip(*pid, &self.root);
            if rests {
                tally.time_out(*pid);
            }
            !rests
        });
        tallies.push(tally);
        asked
    }

    /// Leaves out the threads of the kernel, of which there can be hundreds: each would cost a
    /// request or more. Children of `kthreadd` that are not proved to be some are left to their
    /// probes, and told: helpers of the kernel are such, and have memory.
    fn without_kernel_threads(
        &self,
        pids: &[Pid],
        timeouts: &Timeouts,
        tallies: &mut Vec<Tally>,
    ) -> (Vec<Pid>, Vec<Pid>) {
        // Without `kthreadd` this is a choice of processes, not a host.
        let is_host = pids.contains(&KTHREADD);
        let threads = if is_host { self.root.kernel_threads() } else { Vec::new() };
        let is_thread = |pid: &Pid| threads.binary_search(pid).is_ok();
        let is_own = !threads.is_empty() && self.root.is_own();
        // Whom a deadline leaves unasked would be missing. Their status answers at once.
        let has_deadline = timeouts.deadline.is_some();
        let is_told =
            |pid: &Pid| has_deadline && self.root.fate_at_once(*pid) == Some(Fate::KernelThread);
        let has_no_memory = |pid: &Pid| is_own && this_process::has_memory(*pid) == Some(false);
        let is_proved = |pid: &Pid| is_thread(pid) && (has_no_memory(pid) || is_told(pid));
        let mut tally = Tally::default();
        let mut asked = Vec::with_capacity(pids.len());
        for pid in pids {
            if is_proved(pid) {
                tally.skip(*pid, Fate::KernelThread);
            } else {
                asked.push(*pid);
            }
        }
        tallies.push(tally);
        (asked, threads)
    }
}
