//! OpenMetrics for the textfile collector of Prometheus' node_exporter.
//!
//! The collector reads the older text format (version 0.0.4), so the text is valid in both: gauges,
//! counters whose samples end in `_total` (of no type in the older format), no time stamps, which
//! the collector refuses, and the lines `UNIT` and `EOF`, which it reads as comments.

use std::fmt::Write;
use std::time::Duration;

use super::line::Line;
use super::notes::Missing;
use super::{Facts, Report, escape, faults};
use crate::process::Fate;
use crate::program::{Column, HostMemory, HostPart, Obstacle, Programs, Unknown, UnknownRest};
use crate::units::{Kib, Labelled};

/// The default number of rows: a database keeps each as a label forever.
pub const ROWS_USUAL: usize = 50;

/// The label of the sum of the other rows.
pub const OTHER: &str = "other";

/// The amounts of rows; JSON has the others.
const AMOUNTS: [Column; 15] = [
    Column::Ram,
    Column::Uss,
    Column::Shared,
    Column::Rss,
    Column::Swap,
    Column::PssAnon,
    Column::PssFile,
    Column::LazyFree,
    Column::PageTables,
    Column::Gpu,
    Column::Heap,
    Column::Charged,
    Column::Left,
    Column::Limit,
    Column::CgSwap,
];

/// Whether a column has series, or is a label.
pub fn has_series(column: Column) -> bool {
    let is_number = matches!(
        column,
        Column::Count | Column::Events | Column::Pressure | Column::Faults | Column::Oom
    );
    AMOUNTS.contains(&column) || is_number || column == Column::Name
}

/// The whole text, for a terminal or for programs.
pub fn openmetrics(report: &Report<'_>, is_terminal: bool) -> String {
    let mut metrics = Metrics::default();
    if !report.is_total {
        metrics.rows(report, is_terminal);
    }
    let total = |column| report.programs.total.and_then(|total| total.get(column));
    metrics.amount("total_ram_bytes", "Sum of RAM over all rows.", total(Column::Ram));
    metrics.amount("total_swap_bytes", "Sum of swap over all rows.", total(Column::Swap));
    if let Some(memory) = report.host {
        metrics.host(memory);
    }
    metrics.run(report.facts, report.missing);
    metrics.end()
}

/// The text so far.
#[derive(Debug, Default)]
pub struct Metrics(String);

impl Metrics {
    fn rows(&mut self, report: &Report<'_>, is_terminal: bool) {
        let programs = report.programs;
        let by = programs.grouping.label();
        let row = |line| Some((label_of(line, is_terminal)?, line));
        let rows: Vec<(String, Line<'_>)> = Line::all(programs).filter_map(row).collect();
        let series = |row: &str| metric_labels(&[(by, row)]);
        for column in AMOUNTS {
            let amount = |(row, line): &(String, Line<'_>)| {
                Some((series(row), line.amount(column)?.bytes().to_string()))
            };
            let name = format!("{}_bytes", column.key());
            let help = match column {
                Column::Swap => swap_help(programs),
                _ => column.help(),
            };
            self.family(&name, "bytes", &format!("{help}."), rows.iter().filter_map(amount));
        }
        self.charges(programs, &rows);
        let rates = rows.iter().filter_map(|(row, line)| {
            Some((series(row), faults::per_second(line.faults(programs)?)))
        });
        let help = "Page faults per second that waited for a disk.";
        self.family("faults_per_second", "", help, rates);
        let scores = rows.iter().filter_map(|(row, line)| {
            let score = line.oom()?.score?;
            Some((series(row), score.to_string()))
        });
        self.family("oom_score", "", "Highest oom_score of the processes.", scores);
        let measured = rows.iter().filter(|(_, line)| line.usage().is_some());
        let counts =
            measured.filter_map(|(row, line)| Some((series(row), line.count()?.to_string())));
        let help = "Number of processes whose memory the row counts.";
        self.family("processes", "", help, counts);
        let others = rows.iter().map(|(_, line)| line.cut_rows()).sum::<usize>().to_string();
        let help = "Number of rows that other sums up.";
        self.family("other_rows", "", help, [(String::new(), others)]);
    }

    /// Marks of charges elsewhere, events at the limits of control groups, and the time that their
    /// tasks wait for memory.
    fn charges(&mut self, programs: &Programs<'_>, rows: &[(String, Line<'_>)]) {
        let by = programs.grouping.label();
        let marks = rows.iter().filter_map(|(row, line)| {
            let Line::Program(program) = line else { return None };
            let mark = u8::from(program.is_charged_elsewhere()?).to_string();
            Some((metric_labels(&[(by, row)]), mark))
        });
        let help = "Whether processes hold more than their control groups are charged for.";
        self.family("charged_elsewhere", "", help, marks);
        let events = rows.iter().filter_map(|(row, line)| Some((row, line.events(programs)?)));
        let events = events.flat_map(|(row, events)| {
            let sample = move |(event, count): (&str, Option<u64>)| {
                Some((metric_labels(&[(by, row), ("event", event)]), count?.to_string()))
            };
            events.all().into_iter().filter_map(sample)
        });
        let help = "Events at the limits of control groups.";
        self.typed("events", "counter", "", help, events);
        let pressures = rows.iter().filter_map(|(row, line)| {
            let ratio = f64::from(line.pressure()?) / 10_000.0;
            Some((metric_labels(&[(by, row)]), format!("{ratio:.4}")))
        });
        let help = "The part of the last 10 seconds in which tasks waited for memory.";
        self.family("pressure_ratio", "ratio", help, pressures);
    }

    /// The parts of host memory, which add up to the total, and the share of programs in each.
    fn host(&mut self, memory: &HostMemory) {
        let sample = |part: &HostPart, amount: Option<Kib>| {
            Some((metric_labels(&[("part", part.label())]), amount?.bytes().to_string()))
        };
        let parts = HostPart::ALL.iter().filter_map(|part| sample(part, memory.get(*part)));
        let help = "Memory of the host by parts, which add up to all of it.";
        self.family("host_memory_bytes", "bytes", help, parts);
        let of_programs = |part: &HostPart| sample(part, memory.of_programs(part.column()?));
        let explained = HostPart::ALL.iter().filter_map(of_programs);
        let help = "The share of the programs of the report in a part.";
        self.family("host_explained_bytes", "bytes", help, explained);
        let shared = &memory.shared;
        let owner = |kind: &str, amount: Option<Kib>| {
            Some((metric_labels(&[("owner", kind)]), amount?.bytes().to_string()))
        };
        // Mounts come and go with containers, so they share a series; JSON has each.
        let owners = [
            owner("tmpfs", shared.tmpfs_used()),
            owner("sysv", shared.sysv.map(|sysv| sysv.ram)),
            owner("other", shared.other),
        ];
        let help = "Shared memory by owner; tmpfs with its pages in swap.";
        self.family("host_shmem_bytes", "bytes", help, owners.into_iter().flatten());
        let candidates = memory.candidates.iter().map(|candidate| {
            let line = escape::field(candidate.line.as_bytes(), true);
            (metric_labels(&[("line", &line)]), candidate.at_most.bytes().to_string())
        });
        let help = "Lines of meminfo that may own a part of the unattributed memory, at most.";
        self.family("host_candidate_bytes", "bytes", help, candidates);
        let outside = "Memory in a balloon that all memory does not include.";
        self.amount("host_balloon_outside_bytes", outside, memory.balloon_outside);
        let available = "Memory for new programs without swapping.";
        self.amount("host_available_bytes", available, memory.available);
        self.amount("host_swap_size_bytes", "All swap.", memory.swap_total);
        self.amount("host_swap_used_bytes", "Swap in use.", memory.swap_used);
        let stalls = memory.pressure.map(|pressure| {
            [("some", pressure.some), ("full", pressure.full)].into_iter().flat_map(
                |(kind, stall)| {
                    [("10s", stall.avg10), ("60s", stall.avg60), ("300s", stall.avg300)].map(
                        |(window, percent)| {
                            let labels = metric_labels(&[("kind", kind), ("window", window)]);
                            (labels, format!("{:.4}", percent / 100.0))
                        },
                    )
                },
            )
        });
        let help = "The part of the time in which tasks waited for memory.";
        self.family("host_pressure_ratio", "ratio", help, stalls.into_iter().flatten());
    }

    /// The run: for alerts on reports that are old, slow or incomplete.
    pub fn run(&mut self, facts: &Facts, missing: &Missing<'_>) {
        let seconds = |time: Duration| [(String::new(), format!("{:.6}", time.as_secs_f64()))];
        let duration = seconds(facts.duration);
        self.family("duration_seconds", "seconds", "Duration of the run.", duration);
        let help = "Start of the run, in seconds since the Unix epoch.";
        self.family("start_time_seconds", "seconds", help, seconds(facts.started));
        let complete = u8::from(missing.is_complete()).to_string();
        let help = "Whether the memory of every selected process is known.";
        self.family("complete", "", help, [(String::new(), complete)]);
        let count = |fate| missing.coverage.get(fate).to_string();
        let fates = Fate::ALL.map(|fate| (metric_labels(&[("fate", fate.label())]), count(fate)));
        self.family("listed_processes", "", "Listed processes by fate.", fates);
        let build = metric_labels(&[("version", facts.version), ("engine", facts.engine)]);
        let help = "Version and I/O engine of the run.";
        self.family("run_info", "", help, [(build, "1".to_owned())]);
    }

    /// Writes an amount without labels, if it is known.
    pub fn amount(&mut self, name: &str, help: &str, amount: Option<Kib>) {
        let sample = amount.map(|kib| (String::new(), kib.bytes().to_string()));
        self.family(name, "bytes", help, sample);
    }

    /// Writes samples of a gauge, which are labels and values, under one name; nothing without a
    /// sample.
    pub fn family(
        &mut self,
        name: &str,
        unit: &str,
        help: &str,
        samples: impl IntoIterator<Item = (String, String)>,
    ) {
        self.typed(name, "gauge", unit, help, samples);
    }

    /// The same of another type. The samples of a counter end in `_total`, its name does not.
    fn typed(
        &mut self,
        name: &str,
        kind: &str,
        unit: &str,
        help: &str,
        samples: impl IntoIterator<Item = (String, String)>,
    ) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        let text = &mut self.0;
        let name = format!("psm_uring_{name}");
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        if !unit.is_empty() {
            let _ = writeln!(text, "# UNIT {name} {unit}");
        }
        let suffix = if kind == "counter" { "_total" } else { "" };
        for (labels, value) in samples {
            let _ = writeln!(text, "{name}{suffix}{labels} {value}");
        }
    }

    /// The whole text.
    pub fn end(self) -> String {
        self.0 + "# EOF\n"
    }
}

/// The meaning of the swap of rows, which depends on the kernel.
fn swap_help(programs: &Programs<'_>) -> &'static str {
    let has_no_smaps = |row: &Unknown<'_>| row.obstacle == Obstacle::NoSmaps;
    if programs.unknown.iter().any(has_no_smaps) {
        "VmSwap: swap without shared memory, shared pages whole in each process"
    } else if programs.swap_is_unshared {
        "swap, shared pages whole in each process (Swap)"
    } else {
        Column::Swap.help()
    }
}

/// The label of a row or of the rest; `None` if the line has no series. On a kernel without smaps
/// the rows have the figures of `status`.
fn label_of(line: Line<'_>, is_terminal: bool) -> Option<String> {
    match line {
        Line::Rest(_) => Some(OTHER.to_owned()),
        Line::UnknownRest(UnknownRest { obstacle: Some(Obstacle::NoSmaps), .. }) => {
            Some(OTHER.to_owned())
        }
        Line::Program(_) | Line::Unknown(Unknown { obstacle: Obstacle::NoSmaps, .. }) => {
            Some(metric_label(line.name(), is_terminal))
        }
        _ => None,
    }
}

/// The label of a row, which is never the label of the rest: the collector refuses every sample of
/// a text that has two of the same labels.
pub fn metric_label(name: &[u8], is_terminal: bool) -> String {
    let name = escape::field(name, is_terminal);
    if name == OTHER { escape::marked(&name) } else { name }
}

/// Labels in the grammar of the format.
pub fn metric_labels(labels: &[(&str, &str)]) -> String {
    let label = |(name, value): &(&str, &str)| {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        format!("{name}=\"{value}\"")
    };
    let labels: Vec<String> = labels.iter().map(label).collect();
    format!("{{{}}}", labels.join(","))
}
