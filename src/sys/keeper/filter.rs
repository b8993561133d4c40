//! The system calls of the keeper. Any other call ends it.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use crate::sys::this_process::KCMP_VM;
use crate::units::Errno;

/// Calls with any arguments: channels, memory and threads of the standard library, and the end.
#[rustfmt::skip]
const ALLOWED: &[libc::c_long] = &[
    libc::SYS_sendmsg, libc::SYS_recvmsg, libc::SYS_recvfrom, libc::SYS_faccessat, libc::SYS_close,
    libc::SYS_futex, libc::SYS_clone, libc::SYS_clone3,
    libc::SYS_set_robust_list, libc::SYS_rseq, libc::SYS_gettid,
    libc::SYS_mmap, libc::SYS_mprotect, libc::SYS_munmap,
    libc::SYS_madvise, libc::SYS_brk, libc::SYS_sched_getaffinity,
    libc::SYS_sigaltstack, libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn,
    libc::SYS_exit, libc::SYS_exit_group,
];
/// Opens for reading that follow no link at the end of the path. The C library may add
/// `O_LARGEFILE`, which changes nothing for files of procfs.
const OPEN_FLAGS: u64 = (libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NOFOLLOW) as u64;
const OPEN_MASK: u64 = !(rustix::fs::OFlags::LARGEFILE.bits() as u64);
/// Debug builds of the standard library ask for the flags of a descriptor before they close it.
const GET_FLAGS: u64 = libc::F_GETFD as u64;

/// Applies the filter to this thread and to those that it starts.
pub(super) fn apply() -> Result<(), Errno> {
    let invalid = Errno(libc::EINVAL);
    let program = program().map_err(|_| invalid)?;
    seccompiler::apply_filter(&program).map_err(|_| invalid)
}

fn program() -> Result<BpfProgram, seccompiler::BackendError> {
    let is = |place, mask, value| {
        let comparison = SeccompCmpOp::MaskedEq(mask);
        let condition = SeccompCondition::new(place, SeccompCmpArgLen::Dword, comparison, value)?;
        Ok(vec![SeccompRule::new(vec![condition])?])
    };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    rules.insert(libc::SYS_openat, is(2, OPEN_MASK, OPEN_FLAGS)?);
    rules.insert(libc::SYS_kcmp, is(2, u64::MAX, KCMP_VM)?);
    rules.insert(libc::SYS_fcntl, is(1, u64::MAX, GET_FLAGS)?);
    let (allow, kill) = (SeccompAction::Allow, SeccompAction::KillProcess);
    SeccompFilter::new(rules, kill, allow, std::env::consts::ARCH.try_into()?)?.try_into()
}
