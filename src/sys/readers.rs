//! Threads that read small files beside a survey: of processes, and of control groups.
//!
//! A thread whose read does not end is left alone, and another one replaces it. In later reports
//! its file is not read again.

use std::collections::BTreeSet;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
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

/// The time without an answer after which a call gives up, and the time that is left for it.
pub type Patience = (Duration, Option<Duration>);

/// Asks every process, in any order, and returns the answers.
pub fn ask_processes<T: Send + 'static>(
    root: &ProcRoot,
    pids: Vec<Pid>,
    patience: Patience,
    question: fn(&ProcRoot, Pid) -> T,
) -> Vec<(Pid, T)> {
    static PROCESSES: Readers<Pid> = Readers::new();
    let (root, mut answers) = (root.clone(), Vec::with_capacity(pids.len()));
    let question = move |pid: &Pid| question(&root, *pid);
    PROCESSES.ask(cpus(), pids, patience, question, |pid, answer| {
        answers.push((pid, answer));
        Vec::new()
    });
    answers
}

/// The threads of all calls about one kind of thing, which a key names.
pub(super) struct Readers<K> {
    /// The things that threads read at the moment.
    busy: Mutex<BTreeSet<K>>,
}

impl<K: Ord + Clone + Send + 'static> Readers<K> {
    pub(super) const fn new() -> Readers<K> {
        Readers { busy: Mutex::new(BTreeSet::new()) }
    }

    /// Has `step` threads answer the question about each key, and hands the answers to `take`,
    /// which returns more keys. As many threads start again when all seem to wait.
    pub(super) fn ask<T: Send + 'static>(
        &'static self,
        step: usize,
        keys: Vec<K>,
        (patience, deadline): Patience,
        question: impl Fn(&K) -> T + Send + Sync + 'static,
        mut take: impl FnMut(K, T) -> Vec<K>,
    ) {
        let end = deadline.and_then(|left| Instant::now().checked_add(left));
        let readers_max = READERS_MAX.saturating_sub(self.busy().len());
        let queue = Arc::new(KeyQueue::default());
        let mut unanswered = queue.push(self.free(keys));
        let (question, (sender, answers)) = (Arc::new(question), channel());
        let start = |readers: usize| {
            let one = |_: &usize| self.spawn(&queue, &question, &sender);
            let wanted = step.min(readers_max.saturating_sub(readers));
            readers + (0..affordable(wanted, READER_BYTES, 0)).take_while(one).count()
        };
        let (mut readers, mut answered) = (start(0), Instant::now());
        while readers > 0 && unanswered > 0 {
            let left = end.map_or(LOOK, |end| end.saturating_duration_since(Instant::now()));
            match answers.recv_timeout(left.min(LOOK)) {
                Ok((key, answer)) => {
                    unanswered += queue.push(self.free(take(key, answer)));
                    unanswered -= 1;
                    answered = Instant::now();
                }
                Err(_) if left.is_zero() || answered.elapsed() >= patience => break,
                Err(_) if queue.is_empty() => {}
                Err(_) => readers = start(readers),
            }
        }
        queue.close();
    }

    fn busy(&self) -> MutexGuard<'_, BTreeSet<K>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys that no thread reads.
    fn free(&self, mut keys: Vec<K>) -> Vec<K> {
        let busy = self.busy();
        keys.retain(|key| !busy.contains(key));
        keys
    }

    /// Starts a thread, if the system has one.
    fn spawn<T: Send + 'static>(
        &'static self,
        queue: &Arc<KeyQueue<K>>,
        question: &Arc<impl Fn(&K) -> T + Send + Sync + 'static>,
        answers: &Sender<(K, T)>,
    ) -> bool {
        let (queue, question, answers) = (queue.clone(), question.clone(), answers.clone());
        spawn(move || {
            while let Some(key) = queue.next() {
                self.busy().insert(key.clone());
                let answer = question(&key);
                self.busy().remove(&key);
                if answers.send((key, answer)).is_err() {
                    break;
                }
            }
        })
    }
}

/// The keys that no thread has taken; `None` at the end.
struct KeyQueue<K> {
    keys: Mutex<Option<Vec<K>>>,
    wake: Condvar,
}

impl<K> Default for KeyQueue<K> {
    fn default() -> KeyQueue<K> {
        KeyQueue { keys: Mutex::new(Some(Vec::new())), wake: Condvar::new() }
    }
}

impl<K> KeyQueue<K> {
    fn keys(&self) -> MutexGuard<'_, Option<Vec<K>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds keys; returns how many.
    fn push(&self, more: Vec<K>) -> usize {
        let count = more.len();
        if let Some(keys) = self.keys().as_mut() {
            keys.extend(more);
        }
        self.wake.notify_all();
        count
    }

    fn is_empty(&self) -> bool {
        self.keys().as_ref().is_none_or(Vec::is_empty)
    }

    /// Ends the threads, also those that continue later.
    fn close(&self) {
        *self.keys() = None;
        self.wake.notify_all();
    }

    /// The next key, as soon as there is one.
    fn next(&self) -> Option<K> {
        let mut keys = self.keys();
        loop {
            match keys.as_mut()?.pop() {
                Some(key) => return Some(key),
                None => keys = self.wake.wait(keys).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_one_answer_and_a_stuck_one_delays_nothing_else() {
        const STUCK: u32 = u32::MAX;
        static READERS: Readers<u32> = Readers::new();
        for _ in 0..2 {
            let question = |key: &u32| {
                if *key == STUCK {
                    std::thread::park_timeout(Duration::from_secs(3600));
                }
                key * 2
            };
            let mut answers = Vec::new();
            // The first ones lead to all others.
            let keys = (0..10).chain([STUCK]).collect();
            let patience = (Duration::from_millis(300), None);
            READERS.ask(2, keys, patience, question, |key, answer| {
                answers.push((key, answer));
                if key < 10 { (1..100).map(|place| place * 10 + key).collect() } else { Vec::new() }
            });
            answers.sort_unstable();
            assert_eq!(answers, (0..1000).map(|key| (key, key * 2)).collect::<Vec<_>>());
        }
    }
}
