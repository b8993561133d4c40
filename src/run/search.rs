//! A search on a thread of its own: its system calls can block forever, as `kcmp(2)` does in a
//! stuck exec. Then the thread is left alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use crate::sys::threads::{self, ThreadState};

/// The time without a finding after which a search that sleeps is given up.
const LOOK: Duration = Duration::from_millis(100);
/// The time for a search that waits for a CPU: none takes more than some milliseconds of one.
const TIME_MAX: Duration = Duration::from_secs(2);

/// A search that sends its findings.
pub(super) struct Search<T> {
    findings: Receiver<T>,
    /// The id of its thread; 0 before it first runs.
    thread: Arc<AtomicU32>,
    end: Instant,
}

/// The search found nothing in time.
pub(super) struct TookLong;

impl<T: Send + 'static> Search<T> {
    /// Starts a search, which has this much time at most. `None` if the host has no thread for it.
    ///
    /// A search ends when it cannot send.
    pub(super) fn start(
        time: Option<Duration>,
        search: impl FnOnce(&Sender<T>) + Send + 'static,
    ) -> Option<Search<T>> {
        let (sender, findings) = channel();
        let thread = Arc::new(AtomicU32::new(0));
        let own = thread.clone();
        let work = move || {
            own.store(threads::thread_id(), Ordering::Relaxed);
            search(&sender);
        };
        let is_started = threads::affordable(1, 0, 0) > 0 && threads::spawn(work);
        let end = Instant::now() + time.unwrap_or(TIME_MAX).min(TIME_MAX);
        is_started.then_some(Search { findings, thread, end })
    }

    /// The next finding; `None` at the end of the search.
    ///
    /// # Errors
    /// [`TookLong`] if the search is stuck, or its time is over.
    pub(super) fn next(&self) -> Result<Option<T>, TookLong> {
        loop {
            let left = self.end.saturating_duration_since(Instant::now());
            match self.findings.recv_timeout(left.min(LOOK)) {
                Ok(finding) => return Ok(Some(finding)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) if left <= LOOK || self.is_asleep() => {
                    return Err(TookLong);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn is_asleep(&self) -> bool {
        let thread = self.thread.load(Ordering::Relaxed);
        thread != 0 && threads::thread_state(thread) != Some(ThreadState::Running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_that_runs_has_time_and_one_that_sleeps_has_none() {
        let busy = Search::start(None, |findings| {
            let began = Instant::now();
            while began.elapsed() < 3 * LOOK {}
            let _ = findings.send(7);
        });
        let busy = busy.expect("a thread");
        assert_eq!(busy.next().ok(), Some(Some(7)));
        assert_eq!(busy.next().ok(), Some(None));
        let (began, asleep) = (Instant::now(), |findings: &Sender<u8>| {
            std::thread::sleep(2 * TIME_MAX);
            let _ = findings.send(7);
        });
        let asleep = Search::start(None, asleep).expect("a thread");
        assert!(asleep.next().is_err() && began.elapsed() < TIME_MAX);
        // A deadline ends the wait for one that runs.
        let (began, time) = (Instant::now(), Some(LOOK / 2));
        let long = Search::start(time, move |_: &Sender<u8>| while began.elapsed() < 4 * LOOK {});
        assert!(long.expect("a thread").next().is_err() && began.elapsed() < 4 * LOOK);
    }
}
