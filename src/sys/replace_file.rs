//! A file that is replaced as a whole: who reads it finds the old text or the new one, never a
//! part.

use std::ffi::OsString;
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};

use super::stdio::write_all;
use crate::units::Errno;

/// Who may read it: everybody, as the collector that takes it up runs as somebody else.
const MODE: Mode = Mode::from_raw_mode(0o644);

/// Why it could not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The kernel says no.
    Errno(Errno),
    /// A device, a directory, a link: to replace it would be a surprise, of `/dev/null` a bad one.
    NotRegular,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Errno(errno) => errno.fmt(f),
            Refusal::NotRegular => f.write_str("it is there, and no regular file"),
        }
    }
}

impl<E: Into<Errno>> From<E> for Refusal {
    fn from(errno: E) -> Refusal {
        Refusal::Errno(errno.into())
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
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Refusal> {
    match rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile => {
            return Err(Refusal::NotRegular);
        }
        Ok(_) | Err(rustix::io::Errno::NOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    let temporary = Temporary::beside(path)?;
    write_all(std::os::fd::AsFd::as_fd(&temporary.file), bytes)?;
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
    /// In the same directory, so that it can be renamed; hidden, and without the ending that makes
    /// collectors read it.
    fn beside(path: &Path) -> Result<Temporary, Errno> {
        let mut name = OsString::from(".");
        name.push(path.file_name().ok_or(Errno(libc::EISDIR))?);
        name.push(format!(".{}.tmp", std::process::id()));
        let path = path.with_file_name(name);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(CWD, &path, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(Temporary { path, file })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = rustix::fs::unlinkat(CWD, &self.path, AtFlags::empty());
    }
}
