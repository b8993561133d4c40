//! Which row stands where, and which are cut.

use super::Program;
use crate::units::Kib;

/// Which figure decides the order of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortKey {
    /// [`Usage::ram`].
    #[default]
    Ram,
    /// [`Usage::shared`].
    Shared,
    /// [`Usage::swap`].
    Swap,
    /// [`Usage::heap`].
    Heap,
    /// The number of processes.
    Count,
    /// The name, as bytes.
    Name,
}

/// The order and number of rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Order {
    /// What decides.
    pub key: SortKey,
    /// Biggest first (or Z first) instead of last.
    pub reverse: bool,
    /// Only so many rows, the biggest ones.
    pub top: Option<usize>,
}

/// Smallest first. Of equal rows the one with more RAM is the bigger; then name and process id
/// decide, so that the order is always the same.
pub(super) fn sort(rows: &mut [Program<'_>], key: SortKey) {
    let figure = |row: &Program<'_>| match key {
        SortKey::Ram => row.usage.ram.0,
        SortKey::Shared => row.usage.shared.0,
        SortKey::Swap => row.usage.swap.0,
        SortKey::Heap => row.usage.heap.0,
        SortKey::Count => row.count,
        SortKey::Name => 0,
    };
    let ram = |row: &Program<'_>| if key == SortKey::Name { Kib(0) } else { row.usage.ram };
    rows.sort_unstable_by(|a, b| {
        let figures = figure(a).cmp(&figure(b)).then_with(|| ram(a).cmp(&ram(b)));
        figures.then_with(|| a.name.cmp(b.name)).then_with(|| a.pid.cmp(&b.pid))
    });
}

/// Keeps the rows that `--top` asks for, the biggest or the first names, and returns the others.
pub(super) fn cut<Row>(rows: &mut Vec<Row>, order: Order) -> Option<Vec<Row>> {
    let excess = rows.len().checked_sub(order.top?).filter(|excess| *excess > 0)?;
    Some(match order.key {
        SortKey::Name => rows.split_off(rows.len() - excess),
        _ => rows.drain(..excess).collect(),
    })
}
