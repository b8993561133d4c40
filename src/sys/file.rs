//! A file that is replaced as a whole: who reads it finds the old text or the new one, never a
//! part.

use std::borrow::Cow;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno as Os;

use super::clock;
use super::stdio::write_all;
use crate::units::{Errno, Reason};

/// Who may read it: everybody, as the collector that takes it up runs as somebody else.
const MODE: Mode = Mode::from_raw_mode(0o644);
/// How many names are tried for the temporary file.
const NAMES_MAX: usize = 16;

/// Why a file could not be written or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileError {
    /// The kernel says no.
    Errno(Errno),
    /// A device, a directory, a link: to replace it would be a surprise, of `/dev/null` a bad one.
    NotRegular,
    /// There is no directory to write it into.
    NoDirectory,
    /// It is no file, and nobody has written anything for so long.
    Silent(Duration),
}

impl Reason for FileError {
    fn errno(&self) -> Option<Errno> {
        if let FileError::Errno(errno) = self { Some(*errno) } else { None }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileError::Errno(errno) => errno.fmt(f),
            FileError::NotRegular => f.write_str("it is there, and no regular file"),
            FileError::NoDirectory => f.write_str("its directory is not there (mkdir makes it)"),
            FileError::Silent(time) => write!(f, "nobody wrote anything to it for {time:?}"),
        }
    }
}

impl<E: Into<Errno>> From<E> for FileError {
    fn from(errno: E) -> FileError {
        FileError::Errno(errno.into())
    }
}

/// Writes a temporary file beside the one that is meant, and gives it that name once it is whole.
/// On failure the temporary file is removed and the old one stays.
///
/// Nothing is synced: that waits for the disk, on a host in trouble for ever. After a crash of the
/// host the file may be the old one, or empty, until the next run.
///
/// # Errors
/// Those of `open(2)`, `write(2)` and `rename(2)`, or that it is no regular file.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    match rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile => {
            return Err(FileError::NotRegular);
        }
        Ok(_) | Err(rustix::io::Errno::NOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    let temporary = Temporary::beside(path, names()).map_err(|errno| match errno {
        Errno::NOENT => FileError::NoDirectory,
        errno => FileError::Errno(errno),
    })?;
    write_all(temporary.file.as_fd(), bytes)?;
    rustix::fs::fchmod(&temporary.file, MODE)?;
    rustix::fs::renameat(CWD, &temporary.path, CWD, path)?;
    Ok(())
}

/// A new file that is removed when it is dropped; once it was renamed, there is none.
struct Temporary {
    path: PathBuf,
    file: OwnedFd,
}

impl Temporary {
    /// In the same directory, so that it can be renamed, under the first name that nobody has.
    fn beside(path: &Path, names: impl Iterator<Item = String>) -> Result<Temporary, Errno> {
        path.file_name().ok_or(Errno(libc::EISDIR))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        for name in names.take(NAMES_MAX) {
            let path = path.with_file_name(name);
            match rustix::fs::openat(CWD, &path, flags, Mode::RUSR | Mode::WUSR) {
                Ok(file) => return Ok(Temporary { path, file }),
                Err(rustix::io::Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(Errno(libc::EEXIST))
    }
}

/// Names for a temporary file: hidden, and without the ending that makes collectors read it. In a
/// container the process id is the same each time, so one that was killed may have left a file
/// with it: the time tells them apart. They are short, whatever the name of the file.
fn names() -> impl Iterator<Item = String> {
    let id = std::process::id();
    std::iter::repeat_with(move || {
        format!(".psm-uring-{id}-{:x}.tmp", clock::since_1970().as_nanos())
    })
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = rustix::fs::unlinkat(CWD, &self.path, AtFlags::empty());
    }
}

/// The name of standard input.
const STDIN: &str = "-";
/// The most that is read: 100,000 rows take a tenth of it.
const BYTES_MAX: usize = 1 << 30;
/// How much is read at once.
const READ_BYTES: usize = 64 * 1024;
/// How long a pipe may be silent: who writes to it may ask a host in trouble, or for a password.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Reads it all.
///
/// # Errors
/// Those of `open(2)` and `read(2)`, that it is too big, or a pipe that stays silent.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    read_within(path, SILENCE_MAX)
}

fn read_within(path: &Path, silence_max: Duration) -> Result<Vec<u8>, FileError> {
    if path.as_os_str() == STDIN {
        return read_all(rustix::stdio::stdin(), silence_max);
    }
    // To open a FIFO that nobody writes to would take for ever. With this flag it is open at once,
    // and ready when somebody has written.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    read_all(rustix::fs::openat(CWD, path, flags, Mode::empty())?.as_fd(), silence_max)
}

fn read_all(file: BorrowedFd<'_>, silence_max: Duration) -> Result<Vec<u8>, FileError> {
    let (mut text, mut room) = (Vec::new(), vec![0; READ_BYTES]);
    while text.len() <= BYTES_MAX {
        wait(file, silence_max)?;
        match rustix::io::read(file, &mut room[..]) {
            Ok(0) => return Ok(text),
            Ok(len) => text.extend_from_slice(&room[..len]),
            // Somebody else was quicker to read what there was. Only what we opened says so.
            Err(Os::AGAIN | Os::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(Errno(libc::EFBIG).into())
}

/// Waits for something to read; files always have it. Standard input is not open without waiting,
/// so nothing may be read from it before it is there.
fn wait(file: BorrowedFd<'_>, silence_max: Duration) -> Result<(), FileError> {
    let began = Instant::now();
    loop {
        let left = silence_max.saturating_sub(began.elapsed());
        let timeout = Timespec::try_from(left).ok();
        match poll(&mut [PollFd::new(&file, PollFlags::IN)], timeout.as_ref()) {
            Ok(0) => return Err(FileError::Silent(silence_max)),
            Ok(_) => return Ok(()),
            Err(Os::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// What to call it.
pub fn name(path: &Path) -> Cow<'_, str> {
    if path.as_os_str() == STDIN { "standard input".into() } else { path.to_string_lossy() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_behind_does_not_matter() {
        let dir = std::env::temp_dir().join(format!("psm-uring-left-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        let name = |number: usize| format!("{number}.tmp");
        let file = dir.join("report");
        let all: Vec<_> = (0..NAMES_MAX)
            .map(|_| Temporary::beside(&file, (0..).map(name)).expect("a name"))
            .collect();
        let none = Temporary::beside(&file, (0..).map(name)).map(|_| ());
        assert_eq!(none, Err(Errno(libc::EEXIST)), "the search has an end");
        drop(all);
        std::fs::remove_dir(&dir).expect("nothing is left");
        let names: Vec<_> = names().take(NAMES_MAX).collect();
        assert!(names.iter().all(|name| name.len() < 64 && name.ends_with(".tmp")), "{names:?}");
        assert!(names[0] != names[NAMES_MAX - 1], "{names:?}");
    }

    use std::io::Write;
    use std::os::unix::thread::JoinHandleExt;

    use rustix::fs::mknodat;

    /// Signals that come again and again neither end the wait nor lengthen it, and what is read
    /// after one would wait without an end: this pipe was not opened by us.
    #[test]
    fn interruptions_do_not_count_as_words() {
        const PATIENCE: Duration = Duration::from_millis(200);
        const SIGNALS_MAX: u32 = 200;
        extern "C" fn ignore(_: libc::c_int) {}
        let handler: extern "C" fn(libc::c_int) = ignore;
        // SAFETY: the handler does nothing, and nobody else here has to do with this signal.
        unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
        let (silent, writer) = std::io::pipe().expect("a pipe");
        let reader = std::thread::spawn(move || read_all(silent.as_fd(), PATIENCE));
        for _ in 0..SIGNALS_MAX {
            if reader.is_finished() {
                break;
            }
            // SAFETY: the thread is not joined yet, so its handle is good.
            unsafe { libc::pthread_kill(reader.as_pthread_t(), libc::SIGUSR1) };
            std::thread::sleep(PATIENCE / 20);
        }
        // Who waits for ever sees an end now.
        drop(writer);
        assert_eq!(reader.join().expect("no panic"), Err(FileError::Silent(PATIENCE)));
    }

    /// Neither its open nor its reads, whether somebody has it open or not.
    #[test]
    fn a_silent_pipe_is_not_waited_for() {
        const PATIENCE: Duration = Duration::from_millis(50);
        let silent = Err(FileError::Silent(PATIENCE));
        let fifo = std::env::temp_dir().join(format!("psm-uring-silent-{}", std::process::id()));
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
        assert_eq!(read_within(&fifo, PATIENCE), silent);
        // Open for both, it is open at once.
        let mut both = std::fs::OpenOptions::new();
        let mut writer = both.read(true).write(true).open(&fifo).expect("ours");
        assert_eq!(read_within(&fifo, PATIENCE), silent);
        writer.write_all(b"half of").expect("it has room");
        assert_eq!(read_within(&fifo, PATIENCE), silent, "its end does not come");
        drop(writer);
        std::fs::remove_file(&fifo).expect("ours");
        let told = FileError::Silent(SILENCE_MAX).to_string();
        assert_eq!(told, "nobody wrote anything to it for 60s");
    }
}
