//! The text of `smaps` and `smaps_rollup`, from bytes to numbers.
//!
//! Pure: no I/O, no allocation, no panic, no assumption that the text is UTF-8.
//! The format is `show_smap` and `show_smaps_rollup` of the kernel's `fs/proc/task_mmu.c`.
//!
//! - `field`   the keys we know, and which of them are counted
//! - `value`   digits to numbers
//! - `scanner` chunks in, [`Smaps`] out
//! - `naive`   the same, too simple to be wrong; tests and benches hold the scanner against it
#![forbid(unsafe_code)]

mod field;
pub mod naive;
mod scanner;
mod value;

pub use field::Field;
pub use scanner::Scanner;

use crate::units::Kib;

/// The text was no smaps: a counted line without a proper value, or no `Pss`, `Private_Clean` or
/// `Private_Dirty` at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The sums over all mappings of one process.
///
/// A field that the kernel did not print is absent, which is not the same as 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Smaps {
    sums: [u64; Field::COUNT],
    /// Bit `n` is set when field `n` was printed at least once.
    seen: u32,
    /// `Pss` of the mappings named `[heap]`; only full smaps can tell.
    heap: u64,
    /// Header lines seen: the number of mappings in smaps, 1 in a rollup.
    mappings: u64,
    /// Whether one record stands for all mappings.
    is_rollup: bool,
    /// Of the first header.
    addresses: Option<(u64, u64)>,
}

impl Smaps {
    /// The sum of one field, or `None` when this kernel does not print it.
    pub fn get(&self, field: Field) -> Option<Kib> {
        (self.seen & field.bit() != 0).then(|| Kib(self.sums[field as usize]))
    }

    /// The sum of one field, 0 when absent; for sums of parts that newer kernels added.
    fn part(&self, field: Field) -> Kib {
        self.get(field).unwrap_or_default()
    }

    /// Proportional set size without huge pages of hugetlbfs: `Pss`.
    pub fn pss(&self) -> Kib {
        self.part(Field::Pss)
    }

    /// Unique set size without hugetlb: what would be freed if the process ended.
    pub fn uss(&self) -> Kib {
        self.part(Field::PrivateClean) + self.part(Field::PrivateDirty)
    }

    /// Resident set size without hugetlb: `Rss`.
    pub fn rss(&self) -> Kib {
        self.part(Field::Rss)
    }

    /// Pages of hugetlbfs mapped by this process alone. The kernel keeps them out of `Pss`.
    pub fn private_hugetlb(&self) -> Kib {
        self.part(Field::PrivateHugetlb)
    }

    /// Pages of hugetlbfs that other processes map too, counted whole in each of them.
    pub fn shared_hugetlb(&self) -> Kib {
        self.part(Field::SharedHugetlb)
    }

    /// The share of swapped pages: `SwapPss`, or plain `Swap` where the kernel (before 4.3)
    /// prints no `SwapPss`.
    pub fn swap(&self) -> Option<Kib> {
        self.get(Field::SwapPss).or(self.get(Field::Swap))
    }

    /// Whether [`Smaps::swap`] had to count shared swapped pages whole.
    pub fn swap_is_unshared(&self) -> bool {
        self.get(Field::SwapPss).is_none() && self.get(Field::Swap).is_some()
    }

    /// `Pss` of the heap grown by `brk(2)`; `None` from a rollup, which cannot tell.
    pub fn heap(&self) -> Option<Kib> {
        let has_mappings = self.mappings > 0 && !self.is_rollup;
        has_mappings.then_some(Kib(self.heap))
    }

    /// How many mappings the text described.
    pub fn mappings(&self) -> u64 {
        self.mappings
    }

    /// Where the first mapping begins and ends; in a rollup, where the first begins and the last
    /// ends. Equal in processes that share an address space, and in forked ones.
    pub fn addresses(&self) -> Option<(u64, u64)> {
        self.addresses
    }

    /// Adds one figure. A sum whose bytes do not fit a `u64` cannot be true and is refused.
    fn add(&mut self, field: Field, kib: u64) -> Result<(), Malformed> {
        let sum = &mut self.sums[field as usize];
        let more = sum.checked_add(kib).filter(|sum| *sum <= u64::MAX / 1024);
        *sum = more.ok_or(Malformed)?;
        self.seen |= field.bit();
        Ok(())
    }

    /// Whether the figures without which there is no report are there: every kernel since 2.6.25
    /// prints them, so a text without them was cut.
    fn is_complete(&self) -> bool {
        let needed = Field::Pss.bit() | Field::PrivateClean.bit() | Field::PrivateDirty.bit();
        self.seen & needed == needed
    }
}
