//! A terminal that changes its size: `SIGWINCH`, which is waited for. There is no handler, so every
//! other signal does what it always does.

use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

/// The signal, held back until somebody waits.
pub struct Resizes(libc::sigset_t);

impl Resizes {
    /// Holds the signal back from now on, in this thread and those that it starts: one that is not
    /// held back by all of them is ignored.
    pub fn hold() -> Resizes {
        let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
        // SAFETY: the pointer is valid for writes of a set.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: it is a set now.
        let mut set = unsafe { set.assume_init() };
        // SAFETY: the pointer is valid, and the signal exists.
        unsafe { libc::sigaddset(&raw mut set, libc::SIGWINCH) };
        // SAFETY: the set is valid, and nobody wants the old one.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        Resizes(set)
    }

    /// Waits until then, or until the terminal has another size: whether it has.
    pub fn wait(&self, until: Instant) -> bool {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            // It may be stopped and go on, which ends the wait too early.
            if self.wait_for(left) {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
        }
    }

    fn wait_for(&self, left: Duration) -> bool {
        let left = libc::timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(libc::c_int::MAX.into()),
            tv_nsec: left.subsec_nanos().into(),
        };
        // SAFETY: set and time are valid, and nobody wants to know who sent the signal.
        let signal =
            unsafe { libc::sigtimedwait(&raw const self.0, std::ptr::null_mut(), &raw const left) };
        signal == libc::SIGWINCH
    }
}
