//! The table for people: the columns of psm, the biggest row next to the prompt.

use std::fmt::Write;

use super::{Unit, escape};
use crate::program::{Grouping, Program, Programs, Unknown, Usage};
use crate::units::Kib;

/// The least width of a column of amounts; all of them grow to the widest amount.
const WIDTH_MIN: usize = 10;

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
}

/// The whole table.
pub fn table(programs: &Programs<'_>, options: TableOptions) -> String {
    let sum = programs.total.unwrap_or_default();
    let unit = options.unit.resolve(sum.ram.max(sum.swap));
    let layout = Layout { unit, heap: options.heap, width: width(&sum, unit) };
    let mut text = String::new();
    if !options.no_header {
        let what = match options.grouping {
            Grouping::Program => "PROCESS (COUNT)",
            Grouping::Pid => "PROCESS (PID)",
        };
        layout.head(&mut text, what);
    }
    for row in &programs.rows {
        layout.row(&mut text, &row.usage, &label(row));
    }
    if let Some((rows, usage)) = &programs.rest {
        layout.row(&mut text, usage, &format!("({rows} more)"));
    }
    for row in &programs.unknown {
        layout.unknown(&mut text, row);
    }
    if let Some((rows, rss)) = programs.unknown_rest {
        layout.dashes(&mut text, &format!("({rows} more)"), rss);
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
fn width(sum: &Usage, unit: Unit) -> usize {
    let Usage { ram, shared, swap, heap } = *sum;
    let widest = [ram, shared, swap, heap].map(|amount| unit.format(amount).len());
    widest.into_iter().fold(WIDTH_MIN, |width, len| width.max(len + 2))
}

fn label(row: &Program<'_>) -> String {
    let name = escape::name(row.name);
    match row.pid {
        Some(pid) => format!("{name} ({pid})"),
        None => format!("{name} ({})", row.count),
    }
}

struct Layout {
    unit: Unit,
    heap: bool,
    width: usize,
}

impl Layout {
    fn head(&self, text: &mut String, process: &str) {
        self.cell(text, &format!("{} RAM", self.unit.label()));
        self.cell(text, "SHARED");
        if self.heap {
            self.cell(text, "HEAP");
        }
        self.cell(text, "SWAPPED");
        self.name(text, process);
    }

    fn row(&self, text: &mut String, usage: &Usage, label: &str) {
        self.cell(text, &self.unit.format(usage.ram));
        self.cell(text, &self.unit.format(usage.shared));
        self.tail(text, usage);
        self.name(text, label);
    }

    fn unknown(&self, text: &mut String, row: &Unknown) {
        let name = escape::name(&row.name);
        let which = row.pid.map_or_else(|| row.count.to_string(), |pid| pid.to_string());
        self.dashes(text, &format!("{name} ({which})"), row.rss);
    }

    /// What is not known is `-`, never 0.
    fn dashes(&self, text: &mut String, label: &str, rss: Option<Kib>) {
        (0..if self.heap { 4 } else { 3 }).for_each(|_| self.cell(text, "-"));
        let (unit, amount) = (self.unit.label(), rss.map(|rss| self.unit.format(rss)));
        let rss = amount.map_or_else(String::new, |amount| format!(", RSS {amount} {unit}"));
        self.name(text, &format!("{label} timed out{rss}"));
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
        self.name(text, "TOTAL USED BY PROCESSES");
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

    fn name(&self, text: &mut String, name: &str) {
        let _ = writeln!(text, "  {name}");
    }
}
