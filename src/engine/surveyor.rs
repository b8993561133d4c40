//! Runs an engine: the choice, the fallback, and the processes that need no engine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backoff::Backoff;
use super::kernel_threads::{KernelThreads, fate_at_once};
use super::series::can_reread;
use super::threads::Threads;
use super::{Engine, Progress, Survey, Tally, Timeouts, Tuning, Uring};
use crate::error::Error;
use crate::process::{Fate, MappingsWanted, NameRule, Plan, Source};
use crate::sys::proc_root::ProcRoot;
use crate::sys::{this_process, threads};
use crate::units::{Errno, Pid, labels};

/// The time that the search for dead processes may take after the deadline.
const RECLASSIFY_MAX: Duration = Duration::from_millis(50);

/// The choice of an engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineKind {
    /// `uring` if a ring can be set up, its workers start, and their number can be raised when some
    /// are stuck, else `threads`.
    #[default]
    Auto,
    /// One thread submits to io_uring, the kernel's workers read.
    Uring,
    /// A pool of threads, each of which reads one process at a time.
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

/// The engine of a run, replaced by threads when the ring fails.
pub struct Surveyor {
    engine: Box<dyn Engine>,
    kind: EngineKind,
    /// Whether threads may replace the ring.
    is_auto: bool,
    fallback: Option<Errno>,
    root: ProcRoot,
    tuning: Tuning,
    backoff: Backoff,
}

impl Surveyor {
    /// Opens the requested engine.
    ///
    /// # Errors
    /// [`Error::Ring`] if `uring` was requested by name and is not available.
    pub fn open(kind: EngineKind, root: &ProcRoot, tuning: Tuning) -> Result<Surveyor, Error> {
        // The pauses of walks, in this thread and in the threads of the engines.
        threads::set_exact_timers();
        let is_auto = kind == EngineKind::Auto;
        let keeps_files = tuning.keeps_files && can_reread(root);
        let tuning = Tuning { keeps_files, ..tuning };
        let threads = |workers| Box::new(Threads::new(root, workers, keeps_files));
        let (engine, kind, fallback): (Box<dyn Engine>, _, _) = match kind {
            EngineKind::Sync => (threads(1), kind, None),
            EngineKind::Threads => (threads(tuning.workers), kind, None),
            EngineKind::Auto | EngineKind::Uring => match Uring::open(root, tuning) {
                Ok(ring) if is_auto && !ring.can_add_workers() => {
                    (threads(tuning.workers), EngineKind::Threads, Some(Errno::NOT_SUPPORTED))
                }
                Ok(ring) => (Box::new(ring), EngineKind::Uring, None),
                Err(errno) if is_auto => {
                    (threads(tuning.workers), EngineKind::Threads, Some(errno))
                }
                Err(errno) => return Err(Error::Ring(errno)),
            },
        };
        let (root, backoff) = (root.clone(), Backoff::default());
        Ok(Surveyor { engine, kind, is_auto, fallback, root, tuning, backoff })
    }

    /// The engine at work; never [`EngineKind::Auto`].
    pub fn kind(&self) -> EngineKind {
        self.kind
    }

    /// The parameters of the engine.
    pub fn tuning(&self) -> Tuning {
        self.tuning
    }

    /// Why `auto` does not, or no longer, use `uring`.
    pub fn fallback(&self) -> Option<Errno> {
        self.fallback
    }

    /// Closes the files of processes that stayed open, because another process runs in the same
    /// address space: after an exec they would have the figures of that.
    pub fn forget(&mut self, is_forgotten: &dyn Fn(Pid) -> bool) {
        self.engine.forget(is_forgotten);
    }

    /// Measures every listed process; ids ascend.
    ///
    /// # Errors
    /// [`Error::Ring`] if the ring fails and was requested by name.
    pub fn survey(
        &mut self,
        pids: &[Pid],
        plan: &Plan,
        timeouts: &Timeouts,
    ) -> Result<Survey, Error> {
        self.survey_with_progress(pids, plan, timeouts, &mut |_| {})
    }

    /// The same, and reports progress every few milliseconds.
    ///
    /// # Errors
    /// As [`Surveyor::survey`].
    pub fn survey_with_progress(
        &mut self,
        pids: &[Pid],
        plan: &Plan,
        timeouts: &Timeouts,
        observer: &mut dyn FnMut(Progress),
    ) -> Result<Survey, Error> {
        let began = Instant::now();
        let mut survey = Survey::default();
        let has_deadline = timeouts.deadline.is_some();
        let kernel_threads = KernelThreads::find(&self.root, pids, has_deadline);
        let mut tally = Tally::default();
        // The survey of a part says nothing about the other processes.
        let is_part = plan.surveys_per_name.is_none();
        if !is_part {
            self.backoff.forget_others(pids);
        }
        let mut asked = pids.to_vec();
        asked.retain(|pid| {
            let fate = if kernel_threads.is_proven(*pid) {
                Fate::KernelThread
            } else if self.backoff.should_skip(*pid, &self.root, is_part) {
                Fate::TimedOut
            } else {
                return true;
            };
            tally.count(*pid, fate);
            false
        });
        survey.tallies.push(tally);
        let kernel_threads = kernel_threads.likely;
        let plan = Arc::new(Plan { kernel_threads, ..plan.clone() });
        self.run_engine(&asked, &plan, (began, timeouts), observer, &mut survey.tallies)?;
        let deadline = timeouts.deadline.filter(|deadline| began.elapsed() >= *deadline);
        if let Some(deadline) = deadline {
            self.reclassify(began + deadline + RECLASSIFY_MAX, &mut survey);
        }
        if !is_part || deadline.is_none() {
            self.backoff.record(&asked, &survey.missing(), &self.root, deadline.is_some());
        }
        // No process is lost and none is counted twice.
        assert_eq!(survey.coverage().listed(), pids.len(), "every process has one fate");
        Ok(survey)
    }

    /// Reads the mappings of processes that a survey just measured. Threads read: they need a small
    /// buffer for a text of any length. A process that is stuck now is found by the next survey.
    pub fn survey_mappings(
        &mut self,
        pids: &[Pid],
        timeouts: &Timeouts,
        observer: &mut dyn FnMut(Progress),
    ) -> Survey {
        let plan = Plan {
            name_rule: NameRule::Comm,
            source: Source::Smaps,
            mappings: MappingsWanted::Shared,
            ..Plan::default()
        };
        let mut survey = Survey::default();
        let mut threads = Threads::supervised(&self.root, self.tuning.workers);
        // It never fails.
        drop(threads.survey(pids, &Arc::new(plan), timeouts, observer, &mut survey.tallies));
        survey
    }

    /// Runs the engine, and threads for the processes that a failed ring left unfinished.
    fn run_engine(
        &mut self,
        pids: &[Pid],
        plan: &Arc<Plan>,
        (began, timeouts): (Instant, &Timeouts),
        observer: &mut dyn FnMut(Progress),
        tallies: &mut Vec<Tally>,
    ) -> Result<(), Error> {
        let mut outcome = self.engine.survey(pids, plan, timeouts, observer, tallies);
        let can_fall_back = self.is_auto && self.kind == EngineKind::Uring;
        if let (Err(failure), true) = (&outcome, can_fall_back) {
            self.engine.forget(&|_| true);
            let Tuning { workers, keeps_files, .. } = self.tuning;
            // The memory of the ring is for the rest of the run. What the kernel may still write to
            // stays: see `KernelRing`'s `Drop`.
            self.engine = Box::new(Threads::new(&self.root, workers, keeps_files));
            (self.kind, self.fallback) = (EngineKind::Threads, Some(failure.errno));
            let deadline = timeouts.deadline.map(|time| time.saturating_sub(began.elapsed()));
            let timeouts = Timeouts { deadline, ..*timeouts };
            let (listed, before) = (pids.len(), pids.len() - failure.unfinished.len());
            let mut observer = |progress: Progress| {
                observer(Progress { finished: before + progress.finished, listed, ..progress });
            };
            let left = &failure.unfinished;
            outcome = self.engine.survey(left, plan, &timeouts, &mut observer, tallies);
        }
        match outcome {
            // Stuck processes hold all slots. A report of the others is worth more than none.
            Err(failure) if failure.errno == Errno::MFILE => {
                let mut tally = Tally::default();
                failure.unfinished.iter().for_each(|pid| tally.count(*pid, Fate::NotAsked));
                tallies.push(tally);
                Ok(())
            }
            outcome => outcome.map_err(|failure| Error::Ring(failure.errno)),
        }
    }

    /// Finds the zombies and the exited processes among those that a deadline left unfinished.
    /// There can be thousands, so `status` is read only of those without an address space.
    fn reclassify(&self, until: Instant, survey: &mut Survey) {
        let is_own = self.root.is_own();
        let has_memory = |pid| is_own && this_process::has_memory(pid) == Some(true);
        let may_be_dead = |pid| Instant::now() < until && !has_memory(pid);
        let better = |pid| may_be_dead(pid).then(|| fate_at_once(&self.root, pid)).flatten();
        survey.tallies.iter_mut().for_each(|tally| tally.reclassify(better));
    }
}
