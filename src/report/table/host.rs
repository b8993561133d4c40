//! Host memory beside the memory of programs, below the table.

use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;

use super::TableOptions;
use super::style::Style;
use crate::host::Stall;
use crate::program::{Column, GpuBounds, HostMemory, HostPart, PossibleOwner, SharedMemory};
use crate::report::Unit;
use crate::report::escape::Charset;
use crate::units::{Kib, Labelled};

/// The least width of a column; both grow to the widest amount.
const WIDTH_MIN: usize = 10;
/// The most file systems in memory with a row of their own.
const TMPFS_MAX: usize = 4;
/// A known counter is named as a candidate if more than one part in so many is unattributed.
const REST_SHARE: u64 = 50;
/// The most candidates on a line.
const CANDIDATES_MAX: usize = 3;

/// A line of the table: amounts of host and programs, and their name.
struct Row {
    amount: Option<Kib>,
    programs: Option<Option<Kib>>,
    name: String,
    /// Whether the row stays if there is no room for all.
    is_kept: bool,
}

/// The whole text; it begins with the empty line that separates it from the table. Parts of 0 have
/// no line. With fewer than `lines_max` lines, the smallest parts share one.
pub fn host(memory: &HostMemory, options: &TableOptions<'_>, lines_max: usize) -> String {
    let TableOptions { is_colored, charset, .. } = *options;
    let unit = options.unit.resolve(memory.total.unwrap_or_default());
    let amount = |amount: Option<Kib>| amount.map_or("-".to_owned(), |kib| unit.format(kib));
    let of_programs = |column| amount(memory.of_programs(column));
    let total = amount(memory.total);
    let width = WIDTH_MIN.max(total.len() + 2);
    let line = |style: Style, host: &str, programs: &str, part: &str| {
        let mut text = String::new();
        style.write(&mut text, is_colored, &format!("{host:>width$}{programs:>width$}  {part}"));
        text + "\n"
    };
    let head = line(Style::Strong, &format!("{} HOST", unit.head()), "PROGRAMS", "MEMORY");
    let available = format!("ALL MEMORY, {} AVAILABLE", amount(memory.available));
    let total = format!("#{total:>width$}", width = width - 1);
    let of_swap = format!("swap used, of {}", amount(memory.swap_total));
    let mut end = vec![
        line(Style::Strong, &total, &of_programs(Column::Ram), &available),
        line(Style::Plain, &amount(memory.swap_used), &of_programs(Column::Swap), &of_swap),
    ];
    end.extend(facts(memory, unit));
    let lines_own = end.len() + 2;
    let mut rows = parts(memory, lines_max.saturating_sub(lines_own));
    let mut room = lines_max.saturating_sub(lines_own + rows.len());
    let owners = owners(&memory.shared, unit, charset);
    let place = rows.iter().position(|row| row.name == HostPart::Shmem.help());
    if let Some(place) = place.filter(|_| owners.len() <= room) {
        room -= owners.len();
        rows.splice(place + 1..place + 1, owners);
    }
    end.extend(explanations(memory, unit, charset).into_iter().take(room));
    let body = rows.iter().map(|row| {
        let programs = row.programs.map(amount).unwrap_or_default();
        line(Style::Plain, &amount(row.amount), &programs, &row.name)
    });
    "\n".to_owned() + &head + &body.chain(end).collect::<String>()
}

/// The parts with an amount above 0, and the rest. If there are too many, the smallest are one row.
fn parts(memory: &HostMemory, rows_max: usize) -> Vec<Row> {
    let is_end = |part: HostPart| matches!(part, HostPart::Unattributed | HostPart::Free);
    let row = |part: &HostPart| {
        let amount = memory.get(*part);
        let programs = part.column().map(|column| memory.of_programs(column));
        let is_kept = is_end(*part);
        let is_shown = amount > Some(Kib(0)) || programs.flatten() > Some(Kib(0));
        let bound = memory.gpu.filter(|_| *part == HostPart::Gpu).map_or("", gpu_bound);
        let name = format!("{}{bound}", part.help());
        (is_shown || is_kept).then_some(Row { amount, programs, name, is_kept })
    };
    let mut rows: Vec<Row> = HostPart::ALL.iter().filter_map(row).collect();
    let (mut count, mut sum) = (0, Some(Kib(0)));
    while rows.len() + usize::from(count > 0) > rows_max {
        let small = rows.iter().enumerate().filter(|(_, row)| !row.is_kept);
        let Some((place, _)) = small.min_by_key(|(_, row)| row.amount) else { break };
        // The sum with an unknown amount is unknown.
        sum = sum.zip(rows.remove(place).amount).map(|(sum, amount)| sum + amount);
        count += 1;
    }
    if count > 0 {
        let place = rows.iter().position(|row| row.is_kept).unwrap_or(rows.len());
        let name = format!("({count} more)");
        rows.insert(place, Row { amount: sum, programs: None, name, is_kept: true });
    }
    rows
}

/// The mark of an amount of GPU memory that is no exact one.
fn gpu_bound(bounds: GpuBounds) -> &'static str {
    match bounds {
        GpuBounds { is_most: false, unknown: 0 } => "",
        GpuBounds { is_most: true, unknown: 0 } => ", at most",
        GpuBounds { is_most: false, .. } => ", or more",
        GpuBounds { is_most: true, .. } => ", some unknown",
    }
}

/// The owners of shared memory, below its row.
fn owners(shared: &SharedMemory, unit: Unit, charset: Charset) -> Vec<Row> {
    let row = |amount, name: String| Row {
        amount: Some(amount),
        programs: None,
        name: format!("  {name}"),
        is_kept: false,
    };
    let is_shown = |amount: &Kib| *amount >= unit.least_shown();
    let tmpfs = shared.tmpfs.iter().flatten().filter_map(|tmpfs| {
        let used = tmpfs.used.filter(is_shown)?;
        Some((used, charset.name(tmpfs.point.as_os_str().as_bytes())))
    });
    let tmpfs: Vec<(Kib, String)> = tmpfs.collect();
    let (first, more) = tmpfs.split_at(tmpfs.len().min(TMPFS_MAX));
    let mut rows: Vec<Row> =
        first.iter().map(|(used, point)| row(*used, format!("tmpfs {point}"))).collect();
    if !more.is_empty() {
        let sum = more.iter().map(|(used, _)| *used).sum();
        rows.push(row(sum, format!("tmpfs, {} more", more.len())));
    }
    if let Some(sysv) = shared.sysv.filter(|sysv| is_shown(&sysv.ram)) {
        let perhaps = if sysv.perhaps_huge > Kib(0) { ", perhaps huge pages" } else { "" };
        rows.push(row(sysv.ram, format!("System V segments{perhaps}")));
    }
    if let Some(other) = shared.other.filter(is_shown) {
        let least = if shared.other_is_least { ", or more" } else { "" };
        let what = "other: memfd, anonymous, tmpfs not visible here";
        rows.push(row(other, format!("{what}{least}")));
    }
    rows
}

/// Compressed swap and pressure.
fn facts(memory: &HostMemory, unit: Unit) -> Vec<String> {
    let mut lines = Vec::new();
    let zram = memory.zram.map(|zram| zram.holds);
    for (name, holds) in [("zram", zram), ("zswap", memory.zswapped)] {
        if let Some(holds) = holds.filter(|holds| *holds > Kib(0)) {
            lines.push(format!("{name} holds {} before compression\n", unit.format(holds)));
        }
    }
    if let Some(pressure) = memory.pressure {
        let parts = |stall: Stall| {
            let Stall { avg10, avg60, avg300, .. } = stall;
            format!("{avg10:.2}, {avg60:.2}, {avg300:.2}")
        };
        let (some, full) = (parts(pressure.some), parts(pressure.full));
        let head = "waiting for memory in 10, 60, 300 s, per cent";
        lines.push(format!("{head}: some {some}; all {full}\n"));
    }
    lines
}

/// Memory without a row, or without a known owner.
fn explanations(memory: &HostMemory, unit: Unit, charset: Charset) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(balloon) = memory.balloon_outside {
        lines.push(format!("a balloon holds {} outside of all memory\n", unit.format(balloon)));
    }
    let uncounted: Vec<&str> = memory.uncounted().map(HostPart::label).collect();
    if !uncounted.is_empty() {
        lines.push(format!("without a counter here: {}\n", uncounted.join(", ")));
    }
    let rest = memory.get(HostPart::Unattributed).zip(memory.total);
    let is_big = rest.is_some_and(|(Kib(rest), Kib(total))| rest > total / REST_SHARE);
    let named = |candidate: &&PossibleOwner| !candidate.is_known || is_big;
    let mut names = String::new();
    for PossibleOwner { line, at_most, .. } in
        memory.candidates.iter().filter(named).take(CANDIDATES_MAX)
    {
        let comma = if names.is_empty() { "" } else { ", " };
        let name = charset.name(line.as_bytes());
        let _ = write!(names, "{comma}{name} {}", unit.format(*at_most));
    }
    if !names.is_empty() {
        lines.push(format!("perhaps in unattributed, at most: {names}\n"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_follows_a_comma() {
        for (other_is_least, expected) in
            [(false, "tmpfs not visible here"), (true, "tmpfs not visible here, or more")]
        {
            let other = Some(Kib(2048));
            let shared = SharedMemory { other, other_is_least, ..SharedMemory::default() };
            let rows = owners(&shared, Unit::Mib, Charset::Unicode);
            let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
            assert_eq!(names, [format!("  other: memfd, anonymous, {expected}")]);
        }
    }
}
