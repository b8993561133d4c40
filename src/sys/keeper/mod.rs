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
//! - `process`  the keeper itself: requests to descriptors
//! - `filter`   the system calls that it may make
//! - `client`   how the parser asks it
//!
//! docs/PRIVILEGE.md shows the processes and when each privilege is dropped.

mod client;
mod filter;
mod process;

use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{DumpableBehavior, Signal, WaitOptions};
use rustix::process::{getegid, geteuid, getgid, getpid, getuid};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};

pub(super) use self::client::{Channel, Reply, open_memory};
use super::stdio;
use super::this_process;
use crate::units::{Errno, Pid};

/// The maximum number of threads of a channel. Opens wait for a stuck exec, each in a thread.
const OPENERS_MAX: usize = 1024;
/// The maximum number of threads of the keeper: those of a ring, and of the threads of the parser.
const THREADS_MAX: usize = 4 * OPENERS_MAX;
/// The wait for the end of the keeper.
const END_MAX: Duration = Duration::from_millis(5);
/// The tag of a reply that is none: the keeper could not start a thread for the channel.
pub(super) const NO_OPENER: u64 = u64::MAX;

static KEEPER: OnceLock<Keeper> = OnceLock::new();
static HAS_ENDED: AtomicBool = AtomicBool::new(false);

/// The running keeper, as the parser knows it.
struct Keeper {
    pid: Pid,
    parser: Pid,
    may_trace: bool,
    /// Passes the sockets of new channels.
    control: OwnedFd,
}

/// The right of the keeper to open memory figures of other users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// `CAP_SYS_PTRACE`.
    Trace,
    /// `CAP_PERFMON` (Linux 6.15 or newer), which does not compare address spaces.
    Perfmon,
    /// The keeper could not be started, or has ended, for instance by a signal.
    Ended,
}

/// The right of the keeper; `None` if this process has none.
pub fn right() -> Option<Right> {
    if HAS_ENDED.load(Ordering::Relaxed) {
        return Some(Right::Ended);
    }
    Some(if KEEPER.get()?.may_trace { Right::Trace } else { Right::Perfmon })
}

/// Ends the keeper, and waits a moment for that: not every first process of a container reaps the
/// children of others. A keeper that waits for a stuck exec ends later.
pub fn end() {
    let Some(keeper) = KEEPER.get().and_then(|keeper| i32::try_from(keeper.pid.0).ok()) else {
        return;
    };
    let Some(pid) = rustix::process::Pid::from_raw(keeper) else { return };
    let _ = rustix::process::kill_process(pid, Signal::KILL);
    let until = Instant::now() + END_MAX;
    while Instant::now() < until {
        match rustix::process::waitpid(Some(pid), WaitOptions::NOHANG) {
            Ok(None) => std::thread::yield_now(),
            Ok(Some(_)) | Err(_) => return,
        }
    }
}

/// Whether two processes share an address space; `None` if neither this process nor its keeper may
/// compare them. Waits for an exec of either process.
pub fn share_memory(one: Pid, other: Pid) -> Option<bool> {
    this_process::share_memory(one, other).or_else(|| client::share_memory(one, other))
}

/// Starts the keeper if this process was given a capability, and drops all privileges. The first
/// call of `main`: before any argument, environment variable or file is read, and while there is
/// one thread.
///
/// Root, and users without capabilities, keep what they have. A binary that is setuid or setgid
/// returns to the caller's ids. If capabilities cannot be dropped, the program starts again without
/// them if they are ambient, and else ends.
pub fn settle() {
    let permitted = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.permitted);
    let is_changed = getuid() != geteuid() || getgid() != getegid();
    if getuid().is_root() || !is_changed && permitted.is_empty() {
        return;
    }
    // From here on no process of the caller can trace this one.
    let is_hidden = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok();
    if !is_hidden || is_changed && !return_to_caller() {
        fail("cannot return to the ids of the caller");
    }
    let wanted = [CapabilitySet::SYS_PTRACE, CapabilitySet::PERFMON];
    let capability = wanted.into_iter().find(|one| permitted.contains(*one));
    match capability.map(start) {
        Some(Some(keeper)) => drop(KEEPER.set(keeper)),
        Some(None) => HAS_ENDED.store(true, Ordering::Relaxed),
        None => {}
    }
    if let Err(errno) = drop_to(CapabilitySet::empty()) {
        restart(permitted, errno);
    }
}

/// Starts the program again without capabilities: an exec keeps ambient ones only, and these can be
/// dropped without `capset(2)`. Those of the file would return.
fn restart(permitted: CapabilitySet, errno: Errno) -> ! {
    let why = format!("cannot drop capabilities: {errno}; permit capset(2)");
    let is_ambient = |one| rustix::thread::capability_is_in_ambient_set(one) == Ok(true);
    if !permitted.iter().all(is_ambient) || rustix::thread::clear_ambient_capability_set().is_err()
    {
        fail(&why);
    }
    end();
    stdio::write_stderr(format!("psm-uring: {why}; measuring without them\n").as_bytes());
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
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Forks the keeper. `None` without the means for a process: then the parser measures with the
/// rights of the caller.
fn start(capability: CapabilitySet) -> Option<Keeper> {
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
    stdio::write_stderr(format!("psm-uring: {why}\n").as_bytes());
    this_process::exit(1)
}

/// The process id of the keeper; `None` if this process has none.
pub(super) fn pid() -> Option<Pid> {
    KEEPER.get().map(|keeper| keeper.pid)
}

/// A request to the keeper, as bytes of one packet. The layout is that of this host: both ends are
/// the same program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeeperRequest {
    /// Returned with the reply.
    tag: u64,
    kind: Kind,
    pid: Pid,
    /// The thread of the process for a file, if not its leader; the other process of a comparison.
    other: Pid,
}

/// What the keeper does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    SmapsRollup = 0,
    Smaps = 1,
    /// Compares two address spaces (`kcmp(2)`).
    ShareMemory = 2,
}

impl KeeperRequest {
    const BYTES: usize = 20;
    /// No kernel has greater ids (`PID_MAX_LIMIT`, include/linux/threads.h).
    const PID_MAX: u32 = 1 << 22;

    fn encode(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.tag.to_ne_bytes());
        for (place, number) in [self.kind as u32, self.pid.0, self.other.0].iter().enumerate() {
            bytes[8 + 4 * place..][..4].copy_from_slice(&number.to_ne_bytes());
        }
        bytes
    }

    /// `None` for bytes that no parser sends.
    fn decode(bytes: &[u8]) -> Option<KeeperRequest> {
        let bytes: &[u8; Self::BYTES] = bytes.try_into().ok()?;
        let (tag, rest) = bytes.split_first_chunk::<8>()?;
        let number = |place: usize| Some(u32::from_ne_bytes(*rest[4 * place..].first_chunk()?));
        let [kind, pid, other] = [number(0)?, number(1)?, number(2)?];
        let kind = match kind {
            0 => Kind::SmapsRollup,
            1 => Kind::Smaps,
            2 => Kind::ShareMemory,
            _ => return None,
        };
        let least_other = u32::from(kind == Kind::ShareMemory);
        let is_valid =
            (1..=Self::PID_MAX).contains(&pid) && (least_other..=Self::PID_MAX).contains(&other);
        let (pid, other) = (Pid(pid), Pid(other));
        is_valid.then_some(KeeperRequest { tag: u64::from_ne_bytes(*tag), kind, pid, other })
    }
}

/// The reply: a tag, and 0 or an error number, as bytes of one packet; with a descriptor if a file
/// was opened.
const REPLY_BYTES: usize = 12;

fn encode_reply(tag: u64, result: i32) -> [u8; REPLY_BYTES] {
    let mut bytes = [0; REPLY_BYTES];
    bytes[..8].copy_from_slice(&tag.to_ne_bytes());
    bytes[8..].copy_from_slice(&result.to_ne_bytes());
    bytes
}

fn decode_reply(bytes: &[u8]) -> Option<(u64, i32)> {
    let (tag, result) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_ne_bytes(*tag), i32::from_ne_bytes(result.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_valid_requests_are_decoded() {
        let good = KeeperRequest { tag: 7, kind: Kind::Smaps, pid: Pid(1), other: Pid(0) };
        assert_eq!(KeeperRequest::decode(&good.encode()), Some(good));
        let numbers = |numbers: [u32; 3]| {
            let mut bytes = good.encode();
            for (place, number) in numbers.iter().enumerate() {
                bytes[8 + 4 * place..][..4].copy_from_slice(&number.to_ne_bytes());
            }
            bytes
        };
        for bad in
            [[3, 1, 0], [u32::MAX, 1, 0], [0, 0, 0], [0, 1 << 23, 0], [2, 1, u32::MAX], [2, 1, 0]]
        {
            assert_eq!(KeeperRequest::decode(&numbers(bad)), None, "{bad:?}");
        }
        for len in [0, 8, 19] {
            assert_eq!(KeeperRequest::decode(&good.encode()[..len]), None, "{len} bytes");
        }
        assert_eq!(KeeperRequest::decode(&[0; 21]), None);
        assert_eq!(decode_reply(&encode_reply(1 << 40, -13)), Some((1 << 40, -13)));
    }
}
