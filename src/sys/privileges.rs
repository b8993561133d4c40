//! The privileges that decide whether this process may read memory figures of other users.

use rustix::thread::{CapabilitiesSecureBits, CapabilitySet};
use rustix::thread::{capabilities, capabilities_secure_bits, capability_is_in_ambient_set};

use crate::process::Credentials;

/// Security modules that can refuse such a read (the hook `ptrace_access_check`; yama uses it too,
/// but only for debuggers), and their ids (include/uapi/linux/lsm.h).
const SECURITY_MODULES: [(&str, u64); 5] =
    [("selinux", 101), ("apparmor", 104), ("smack", 102), ("landlock", 110), ("bpf", 109)];

/// The privileges of a thread (`capabilities(7)`).
#[derive(Clone, Copy, Debug)]
pub struct Privileges {
    /// The ids and capabilities that the kernel compares.
    pub credentials: Credentials,
    /// `CAP_SYS_PTRACE`.
    pub may_trace: bool,
    /// `CAP_PERFMON`, or `CAP_SYS_ADMIN`, which includes it.
    pub may_perfmon: bool,
    /// Whether these privileges end at the border of a user namespace.
    pub is_in_user_namespace: bool,
}

/// The privileges of the calling thread.
pub fn privileges() -> Privileges {
    let sets = capabilities(None);
    let has = |any| sets.is_ok_and(|sets| sets.effective.intersects(any));
    Privileges {
        credentials: Credentials {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            capabilities: sets.map_or(0, |sets| sets.effective.bits()),
        },
        may_trace: has(CapabilitySet::SYS_PTRACE),
        may_perfmon: has(CapabilitySet::PERFMON | CapabilitySet::SYS_ADMIN),
        is_in_user_namespace: is_in_user_namespace(),
    }
}

/// The capabilities of this process. Where a filter refuses capget(2): all if its file may have
/// some, else the ambient ones.
pub(super) fn permitted() -> CapabilitySet {
    // SAFETY: the call takes and returns only numbers.
    let is_secure = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    let is_held = |one: &CapabilitySet| is_secure || is_ambient(*one);
    let unknown = |_| CapabilitySet::all().iter().filter(is_held).collect();
    capabilities(None).map_or_else(unknown, |sets| sets.permitted)
}

/// Whether access(2) asks with the rights of the caller, without capabilities. A securebit turns
/// that off (`access_override_creds`, fs/open.c).
pub(super) fn tests_ids_of_caller() -> bool {
    let off = CapabilitiesSecureBits::NO_SETUID_FIXUP;
    capabilities_secure_bits().is_ok_and(|bits| !bits.contains(off))
}

/// Whether a capability is ambient: an exec keeps it.
pub(super) fn is_ambient(one: CapabilitySet) -> bool {
    capability_is_in_ambient_set(one) == Ok(true)
}

/// Whether this process is in another than the first user namespace, which maps every id to itself
/// (`user_namespaces(7)`).
fn is_in_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map");
    map.is_ok_and(|map| !map.split_whitespace().eq(["0", "0", "4294967295"]))
}

/// Whether the kernel accepts `CAP_PERFMON` for memory figures, as it does since Linux 6.15
/// (`may_access_mm`, kernel/fork.c).
pub fn is_perfmon_enough() -> bool {
    let (_, release) = super::this_process::name_and_kernel();
    super::this_process::release_numbers(&release) >= Some((6, 15))
}

/// Whether the calling thread is in a group (`in_group_p`, kernel/groups.c).
pub(super) fn is_in_group(group: u32) -> bool {
    use rustix::process::{getegid, getgroups};
    let is_it = |gid: rustix::process::Gid| gid.as_raw() == group;
    is_it(getegid()) || getgroups().is_ok_and(|groups| groups.into_iter().any(is_it))
}

/// The active security modules that can refuse a read. Empty if neither securityfs nor the kernel
/// (6.8) lists them.
pub fn security_modules() -> Vec<&'static str> {
    match std::fs::read_to_string("/sys/kernel/security/lsm") {
        Ok(active) => of_names(&active),
        Err(_) => of_ids(&active_ids()),
    }
}

/// The number of `lsm_list_modules(2)` on every architecture.
const LSM_LIST_MODULES: libc::c_long = 461;
/// The most modules that are listed: a kernel has about a dozen.
const MODULES_MAX: usize = 64;

/// The ids of the active security modules; none on kernels before 6.8.
fn active_ids() -> Vec<u64> {
    let mut ids = vec![0_u64; MODULES_MAX];
    let mut bytes = u32::try_from(size_of_val(&ids[..])).unwrap_or_default();
    // SAFETY: `bytes` is the size of `ids`, which the kernel does not exceed; both live until the
    // call returns, and any bytes are numbers.
    let count = unsafe { libc::syscall(LSM_LIST_MODULES, ids.as_mut_ptr(), &raw mut bytes, 0) };
    ids.truncate(usize::try_from(count).unwrap_or_default());
    ids
}

fn of_ids(ids: &[u64]) -> Vec<&'static str> {
    that_can_refuse(|_, id| ids.contains(&id))
}

fn of_names(active: &str) -> Vec<&'static str> {
    that_can_refuse(|name, _| active.trim_end().split(',').any(|active| active == name))
}

/// The names of the active modules that can refuse a read.
fn that_can_refuse(is_active: impl Fn(&str, u64) -> bool) -> Vec<&'static str> {
    let active = SECURITY_MODULES.into_iter().filter(|(name, id)| is_active(name, *id));
    active.map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel and securityfs agree.
    #[test]
    fn the_kernel_lists_the_modules_of_securityfs() {
        let active = std::fs::read_to_string("/sys/kernel/security/lsm");
        let ids = active_ids();
        if let (Ok(active), false) = (active, ids.is_empty()) {
            assert_eq!(of_ids(&ids), of_names(&active));
        }
    }

    #[test]
    fn only_modules_that_can_refuse_are_listed() {
        let active = "lockdown,capability,landlock,yama,apparmor,ima,evm\n";
        assert_eq!(of_names(active), ["apparmor", "landlock"]);
        assert_eq!(of_names("capability,selinux"), ["selinux"]);
        assert!(of_names("capability,yama").is_empty());
        assert!(of_names("").is_empty());
        assert_eq!(of_ids(&[108, 100, 110, 109]), ["landlock", "bpf"]);
        assert_eq!(of_ids(&[100, 101, 105]), ["selinux"]);
        assert!(of_ids(&[]).is_empty());
    }
}
