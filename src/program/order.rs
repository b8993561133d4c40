//! Which row stands where, and which are cut.

use std::cmp::Ordering;

use super::column::ColumnKind;
use super::{Column, Program, Uniform};

/// The order and number of rows.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// What decides.
    pub key: Column,
    /// Biggest first (or Z first) instead of last.
    pub reverse: bool,
    /// Only so many rows, the biggest ones.
    pub top: Option<usize>,
}

impl Default for Order {
    fn default() -> Order {
        Order { key: Column::Ram, reverse: false, top: None }
    }
}

impl Order {
    /// Whether rows stand in alphabetical order, and so the first are kept.
    pub(super) fn is_by_text(self) -> bool {
        self.key.kind() == ColumnKind::Text
    }
}

/// Smallest first. Of equal rows the one with more RAM is the bigger; then name and process id
/// decide, so that the order is always the same.
pub(super) fn sort(rows: &mut [Program<'_>], order: Order) {
    let ram = |row: &Program<'_>| row.usage.get(Column::Ram);
    let by_figure = |a: &Program<'_>, b: &Program<'_>| match order.key {
        Column::Name => Ordering::Equal,
        Column::Count => a.count.cmp(&b.count).then_with(|| ram(a).cmp(&ram(b))),
        Column::Pid => a.pid.cmp(&b.pid).then_with(|| ram(a).cmp(&ram(b))),
        Column::User => key(a.uid).cmp(&key(b.uid)).then_with(|| ram(a).cmp(&ram(b))),
        Column::Cgroup => key(a.cgroup).cmp(&key(b.cgroup)).then_with(|| ram(a).cmp(&ram(b))),
        Column::Percent | Column::Bar => ram(a).cmp(&ram(b)),
        column => a.usage.get(column).cmp(&b.usage.get(column)).then_with(|| ram(a).cmp(&ram(b))),
    };
    rows.sort_unstable_by(|a, b| {
        by_figure(a, b).then_with(|| a.name.cmp(b.name)).then_with(|| a.pid.cmp(&b.pid))
    });
}

/// What is not known comes first, what is not the same last.
pub(super) fn key<T>(common: Uniform<T>) -> (u8, Option<T>) {
    match common {
        Uniform::Unknown => (0, None),
        Uniform::Same(value) => (1, Some(value)),
        Uniform::Mixed => (2, None),
    }
}

/// Keeps the rows that `--top` asks for, the biggest or the first names, and returns the others.
pub(super) fn cut<Row>(rows: &mut Vec<Row>, order: Order) -> Option<Vec<Row>> {
    let excess = rows.len().checked_sub(order.top?).filter(|excess| *excess > 0)?;
    Some(match order.is_by_text() {
        true => rows.split_off(rows.len() - excess),
        false => rows.drain(..excess).collect(),
    })
}
