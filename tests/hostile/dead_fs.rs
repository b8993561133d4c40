//! A file system with a dead server: the effect of a dead NFS server on a host, made with FUSE.
//!
//! Lookup, open and close of files succeed. Writes, the flush of a close and, for files of one
//! kind, reads never get an answer. Dropping it ends every wait.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::support::until;
use super::sys;

/// The mount point in the container.
pub const MOUNT: &str = "/mnt";
/// Reads of files with such names never get an answer; other files contain zeros.
pub const UNREADABLE: char = 'r';

const UNREADABLE_NODES: u64 = 1 << 32;
const FILE_BYTES: u64 = 4096;
const FOR_EVER: u64 = 1 << 30;
/// Larger than a request with the maximum of data that INIT allows.
const ROOM: usize = 256 << 10;
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
const LIMIT: Duration = Duration::from_secs(20);
/// Longer than a tick.
const DEAF_AFTER: Duration = Duration::from_millis(100);

/// The requests that the server distinguishes (`fuse_opcode` of include/uapi/linux/fuse.h).
mod opcode {
    pub(super) const LOOKUP: u32 = 1;
    pub(super) const FORGET: u32 = 2;
    pub(super) const GETATTR: u32 = 3;
    pub(super) const SETATTR: u32 = 4;
    pub(super) const OPEN: u32 = 14;
    pub(super) const READ: u32 = 15;
    pub(super) const WRITE: u32 = 16;
    pub(super) const RELEASE: u32 = 18;
    pub(super) const FLUSH: u32 = 25;
    pub(super) const INIT: u32 = 26;
    pub(super) const INTERRUPT: u32 = 36;
    pub(super) const BATCH_FORGET: u32 = 42;
}

/// The server and the mount.
pub struct DeadFs {
    is_over: Arc<AtomicBool>,
    is_deaf: Arc<AtomicBool>,
    unanswered: Arc<Mutex<HashSet<u64>>>,
    server: Option<JoinHandle<()>>,
}

impl DeadFs {
    /// Mounts the file system; the error names the missing prerequisite.
    pub fn mount() -> Result<DeadFs, String> {
        let device = File::options().read(true).write(true).open("/dev/fuse");
        let device = device.map_err(|error| format!("/dev/fuse: {error}"))?;
        sys::mount_fuse(&device, MOUNT).map_err(|error| format!("mount of FUSE: {error}"))?;
        let (is_over, is_deaf, unanswered) = Default::default();
        let fs = (Arc::clone(&is_over), Arc::clone(&is_deaf), Arc::clone(&unanswered));
        let server = Some(std::thread::spawn(move || serve(device, &fs.0, &fs.1, &fs.2)));
        Ok(DeadFs { is_over, is_deaf, unanswered, server })
    }

    /// From now on no request is read. A process that waits for one can end, unlike one that waits
    /// for an answer.
    pub fn deafen(&self) {
        self.is_deaf.store(true, Ordering::Relaxed);
        std::thread::sleep(DEAF_AFTER);
    }

    /// Waits until requests for this many files are pending.
    pub fn wait_for(&self, files: usize) {
        let waiting = || self.unanswered.lock().expect("no panic").len();
        let found = until(LIMIT, || (waiting() >= files).then_some(()));
        assert!(found.is_some(), "{} of {files} files are waited for", waiting());
    }
}

impl Drop for DeadFs {
    fn drop(&mut self) {
        // After the last close of the device, the kernel fails all requests.
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.server.take().map(JoinHandle::join);
        let _ = sys::unmount(MOUNT);
    }
}

fn serve(
    mut device: File,
    is_over: &AtomicBool,
    is_deaf: &AtomicBool,
    unanswered: &Mutex<HashSet<u64>>,
) {
    let mut room = vec![0; ROOM];
    while !is_over.load(Ordering::Relaxed) {
        if is_deaf.load(Ordering::Relaxed) {
            std::thread::sleep(DEAF_AFTER);
            continue;
        }
        let mut fds = [PollFd::new(&device, PollFlags::IN)];
        if !poll(&mut fds, Some(&TICK)).is_ok_and(|ready| ready > 0) {
            continue;
        }
        // Requests that are interrupted before the server reads them end in an error.
        let Ok(len) = device.read(&mut room) else { continue };
        let request = Request::parse(&room[..len]);
        match request.answer() {
            Answer::Data(data) => {
                let _ = device.write_all(&reply(request.unique, 0, &data));
            }
            Answer::Error(errno) => {
                let _ = device.write_all(&reply(request.unique, errno, &[]));
            }
            Answer::Nothing => {}
            Answer::Never => {
                unanswered.lock().expect("no panic").insert(request.node);
            }
        }
    }
}

enum Answer {
    Data(Vec<u8>),
    Error(i32),
    /// The kernel expects no answer.
    Nothing,
    /// The kernel waits for an answer.
    Never,
}

struct Request<'a> {
    opcode: u32,
    unique: u64,
    node: u64,
    body: &'a [u8],
}

impl Request<'_> {
    /// Parses `struct fuse_in_header`.
    fn parse(bytes: &[u8]) -> Request<'_> {
        let u32_at = |at| u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let u64_at = |at| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        Request { opcode: u32_at(4), unique: u64_at(8), node: u64_at(16), body: &bytes[40..] }
    }

    fn answer(&self) -> Answer {
        match self.opcode {
            opcode::INIT => Answer::Data(init()),
            opcode::LOOKUP => Answer::Data(entry(self.looked_up())),
            opcode::GETATTR | opcode::SETATTR => {
                Answer::Data([&words(&[FOR_EVER, 0])[..], &attributes(self.node)].concat())
            }
            opcode::OPEN => Answer::Data(words(&[0, 0])),
            opcode::READ if self.node & UNREADABLE_NODES == 0 => Answer::Data(vec![0; 4096]),
            opcode::READ | opcode::WRITE | opcode::FLUSH => Answer::Never,
            opcode::RELEASE => Answer::Data(Vec::new()),
            opcode::FORGET | opcode::BATCH_FORGET | opcode::INTERRUPT => Answer::Nothing,
            _ => Answer::Error(-libc::ENOSYS),
        }
    }

    /// The node of a name, which is a letter and a number.
    fn looked_up(&self) -> u64 {
        let name = String::from_utf8_lossy(self.body).into_owned();
        let number: u64 = name[1..].trim_end_matches('\0').parse().expect("a letter, a number");
        // 1 is the root.
        number + 2 + if name.starts_with(UNREADABLE) { UNREADABLE_NODES } else { 0 }
    }
}

/// `struct fuse_out_header` and its payload.
fn reply(unique: u64, errno: i32, data: &[u8]) -> Vec<u8> {
    let len = u32::try_from(16 + data.len()).expect("it is small");
    [&len.to_ne_bytes()[..], &errno.to_ne_bytes(), &unique.to_ne_bytes(), data].concat()
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// `struct fuse_init_out`: version 7.31, no read-ahead, writes sent immediately.
fn init() -> Vec<u8> {
    let head = [7_u32, 31, 0, 0].map(u32::to_ne_bytes).concat();
    let background = [u16::MAX; 2].map(u16::to_ne_bytes).concat();
    let write_and_grain = [128 << 10, 1_u32].map(u32::to_ne_bytes).concat();
    [&head[..], &background, &write_and_grain, &[0; 32]].concat()
}

/// `struct fuse_entry_out`.
fn entry(node: u64) -> Vec<u8> {
    [&words(&[node, 0, FOR_EVER, FOR_EVER, 0])[..], &attributes(node)].concat()
}

/// `struct fuse_attr`: the root is a directory, all others are files.
fn attributes(node: u64) -> Vec<u8> {
    let mode = if node == 1 { libc::S_IFDIR | 0o755 } else { libc::S_IFREG | 0o777 };
    let rest = [0, 0, 0, mode, 1, 0, 0, 0, 4096, 0].map(u32::to_ne_bytes).concat();
    [&words(&[node, FILE_BYTES, 8, 0, 0, 0])[..], &rest].concat()
}
