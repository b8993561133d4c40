//! A file that is replaced as a whole: who reads it finds the old text or the new one, never a
//! part.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use super::clock;
use super::stdio::write_all;
use crate::units::Errno;

/// Who may read it: everybody, as the collector that takes it up runs as somebody else.
const MODE: Mode = Mode::from_raw_mode(0o644);
/// How many names are tried for the temporary file.
const NAMES_MAX: usize = 16;

/// Writes a temporary file beside the one that is meant, and gives it that name once it is whole.
/// On failure the temporary file is removed and the old one stays.
///
/// Nothing is synced: that waits for the disk, on a host in trouble for ever. After a crash of the
/// host the file may be the old one, or empty, until the next run.
///
/// # Errors
/// Those of `open(2)`, `write(2)` and `rename(2)`, or that it is no regular file.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(file) if !file.is_file() => {
            return Err(io::Error::other("it is there, and no regular file"));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let temporary = Temporary::beside(path, names()).map_err(|errno| match errno {
        Errno::NOENT => io::Error::other("its directory is not there (mkdir makes it)"),
        errno => errno.into(),
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
/// The maximum size of a file: 100,000 rows take a tenth of it.
const BYTES_MAX: u64 = 1 << 30;

/// Reads a whole file, or standard input if the path is `-`. A pipe is read to its end, however long
/// its writer takes.
///
/// # Errors
/// Those of `open(2)` and `read(2)`; `EFBIG` if the file is too large.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = if path.as_os_str() == STDIN {
        // Not through `std::io::Stdin`, for which a closed descriptor is an empty file.
        File::from(io::stdin().as_fd().try_clone_to_owned()?)
    } else {
        File::open(path)?
    };
    let mut text = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > BYTES_MAX {
        return Err(io::Error::from_raw_os_error(libc::EFBIG));
    }
    Ok(text)
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
}
