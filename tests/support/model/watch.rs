//! The ring's record of one survey, for the checks.

use super::Micros;

/// The data that the checks need.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    pub last_fetched: Micros,
    pub last_reaped: Micros,
    /// The time when a worker last ended a running step; the same for a step long enough to be seen
    /// running.
    pub last_ran: Micros,
    pub last_seen_running: Micros,
    /// Slots in flight, now and at the engine's last count of slow workers.
    pub in_flight: usize,
    pub held: usize,
    /// The maximum in flight besides slow ones, at the start of another.
    pub moving_max: usize,
    pub reads_delivered: u64,
    pub late: u64,
    /// Requests for files that stayed open.
    pub resumed: u64,
    pub abandoned: usize,
    /// Calls since the last start, completion or running step.
    pub idle_enters: u64,
}
