//! What the checks need to know of one survey, as the ring saw it.

use super::Micros;

/// What the checks need to know.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    pub last_fetched: Micros,
    pub last_reaped: Micros,
    /// When a worker last ended a step that ran; one that took long enough to be seen running.
    pub last_ran: Micros,
    pub last_seen_running: Micros,
    /// Slots in flight, at the moment and when the engine last looked how many take long.
    pub in_flight: usize,
    pub held: usize,
    /// The most in flight beyond those that took long, when another was begun.
    pub moving_max: usize,
    pub reads_delivered: u64,
    pub late: u64,
    pub abandoned: usize,
    /// Calls since something was begun, was completed or ran.
    pub idle_enters: u64,
}
