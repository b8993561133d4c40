//! One entry of `pagemap` (Documentation/admin-guide/mm/pagemap.rst).

/// The size of an entry.
pub(super) const ENTRY_BYTES: usize = 8;

const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
/// A page of a file or of shared memory.
const FILE: u64 = 1 << 61;
/// A guard region (6.15).
const GUARD: u64 = 1 << 58;
/// Mapped once. Exact for a page that has an entry of its own.
const EXCLUSIVE: u64 = 1 << 56;
const FRAME: u64 = (1 << 55) - 1;
const SWAP_TYPE: u64 = 31;
const SWAP_TYPE_BITS: u32 = 5;
/// The bits of an offset.
const SLOT_BITS: u32 = 50;
/// Types of swap areas. Those above belong to entries of other kinds; with few such kinds in the
/// kernel some types are unused (`MAX_SWAPFILES`, include/linux/swap.h).
const SWAP_TYPE_MAX: u64 = 22;
/// The offset of a mark (of userfaultfd, of a poisoned page: `SWP_PTE_MARKER`, 5.19) is a few bits.
/// No process has a frame with such a low number.
const MARK_MAX: u64 = 16;

/// The meaning of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// No page: a hole, or a mark.
    None,
    /// A resident page that nothing else maps.
    Exclusive { is_file: bool },
    /// A resident page, or the page of zeros, which counts for no process.
    Uncounted { is_file: bool },
    /// A page on its way to another frame, or of a device: resident for a rollup, which counts it
    /// whole, and as shared.
    Moving,
    /// A page in swap, and its slot: area and offset as one number.
    Swapped { slot: u64 },
}

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TableEntry(pub(super) u64);

impl TableEntry {
    pub(super) fn page(self) -> Page {
        let is_file = self.is_file();
        // Kernels of the 4 series may set EXCLUSIVE without PRESENT.
        if self.is_present() {
            let is_exclusive = self.is_exclusive();
            return match is_exclusive {
                true => Page::Exclusive { is_file },
                false => Page::Uncounted { is_file },
            };
        }
        if self.0 & SWAPPED == 0 || self.0 & GUARD != 0 {
            return Page::None;
        }
        match self.0 & SWAP_TYPE {
            area @ 0..=SWAP_TYPE_MAX => {
                Page::Swapped { slot: area << SLOT_BITS | self.frame() >> SWAP_TYPE_BITS }
            }
            _ if self.frame() >> SWAP_TYPE_BITS < MARK_MAX => Page::None,
            _ => Page::Moving,
        }
    }

    pub(super) fn is_present(self) -> bool {
        self.0 & PRESENT != 0
    }

    pub(super) fn is_file(self) -> bool {
        self.0 & FILE != 0
    }

    pub(super) fn is_exclusive(self) -> bool {
        self.0 & EXCLUSIVE != 0
    }

    /// The page frame; 0 without `CAP_SYS_ADMIN`.
    pub(super) fn frame(self) -> u64 {
        self.0 & FRAME
    }
}

/// The entries of a read.
pub(super) fn entries(bytes: &[u8]) -> impl ExactSizeIterator<Item = TableEntry> + '_ {
    let numbers = bytes.chunks_exact(ENTRY_BYTES);
    numbers.map(|bytes| TableEntry(u64::from_ne_bytes(bytes.try_into().expect("eight bytes"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_their_meanings() {
        let swap = |kind: u64| SWAPPED | 4711 << 5 | kind;
        for (bits, page) in [
            (0, Page::None),
            (EXCLUSIVE, Page::None),
            (1 << 55 | 1 << 57, Page::None),
            (PRESENT | EXCLUSIVE | 7, Page::Exclusive { is_file: false }),
            (PRESENT | 7, Page::Uncounted { is_file: false }),
            (PRESENT | FILE | 7, Page::Uncounted { is_file: true }),
            (swap(0), Page::Swapped { slot: 4711 }),
            (swap(22), Page::Swapped { slot: 22 << 50 | 4711 }),
            (SWAPPED | 1 << 5 | 31, Page::None),
            (SWAPPED | 4 << 5 | 30, Page::None),
            (swap(30), Page::Moving),
            (swap(26) | FILE, Page::Moving),
            (swap(3) | GUARD, Page::None),
        ] {
            assert_eq!(TableEntry(bits).page(), page, "{bits:#x}");
        }
        assert_eq!(TableEntry(PRESENT | EXCLUSIVE | 0x1234).frame(), 0x1234);
    }
}
