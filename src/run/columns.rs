//! Which columns a report has, and which memory file they need.

use crate::cli::Options;
use crate::error::Error;
use crate::process::Source;
use crate::program::Column;
use crate::report::{self, Format};

/// The columns of the report, each once.
pub(super) fn columns(options: &Options) -> Result<Vec<Column>, Error> {
    if options.columns.is_empty() {
        return Ok(usual(options));
    }
    let mut rest = &options.columns[..];
    while let Some((column, behind)) = rest.split_first() {
        if behind.contains(column) {
            let word = column.definition().word;
            return Err(Error::Usage(format!("--columns names {word} twice; name it once")));
        }
        rest = behind;
    }
    Ok(options.columns.clone())
}

fn usual(options: &Options) -> Vec<Column> {
    let usual = match options.format() {
        Format::Csv => &report::CSV_COLUMNS[..],
        _ => &report::COLUMNS,
    };
    let mut columns = usual.to_vec();
    if let (true, Some(swap)) = (options.heap, usual.iter().position(|one| *one == Column::Swap)) {
        columns.insert(swap, Column::Heap);
    }
    columns
}

/// The memory file that has the figures which are shown, or what is wrong with the wish.
pub(super) fn source(options: &Options, columns: &[Column]) -> Result<Source, Error> {
    let needs_smaps = columns.contains(&Column::Heap);
    let is_of_rollup =
        |column: &&Column| matches!(column, Column::PssAnon | Column::PssFile | Column::PssShmem);
    let needs_rollup = columns.iter().chain([&options.sort]).find(is_of_rollup);
    let heap = if options.heap { "--heap" } else { "the column heap" };
    match (needs_rollup.map(|column| column.definition().word), options.source) {
        (_, Source::Rollup) if needs_smaps => {
            Err(Error::Usage(format!("{heap} needs full smaps: leave out --source rollup")))
        }
        _ if options.sort == Column::Heap && !needs_smaps => {
            Err(Error::Usage("--sort heap needs the figures of --heap: add --heap".to_owned()))
        }
        (Some(word), _) if needs_smaps => Err(Error::Usage(format!(
            "{heap} needs full smaps, and {word} is only in the rollup: ask for one of them"
        ))),
        (Some(word), Source::Smaps) => {
            Err(Error::Usage(format!("{word} is only in the rollup: leave out --source smaps")))
        }
        _ if needs_smaps => Ok(Source::Smaps),
        (_, source) => Ok(source),
    }
}
