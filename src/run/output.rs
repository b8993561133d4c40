//! The format of a report, and its destination.

use super::settings::{Output, Settings};
use crate::error::Error;
use crate::program::{Column, Snapshot};
use crate::report::escape::Charset;
use crate::report::{self, Format, Report, TableOptions, Unit};
use crate::sys::{file, stdio, terminal};

/// Writes the report to its destination.
pub(super) fn write(settings: &Settings, report: &Report<'_>) -> Result<(), Error> {
    write_text(&settings.output, &render(settings, report, None, usize::MAX)?)
}

/// Writes a text to the destination of the report.
pub(crate) fn write_text(output: &Output, text: &str) -> Result<(), Error> {
    match &output.file {
        None => stdio::write_stdout(text.as_bytes()).map_err(Error::Output),
        Some(path) => file::replace(path, text.as_bytes())
            .map_err(|why| Error::refused("write the report", path, why)),
    }
}

/// The characters of a text for people.
pub(crate) fn charset() -> Charset {
    if terminal::locale_is_unicode() { Charset::Unicode } else { Charset::Ascii }
}

/// The report as a text; with a previous report, a table with marks for changes. The memory of the
/// host below a table has at most `host_lines` lines, if it needs no more.
pub(super) fn render(
    settings: &Settings,
    report: &Report<'_>,
    before: Option<&Snapshot>,
    host_lines: usize,
) -> Result<String, Error> {
    let Output { format, unit, no_header, .. } = settings.output;
    let is_terminal = settings.output.file.is_none() && terminal::stdout_is_terminal();
    let total = match report.programs.total {
        None if settings.is_total => {
            return Err(Error::NoTotal(report.missing.lines().join("; ")));
        }
        total => total.and_then(|total| total.get(Column::Ram)).unwrap_or_default(),
    };
    Ok(match format {
        Format::Table if settings.is_total => report::total(total, unit.unwrap_or(Unit::Bytes)),
        Format::Table => {
            let options = TableOptions { before, ..table_options(settings) };
            let host = |host| report::host(host, &options, host_lines);
            report::table(report.programs, &options) + &report.host.map(host).unwrap_or_default()
        }
        Format::Json => report::json(report),
        Format::Ndjson => report::ndjson(report),
        Format::Csv => report::csv(report, no_header, is_terminal),
        Format::OpenMetrics => report::openmetrics(report, is_terminal),
    })
}

/// The look of a table: fitted to the terminal, whole and without colour in a file.
pub(crate) fn table_options(settings: &Settings) -> TableOptions<'_> {
    let output = &settings.output;
    let is_file = output.file.is_some();
    TableOptions {
        columns: &settings.columns,
        unit: output.unit.unwrap_or_default(),
        no_header: output.no_header,
        terminal: if is_file { None } else { terminal::terminal_columns() },
        is_colored: output.color.is_wanted(!is_file && terminal::likes_color()),
        charset: charset(),
        before: None,
    }
}
