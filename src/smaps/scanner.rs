//! Chunks of smaps text in, sums out.
//!
//! Nearly every line of smaps is 28 bytes wide:
//!
//! ```text
//! Private_Dirty:        12 kB\n
//! |--- key, 16 --||- 8 --|-4-|
//! ```
//!
//! and every mapping prints the same keys in the same order. So the scanner compares each line, as
//! three words, with the key that followed last time, and takes the number without a search for the
//! newline: it checks all 28 bytes and searches none. Other lines (headers, `VmFlags`, numbers of
//! nine digits, keys of future kernels) take the slow path: find the newline, split at the colon.
//! Both paths accept the same lines, so the width is an optimisation and never an assumption.

use memchr::memchr;

use super::field::{Field, KEYS, KEYS_LEN};
use super::{Malformed, NamedMappings, Smaps, value};

/// The width of a line whose number has at most eight digits.
const WIDTH: usize = 28;

/// The maximum length of a line that is taken whole. Only counted lines (at most 40 bytes with 20
/// digits) and the header of a `[heap]` (79 bytes) matter. Of a longer line only the beginning is
/// read, so that the name of a mapping costs no memory, however long it is. A longer line is the
/// header of another mapping, or a key without a number that the kernel could print.
pub(super) const LINE_MAX: usize = 128;

/// Parses smaps or smaps_rollup in chunks that may end anywhere.
#[derive(Clone, Debug)]
pub struct Scanner {
    smaps: Smaps,
    malformed: bool,
    /// `Pss` at the header of the current mapping, if that is a heap.
    heap_began: Option<u64>,
    /// The line that the last chunk ended in.
    kept: [u8; LINE_MAX],
    kept_len: usize,
    /// The key of the last line, and for each key the one that followed it last.
    key: u8,
    follower: [u8; KEYS_LEN],
    /// Takes the mappings too, if it is there.
    named: Option<Box<NamedMappings>>,
}

impl Default for Scanner {
    fn default() -> Self {
        Scanner::new()
    }
}

impl Scanner {
    /// A scanner at the start of a text.
    pub fn new() -> Self {
        Scanner {
            smaps: Smaps::default(),
            malformed: false,
            heap_began: None,
            kept: [0; LINE_MAX],
            kept_len: 0,
            key: 0,
            follower: [0; KEYS_LEN],
            named: None,
        }
    }

    /// A scanner that sums the mappings by name too.
    #[doc(hidden)]
    pub fn with_names(mut named: Box<NamedMappings>) -> Scanner {
        named.clear();
        Scanner { named: Some(named), ..Scanner::new() }
    }

    /// The mappings by name, once the text has ended.
    #[doc(hidden)]
    pub fn named(&self) -> Option<&NamedMappings> {
        self.named.as_deref()
    }

    /// Takes the mappings of a text that is given up, for the next scanner.
    #[doc(hidden)]
    pub fn take_named(&mut self) -> Option<Box<NamedMappings>> {
        self.named.take()
    }

    /// Takes the next bytes of the text.
    pub fn feed(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        if self.kept_len > 0 {
            match memchr(b'\n', rest) {
                Some(end) => {
                    self.keep(&rest[..end]);
                    self.end_kept_line();
                    rest = &rest[end + 1..];
                }
                None => return self.keep(rest),
            }
        }
        while !rest.is_empty() {
            rest = match rest.split_first_chunk::<WIDTH>() {
                Some((line, behind)) if self.usual_line(line) => behind,
                _ => match memchr(b'\n', rest) {
                    Some(end) => {
                        self.line(&rest[..end]);
                        &rest[end + 1..]
                    }
                    None => return self.keep(rest),
                },
            };
        }
    }

    /// The sums, once the text has ended.
    ///
    /// # Errors
    /// [`Malformed`] if a counted line has no proper value or a required field is missing.
    pub fn finish(mut self) -> Result<Smaps, Malformed> {
        self.end()
    }

    /// The same, and the scanner keeps the mappings.
    ///
    /// # Errors
    /// As [`Scanner::finish`].
    #[doc(hidden)]
    pub fn end(&mut self) -> Result<Smaps, Malformed> {
        // The text ends within a header: the process ended meanwhile, or began another program.
        self.malformed |= self.kept_len > 0 && is_header(self.kept[0]);
        self.end_kept_line();
        self.end_heap();
        if let Some(named) = &mut self.named {
            named.end(&self.smaps);
        }
        let is_sound = !self.malformed && self.smaps.is_complete();
        is_sound.then_some(self.smaps).ok_or(Malformed)
    }

    /// Takes a line of the usual width with a known key. False: it is not such a line, and nothing
    /// has changed.
    fn usual_line(&mut self, line: &[u8; WIDTH]) -> bool {
        const UNIT: [u8; 4] = *b" kB\n";
        let (Some(text), Some(number), Some(unit)) =
            (line.first_chunk::<16>(), line[16..].first_chunk::<8>(), line.last_chunk::<4>())
        else {
            return false;
        };
        if *unit != UNIT {
            return false;
        }
        let text = u128::from_le_bytes(*text);
        let before = usize::from(self.key) % KEYS_LEN;
        let mut key = self.follower[before];
        if KEYS[usize::from(key) % KEYS_LEN].text != text {
            let Some((found, _)) = (0_u8..).zip(&KEYS).find(|(_, known)| known.text == text) else {
                return false;
            };
            key = found;
            self.follower[before] = key;
        }
        match KEYS[usize::from(key) % KEYS_LEN].counted {
            None if value::is_one_line(*number) => {}
            None => return false,
            Some(field) => match value::eight_columns(*number) {
                Some(kib) => self.add(field, kib),
                None => return false,
            },
        }
        self.key = key;
        true
    }

    /// Takes any line without its newline; the beginning of a long line is enough.
    fn line(&mut self, whole: &[u8]) {
        let (line, is_whole) = match whole.split_at_checked(LINE_MAX) {
            Some((beginning, _)) => (beginning, false),
            None => (whole, true),
        };
        let Some(first) = line.first() else { return };
        // Keys begin with a capital letter, headers with an address in lower-case hexadecimal. A
        // mapping's name cannot begin a line: the kernel prints its newlines as `\012`.
        if !first.is_ascii_uppercase() {
            if is_header(*first) {
                if let Some(named) = &mut self.named {
                    named.begin(whole, &self.smaps);
                }
                self.header(line, is_whole);
            }
            return;
        }
        let Some(colon) = memchr(b':', line) else { return };
        let Some(field) = Field::from_key(&line[..colon]) else { return };
        match value::kib(&line[colon + 1..]) {
            Some(kib) if is_whole => self.add(field, kib),
            _ => self.malformed = true,
        }
    }

    fn add(&mut self, field: Field, kib: u64) {
        self.malformed |= self.smaps.add(field, kib).is_err();
    }

    fn header(&mut self, line: &[u8], is_whole: bool) {
        self.end_heap();
        if self.smaps.mappings == 0 {
            self.smaps.addresses = value::addresses(line);
            self.smaps.is_rollup = is_whole && is_rollup(line);
        }
        self.smaps.mappings += 1;
        let is_heap = is_whole && names_the_heap(line);
        self.heap_began = is_heap.then_some(self.smaps.pss().0);
    }

    fn end_heap(&mut self) {
        if let Some(began) = self.heap_began.take() {
            self.smaps.heap += self.smaps.pss().0 - began;
        }
    }

    /// Keeps a part of an unfinished line, as far as there is room.
    fn keep(&mut self, part: &[u8]) {
        if let Some(named) = &mut self.named {
            named.keep(part);
        }
        let room = &mut self.kept[self.kept_len..];
        let fits = part.len().min(room.len());
        room[..fits].copy_from_slice(&part[..fits]);
        self.kept_len += fits;
    }

    fn end_kept_line(&mut self) {
        let (kept, len) = (self.kept, std::mem::take(&mut self.kept_len));
        self.line(&kept[..len]);
        if let Some(named) = &mut self.named {
            named.kept.clear();
        }
    }
}

/// Whether a line with this first byte is the header of a mapping, which begins with an address in
/// lower-case hexadecimal. All other lines of the kernel begin with a capital letter.
fn is_header(first: u8) -> bool {
    matches!(first, b'0'..=b'9' | b'a'..=b'f')
}

/// Whether the header is that of a rollup. Only names of files can end like it, and these have a
/// path.
fn is_rollup(header: &[u8]) -> bool {
    header.ends_with(b" [rollup]") && memchr(b'/', header).is_none()
}

/// Whether the header is that of a heap: only `[heap]` follows range, permissions, offset, device
/// and inode. A file whose name ends like it has its path there.
fn names_the_heap(header: &[u8]) -> bool {
    let Some(before) = header.strip_suffix(b"[heap]") else { return false };
    let name = before.splitn(6, |byte| *byte == b' ').nth(5);
    name.is_some_and(|padding| padding.iter().all(|byte| *byte == b' '))
}
