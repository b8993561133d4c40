//! Major page faults per second as a text, and the note on them.

use crate::program::FaultRate;

/// With two decimals, so that few faults in a long time do not look like none.
pub(super) fn per_second(rate: FaultRate) -> String {
    if rate.count == 0 { "0".to_owned() } else { format!("{:.2}", rate.per_second()) }
}

/// A note on a report that has no earlier one.
pub fn alone() -> String {
    "faults per second are known from the second report on: add --watch".to_owned()
}
