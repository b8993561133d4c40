//! Mappings as CSV and as OpenMetrics, in bytes.

use super::column::MapColumn;
use super::rows::{Maps, ProgramMaps};
use super::usage::MapUsage;
use crate::process::{self, NameRule};
use crate::program::ColumnKind;
use crate::report::notes::Missing;
use crate::report::{Facts, Metrics, OTHER, Unit, csv_record, escape, metric_label, metric_labels};
use crate::units::Labelled;

/// The columns of CSV without `--columns`.
pub(super) const CSV_COLUMNS: [MapColumn; 8] = [
    MapColumn::Ram,
    MapColumn::Uss,
    MapColumn::Rss,
    MapColumn::Swap,
    MapColumn::Mappings,
    MapColumn::Processes,
    MapColumn::Most,
    MapColumn::Name,
];

/// The look of a CSV text.
pub(super) struct CsvOptions<'a> {
    pub(super) columns: &'a [MapColumn],
    pub(super) is_by_program: bool,
    /// The rule of the names of programs.
    pub(super) rule: NameRule,
    pub(super) no_header: bool,
    pub(super) is_total: bool,
    pub(super) is_terminal: bool,
}

/// A record for each line of the table. With rows of programs, the name and the key of the program
/// follow the kind of the record.
pub(super) fn csv(maps: &Maps<'_>, options: &CsvOptions<'_>) -> String {
    let mut text = String::new();
    let programs = if options.is_by_program { &["program", "key"][..] } else { &[] };
    if !options.no_header {
        let columns = options.columns.iter().map(|column| column.label());
        let fields = ["row"].into_iter().chain(programs.iter().copied()).chain(columns);
        csv_record(&mut text, fields.map(str::to_owned));
    }
    let mut write = |kind: &str, program: &[u8], usage: Option<&MapUsage>, name: &[u8]| {
        let foreign = |bytes: &[u8]| escape::csv(escape::field(bytes, options.is_terminal));
        let key = process::key(options.rule, program);
        let programs = [foreign(program), foreign(&key)];
        let programs = programs.into_iter().filter(|_| options.is_by_program);
        let columns = options.columns.iter().map(|column| match column.kind() {
            ColumnKind::Text => foreign(name),
            ColumnKind::Overlapping if kind == "total" => String::new(),
            _ => usage.and_then(|usage| field(usage, *column)).unwrap_or_default(),
        });
        csv_record(&mut text, [kind.to_owned()].into_iter().chain(programs).chain(columns));
    };
    for program in maps.programs.iter().filter(|_| !options.is_total) {
        if options.is_by_program {
            write("program", &program.name, Some(&program.usage), b"");
        }
        for row in &program.rows {
            write("mapping", &program.name, Some(&row.usage), &row.name);
        }
        if let Some(rest) = &program.rest {
            write("rest", &program.name, Some(&rest.usage), b"");
        }
    }
    if let Some(rest) = maps.rest.as_ref().filter(|_| !options.is_total) {
        write("program-rest", b"", Some(&rest.usage), b"");
    }
    write("total", b"", maps.total.as_ref(), b"");
    text
}

fn field(usage: &MapUsage, column: MapColumn) -> Option<String> {
    let amount = usage.amount(column).map(|kib| Unit::Bytes.format(kib));
    amount.or_else(|| usage.number(column).map(|number| number.to_string()))
}

/// Families of samples: column, name, unit.
const FAMILIES: [(MapColumn, &str, &str); 6] = [
    (MapColumn::Ram, "mapping_ram_bytes", "bytes"),
    (MapColumn::Uss, "mapping_uss_bytes", "bytes"),
    (MapColumn::Rss, "mapping_rss_bytes", "bytes"),
    (MapColumn::Swap, "mapping_swap_bytes", "bytes"),
    (MapColumn::Mappings, "mappings", ""),
    (MapColumn::Processes, "mapping_processes", ""),
];

/// The text for node_exporter. `limit` is `vm.max_map_count`.
pub(super) fn openmetrics(
    maps: &Maps<'_>,
    (is_by_program, is_total, is_terminal): (bool, bool, bool),
    limit: Option<u64>,
    (facts, missing): (&Facts, &Missing<'_>),
) -> String {
    let mut metrics = Metrics::default();
    let labelled = |program: &str, mapping: &str| match is_by_program {
        true => metric_labels(&[("program", program), ("mapping", mapping)]),
        false => metric_labels(&[("mapping", mapping)]),
    };
    let samples = |program: &'_ ProgramMaps<'_>| {
        let label = metric_label(&program.name, is_terminal);
        let rest = program.rest.iter().map(|rest| (labelled(&label, OTHER), rest.usage));
        let rows = program.rows.iter();
        let rows =
            rows.map(|row| (labelled(&label, &metric_label(&row.name, is_terminal)), row.usage));
        rows.chain(rest).collect::<Vec<_>>()
    };
    let rest = maps.rest.iter().map(|rest| (labelled(OTHER, OTHER), rest.usage));
    let rows: Vec<(String, MapUsage)> =
        maps.programs.iter().filter(|_| !is_total).flat_map(samples).collect();
    let rows: Vec<_> = rows.into_iter().chain(rest.filter(|_| !is_total)).collect();
    for (column, name, unit) in FAMILIES {
        let sample =
            |(labels, usage): &(String, MapUsage)| Some((labels.clone(), field(usage, column)?));
        metrics.family(name, unit, &format!("{}.", column.help()), rows.iter().filter_map(sample));
    }
    let total = maps.total.as_ref();
    metrics.amount("total_ram_bytes", "Sum of RAM over all rows.", total.map(|sum| sum.ram));
    let swap = total.and_then(|sum| sum.swap);
    metrics.amount("total_swap_bytes", "Sum of swap over all rows.", swap);
    let number = |number: Option<u64>| number.map(|number| (String::new(), number.to_string()));
    let most = number(maps.fullest.as_ref().map(|fullest| fullest.mappings));
    metrics.family("mappings_of_a_process_max", "", "The most mappings of one process.", most);
    let help = "The number of mappings that a process may have (vm.max_map_count).";
    metrics.family("mappings_limit", "", help, number(limit));
    metrics.run(facts, missing);
    metrics.end()
}
