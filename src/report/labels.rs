//! The users and the control groups of rows, as text.

use crate::program::{Programs, Uniform, user_name};

/// Stands for what is not the same of all.
const SEVERAL: &[u8] = b"*";

/// The user: foreign bytes.
pub(super) fn user(programs: &Programs<'_>, uid: Uniform<u32>) -> Option<Vec<u8>> {
    match uid {
        Uniform::Unknown => None,
        Uniform::Mixed => Some(SEVERAL.to_vec()),
        Uniform::Same(uid) => Some(user_name(programs.users, uid)),
    }
}

/// The control group: foreign bytes. It begins with `/`, so none is `*`.
pub(super) fn cgroup(path: Uniform<&[u8]>) -> Option<&[u8]> {
    match path {
        Uniform::Unknown => None,
        Uniform::Mixed => Some(SEVERAL),
        Uniform::Same(path) => Some(path),
    }
}
