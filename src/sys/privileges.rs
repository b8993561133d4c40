//! The privileges that decide whether this process may read the memory figures of others.

/// Security modules that have a say when one process reads of another's memory (the hook
/// `ptrace_access_check`; yama has it too, and looks at debuggers only).
const SECURITY_MODULES: [&str; 5] = ["selinux", "apparmor", "smack", "landlock", "bpf"];

/// What decides whether this program may look into other users' processes (`capabilities(7)`).
#[derive(Clone, Copy, Debug)]
pub struct Privileges {
    /// Whether it runs as root.
    pub is_root: bool,
    /// `CAP_SYS_PTRACE`.
    pub may_trace: bool,
    /// `CAP_PERFMON`, or `CAP_SYS_ADMIN`, which stands for it.
    pub may_perfmon: bool,
    /// Whether all of that is worth nothing outside of a user namespace.
    pub is_in_user_namespace: bool,
}

/// The privileges of this thread.
pub fn privileges() -> Privileges {
    use rustix::thread::{CapabilitySet, capabilities};
    let sets = capabilities(None);
    let has = |any| sets.is_ok_and(|sets| sets.effective.intersects(any));
    Privileges {
        is_root: rustix::process::geteuid().is_root(),
        may_trace: has(CapabilitySet::SYS_PTRACE),
        may_perfmon: has(CapabilitySet::PERFMON | CapabilitySet::SYS_ADMIN),
        is_in_user_namespace: is_in_user_namespace(),
    }
}

/// The first user namespace maps every id to itself (`user_namespaces(7)`).
fn is_in_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map");
    map.is_ok_and(|map| !map.split_whitespace().eq(["0", "0", "4294967295"]))
}

/// Whether this thread is in a group (`in_group_p`, kernel/groups.c).
pub(super) fn is_in_group(group: u32) -> bool {
    use rustix::process::{getegid, getgroups};
    let is_it = |gid: rustix::process::Gid| gid.as_raw() == group;
    is_it(getegid()) || getgroups().is_ok_and(|groups| groups.into_iter().any(is_it))
}

/// The security modules that may have refused a read, none where securityfs is not mounted or not
/// to be read.
pub fn security_modules() -> Vec<&'static str> {
    let active = std::fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    those_that_refuse(&active)
}

/// Of a list with commas between.
fn those_that_refuse(active: &str) -> Vec<&'static str> {
    let is_active = |name: &&str| active.trim_end().split(',').any(|active| active == *name);
    SECURITY_MODULES.into_iter().filter(is_active).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_modules_that_can_refuse_are_suspected() {
        let active = "lockdown,capability,landlock,yama,apparmor,ima,evm\n";
        assert_eq!(those_that_refuse(active), ["apparmor", "landlock"]);
        assert_eq!(those_that_refuse("capability,selinux"), ["selinux"]);
        assert!(those_that_refuse("capability,yama").is_empty());
        assert!(those_that_refuse("").is_empty());
    }
}
