//! Standard output and standard error, byte for byte, with every error reported.
//!
//! Not through `std::io`, where a write to a closed descriptor succeeds. Before `main`, the
//! standard library opens `/dev/null` in place of closed standard streams, so that writes succeed
//! and their bytes are lost. So a function that runs earlier looks for a closed standard output.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::BorrowedFd;
use rustix::io::Errno as Os;

use crate::units::Errno;

static STDOUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

// SAFETY: the loader calls functions in this section once, before the runtime of the standard
// library starts. This one makes a system call and needs no runtime.
#[used]
#[unsafe(link_section = ".init_array")]
static CHECK_STDOUT: extern "C" fn() = check_stdout;

extern "C" fn check_stdout() {
    let is_closed = rustix::io::fcntl_getfd(rustix::stdio::stdout()).is_err();
    STDOUT_WAS_CLOSED.store(is_closed, Ordering::Relaxed);
}

/// Turns a write beyond `RLIMIT_FSIZE` into an error. By default it is a signal, which ends the
/// program without a message.
pub fn prefer_errors_to_signals() {
    // SAFETY: an ignored signal runs no handler.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Writes all of `bytes` to standard output.
///
/// # Errors
/// Those of `write(2)`: `EPIPE` if the reader left, `ENOSPC` on a full disk, `EFBIG` beyond
/// `RLIMIT_FSIZE`, `EBADF` if it is closed or not open for writing.
pub fn write_stdout(bytes: &[u8]) -> Result<(), Errno> {
    if STDOUT_WAS_CLOSED.load(Ordering::Relaxed) {
        return Err(Os::BADF.into());
    }
    write_all(rustix::stdio::stdout(), bytes)
}

/// Writes a line about a failure of this program to standard error, as [`write_stderr`].
pub fn report(why: &str) {
    write_stderr(format!("psm-uring: {why}\n").as_bytes());
}

/// Writes to standard error. A failure is ignored: there is no other place to report it.
pub fn write_stderr(bytes: &[u8]) {
    let _ = write_all(rustix::stdio::stderr(), bytes);
}

fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(0) => return Err(Errno(libc::EIO)),
            Ok(written) => bytes = &bytes[written..],
            Err(Os::INTR) => {}
            // Another process set `O_NONBLOCK`: wait until the descriptor accepts more.
            Err(Os::AGAIN) => match poll(&mut [PollFd::new(&fd, PollFlags::OUT)], None) {
                Ok(_) | Err(Os::INTR) => {}
                Err(errno) => return Err(errno.into()),
            },
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}
