//! The columns of a report. What there is to know of one stands here, once: the command line, its
//! help, the order of rows and every format go by it.

use crate::units::Labelled;

/// A column. Amounts of memory come first: a [`Usage`](super::Usage) holds one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Proportional set size and hugetlb pages, which the kernel keeps out of it.
    Ram,
    /// The part of `Ram` that no other process maps.
    Uss,
    /// The rest of `Ram`.
    Shared,
    /// Resident pages, shared ones counted whole.
    Rss,
    /// The proportional share of swap.
    Swap,
    /// `Ram` and `Swap`.
    Footprint,
    /// The part of `Pss` in anonymous pages.
    PssAnon,
    /// The part of `Pss` in pages of files.
    PssFile,
    /// The part of `Pss` in shared memory and tmpfs.
    PssShmem,
    /// Pages of hugetlbfs.
    Hugetlb,
    /// The part of `Ram` in heaps grown by `brk(2)`.
    Heap,
    /// The number of processes.
    Count,
    /// The process, where it is one.
    Pid,
    /// The part of the total's `Ram`, in per cent.
    Percent,
    /// `Ram` beside that of the biggest row, for eyes.
    Bar,
    /// The user that the processes act as.
    User,
    /// The path of their control group.
    Cgroup,
    /// The name.
    Name,
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Amounts of memory that add up, over rows as over processes.
    Amount,
    /// Amounts that count the same pages in several rows: their sum is not shown as a total.
    Overlapping,
    /// Something else that stands to the right, as numbers do.
    Number,
    /// A text, in alphabetical order.
    Text,
}

/// What a column is called, and what it is.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// The word of the command line and of machine formats.
    pub word: &'static str,
    /// The head in the table.
    pub head: &'static str,
    /// A line of help.
    pub help: &'static str,
    /// What its values are.
    pub kind: ColumnKind,
}

impl Column {
    /// How many columns are amounts of memory.
    pub const AMOUNTS: usize = Column::Heap as usize + 1;

    /// Every column, in the order of the variants.
    pub const ALL: [Column; Column::Name as usize + 1] = [
        Column::Ram,
        Column::Uss,
        Column::Shared,
        Column::Rss,
        Column::Swap,
        Column::Footprint,
        Column::PssAnon,
        Column::PssFile,
        Column::PssShmem,
        Column::Hugetlb,
        Column::Heap,
        Column::Count,
        Column::Pid,
        Column::Percent,
        Column::Bar,
        Column::User,
        Column::Cgroup,
        Column::Name,
    ];

    /// What it is called, and what it is.
    pub const fn definition(self) -> Definition {
        use ColumnKind::{Amount, Number, Overlapping, Text};
        let (word, head, help, kind) = match self {
            Column::Ram => ("ram", "RAM", "proportional set size (Pss) and hugetlb", Amount),
            Column::Uss => ("uss", "USS", "the part of RAM that nobody else maps", Amount),
            Column::Shared => {
                ("shared", "SHARED", "the part of RAM that others map too", Overlapping)
            }
            Column::Rss => ("rss", "RSS", "Rss: shared pages whole, no hugetlb", Overlapping),
            Column::Swap => ("swap", "SWAPPED", "the proportional share of swap (SwapPss)", Amount),
            Column::Footprint => ("footprint", "RAM+SWAP", "RAM and SWAPPED", Amount),
            Column::PssAnon => ("pss-anon", "ANON", "the part of Pss in anonymous pages", Amount),
            Column::PssFile => ("pss-file", "FILE", "the part of Pss in pages of files", Amount),
            Column::PssShmem => {
                ("pss-shmem", "SHMEM", "the part of Pss in shared memory and tmpfs", Amount)
            }
            Column::Hugetlb => ("hugetlb", "HUGETLB", "pages of hugetlbfs", Amount),
            Column::Heap => ("heap", "HEAP", "heaps grown by brk(2); reads full smaps", Amount),
            Column::Count => ("count", "COUNT", "number of processes", Number),
            Column::Pid => ("pid", "PID", "process id, * where a row has several", Number),
            Column::Percent => ("percent", "%RAM", "the part of the total RAM", Number),
            Column::Bar => ("bar", "", "RAM beside the biggest row, for eyes", Number),
            Column::User => ("user", "USER", "user, * where they differ; one file more", Text),
            Column::Cgroup => {
                ("cgroup", "CGROUP", "control group, * where they differ; one file more", Text)
            }
            Column::Name => ("name", "PROCESS", "name", Text),
        };
        Definition { word, head, help, kind }
    }

    /// Whether its values are amounts of memory.
    pub const fn is_amount(self) -> bool {
        matches!(self.definition().kind, ColumnKind::Amount | ColumnKind::Overlapping)
    }
}

impl Labelled for Column {
    const ALL: &'static [Column] = &Column::ALL;

    fn label(self) -> &'static str {
        self.definition().word
    }

    fn help(self) -> &'static str {
        self.definition().help
    }

    fn aliases(self) -> &'static [&'static str] {
        match self {
            Column::Ram => &["pss", "mem", "memory", "size"],
            Column::Swap => &["swapped"],
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A usage finds an amount by the number of its column.
    #[test]
    fn amounts_come_first_and_once() {
        for (place, column) in Column::ALL.into_iter().enumerate() {
            assert_eq!(column as usize, place);
            assert_eq!(column.is_amount(), place < Column::AMOUNTS, "{column:?}");
        }
    }
}
