//! Standard output and error, byte for byte, with every error told.
//!
//! Not through `std::io`, which takes a closed descriptor for success. And before `main`, the
//! standard library opens `/dev/null` where a standard stream is closed, so that writing works and
//! goes nowhere: whether it was closed has to be asked before that.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno as Os;

use crate::units::Errno;

static STDOUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

// SAFETY: functions in this section are called once, before `main` and before the runtime of the
// standard library; this one needs neither.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK_AT_STDOUT: extern "C" fn() = look_at_stdout;

extern "C" fn look_at_stdout() {
    // SAFETY: F_GETFD takes no argument and changes nothing.
    let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) };
    STDOUT_WAS_CLOSED.store(flags < 0, Ordering::Relaxed);
}

/// Makes a file that grows beyond `RLIMIT_FSIZE` an error of the write. Otherwise it is a signal,
/// which ends the program without a word.
pub fn prefer_errors_to_signals() {
    // SAFETY: to ignore a signal runs no code of ours.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Writes all of `bytes` to standard output.
///
/// # Errors
/// Those of `write(2)`: `EPIPE` when the reader left, `ENOSPC` on a full disk, `EFBIG` beyond
/// `RLIMIT_FSIZE`, `EBADF` when it is closed or not open for writing.
pub fn write_stdout(bytes: &[u8]) -> Result<(), Errno> {
    if STDOUT_WAS_CLOSED.load(Ordering::Relaxed) {
        return Err(Os::BADF.into());
    }
    write_all(rustix::stdio::stdout(), bytes)
}

/// Writes to standard error as much as it takes. There is nobody left to tell about a failure.
pub fn write_stderr(bytes: &[u8]) {
    let _ = write_all(rustix::stdio::stderr(), bytes);
}

/// Writes all of `bytes`.
///
/// # Errors
/// Those of `write(2)`.
pub(super) fn write_all(fd: rustix::fd::BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
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
