//! A report that was saved: a file, or standard input.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The name of standard input.
const STDIN: &str = "-";
/// The most that is read: 100,000 rows take a tenth of it.
const BYTES_MAX: u64 = 1 << 30;

/// Reads it all.
///
/// # Errors
/// Those of `open(2)` and `read(2)`, and `EFBIG` for what is no report.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let file: Box<dyn Read> = match path.as_os_str() == STDIN {
        true => Box::new(io::stdin()),
        false => Box::new(File::open(path)?),
    };
    file.take(BYTES_MAX + 1).read_to_end(&mut text)?;
    let is_whole = text.len() as u64 <= BYTES_MAX;
    if is_whole { Ok(text) } else { Err(io::Error::from_raw_os_error(libc::EFBIG)) }
}

/// What to call it.
pub fn name(path: &Path) -> Cow<'_, str> {
    if path.as_os_str() == STDIN { "standard input".into() } else { path.to_string_lossy() }
}
