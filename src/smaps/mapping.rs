//! Mappings of objects that several processes may map: their place in the object, and the pages
//! that the sums of smaps count whole in each process. Pure.

use std::ops::Range;

use memchr::memchr;

use super::Kib;
use super::scanner::LINE_MAX;

/// The maximum number of mappings that are kept, of a process with the usual `vm.max_map_count`.
/// The pages of further ones have no known object.
const MAPPINGS_MAX: usize = 65_536;

/// The owner of the pages of an object when no process maps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ObjectKind {
    /// A file with a name.
    #[default]
    Named,
    /// A file without a name: only a descriptor can keep it.
    Nameless,
    /// A segment of System V, with its id. It stays until it is removed.
    Segment(u64),
}

impl ObjectKind {
    /// The kind of an object with this path and inode in `maps` and smaps. The kernel marks a file
    /// that has no name any more (`d_path`, fs/d_path.c). The inode of a segment is its id
    /// (`newseg`, ipc/shm.c).
    pub fn new(path: &[u8], inode: u64) -> ObjectKind {
        match path {
            _ if path.starts_with(b"/SYSV") => ObjectKind::Segment(inode),
            _ if path.ends_with(b" (deleted)") => ObjectKind::Nameless,
            _ => ObjectKind::Named,
        }
    }

    /// Whether the pages return with the last mapping. `dying_segments`: the ids of those that are
    /// marked to be destroyed.
    pub fn dies_unmapped(self, dying_segments: &[u64]) -> bool {
        match self {
            ObjectKind::Named => false,
            ObjectKind::Nameless => true,
            ObjectKind::Segment(id) => dying_segments.contains(&id),
        }
    }
}

/// A mapping with pages that other processes may hold too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedMapping {
    /// Device and inode as the kernel prints them, which identify the object on a host.
    pub object: Vec<u8>,
    /// The owner of its pages. The id of a segment is unique in an IPC namespace only. A path that
    /// ends beyond [`LINE_MAX`] counts as one of a file with a name.
    pub kind: ObjectKind,
    /// Whether the processes see each other's writes (`MAP_SHARED`).
    pub is_shared: bool,
    /// The bytes of the object that are mapped.
    pub range: Range<u64>,
    /// `KernelPageSize`.
    pub page: Kib,
    /// `Shared_Hugetlb`.
    pub shared_hugetlb: Kib,
    /// `Private_Hugetlb`.
    pub private_hugetlb: Kib,
    /// `Swap` beyond `SwapPss`: shared memory in swap, and shared pages of private mappings.
    pub swap_beyond: Kib,
}

/// Finds the mappings in a text of smaps that comes in chunks.
#[derive(Debug, Default)]
pub struct MappingScanner {
    /// The line that the last chunk ended in, up to [`LINE_MAX`]: the name of a mapping can be
    /// longer, and is not needed.
    kept: Vec<u8>,
    current: Option<SharedMapping>,
    found: Vec<SharedMapping>,
}

impl MappingScanner {
    /// Takes the next chunk of the text.
    pub fn feed(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while let Some(end) = memchr(b'\n', rest) {
            if self.kept.is_empty() {
                self.line(&rest[..end]);
            } else {
                self.keep(&rest[..end]);
                self.end_kept_line();
            }
            rest = &rest[end + 1..];
        }
        self.keep(rest);
    }

    /// The mappings, once the text has ended.
    pub fn finish(mut self) -> Vec<SharedMapping> {
        self.end_kept_line();
        self.close();
        self.found
    }

    /// Keeps a part of an unfinished line, as far as there is room.
    fn keep(&mut self, part: &[u8]) {
        let room = LINE_MAX - self.kept.len();
        self.kept.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn end_kept_line(&mut self) {
        let mut kept = std::mem::take(&mut self.kept);
        self.line(&kept);
        kept.clear();
        self.kept = kept;
    }

    fn close(&mut self) {
        let is_wanted = |mapping: &SharedMapping| {
            let hugetlb = mapping.shared_hugetlb.max(mapping.private_hugetlb);
            hugetlb.max(mapping.swap_beyond) > Kib(0)
        };
        let mapping = self.current.take().filter(is_wanted);
        self.found.extend(mapping.filter(|_| self.found.len() < MAPPINGS_MAX));
    }

    /// Takes a line without its newline; the beginning of a long line is enough.
    fn line(&mut self, line: &[u8]) {
        if line.first().is_some_and(|first| b"0123456789abcdef".contains(first)) {
            self.close();
            self.current = header(&line[..line.len().min(LINE_MAX)]);
            return;
        }
        let Some((key, kib)) = amount(line).filter(|_| line.len() < LINE_MAX) else { return };
        let Some(mapping) = &mut self.current else { return };
        match key {
            b"KernelPageSize" => mapping.page = kib,
            b"Shared_Hugetlb" => mapping.shared_hugetlb = kib,
            b"Private_Hugetlb" => mapping.private_hugetlb = kib,
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
    let number = std::str::from_utf8(inode).ok()?.parse().ok()?;
    let kind = ObjectKind::new(name.trim_ascii_start(), number);
    let has_object = matches!(kind, ObjectKind::Segment(_)) || number != 0;
    has_object.then(|| SharedMapping {
        object: [device, inode].join(&b' '),
        kind,
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
            kind: ObjectKind::Named,
            is_shared: true,
            range: 0x20_0000..0x60_0000,
            page: Kib(2048),
            shared_hugetlb: Kib(4096),
            private_hugetlb: Kib(2048),
            swap_beyond: Kib(0),
        };
        let segment = SharedMapping {
            object: b"00:01 0".to_vec(),
            kind: ObjectKind::Segment(0),
            is_shared: true,
            range: 0..4096,
            page: Kib(4),
            shared_hugetlb: Kib(0),
            private_hugetlb: Kib(0),
            swap_beyond: Kib(4),
        };
        for cut in 0..text.len() {
            let mut scanner = MappingScanner::default();
            scanner.feed(&text[..cut]);
            scanner.feed(&text[cut..]);
            assert_eq!(scanner.finish(), [huge.clone(), segment.clone()], "{cut}");
        }
    }
    /// The name of a mapping can be long, and a text that is not smaps can have no newline.
    #[test]
    fn a_long_line_takes_little_memory() {
        let long = vec![b'x'; 100_000];
        let mut scanner = MappingScanner::default();
        scanner.feed(b"7f00000000-7f00400000 rw-s 00000000 00:2d 92840      /");
        long.chunks(1000).for_each(|chunk| scanner.feed(chunk));
        scanner.feed(b" (deleted)\nShared_Hugetlb: 2048 kB\nSwap: ");
        scanner.feed(&[&[b' '; LINE_MAX][..], b"4 kB\n"].concat());
        long.chunks(1000).for_each(|chunk| scanner.feed(chunk));
        assert_eq!(scanner.kept.len(), LINE_MAX);
        let found = scanner.finish();
        let [found] = &found[..] else { panic!("{found:?}") };
        let amounts = (found.shared_hugetlb, found.swap_beyond);
        assert_eq!((found.range.clone(), amounts), (0..0x40_0000, (Kib(2048), Kib(0))));
    }

    #[test]
    fn the_number_of_mappings_is_bounded() {
        let mut scanner = MappingScanner::default();
        for at in 0..MAPPINGS_MAX + 9 {
            scanner.feed(format!("{at:x}000-{:x}000 rw-s 0 00:01 7 /x\n", at + 1).as_bytes());
            scanner.feed(b"Shared_Hugetlb: 4 kB\n");
        }
        assert_eq!(scanner.finish().len(), MAPPINGS_MAX);
    }
}
