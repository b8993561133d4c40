//! The length of windows: as many entries as this host reads in a quarter of a millisecond.
//!
//! A writer waits for the window that is being read (`super::PAUSE`). Hosts differ in the time that
//! they need for one, and so do the hours of a virtual host, up to twice. Two reads in a row that
//! take too long shorten the next one by a table, two that are short make it longer.

use std::time::Duration;

use super::{WINDOW_BYTES, Window};

/// The entries of a table of 2 MiB.
const STEP: usize = 4 * 1024;
/// Shorter windows cost more pauses than they spare the target.
const SHORTEST: usize = 2 * STEP;
/// The time of a read, with its way to a worker and back.
const LONGEST: Duration = Duration::from_micros(260);
/// The reader did not have a CPU: the time says nothing about windows.
const INTERRUPTED: Duration = Duration::from_millis(1);
/// The number of reads in a row that change the length. Single ones are long for other reasons.
const VOTES: i32 = 2;

/// The length of windows on this host.
#[derive(Clone, Copy, Debug)]
pub struct Stride {
    bytes: usize,
    /// The number of reads in a row that were short, or if negative, too long.
    votes: i32,
}

impl Default for Stride {
    fn default() -> Stride {
        Stride { bytes: WINDOW_BYTES, votes: 0 }
    }
}

impl Stride {
    /// The part of a window to read.
    pub fn cut(&self, window: Window) -> Window {
        Window { len: window.len.min(self.bytes), ..window }
    }

    /// Learns from the read of so many bytes, with no other one in flight: it would have to wait,
    /// or its end would be noticed late.
    pub fn learn(&mut self, bytes: usize, took: Duration) {
        if bytes < self.bytes || took >= INTERRUPTED {
            return; // A short one says nothing about a whole one.
        }
        let longer = self.bytes + STEP;
        let fits = |bytes: usize| {
            took.as_nanos() * bytes as u128 / self.bytes as u128 <= LONGEST.as_nanos()
        };
        self.votes = match (fits(self.bytes), fits(longer)) {
            (false, _) => self.votes.min(0) - 1,
            (true, true) => self.votes.max(0) + 1,
            (true, false) => 0,
        };
        if self.votes.abs() == VOTES {
            let wanted = if self.votes > 0 { longer } else { self.bytes - STEP };
            *self = Stride { bytes: wanted.clamp(SHORTEST, WINDOW_BYTES), votes: 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a window on a host that needs so many microseconds for a table. Returns its KiB.
    fn read(stride: &mut Stride, table_us: u32) -> usize {
        let len = stride.cut(Window { offset: 0, len: 1 << 20 }).len;
        let tables = u32::try_from(len / STEP).expect("a few tables");
        stride.learn(len, tables * Duration::from_micros(table_us.into()));
        len / 1024
    }

    #[test]
    fn windows_are_as_long_as_the_host_is_fast() {
        let mut stride = Stride::default();
        for (table_us, expected) in [
            (1, [24; 7]),
            (43, [24; 7]),
            (50, [24, 24, 20, 20, 20, 20, 20]),
            (65, [20, 20, 16, 16, 16, 16, 16]),
            (130, [16, 16, 12, 12, 8, 8, 8]),
            // Nothing is shorter, and no host needs as long as in the next row.
            (200, [8; 7]),
            (500, [8; 7]),
            (60, [8, 8, 12, 12, 16, 16, 16]),
            (43, [16, 16, 20, 20, 24, 24, 24]),
        ] {
            let found = [(); 7].map(|()| read(&mut stride, table_us));
            assert_eq!(found, expected, "{table_us} us");
        }
    }

    #[test]
    fn single_reads_change_nothing() {
        let mut stride = Stride::default();
        let found = [50, 40, 80, 1, 50, 40, 500, 500, 50].map(|us| read(&mut stride, us));
        assert_eq!(found, [24; 9]);
        let gentle = Window { offset: 4096, len: STEP };
        assert_eq!(stride.cut(gentle), gentle);
        // Parts of windows, at the end of a mapping.
        (0..9).for_each(|_| stride.learn(WINDOW_BYTES - 8, Duration::from_micros(500)));
        assert_eq!(read(&mut stride, 43), 24);
    }
}
