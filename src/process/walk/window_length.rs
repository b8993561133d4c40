//! The length of windows: as many entries as this host reads in a quarter of a millisecond.
//!
//! A writer waits for the window that is being read (`super::PAUSE`). Hosts differ in the time that
//! they need for one, and so do the hours of a virtual host, up to twice. Two reads in a row that
//! take too long shorten the next one by a table, two that are short make it longer.

use std::time::Duration;

use super::{WINDOW_BYTES, Window};

/// The bytes of the entries of one page table, which maps 2 MiB.
const STEP: usize = 4 * 1024;
/// Shorter windows cost more pauses than they spare the target.
const SHORTEST: usize = 2 * STEP;
/// The time of a read, with its way to a worker and back.
const LONGEST: Duration = Duration::from_micros(260);
/// The number of reads in a row that change the length. Single ones are long for other reasons.
const VOTES: i32 = 2;

/// The length of windows on this host.
#[derive(Clone, Copy, Debug)]
pub struct WindowLength {
    bytes: usize,
    /// The number of reads in a row that were short, or if negative, too long.
    votes: i32,
}

impl Default for WindowLength {
    fn default() -> WindowLength {
        WindowLength { bytes: WINDOW_BYTES, votes: 0 }
    }
}

impl WindowLength {
    /// The part of a window to read.
    pub fn cut(&self, window: Window) -> Window {
        Window { len: window.len.min(self.bytes), ..window }
    }

    /// Learns from a read of so many bytes. In the ring no other request is in flight: it would
    /// delay the read, or the notice of its end.
    pub fn learn(&mut self, bytes: usize, took: Duration) {
        if bytes < self.bytes {
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
            *self = WindowLength { bytes: wanted.clamp(SHORTEST, WINDOW_BYTES), votes: 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a window on a host that needs so many microseconds for a table. Returns its KiB.
    fn read(length: &mut WindowLength, table_us: u32) -> usize {
        let len = length.cut(Window { offset: 0, len: 1 << 20 }).len;
        let tables = u32::try_from(len / STEP).expect("a few tables");
        length.learn(len, tables * Duration::from_micros(table_us.into()));
        len / 1024
    }

    #[test]
    fn windows_are_as_long_as_the_host_is_fast() {
        let mut length = WindowLength::default();
        for (table_us, expected) in [
            (1, [24; 7]),
            (43, [24; 7]),
            (50, [24, 24, 20, 20, 20, 20, 20]),
            (65, [20, 20, 16, 16, 16, 16, 16]),
            (130, [16, 16, 12, 12, 8, 8, 8]),
            (900, [8; 7]),
            (60, [8, 8, 12, 12, 16, 16, 16]),
            (43, [16, 16, 20, 20, 24, 24, 24]),
        ] {
            let found = [(); 7].map(|()| read(&mut length, table_us));
            assert_eq!(found, expected, "{table_us} us");
        }
    }

    #[test]
    fn single_reads_change_nothing() {
        let mut length = WindowLength::default();
        let found = [50, 40, 80, 1, 50, 40, 500, 1, 50].map(|us| read(&mut length, us));
        assert_eq!(found, [24; 9]);
        let gentle = Window { offset: 4096, len: STEP };
        assert_eq!(length.cut(gentle), gentle);
        // Parts of windows, at the end of a mapping.
        (0..9).for_each(|_| length.learn(WINDOW_BYTES - 8, Duration::from_micros(500)));
        assert_eq!(read(&mut length, 43), 24);
    }
}
