//! The memory file of one process, read by read: whether it is complete, and whether the address
//! space still exists. Knows no other files.

use super::{MappingsWanted, ProcFile};
use crate::smaps::{Malformed, MappingScanner, NamedMappings, Scanner, SharedMapping, Smaps};

/// A rollup has 25 lines. A longer text is not one, and may never end.
const RECORD_BYTES_MAX: u64 = 64 * 1024;
/// The same for smaps: the text of six million mappings, a hundred times `vm.max_map_count`.
const SMAPS_BYTES_MAX: u64 = 4 << 30;

/// The meaning of one read of the memory file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There is more to read.
    Continue,
    /// The text has ended. One byte from the beginning shows whether it is complete.
    Verify,
    /// The address space does not exist, or not any more.
    Lost,
    /// The text is complete, or too long.
    Whole,
}

/// The state of one memory file.
#[derive(Debug, Default)]
pub(super) struct Memory {
    scanner: Scanner,
    /// Takes the same text, if the plan asks for shared mappings.
    mappings: Option<Box<MappingScanner>>,
    bytes: u64,
    /// The text is too long for smaps.
    is_endless: bool,
    /// The text has ended, and one more read shows whether it is complete.
    is_read: bool,
}

impl Memory {
    /// The next memory file of a probe, with the allocations of this one. `wanted`: the mappings
    /// to keep.
    pub(super) fn begin(&mut self, wanted: MappingsWanted) {
        let named = self.scanner.take_named();
        *self = match wanted {
            MappingsWanted::Nothing => Memory::default(),
            MappingsWanted::Shared => {
                Memory { mappings: Some(Box::default()), ..Memory::default() }
            }
            MappingsWanted::ByName => {
                let scanner = Scanner::with_names(named.unwrap_or_default());
                Memory { scanner, ..Memory::default() }
            }
        };
    }

    /// Takes the bytes of one read into a buffer of `room` bytes.
    pub(super) fn feed(&mut self, file: ProcFile, bytes: &[u8], room: usize) -> Step {
        if self.is_read {
            return if bytes.is_empty() { Step::Lost } else { Step::Whole };
        }
        let bytes_max = if file.is_one_record() { RECORD_BYTES_MAX } else { SMAPS_BYTES_MAX };
        self.bytes += bytes.len() as u64;
        self.is_endless = self.bytes > bytes_max;
        if self.is_endless {
            return Step::Whole;
        }
        self.scanner.feed(bytes);
        if let Some(mappings) = &mut self.mappings {
            mappings.feed(bytes);
        }
        if !bytes.is_empty() && (bytes.len() == room || !file.is_one_record()) {
            return Step::Continue;
        }
        if self.bytes == 0 {
            return Step::Lost;
        }
        // If the process dies or execs meanwhile, the text just ends early.
        self.is_read = !file.is_one_record();
        if self.is_read { Step::Verify } else { Step::Whole }
    }

    /// The sums of a complete file, and the shared mappings.
    pub(super) fn finish(&mut self) -> Result<(Smaps, Vec<SharedMapping>), Malformed> {
        if self.is_endless {
            return Err(Malformed);
        }
        let mappings = self.mappings.take().map(|mappings| mappings.finish()).unwrap_or_default();
        Ok((self.scanner.end()?, mappings))
    }

    /// The mappings by name of a complete file, if the plan asks for them.
    pub(super) fn named(&self) -> Option<&NamedMappings> {
        self.scanner.named()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text that a dying process cut short has no mappings either.
    #[test]
    fn mappings_belong_to_a_complete_text() {
        let text = b"7f00-7f40 rw-s 00000000 00:01 7     /dev/shm/pool\nPss: 0 kB\n\
            Private_Clean: 0 kB\nPrivate_Dirty: 0 kB\nShared_Hugetlb: 4 kB\n";
        use MappingsWanted::{ByName, Nothing, Shared};
        let mut memory = Memory::default();
        for (wanted, count, named) in [(Shared, 1, 0), (Nothing, 0, 0), (ByName, 0, 1)] {
            memory.begin(wanted);
            assert_eq!(memory.feed(ProcFile::Smaps, &text[..70], 70), Step::Continue);
            assert_eq!(memory.feed(ProcFile::Smaps, &text[70..], 70), Step::Continue);
            assert_eq!(memory.feed(ProcFile::Smaps, b"", 70), Step::Verify);
            assert_eq!(memory.feed(ProcFile::Smaps, b"7", 1), Step::Whole);
            let (smaps, mappings) = memory.finish().expect("smaps");
            assert_eq!((smaps.mappings(), mappings.len()), (1, count));
            assert_eq!(memory.named().map_or(0, |named| named.iter().count()), named);
        }
        memory.begin(Shared);
        assert_eq!(memory.feed(ProcFile::Smaps, &text[..70], 70), Step::Continue);
        assert_eq!(memory.feed(ProcFile::Smaps, b"", 70), Step::Verify);
        assert_eq!(memory.feed(ProcFile::Smaps, b"", 1), Step::Lost);
    }

    /// An exec half-way: the text of the old program ends early, then that of the new one begins.
    #[test]
    fn a_text_that_ends_early_leaves_no_mapping() {
        let old = b"7f00-7f40 rw-s 00000000 00:01 7     /old\nPss: 4 kB\n\
            7f40-7f80 rw-p 00000000 00:00 0 \nPss: 4 kB\n7f80-7fc0 rw-s 00000000 00:01 7     /o";
        let new = b"7f00-7f40 rw-s 00000000 00:01 9     /new\nPss: 8 kB\n\
            Private_Clean: 0 kB\nPrivate_Dirty: 0 kB\n";
        let mut memory = Memory::default();
        memory.begin(MappingsWanted::ByName);
        assert_eq!(memory.feed(ProcFile::Smaps, old, 400), Step::Continue);
        assert_eq!(memory.feed(ProcFile::Smaps, b"", 400), Step::Verify);
        assert_eq!(memory.feed(ProcFile::Smaps, b"", 1), Step::Lost);
        memory.begin(MappingsWanted::ByName);
        assert_eq!(memory.feed(ProcFile::Smaps, new, 400), Step::Continue);
        assert_eq!(memory.feed(ProcFile::Smaps, b"", 400), Step::Verify);
        assert_eq!(memory.feed(ProcFile::Smaps, b"7", 1), Step::Whole);
        assert!(memory.finish().is_ok());
        let named = memory.named().expect("the mappings");
        let rows: Vec<_> = named.iter().map(|(name, sums)| (name, sums.pss.0)).collect();
        assert_eq!(rows, [(&b"/new"[..], 8)]);
    }

    /// The first mapping alone has every field that is needed.
    #[test]
    fn a_text_that_ends_within_a_header_is_malformed() {
        let text = b"7f00-7f40 rw-s 00000000 00:01 7     /old\nPss: 4 kB\n\
            Private_Clean: 0 kB\nPrivate_Dirty: 0 kB\n7f40-7f80 rw-p 00000000 00:01 7     /t1";
        for end in [text.len(), text.len() - 38, text.len() - 12] {
            let mut memory = Memory::default();
            memory.begin(MappingsWanted::ByName);
            assert_eq!(memory.feed(ProcFile::Smaps, &text[..end], 400), Step::Continue);
            assert_eq!(memory.feed(ProcFile::Smaps, b"", 400), Step::Verify);
            assert_eq!(memory.feed(ProcFile::Smaps, b"7", 1), Step::Whole);
            assert_eq!(memory.finish().map(|_| ()), Err(Malformed), "{end}");
        }
    }

    #[test]
    fn endless_text_is_malformed() {
        let sizes = [(ProcFile::SmapsRollup, RECORD_BYTES_MAX), (ProcFile::Smaps, SMAPS_BYTES_MAX)];
        for (file, most) in sizes {
            let mut memory = Memory { bytes: most - 8, ..Memory::default() };
            assert_eq!(memory.feed(file, b"12345678", 8), Step::Continue);
            assert_eq!(memory.feed(file, b"9", 8), Step::Whole);
            assert_eq!(memory.finish(), Err(Malformed));
        }
    }
}
