//! One process id and its current process: its state, its refused and locked files, its events.

use std::collections::VecDeque;

use psm_uring::process::{Fate, NameRule, Plan, Source};
use psm_uring::units::{Errno, Pid};

use super::Micros;
use super::life::{Life, LifeId, lives};
use super::log::{Expected, Kind, Log};
use super::world::Kernel;

/// The first process id, and the distance between ids: the ids between are those of threads.
const FIRST_PID: u32 = 100;
const PID_STEP: u32 = 10;

/// The current occupant of a process id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    Absent,
    /// The process has released its address space and is not yet a zombie.
    Exiting,
    Zombie,
    Kernel,
    User,
    /// The leader is dead; this thread represents the process.
    Leaderless(Pid),
}

/// The files with refused access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    None,
    /// The files that `ptrace_may_access` guards: memory, exe.
    Memory,
    /// All files: `hidepid=1`.
    All,
}

/// The lock that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// `mmap_lock`: reads of memory and of the argument list wait.
    Memory,
    /// `exec_update_lock`: opens of memory, and exe, wait.
    Exec,
}

/// The time of an event.
#[derive(Clone, Copy, Debug)]
pub enum When {
    /// After this many opens and reads of the process.
    Steps(u32),
    At(Micros),
}

/// The kind of an event.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    Exec(LifeId),
    /// The process begins to exit: the kernel dismantles its memory.
    Exit,
    /// The process dies and remains a zombie.
    Die,
    /// The process is gone permanently, from any state.
    Reap,
    /// The process is gone, and another process has its id.
    Reuse(LifeId),
    /// The thread that represents the process ends; another one exists.
    EndThread,
    Hang(Lock, Micros),
    Deny(Denial),
}

/// One process id and its current process.
#[derive(Debug)]
pub struct Seat {
    pub pid: Pid,
    pub body: Body,
    /// The current or last life, and the number of lives before it.
    pub life: LifeId,
    pub life_count: usize,
    /// The number of earlier processes with this id.
    pub owner: u32,
    pub denial: Denial,
    pub memory_lock: Micros,
    pub exec_lock: Micros,
    /// The duration of a walk over its page tables.
    pub walk: Micros,
    /// The future events, in order.
    pub script: VecDeque<(When, Change)>,
    pub steps: u32,
    /// All lives of the id, in order.
    pub lives: Vec<LifeId>,
    /// An event of an earlier survey, which may have its name.
    pub was_touched: bool,
    pub log: Log,
}

impl Seat {
    pub fn new(index: usize, body: Body, life: LifeId) -> Seat {
        Seat {
            pid: pid_of(index),
            body,
            life,
            life_count: 0,
            owner: 0,
            denial: Denial::None,
            memory_lock: 0,
            exec_lock: 0,
            walk: 0,
            script: VecDeque::new(),
            steps: 0,
            lives: vec![life],
            was_touched: false,
            log: Log::default(),
        }
    }

    pub fn life(&self) -> &'static Life {
        &lives()[self.life]
    }

    /// The address space of a thread; `None` selects the leader.
    pub fn memory(&self, task: Option<Pid>) -> Option<LifeId> {
        let has_memory = match self.body {
            Body::User => true,
            Body::Leaderless(thread) => task == Some(thread),
            Body::Absent | Body::Exiting | Body::Zombie | Body::Kernel => false,
        };
        has_memory.then_some(self.life)
    }

    pub fn has_thread(&self, task: Option<Pid>) -> bool {
        task.is_none_or(|task| matches!(self.body, Body::Leaderless(thread) if thread == task))
    }

    /// Applies the events that are due.
    pub fn settle(&mut self, now: Micros) {
        while let Some((when, change)) = self.script.front().copied() {
            let is_due = match when {
                When::Steps(steps) => self.steps >= steps,
                When::At(time) => now >= time,
            };
            if !is_due {
                return;
            }
            self.script.pop_front();
            self.change(change);
        }
    }

    fn change(&mut self, change: Change) {
        self.log.is_touched = true;
        let is_alive = matches!(self.body, Body::User | Body::Leaderless(_));
        match change {
            Change::Exec(life) if is_alive => {
                // The thread that execs becomes the leader.
                self.begin_life(Body::User, life);
            }
            Change::Exit if is_alive => {
                self.body = Body::Exiting;
                self.log.has_left = true;
            }
            Change::Die if is_alive || self.body == Body::Exiting => self.body = Body::Zombie,
            Change::Reap => {
                self.body = Body::Absent;
                self.log.has_left = true;
            }
            Change::Reuse(life) => {
                self.owner += 1;
                self.log.has_left = true;
                self.denial = Denial::None;
                self.begin_life(Body::User, life);
            }
            Change::EndThread => {
                if let Body::Leaderless(thread) = self.body {
                    self.body = Body::Leaderless(Pid(thread.0 + 1));
                }
            }
            Change::Hang(Lock::Memory, until) if is_alive => self.memory_lock = until,
            Change::Hang(Lock::Exec, until) if is_alive => self.exec_lock = until,
            Change::Deny(denial) => self.denial = denial,
            Change::Exec(_) | Change::Exit | Change::Die | Change::Hang(..) => {}
        }
    }

    fn begin_life(&mut self, body: Body, life: LifeId) {
        self.body = body;
        self.life = life;
        self.life_count += 1;
        self.lives.push(life);
        self.memory_lock = 0;
        self.exec_lock = 0;
        self.walk = 0;
    }

    pub fn kind(&self, task: Option<Pid>) -> Kind {
        match self.body {
            Body::Kernel => Kind::Kernel,
            Body::Leaderless(_) if task.is_none() => Kind::Leaderless,
            Body::User | Body::Leaderless(_) => Kind::User,
            Body::Exiting => Kind::Exiting,
            Body::Absent | Body::Zombie => Kind::Zombie,
        }
    }

    /// The fate of the process if its state does not change.
    pub fn expected(&self, plan: &Plan, kernel: Kernel) -> Expected {
        let life = self.life();
        // Without an address space comm is the only name.
        let has_name = matches!(self.body, Body::User | Body::Leaderless(_));
        let is_comm = plan.name_rule == NameRule::Comm;
        // The engine reads the status of a presumed kernel thread before its name, and that of
        // every process when the owner is requested.
        let asks_owner = plan.owner || !plan.users.is_empty();
        let is_guessed = plan.kernel_threads.contains(&self.pid) || asks_owner;
        let is_named = has_name || is_comm && !is_guessed;
        let is_even = life.is_even && self.body != Body::Kernel;
        let is_of_other = !plan.users.is_empty() && has_name && !is_even;
        let is_left_out = plan.filter.is_some() && is_named && !is_even || is_of_other;
        let walks = plan.walk.is_some_and(|walk| walk.is_forced);
        let lacks_rollup = plan.source == Source::Rollup && !kernel.has_rollup;
        match (self.body, self.denial) {
            (Body::Absent, _) => Expected::Fate(Fate::Gone),
            (_, Denial::All) => Expected::Fate(Fate::Denied),
            _ if is_left_out => Expected::Fate(Fate::NotSelected),
            (Body::Exiting, _) => Expected::Fate(Fate::Gone),
            (Body::Kernel, _) => Expected::Fate(Fate::KernelThread),
            (Body::Zombie, _) => Expected::Fate(Fate::Zombie),
            (Body::User | Body::Leaderless(_), _) if lacks_rollup => {
                Expected::Fate(Fate::Failed(Errno::NOENT))
            }
            (Body::User | Body::Leaderless(_), Denial::Memory) => Expected::Fate(Fate::Denied),
            _ if life.is_malformed && !walks => Expected::Fate(Fate::Malformed),
            _ => Expected::Measured(self.life),
        }
    }
}

/// The process id of a seat.
pub fn pid_of(index: usize) -> Pid {
    Pid(FIRST_PID + PID_STEP * u32::try_from(index).expect("few processes"))
}

/// The seat of a process.
pub fn seat_of(pid: Pid) -> usize {
    usize::try_from((pid.0 - FIRST_PID) / PID_STEP).expect("few processes")
}

/// The thread that represents a process with a dead leader.
pub fn first_thread(index: usize) -> Pid {
    Pid(pid_of(index).0 + 1)
}
