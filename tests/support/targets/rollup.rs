//! Rollups of a few processes, delivered to probes as by the kernel in reads of any size, up to the
//! rows of a report and their sum. The first byte selects the size of a read and the construction
//! of rows; the processes' texts follow.

use std::collections::HashMap;

use psm_uring::process::{Fate, Plan, Probe, ProcessUsage, Source, StatFigures};
use psm_uring::program::{Annotations, Column, Grouping, Labels, Order, group};
use psm_uring::report::{TableOptions, table};
use psm_uring::smaps::{Smaps, naive};
use psm_uring::units::{Kib, Labelled, Pid};

use super::super::world::World;
use super::parts;

/// The maximum number of processes of one input.
const PROCESSES_MAX: usize = 6;

pub fn run(bytes: &[u8]) {
    let Some((choice, texts)) = bytes.split_first() else { return };
    // At least one byte, and small enough that a rollup takes many reads.
    let room = 1 + usize::from(choice >> 1) * 8;
    let texts: Vec<&[u8]> = parts(texts).take(PROCESSES_MAX).collect();
    let measured: Vec<Smaps> = texts.iter().filter_map(|text| measure(text, room)).collect();
    let grouping = if choice & 1 == 0 { Grouping::Program } else { Grouping::Pid };
    check_rows(&measured, texts.len() - measured.len(), grouping);
}

/// The memory of one process with this rollup, when it parses.
fn measure(text: &[u8], room: usize) -> Option<Smaps> {
    let plan = Plan { source: Source::Rollup, ..Plan::default() };
    let mut world = World { room, ..World::user() }.with_bytes("smaps_rollup", text);
    let mut probe = Probe::new();
    let found = world.carry(&mut probe, &plan);
    let expected = match naive::scan(text) {
        // Without a text it has no memory: the probe reads status, which reports a living process.
        // Twice.
        _ if text.is_empty() => Fate::Changed,
        Ok(_) => Fate::Measured,
        Err(_) => Fate::Malformed,
    };
    assert_eq!(found.fate, expected, "in reads of {room}");
    assert_eq!(found.smaps, naive::scan(text).ok().filter(|_| !text.is_empty()));
    found.smaps
}

/// Rows add up to the total, no process shares more than it has, and each has a line.
fn check_rows(measured: &[Smaps], lacking: usize, grouping: Grouping) {
    let names = [&b"twin"[..], b"alone", b"twin"].into_iter().cycle();
    let usages = (1..).zip(names).zip(measured);
    let usages = usages.map(|((pid, name), smaps)| {
        let (pid, smaps) = (Pid(pid), *smaps);
        ProcessUsage {
            pid,
            name,
            smaps,
            uid: None,
            cgroup: None,
            page_tables: None,
            stat: StatFigures::default(),
        }
    });
    let usages: Vec<ProcessUsage<'_>> = usages.collect();
    let (sharing, shares) = (&HashMap::new(), &HashMap::new());
    let found = Annotations { is_incomplete: lacking > 0, ..Annotations::new(sharing, shares) };
    let labels = Labels::new([].into_iter(), grouping, None);
    let programs = group(usages.iter().copied(), &labels, found, Order::default());
    let count: u64 = programs.rows.iter().map(|row| row.count).sum();
    assert_eq!(count, measured.len() as u64);
    for usage in programs.rows.iter().map(|row| &row.usage).chain(&programs.total) {
        let (ram, figure) = (usage.get(Column::Ram), |column| usage.get(column));
        assert!(figure(Column::Shared) <= ram, "{usage:?}");
        assert!(figure(Column::Heap).is_none_or(|heap| Some(heap) <= ram), "{usage:?}");
    }
    for column in Column::ALL.iter().copied().filter(|column| column.is_amount()) {
        let amounts = programs.rows.iter().map(|row| row.usage.get(column));
        let sum: Option<Vec<Kib>> = amounts.collect();
        let sum = sum.map(|amounts| amounts.into_iter().sum::<Kib>());
        let total = programs.total.map_or(Some(Kib(0)), |total| total.get(column));
        assert_eq!(sum, total, "{column:?} of {programs:?}");
    }
    let text = table(&programs, &TableOptions::default());
    assert_eq!(text.lines().count(), programs.rows.len() + 2, "{text}");
}
