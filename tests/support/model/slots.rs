//! Slots and their steps: the guarantees of `sys/ring/mod.rs` and `sys/ring/kernel/mod.rs`, and no
//! others. Requests complete in any order. The memory of a pair is open before the name is read,
//! and is read afterwards, also if the name could not be read. Nothing is read after a failed open.
//! In a chain one worker carries out all steps of a request. All workers are of one kind.

use std::collections::VecDeque;

use psm_uring::process::ProcFile;
use psm_uring::sys::buffer::Buffer;
use psm_uring::sys::ring::{
    Completion, Failure, Fetch, Half, Opening, ReadFrom, Request, RingStats,
};
use psm_uring::units::{Errno, Pid};

use super::dice::Dice;
use super::fault::Op;
use super::life::lives;
use super::log::Word;
use super::pool::{Active, Job, Pool};
use super::seat::seat_of;
use super::watch::Watch;
use super::world::{self, OpenFile, World};
use super::{MILLIS, Micros};

/// The final content of an abandoned buffer, and the content of a buffer after a failed read.
const POISON: [u8; 4096] = [0xaa; 4096];
/// A process that takes this long does not count as in flight (README: other processes do not wait
/// for it).
const HELD_AFTER: Micros = 50 * MILLIS;
/// The least time between two windows of one process, in which it gets the lock.
const PAUSE: Micros = 50;

/// Failures of the ring.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trouble {
    /// This call of `submit_and_wait`, counted from 0, and all later ones fail.
    pub fails_at: Option<(u64, Errno)>,
    /// From this request on, counted from 0, no worker is available: it is cancelled.
    pub no_worker_from: Option<u64>,
    /// Only that one request.
    pub no_worker_once: bool,
    /// This many calls return early, as after a signal.
    pub early_returns: u64,
    /// This many reads of smaps in a hundred are shorter than possible.
    pub short_percent: u64,
}

/// A pending completion, and its effect on the process.
struct Ready {
    completion: Completion,
    note: Option<Note>,
}

#[derive(Clone, Copy)]
struct Note {
    at: world::Place,
    answer: Result<Word, Errno>,
    /// The file stayed open since an earlier survey.
    is_resumed: bool,
}

struct Slot {
    pending: [Option<(world::Place, Buffer)>; 2],
    open: [Option<OpenFile>; 2],
    openings: [Opening; 2],
    refused: [Option<Errno>; 2],
    /// The part of each file that is read next.
    from: [ReadFrom; 2],
    /// Requests in flight.
    requests: usize,
    /// Completions that the engine has yet to reap.
    owed: usize,
    pid: Option<Pid>,
    since: Micros,
    /// The time at which the engine took the last window of the page tables.
    window_reaped: Micros,
    is_abandoned: bool,
}

impl Slot {
    fn new() -> Slot {
        Slot {
            pending: [None, None],
            open: [None; 2],
            openings: [Opening::Slot; 2],
            refused: [None; 2],
            from: [ReadFrom::Current; 2],
            requests: 0,
            owed: 0,
            pid: None,
            since: 0,
            window_reaped: 0,
            is_abandoned: false,
        }
    }
}

/// A request that a worker has finished, and the completion of a read.
struct Finished {
    job: Job,
    ready: Option<Ready>,
}

/// The ring and the world, shared by engine and test.
pub struct Model {
    pub world: World,
    pub pool: Pool,
    pub dice: Dice,
    pub trouble: Trouble,
    pub watch: Watch,
    pub stats: RingStats,
    /// Requests are chains; else steps, which the ring can reap by time.
    pub is_chained: bool,
    pub can_sleep: bool,
    /// The files that stay open.
    pub places: Vec<Option<OpenFile>>,
    slots: Vec<Slot>,
    slots_max: usize,
    finished: VecDeque<Finished>,
    ready: VecDeque<Ready>,
    /// Requests that got a worker so far.
    started: u64,
    /// Pauses of walks so far.
    pub pauses: u64,
    /// The threads have the highest priority.
    pub is_urgent: bool,
}

impl Model {
    pub fn new(world: World, pool: Pool, dice: Dice, trouble: Trouble, slots: usize) -> Model {
        Model {
            world,
            pool,
            dice,
            trouble,
            watch: Watch::default(),
            stats: RingStats::default(),
            is_chained: false,
            can_sleep: true,
            places: Vec::new(),
            slots: (0..slots).map(|_| Slot::new()).collect(),
            slots_max: slots,
            finished: VecDeque::new(),
            ready: VecDeque::new(),
            started: 0,
            pauses: 0,
            is_urgent: false,
        }
    }

    /// The engine returns: requests in flight are abandoned.
    pub fn abandon(&mut self) {
        let owed = self.slots.iter_mut().filter(|slot| slot.owed > 0);
        owed.for_each(|slot| slot.is_abandoned = true);
        self.watch.abandoned = self.slots.iter().filter(|slot| slot.is_abandoned).count();
        self.watch.in_flight = 0;
        self.slots.iter_mut().for_each(|slot| slot.pid = None);
    }

    /// Counts a call; returns the number of calls since the last progress.
    pub fn idle_enters(&mut self) -> u64 {
        let moves = self.pool.running() > 0;
        self.watch.idle_enters = if moves { 0 } else { self.watch.idle_enters + 1 };
        self.watch.idle_enters
    }

    /// The slot of a process with an unanswered last request.
    pub fn in_flight(&self, pid: Pid) -> Option<usize> {
        self.slots.iter().position(|slot| slot.pid == Some(pid) && slot.owed > 0)
    }

    /// Takes a request of the engine; it waits for the next submission.
    pub fn fetch(&mut self, index: usize, request: Request) {
        let (first, second) = match request {
            Request::One(fetch) => (fetch, None),
            Request::Pair { name, memory } => (name, Some(memory)),
        };
        let place = place_of(&first);
        self.begin(index, self.world.seats[place.seat].pid);
        let openings = [first.opening, second.as_ref().map_or(Opening::Slot, |it| it.opening)];
        let open = openings.map(|opening| self.open_place(opening));
        let slot = &mut self.slots[index];
        assert_eq!(slot.owed, 0, "slot {index} is asked while something of it is in flight");
        slot.owed = 1 + usize::from(second.is_some());
        (slot.open, slot.openings, slot.refused) = (open, openings, [None; 2]);
        // A memory that is open is not opened.
        let is_pair = second.is_some() && open[1].is_none();
        let from = second.as_ref().map_or(ReadFrom::Current, |fetch| fetch.from);
        slot.from = [first.from, from];
        slot.pending = [Some((place, first.buffer)), second.map(|f| (place_of(&f), f.buffer))];
        match (place.file, is_pair) {
            (ProcFile::Tasks, _) => self.list_tasks(index, place),
            _ if open[0].is_some() => self.queue(index, Half::First, Op::Read),
            (ProcFile::Exe, false) => self.queue(index, Half::First, Op::Link),
            (ProcFile::Exe, true) => self.queue(index, Half::Second, Op::Open),
            (_, true) if self.is_chained => self.queue(index, Half::Second, Op::Open),
            (_, false) => self.queue(index, Half::First, Op::Open),
            (_, true) => {
                self.queue(index, Half::Second, Op::Open);
                self.queue(index, Half::First, Op::Open);
            }
        }
    }

    /// The file that a request finds open. A file that it opens replaces that of the place.
    fn open_place(&mut self, opening: Opening) -> Option<OpenFile> {
        let place = opening.place()?;
        self.assert_unused(place);
        if let Opening::Place(_) = opening {
            self.places[place] = None;
            return None;
        }
        self.watch.resumed += 1;
        Some(self.places[place].expect("a file is open in the place").rewound())
    }

    fn assert_unused(&self, place: usize) {
        let uses = |slot: &Slot| {
            let is_used = |opening: &Opening| opening.place() == Some(place);
            (slot.owed > 0 || slot.requests > 0) && slot.openings.iter().any(is_used)
        };
        assert!(!self.slots.iter().any(uses), "place {place} is in use");
    }

    /// Closes a file that stayed open.
    pub fn close(&mut self, place: usize) {
        self.assert_unused(place);
        self.places[place] = None;
    }

    /// The processes with files that stay open.
    pub fn kept(&self) -> impl Iterator<Item = usize> {
        self.places.iter().flatten().map(|file| file.seat)
    }

    fn queue(&mut self, slot: usize, half: Half, op: Op) {
        let is_chain = self.is_chained;
        self.queue_job(Job { slot, half, op, is_chain });
    }

    fn queue_job(&mut self, job: Job) {
        self.stats.operations += 1;
        self.slots[job.slot].requests += 1;
        self.pool.queue(job);
    }

    /// Takes another read of a file that the slot has open.
    pub fn read_more(&mut self, index: usize, half: Half, from: ReadFrom, buffer: Buffer) {
        let slot = &mut self.slots[index];
        assert!(!slot.is_abandoned, "slot {index} was abandoned and reads on");
        let pending = &mut slot.pending[half as usize];
        assert!(pending.is_none(), "slot {index} has a read of that file in flight");
        let open = slot.open[half as usize].expect("it reads on in a file that was opened");
        *pending = Some((open.place(), buffer));
        self.watch.in_flight += usize::from(slot.owed == 0);
        if let ReadFrom::At(_) = from {
            assert_eq!(slot.owed, 0, "slot {index} reads a window beside another file");
            let pause = self.world.now - slot.window_reaped;
            assert!(pause >= PAUSE, "slot {index} pauses for {pause} µs");
            assert!(self.is_urgent, "slot {index} reads a window at an ordinary priority");
            slot.since = slot.window_reaped;
            self.pauses += 1;
        }
        slot.owed += 1;
        slot.from[half as usize] = from;
        let op = Op::Read;
        self.queue_job(Job { slot: index, half, op, is_chain: false });
    }

    /// A slot starts another process, unless it continues with its current one.
    fn begin(&mut self, index: usize, pid: Pid) {
        let slot = &mut self.slots[index];
        assert!(!slot.is_abandoned, "slot {index} was abandoned and is used again");
        self.watch.in_flight += usize::from(slot.owed == 0);
        if slot.pid != Some(pid) {
            (slot.pid, slot.since) = (Some(pid), self.world.now);
            self.watch.last_fetched = self.world.now;
            let moving = self.watch.in_flight.saturating_sub(self.watch.held);
            self.watch.moving_max = self.watch.moving_max.max(moving);
        }
    }

    /// The engine counts slow workers, and gives up those that sleep for this long if it can
    /// distinguish them from others. Returns the number of slow workers.
    pub fn look(&mut self, timeouts: Micros) -> usize {
        let now = self.world.now;
        let is_older = |slot: &Slot, age: Micros| {
            slot.owed > 0 && !slot.is_abandoned && now - slot.since >= age
        };
        let old = (0..self.slots.len()).filter(|index| is_older(&self.slots[*index], timeouts));
        let (old, sleepers) = (old.collect::<Vec<_>>(), self.pool.sleepers(now, timeouts));
        if sleepers.len() >= self.watch.abandoned + old.len() {
            self.watch.abandoned += old.len();
            self.watch.in_flight -= old.len();
            for index in old {
                assert!(sleepers.contains(&index), "slot {index} is given up, and has not slept");
                self.slots[index].is_abandoned = true;
                let pid = self.slots[index].pid.expect("it has a process");
                self.world.seats[seat_of(pid)].log.is_given_up = true;
            }
        }
        self.watch.held = self.slots.iter().filter(|slot| is_older(slot, HELD_AFTER)).count();
        sleepers.len()
    }

    fn list_tasks(&mut self, index: usize, place: world::Place) {
        let tasks = self.world.tasks(place);
        let answer = tasks.as_ref().map(|_| Word::Tasks).map_err(|errno| *errno);
        let text = tasks.unwrap_or_default();
        self.complete(index, Half::First, answer.map_err(Failure::Refused), &text);
    }

    /// Ends one fetch and records the answers that the engine receives for the process.
    fn complete(&mut self, slot: usize, half: Half, answer: Result<Word, Failure>, text: &[u8]) {
        let ready = self.ready(slot, half, answer, text);
        self.ready.extend(ready);
    }

    fn ready(
        &mut self,
        slot: usize,
        half: Half,
        answer: Result<Word, Failure>,
        text: &[u8],
    ) -> Option<Ready> {
        let (at, mut buffer) = self.slots[slot].pending[half as usize].take()?;
        buffer.put(if answer.is_ok() { text } else { &POISON[..64] });
        let answer_of_process = match answer {
            Err(Failure::NotTried | Failure::Refused(Errno::CANCELED)) => None,
            Err(Failure::Refused(errno)) => Some(Err(errno)),
            Ok(word) => Some(Ok(word)),
        };
        let is_resumed = matches!(self.slots[slot].openings[half as usize], Opening::Open(_));
        let note = answer_of_process.map(|answer| Note { at, answer, is_resumed });
        Some(Ready {
            completion: Completion { slot, half, result: answer.map(drop), buffer },
            note,
        })
    }

    /// The ring takes what workers have finished, and queues the next steps.
    pub fn drain(&mut self) {
        while let Some(Finished { job, ready }) = self.finished.pop_front() {
            let Job { slot, half, op, is_chain, .. } = job;
            self.slots[slot].requests -= 1;
            self.stats.completed += 1;
            self.watch.last_reaped = self.world.now;
            self.ready.extend(ready);
            match op {
                // Its chain has ended early: it is late.
                Op::Open if is_chain && self.slots[slot].refused == [None; 2] => {}
                Op::Open => self.open_is_done(slot),
                Op::Link | Op::Read => self.name_is_done(slot, half),
            }
        }
    }

    fn open_is_done(&mut self, slot: usize) {
        let state = &self.slots[slot];
        if state.requests > 0 {
            return;
        }
        let failed = [Half::Second, Half::First].into_iter();
        let mut failed = failed.filter_map(|half| Some((half, state.refused[half as usize]?)));
        if let Some((half, errno)) = failed.next() {
            let hits = &mut self.world.faults.hits;
            if let (Some(_), Some((at, _))) = (failed.next(), &state.pending[0]) {
                let seat = at.seat;
                hits.iter_mut().for_each(|hit| hit.is_overruled |= hit.place.seat == seat);
            }
            self.complete(slot, half, Err(Failure::Refused(errno)), &[]);
            for other in [Half::First, Half::Second] {
                self.complete(slot, other, Err(Failure::NotTried), &[]);
            }
        } else {
            let name = &state.pending[Half::First as usize];
            let is_link = name.as_ref().is_some_and(|(at, _)| at.file == ProcFile::Exe);
            self.queue(slot, Half::First, if is_link { Op::Link } else { Op::Read });
        }
    }

    fn name_is_done(&mut self, slot: usize, half: Half) {
        if half == Half::First && self.slots[slot].pending[Half::Second as usize].is_some() {
            self.queue(slot, Half::Second, Op::Read);
        }
    }

    /// Assigns workers to waiting requests.
    pub fn start(&mut self) {
        while let Some(job) = self.pool.next_job(&mut self.dice) {
            let request = self.started;
            self.started += 1;
            let Trouble { no_worker_from, no_worker_once, .. } = self.trouble;
            let is_none = |from| request == from || request > from && !no_worker_once;
            if no_worker_from.is_some_and(is_none) {
                self.world.faults.injected += 1;
                self.refuse(job, Errno::CANCELED);
            } else {
                self.work_on(job);
            }
        }
    }

    fn refuse(&mut self, job: Job, errno: Errno) {
        let ready = if job.op == Op::Open {
            self.slots[job.slot].refused[job.half as usize] = Some(errno);
            None
        } else {
            self.ready(job.slot, job.half, Err(Failure::Refused(errno)), &[])
        };
        self.finished.push_back(Finished { job, ready });
    }

    /// A worker begins a request.
    fn work_on(&mut self, job: Job) {
        let Job { half, op, .. } = job;
        let now = self.world.now;
        let (mut until, mut is_blocked) = (now + 1 + self.dice.below(20), false);
        if let Some((at, _)) = &self.slots[job.slot].pending[half as usize] {
            let at = *at;
            until += self.world.walk(at, op);
            let held_until = self.world.held_until(at, op);
            if held_until > now {
                (until, is_blocked) = (held_until, true);
            }
        }
        self.pool.active.push(Active { job, since: now, until, is_blocked });
    }

    /// A worker finishes a request.
    fn work_done(&mut self, active: Active) {
        let Active { job, since, is_blocked, .. } = active;
        if !is_blocked {
            let now = self.world.now;
            self.watch.last_ran = now;
            if now - since >= 2 * self.look_period() {
                self.watch.last_seen_running = now;
            }
        }
        if self.slots[job.slot].is_abandoned {
            return self.finish_late(job);
        }
        let done = self.carry_out(job);
        let next = self.next_of_chain(job).filter(|_| done.is_ok() || job.op != Op::Open);
        match (done, next) {
            (done, Some(next)) => {
                let (slot, half) = (job.slot, job.half);
                let refused = |errno| self.ready(slot, half, Err(Failure::Refused(errno)), &[]);
                let ready = done.unwrap_or_else(refused);
                self.ready.extend(ready);
                self.stats.operations += 1;
                self.work_on(next);
            }
            (Err(errno), None) => self.refuse(job, errno),
            (Ok(ready), None) => self.finished.push_back(Finished { job, ready }),
        }
    }

    /// The next step of a chain, for the same worker.
    fn next_of_chain(&self, job: Job) -> Option<Job> {
        let [name, memory] = &self.slots[job.slot].pending;
        let is_link = name.as_ref().is_some_and(|(at, _)| at.file == ProcFile::Exe);
        let (half, op) = match (job.half, job.op) {
            _ if !job.is_chain => return None,
            (Half::Second, Op::Open) if is_link => (Half::First, Op::Link),
            (Half::Second, Op::Open) => (Half::First, Op::Open),
            (Half::First, Op::Open) => (Half::First, Op::Read),
            (Half::First, _) if memory.is_some() => (Half::Second, Op::Read),
            _ => return None,
        };
        Some(Job { half, op, ..job })
    }

    /// The maximum delay until the engine sees the state of the workers.
    pub fn look_period(&self) -> Micros {
        5 * MILLIS
    }

    /// Performs the action of a request.
    fn carry_out(&mut self, job: Job) -> Result<Option<Ready>, Errno> {
        let Job { slot, half, op, .. } = job;
        let pending = &self.slots[slot].pending[half as usize];
        let (at, room) =
            pending.as_ref().map(|(at, buffer)| (*at, buffer.room())).expect("a fetch");
        if op == Op::Read {
            let from = self.slots[slot].from[half as usize];
            let room = match from {
                ReadFrom::Beginning => 1,
                ReadFrom::Current => self.shorten(at.file, room),
                ReadFrom::At(window) => self.shorten_window(window.len.min(room)),
            };
            let open = self.slots[slot].open[half as usize];
            let mut open = open.expect("the ring opens before it reads");
            let read = self.world.read(&mut open, from, room);
            self.slots[slot].open[half as usize] = Some(open);
            let (text, word) = read?;
            return Ok(self.ready(slot, half, Ok(word), text));
        }
        let file = self.world.open(at, op)?;
        if op == Op::Link {
            let text = &lives()[self.world.seats[at.seat].life].exe;
            return Ok(self.ready(slot, half, Ok(Word::Name), text));
        }
        self.slots[slot].open[half as usize] = Some(file);
        if let Some(place) = self.slots[slot].openings[half as usize].place() {
            self.places[place] = Some(file);
        }
        Ok(None)
    }

    /// A read of smaps ends at any byte that the kernel chooses, but not before the first. (It ends
    /// in the middle when the dice are exhausted, so that a schedule of few bytes is a short one.)
    fn shorten(&mut self, file: ProcFile, room: usize) -> usize {
        let is_short = file == ProcFile::Smaps && self.dice.percent(self.trouble.short_percent);
        if is_short { 1 + (self.dice.index(400) + 199) % 400 } else { room }
    }

    /// A read of page tables ends behind any entry.
    fn shorten_window(&mut self, len: usize) -> usize {
        let is_short = self.dice.percent(self.trouble.short_percent);
        if is_short { len - 8 * self.dice.index(len / 8) } else { len }
    }

    /// Abandoned requests finish all the same, and overwrite their buffers.
    fn finish_late(&mut self, job: Job) {
        self.watch.late += 1;
        if !self.dice.percent(70) {
            return self.refuse(job, Errno(libc::EINTR));
        }
        let is_own = |half: &Half| *half == job.half && job.op != Op::Open;
        for half in
            [Half::First, Half::Second].into_iter().filter(|half| job.is_chain || is_own(half))
        {
            self.complete(job.slot, half, Ok(Word::Name), &POISON);
        }
        self.finished.push_back(Finished { job, ready: None });
    }

    /// Advances time until workers have finished this many requests, at most until the given time.
    pub fn wait(&mut self, wanted: usize, end: Micros) {
        loop {
            self.start();
            let is_enough = self.finished.len() + self.ready.len() >= wanted;
            let by = if is_enough { self.world.now } else { end };
            let Some(active) = self.pool.next_done(by) else {
                self.world.now = self.world.now.max(by);
                return;
            };
            self.world.now = self.world.now.max(active.until);
            self.work_done(active);
        }
    }

    /// Returns a completion. The engine knows its effect on the process from now on.
    pub fn reap(&mut self) -> Option<Completion> {
        let Ready { completion, note } = self.ready.pop_front()?;
        let slot = &mut self.slots[completion.slot];
        slot.owed -= 1;
        slot.window_reaped = self.world.now;
        self.watch.last_reaped = self.world.now;
        self.watch.idle_enters = 0;
        if slot.is_abandoned {
            // All requests are complete: the slot is an ordinary one again.
            slot.is_abandoned = slot.owed > 0;
            self.watch.abandoned -= usize::from(slot.owed == 0);
            return Some(completion);
        }
        self.watch.in_flight -= usize::from(slot.owed == 0);
        self.watch.reads_delivered += u64::from(completion.result.is_ok());
        if let Some(Note { at, answer, is_resumed }) = note {
            let log = &mut self.world.seats[at.seat].log;
            match answer {
                Ok(Word::NoMemory) | Err(Errno::NOENT | Errno::SRCH) if is_resumed => {
                    log.begin_anew();
                }
                answer => log.answered(self.world.plan, at, answer),
            }
        }
        Some(completion)
    }

    /// Completions that are ready, and requests in flight.
    pub fn owed(&self) -> usize {
        self.ready.len() + self.slots.iter().map(|slot| slot.requests).sum::<usize>()
    }

    pub fn slots_max(&self) -> usize {
        self.slots_max
    }
}

/// The process and the file that a path names.
fn place_of(fetch: &Fetch) -> world::Place {
    let mut numbers = [None, None];
    let parts = fetch.path.as_bytes().split(|byte| *byte == b'/').filter_map(Pid::parse);
    numbers.iter_mut().zip(parts).for_each(|(number, part)| *number = Some(part));
    let pid = numbers[0].expect("a path begins with a process id");
    world::Place { seat: seat_of(pid), task: numbers[1], file: fetch.file }
}
