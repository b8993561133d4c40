//! Users by name and by id: which are asked for, and what their rows go by.
//!
//! Names are those of this host. Who looks into the `/proc` of another one, or into a directory
//! that stands in for it, has to do with numbers: there the same id can be somebody else.

use crate::cli::{Options, User};
use crate::error::Error;
use crate::program::UserNames;
use crate::sys::proc_root::ProcRoot;
use crate::sys::users::{PASSWD, Users};

/// The ids that `--user` asks for, ascending, and the names that rows need.
pub(super) fn find(
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
