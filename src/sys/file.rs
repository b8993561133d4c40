//! Files that the caller names: a report that is replaced as a whole, and one that is read.

use std::borrow::Cow;
use std::fs::{File, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Every user may read the report: the collector that picks it up is another user.
const MODE: u32 = 0o644;
/// The same until the report is complete.
const UNFINISHED_MODE: u32 = 0o600;

/// Writes a temporary file in the same directory and renames it once it is complete. A reader sees
/// the old text or the new one, never a part. On failure the old file stays and the temporary one
/// is removed.
///
/// The temporary file is hidden and has not the extension that makes collectors read it.
///
/// Nothing is synced: on a host in trouble that can wait for the disk forever. After a crash of the
/// host the file may be the old one, or empty, until the next run.
///
/// # Errors
/// Those of `open(2)`, `write(2)` and `rename(2)`; or the path is not a regular file.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(file) if !file.is_file() => {
            return Err(io::Error::other("exists but is not a regular file"));
        }
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let create =
        |path: &Path| File::options().write(true).create_new(true).mode(UNFINISHED_MODE).open(path);
    let temporary = tempfile::Builder::new()
        .prefix(".psm-uring-")
        .suffix(".tmp")
        .make_in(path.parent().unwrap_or(path), create);
    let mut temporary = temporary.map_err(|error| match error.kind() {
        ErrorKind::NotFound => io::Error::other("its directory does not exist (mkdir creates it)"),
        _ => error,
    })?;
    let file = temporary.as_file_mut();
    file.write_all(bytes)?;
    file.set_permissions(Permissions::from_mode(MODE))?;
    temporary.persist(path)?;
    Ok(())
}

/// The path that means standard input.
const STDIN: &str = "-";
/// The maximum size of a file to read: 100,000 rows take a tenth of it.
const BYTES_MAX: u64 = 1 << 30;

/// Reads a whole file, or standard input if the path is `-`. A pipe is read to its end, however
/// long its writer takes.
///
/// # Errors
/// Those of `open(2)` and `read(2)`; `EFBIG` if the file is too large.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = if path.as_os_str() == STDIN {
        // Not through `std::io::Stdin`, which reads a closed descriptor as an empty file.
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

/// The name of the file for people.
pub fn name(path: &Path) -> Cow<'_, str> {
    if path.as_os_str() == STDIN { "standard input".into() } else { path.to_string_lossy() }
}
