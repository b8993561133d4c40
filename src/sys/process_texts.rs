//! Reads small files of many processes by threads, beside a survey.
//!
//! A thread whose read does not end is left alone, and another one replaces it. In later reports
//! its process is not asked again.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::proc_root::ProcRoot;
use super::threads::{affordable, cpus, spawn};
use crate::units::Pid;

/// The time without an answer after which more threads start.
const LOOK: Duration = Duration::from_millis(100);
/// The most threads of one call, counting those that wait forever.
const READERS_MAX: usize = 32;
/// The memory of one thread beside its stack.
const READER_BYTES: usize = 128 * 1024;

/// Processes that a thread asks, of all calls.
static HELD: Mutex<BTreeSet<Pid>> = Mutex::new(BTreeSet::new());

fn held() -> MutexGuard<'static, BTreeSet<Pid>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks every process, in any order, and returns the answers. Processes are given up when none
/// answers for `patience`, and at the deadline.
pub fn ask<T: Send + 'static>(
    root: &ProcRoot,
    mut pids: Vec<Pid>,
    (patience, deadline): (Duration, Option<Duration>),
    question: fn(&ProcRoot, Pid) -> Option<T>,
) -> Vec<(Pid, T)> {
    let end = deadline.and_then(|left| Instant::now().checked_add(left));
    let stuck = held().clone();
    pids.retain(|pid| !stuck.contains(pid));
    let (wanted, readers_max) = (pids.len(), READERS_MAX.saturating_sub(stuck.len()));
    let asked = Arc::new(Asked { root: root.clone(), pids, next: AtomicUsize::new(0), question });
    let (sender, received) = channel();
    let mut readers = start(&asked, &sender, cpus().min(readers_max));
    let (mut answers, mut count) = (Vec::with_capacity(wanted), 0);
    let mut answered = Instant::now();
    while readers > 0 && count < wanted {
        let left = end.map_or(LOOK, |end| end.saturating_duration_since(Instant::now()));
        match received.recv_timeout(left.min(LOOK)) {
            Ok((pid, answer)) => {
                count += 1;
                answers.extend(answer.map(|answer| (pid, answer)));
                answered = Instant::now();
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if left.is_zero() || answered.elapsed() >= patience => {
                break;
            }
            Err(RecvTimeoutError::Timeout) => {
                // All of them seem to wait.
                let more = cpus().min(readers_max.saturating_sub(readers));
                readers += if asked.is_taken() { 0 } else { start(&asked, &sender, more) };
            }
        }
    }
    // Threads that continue later find nothing to do.
    asked.next.store(wanted, Ordering::Relaxed);
    answers
}

/// The processes and the question, which the threads share.
struct Asked<T> {
    root: ProcRoot,
    pids: Vec<Pid>,
    /// The place of the next process that no thread has taken.
    next: AtomicUsize,
    question: fn(&ProcRoot, Pid) -> Option<T>,
}

impl<T> Asked<T> {
    fn is_taken(&self) -> bool {
        self.next.load(Ordering::Relaxed) >= self.pids.len()
    }

    fn next(&self) -> Option<Pid> {
        // At most one step of each thread is beyond the end.
        self.pids.get(self.next.fetch_add(1, Ordering::Relaxed)).copied()
    }

    fn answer(&self, pid: Pid) -> Option<T> {
        held().insert(pid);
        let answer = (self.question)(&self.root, pid);
        held().remove(&pid);
        answer
    }
}

/// Starts threads, as many as memory is enough for; returns how many.
fn start<T: Send + 'static>(
    asked: &Arc<Asked<T>>,
    answers: &Sender<(Pid, Option<T>)>,
    wanted: usize,
) -> usize {
    let one = |_: &usize| {
        let (asked, answers) = (Arc::clone(asked), answers.clone());
        spawn(move || {
            while let Some(pid) = asked.next() {
                if answers.send((pid, asked.answer(pid))).is_err() {
                    break;
                }
            }
        })
    };
    (0..affordable(wanted, READER_BYTES, 0)).take_while(one).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_process_answers_once_and_a_stuck_one_delays_nothing_else() {
        const STUCK: Pid = Pid(u32::MAX);
        fn question(_: &ProcRoot, pid: Pid) -> Option<u32> {
            if pid == STUCK {
                std::thread::park_timeout(Duration::from_secs(3600));
            }
            (pid.0 % 10 != 0).then_some(pid.0)
        }
        let root = ProcRoot::open("/proc".as_ref()).expect("a /proc");
        let patience = Duration::from_millis(300);
        for _ in 0..2 {
            let pids = (1..1000).map(Pid).chain([STUCK]).rev().collect();
            let mut answers = ask(&root, pids, (patience, None), question);
            answers.sort_unstable();
            let expected = (1..1000).filter(|pid| pid % 10 != 0).map(|pid| (Pid(pid), pid));
            assert_eq!(answers, expected.collect::<Vec<_>>());
        }
        held().remove(&STUCK);
    }
}
