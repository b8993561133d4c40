//! The text of `maps` to ranges of addresses (`show_map_vma`, fs/proc/task_mmu.c).

/// Addresses above are the kernel's: `[vsyscall]`, which has no entries and counts for no process.
const USER_END: u64 = 1 << 63;
/// Enough for the part of a line before its path: addresses, permissions, offset, device, inode.
const HEAD_BYTES_MAX: usize = 128;
/// The maximum number of devices of one process that are told apart.
pub(super) const DEVICES_MAX: usize = 1 << 10;

/// The maximum number of ranges: many times `vm.max_map_count`.
const RANGES_MAX: usize = 1 << 20;

/// The device of mappings without a file.
const NO_DEVICE: &[u8] = b"00:00";

/// Neighbouring mappings of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    /// The first address, and the address behind the last one.
    pub(super) start: u64,
    pub(super) end: u64,
    /// The index of the device in [`Ranges::devices`].
    pub(super) device: u16,
}

/// The ranges of one process, ascending.
#[derive(Debug, Default)]
pub(in crate::process) struct Ranges {
    ranges: Vec<Range>,
    /// The numbers of devices as text, `fd:01`.
    devices: Vec<[u8; 8]>,
    /// Start and end address of the first and the last mapping.
    first: u64,
    last: u64,
    /// The start of a line whose rest the next read brings.
    head: Vec<u8>,
    is_in_path: bool,
    is_malformed: bool,
}

impl Ranges {
    pub(super) fn clear(&mut self) {
        self.ranges.clear();
        self.devices.clear();
        self.head.clear();
        (self.first, self.last) = (0, 0);
        (self.is_in_path, self.is_malformed) = (false, false);
    }

    /// Takes the next bytes of the text.
    pub(in crate::process) fn feed(&mut self, mut text: &[u8]) {
        while !text.is_empty() {
            let newline = memchr::memchr(b'\n', text);
            let part = &text[..newline.unwrap_or(text.len())];
            if !self.is_in_path {
                let room = HEAD_BYTES_MAX - self.head.len();
                self.head.extend_from_slice(&part[..part.len().min(room)]);
                self.is_in_path = self.head.len() == HEAD_BYTES_MAX;
            }
            let Some(newline) = newline else { return };
            self.line();
            text = &text[newline + 1..];
        }
    }

    fn line(&mut self) {
        let head = std::mem::take(&mut self.head);
        match parse(&head) {
            Some((start, _, _)) if start >= USER_END => {}
            Some((start, end, device)) => self.push(start, end, device),
            None => self.is_malformed = true,
        }
        self.head = head;
        self.head.clear();
        self.is_in_path = false;
    }

    fn push(&mut self, start: u64, end: u64, device: [u8; 8]) {
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
        let range = Range { start, end, device };
        match self.ranges.last_mut() {
            Some(last) if last.end == start && last.device == device => last.end = end,
            _ => self.ranges.push(range),
        }
    }

    /// The ranges of a complete text; `None` if it is not that of `maps`.
    pub(super) fn whole(&self) -> Option<&[Range]> {
        (!self.is_malformed() && self.head.is_empty() && !self.is_in_path).then_some(&self.ranges)
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
        if self.devices.get(device).is_none_or(|device| device.starts_with(NO_DEVICE)) {
            return 0;
        }
        let ranges = self.ranges.iter().filter(|range| usize::from(range.device) == device);
        ranges.map(|range| range.end - range.start).sum()
    }

    /// Start of the first and end of the last mapping, as in the header of a rollup.
    pub(super) fn addresses(&self) -> Option<(u64, u64)> {
        (!self.ranges.is_empty()).then_some((self.first, self.last))
    }
}

/// Start, end and device: `5581e0a00000-5581e0a21000 r--p 00000000 fd:01 1311 /usr/bin/cat`.
fn parse(head: &[u8]) -> Option<(u64, u64, [u8; 8])> {
    let mut words = head.split(|byte| *byte == b' ');
    let mut addresses = words.next()?.split(|byte| *byte == b'-');
    let (start, end) = (hexadecimal(addresses.next()?)?, hexadecimal(addresses.next()?)?);
    let device = words.nth(2)?;
    let mut padded = [0; 8];
    padded.get_mut(..device.len())?.copy_from_slice(device);
    Some((start, end, padded))
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
            let range = |start, end, device| Range { start, end, device };
            let expected = [
                range(0x40_0000, 0x45_3000, 0),
                range(0x45_3000, 0x45_5000, 1),
                range(0x7f00_0000_0000, 0x7f00_0020_0000, 2),
            ];
            assert_eq!(ranges.whole(), Some(&expected[..]), "reads of {size}");
            assert_eq!(ranges.addresses(), Some((0x40_0000, 0x7f00_0020_0000)));
            assert_eq!(ranges.devices(), 3);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "00400000-00452000 r-xp 00000000 fd:01 17",
            "00400000 r-xp 00000000 fd:01 17\n",
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
