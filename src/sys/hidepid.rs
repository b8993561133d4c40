//! Whether `/proc` keeps the processes of others from being listed (mount option `hidepid`).
//!
//! The kernel hides a process when its listing is asked by one that may not trace it
//! (`has_pid_permissions`, fs/proc/base.c). Nothing in the listing tells; the mount option does.

use std::os::fd::{AsRawFd, BorrowedFd};

use super::host::{self, Privileges};

/// How `/proc` hides processes, as `/proc/self/mountinfo` spells it.
#[derive(Debug, PartialEq, Eq)]
struct HidePid {
    value: String,
    /// Members of this group see all; not so with `ptraceable`.
    group: u32,
}

/// The option that hides processes of others from this one: `hidepid=invisible`. `None` when they
/// are listed, and when there is no `/proc` of our own to ask.
pub(super) fn in_force(proc: BorrowedFd<'_>, may: Privileges) -> Option<String> {
    // Tracing is allowed, so everything is shown. Mounts can be many: not to be read in vain.
    if may.may_trace && !may.is_in_user_namespace {
        return None;
    }
    let fdinfo = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", proc.as_raw_fd())).ok()?;
    let mount = fdinfo.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let HidePid { value, group } = option_of(&mounts, mount)?;
    let is_exempt = value != "ptraceable" && value != "4" && host::is_in_group(group);
    (!is_exempt).then(|| format!("hidepid={value}"))
}

/// The option of one mount, when it makes processes invisible. Numbers are those of kernels before
/// 5.8. With `hidepid=1` processes are listed and refused one by one.
fn option_of(mounts: &str, id: &str) -> Option<HidePid> {
    let line = mounts.lines().find(|line| line.split(' ').next() == Some(id))?;
    // Type, source and options stand behind a dash, the first two without blanks.
    let options = line.split_once(" - ")?.1.splitn(3, ' ').nth(2)?;
    let value_of = |key: &str| options.split(',').find_map(|option| option.strip_prefix(key));
    let value = value_of("hidepid=")?;
    let is_hiding = matches!(value, "invisible" | "ptraceable" | "2" | "4");
    let group = value_of("gid=").and_then(|gid| gid.parse().ok()).unwrap_or(0);
    is_hiding.then(|| HidePid { value: value.to_owned(), group })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let mounts = "\
45 43 0:21 / /proc rw,relatime - proc proc rw
63 45 0:39 / /proc rw,relatime shared:7 - proc proc rw,gid=27,hidepid=invisible
64 45 0:39 / /proc rw,relatime - proc proc rw,hidepid=2
65 45 0:39 / /proc rw,relatime - proc proc rw,hidepid=ptraceable
66 45 0:39 / /proc rw,hidepid=2 - proc proc rw,hidepid=noaccess
6 45 0:40 / /a\\040-\\040b rw - tmpfs hidepid=2 rw
";
        let found = |id| option_of(mounts, id).map(|option| (option.value, option.group));
        assert_eq!(found("63"), Some(("invisible".to_owned(), 27)));
        assert_eq!(found("64"), Some(("2".to_owned(), 0)));
        assert_eq!(found("65"), Some(("ptraceable".to_owned(), 0)));
        for id in ["45", "66", "6", "4", ""] {
            assert_eq!(found(id), None, "{id}");
        }
    }
}
