//! The table for people: the columns of psm, the biggest row next to the prompt.

use std::fmt::Write;

use super::{Unit, escape, width};
use crate::program::{Grouping, Known, Programs, Sharing, Unknown, Usage};
use crate::units::Kib;

/// The least width of a column of amounts; all of them grow to the widest amount.
const WIDTH_MIN: usize = 10;
/// The same on a terminal with fewer columns than [`NARROW`]: names need them more.
const WIDTH_MIN_NARROW: usize = 8;
const NARROW: usize = 60;

/// How a table is to look.
#[derive(Clone, Copy, Debug, Default)]
pub struct TableOptions {
    /// What a row stands for.
    pub grouping: Grouping,
    /// The unit of all amounts.
    pub unit: Unit,
    /// Whether the head is left out.
    pub no_header: bool,
    /// Whether there is a column for heaps.
    pub heap: bool,
    /// The columns of the terminal it is for. Names are cut to fit, numbers never are.
    pub columns: Option<usize>,
}

/// The whole table.
pub fn table(programs: &Programs<'_>, options: TableOptions) -> String {
    let sum = programs.total.unwrap_or_default();
    let unit = options.unit.resolve(sum.ram.max(sum.swap));
    let TableOptions { heap, columns, .. } = options;
    let layout = Layout { unit, heap, width: amount_width(&sum, unit, columns), columns };
    let mut text = String::new();
    if !options.no_header {
        let what = match options.grouping {
            Grouping::Program => "PROCESS (COUNT)",
            Grouping::Pid => "PROCESS (PID)",
        };
        layout.head(&mut text, what);
    }
    for row in &programs.rows {
        let which = row.pid.map_or(row.count, |pid| pid.0.into());
        layout.row(&mut text, &row.usage, &escape::name(row.name), &format!(" ({which})"));
    }
    if let Some((rows, usage)) = &programs.rest {
        layout.row(&mut text, usage, "", &format!("({rows} more)"));
    }
    for row in &programs.sharing {
        layout.sharing(&mut text, row);
    }
    for row in &programs.unknown {
        layout.unknown(&mut text, row);
    }
    if let Some((rows, known)) = programs.unknown_rest {
        layout.dashes(&mut text, "", &format!("({rows} more)"), known);
    }
    layout.total(&mut text, programs.total.as_ref());
    text
}

/// Only the sum of RAM, one number on a line; behind it the unit, where the caller did not choose.
pub fn total(ram: Kib, unit: Unit) -> String {
    match unit {
        Unit::Auto => {
            let unit = unit.resolve(ram);
            format!("{} {}\n", unit.format(ram), unit.label())
        }
        unit => format!("{}\n", unit.format(ram)),
    }
}

/// Two columns are kept free between amounts; the sums are the widest.
fn amount_width(sum: &Usage, unit: Unit, columns: Option<usize>) -> usize {
    let Usage { ram, shared, swap, heap } = *sum;
    let widest = [ram, shared, swap, heap].map(|amount| unit.format(amount).len());
    let is_narrow = columns.is_some_and(|columns| columns < NARROW);
    let least = if is_narrow { WIDTH_MIN_NARROW } else { WIDTH_MIN };
    widest.into_iter().fold(least, |width, len| width.max(len + 2))
}

struct Layout {
    unit: Unit,
    heap: bool,
    width: usize,
    columns: Option<usize>,
}

impl Layout {
    fn head(&self, text: &mut String, process: &str) {
        self.cell(text, &format!("{} RAM", self.unit.label()));
        self.cell(text, "SHARED");
        if self.heap {
            self.cell(text, "HEAP");
        }
        self.cell(text, "SWAPPED");
        self.words(text, process, "PROCESS");
    }

    fn row(&self, text: &mut String, usage: &Usage, name: &str, behind: &str) {
        self.cell(text, &self.unit.format(usage.ram));
        self.cell(text, &self.unit.format(usage.shared));
        self.tail(text, usage);
        self.name(text, name, behind);
    }

    fn unknown(&self, text: &mut String, row: &Unknown) {
        let name = escape::name(&row.name);
        let which = row.pid.map_or_else(|| row.count.to_string(), |pid| pid.to_string());
        self.dashes(text, &name, &format!(" ({which})"), row.known);
    }

    /// Its memory is counted in another row: there is no figure to show, nor is one missing.
    fn sharing(&self, text: &mut String, row: &Sharing<'_>) {
        (0..if self.heap { 4 } else { 3 }).for_each(|_| self.cell(text, ""));
        let which = row.pid.map_or_else(|| row.count.to_string(), |pid| pid.to_string());
        let name = escape::name(row.name);
        let mut behind = format!(" ({which}) shares the memory of ");
        match (row.owner_pid, self.room()) {
            (Some(pid), _) => behind += &pid.to_string(),
            (None, None) => behind += &escape::name(row.owner),
            // Two names share what room there is.
            (None, Some(room)) => {
                let room = room.saturating_sub(width::columns(&behind));
                let room = room.saturating_sub(width::columns(&name)).max(room / 2);
                behind += &width::cut(&escape::name(row.owner), room);
            }
        }
        self.name(text, &name, &behind);
    }

    /// What is not known is `-`, never 0.
    fn dashes(&self, text: &mut String, name: &str, behind: &str, known: Known) {
        (0..if self.heap { 4 } else { 3 }).for_each(|_| self.cell(text, "-"));
        let told = |what: &str, amount: Option<Kib>| {
            let (amount, unit) = (amount.map(|kib| self.unit.format(kib)), self.unit.label());
            amount.map_or_else(String::new, |amount| format!(", {what} {amount} {unit}"))
        };
        let rss = told("RSS", known.rss);
        // Nothing swapped is nothing to look at.
        let swap = told("swap", known.swap.filter(|swap| *swap > Kib(0)));
        self.name(text, name, &format!("{behind} timed out{rss}{swap}"));
    }

    /// The sum of SHARED is left out: it would count the same pages in many rows' shares.
    fn total(&self, text: &mut String, usage: Option<&Usage>) {
        let ram = usage.map_or_else(|| "-".to_owned(), |usage| self.unit.format(usage.ram));
        let _ = write!(text, "#{ram:>width$}", width = self.width - 1);
        self.cell(text, "");
        match usage {
            Some(usage) => self.tail(text, usage),
            None => (0..if self.heap { 2 } else { 1 }).for_each(|_| self.cell(text, "-")),
        }
        self.words(text, "TOTAL USED BY PROCESSES", "TOTAL");
    }

    fn tail(&self, text: &mut String, usage: &Usage) {
        if self.heap {
            self.cell(text, &self.unit.format(usage.heap));
        }
        // Nothing swapped is nothing to look at.
        let swap = if usage.swap == Kib(0) { String::new() } else { self.unit.format(usage.swap) };
        self.cell(text, &swap);
    }

    fn cell(&self, text: &mut String, content: &str) {
        let _ = write!(text, "{content:>width$}", width = self.width);
    }

    /// The last column: a name that may be cut, and what is never cut behind it.
    fn name(&self, text: &mut String, name: &str, behind: &str) {
        let name = match self.room() {
            Some(room) if !name.is_empty() => {
                width::cut(name, room.saturating_sub(width::columns(behind)))
            }
            _ => name.into(),
        };
        let _ = writeln!(text, "  {name}{behind}");
    }

    /// The last column with words of ours, of which there are fewer where room is short.
    fn words(&self, text: &mut String, long: &str, short: &str) {
        let does_fit = self.room().is_none_or(|room| long.len() <= room);
        let _ = writeln!(text, "  {}", if does_fit { long } else { short });
    }

    /// What is left for the last column.
    fn room(&self) -> Option<usize> {
        let amounts = if self.heap { 4 } else { 3 };
        self.columns.map(|columns| columns.saturating_sub(amounts * self.width + 2))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::process::{Glimpse, ProcessUsage};
    use crate::program::{Found, Order, TimedOut, group};
    use crate::smaps::Smaps;
    use crate::units::Pid;

    fn usage(pid: u32, name: &str) -> ProcessUsage<'_> {
        let (name, smaps) = (name.as_bytes(), Smaps::default());
        ProcessUsage { pid: Pid(pid), name, smaps, uid: None, cgroup: None }
    }

    fn shown(columns: Option<usize>, name: &str) -> String {
        let usage = usage(7, name);
        let (comm, rss, swap) = (b"stuck".to_vec(), Some(Kib(2048)), Some(Kib(512)));
        let glimpse = Glimpse { comm, rss, swap, ..Glimpse::default() };
        let timed_out = [TimedOut { pid: Pid(8), glimpse }];
        let found = Found { unknown: 1, timed_out: &timed_out, sharing: &HashMap::new() };
        let programs = group([usage].into_iter(), found, Grouping::Program, Order::default());
        table(&programs, TableOptions { columns, ..TableOptions::default() })
    }

    #[test]
    fn names_are_cut_and_numbers_are_not() {
        let wide = "   MiB RAM    SHARED   SWAPPED  PROCESS (COUNT)\n       \
                    0.0       0.0            worker of a long name (1)\n         \
                    -         -         -  stuck (1) timed out, RSS 2.0 MiB, swap 0.5 MiB\n#      \
                    0.0                      TOTAL USED BY PROCESSES\n";
        let narrow = " MiB RAM  SHARED SWAPPED  PROCESS\n     \
                      0.0     0.0          worker of… (1)\n       \
                      -       -       -  … (1) timed out, RSS 2.0 MiB, swap 0.5 MiB\n#    \
                      0.0                  TOTAL\n";
        let name = "worker of a long name";
        assert_eq!(shown(None, name), wide);
        assert_eq!(shown(Some(80), name), wide);
        assert_eq!(shown(Some(40), name), narrow);
    }

    #[test]
    fn both_names_are_cut_where_one_shares_the_memory_of_the_other() {
        let both = [usage(1, "a server of a long name"), usage(2, "a helper of a long name")];
        let sharing = HashMap::from([(Pid(2), Pid(1))]);
        let found = Found { unknown: 0, timed_out: &[], sharing: &sharing };
        let row = |grouping, columns| {
            let programs = group(both.into_iter(), found, grouping, Order::default());
            let options = TableOptions { grouping, columns, ..TableOptions::default() };
            table(&programs, options).lines().nth(2).expect("a row").trim_start().to_owned()
        };
        let whole = "a helper of a long name (1) shares the memory of a server of a long name";
        assert_eq!(row(Grouping::Program, None), whole);
        assert_eq!(row(Grouping::Program, Some(32 + whole.len())), whole);
        let cut = "a helper … (1) shares the memory of a server …";
        assert_eq!(row(Grouping::Program, Some(32 + 46)), cut);
        assert_eq!(row(Grouping::Pid, Some(32 + 34)), "a help… (2) shares the memory of 1");
    }

    #[test]
    fn what_fits_is_not_cut() {
        for name in ["worker of a long name", "データ収集データ収集", "cafe\u{301} au lait"]
        {
            let needed = 32 + width::columns(name) + 4;
            for columns in [needed, needed + 1] {
                let text = shown(Some(columns.max(NARROW)), name);
                assert!(text.contains(&format!("  {name} (1)\n")), "{text}");
            }
        }
        let text = shown(Some(60), "データ収集データ収集データ収集");
        let row = text.lines().nth(1).expect("a row");
        assert_eq!(
            (row, width::columns(row)),
            ("       0.0       0.0            データ収集データ収集デ… (1)", 59)
        );
    }
}
