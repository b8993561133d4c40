//! The columns of a report: word, help, header and kind of each.
//!
//! The command line, the order of rows and every format read them here.

use crate::units::{Labelled, labels};

/// A column. Amounts of memory come first: a [`Usage`](super::Usage) holds one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Proportional set size and hugetlb pages, which Pss does not include.
    Ram,
    /// The part of `Ram` that no other process maps.
    Uss,
    /// The rest of `Ram`.
    Shared,
    /// Resident pages; shared pages are counted whole.
    Rss,
    /// The proportional share of swap, with shared memory that the processes map.
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
    /// Pages that the kernel may take back at any time; shared pages are counted whole.
    LazyFree,
    /// Page tables, which `Ram` does not include.
    PageTables,
    /// Memory of the host that GPU drivers hold, which `Ram` does not include.
    Gpu,
    /// The part of `Ram` in heaps grown by `brk(2)`.
    Heap,
    /// Memory that returns when all processes of the row end.
    Freed,
    /// The part of `Ram` in pages that processes outside the row map too.
    SharedOutside,
    /// Memory that the kernel charges to the control groups of the row.
    Charged,
    /// The amount that may still be charged before the nearest limit.
    Left,
    /// That limit.
    Limit,
    /// Swap that the kernel charges to the control groups of the row.
    CgSwap,
    /// `Ram` of the process and of all below it in the tree.
    Subtree,
    /// `Swap` of the same.
    SubtreeSwap,
    /// The number of processes.
    Count,
    /// The process id.
    Pid,
    /// The row that a row of the tree hangs below.
    Parent,
    /// The number of rows above it.
    Depth,
    /// The percentage of all memory of the host.
    Percent,
    /// Events at the limits of the control groups.
    Events,
    /// The time that tasks of the control groups waited for memory.
    Pressure,
    /// Major page faults per second since the last report.
    Faults,
    /// The score of the OOM killer, and its likely choices.
    Oom,
    /// A bar relative to the biggest row.
    Bar,
    /// The effective user of the processes.
    User,
    /// The path of their control group.
    Cgroup,
    /// The name.
    Name,
}

labels!(Column {
    Ram => "ram" | "pss" | "mem" | "memory" | "size", "proportional set size (Pss) and hugetlb";
    Uss => "uss", "the part of RAM that no other process maps";
    Shared => "shared", "the part of RAM that other processes map too";
    Rss => "rss", "Rss: shared pages whole, no hugetlb";
    Swap => "swap" | "swapped",
        "the proportional share of swap (SwapPss) and of mapped shared memory in swap";
    Footprint => "footprint", "RAM and SWAPPED";
    PssAnon => "pss-anon", "the part of Pss in anonymous pages";
    PssFile => "pss-file", "the part of Pss in pages of files";
    PssShmem => "pss-shmem", "the part of Pss in shared memory and tmpfs";
    Hugetlb => "hugetlb", "pages of hugetlbfs";
    LazyFree => "lazyfree", "RAM that the kernel may take back (MADV_FREE), shared pages whole";
    PageTables => "page-tables" | "pte",
        "page tables, which RAM lacks (reads one extra file per process)";
    Gpu => "gpu", "host memory that GPU drivers hold, which RAM lacks (reads fd and fdinfo of \
        every process)";
    Heap => "heap", "heaps grown by brk(2); reads full smaps";
    Freed => "freed", "RAM and swap that return when all processes of the row end (root only)";
    SharedOutside => "shared-outside",
        "the part of RAM that processes outside the row map too (root only)";
    Charged => "charged",
        "memory charged to the control groups of the row (--by unit, container or cgroup; reads \
        files of every group)";
    Left => "left", "memory that may still be charged before the nearest limit of these groups \
        (reads files of every group)";
    Limit => "limit", "that limit, of a group or of one above it (reads files of every group)";
    CgSwap => "cg-swap", "swap charged to these groups (reads a file of every group)";
    Subtree => "subtree", "RAM of a process and of all below it (--by tree, which reads one extra \
        file per process)";
    SubtreeSwap => "subtree-swap", "SWAPPED of the same";
    Count => "count", "number of processes";
    Pid => "pid", "process id; * if a row has several";
    Parent => "parent", "process id of the row above (--by tree)";
    Depth => "depth", "number of rows above (--by tree)";
    Percent => "percent", "the part of all memory of the host (MemTotal)";
    Events => "events", "events at the limits of these groups: low, high, max, oom, oom_kill \
        (reads files of every group)";
    Pressure => "pressure", "percentage of the last 10 s in which tasks of these groups waited \
        for memory (reads a file of every group)";
    Faults => "faults" | "majflt", "page faults per second that waited for a disk, since the last \
        report of --watch (reads one extra file per process)";
    Oom => "oom" | "oom-score", "highest oom_score; next: an estimate of the OOM killer's choice, \
        cgroup: that of a limited group, ?: a tie (reads five files of every process, and \
        files of every group)";
    Bar => "bar", "bar relative to the biggest row";
    User => "user", "user; * if a row has several (reads one extra file per process)";
    Cgroup => "cgroup", "control group; * if a row has several (reads one extra file per process)";
    Name => "name", "name";
});

/// The kind of the values in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Amounts of memory that add up, over rows and over processes.
    Amount,
    /// Amounts that count the same pages in several rows: they have no total.
    Overlapping,
    /// Other values that are aligned to the right.
    Number,
    /// Text, in alphabetical order.
    Text,
}

impl ColumnKind {
    /// Whether the values are amounts of memory.
    pub fn is_amount(self) -> bool {
        matches!(self, ColumnKind::Amount | ColumnKind::Overlapping)
    }
}

impl Column {
    /// The number of columns that are amounts of memory.
    pub const AMOUNTS: usize = Column::SubtreeSwap as usize + 1;
    /// The columns of rows in a tree.
    pub const TREE: [Column; 4] =
        [Column::Subtree, Column::SubtreeSwap, Column::Parent, Column::Depth];
    /// The columns of amounts that are read only if they are asked for.
    pub const ON_REQUEST: [Column; 8] = [
        Column::LazyFree,
        Column::PageTables,
        Column::Gpu,
        Column::Heap,
        Column::Freed,
        Column::SharedOutside,
        Column::Subtree,
        Column::SubtreeSwap,
    ];
    /// The columns with figures of control groups. They need rows of these.
    pub const GROUP: [Column; 6] = [
        Column::Charged,
        Column::Left,
        Column::Limit,
        Column::CgSwap,
        Column::Events,
        Column::Pressure,
    ];

    /// The key in machine formats.
    pub fn key(self) -> String {
        self.label().replace('-', "_")
    }

    /// The header in a table.
    pub fn header(self) -> &'static str {
        match self {
            Column::Ram => "RAM",
            Column::Uss => "USS",
            Column::Shared => "SHARED",
            Column::Rss => "RSS",
            Column::Swap => "SWAPPED",
            Column::Footprint => "RAM+SWAP",
            Column::PssAnon => "ANON",
            Column::PssFile => "FILE",
            Column::PssShmem => "SHMEM",
            Column::Hugetlb => "HUGETLB",
            Column::LazyFree => "LAZYFREE",
            Column::PageTables => "TABLES",
            Column::Gpu => "GPU",
            Column::Heap => "HEAP",
            Column::Freed => "FREED",
            Column::SharedOutside => "OUTSIDE",
            Column::Charged => "CHARGED",
            Column::Left => "LEFT",
            Column::Limit => "LIMIT",
            Column::CgSwap => "CG-SWAP",
            Column::Subtree => "SUBTREE",
            Column::SubtreeSwap => "SUB-SWAP",
            Column::Count => "COUNT",
            Column::Pid => "PID",
            Column::Parent => "PARENT",
            Column::Depth => "DEPTH",
            Column::Percent => "%RAM",
            Column::Events => "EVENTS",
            Column::Pressure => "PRESSURE",
            Column::Faults => "FAULTS/S",
            Column::Oom => "OOM",
            Column::Bar => "",
            Column::User => "USER",
            Column::Cgroup => "CGROUP",
            Column::Name => "PROCESS",
        }
    }

    /// The kind of the values.
    pub fn kind(self) -> ColumnKind {
        match self {
            Column::Shared | Column::Rss | Column::LazyFree => ColumnKind::Overlapping,
            // A page returns with the last of several rows.
            Column::Freed | Column::SharedOutside => ColumnKind::Overlapping,
            // Rows may have the same limit.
            Column::Left | Column::Limit => ColumnKind::Overlapping,
            // A subtree counts in that of the parent again.
            Column::Subtree | Column::SubtreeSwap => ColumnKind::Overlapping,
            Column::Parent | Column::Depth => ColumnKind::Number,
            Column::Charged | Column::CgSwap => ColumnKind::Amount,
            Column::Count | Column::Pid | Column::Percent | Column::Bar => ColumnKind::Number,
            Column::Events | Column::Pressure | Column::Faults | Column::Oom => ColumnKind::Number,
            Column::User | Column::Cgroup | Column::Name => ColumnKind::Text,
            Column::Ram | Column::Uss | Column::Swap | Column::Footprint => ColumnKind::Amount,
            Column::PssAnon | Column::PssFile | Column::PssShmem => ColumnKind::Amount,
            Column::Hugetlb | Column::PageTables | Column::Gpu => ColumnKind::Amount,
            Column::Heap => ColumnKind::Amount,
        }
    }

    /// Whether the values are those of control groups.
    pub fn is_of_groups(self) -> bool {
        Column::GROUP.contains(&self)
    }

    /// Whether the values are amounts of memory.
    pub fn is_amount(self) -> bool {
        self.kind().is_amount()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A usage finds an amount by the number of its column.
    #[test]
    fn amounts_come_first_and_once() {
        for (place, column) in Column::ALL.iter().enumerate() {
            assert_eq!(*column as usize, place);
            assert_eq!(column.is_amount(), place < Column::AMOUNTS, "{column:?}");
        }
    }
}
