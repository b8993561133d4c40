//! Which columns a report has, and which memory file they need.

use crate::cli::{Options, User};
use crate::error::Error;
use crate::process::Source;
use crate::program::{Column, UserNames};
use crate::report::{self, Format};
use crate::sys::proc_root::ProcRoot;
use crate::sys::users::{PASSWD, Users};

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

/// The ids that `--user` asks for, ascending, and the names that rows need.
pub(super) fn users(
    options: &Options,
    shows_user: bool,
    root: &ProcRoot,
) -> Result<(Vec<u32>, UserNames), Error> {
    let is_named = options.user.iter().any(|user| matches!(user, User::Name(_)));
    let is_own = (is_named || shows_user) && root.is_own();
    let read = || Users::read().map_err(|why| Error::refused("read", PASSWD.as_ref(), &why));
    let users = if is_own { read()? } else { Users::default() };
    let mut ids = Vec::new();
    for user in &options.user {
        ids.push(match user {
            User::Id(id) => *id,
            User::Name(name) => users.id(name.as_bytes()).ok_or_else(|| unknown(user, is_own))?,
        });
    }
    ids.sort_unstable();
    ids.dedup();
    Ok((ids, users.into_names()))
}

fn unknown(user: &User, is_own: bool) -> Error {
    let why = if is_own {
        "/etc/passwd has no user of this name; give its number (id -u NAME tells it)"
    } else {
        "names are those of this host, and --proc-root is not its /proc; give a number"
    };
    Error::Usage(format!("--user '{user}': {why}"))
}
