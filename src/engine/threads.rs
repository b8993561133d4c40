//! The engines `threads` and `sync`: a pool of threads, each of which reads one process at a time.
//!
//! The calling thread only supervises. When the read of a worker sleeps in a stuck process, the
//! pool grows, so that the other processes are still measured. A worker that sleeps too long is
//! abandoned: nothing wakes it. A worker whose read runs, because its process is big, gets the time
//! it needs.

use std::cell::LazyCell;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::series::{KnownProcess, SurveySeries};
use super::{Engine, EngineFailure, IoStats, Progress, Tally, Timeouts};
use crate::process::{
    Fate, PAUSE, Plan, Probe, ProcFile, ReadNext, WINDOW_BYTES, Want, Window, WindowLength,
};
use crate::sys::keeper_client;
use crate::sys::pages::KernelPages;
use crate::sys::proc_root::{OpenFile, ProcRoot};
use crate::sys::this_process;
use crate::sys::threads::{self, ThreadState, Urgent};
use crate::units::Pid;

/// The time between two checks of the workers.
const TICK: Duration = Duration::from_millis(10);
/// The check of one worker takes a few microseconds. Each worker adds this to the tick.
const TICK_PER_WORKER: Duration = Duration::from_micros(50);
/// A worker that sleeps this long in one process is replaced.
const HELD_AFTER: Duration = Duration::from_millis(20);
/// Workers added for each one that sleeps: the next processes may be stuck as well.
const ADDED_PER_SLEEPER: usize = 4;
/// Memory of a worker besides its stack: read buffer, probe, tally (which doubles as it grows), and
/// a part of what the C library takes at a time for all threads.
const WORKER_BYTES: usize = 64 * 1024;
/// The maximum number of workers, abandoned ones included, if descriptors allow.
const WORKERS_MAX: usize = 2048;

/// The thread pool.
pub(super) struct Threads {
    root: ProcRoot,
    workers: usize,
    /// Whether the calling thread reads if no other can be started.
    is_needed: bool,
    kept: Option<Arc<KeptFiles>>,
}

/// The files that stay open.
struct KeptFiles {
    series: Mutex<SurveySeries<OpenPair>>,
    pairs_max: usize,
}

/// The files of a process. The name is missing if it cannot stay open.
struct OpenPair {
    memory: OpenFile,
    name: Option<OpenFile>,
}

impl OpenPair {
    fn rewind(&mut self) {
        self.memory.rewind();
        self.name.iter_mut().for_each(OpenFile::rewind);
    }
}

impl KeptFiles {
    fn new(root: &ProcRoot) -> KeptFiles {
        let files_max = this_process::files_to_keep();
        this_process::reserve_descriptors(files_max, root.as_fd());
        KeptFiles { series: Mutex::default(), pairs_max: files_max / 2 }
    }

    fn series(&self) -> MutexGuard<'_, SurveySeries<OpenPair>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a process back. Files that threads have taken out are not counted: each thread may have
    /// two, and another one open.
    fn put(&self, probe: &Probe, known: Option<KnownProcess<OpenPair>>, files: Option<OpenPair>) {
        let mut series = self.series();
        let has_room = series.open_pairs() < self.pairs_max;
        drop(series.put(probe, known, files.filter(|_| has_room)));
    }
}

/// State that all workers share: the processes, and the index of the next one.
struct Queue {
    root: ProcRoot,
    pids: Vec<Pid>,
    plan: Arc<Plan>,
    pages: Mutex<KernelPages>,
    next: AtomicUsize,
    began: Instant,
    deadline: Option<Duration>,
    kept: Option<Arc<KeptFiles>>,
}

/// One worker, as seen by itself and by the supervisor.
#[derive(Default)]
struct Worker {
    thread_id: AtomicU32,
    /// Number of processes and windows started. A change tells the supervisor that the worker moved
    /// on.
    started: AtomicUsize,
    /// Start of the last one, in nanoseconds since the queue began.
    started_at: AtomicU64,
    is_done: AtomicBool,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    tally: Tally,
    current: Option<Pid>,
    /// The supervisor has counted the current process. Later results are dropped.
    is_abandoned: bool,
}

/// A worker and the last observation of it.
struct WatchedWorker {
    worker: Arc<Worker>,
    started: usize,
    /// The time at which the worker last started a process or was seen running.
    last_active: Instant,
    is_abandoned: bool,
}

impl Threads {
    pub(super) fn new(root: &ProcRoot, workers: usize, keeps_files: bool) -> Threads {
        let kept = keeps_files.then(|| Arc::new(KeptFiles::new(root)));
        Threads { root: root.clone(), workers: workers.max(1), is_needed: true, kept }
    }

    /// A pool that asks no process if no thread can be started: nothing would supervise the calling
    /// one.
    pub(super) fn supervised(root: &ProcRoot, workers: usize) -> Threads {
        Threads { is_needed: false, ..Threads::new(root, workers, false) }
    }
}

impl Engine for Threads {
    /// Never fails: without a single thread, the calling one reads.
    fn survey(
        &mut self,
        pids: &[Pid],
        plan: &Arc<Plan>,
        timeouts: &Timeouts,
        observer: &mut dyn FnMut(Progress),
        tallies: &mut Vec<Tally>,
    ) -> Result<(), EngineFailure> {
        let queue = Queue {
            root: self.root.clone(),
            pids: pids.to_vec(),
            plan: Arc::clone(plan),
            pages: Mutex::default(),
            next: AtomicUsize::new(0),
            began: Instant::now(),
            deadline: timeouts.deadline,
            kept: self.kept.clone(),
        };
        if let Some(kept) = queue.files_of_series() {
            drop(kept.series().begin(pids));
        }
        let workers = self.workers.min(pids.len());
        let mut supervisor = Supervisor::start(Arc::new(queue), workers, self.is_needed);
        supervisor.run(self.workers, timeouts, observer);
        tallies.extend(supervisor.tallies());
        Ok(())
    }

    fn forget(&mut self, is_forgotten: &dyn Fn(Pid) -> bool) {
        if let Some(kept) = &self.kept {
            drop(kept.series().forget(is_forgotten));
        }
    }
}

impl Queue {
    /// The next process. Relaxed: the index is the only shared state, the list never changes.
    fn next(&self) -> Option<Pid> {
        self.pids.get(self.next.fetch_add(1, Ordering::Relaxed)).copied()
    }

    /// The time until the deadline. Once it is zero, no worker starts another process.
    fn time_left(&self) -> Duration {
        let left = |deadline: Duration| deadline.saturating_sub(self.began.elapsed());
        self.deadline.map_or(Duration::MAX, left)
    }

    /// The files that stay open, if the survey is one of the series.
    fn files_of_series(&self) -> Option<&KeptFiles> {
        self.kept.as_deref().filter(|_| self.plan.surveys_per_name.is_some())
    }

    fn is_empty(&self) -> bool {
        self.next.load(Ordering::Relaxed) >= self.pids.len()
    }
}

impl Worker {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads one process after another until the queue is empty or the worker is abandoned.
    fn run(&self, queue: &Queue) {
        self.thread_id.store(threads::thread_id(), Ordering::Relaxed);
        let is_alive = || self.record_start(queue);
        let mut reader = BlockingReader::new(queue, &is_alive);
        while let Some(pid) = self.start_next(queue) {
            let mut known = queue.files_of_series().and_then(|kept| kept.series().take(pid));
            let files = reader.read_process(pid, known.as_mut());
            let mut log = self.log();
            if log.is_abandoned {
                return;
            }
            log.tally.record(&reader.probe);
            log.tally.io = reader.io;
            log.current = None;
            drop(log);
            if let Some(kept) = queue.files_of_series().filter(|_| reader.probe.can_resume()) {
                kept.put(&reader.probe, known, files);
            }
        }
        self.is_done.store(true, Ordering::Release);
    }

    /// Takes the next process. The log is locked meanwhile: a process that has left the queue is
    /// in the log when the supervisor abandons the worker.
    fn start_next(&self, queue: &Queue) -> Option<Pid> {
        let mut log = self.log();
        if log.is_abandoned {
            return None;
        }
        log.current = if queue.time_left().is_zero() { None } else { queue.next() };
        self.record_start(queue);
        log.current
    }

    /// Records that a process or a window was started.
    fn record_start(&self, queue: &Queue) {
        let now = u64::try_from(queue.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.started_at.store(now, Ordering::Relaxed);
        // Release: a reader of the new number sees the new time as well.
        self.started.fetch_add(1, Ordering::Release);
    }
}

/// Adds and abandons workers.
struct Supervisor {
    queue: Arc<Queue>,
    workers: Vec<WatchedWorker>,
    sender: Sender<()>,
    finished: mpsc::Receiver<()>,
    /// Processes that were still queued at the end.
    not_started: Tally,
}

impl Supervisor {
    fn start(queue: Arc<Queue>, workers: usize, is_needed: bool) -> Supervisor {
        let (sender, finished) = mpsc::channel();
        let not_started = Tally::default();
        let mut supervisor =
            Supervisor { queue, workers: Vec::new(), sender, finished, not_started };
        supervisor.spawn(workers);
        if supervisor.workers.is_empty() && is_needed {
            // No thread could be started: this one reads, unsupervised.
            let worker = Arc::new(Worker::default());
            worker.run(&supervisor.queue);
            supervisor.watch(worker);
        }
        supervisor
    }

    fn spawn(&mut self, workers: usize) {
        let limit = this_process::raise_file_limit();
        let limit = if self.queue.kept.is_some() { limit / 3 } else { limit };
        let allowed = match (limit, keeper_client::has_keeper()) {
            // The channel is a third descriptor beside two files.
            (limit, true) => WORKERS_MAX.min((2 * limit / 3).max(1)),
            (limit, false) => WORKERS_MAX.min(limit),
        };
        let wanted = workers.min(allowed.saturating_sub(self.workers.len()));
        for _ in 0..threads::affordable(wanted, WORKER_BYTES, self.queue.pids.len()) {
            let worker = Arc::new(Worker::default());
            let (queue, sender) = (Arc::clone(&self.queue), self.sender.clone());
            let watched = Arc::clone(&worker);
            let is_spawned = threads::spawn(move || {
                worker.run(&queue);
                // Fails when the survey is over, which does not matter.
                let _ = sender.send(());
            });
            if !is_spawned {
                return; // Fewer workers do the same work.
            }
            self.watch(watched);
        }
    }

    fn watch(&mut self, worker: Arc<Worker>) {
        let last_active = Instant::now();
        self.workers.push(WatchedWorker { worker, started: 0, last_active, is_abandoned: false });
    }

    /// Supervises the pool until every worker is done or abandoned, or until the deadline.
    fn run(&mut self, workers: usize, timeouts: &Timeouts, observer: &mut dyn FnMut(Progress)) {
        while self.active() > 0 {
            match self.finished.recv_timeout(self.tick(timeouts)) {
                Ok(()) => continue,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            let now = Instant::now();
            let is_late = self.queue.time_left().is_zero();
            let suspect_after = HELD_AFTER.min(timeouts.stuck_after);
            let is_keeper_free = LazyCell::new(keeper_client::is_free as fn() -> bool);
            let mut sleeping = 0;
            for watched in self.workers.iter_mut().filter(|watched| watched.is_active()) {
                let asleep =
                    watched.time_asleep(self.queue.began, now, suspect_after, &is_keeper_free);
                sleeping += usize::from(asleep >= HELD_AFTER);
                if asleep >= timeouts.stuck_after {
                    watched.abandon_stuck();
                }
            }
            observer(self.progress(sleeping));
            if is_late {
                break;
            }
            if sleeping > 0 && !self.queue.is_empty() {
                let wanted = workers + ADDED_PER_SLEEPER * sleeping;
                self.spawn(wanted.saturating_sub(self.active()));
            }
        }
        self.finish();
    }

    /// The number of workers at work.
    fn active(&self) -> usize {
        self.workers.iter().filter(|watched| watched.is_active()).count()
    }

    /// The progress with this many sleeping workers, some of which may just have been abandoned.
    fn progress(&self, sleeping: usize) -> Progress {
        let listed = self.queue.pids.len();
        let started = self.queue.next.load(Ordering::Relaxed).min(listed);
        let active = self.active();
        let held = sleeping.min(active);
        Progress { finished: started.saturating_sub(active), listed, held }
    }

    /// The time until the next check. It grows with the number of workers, but never past the
    /// moment at which a worker becomes stuck.
    fn tick(&self, timeouts: &Timeouts) -> Duration {
        let now = Instant::now();
        let (mut active, mut next) = (0, timeouts.stuck_after);
        for watched in self.workers.iter().filter(|watched| watched.is_active()) {
            active += 1;
            next = next.min(timeouts.stuck_after.saturating_sub(now - watched.last_active));
        }
        next.clamp(TICK, TICK + TICK_PER_WORKER * active).min(self.queue.time_left())
    }

    /// Abandons every active worker and empties the queue: the deadline has passed, or all workers
    /// are abandoned and no other can be spawned.
    fn finish(&mut self) {
        while let Some(pid) = self.queue.next() {
            self.not_started.count(pid, Fate::NotAsked);
        }
        for watched in self.workers.iter_mut().filter(|watched| watched.is_active()) {
            watched.is_abandoned = true;
            watched.worker.log().abandon();
        }
    }

    fn tallies(self) -> impl Iterator<Item = Tally> {
        let workers = self.workers.into_iter();
        workers
            .map(|watched| std::mem::take(&mut watched.worker.log().tally))
            .chain(std::iter::once(self.not_started))
    }
}

impl WatchedWorker {
    fn is_active(&self) -> bool {
        !self.is_abandoned && !self.worker.is_done.load(Ordering::Acquire)
    }

    /// The time that the worker has been asleep in one process. Its state is read only if the
    /// process takes longer than `suspect_after`.
    fn time_asleep(
        &mut self,
        began: Instant,
        now: Instant,
        suspect_after: Duration,
        is_keeper_free: &LazyCell<bool>,
    ) -> Duration {
        let started = self.worker.started.load(Ordering::Acquire);
        if started != self.started {
            self.started = started;
            let started_at = self.worker.started_at.load(Ordering::Relaxed);
            self.last_active = began + Duration::from_nanos(started_at);
        }
        let asleep = now.saturating_duration_since(self.last_active);
        if asleep >= suspect_after {
            let thread = self.worker.thread_id.load(Ordering::Relaxed);
            let is_running = threads::thread_state(thread) == Some(ThreadState::Running);
            if is_running || keeper_client::is_awaited_by(thread) && **is_keeper_free {
                self.last_active = now;
                return Duration::ZERO;
            }
        }
        asleep
    }

    /// Abandons the worker if it is still in the same process.
    fn abandon_stuck(&mut self) {
        let mut log = self.worker.log();
        if log.current.is_some() && self.worker.started.load(Ordering::Relaxed) == self.started {
            self.is_abandoned = true;
            log.abandon();
        }
    }
}

impl Log {
    /// Counts the current process as timed out.
    fn abandon(&mut self) {
        self.is_abandoned = true;
        if let Some(pid) = self.current.take() {
            self.tally.time_out(pid);
        }
    }
}

/// Room for one read: a window of a walk. The kernel returns less of most texts at once.
const READ_BYTES: usize = WINDOW_BYTES;
/// Bytes read again from the beginning of smaps, to see whether the address space is still there.
const VERIFY_BYTES: usize = 1;

/// A probe and blocking reads of its files.
struct BlockingReader<'a> {
    queue: &'a Queue,
    /// Called at each window of a walk, which can take long.
    is_alive: &'a dyn Fn(),
    room: Vec<u8>,
    probe: Probe,
    window_length: WindowLength,
    /// The work for all processes so far.
    io: IoStats,
}

impl<'a> BlockingReader<'a> {
    fn new(queue: &'a Queue, is_alive: &'a dyn Fn()) -> BlockingReader<'a> {
        let io = IoStats::default();
        let (room, window_length) = (vec![0; READ_BYTES], WindowLength::default());
        BlockingReader { queue, is_alive, room, probe: Probe::new(), window_length, io }
    }

    /// Reads what the probe wants until the fate of the process is known. Returns the open files of
    /// the last pair.
    fn read_process(
        &mut self,
        pid: Pid,
        mut known: Option<&mut KnownProcess<OpenPair>>,
    ) -> Option<OpenPair> {
        match &mut known {
            Some(known) => known.start(&mut self.probe, pid, &self.queue.plan),
            None => self.probe.restart(pid, &self.queue.plan),
        }
        let mut files = known.and_then(|known| known.files.take());
        while let Some(want) = self.probe.want() {
            let (name, memory) = match want {
                Want::One(memory) if self.probe.awaits_memory() => (None, memory),
                Want::One(file) => {
                    self.open(file).iter_mut().for_each(|open| self.read(file, open));
                    continue;
                }
                Want::Pair { name, memory } => (Some(name), memory),
            };
            match &mut files {
                Some(open) if self.probe.is_open(memory) => open.rewind(),
                _ => {
                    // Those of an address space that is gone.
                    drop(files.take());
                    files = self.open(memory).map(|memory| OpenPair { memory, name: None });
                }
            }
            let Some(open) = &mut files else { continue };
            if let Some(name) = name {
                let can_keep = self.probe.can_keep(name);
                let mut file = open.name.take().or_else(|| self.open(name));
                file.iter_mut().for_each(|file| self.read(name, file));
                open.name = file.filter(|_| can_keep);
            }
            if self.probe.awaits_memory() {
                self.read(memory, &mut open.memory);
            }
        }
        files
    }

    fn open(&mut self, file: ProcFile) -> Option<OpenFile> {
        self.io.operations += 2; // with the close
        match self.queue.root.open_file(file, &self.probe.path(file)) {
            Ok(open) => Some(open),
            Err(errno) => {
                self.probe.fail(file, errno);
                None
            }
        }
    }

    fn read(&mut self, file: ProcFile, open: &mut OpenFile) {
        let mut urgent = None;
        let mut next = self.probe.first_read(file);
        while next != ReadNext::Done {
            self.io.operations += 1;
            let read = match next {
                ReadNext::Verify => open.read_beginning(&mut self.room[..VERIFY_BYTES]),
                ReadNext::Window(window) => {
                    (self.is_alive)();
                    urgent.get_or_insert_with(Urgent::this_thread);
                    std::thread::sleep(PAUSE);
                    let Window { offset, len } = self.window_length.cut(window);
                    let began = Instant::now();
                    let read = open.read_at(&mut self.room[..len], offset);
                    if let Ok(len) = read {
                        self.window_length.learn(len, began.elapsed());
                    }
                    read
                }
                _ => open.read(&mut self.room),
            };
            match read {
                Ok(len) => {
                    self.io.reads += 1;
                    self.io.bytes += len as u64;
                    let room = self.room.len();
                    next = self.probe.feed(file, &self.room[..len], room);
                    if next == ReadNext::Count {
                        let pages = self.queue.pages.lock();
                        let mut pages = pages.unwrap_or_else(PoisonError::into_inner);
                        next = self.probe.count(&mut *pages);
                    }
                }
                Err(errno) => {
                    self.probe.fail(file, errno);
                    next = ReadNext::Done;
                }
            }
        }
    }
}
