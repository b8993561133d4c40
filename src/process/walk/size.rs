//! How long the rollup of a process would hold its `mmap_lock`, by `statm` and `status`.
//!
//! While it is held, the process cannot map memory. A rollup takes 20 to 160 ns per resident page,
//! 65 ns per page in swap and 1.5 us per page table; the times are those of docs/GENTLE.md.

use std::time::Duration;

use super::WalkRule;
use super::entry::ENTRY_BYTES;
use crate::process::status;
use crate::units::Kib;

/// Per resident page: near the middle of what was measured.
const PER_PAGE: Duration = Duration::from_nanos(80);
const PER_SWAPPED_PAGE: Duration = Duration::from_nanos(65);
const PER_TABLE: Duration = Duration::from_nanos(1500);
/// Per page without an entry, in a walk.
const PER_HOLE: Duration = Duration::from_nanos(6);
/// A rollup that is estimated to hold the lock for less is gentle enough: about 26 MiB.
const HOLD_MAX: Duration = Duration::from_micros(500);
/// A walk over holes may take so many times as long as the rollup.
const HOLES_MAX: u32 = 3;
/// A walk that is forced reads at most so many windows of holes, which takes about a second:
/// `node`, .NET and AddressSanitizer reserve up to 20 TiB of addresses.
const EMPTY_WINDOWS_MAX: u64 = 8192;

/// The pages of an address space, by `statm`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::process) struct Size {
    /// All addresses.
    pub(in crate::process) total: u64,
    /// Resident pages.
    pub(in crate::process) resident: u64,
    /// Pages of private writable mappings: only these and shared memory can be in swap.
    pub(in crate::process) data: u64,
}

impl Size {
    pub(in crate::process) fn parse(statm: &[u8]) -> Option<Size> {
        let text = std::str::from_utf8(statm).ok()?;
        let mut numbers = text.split_ascii_whitespace().map_while(|word| word.parse().ok());
        // Shared, text and libraries come before.
        Some(Size { total: numbers.next()?, resident: numbers.next()?, data: numbers.nth(3)? })
    }

    /// The estimated time for which a read holds the lock, without pages in swap.
    pub(in crate::process) fn hold(self) -> Duration {
        times(PER_PAGE, self.resident)
    }

    /// The same if all data were in swap, at most.
    pub(in crate::process) fn hold_max(self) -> Duration {
        self.hold().saturating_add(times(PER_SWAPPED_PAGE, self.data))
    }

    /// The same, with page tables and pages in swap by `status`.
    pub(in crate::process) fn hold_with(self, status: &[u8], page_bytes: u64) -> Duration {
        let pages = |kib: Option<Kib>| kib.map_or(0, |kib| kib.0 * 1024 / page_bytes);
        self.hold()
            .max(times(PER_TABLE, pages(status::page_tables(status))))
            .saturating_add(times(PER_SWAPPED_PAGE, pages(status::swap(status))))
    }

    /// Whether the rollup is short. `statm` does not count pages in swap: where there is swap, all
    /// data may be there.
    pub(in crate::process) fn is_small(self, has_swap: bool) -> bool {
        let swapped = if has_swap { self.data } else { 0 };
        times(PER_PAGE, self.resident.saturating_add(swapped)) < HOLD_MAX
    }
}

/// The estimated time for which a rollup of so much resident memory holds the lock.
pub fn hold(resident: Kib, page_bytes: u64) -> Duration {
    times(PER_PAGE, resident.0 * 1024 / page_bytes)
}

/// The file that suits a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::process) enum Choice {
    Rollup,
    Walk {
        /// Whether pages of hugetlbfs are mapped.
        has_hugetlb: bool,
    },
}

/// The choice for a process that is not small, by its `status`.
pub(in crate::process) fn choose(size: Size, status: &[u8], rule: &WalkRule) -> Choice {
    let hold = size.hold_with(status, rule.page_bytes);
    let empty = size.total.saturating_sub(size.resident);
    let has_few_holes = times(PER_HOLE, empty) <= hold * HOLES_MAX;
    let has_gain = hold >= HOLD_MAX && has_few_holes;
    let is_long = empty * ENTRY_BYTES as u64 / rule.window_bytes as u64 > EMPTY_WINDOWS_MAX;
    let is_forced = rule.is_forced && (has_few_holes || !is_long);
    // Other processes may have entries of the same pages.
    let has_swap = status::swap(status).is_some_and(|swap| swap > Kib(0));
    let is_vague = has_swap && !rule.is_whole_host;
    if is_vague || !has_gain && !is_forced {
        return Choice::Rollup;
    }
    // Kernels before 4.4 do not tell.
    Choice::Walk { has_hugetlb: status::mapped_hugetlb(status) != Some(Kib(0)) }
}

fn times(time: Duration, count: u64) -> Duration {
    time.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: WalkRule = WalkRule {
        is_forced: false,
        is_whole_host: true,
        has_swap: true,
        window_bytes: 4096,
        page_bytes: 4096,
        slack_pages: 0,
    };

    #[test]
    fn sizes() {
        let size = Size { total: 55_000, resident: 1200, data: 7000 };
        assert_eq!(Size::parse(b"55000 1200 900 300 0 7000 0\n"), Some(size));
        assert_eq!([false, true].map(|has_swap| size.is_small(has_swap)), [true, false]);
        assert!(!Size { resident: 8192, ..size }.is_small(false));
        for text in [&b""[..], b"7 8", b"7 8 9 1 0 x", b"-1 2 3 4 5 6"] {
            assert_eq!(Size::parse(text), None, "{}", text.escape_ascii());
        }
    }

    /// `statm` bounds the hold from both sides; `status` has what is in swap.
    #[test]
    fn holds() {
        let size = Size { total: 900_000, resident: 100_000, data: 400_000 };
        let ms = |hold: Duration| hold.as_millis();
        assert_eq!([size.hold(), size.hold_max()].map(ms), [8, 34]);
        let status = |swap: u64, pte: u64| {
            let text = format!("VmPTE:\t{pte} kB\nVmSwap:\t{swap} kB\n");
            ms(size.hold_with(text.as_bytes(), 4096))
        };
        assert_eq!([status(0, 900), status(1_200_000, 900), status(0, 40_000)], [8, 27, 15]);
        assert_eq!(ms(size.hold_with(b"", 4096)), 8);
    }

    #[test]
    fn choices() {
        let walk = |has_hugetlb| Choice::Walk { has_hugetlb };
        let status = |pte: u64, swap: u64, huge: u64| {
            format!("VmPTE:\t{pte} kB\nVmSwap:\t{swap} kB\nHugetlbPages:\t{huge} kB\n")
        };
        let gib = 1 << 18;
        let dense = Size { total: gib, resident: gib, data: gib };
        for (size, text, choice) in [
            (dense, status(2100, 0, 0), walk(false)),
            (dense, status(2100, 0, 2048), walk(true)),
            (dense, String::new(), walk(true)),
            (dense, status(2100, 4, 0), walk(false)),
            // Nearly all of it is in swap.
            (Size { resident: 9, ..dense }, status(900, 400_000, 0), walk(false)),
            // 1 TiB of addresses, 64 MiB of pages.
            (
                Size { total: 1024 * gib, resident: gib / 16, ..dense },
                status(40_000, 0, 0),
                Choice::Rollup,
            ),
            (Size { resident: 2048, ..dense }, status(60, 0, 0), Choice::Rollup),
        ] {
            assert_eq!(choose(size, text.as_bytes(), &RULE), choice, "{size:?} {text}");
        }
        let forced = WalkRule { is_forced: true, ..RULE };
        let small = Size { total: 9, resident: 9, data: 9 };
        let zeros = status(4, 0, 0);
        assert_eq!(choose(small, zeros.as_bytes(), &forced), walk(false));
        // Other processes may have a part of what is in swap.
        let selection = WalkRule { is_whole_host: false, ..forced };
        let swapped = status(2100, 4, 0);
        assert_eq!(choose(dense, swapped.as_bytes(), &selection), Choice::Rollup);
        assert_eq!(choose(small, zeros.as_bytes(), &selection), walk(false));
        // 16 GiB of addresses are 8,192 windows of 4 KiB.
        for (windows, choice) in [(8192, walk(false)), (8193, Choice::Rollup)] {
            let size = Size { total: 9 + 512 * windows, ..small };
            assert_eq!(choose(size, zeros.as_bytes(), &forced), choice, "{windows} windows");
        }
        let half = Size { total: 16 * gib, resident: 8 * gib, data: gib };
        assert_eq!(choose(half, zeros.as_bytes(), &forced), walk(false), "few holes");
    }
}
