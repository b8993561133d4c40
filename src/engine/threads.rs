//! The rival and the reference: a crew of threads, each carrying one process at a time.
//!
//! The thread that calls only watches. A member whose read sleeps in a stuck process is replaced
//! by others, so that the rest goes on, and given up when it slept too long: nothing can be done
//! to get it back. A member whose read runs, because its process is big, is waited for.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Broken, Engine, IoStats, Progress, Tally, Timeouts, left_bytes};
use crate::process::{Fate, Plan, Probe, ProcFile, ReadNext, Want};
use crate::sys::proc_root::{OpenFile, ProcRoot};
use crate::sys::this_process;
use crate::sys::threads::{self, ThreadState};
use crate::units::Pid;

/// How often the crew is looked after.
const TICK: Duration = Duration::from_millis(10);
/// Looking at a member takes a few microseconds; with many, this much longer between looks.
const TICK_PER_WORKER: Duration = Duration::from_micros(50);
/// A member that sleeps this long in one process is replaced.
const HELD_AFTER: Duration = Duration::from_millis(20);
/// How many are added for each that sleeps: the next ones may be stuck as well.
const ADDED_PER_SLEEPER: usize = 4;
/// What a member takes besides its stack, and a part of what the C library takes at a time for all:
/// the buffer it reads into, its probe, its tally, which doubles as it grows.
const WORKER_BYTES: usize = 64 * 1024;
/// The most members, sleeping ones included, if descriptors allow.
const WORKERS_MAX: usize = 2048;

/// The engines `threads` and, with one worker, `sync`.
pub(super) struct Threads {
    root: ProcRoot,
    workers: usize,
}

/// What all members share: the list, and how far it is handed out.
struct Work {
    root: ProcRoot,
    pids: Vec<Pid>,
    plan: Plan,
    next: AtomicUsize,
    began: Instant,
    deadline: Option<Duration>,
}

/// One member, as seen by itself and by the watching thread.
#[derive(Default)]
struct Worker {
    thread: AtomicU32,
    /// How many processes it has begun: tells the watching thread that it moved on.
    begun: AtomicUsize,
    /// When it began the last one, in nanoseconds of the work.
    since: AtomicU64,
    is_done: AtomicBool,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    tally: Tally,
    at_work_on: Option<Pid>,
    /// Given up: what it still finds is nobody's business any more.
    is_abandoned: bool,
}

/// What the watching thread remembers of a member.
struct Watched {
    member: Arc<Worker>,
    begun: usize,
    /// When it last began a process or was seen running.
    alive: Instant,
    is_abandoned: bool,
}

impl Threads {
    pub(super) fn new(root: &ProcRoot, workers: usize) -> Threads {
        Threads { root: root.clone(), workers: workers.max(1) }
    }

    /// Measures every listed process or counts it: a crew does not break down.
    pub(super) fn work_off(
        &self,
        pids: &[Pid],
        plan: &Plan,
        timeouts: &Timeouts,
        observer: &mut dyn FnMut(Progress),
        tallies: &mut Vec<Tally>,
    ) {
        let (root, members) = (self.root.clone(), self.workers.min(pids.len()));
        let (pids, plan, deadline) = (pids.to_vec(), plan.clone(), timeouts.deadline);
        let (next, began) = (AtomicUsize::new(0), Instant::now());
        let work = Arc::new(Work { root, pids, plan, next, began, deadline });
        let mut watch = Watchdog::start(work, members);
        watch.until_done(self.workers, timeouts, observer);
        tallies.extend(watch.tallies());
    }
}

impl Engine for Threads {
    fn carry(
        &mut self,
        pids: &[Pid],
        plan: &Plan,
        timeouts: &Timeouts,
        observer: &mut dyn FnMut(Progress),
        tallies: &mut Vec<Tally>,
    ) -> Result<(), Broken> {
        self.work_off(pids, plan, timeouts, observer, tallies);
        Ok(())
    }
}

impl Work {
    /// Hands out the next process. Relaxed: the number alone is shared, the list never changes.
    fn next(&self) -> Option<Pid> {
        self.pids.get(self.next.fetch_add(1, Ordering::Relaxed)).copied()
    }

    /// How much time is left. When none is, no process is begun any more.
    fn left(&self) -> Duration {
        let left = |deadline: Duration| deadline.saturating_sub(self.began.elapsed());
        self.deadline.map_or(Duration::MAX, left)
    }

    fn is_handed_out(&self) -> bool {
        self.next.load(Ordering::Relaxed) >= self.pids.len()
    }
}

impl Worker {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next process. Under the lock of the log, so that none is lost between the list
    /// and the log when the member is given up at that moment.
    fn begin(&self, work: &Work) -> Option<Pid> {
        let mut log = self.log();
        if log.is_abandoned {
            return None;
        }
        log.at_work_on = if work.left().is_zero() { None } else { work.next() };
        let since = u64::try_from(work.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.since.store(since, Ordering::Relaxed);
        // Release: who sees the number sees the time as well.
        self.begun.fetch_add(1, Ordering::Release);
        log.at_work_on
    }

    /// Carries one process after another until the list is handed out or nobody waits any more.
    fn work(&self, work: &Work) {
        self.thread.store(threads::thread_id(), Ordering::Relaxed);
        let mut carrier = BlockingReader::new(&work.root, &work.plan);
        while let Some(pid) = self.begin(work) {
            let probe = carrier.carry(pid);
            let mut log = self.log();
            if log.is_abandoned {
                return;
            }
            log.tally.record(probe);
            log.tally.io = carrier.io();
            log.at_work_on = None;
        }
        self.is_done.store(true, Ordering::Release);
    }
}

/// The watching side.
struct Watchdog {
    work: Arc<Work>,
    crew: Vec<Watched>,
    sender: Sender<()>,
    finished: mpsc::Receiver<()>,
    /// Processes that nobody will begin any more.
    never_begun: Tally,
}

impl Watchdog {
    fn start(work: Arc<Work>, members: usize) -> Watchdog {
        let (sender, finished) = mpsc::channel();
        let never_begun = Tally::default();
        let mut watch = Watchdog { work, crew: Vec::new(), sender, finished, never_begun };
        watch.hire(members);
        if watch.crew.is_empty() {
            // No thread to be had: this one does the work, unwatched.
            let member = Arc::new(Worker::default());
            member.work(&watch.work);
            watch.watch(member);
        }
        watch
    }

    fn hire(&mut self, members: usize) {
        let allowed = WORKERS_MAX.min(this_process::file_pairs());
        for hired in 0..members.min(allowed.saturating_sub(self.crew.len())) {
            let member = Arc::new(Worker::default());
            let (work, sender) = (Arc::clone(&self.work), self.sender.clone());
            let its_own = Arc::clone(&member);
            // Those before it have hardly begun to take theirs.
            let left = left_bytes(self.work.pids.len()) + (hired + 1) * WORKER_BYTES;
            let is_hired = threads::spawn(left, move || {
                its_own.work(&work);
                // Nobody listening any more is no concern of the member.
                let _ = sender.send(());
            });
            if !is_hired {
                return; // Fewer do the same work.
            }
            self.watch(member);
        }
    }

    fn watch(&mut self, member: Arc<Worker>) {
        let alive = Instant::now();
        self.crew.push(Watched { member, begun: 0, alive, is_abandoned: false });
    }

    fn until_done(
        &mut self,
        workers: usize,
        timeouts: &Timeouts,
        observer: &mut dyn FnMut(Progress),
    ) {
        while self.crew.iter().any(Watched::is_at_work) {
            match self.finished.recv_timeout(self.tick(timeouts)) {
                Ok(()) => continue,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            let now = Instant::now();
            let is_over = self.work.left().is_zero();
            let mut sleeping = 0;
            for watched in self.crew.iter_mut().filter(|watched| watched.is_at_work()) {
                let suspect_after = HELD_AFTER.min(timeouts.stuck_after);
                let slept = watched.slept(self.work.began, now, suspect_after);
                sleeping += usize::from(slept >= HELD_AFTER);
                if slept >= timeouts.stuck_after {
                    watched.abandon();
                }
            }
            observer(self.progress(sleeping));
            if is_over {
                break;
            }
            if sleeping > 0 && !self.work.is_handed_out() {
                let at_work = self.crew.iter().filter(|watched| watched.is_at_work()).count();
                self.hire((workers + ADDED_PER_SLEEPER * sleeping).saturating_sub(at_work));
            }
        }
        self.end();
    }

    /// How far it is, with so many that slept, some of which may have been given up.
    fn progress(&self, slept: usize) -> Progress {
        let listed = self.work.pids.len();
        let begun = self.work.next.load(Ordering::Relaxed).min(listed);
        let under_way = self.crew.iter().filter(|watched| watched.is_at_work()).count();
        let held = slept.min(under_way);
        Progress { finished: begun.saturating_sub(under_way), listed, held }
    }

    /// How long to wait for the next look: it is longer with many to look at, but nobody's time
    /// passes unnoticed.
    fn tick(&self, timeouts: &Timeouts) -> Duration {
        let now = Instant::now();
        let at_work = self.crew.iter().filter(|watched| watched.is_at_work());
        let (mut count, mut next) = (0, timeouts.stuck_after);
        for watched in at_work {
            count += 1;
            next = next.min(timeouts.stuck_after.saturating_sub(now - watched.alive));
        }
        next.clamp(TICK, TICK + TICK_PER_WORKER * count).min(self.work.left())
    }

    /// Gives up what is at work, and what nobody has begun: time is over, or nobody is left to
    /// begin it, because all sleep and no more can be hired.
    fn end(&mut self) {
        while let Some(pid) = self.work.next() {
            self.never_begun.skip(pid, Fate::NotAsked);
        }
        self.crew.iter_mut().for_each(Watched::dismiss);
    }

    fn tallies(self) -> impl Iterator<Item = Tally> {
        let crew = self.crew.into_iter();
        crew.map(|watched| std::mem::take(&mut watched.member.log().tally))
            .chain(std::iter::once(self.never_begun))
    }
}

impl Watched {
    fn is_at_work(&self) -> bool {
        !self.is_abandoned && !self.member.is_done.load(Ordering::Acquire)
    }

    /// For how long it has been asleep in one process. Whether it sleeps is asked once it takes
    /// longer than `suspect_after`.
    fn slept(&mut self, began: Instant, now: Instant, suspect_after: Duration) -> Duration {
        let begun = self.member.begun.load(Ordering::Acquire);
        if begun != self.begun {
            self.begun = begun;
            let since = self.member.since.load(Ordering::Relaxed);
            self.alive = began + Duration::from_nanos(since);
        }
        let slept = now.saturating_duration_since(self.alive);
        if slept >= suspect_after {
            let thread = self.member.thread.load(Ordering::Relaxed);
            if threads::thread_state(thread) == Some(ThreadState::Running) {
                self.alive = now;
                return Duration::ZERO;
            }
        }
        slept
    }

    /// Gives it up if it is still asleep in the same process.
    fn abandon(&mut self) {
        let log = self.member.log();
        if log.at_work_on.is_some() && self.member.begun.load(Ordering::Relaxed) == self.begun {
            self.is_abandoned = true;
            give_up(log);
        }
    }

    /// Gives it up, whatever it is doing.
    fn dismiss(&mut self) {
        if self.is_at_work() {
            self.is_abandoned = true;
            give_up(self.member.log());
        }
    }
}

/// Closes a member's log. Should the member come back, it finds nobody waiting.
fn give_up(mut log: MutexGuard<'_, Log>) {
    log.is_abandoned = true;
    if let Some(pid) = log.at_work_on.take() {
        log.tally.time_out(pid);
    }
}

/// Room for one read: more than the kernel hands out at once.
const READ_BYTES: usize = 16 * 1024;
/// How much is read again to see whether smaps still has something to say.
const REWIND_BYTES: usize = 1;

/// A probe with what it takes to satisfy it. Waits wherever the kernel makes it wait.
pub(super) struct BlockingReader<'a> {
    root: &'a ProcRoot,
    plan: &'a Plan,
    room: Vec<u8>,
    probe: Probe,
    io: IoStats,
}

impl<'a> BlockingReader<'a> {
    pub(super) fn new(root: &'a ProcRoot, plan: &'a Plan) -> BlockingReader<'a> {
        let io = IoStats::default();
        BlockingReader { root, plan, room: vec![0; READ_BYTES], probe: Probe::new(), io }
    }

    /// Carries one process to its fate, which the returned probe tells.
    pub(super) fn carry(&mut self, pid: Pid) -> &Probe {
        self.probe.restart(pid, self.plan);
        while let Some(want) = self.probe.want(self.plan) {
            match want {
                Want::One(file) => self.open_and_read(file),
                Want::Pair { name, memory } => {
                    let Some(open) = self.open(memory) else { continue };
                    self.open_and_read(name);
                    if self.probe.awaits_memory() {
                        self.read(memory, open);
                    }
                }
            }
        }
        &self.probe
    }

    /// The work of all processes so far.
    pub(super) fn io(&self) -> IoStats {
        self.io
    }

    fn open_and_read(&mut self, file: ProcFile) {
        if let Some(open) = self.open(file) {
            self.read(file, open);
        }
    }

    fn open(&mut self, file: ProcFile) -> Option<OpenFile> {
        self.io.operations += 2; // and the close
        match self.root.open_file(file, &self.probe.path(file)) {
            Ok(open) => Some(open),
            Err(errno) => {
                self.probe.fail(self.plan, file, errno);
                None
            }
        }
    }

    fn read(&mut self, file: ProcFile, mut open: OpenFile) {
        let mut progress = ReadNext::Continue;
        while progress != ReadNext::Done {
            self.io.operations += 1;
            let read = match progress {
                ReadNext::Verify => open.read_beginning(&mut self.room[..REWIND_BYTES]),
                _ => open.read(&mut self.room),
            };
            match read {
                Ok(len) => {
                    self.io.reads += 1;
                    self.io.bytes += len as u64;
                    let room = self.room.len();
                    progress = self.probe.feed(self.plan, file, &self.room[..len], room);
                }
                Err(errno) => {
                    self.probe.fail(self.plan, file, errno);
                    progress = ReadNext::Done;
                }
            }
        }
    }
}
