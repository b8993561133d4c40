//! Whose processes a row has, and where they are, in words.

use crate::program::{Column, Common, Program, Programs, user_name};

/// Stands for what is not the same of all.
const SEVERAL: &[u8] = b"*";

/// The user or the control group: foreign bytes. A group begins with `/`, so none is `*`.
pub(super) fn text(programs: &Programs<'_>, row: &Program<'_>, column: Column) -> Option<Vec<u8>> {
    let name = |uid: u32| match programs.users {
        Some(users) => user_name(users, uid),
        None => uid.to_string().into_bytes(),
    };
    match (column, row.uid, row.cgroup) {
        (Column::User, Common::One(uid), _) => Some(name(uid)),
        (Column::Cgroup, _, Common::One(path)) => Some(path.to_vec()),
        (Column::User, Common::Several, _) | (Column::Cgroup, _, Common::Several) => {
            Some(SEVERAL.to_vec())
        }
        _ => None,
    }
}
