//! The columns of a report of mappings: word, help, header and kind of each.

use crate::program::ColumnKind;
use crate::units::labels;

/// A column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum MapColumn {
    #[default]
    Ram,
    Uss,
    Rss,
    Swap,
    Mappings,
    Processes,
    Most,
    Name,
}

labels!(MapColumn {
    Ram => "ram" | "pss" | "mem" | "memory" | "size", "proportional set size (Pss) and hugetlb";
    Uss => "uss", "the part of RAM that no other process maps";
    Rss => "rss", "Rss: shared pages whole, no hugetlb";
    Swap => "swap" | "swapped",
        "the proportional share of swap (SwapPss) and of mapped shared memory in swap";
    Mappings => "mappings" | "maps", "number of mappings";
    Processes => "processes" | "count", "number of processes";
    Most => "most", "the most mappings that one process has of the row";
    Name => "name", "name";
});

/// The columns of a table without `--columns`.
pub(super) const TABLE_COLUMNS: [MapColumn; 7] = [
    MapColumn::Ram,
    MapColumn::Uss,
    MapColumn::Rss,
    MapColumn::Swap,
    MapColumn::Mappings,
    MapColumn::Processes,
    MapColumn::Name,
];

impl MapColumn {
    /// The header in a table.
    pub(super) fn header(self) -> &'static str {
        match self {
            MapColumn::Ram => "RAM",
            MapColumn::Uss => "USS",
            MapColumn::Rss => "RSS",
            MapColumn::Swap => "SWAPPED",
            MapColumn::Mappings => "MAPS",
            MapColumn::Processes => "PROCS",
            MapColumn::Most => "MOST",
            MapColumn::Name => "MAPPING",
        }
    }

    /// The kind of the values.
    pub(super) fn kind(self) -> ColumnKind {
        match self {
            MapColumn::Ram | MapColumn::Uss | MapColumn::Swap => ColumnKind::Amount,
            MapColumn::Rss => ColumnKind::Overlapping,
            MapColumn::Mappings | MapColumn::Processes | MapColumn::Most => ColumnKind::Number,
            MapColumn::Name => ColumnKind::Text,
        }
    }
}
