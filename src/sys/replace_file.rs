//! A file that is replaced as a whole: who reads it finds the old text or the new one, never a
//! part.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};

use super::clock;
use super::stdio::write_all;
use crate::units::{Errno, Reason};

/// Who may read it: everybody, as the collector that takes it up runs as somebody else.
const MODE: Mode = Mode::from_raw_mode(0o644);
/// How many names are tried for the temporary file.
const NAMES_MAX: usize = 16;

/// Why it could not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The kernel says no.
    Errno(Errno),
    /// A device, a directory, a link: to replace it would be a surprise, of `/dev/null` a bad one.
    NotRegular,
    /// There is no directory to write it into.
    NoDirectory,
}

impl Reason for Refusal {
    fn errno(&self) -> Option<Errno> {
        if let Refusal::Errno(errno) = self { Some(*errno) } else { None }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Errno(errno) => errno.fmt(f),
            Refusal::NotRegular => f.write_str("it is there, and no regular file"),
            Refusal::NoDirectory => f.write_str("its directory is not there (mkdir makes it)"),
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
    let temporary = Temporary::beside(path, names()).map_err(|errno| match errno {
        Errno::NOENT => Refusal::NoDirectory,
        errno => Refusal::Errno(errno),
    })?;
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
}
