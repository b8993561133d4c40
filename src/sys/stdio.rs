//! Standard output and error, byte for byte, with every error told.
//!
//! Not through `std::io`, which takes a closed descriptor for success.

use rustix::io::Errno as Os;

use crate::units::Errno;

/// Writes all of `bytes` to standard output.
///
/// # Errors
/// Those of `write(2)`: `EPIPE` when the reader left, `ENOSPC` on a full disk, `EBADF` when it is
/// closed or not open for writing.
pub fn write_stdout(bytes: &[u8]) -> Result<(), Errno> {
    write_all(rustix::stdio::stdout(), bytes)
}

/// Writes to standard error as much as it takes. There is nobody left to tell about a failure.
pub fn write_stderr(bytes: &[u8]) {
    let _ = write_all(rustix::stdio::stderr(), bytes);
}

/// Whether somebody watches standard error.
pub fn stderr_is_terminal() -> bool {
    rustix::termios::isatty(rustix::stdio::stderr())
}

fn write_all(fd: rustix::fd::BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(0) => return Err(Errno(libc::EIO)),
            Ok(written) => bytes = &bytes[written..],
            Err(Os::INTR) => {}
            // Somebody made the descriptor non-blocking: wait until it takes more.
            Err(Os::AGAIN) => wait_until_writable(fd)?,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

fn wait_until_writable(fd: rustix::fd::BorrowedFd<'_>) -> Result<(), Errno> {
    use rustix::event::{PollFd, PollFlags, poll};
    match poll(&mut [PollFd::new(&fd, PollFlags::OUT)], None) {
        Ok(_) | Err(Os::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
