//! The lines of a report below its header, in the order of the table.

use crate::host::GroupEvents;
use crate::program::{
    Column, ColumnKind, FaultRate, Obstacle, Program, Programs, Rest, RowOom, Sharing, TreePlace,
    Uniform, Unknown, UnknownRest, Usage, user_name,
};
use crate::report::charge;
use crate::report::escape::Charset;
use crate::units::{Kib, Pid};

/// The length of a whole bar.
pub(super) const BAR: usize = 10;

/// One line.
#[derive(Clone, Copy)]
pub(super) enum Line<'a> {
    /// A row with figures.
    Program(&'a Program<'a>),
    /// The sum of the rows that `--top` cuts.
    Rest(&'a Rest),
    /// A row whose memory is counted in another row.
    Sharing(&'a Sharing<'a>),
    /// A row whose memory is unknown.
    Unknown(&'a Unknown<'a>),
    /// The rows of unknown memory that `--top` cuts.
    UnknownRest(&'a UnknownRest),
    /// The total, unless it is unknown, and the number of processes.
    Total(Option<&'a Usage>, u64),
}

impl<'a> Line<'a> {
    /// Every line; the total is last.
    pub(super) fn all(programs: &'a Programs<'_>) -> impl Iterator<Item = Line<'a>> {
        let Programs { rows, rest, sharing, unknown, unknown_rest, .. } = programs;
        let unknown_rest = unknown_rest.iter().map(Line::UnknownRest);
        let known = rows.iter().map(Line::Program).chain(rest.iter().map(Line::Rest));
        let sharing = sharing.iter().map(Line::Sharing);
        let unknown = unknown.iter().map(Line::Unknown).chain(unknown_rest);
        known.chain(sharing).chain(unknown).chain([Line::total(programs)])
    }

    /// The last line.
    pub(super) fn total(programs: &'a Programs<'_>) -> Line<'a> {
        Line::Total(programs.total.as_ref(), programs.count)
    }

    pub(super) fn usage(self) -> Option<&'a Usage> {
        match self {
            Line::Program(row) => Some(&row.usage),
            Line::Rest(rest) => Some(&rest.usage),
            Line::Total(usage, _) => usage,
            Line::Sharing(_) | Line::Unknown(_) | Line::UnknownRest(_) => None,
        }
    }

    /// An amount. Where memory is unknown, `status` has the resident pages, and the swap of a
    /// kernel that knows no shares of it.
    pub(super) fn amount(self, column: Column) -> Option<Kib> {
        let (obstacle, known) = match self {
            Line::Unknown(row) => (Some(row.obstacle), row.known),
            Line::UnknownRest(rest) => (rest.obstacle, rest.known),
            _ => return self.usage()?.get(column),
        };
        match column {
            Column::Rss => known.rss,
            Column::Swap if obstacle == Some(Obstacle::NoSmaps) => known.swap,
            _ => None,
        }
    }

    /// The events at the limits of control groups.
    pub(super) fn events(self, programs: &Programs<'_>) -> Option<GroupEvents> {
        match self {
            Line::Program(row) => row.charge?.events,
            Line::Rest(rest) => rest.events,
            Line::Total(..) => programs.events,
            Line::Sharing(_) | Line::Unknown(_) | Line::UnknownRest(_) => None,
        }
    }

    /// The major page faults since the last report.
    pub(super) fn faults(self, programs: &Programs<'_>) -> Option<FaultRate> {
        let faults = match self {
            Line::Program(row) => row.faults,
            Line::Rest(rest) => rest.faults,
            Line::Total(..) => programs.faults,
            Line::Sharing(_) | Line::Unknown(_) | Line::UnknownRest(_) => return None,
        };
        FaultRate::new(faults.since, programs.interval)
    }

    /// The figures of the OOM killer.
    pub(super) fn oom(self) -> Option<RowOom> {
        let Line::Program(row) = self else { return None };
        Some(row.oom)
    }

    /// The time that tasks of control groups waited for memory, in hundredths of a per cent.
    pub(super) fn pressure(self) -> Option<u32> {
        let Line::Program(row) = self else { return None };
        row.charge?.pressure
    }

    /// The same in per cent.
    pub(super) fn pressure_percent(self) -> Option<String> {
        self.pressure().map(charge::percent)
    }

    /// Whether the line has this amount, known or not. Amounts that overlap have no total.
    pub(super) fn has(self, column: Column) -> bool {
        match self {
            Line::Sharing(_) => false,
            Line::Total(..) | Line::Rest(_) if matches!(column, Column::Pressure | Column::Oom) => {
                false
            }
            Line::Total(..) => column.kind() != ColumnKind::Overlapping,
            _ => true,
        }
    }

    pub(super) fn count(self) -> Option<u64> {
        match self {
            Line::Program(row) => Some(row.count),
            Line::Rest(rest) => Some(rest.count),
            Line::Sharing(row) => Some(row.count),
            Line::Unknown(row) => Some(row.count),
            Line::UnknownRest(_) => None,
            Line::Total(_, count) => Some(count),
        }
    }

    /// The number of rows that `--top` cuts and that this line sums up.
    pub(super) fn cut_rows(self) -> usize {
        match self {
            Line::Rest(rest) => rest.rows,
            Line::UnknownRest(rest) => rest.rows,
            _ => 0,
        }
    }

    /// The place of a row in the tree.
    pub(super) fn tree(self) -> Option<&'a TreePlace> {
        let Line::Program(row) = self else { return None };
        row.tree.as_ref()
    }

    /// The process, if the line is one.
    pub(super) fn pid(self) -> Option<Pid> {
        match self {
            Line::Program(row) => row.pid,
            Line::Sharing(row) => row.pid,
            Line::Unknown(row) => row.pid,
            Line::Rest(_) | Line::UnknownRest(_) | Line::Total(..) => None,
        }
    }

    /// Whether the line is one of processes of a name.
    pub(super) fn is_named(self) -> bool {
        matches!(self, Line::Program(_) | Line::Sharing(_) | Line::Unknown(_))
    }

    /// The name, empty if the line has none.
    pub(super) fn name(self) -> &'a [u8] {
        match self {
            Line::Program(row) => row.name,
            Line::Sharing(row) => row.name,
            Line::Unknown(row) => &row.name,
            Line::Rest(_) | Line::UnknownRest(_) | Line::Total(..) => b"",
        }
    }

    /// The user or the control group: foreign bytes.
    pub(super) fn owner(self, column: Column, programs: &Programs<'_>) -> Option<Vec<u8>> {
        let (uid, cgroup) = match self {
            Line::Program(row) => (row.uid, row.cgroup),
            Line::Unknown(row) => (row.uid, row.cgroup),
            _ => return None,
        };
        match column {
            Column::User => user(programs, uid),
            _ => self::cgroup(cgroup).map(<[u8]>::to_vec),
        }
    }
}

/// The text of values that differ.
const MIXED: &[u8] = b"*";

/// The user of a row: foreign bytes.
pub(super) fn user(programs: &Programs<'_>, uid: Uniform<u32>) -> Option<Vec<u8>> {
    match uid {
        Uniform::Unknown => None,
        Uniform::Mixed => Some(MIXED.to_vec()),
        Uniform::Same(uid) => Some(user_name(programs.users, uid)),
    }
}

/// The control group of a row: foreign bytes. A path begins with `/`, so none is `*`.
pub(super) fn cgroup(path: Uniform<&[u8]>) -> Option<&[u8]> {
    match path {
        Uniform::Unknown => None,
        Uniform::Mixed => Some(MIXED),
        Uniform::Same(path) => Some(path),
    }
}

/// The amounts that percentages and bars relate to, 0 if unknown.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    /// All memory of the host.
    pub(super) all: Kib,
    /// RAM of the biggest row.
    pub(super) biggest: Kib,
}

impl Scale {
    pub(super) fn new(programs: &Programs<'_>) -> Scale {
        let rows = programs.rows.iter().map(|row| row.usage.get(Column::Ram));
        let biggest = rows.max().flatten().unwrap_or_default();
        Scale { all: programs.all_memory.unwrap_or_default(), biggest }
    }

    /// The percentage of all memory with one decimal, rounded half up. Nothing has no percentage.
    pub(super) fn percent(self, ram: Option<Kib>) -> Option<String> {
        let part = ram.filter(|_| self.all > Kib(0))?;
        let (part, whole) = (u128::from(part.0), u128::from(self.all.0));
        let tenths = (part * 1000 + whole / 2) / whole;
        Some(format!("{}.{}", tenths / 10, tenths % 10))
    }

    /// A bar relative to the biggest row, filled with blanks up to [`BAR`].
    pub(super) fn bar(self, ram: Kib, charset: Charset) -> String {
        let eighths = u128::from(ram.0) * 8 * BAR as u128 / u128::from(self.biggest.0.max(1));
        let eighths = usize::try_from(eighths).map_or(8 * BAR, |eighths| eighths.min(8 * BAR));
        format!("{:<BAR$}", charset.bar(eighths))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_rounded_and_bars_are_not() {
        for (part, whole, number, drawn) in [
            (0, 3, Some("0.0"), "          "),
            (1, 3, Some("33.3"), "███▎      "),
            (2, 3, Some("66.7"), "██████▋   "),
            (3, 3, Some("100.0"), "██████████"),
            (u64::MAX, u64::MAX, Some("100.0"), "██████████"),
            (0, 0, None, "          "),
        ] {
            let scale = Scale { all: Kib(whole), biggest: Kib(whole) };
            assert_eq!(scale.percent(Some(Kib(part))).as_deref(), number);
            assert_eq!(scale.bar(Kib(part), Charset::Unicode), drawn);
        }
        assert_eq!(Scale { all: Kib(3), biggest: Kib(3) }.percent(None), None);
    }
}
