//! The machine's memory beside that of the programs, for people, below the table.

use std::fmt::Write;

use super::style::Style;
use crate::host::Stall;
use crate::program::{Column, HostMemory, HostPart};
use crate::report::Unit;
use crate::units::Kib;

/// The least width of a column; both grow to the widest amount.
const WIDTH_MIN: usize = 10;

/// The whole text, from the empty line that keeps it apart from the table.
pub fn summary(host_memory: &HostMemory, unit: Unit, is_colored: bool) -> String {
    let unit = unit.resolve(host_memory.total.unwrap_or_default());
    let amount = |amount: Option<Kib>| amount.map_or("-".to_owned(), |kib| unit.format(kib));
    let total = amount(host_memory.total);
    let width = WIDTH_MIN.max(total.len() + 2);
    let mut text = String::from("\n");
    let mut line = |style: Style, host: &str, programs: &str, what: &str| {
        style.write(&mut text, is_colored, &format!("{host:>width$}{programs:>width$}  {what}"));
        text.push('\n');
    };
    line(Style::Strong, &format!("{} HOST", unit.head()), "PROGRAMS", "MEMORY");
    for part in HostPart::ALL {
        let programs = part.column().map(|column| amount(host_memory.of_programs(column)));
        let programs = programs.unwrap_or_default();
        line(Style::Plain, &amount(host_memory.get(part)), &programs, part.words().1);
    }
    let programs = amount(host_memory.of_programs(Column::Ram));
    let what = format!("ALL MEMORY, {} AVAILABLE", amount(host_memory.available));
    let total = format!("#{total:>width$}", width = width - 1);
    line(Style::Strong, &total, &programs, &what);
    let (all, used) = host_memory.swap;
    let programs = amount(host_memory.of_programs(Column::Swap));
    line(Style::Plain, &amount(used), &programs, &format!("swap used, of {}", amount(all)));
    text + &compressed(host_memory, &amount) + &pressure(host_memory)
}

/// What compressed memory stands for, where there is some.
fn compressed(host_memory: &HostMemory, amount: &impl Fn(Option<Kib>) -> String) -> String {
    let mut text = String::new();
    let zram = host_memory.zram.map(|zram| zram.holds);
    for (name, holds) in [("zram", zram), ("zswap", host_memory.zswapped)] {
        if holds > Some(Kib(0)) {
            let _ = writeln!(text, "{name} holds {} before compression", amount(holds));
        }
    }
    text
}

fn pressure(host_memory: &HostMemory) -> String {
    let Some(pressure) = host_memory.pressure else { return String::new() };
    let parts = |stall: Stall| {
        let Stall { avg10, avg60, avg300, .. } = stall;
        format!("{avg10:.2}, {avg60:.2}, {avg300:.2}")
    };
    let (some, full) = (parts(pressure.some), parts(pressure.full));
    format!("waiting for memory in 10, 60, 300 s, per cent: some {some}; all {full}\n")
}
