//! The keeper: a process that holds the one capability of an installation, and opens two files.
//!
//! ```text
//!   exec ── settle ──┬─────────► parser: no capability; reads files, arguments, environment
//!                    │             │ requests: a tag, a kind, up to two ids     ▲
//!                    │             ▼                                            │ descriptors
//!                    └─ fork ──► keeper: CAP_SYS_PTRACE or CAP_PERFMON, seccomp filter
//! ```
//!
//! The kernel checks the right to read memory figures when their file is opened, never at a read.
//! So the parser, which handles foreign bytes, needs descriptors of `smaps_rollup` and `smaps`, and
//! no privilege. Names, lists, reports and every path of the caller are opened by the parser with
//! the rights of the caller.
//!
//! - `protocol` requests and replies as bytes
//! - `process`  the keeper itself: confines itself, opens, compares
//! - `channel`  threads of the keeper that share the requests of one socket
//! - `filter`   the system calls that it may make
//!
//! The parser asks through [`super::keeper_client`]. docs/PRIVILEGE.md shows the processes and when
//! each privilege is dropped.

mod channel;
mod filter;
mod process;
mod protocol;

use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{DumpableBehavior, getegid, geteuid, getgid, getpid, getuid};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};

pub(super) use self::protocol::{KeeperRequest, Kind, NO_OPENER, PACKET_MAX, Reply};
use super::keeper_client::{self, Keeper};
use super::privileges::{is_ambient, permitted, tests_ids_of_caller};
use super::{stdio, this_process};
use crate::units::{Errno, Pid};

/// Starts the keeper if this process was given a capability, and drops all privileges. The first
/// call of `main`: before any argument, environment variable or file is read, and while there is
/// one thread.
///
/// Root, and users without capabilities, keep what they have. A binary that is setuid or setgid
/// returns to the caller's ids. If capabilities cannot be dropped, the program starts again without
/// them if they are ambient, and else ends.
pub fn settle() {
    let (held, is_changed) = (permitted(), getuid() != geteuid() || getgid() != getegid());
    if getuid().is_root() || !is_changed && held.is_empty() {
        return;
    }
    // From here on no process of the caller can trace this one.
    let hidden = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    if is_changed && !return_to_caller() {
        fail("cannot return to the ids of the caller; permit prctl(2) and setresuid(2)");
    }
    let wanted = [CapabilitySet::SYS_PTRACE, CapabilitySet::PERFMON];
    let is_safe = hidden.is_ok() && tests_ids_of_caller();
    let capability = wanted.into_iter().find(|one| is_safe && held.contains(*one));
    capability.into_iter().map(start).for_each(keeper_client::set);
    match drop_to(CapabilitySet::empty()) {
        Ok(()) => {}
        Err(errno) if !permitted().is_empty() => restart(held, errno),
        Err(errno) => stdio::report(&format!("{errno}: permit prctl(2); no capability is used")),
    }
}

/// Starts the program again without capabilities: an exec keeps ambient ones only, and these can be
/// dropped without `capset(2)`. Those of the file would return.
fn restart(permitted: CapabilitySet, errno: Errno) -> ! {
    let why = format!("cannot drop capabilities: {errno}; permit capset(2)");
    if !permitted.iter().all(is_ambient) || rustix::thread::clear_ambient_capability_set().is_err()
    {
        fail(&why);
    }
    keeper_client::end();
    stdio::report(&format!("{why}; measuring without them"));
    let error = Command::new("/proc/self/exe").args(std::env::args_os().skip(1)).exec();
    fail(&format!("{why}: {error}"))
}

/// Gives up the ids of a setuid or setgid binary. Capabilities stay permitted for a moment.
fn return_to_caller() -> bool {
    let (uid, gid) = (getuid(), getgid());
    // These act on one thread, and there is one.
    rustix::thread::set_keep_capabilities(true)
        .and_then(|()| set_thread_res_gid(gid, gid, gid))
        .and_then(|()| set_thread_res_uid(uid, uid, uid))
        .is_ok()
}

/// Leaves the calling process one set of capabilities and no way to get others. Other processes of
/// this user can neither trace it nor read its memory.
fn drop_to(kept: CapabilitySet) -> Result<(), Errno> {
    let inheritable = CapabilitySet::empty();
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable };
    set_capabilities(None, sets)?;
    // Kernels before 4.3 have no ambient set; with nothing inheritable it is empty anyway.
    let _ = rustix::thread::clear_ambient_capability_set();
    rustix::thread::set_no_new_privs(true)?;
    Ok(rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Forks the keeper. `None` without the means for a process: then the parser measures with the
/// rights of the caller.
fn start(capability: CapabilitySet) -> Option<Keeper> {
    this_process::raise_file_limit();
    let (control, keepers) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).ok()?;
    let parser = getpid();
    // SAFETY: there is one thread, so the child finds no lock that another thread held.
    match unsafe { libc::fork() } {
        0 => {
            // With its own copy of the parser's end, it would not notice the end of the parser.
            drop(control);
            process::run(&keepers, parser, capability)
        }
        pid => {
            let pid = Pid(u32::try_from(pid).ok()?);
            let parser = Pid(parser.as_raw_nonzero().get().unsigned_abs());
            let may_trace = capability == CapabilitySet::SYS_PTRACE;
            Some(Keeper { pid, parser, may_trace, control })
        }
    }
}

fn fail(why: &str) -> ! {
    stdio::report(why);
    this_process::exit(1)
}
