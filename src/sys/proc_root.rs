//! `/proc`, or a directory that replaces it: listing, opening and reading.
//!
//! Calls wait for the kernel, for most files of a process possibly forever. The exceptions are the
//! files with [`ProcFile::never_blocks`].

use std::fs::File;
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, Stat};

use super::keeper_client;
use super::privileges::{self, Privileges};
use crate::process::{ProcFile, RelPath, TEXT_MAX};
use crate::units::{Errno, Pid};

/// The maximum size of a line of numbers.
pub(super) const ONE_LINE_BYTES: usize = 256;
/// The buffer for a listing (`getdents64(2)`).
const LISTING_BYTES: usize = 32 * 1024;
/// The maximum size of a text that is read whole: more than the ids of all processes of a host.
const WHOLE_BYTES_MAX: u64 = 64 << 20;

/// An open directory of processes. Cheap to clone: all clones share one descriptor.
#[derive(Clone, Debug)]
pub struct ProcRoot {
    dir: Arc<OwnedFd>,
    path: Arc<Path>,
}

impl ProcRoot {
    /// Opens the directory.
    ///
    /// # Errors
    /// Those of `open(2)`: `ENOENT` if it does not exist, `ENOTDIR` if it is not a directory.
    pub fn open(path: &Path) -> Result<ProcRoot, Errno> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        Ok(ProcRoot { dir: Arc::new(dir), path: path.into() })
    }

    /// The path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is a proc filesystem.
    pub fn is_procfs(&self) -> bool {
        // `PROC_SUPER_MAGIC` (include/uapi/linux/magic.h).
        rustix::fs::fstatfs(&*self.dir).is_ok_and(|fs| fs.f_type == 0x9fa0)
    }

    /// Whether its process ids are valid in system calls of this process.
    pub fn is_own(&self) -> bool {
        let own = rustix::process::getpid().as_raw_nonzero().to_string();
        let link = rustix::fs::readlinkat(&*self.dir, "self", Vec::new());
        link.is_ok_and(|link| link.to_bytes() == own.as_bytes())
    }

    /// The start of a file that never blocks, in one read.
    ///
    /// # Errors
    /// Those of `open(2)` and `read(2)`.
    pub fn read_once(&self, file: ProcFile, pid: Pid) -> Result<Vec<u8>, Errno> {
        let mut text = vec![0; TEXT_MAX];
        let open = self.open_at_once(file, pid, None)?;
        let len = rustix::io::retry_on_intr(|| rustix::io::read(&open, &mut text))?;
        text.truncate(len);
        Ok(text)
    }

    /// Whether a process has a file, by its name alone.
    pub fn has(&self, file: ProcFile, pid: Pid) -> bool {
        self.stat(file.path(pid, None).as_bytes()).is_some()
    }

    /// The effective user of a process: the owner of its directory.
    pub fn owner(&self, pid: Pid) -> Option<u32> {
        self.stat(pid.to_string().as_bytes()).map(|stat| stat.st_uid)
    }

    /// The owner of a file of a process: root if the process is not dumpable.
    pub fn file_owner(&self, file: ProcFile, pid: Pid) -> Option<u32> {
        self.stat(file.path(pid, None).as_bytes()).map(|stat| stat.st_uid)
    }

    /// Never blocks: the kernel takes no lock of the process (`pid_getattr`, fs/proc/base.c).
    fn stat(&self, path: &[u8]) -> Option<Stat> {
        rustix::fs::statat(&*self.dir, path, AtFlags::empty()).ok()
    }

    /// The IPC namespace of a process; `None` if the kernel does not report it. Never blocks:
    /// the kernel makes the text from a number (`proc_ns_readlink`, fs/proc/namespaces.c).
    pub fn ipc_namespace(&self, pid: Pid) -> Option<Vec<u8>> {
        let link = rustix::fs::readlinkat(&*self.dir, format!("{pid}/ns/ipc"), Vec::new());
        Some(link.ok()?.into_bytes())
    }

    /// The processes, ascending, without the number 0.
    ///
    /// # Errors
    /// Those of `getdents64(2)`.
    pub fn pids(&self) -> Result<Vec<Pid>, Errno> {
        // A descriptor of its own, because a listing moves the position of a descriptor.
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let mut pids = list_numbers(rustix::fs::openat(&*self.dir, c".", flags, Mode::empty())?)?;
        pids.retain(|pid| *pid != Pid(0));
        pids.sort_unstable();
        Ok(pids)
    }

    /// The mount option that hides or refuses processes of other users.
    pub fn hidepid(&self, privileges: Privileges) -> Option<HidePid> {
        hidepid_in_force(self.dir.as_fd(), privileges)
    }

    /// Reads a whole file that never blocks, of a process or of one of its threads.
    ///
    /// # Errors
    /// Those of `open(2)` and `read(2)`.
    pub fn read_whole(
        &self,
        file: ProcFile,
        pid: Pid,
        task: Option<Pid>,
    ) -> Result<Vec<u8>, Errno> {
        let mut text = Vec::with_capacity(LISTING_BYTES);
        let open = self.open_at_once(file, pid, task)?;
        open.take(WHOLE_BYTES_MAX).read_to_end(&mut text)?;
        Ok(text)
    }

    /// Reads the start of a file, by its path. Returns the number of bytes.
    ///
    /// # Errors
    /// Those of `open(2)` and `read(2)`.
    pub(super) fn read_at_once(&self, path: &RelPath, room: &mut [u8]) -> Result<usize, Errno> {
        let open = self.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
        Ok(rustix::io::retry_on_intr(|| rustix::io::read(&open, &mut *room))?)
    }

    /// Opens a file that never blocks, for a thread that must not wait. In a directory that
    /// replaces `/proc` it may be a FIFO: with `O_NONBLOCK` this is empty, or a read fails. Files
    /// of procfs ignore the flag.
    fn open_at_once(&self, file: ProcFile, pid: Pid, task: Option<Pid>) -> Result<File, Errno> {
        debug_assert!(file.never_blocks(), "{file:?} is for a worker");
        let path = file.path(pid, task);
        Ok(File::from(self.open_at(&path, OFlags::RDONLY | OFlags::NONBLOCK)?))
    }

    /// Opens a file of a process for [`OpenFile::read`].
    ///
    /// # Errors
    /// Those of `open(2)`; `process::probe` knows their meaning.
    pub fn open_file(&self, file: ProcFile, path: &RelPath) -> Result<OpenFile, Errno> {
        let text = match file {
            ProcFile::Exe => Text::Ready(self.exe(path)?, 0),
            ProcFile::Tasks => Text::Ready(self.tasks(path)?, 0),
            ProcFile::SmapsRollup | ProcFile::Smaps => Text::File(self.open_memory(path)?, None),
            _ => Text::File(self.open_at(path, OFlags::RDONLY)?, None),
        };
        Ok(OpenFile(text))
    }

    /// The text of a file of a process or of its thread, for a thread that may wait.
    ///
    /// # Errors
    /// Those of `open(2)` and `read(2)`.
    pub fn text(&self, file: ProcFile, pid: Pid, task: Option<Pid>) -> Result<Vec<u8>, Errno> {
        let mut open = self.open_file(file, &file.path(pid, task))?;
        let mut text = vec![0; file.text_max()];
        let mut len = 0;
        while len < text.len() {
            match open.read(&mut text[len..])? {
                0 => break,
                more => len += more,
            }
        }
        text.truncate(len);
        Ok(text)
    }

    fn open_memory(&self, path: &RelPath) -> Result<OwnedFd, Errno> {
        let kept = self.is_proc().then(|| keeper_client::open_memory(path)).flatten();
        kept.unwrap_or_else(|| self.open_at(path, OFlags::RDONLY))
    }

    /// Whether it is `/proc`, for which the keeper opens memory files.
    pub fn is_proc(&self) -> bool {
        *self.path == *Path::new("/proc")
    }

    /// The path of a process's binary.
    ///
    /// Opens the link and reads the path from the descriptor table of this process, as the ring
    /// must (it has no `readlink`), so that all engines see the same path.
    fn exe(&self, path: &RelPath) -> Result<Vec<u8>, Errno> {
        link_target(self.open_at(path, OFlags::PATH)?.as_fd())
    }

    /// The thread ids of a process, one per line. Never blocks: the kernel walks a list under RCU
    /// (`proc_task_readdir`, fs/proc/base.c).
    pub(super) fn tasks(&self, path: &RelPath) -> Result<Vec<u8>, Errno> {
        let dir = self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let tasks = list_numbers(dir)?;
        Ok(tasks.iter().flat_map(|task| format!("{task}\n").into_bytes()).collect())
    }

    fn open_at(&self, path: &RelPath, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&*self.dir, path.as_bytes(), flags, Mode::empty())?)
    }
}

impl AsFd for ProcRoot {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// A file of a process, open for reading from its beginning.
#[derive(Debug)]
pub struct OpenFile(Text);

#[derive(Debug)]
enum Text {
    /// A file, and once it is rewound, the position of the next read.
    File(OwnedFd, Option<u64>),
    /// The text of a link or a listing, and the number of bytes already read.
    Ready(Vec<u8>, usize),
}

impl OpenFile {
    /// Reads from where the last read ended; 0 bytes are the end.
    ///
    /// # Errors
    /// Those of `read(2)`. `EINTR` is not one of them.
    pub fn read(&mut self, room: &mut [u8]) -> Result<usize, Errno> {
        match &mut self.0 {
            Text::File(fd, None) => {
                Ok(rustix::io::retry_on_intr(|| rustix::io::read(&*fd, &mut *room))?)
            }
            Text::File(fd, Some(at)) => {
                let len = rustix::io::retry_on_intr(|| rustix::io::pread(&*fd, &mut *room, *at))?;
                *at += len as u64;
                Ok(len)
            }
            Text::Ready(text, taken) => {
                let rest = &text[*taken..];
                let len = rest.len().min(room.len());
                room[..len].copy_from_slice(&rest[..len]);
                *taken += len;
                Ok(len)
            }
        }
    }

    /// Reads from an offset.
    ///
    /// # Errors
    /// Those of `pread(2)`.
    pub fn read_at(&mut self, room: &mut [u8], offset: u64) -> Result<usize, Errno> {
        match &mut self.0 {
            Text::File(fd, _) => {
                Ok(rustix::io::retry_on_intr(|| rustix::io::pread(&*fd, &mut *room, offset))?)
            }
            Text::Ready(..) => Err(Errno(libc::ESPIPE)),
        }
    }

    /// Has the next read begin at the beginning. A file in a directory that replaces `/proc` may be
    /// a FIFO, which cannot.
    pub fn rewind(&mut self) {
        match &mut self.0 {
            Text::File(_, at) => *at = Some(0),
            Text::Ready(_, taken) => *taken = 0,
        }
    }

    /// Reads from the beginning again, without moving the position.
    ///
    /// # Errors
    /// Those of `pread(2)`.
    pub fn read_beginning(&mut self, room: &mut [u8]) -> Result<usize, Errno> {
        match &mut self.0 {
            Text::File(fd, _) => {
                Ok(rustix::io::retry_on_intr(|| rustix::io::pread(&*fd, &mut *room, 0))?)
            }
            Text::Ready(_, taken) => {
                *taken = 0;
                self.read(room)
            }
        }
    }
}

/// The path of an open file, from the descriptor table of this process. Never blocks, whatever the
/// file is.
pub(super) fn link_target(file: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    match rustix::fs::readlink(link, Vec::new()) {
        Ok(target) => Ok(target.into_bytes()),
        // This process has no `/proc` of its own, which says nothing about the target.
        Err(rustix::io::Errno::NOENT) => Err(Errno::NOT_SUPPORTED),
        Err(errno) => Err(errno.into()),
    }
}

fn list_numbers(dir: OwnedFd) -> Result<Vec<Pid>, Errno> {
    let mut room = vec![MaybeUninit::uninit(); LISTING_BYTES];
    let mut entries = RawDir::new(dir, &mut room);
    let mut numbers = Vec::new();
    while let Some(entry) = entries.next() {
        numbers.extend(Pid::parse(entry?.file_name().to_bytes()));
    }
    Ok(numbers)
}

/// The mount option of proc that keeps processes of other users from this one (proc(5)).
#[derive(Debug, PartialEq, Eq)]
pub struct HidePid {
    /// The option as in `/proc/self/mountinfo`: `hidepid=invisible`.
    pub option: String,
    /// Whether these processes are not listed. Else they are listed and refused one by one.
    pub is_invisible: bool,
}

/// The option that keeps processes of other users from this process. `None` if there is none, or if
/// this process has no `/proc` of its own.
fn hidepid_in_force(proc: BorrowedFd<'_>, may: Privileges) -> Option<HidePid> {
    // A tracer sees all processes. There can be many mounts, so the list is not read in vain.
    if may.may_trace && !may.is_in_user_namespace {
        return None;
    }
    let fdinfo = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", proc.as_raw_fd())).ok()?;
    let mount = fdinfo.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let (value, group) = option_of(&mounts, mount)?;
    // Members of the group see all processes, except with `ptraceable`.
    let is_exempt = value != "ptraceable" && value != "4" && privileges::is_in_group(group);
    let is_invisible = !matches!(value, "noaccess" | "1");
    (!is_exempt).then(|| HidePid { option: format!("hidepid={value}"), is_invisible })
}

/// The option of one mount, and the group that is exempt. Kernels before 5.8 use numbers.
fn option_of<'a>(mounts: &'a str, id: &str) -> Option<(&'a str, u32)> {
    let line = mounts.lines().find(|line| line.split(' ').next() == Some(id))?;
    // Type, source and options follow a dash; the first two contain no blanks.
    let options = line.split_once(" - ")?.1.splitn(3, ' ').nth(2)?;
    let value_of = |key: &str| options.split(',').find_map(|option| option.strip_prefix(key));
    let value = value_of("hidepid=")?;
    let is_known = matches!(value, "noaccess" | "invisible" | "ptraceable" | "1" | "2" | "4");
    let group = value_of("gid=").and_then(|gid| gid.parse().ok()).unwrap_or(0);
    is_known.then_some((value, group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_those_of_the_mount() {
        let mounts = "\
45 43 0:21 / /proc rw,relatime - proc proc rw
63 45 0:39 / /proc rw,relatime shared:7 - proc proc rw,gid=27,hidepid=invisible
64 45 0:39 / /proc rw,relatime - proc proc rw,hidepid=2
65 45 0:39 / /proc rw,relatime - proc proc rw,hidepid=ptraceable
66 45 0:39 / /proc rw,hidepid=2 - proc proc rw,hidepid=noaccess
67 45 0:39 / /proc rw,hidepid=2 - proc proc rw,hidepid=off
6 45 0:40 / /a\\040-\\040b rw - tmpfs hidepid=2 rw
";
        let found = |id| option_of(mounts, id);
        assert_eq!(found("63"), Some(("invisible", 27)));
        assert_eq!(found("64"), Some(("2", 0)));
        assert_eq!(found("65"), Some(("ptraceable", 0)));
        assert_eq!(found("66"), Some(("noaccess", 0)));
        for id in ["45", "67", "6", "4", ""] {
            assert_eq!(found(id), None, "{id}");
        }
    }
}
