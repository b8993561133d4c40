//! Whose processes a row has, and where they are, in words.

use crate::program::{Common, Programs, user_name};

/// Stands for what is not the same of all.
const SEVERAL: &[u8] = b"*";

/// The user: foreign bytes.
pub(super) fn user(programs: &Programs<'_>, uid: Common<u32>) -> Option<Vec<u8>> {
    Some(match (uid, programs.users) {
        (Common::Unknown, _) => return None,
        (Common::Several, _) => SEVERAL.to_vec(),
        (Common::One(uid), Some(users)) => user_name(users, uid),
        (Common::One(uid), None) => uid.to_string().into_bytes(),
    })
}

/// The control group: foreign bytes. It begins with `/`, so none is `*`.
pub(super) fn cgroup(path: Common<&[u8]>) -> Option<&[u8]> {
    match path {
        Common::Unknown => None,
        Common::Several => Some(SEVERAL),
        Common::One(path) => Some(path),
    }
}
