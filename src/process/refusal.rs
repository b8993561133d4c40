//! The reason that the kernel refuses the memory of a process, by the texts and the owner of the
//! process. The order is that of `__ptrace_may_access` (kernel/ptrace.c), except that capabilities
//! come before the lack of a dump that they cause.

use super::status;

/// The ids and capabilities that the kernel compares with those of another process.
#[derive(Clone, Copy, Debug)]
pub struct Credentials {
    /// The effective user.
    pub uid: u32,
    /// The effective group.
    pub gid: u32,
    /// The effective capabilities, one bit each.
    pub capabilities: u64,
}

/// The reason for a refusal, as far as the refused process explains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It belongs to another user.
    OtherUser,
    /// Its real or saved user, or one of its groups, is another one.
    OtherIds,
    /// It forbids dumps, or cannot read its own binary.
    NotDumpable,
    /// It has capabilities that the reader lacks.
    Capable,
    /// Its files are a copy, and their permissions forbid it.
    Permissions,
    /// Nothing about it explains the refusal.
    Unexplained,
}

impl Refusal {
    /// Every reason.
    pub const ALL: [Refusal; 6] = [
        Refusal::OtherUser,
        Refusal::OtherIds,
        Refusal::NotDumpable,
        Refusal::Capable,
        Refusal::Permissions,
        Refusal::Unexplained,
    ];

    /// The reason by `status`, and by the owner of that file: root owns the files of a process that
    /// is not dumpable (`task_dump_owner`, fs/proc/base.c).
    pub fn find(status: &[u8], file_owner: Option<u32>, reader: Credentials) -> Refusal {
        let Credentials { uid, gid, capabilities } = reader;
        let Some([real, effective, saved]) = status::ids(status, b"Uid") else {
            return Refusal::Unexplained;
        };
        let is_group_other = status::ids(status, b"Gid").is_some_and(|gids| gids != [gid; 3]);
        if effective != uid {
            Refusal::OtherUser
        } else if [real, saved] != [uid; 2] || is_group_other {
            Refusal::OtherIds
        } else if status::permitted(status).is_some_and(|theirs| theirs & !capabilities != 0) {
            // An exec that gains capabilities forbids dumps, too.
            Refusal::Capable
        } else if file_owner.is_some_and(|owner| owner != uid) {
            Refusal::NotDumpable
        } else {
            Refusal::Unexplained
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_the_first_reason_of_the_kernel() {
        let reader = Credentials { uid: 1000, gid: 100, capabilities: 0b1000 };
        for (uids, gids, permitted, owner, reason) in [
            ("0 0 0 0", "0 0 0 0", "1ff", 0, Refusal::OtherUser),
            ("1000 0 0 0", "100 100 100 100", "0", 0, Refusal::OtherUser),
            ("0 1000 0 1000", "100 100 100 100", "0", 0, Refusal::OtherIds),
            ("1000 1000 1000 1000", "100 7 7 7", "0", 0, Refusal::OtherIds),
            ("1000 1000 1000 1000", "100 100 100 100", "8", 0, Refusal::NotDumpable),
            ("1000 1000 1000 1000", "100 100 100 100", "c", 0, Refusal::Capable),
            ("1000 1000 1000 1000", "100 100 100 100", "c", 1000, Refusal::Capable),
            ("1000 1000 1000 1000", "100 100 100 100", "8", 1000, Refusal::Unexplained),
        ] {
            let status = format!("Name:\tx\nUid:\t{uids}\nGid:\t{gids}\nCapPrm:\t{permitted}\n");
            let status = status.replace(' ', "\t");
            let found = Refusal::find(status.as_bytes(), Some(owner), reader);
            assert_eq!(found, reason, "{status}");
        }
        assert_eq!(Refusal::find(b"", Some(0), reader), Refusal::Unexplained);
    }
}
