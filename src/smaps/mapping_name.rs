//! The name of a mapping: from its header, and as reports show it. Pure.

use std::borrow::Cow;

use memchr::memchr;
use memchr::memmem;

/// The suffix of a file without a directory entry (`d_path`, fs/d_path.c).
const DELETED: &[u8] = b" (deleted)";
/// Files that never have a directory entry, so the suffix says nothing: memory of
/// `memfd_create(2)`, segments of System V, and anonymous memory in huge pages of hugetlbfs.
const MEMFD: &[u8] = b"/memfd:";
const NAMELESS: [&[u8]; 3] = [MEMFD, b"/SYSV", b"/anon_hugepage"];
/// Stacks of threads as glibc names them (nptl/allocatestack.c): the number of the thread follows.
const THREADS: [&[u8]; 2] = [b"[anon: glibc: pthread stack", b"[anon: glibc: pthread user stack"];

/// The name in `7f3d00000000-7f3d00400000 rw-s 00000000 00:2d 92840      /dev/shm/pool`, as the
/// kernel prints it. Empty: anonymous memory. A mapping of an object without a name has a blank,
/// the device and the inode instead.
pub(super) fn raw_name(header: &[u8]) -> &[u8] {
    let word = |begin: usize| memchr(b' ', &header[begin..]).map_or(header.len(), |at| begin + at);
    let next = |end: usize| (end + 1).min(header.len());
    // Permissions, offset, device and inode follow the addresses.
    let access = word(0);
    let offset = word(next(access));
    let device = word(next(offset));
    let inode = next(word(next(device)));
    let end = word(inode);
    let name = &header[end..];
    let blanks = name.iter().take_while(|byte| **byte == b' ').count();
    match &name[blanks..] {
        b"" if &header[inode..end] != b"0" => &header[device..end],
        name => name,
    }
}

/// The name for reports: `(anonymous)`, `memfd:NAME`, `/usr/bin/java (deleted)`.
///
/// The kernel escapes newlines alone (`seq_path`, fs/seq_file.c): `\012` is one.
pub fn mapping_name(raw: &[u8]) -> Cow<'_, [u8]> {
    match raw.first() {
        None => return Cow::Borrowed(b"(anonymous)"),
        Some(b' ') => return Cow::Borrowed(b"(no name)"),
        Some(b'[') => {
            if let Some(stack) = thread_stack(raw) {
                return Cow::Owned([stack, b"]"].concat());
            }
        }
        Some(_) => {}
    }
    let mut path = raw;
    while let Some(whole) = path.strip_suffix(DELETED) {
        path = whole;
    }
    let is_deleted = path.len() < raw.len();
    let is_nameless = is_deleted && NAMELESS.iter().any(|prefix| path.starts_with(prefix));
    path = if is_nameless && path.starts_with(MEMFD) { &path[1..] } else { path };
    let shown = match is_deleted && !is_nameless {
        true => &raw[..path.len() + DELETED.len()],
        false => path,
    };
    unescape(shown)
}

/// The part before the number of a thread: the stacks of all threads are one row, and the next
/// report has other numbers.
fn thread_stack(raw: &[u8]) -> Option<&'static [u8]> {
    let is_number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    THREADS.into_iter().find(|stack| {
        let number = raw.strip_prefix(*stack).and_then(|rest| rest.strip_prefix(b": "));
        number.and_then(|rest| rest.strip_suffix(b"]")).is_some_and(is_number)
    })
}

fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    const NEWLINE: &[u8] = br"\012";
    let (mut name, mut from) = (Vec::new(), 0);
    for at in memmem::find_iter(text, NEWLINE) {
        name.extend_from_slice(&text[from..at]);
        name.push(b'\n');
        from = at + NEWLINE.len();
    }
    if from == 0 {
        return Cow::Borrowed(text);
    }
    name.extend_from_slice(&text[from..]);
    Cow::Owned(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_headers() {
        for (header, name) in [
            (&b"55d0-55e0 rw-p 00000000 00:00 0 "[..], &b""[..]),
            (b"55d0-55e0 rw-p 00000000 00:00 0", b""),
            (b"55d0-55e0 rw-p 00000000 00:00 0                          [heap]", b"[heap]"),
            (b"55d0-55e0 rw-p 00000000 00:00 0    [anon: Go: heap]", b"[anon: Go: heap]"),
            (b"55d0-55e0 r--p 00000000 fe:01 77      /a b  c (deleted)", b"/a b  c (deleted)"),
            (b"55d0-55e0 rw-s 00000000 00:01 0       /SYSV00000000", b"/SYSV00000000"),
            (b"55d0-55e0 rw-s 00000000 00:01 77 ", b" 00:01 77"),
            (b"55d0-55e0 rw-s 00000000 00:01 77", b" 00:01 77"),
            (b"55d0-55e0 ---p ", b""),
            (b"5", b""),
            (b"", b""),
        ] {
            let found = raw_name(header).escape_ascii().to_string();
            assert_eq!(found, name.escape_ascii().to_string(), "{}", header.escape_ascii());
        }
    }

    #[test]
    fn names_of_reports() {
        for (raw, name) in [
            ("", "(anonymous)"),
            (" 00:01 77", "(no name)"),
            ("[heap]", "[heap]"),
            ("[anon: glibc: malloc]", "[anon: glibc: malloc]"),
            ("[anon: glibc: pthread stack: 4711]", "[anon: glibc: pthread stack]"),
            ("[anon: glibc: pthread user stack: 1]", "[anon: glibc: pthread user stack]"),
            ("[anon: glibc: pthread stack: ]", "[anon: glibc: pthread stack: ]"),
            ("[anon: glibc: pthread stack: 7 ]", "[anon: glibc: pthread stack: 7 ]"),
            ("[anon: glibc: pthread stack: 7", "[anon: glibc: pthread stack: 7"),
            ("[anon:]", "[anon:]"),
            ("[anon_shmem:ring: 0 (deleted)]", "[anon_shmem:ring: 0 (deleted)]"),
            ("anon_inode:[io_uring]", "anon_inode:[io_uring]"),
            ("/usr/lib/libc.so.6", "/usr/lib/libc.so.6"),
            ("/usr/bin/java (deleted)", "/usr/bin/java (deleted)"),
            ("/usr/bin/java (deleted) (deleted)", "/usr/bin/java (deleted)"),
            (" (deleted)", "(no name)"),
            ("/memfd:pool (deleted)", "memfd:pool"),
            ("/memfd: (deleted)", "memfd:"),
            ("/memfd:a (deleted) (deleted)", "memfd:a"),
            ("/memfd:a", "/memfd:a"),
            ("/SYSV0052e2c1 (deleted)", "/SYSV0052e2c1"),
            ("/anon_hugepage (deleted)", "/anon_hugepage"),
            ("/dev/zero (deleted)", "/dev/zero (deleted)"),
            ("/dev/shm/pool", "/dev/shm/pool"),
            (r"/tmp/a\012b\012", "/tmp/a\nb\n"),
            (r"/tmp/a\\012\01", "/tmp/a\\\n\\01"),
        ] {
            let found = mapping_name(raw.as_bytes()).escape_ascii().to_string();
            assert_eq!(found, name.as_bytes().escape_ascii().to_string(), "{raw}");
        }
    }
}
