//! Busy loops beside a crowd: processes that only use CPU time.
//!
//! ```text
//! root ──► leader, a loop itself ──► the other loops
//! ```
//!
//! The scheduler shares CPU time between sessions first and within a session then (autogroup,
//! sched(7)). So 64 loops in a session of their own leave half of the time to a measured command,
//! and in the session of the command they leave it a small part.

use std::hint::black_box;
use std::io::PipeWriter;
use std::time::Instant;

use psm_uring::sys::this_process;
use psm_uring::units::Pid;

use super::member;
use super::spec::{Session, Spec};
use super::sys;

/// Steps between two looks at the clock.
const STEPS: u32 = 1 << 20;

/// Starts the leader, and returns its id. All loops end with it. Each loop reports itself.
pub(super) fn fork(spec: &Spec, ready: &PipeWriter) -> Result<Pid, String> {
    let leader = || {
        let led = lead(spec, ready);
        this_process::exit(u8::from(led.is_err()));
    };
    sys::fork(leader).map_err(|error| format!("fork: {error}"))
}

fn lead(spec: &Spec, ready: &PipeWriter) -> std::io::Result<()> {
    if spec.busy_session == Session::Own {
        rustix::process::setsid()?;
    }
    for _ in 1..spec.busy {
        sys::fork(|| spin(ready))?;
    }
    spin(ready);
    Ok(())
}

fn spin(ready: &PipeWriter) {
    member::report(ready, 0);
    let began = Instant::now();
    while began.elapsed() < member::BUSY_LIMIT {
        for step in 0..STEPS {
            black_box(step);
        }
    }
}
