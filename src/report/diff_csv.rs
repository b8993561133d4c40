//! What grew from one report to another as CSV (see `csv`): a head, a record for each row, and one
//! for the sums. The first field says when a row was there; amounts are in bytes, and what nobody
//! knows, or had not begun or is over, is an empty field.

use super::{csv, escape};
use crate::program::{Amounts, BeforeAfter, Change, Delta, Diff, DiffRow, Presence};
use crate::units::Kib;

const HEAD: [&str; 12] = [
    "row",
    "ram",
    "swap",
    "count",
    "pid",
    "name",
    "ram_before",
    "swap_before",
    "count_before",
    "ram_after",
    "swap_after",
    "count_after",
];

/// The whole text, with the sums of both reports.
pub fn diff_csv(diff: &Diff, total: &BeforeAfter, no_header: bool) -> String {
    let mut text = String::new();
    if !no_header {
        csv::write(&mut text, HEAD.into_iter().map(str::to_owned));
    }
    for line in diff.rows.iter().map(Line::Row).chain([Line::Total(total)]) {
        line.write(&mut text);
    }
    text
}

enum Line<'a> {
    Row(&'a DiffRow),
    Total(&'a BeforeAfter),
}

impl Line<'_> {
    fn write(self, text: &mut String) {
        let (kind, presence, looks) = match self {
            Line::Row(row) => (row.presence.word(), row.presence, &row.looks),
            Line::Total(looks) => ("total", Presence::Stayed, looks),
        };
        let (pid, name) = match self {
            Line::Row(row) => (row.identity.pid(), escape::formula(escape::name(&row.name))),
            Line::Total(_) => (None, String::new()),
        };
        let Change { count, ram, swap } = looks.change();
        let bytes = |delta: Option<Delta>| delta.map(|delta| delta.bytes().to_string());
        let [ram, swap] = [ram, swap].map(|delta| bytes(delta).unwrap_or_default());
        let pid = pid.map_or_else(String::new, |pid| pid.to_string());
        let figures = [kind.to_owned(), ram, swap, count.to_string(), pid, name];
        let before = amounts((presence != Presence::New).then_some(looks.before));
        let after = amounts((presence != Presence::Gone).then_some(looks.after));
        csv::write(text, figures.into_iter().chain(before).chain(after));
    }
}

fn amounts(amounts: Option<Amounts>) -> [String; 3] {
    let bytes = |kib: Option<Kib>| kib.map(|kib| kib.bytes().to_string()).unwrap_or_default();
    amounts.map_or_else(Default::default, |Amounts { count, ram, swap }| {
        [bytes(ram), bytes(swap), count.to_string()]
    })
}
