//! Mappings as a table: a line for each name, or for each program and below it its names.

use super::column::MapColumn;
use super::rows::{MapRest, Maps};
use super::usage::MapUsage;
use crate::program::ColumnKind;
use crate::report::{Cell, Content, Layout, Style, TableOptions, Unit, cut_front, escape};
use crate::units::Kib;

/// The blanks in front of the mappings of a program.
const INDENT: &str = "  ";
/// The suffixes of the row of programs that are cut.
const MORE: [&str; 2] = [" more program)", " more programs)"];

/// One line: its figures, unless they are unknown, and its name.
struct MapLine<'a> {
    style: Style,
    mark: Option<char>,
    usage: Option<&'a MapUsage>,
    is_total: bool,
    indent: &'static str,
    name: LineName<'a>,
}

enum LineName<'a> {
    Foreign(&'a [u8]),
    Own(String),
    Total,
}

/// The whole table.
pub(super) fn table(
    maps: &Maps<'_>,
    is_by_program: bool,
    columns: &[MapColumn],
    options: &TableOptions<'_>,
) -> String {
    let lines = lines(maps, is_by_program);
    let total = |column| maps.total.as_ref().and_then(|total| total.amount(column));
    let biggest = total(MapColumn::Ram).max(total(MapColumn::Swap)).unwrap_or_default();
    let unit = options.unit.resolve(biggest);
    let title = if is_by_program { "PROGRAM, MAPPING" } else { MapColumn::Name.header() };
    let header: Vec<Cell> =
        columns.iter().map(|column| header(*column, columns, unit, title)).collect();
    let content = |(place, column): (usize, &MapColumn)| {
        // No column follows the last one.
        let is_free = place + 1 == columns.len() && options.terminal.is_none();
        let width = |line: &MapLine<'_>| cell(line, *column, unit, None, options).display_width();
        let widest = if is_free { 0 } else { lines.iter().map(width).max().unwrap_or_default() };
        let head = if options.no_header { 0 } else { header[place].display_width() };
        Content { kind: column.kind(), is_name: *column == MapColumn::Name, head, widest }
    };
    let contents: Vec<Content> = columns.iter().enumerate().map(content).collect();
    let layout = Layout::new(&contents, options);
    let (mut text, room) = (String::new(), layout.name_room());
    if !options.no_header {
        layout.line(&mut text, Style::Strong, None, header);
    }
    for line in &lines {
        let cells = columns.iter().map(|column| cell(line, *column, unit, room, options));
        layout.line(&mut text, line.style, line.mark, cells);
    }
    text
}

fn lines<'a>(maps: &'a Maps<'_>, is_by_program: bool) -> Vec<MapLine<'a>> {
    let line = |style, usage, indent, name| MapLine {
        style,
        mark: None,
        usage: Some(usage),
        is_total: false,
        indent,
        name,
    };
    let rest = |rest: &'a MapRest, indent, what: &str| {
        let name = LineName::Own(format!("({}{what}", rest.rows));
        line(Style::Faint, &rest.usage, indent, name)
    };
    let indent = if is_by_program { INDENT } else { "" };
    let mut lines = Vec::new();
    for program in &maps.programs {
        if is_by_program {
            lines.push(line(Style::Strong, &program.usage, "", LineName::Foreign(&program.name)));
        }
        let rows = program.rows.iter();
        let rows =
            rows.map(|row| line(Style::Plain, &row.usage, indent, LineName::Foreign(&row.name)));
        lines.extend(rows);
        lines.extend(program.rest.iter().map(|one| rest(one, indent, " more)")));
    }
    lines.extend(maps.rest.iter().map(|one| rest(one, "", MORE[usize::from(one.rows > 1)])));
    lines.push(MapLine {
        style: Style::Strong,
        mark: Some('#'),
        usage: maps.total.as_ref(),
        is_total: true,
        indent: "",
        name: LineName::Total,
    });
    lines
}

fn header(column: MapColumn, columns: &[MapColumn], unit: Unit, title: &'static str) -> Cell {
    let head = column.header();
    let first_amount = columns.iter().find(|column| column.kind().is_amount());
    match column.kind() {
        ColumnKind::Text => Cell::Words(title, MapColumn::Name.header()),
        _ if first_amount == Some(&column) => Cell::Number(format!("{} {head}", unit.head())),
        _ => Cell::Number(head.to_owned()),
    }
}

fn cell(
    line: &MapLine<'_>,
    column: MapColumn,
    unit: Unit,
    room: Option<usize>,
    options: &TableOptions<'_>,
) -> Cell {
    let charset = options.charset;
    let number = |usage: &MapUsage| usage.number(column).map(|number| number.to_string());
    Cell::Number(match column.kind() {
        ColumnKind::Text => {
            let name = match &line.name {
                LineName::Total => return Cell::Words("TOTAL USED BY PROCESSES", "TOTAL"),
                LineName::Own(name) => {
                    return Cell::Name(format!("{}{name}", line.indent), String::new());
                }
                LineName::Foreign(name) => *name,
            };
            let shown = charset.name(name);
            let looks_like_rest =
                name.starts_with(b"(") && MORE.iter().any(|more| name.ends_with(more.as_bytes()));
            let shown = if looks_like_rest { escape::first_char(&shown) } else { shown };
            // The end of a path tells files apart.
            let room = room.map(|room| room.saturating_sub(line.indent.len()));
            let shown = match room {
                Some(room) => cut_front(&shown, room, charset).into_owned(),
                None => shown,
            };
            return Cell::Name(format!("{}{shown}", line.indent), String::new());
        }
        // Shared pages would count in several rows.
        ColumnKind::Overlapping if line.is_total => String::new(),
        kind if kind.is_amount() => match line.usage.map(|usage| usage.amount(column)) {
            // Without swap the cell is empty.
            Some(Some(Kib(0))) if column == MapColumn::Swap => String::new(),
            Some(Some(amount)) => unit.format(amount),
            _ => "-".to_owned(),
        },
        _ => line.usage.map_or(Some("-".to_owned()), number).unwrap_or_default(),
    })
}
