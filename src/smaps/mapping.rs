//! Mappings of objects that several processes may map: their place in the object, and the pages
//! that the sums of smaps count whole in each process. Pure.

use std::ops::Range;

use super::Kib;

/// A mapping with pages that other processes may hold too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedMapping {
    /// Device and inode as the kernel prints them, which identify the object on a host.
    pub object: Vec<u8>,
    /// Whether the object is a segment of System V. Its inode is the id of the segment, which is
    /// unique in an IPC namespace only.
    pub is_segment: bool,
    /// Whether the processes see each other's writes (`MAP_SHARED`).
    pub is_shared: bool,
    /// The bytes of the object that are mapped.
    pub range: Range<u64>,
    /// `KernelPageSize`.
    pub page: Kib,
    /// `Shared_Hugetlb`.
    pub shared_hugetlb: Kib,
    /// `Swap` beyond `SwapPss`: shared memory in swap, and shared pages of private mappings.
    pub swap_beyond: Kib,
}

/// Finds the mappings in a text of smaps that comes in chunks.
#[derive(Debug, Default)]
pub struct MappingScanner {
    /// The begin of a line.
    carry: Vec<u8>,
    current: Option<SharedMapping>,
    found: Vec<SharedMapping>,
    swap: Kib,
}

impl MappingScanner {
    /// Takes the next chunk of the text.
    pub fn feed(&mut self, chunk: &[u8]) {
        self.carry.extend_from_slice(chunk);
        let Some(end) = self.carry.iter().rposition(|byte| *byte == b'\n') else { return };
        let rest = self.carry.split_off(end + 1);
        let lines = std::mem::replace(&mut self.carry, rest);
        lines.split(|byte| *byte == b'\n').for_each(|line| self.line(line));
    }

    /// The mappings, and the sum of `Swap` over all mappings.
    pub fn finish(mut self) -> (Vec<SharedMapping>, Kib) {
        self.close();
        (self.found, self.swap)
    }

    fn close(&mut self) {
        let is_wanted =
            |mapping: &SharedMapping| mapping.shared_hugetlb.max(mapping.swap_beyond) > Kib(0);
        self.found.extend(self.current.take().filter(is_wanted));
    }

    fn line(&mut self, line: &[u8]) {
        if line.first().is_some_and(|first| b"0123456789abcdef".contains(first)) {
            self.close();
            self.current = header(line);
            return;
        }
        let Some((key, kib)) = amount(line) else { return };
        if key == b"Swap" {
            self.swap += kib;
        }
        let Some(mapping) = &mut self.current else { return };
        match key {
            b"KernelPageSize" => mapping.page = kib,
            b"Shared_Hugetlb" => mapping.shared_hugetlb = kib,
            b"Swap" => mapping.swap_beyond = kib,
            b"SwapPss" => mapping.swap_beyond = mapping.swap_beyond.saturating_sub(kib),
            _ => {}
        }
    }
}

/// `7f3d00000000-7f3d00400000 rw-s 00000000 00:2d 92840    /dev/hugepages/pool`, if it has an
/// object. A segment of System V may have the inode 0.
fn header(line: &[u8]) -> Option<SharedMapping> {
    let fields: Vec<&[u8]> = line.splitn(6, |byte| *byte == b' ').collect();
    let [addresses, access, offset, device, inode, name] = fields[..] else { return None };
    let (start, end) = std::str::from_utf8(addresses).ok()?.split_once('-')?;
    let len = hexadecimal(end)?.checked_sub(hexadecimal(start)?)?;
    let offset = hexadecimal(std::str::from_utf8(offset).ok()?)?;
    let is_segment = name.trim_ascii_start().starts_with(b"/SYSV");
    let has_object = is_segment || inode != b"0";
    has_object.then(|| SharedMapping {
        object: [device, inode].join(&b' '),
        is_segment,
        is_shared: access.ends_with(b"s"),
        range: offset..offset.saturating_add(len),
        ..SharedMapping::default()
    })
}

fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

/// `Swap:                 12 kB`
fn amount(line: &[u8]) -> Option<(&[u8], Kib)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let number = line[colon + 1..].strip_suffix(b" kB")?.trim_ascii_start();
    Some((&line[..colon], Kib(std::str::from_utf8(number).ok()?.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wherever the text is cut, only mappings of objects with shared pages are found.
    #[test]
    fn shared_mappings_have_their_place() {
        let text =
            b"55d0-55e0 rw-p 00000000 00:00 0 \nKernelPageSize: 4 kB\nSwap: 9 kB\nSwapPss: 4 kB\n\
            7f00000000-7f00400000 rw-s 00200000 00:2d 92840      /dev/huge pages\n\
            KernelPageSize:     2048 kB\nShared_Hugetlb:     4096 kB\nPrivate_Hugetlb: 2048 kB\n\
            Swap: 0 kB\nSwapPss: 0 kB\nVmFlags: rd sh ht\n\
            7f10000000-7f10001000 rw-s 00000000 00:01 0         /SYSV00000000 (deleted)\n\
            KernelPageSize: 4 kB\nSwap: 4 kB\nSwapPss: 0 kB\n\
            7f20000000-7f20001000 r--p 00001000 fe:01 77        /usr/lib/libc.so\n\
            Swap: 4 kB\nSwapPss: 4 kB\n\xff: 1 kB\n";
        let huge = SharedMapping {
            object: b"00:2d 92840".to_vec(),
            is_segment: false,
            is_shared: true,
            range: 0x20_0000..0x60_0000,
            page: Kib(2048),
            shared_hugetlb: Kib(4096),
            swap_beyond: Kib(0),
        };
        let segment = SharedMapping {
            object: b"00:01 0".to_vec(),
            is_segment: true,
            is_shared: true,
            range: 0..4096,
            page: Kib(4),
            shared_hugetlb: Kib(0),
            swap_beyond: Kib(4),
        };
        for cut in 0..text.len() {
            let mut scanner = MappingScanner::default();
            scanner.feed(&text[..cut]);
            scanner.feed(&text[cut..]);
            assert_eq!(scanner.finish(), (vec![huge.clone(), segment.clone()], Kib(17)), "{cut}");
        }
    }
}
