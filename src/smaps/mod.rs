//! Parses the text of `smaps` and `smaps_rollup`, in chunks that may end anywhere.
//!
//! ```
//! use psm_uring::smaps::{Field, Malformed, Scanner};
//!
//! let mut scanner = Scanner::new();
//! scanner.feed(b"55e0-7ffd ---p 00000000 00:00 0                  [rollup]\n");
//! scanner.feed(b"Rss:                 300 kB\nPss:                 2");
//! scanner.feed(b"00 kB\nPrivate_Clean:        40 kB\nPrivate_Dirty:        60 kB\n");
//! let smaps = scanner.finish()?;
//!
//! assert_eq!(smaps.pss().bytes(), 200 * 1024);
//! assert_eq!(smaps.uss().bytes(), 100 * 1024);
//! // A field that the kernel did not print is unknown, not 0.
//! assert_eq!(smaps.get(Field::Swap), None);
//! # Ok::<(), Malformed>(())
//! ```
//!
//! Pure: no I/O, no panic, no assumption that the text is UTF-8; only mappings allocate. The
//! kernel writes the text in `show_smap` and `show_smaps_rollup` (fs/proc/task_mmu.c).
//!
//! - `field`   the known keys, and which of them are counted
//! - `value`   digits to numbers
//! - `scanner` chunks in, [`Smaps`] out
//! - `mapping` mappings of objects that several processes may map
//! - `mapping_name` the name of a mapping
//! - `named`   mappings summed by name
//! - `names`   names, each stored once
//! - `naive`   the same, too simple to be wrong; tests and benches compare the scanner with it
#![forbid(unsafe_code)]

mod field;
mod mapping;
mod mapping_name;
#[doc(hidden)]
pub mod naive;
mod named;
mod names;
mod scanner;
mod value;

use std::fmt;

pub use self::field::Field;
#[doc(hidden)]
pub use self::mapping::{MappingScanner, ObjectKind, SharedMapping};
#[doc(hidden)]
pub use self::mapping_name::mapping_name;
#[doc(hidden)]
pub use self::named::{MappingLog, MappingSums, NamedMappings};
#[doc(hidden)]
pub use self::names::OTHER_NAMES;
pub use self::scanner::Scanner;
pub use crate::units::Kib;

/// The text is not smaps: a counted line without a proper value, or no `Pss`, `Private_Clean` or
/// `Private_Dirty`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the text of smaps or smaps_rollup")
    }
}

impl std::error::Error for Malformed {}

/// The sums over all mappings of one process.
///
/// A field that the kernel did not print is absent, which is not 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Smaps {
    sums: [u64; Field::COUNT],
    /// Bit `n` is set if field `n` was printed at least once.
    seen: u32,
    /// `Pss` of the mappings named `[heap]`; 0 in a rollup, which does not list mappings.
    heap: u64,
    /// The number of header lines: one per mapping in smaps, 1 in a rollup.
    mappings: u64,
    /// Whether one record sums all mappings.
    is_rollup: bool,
    /// The addresses of the first header.
    addresses: Option<(u64, u64)>,
}

impl Smaps {
    /// The sum of one field, or `None` if the kernel does not print it.
    pub fn get(&self, field: Field) -> Option<Kib> {
        (self.seen & field.bit() != 0).then(|| Kib(self.sums[field as usize]))
    }

    /// The sum of one field, 0 if absent.
    fn part(&self, field: Field) -> Kib {
        self.get(field).unwrap_or_default()
    }

    /// Proportional set size without huge pages of hugetlbfs: `Pss`.
    pub fn pss(&self) -> Kib {
        self.part(Field::Pss)
    }

    /// Unique set size without hugetlb: the memory that an exit of the process would free.
    pub fn uss(&self) -> Kib {
        self.part(Field::PrivateClean) + self.part(Field::PrivateDirty)
    }

    /// Resident set size without hugetlb: `Rss`.
    pub fn rss(&self) -> Kib {
        self.part(Field::Rss)
    }

    /// Pages of hugetlbfs mapped by this process alone, which `Pss` excludes.
    pub fn private_hugetlb(&self) -> Kib {
        self.part(Field::PrivateHugetlb)
    }

    /// Pages of hugetlbfs that other processes map too, counted whole in each process.
    pub fn shared_hugetlb(&self) -> Kib {
        self.part(Field::SharedHugetlb)
    }

    /// The proportional share of swapped pages: `SwapPss`, or `Swap` from kernels before 4.3, which
    /// print no `SwapPss`.
    pub fn swap(&self) -> Option<Kib> {
        self.get(Field::SwapPss).or(self.get(Field::Swap))
    }

    /// Whether [`Smaps::swap`] counts shared swapped pages whole.
    pub fn swap_is_unshared(&self) -> bool {
        self.get(Field::SwapPss).is_none() && self.get(Field::Swap).is_some()
    }

    /// `Pss` of the heap (`brk(2)`); `None` from a rollup.
    pub fn heap(&self) -> Option<Kib> {
        let has_mappings = self.mappings > 0 && !self.is_rollup;
        has_mappings.then_some(Kib(self.heap))
    }

    /// The number of mappings in the text.
    pub fn mappings(&self) -> u64 {
        self.mappings
    }

    /// Start and end of the first mapping; in a rollup, start of the first and end of the last one.
    /// Equal in processes that share an address space, and in forked ones.
    pub fn addresses(&self) -> Option<(u64, u64)> {
        self.addresses
    }

    /// The figures of a walk over page tables. It knows private pages, but not which of them are
    /// dirty.
    pub(crate) fn of_walk(figures: impl Iterator<Item = (Field, Kib)>, private: Kib) -> Smaps {
        let mut smaps = Smaps { mappings: 1, is_rollup: true, ..Smaps::default() };
        let sum = [(Field::PrivateClean, Kib(0)), (Field::PrivateDirty, private)];
        for (field, Kib(kib)) in figures.chain(sum) {
            smaps.sums[field as usize] = kib;
            smaps.seen |= field.bit();
        }
        smaps
    }

    /// The same with the addresses of the process.
    pub(crate) fn at(self, addresses: Option<(u64, u64)>) -> Smaps {
        Smaps { addresses, ..self }
    }

    /// Sets the share in swapped pages, which a walk alone does not find.
    pub(crate) fn set_swap_share(&mut self, share: Kib) {
        self.sums[Field::SwapPss as usize] = share.0;
    }

    /// Adds one figure. Fails if the sum in bytes exceeds a `u64`: it cannot be true.
    fn add(&mut self, field: Field, kib: u64) -> Result<(), Malformed> {
        let sum = &mut self.sums[field as usize];
        let more = sum.checked_add(kib).filter(|sum| *sum <= u64::MAX / 1024);
        *sum = more.ok_or(Malformed)?;
        self.seen |= field.bit();
        Ok(())
    }

    /// Whether the required fields are there. Every kernel since 2.6.25 prints them, so a text
    /// without them was cut.
    fn is_complete(&self) -> bool {
        let needed = Field::Pss.bit() | Field::PrivateClean.bit() | Field::PrivateDirty.bit();
        self.seen & needed == needed
    }
}
