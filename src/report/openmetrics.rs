//! OpenMetrics, for the textfile collector of Prometheus' node_exporter, which reads the older text
//! format (version 0.0.4): so this is what both understand. Gauges only, no time stamps, which the
//! collector refuses, and lines of `UNIT` and `EOF`, which are comments to it.

use std::fmt::Write;

use super::{Report, escape};
use crate::process::Fate;
use crate::program::{Column, HostMemory, HostPart, Usage};
use crate::units::{Kib, Labelled};

/// How many rows there are unless somebody says otherwise: each is a label for ever.
pub const ROWS_USUAL: usize = 50;

/// The label of the row that sums up the others.
const OTHER: &str = "other";

/// The amounts that are told; the others can be had from JSON.
const AMOUNTS: [Column; 5] = [Column::Ram, Column::Uss, Column::Shared, Column::Swap, Column::Heap];

/// The whole text.
pub fn openmetrics(report: &Report<'_>) -> String {
    let mut metrics = Metrics(String::new());
    if !report.is_total {
        rows(&mut metrics, report);
    }
    total(&mut metrics, report);
    if let Some(host_memory) = report.host {
        host(&mut metrics, host_memory);
    }
    run(&mut metrics, report);
    metrics.0 + "# EOF\n"
}

fn rows(metrics: &mut Metrics, report: &Report<'_>) {
    let label = report.programs.grouping.label();
    let rows = &report.programs.rows;
    let rows = rows.iter().map(|row| (label_of(row.name), row.usage, row.count));
    let rest = report.programs.rest.map(|rest| (OTHER.to_owned(), rest.usage, rest.count));
    let rows: Vec<(String, Usage, u64)> = rows.chain(rest).collect();
    for column in AMOUNTS {
        let amount = |(name, usage, _): &(String, Usage, u64)| {
            Some((labels(&[(label, name)]), usage.get(column)?.bytes().to_string()))
        };
        let word = column.definition().word;
        let help = format!("{}.", column.definition().help);
        metrics.family(&format!("{word}_bytes"), "bytes", &help, rows.iter().filter_map(amount));
    }
    let count =
        |(name, _, count): &(String, Usage, u64)| (labels(&[(label, name)]), count.to_string());
    metrics.family("processes", "", "Number of processes measured.", rows.iter().map(count));
}

/// The name of a row, which is never that of the rest: two samples of the same labels would make
/// the collector refuse them all.
fn label_of(name: &[u8]) -> String {
    let name = escape::name(name);
    if name == OTHER { escape::first_char(&name) } else { name }
}

fn total(metrics: &mut Metrics, report: &Report<'_>) {
    let amount = |column| report.programs.total.and_then(|total| total.get(column));
    for (name, column, help) in [
        ("total_ram_bytes", Column::Ram, "Sum of RAM over all rows."),
        ("total_swap_bytes", Column::Swap, "Sum of swap over all rows."),
    ] {
        let sample = amount(column).map(|kib: Kib| (String::new(), kib.bytes().to_string()));
        metrics.family(name, "bytes", help, sample.into_iter());
    }
}

/// The machine: parts that add up to its memory, and how much of them programs explain.
fn host(metrics: &mut Metrics, host_memory: &HostMemory) {
    let sample = |part: HostPart, amount: Option<Kib>| {
        Some((labels(&[("part", part.words().0)]), amount?.bytes().to_string()))
    };
    let parts = HostPart::ALL.into_iter().filter_map(|part| sample(part, host_memory.get(part)));
    let help = "Memory of the host, by what it is; all of it adds up.";
    metrics.family("host_memory_bytes", "bytes", help, parts);
    let of_programs = |part: HostPart| sample(part, host_memory.of_programs(part.column()?));
    let explained = HostPart::ALL.into_iter().filter_map(of_programs);
    let help = "The part of it that the programs of the report have.";
    metrics.family("host_explained_bytes", "bytes", help, explained);
    let (all, used) = host_memory.swap;
    for (name, help, amount) in [
        ("host_available_bytes", "What could be had without swapping.", host_memory.available),
        ("host_swap_size_bytes", "All of swap.", all),
        ("host_swap_used_bytes", "Swap that is used.", used),
    ] {
        let sample = amount.map(|kib| (String::new(), kib.bytes().to_string()));
        metrics.family(name, "bytes", help, sample.into_iter());
    }
    let stalls =
        host_memory.pressure.map(|pressure| [("some", pressure.some), ("full", pressure.full)]);
    let stalls = stalls.into_iter().flatten().flat_map(|(kind, stall)| {
        [("10s", stall.avg10), ("60s", stall.avg60), ("300s", stall.avg300)].map(
            |(window, percent)| {
                (labels(&[("kind", kind), ("window", window)]), format!("{:.4}", percent / 100.0))
            },
        )
    });
    let help = "The part of the time in which tasks waited for memory.";
    metrics.family("host_pressure_ratio", "ratio", help, stalls);
}

/// What went on: for alerts on reports that are old, slow or lack something.
fn run(metrics: &mut Metrics, report: &Report<'_>) {
    let facts = report.facts;
    let mut one = |name: &str, unit, help, value: String| {
        metrics.family(name, unit, help, [(String::new(), value)].into_iter());
    };
    let seconds = |time: std::time::Duration| format!("{:.6}", time.as_secs_f64());
    one("duration_seconds", "seconds", "How long the run took.", seconds(facts.duration));
    one("start_time_seconds", "seconds", "When it began, since 1970.", seconds(facts.started));
    let complete = u8::from(report.missing.is_complete()).to_string();
    one("complete", "", "Whether no memory of a process is missing.", complete);
    let count = |fate| report.missing.coverage.get(fate).to_string();
    let fates = Fate::ALL.map(|fate| (labels(&[("fate", fate.label())]), count(fate))).into_iter();
    metrics.family("listed_processes", "", "Listed processes by what became of them.", fates);
    let build = labels(&[("version", facts.version), ("engine", facts.engine)]);
    let build = [(build, "1".to_owned())].into_iter();
    metrics.family("run_info", "", "The version, and the engine that was used.", build);
}

/// The text so far.
struct Metrics(String);

impl Metrics {
    /// Writes a family of samples: labels and values. One without samples is left out.
    fn family(
        &mut self,
        name: &str,
        unit: &str,
        help: &str,
        samples: impl Iterator<Item = (String, String)>,
    ) {
        let text = &mut self.0;
        let mut samples = samples.peekable();
        if samples.peek().is_none() {
            return;
        }
        let name = format!("psm_uring_{}", name.replace('-', "_"));
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        if !unit.is_empty() {
            let _ = writeln!(text, "# UNIT {name} {unit}");
        }
        for (labels, value) in samples {
            let _ = writeln!(text, "{name}{labels} {value}");
        }
    }
}

/// Labels in their grammar.
fn labels(labels: &[(&str, &str)]) -> String {
    let label = |(name, value): &(&str, &str)| {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        format!("{name}=\"{value}\"")
    };
    let labels: Vec<String> = labels.iter().map(label).collect();
    format!("{{{}}}", labels.join(","))
}
