//! Host memory beside the memory of programs, below the table.

use std::fmt::Write;

use super::style::Style;
use crate::host::Stall;
use crate::program::{Column, HostMemory, HostPart};
use crate::report::Unit;
use crate::units::{Kib, Labelled};

/// The least width of a column; both grow to the widest amount.
const WIDTH_MIN: usize = 10;

/// The whole text; it begins with the empty line that separates it from the table.
pub fn host(memory: &HostMemory, unit: Unit, is_colored: bool) -> String {
    let unit = unit.resolve(memory.total.unwrap_or_default());
    let amount = |amount: Option<Kib>| amount.map_or("-".to_owned(), |kib| unit.format(kib));
    let of_programs = |column| amount(memory.of_programs(column));
    let total = amount(memory.total);
    let width = WIDTH_MIN.max(total.len() + 2);
    let mut text = String::from("\n");
    let mut line = |style: Style, host: &str, programs: &str, part: &str| {
        style.write(&mut text, is_colored, &format!("{host:>width$}{programs:>width$}  {part}"));
        text.push('\n');
    };
    line(Style::Strong, &format!("{} HOST", unit.head()), "PROGRAMS", "MEMORY");
    for part in HostPart::ALL {
        let programs = part.column().map(of_programs).unwrap_or_default();
        line(Style::Plain, &amount(memory.get(*part)), &programs, part.help());
    }
    let total = format!("#{total:>width$}", width = width - 1);
    let available = format!("ALL MEMORY, {} AVAILABLE", amount(memory.available));
    line(Style::Strong, &total, &of_programs(Column::Ram), &available);
    let of_swap = format!("swap used, of {}", amount(memory.swap_total));
    line(Style::Plain, &amount(memory.swap_used), &of_programs(Column::Swap), &of_swap);
    let zram = memory.zram.map(|zram| zram.holds);
    for (name, holds) in [("zram", zram), ("zswap", memory.zswapped)] {
        if holds > Some(Kib(0)) {
            let _ = writeln!(text, "{name} holds {} before compression", amount(holds));
        }
    }
    if let Some(pressure) = memory.pressure {
        let parts = |stall: Stall| {
            let Stall { avg10, avg60, avg300, .. } = stall;
            format!("{avg10:.2}, {avg60:.2}, {avg300:.2}")
        };
        let (some, full) = (parts(pressure.some), parts(pressure.full));
        let head = "waiting for memory in 10, 60, 300 s, per cent";
        let _ = writeln!(text, "{head}: some {some}; all {full}");
    }
    text
}
