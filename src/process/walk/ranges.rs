//! The text of `maps` to ranges of addresses (`show_map_vma`, fs/proc/task_mmu.c).

use std::sync::Arc;

use crate::smaps::ObjectKind;

/// Addresses above are the kernel's: `[vsyscall]`, which has no entries and counts for no process.
const USER_END: u64 = 1 << 63;
/// Enough for a line: the kernel escapes newlines in paths with four bytes each.
const LINE_BYTES_MAX: usize = 128 + 4 * 4096;
/// A process with mappings of more devices is left to its rollup.
pub(super) const DEVICES_MAX: usize = 1 << 10;

/// The maximum number of ranges: many times `vm.max_map_count`.
const RANGES_MAX: usize = 1 << 20;

/// The device of mappings without a file.
const NO_DEVICE: &[u8] = b"00:00";

/// Neighbours of one device are one range up to so many mappings, so that a window can end between
/// them.
pub(super) const RANGE_MAPPINGS_MAX: u16 = 16;

/// Neighbouring mappings of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    /// The first address, and the address behind the last one.
    pub(super) start: u64,
    pub(super) end: u64,
    /// The index of the device, and of what becomes of its pages, in [`Ranges::devices`].
    pub(super) device: u16,
    /// The number of mappings.
    pub(super) mappings: u16,
}

/// The ranges of one process, ascending.
#[derive(Debug, Default)]
pub(in crate::process) struct Ranges {
    ranges: Vec<Range>,
    devices: Vec<Device>,
    /// The ids of System V segments that are marked to be destroyed.
    dying_segments: Arc<[u64]>,
    /// Start and end address of the first and the last mapping.
    first: u64,
    last: u64,
    /// The start of a line whose rest the next read brings.
    line: Vec<u8>,
    is_malformed: bool,
}

impl Ranges {
    pub(super) fn clear(&mut self, dying_segments: Arc<[u64]>) {
        self.ranges.clear();
        self.devices.clear();
        self.line.clear();
        self.dying_segments = dying_segments;
        (self.first, self.last, self.is_malformed) = (0, 0, false);
    }

    /// Takes the next bytes of the text.
    pub(in crate::process) fn feed(&mut self, mut text: &[u8]) {
        while !text.is_empty() {
            let newline = memchr::memchr(b'\n', text);
            let part = &text[..newline.unwrap_or(text.len())];
            self.is_malformed |= self.line.len() + part.len() > LINE_BYTES_MAX;
            if self.is_malformed {
                return;
            }
            self.line.extend_from_slice(part);
            let Some(newline) = newline else { return };
            self.end_line();
            text = &text[newline + 1..];
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        match parse(&line, &self.dying_segments) {
            Some((start, _, _)) if start >= USER_END => {}
            Some((start, end, device)) => self.push(start, end, device),
            None => self.is_malformed = true,
        }
        self.line = line;
        self.line.clear();
    }

    fn push(&mut self, start: u64, end: u64, device: Device) {
        let (is_first, is_ascending) = (self.ranges.is_empty(), start >= self.last);
        let known = self.devices.iter().rposition(|known| *known == device);
        let index = known.unwrap_or(self.devices.len());
        if start >= end || !is_ascending || index >= DEVICES_MAX {
            self.is_malformed = true;
            return;
        }
        if known.is_none() {
            self.devices.push(device);
        }
        if is_first {
            self.first = start;
        }
        self.last = end;
        let device = u16::try_from(index).unwrap_or_default();
        let is_same = |last: &&mut Range| last.end == start && last.device == device;
        let has_room = |last: &&mut Range| last.mappings < RANGE_MAPPINGS_MAX;
        match self.ranges.last_mut().filter(is_same).filter(has_room) {
            Some(last) => (last.end, last.mappings) = (end, last.mappings + 1),
            None => self.ranges.push(Range { start, end, device, mappings: 1 }),
        }
    }

    /// The ranges of a complete text; `None` if it is not that of `maps`.
    pub(super) fn whole(&self) -> Option<&[Range]> {
        (!self.is_malformed() && self.line.is_empty()).then_some(&self.ranges)
    }

    /// Whether the text is not that of `maps`, or too long.
    pub(in crate::process) fn is_malformed(&self) -> bool {
        self.is_malformed || self.ranges.len() > RANGES_MAX
    }

    pub(super) fn devices(&self) -> usize {
        self.devices.len()
    }

    /// The bytes of all ranges of a device; 0 for memory without one.
    pub(super) fn bytes_of(&self, device: usize) -> u64 {
        if self.devices.get(device).is_none_or(|device| device.number.starts_with(NO_DEVICE)) {
            return 0;
        }
        let ranges = self.ranges.iter().filter(|range| usize::from(range.device) == device);
        ranges.map(|range| range.end - range.start).sum()
    }

    /// Whether pages of a device are freed when their last mapping ends.
    pub(super) fn dies(&self, device: usize) -> bool {
        self.devices.get(device).is_some_and(|device| device.dies)
    }

    /// Start of the first and end of the last mapping, as in the header of a rollup.
    pub(super) fn addresses(&self) -> Option<(u64, u64)> {
        (!self.ranges.is_empty()).then_some((self.first, self.last))
    }
}

/// A device, and what becomes of its pages when their last mapping ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Device {
    /// Its number as text, `fd:01`.
    number: [u8; 8],
    /// They return. A descriptor may still keep the file.
    dies: bool,
}

/// Start, end and device: `5581e0a00000-5581e0a21000 r--p 00000000 fd:01 1311 /usr/bin/cat`.
fn parse(line: &[u8], dying_segments: &[u64]) -> Option<(u64, u64, Device)> {
    let mut words = line.splitn(6, |byte| *byte == b' ');
    let mut addresses = words.next()?.splitn(2, |byte| *byte == b'-');
    let (start, end) = (hexadecimal(addresses.next()?)?, hexadecimal(addresses.next()?)?);
    let device = words.nth(2)?;
    let mut number = [0; 8];
    number.get_mut(..device.len())?.copy_from_slice(device);
    let inode = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
    let path = words.next().unwrap_or_default().trim_ascii_start();
    let dies = ObjectKind::new(path, inode).dies_unmapped(dying_segments);
    Some((start, end, Device { number, dies }))
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
00400000-00452000 r-xp 00000000 fd:01 173521 /usr/bin/a b\n\
00452000-00453000 rw-p 00052000 fd:01 173521 /usr/bin/a b\n\
00453000-00455000 rw-p 00000000 00:00 0 \n\
7f0000000000-7f0000200000 rw-s 00000000 00:01 7 /memfd:x\\012 (deleted)\n\
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\n";

    #[test]
    fn neighbours_of_one_device_are_one_range() {
        // Whatever the borders of reads are.
        for size in [1, 7, 60, TEXT.len()] {
            let mut ranges = Ranges::default();
            TEXT.as_bytes().chunks(size).for_each(|part| ranges.feed(part));
            let range = |start, end, device, mappings| Range { start, end, device, mappings };
            let expected = [
                range(0x40_0000, 0x45_3000, 0, 2),
                range(0x45_3000, 0x45_5000, 1, 1),
                range(0x7f00_0000_0000, 0x7f00_0020_0000, 2, 1),
            ];
            assert_eq!(ranges.whole(), Some(&expected[..]), "reads of {size}");
            assert_eq!(ranges.addresses(), Some((0x40_0000, 0x7f00_0020_0000)));
            assert_eq!(ranges.devices(), 3);
        }
    }

    #[test]
    fn files_without_a_name_die() {
        let text = "\
1000-2000 rw-s 00000000 00:01 8 /SYSV00000000 (deleted)\n\
2000-3000 rw-s 00000000 00:01 9 /SYSV00000000 (deleted)\n\
3000-4000 rw-s 00000000 00:01 10 /memfd:x (deleted)\n\
4000-5000 rw-s 00000000 00:1a 11 /dev/shm/a (deleted) b\n";
        let mut ranges = Ranges::default();
        ranges.clear([9, 10].into());
        ranges.feed(text.as_bytes());
        let range = |start, end, device, mappings| Range { start, end, device, mappings };
        let expected =
            [range(0x1000, 0x2000, 0, 1), range(0x2000, 0x4000, 1, 2), range(0x4000, 0x5000, 2, 1)];
        assert_eq!(ranges.whole(), Some(&expected[..]));
        assert_eq!([0, 1, 2].map(|device| ranges.dies(device)), [false, true, false]);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "00400000-00452000 r-xp 00000000 fd:01 17",
            "00400000 r-xp 00000000 fd:01 17\n",
            "00400000-00452000-00500000 r-xp 00000000 fd:01 17\n",
            "00452000-00400000 r-xp 00000000 fd:01 17\n",
            "00400000-00452000 r-xp\n",
            "00500000-00552000 r-xp 0 fd:01 1\n00400000-00452000 r-xp 0 fd:01 1\n",
            "\n",
        ] {
            let mut ranges = Ranges::default();
            ranges.feed(text.as_bytes());
            assert_eq!(ranges.whole(), None, "{text}");
        }
    }
}
