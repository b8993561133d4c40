//! The order of rows, and which of them `--top` cuts.

use std::cmp::Reverse;

use super::{Column, ColumnKind, Program, Uniform};
use crate::units::Kib;

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
            // The row that is nearest to its limit is the biggest one. A row without a limit, or
            // with an unknown one, is the smallest.
            Column::Left => left(a).cmp(&left(b)),
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

fn left(row: &Program<'_>) -> Option<Reverse<Kib>> {
    row.usage.get(Column::Left).map(Reverse)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{GroupLimit, LimitKind};
    use crate::program::{LevelLimit, RowCharge};

    /// The row that is nearest to its limit is kept and last; one without a limit is cut first.
    #[test]
    fn the_least_left_is_the_biggest() {
        let row = |name: &'static str, left: Option<u64>| {
            let limit = |left| {
                let limit = GroupLimit { kind: LimitKind::Max, limit: Kib(900), left: Kib(left) };
                LevelLimit { path: b"/", limit, events: None, pressure: None, is_above: false }
            };
            let mut row = Program::idle(name.as_bytes(), Uniform::Unknown, |_| true);
            row.set_charge(RowCharge { limit: left.map(limit), ..RowCharge::default() });
            row
        };
        let lefts = [("full", Some(0)), ("free", None), ("near", Some(9)), ("far", Some(800))];
        let mut rows: Vec<Program<'_>> = lefts.map(|(name, left)| row(name, left)).into();
        let order = Order { key: Column::Left, reverse: false, top: Some(3) };
        sort(&mut rows, order);
        let cut = cut(&mut rows, order).expect("a row too many");
        let names = |rows: &[Program<'static>]| rows.iter().map(|row| row.name).collect::<Vec<_>>();
        assert_eq!(names(&cut), [b"free"]);
        assert_eq!(names(&rows), [&b"far"[..], b"near", b"full"]);
    }
}
