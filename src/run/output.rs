//! Which form a report has, and where it goes.

use std::path::Path;

use crate::cli::{Options, check_unit};
use crate::error::Error;
use crate::program::{Column, Grouping, PreviousReport};
use crate::report::{self, Format, Report, TableOptions, Unit};
use crate::sys::file;
use crate::sys::stdio;
use crate::sys::terminal;

/// Whether the form can be had that the options describe.
pub(super) fn check(options: &Options) -> Result<(), Error> {
    let format = options.format();
    let usage = |message: &str| Err(Error::Usage(message.to_owned()));
    check_unit(format == Format::Table, options.unit)?;
    if options.output_file.as_deref().is_some_and(|path| path == Path::new("-")) {
        return usage(
            "standard output is where it goes without --output-file; write ./- for a file of that \
             name",
        );
    }
    if format == Format::OpenMetrics && !options.columns.is_empty() {
        return usage("--columns is not for openmetrics; leave it out (--heap adds the heap)");
    }
    if format == Format::Csv && options.summary {
        return usage("--summary is no record of csv; leave it out, or use json");
    }
    if format == Format::OpenMetrics && options.by == Grouping::Pid {
        return usage(
            "--by pid would make a new label for each process; leave it out, or use json",
        );
    }
    Ok(())
}

/// Writes the report to where it belongs.
pub(super) fn write(options: &Options, report: &Report<'_>) -> Result<(), Error> {
    write_text(options, &render(options, report, None)?)
}

/// Writes a text to where the report belongs.
pub(super) fn write_text(options: &Options, text: &str) -> Result<(), Error> {
    match &options.output_file {
        None => stdio::write_stdout(text.as_bytes()).map_err(Error::Output),
        Some(path) => file::replace(path, text.as_bytes())
            .map_err(|why| Error::refused("write the report", path, &why)),
    }
}

/// The report as a text; a table with marks for how rows changed.
pub(super) fn render(
    options: &Options,
    report: &Report<'_>,
    before: Option<&PreviousReport>,
) -> Result<String, Error> {
    let no_total = || Error::NoTotal(report.missing.lines().join("; "));
    let total = match report.programs.total {
        None if options.total => return Err(no_total()),
        total => total.and_then(|total| total.get(Column::Ram)).unwrap_or_default(),
    };
    Ok(match options.format() {
        Format::Table if options.total => report::total(total, options.unit.unwrap_or(Unit::Bytes)),
        Format::Table => {
            let look = TableOptions { before, ..look(options, report.columns) };
            let summary = |host| report::summary(host, look.unit, look.is_colored);
            report::table(report.programs, &look) + &report.host.map(summary).unwrap_or_default()
        }
        Format::Json => report::json(report),
        Format::Ndjson => report::ndjson(report),
        Format::Csv => report::csv(report, options.no_header),
        Format::OpenMetrics => report::openmetrics(report),
    })
}

/// How a table looks. In a file it is whole and plain.
pub(super) fn look<'a>(options: &Options, columns: &'a [Column]) -> TableOptions<'a> {
    let is_file = options.output_file.is_some();
    TableOptions {
        columns,
        grouping: options.by,
        unit: options.unit.unwrap_or_default(),
        no_header: options.no_header,
        terminal: if is_file { None } else { terminal::terminal_columns() },
        is_colored: options.color.is_wanted(!is_file && terminal::likes_color()),
        before: None,
    }
}
