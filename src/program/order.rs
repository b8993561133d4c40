//! The order of rows, and which of them `--top` cuts.

use super::{Column, ColumnKind, Program, Uniform};

/// The order and the number of rows.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// The column to sort by.
    pub key: Column,
    /// The biggest row, or Z, is first instead of last.
    pub reverse: bool,
    /// The most rows; the biggest are kept, or the first in alphabetical order.
    pub top: Option<usize>,
}

impl Default for Order {
    fn default() -> Order {
        Order { key: Column::Ram, reverse: false, top: None }
    }
}

impl Order {
    /// Whether the order is alphabetical.
    pub(super) fn is_by_text(self) -> bool {
        self.key.kind() == ColumnKind::Text
    }
}

/// Sorts by the key, the smallest first. RAM decides among equal rows unless the key is the name,
/// then name and process id, so that the order is always the same.
pub(super) fn sort(rows: &mut [Program<'_>], order: Order) {
    let ram = |row: &Program<'_>| match order.key {
        Column::Name => None,
        _ => row.usage.get(Column::Ram),
    };
    rows.sort_unstable_by(|a, b| {
        let by_key = match order.key {
            Column::Count => a.count.cmp(&b.count),
            Column::Pid => a.pid.cmp(&b.pid),
            Column::User => rank(a.uid).cmp(&rank(b.uid)),
            Column::Cgroup => rank(a.cgroup).cmp(&rank(b.cgroup)),
            Column::Events => severity(a).cmp(&severity(b)),
            Column::Pressure => pressure(a).cmp(&pressure(b)),
            Column::Oom => a.oom.score.cmp(&b.oom.score),
            Column::Faults => a.faults.since.cmp(&b.faults.since),
            column => a.usage.get(column).cmp(&b.usage.get(column)),
        };
        let by_ram = || ram(a).cmp(&ram(b));
        by_key.then_with(by_ram).then_with(|| (a.name, a.pid).cmp(&(b.name, b.pid)))
    });
}

/// The worst event decides.
fn severity(row: &Program<'_>) -> Option<[Option<u64>; 5]> {
    Some(row.charge?.events?.severity())
}

fn pressure(row: &Program<'_>) -> Option<u32> {
    row.charge?.pressure
}

/// Unknown values come first, mixed values last.
pub(super) fn rank<T>(value: Uniform<T>) -> (u8, Option<T>) {
    match value {
        Uniform::Unknown => (0, None),
        Uniform::Same(value) => (1, Some(value)),
        Uniform::Mixed => (2, None),
    }
}

/// Keeps the rows that `--top` asks for, and returns the others, if there are any.
pub(super) fn cut<Row>(rows: &mut Vec<Row>, order: Order) -> Option<Vec<Row>> {
    let excess = rows.len().checked_sub(order.top?).filter(|excess| *excess > 0)?;
    Some(match order.is_by_text() {
        true => rows.split_off(rows.len() - excess),
        false => rows.drain(..excess).collect(),
    })
}
