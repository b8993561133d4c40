//! From `argv[0]` to the title of a process. A path is cut to its last part; the text that a
//! program writes behind its path stays, arguments do not. docs/GROUPING.md has the rules, and is
//! their test.
//!
//! ```text
//!   /usr/sbin/zabbix_server: housekeeper [deleted 3500 hist/trends]
//!   └─ path ──────────────┘└─ text ──────────────────────────────┘  a path ends at `: ` ` [` ` (`
//!   /opt/chrome/chrome --type=renderer --dir=/a/b
//!   └─ path ─────────┘└─ arguments ─────────────┘                   or at ` -x`, ` --x`, ` /`
//! ```
//!
//! Directories may contain such text too. If a `/` follows, the end is in doubt: comm or the binary
//! decides.
//! A relative path looks like text (`TCP/IP helper`): comm or the binary proves that it is one.

use std::ops::Range;

/// The longest comm of a program.
const COMM_MAX: usize = 15;
/// A program that calls its parts `dovecot/PART`, or `dovecot-INSTANCE/PART`.
const PROGRAM_WITH_PARTS: &[u8] = b"dovecot";

/// Directories that hold programs and appear in no text.
const PROGRAM_DIRECTORIES: [&[u8]; 4] = [b"bin", b"sbin", b".bin", b"libexec"];

/// The content of `argv[0]`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Title<'a> {
    /// The title.
    Shown(&'a [u8]),
    /// A path with several possible ends, or perhaps text: the next clue decides.
    Doubtful,
    /// A link to the binary or to a descriptor.
    MagicLink,
}

/// A text besides `argv[0]` that tells a path from other text. The next one is read only if one
/// leaves a doubt.
#[derive(Clone, Copy)]
pub(super) enum Clue<'a> {
    Nothing,
    /// comm, which may be empty.
    Comm(&'a [u8]),
    /// The target of the link to the binary, without its mark of a removed file. It may be empty.
    Exe(&'a [u8]),
}

/// The kind of text in `argv[0]`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TitleKind {
    /// `/usr/bin/x`, `./x`, `../x`, `venv/bin/x`.
    Path,
    /// `lib/x`, `TCP/IP helper`: the first word may be a path.
    RelativePath,
    /// `My Apps/x`, `worker of a/b`: the first words may be a directory.
    BlankPath,
    /// `C:\x`, `Z:/x`, `\\?\unix\x`.
    DosPath,
    /// `postgres: writer`, `bash`.
    Text,
}

/// The title that `argv[0]` shows. It may have the whole command line if it `is_alone`, without
/// further arguments.
pub(super) fn title<'a>(argv0: &'a [u8], is_alone: bool, clue: Clue<'_>) -> Title<'a> {
    let kind = kind(argv0, is_alone);
    match kind {
        TitleKind::Text => Title::Shown(argv0),
        TitleKind::RelativePath => relative(argv0, is_alone, clue),
        TitleKind::BlankPath => with_blank(argv0, is_alone, clue),
        TitleKind::Path | TitleKind::DosPath => path(argv0, kind, is_alone, clue),
    }
}

/// The title of a path.
fn path<'a>(argv0: &'a [u8], kind: TitleKind, is_alone: bool, clue: Clue<'_>) -> Title<'a> {
    let end = end_of_path(argv0, kind, is_alone);
    let blank = argv0.iter().position(is_blank).filter(|_| is_alone);
    let first = end.unwrap_or(argv0.len()).min(blank.unwrap_or(argv0.len()));
    if is_magic_link(&argv0[..first]) {
        return Title::MagicLink;
    }
    if kind != TitleKind::DosPath && is_doubtful(&argv0[first..]) {
        let next_path = argv0
            .windows(2)
            .position(|two| is_blank(&two[0]) && two[1] == b'/')
            .filter(|_| is_alone);
        let path_max = next_path.unwrap_or(argv0.len());
        let found = match clue {
            Clue::Nothing => return Title::Doubtful,
            Clue::Comm(comm) => match confirmed(argv0, path_max, comm) {
                None if !is_text(&argv0[first..]) => return Title::Doubtful,
                found => found,
            },
            Clue::Exe(exe) => whole_path(argv0, exe)
                .or_else(|| confirmed(argv0, path_max, last_part(exe)))
                .or_else(|| begin_of_text(argv0, first)),
        };
        if let Some(name) = found {
            return Title::Shown(&argv0[name]);
        }
    }
    let end = end.unwrap_or(argv0.len());
    let path = &argv0[..end];
    if !is_text(&argv0[end..]) {
        return Title::Shown(last_part(path));
    }
    let begin = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    Title::Shown(&argv0[begin..])
}

/// The title of a path if comm or the binary proves that the first word is one; else all of it.
fn relative<'a>(argv0: &'a [u8], is_alone: bool, clue: Clue<'_>) -> Title<'a> {
    let end = end_of_path(argv0, TitleKind::Path, is_alone).unwrap_or(argv0.len());
    let first = first_word(argv0);
    let word = first.strip_suffix(b":").unwrap_or(first);
    if is_magic_link(word) {
        return Title::MagicLink;
    }
    // A name with a blank proves that the path has one.
    let room = |comm: &[u8]| if comm.iter().any(is_blank) { end } else { first.len() };
    let name = match clue {
        Clue::Nothing => return Title::Doubtful,
        Clue::Comm(comm) if is_part_of_program(word, comm) => argv0,
        Clue::Comm(comm) => match confirmed(argv0, room(comm), comm) {
            Some(name) => &argv0[name],
            None => return Title::Doubtful,
        },
        Clue::Exe(exe) if is_below(exe, argv0) => last_part(argv0),
        Clue::Exe(exe) if !is_text(&argv0[end..]) && is_below(exe, &argv0[..end]) => {
            last_part(&argv0[..end])
        }
        Clue::Exe(exe) => {
            let last = last_part(word);
            let is_binary = is_version_of(last_part(exe), last);
            let name = is_binary.then(|| confirmed(argv0, first.len(), last));
            name.flatten().map_or(argv0, |name| &argv0[name])
        }
    };
    Title::Shown(name)
}

/// The title of a path whose first directory has a blank, if comm or the binary proves that it is
/// one and does not begin the text; else all of it.
fn with_blank<'a>(argv0: &'a [u8], is_alone: bool, clue: Clue<'_>) -> Title<'a> {
    let end = end_of_path(argv0, TitleKind::Path, is_alone).unwrap_or(argv0.len());
    let is_begin = |name: &[u8]| !name.is_empty() && argv0.starts_with(name);
    let name = match clue {
        Clue::Nothing => return Title::Doubtful,
        Clue::Comm(comm) if is_begin(last_part(comm)) => argv0,
        Clue::Comm(comm) => match confirmed(argv0, end, comm) {
            Some(name) => &argv0[name],
            None => return Title::Doubtful,
        },
        Clue::Exe(exe) => {
            let program = last_part(exe);
            let last = first_word(last_part(&argv0[..end]));
            let is_whole = |name: &Range<usize>| {
                argv0[name.clone()].starts_with(program)
                    && is_below(exe, &argv0[..name.start + program.len()])
            };
            let by_path = confirmed(argv0, end, program).filter(is_whole);
            let by_version = || {
                let is_text = is_begin(last) || !is_version_of(program, last);
                confirmed(argv0, end, last).filter(|_| !is_text)
            };
            by_path.or_else(by_version).map_or(argv0, |name| &argv0[name])
        }
    };
    Title::Shown(name)
}

/// Whether a binary is this relative path.
fn is_below(exe: &[u8], path: &[u8]) -> bool {
    exe.strip_suffix(path).is_some_and(|dir| dir.ends_with(b"/"))
}

/// Whether the name of a binary is this one, with or without a version: `venv/bin/python` is a link
/// to `python3.11`.
fn is_version_of(binary: &[u8], name: &[u8]) -> bool {
    let is_of_version = |byte: &u8| byte.is_ascii_digit() || b".-".contains(byte);
    binary.strip_prefix(name).is_some_and(|version| version.iter().all(is_of_version))
}

/// Whether the beginning of a longer `argv[0]` is a path without an end, so that its last part is
/// unknown.
pub(super) fn is_endless(argv0: &[u8]) -> bool {
    match kind(argv0, true) {
        TitleKind::Text | TitleKind::BlankPath => false,
        TitleKind::RelativePath => !argv0.iter().any(is_blank),
        kind => end_of_path(argv0, kind, true).is_none(),
    }
}

fn kind(argv0: &[u8], is_alone: bool) -> TitleKind {
    if [&b"/"[..], b"./", b"../"].iter().any(|start| argv0.starts_with(start)) {
        return TitleKind::Path;
    }
    if is_dos_path(argv0) {
        return TitleKind::DosPath;
    }
    let word = first_word(argv0);
    let mut parts = word.strip_suffix(b":").unwrap_or(word).splitn(2, |byte| *byte == b'/');
    let (first, Some(rest)) = (parts.next().unwrap_or_default(), parts.next()) else {
        let is_path = may_begin_with_blank_path(argv0, is_alone);
        return if is_path { TitleKind::BlankPath } else { TitleKind::Text };
    };
    // `http://x`, `[celeryd/x]`, `-/bin/sh`, `user@host/x`, `kworker/0:1` are text.
    let is_name = first.iter().all(is_of_name);
    let begins = first.first().is_some_and(|byte| *byte != b'-');
    let more = first.strip_prefix(PROGRAM_WITH_PARTS);
    let is_known = more.is_some_and(|more| more.is_empty() || more[0] == b'-');
    if !is_name || !begins || is_known || rest.contains(&b':') {
        TitleKind::Text
    } else if has_program_directory(word) {
        TitleKind::Path
    } else {
        TitleKind::RelativePath
    }
}

fn is_of_name(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._+-~".contains(byte) || !byte.is_ascii()
}

/// Whether the words up to the first slash may be a directory: `My Apps/bin/tool`. Text and
/// arguments are none: `nginx: a/b`, `tool -c x/y`, `node /srv/x`.
fn may_begin_with_blank_path(argv0: &[u8], is_alone: bool) -> bool {
    let Some(slash) = argv0.iter().position(|byte| *byte == b'/') else { return false };
    let directory = &argv0[..slash];
    let is_of_directory = |byte: &u8| is_of_name(byte) || b" '(),[]&".contains(byte);
    let is_whole = end_of_path(&argv0[..=slash], TitleKind::Path, is_alone).is_none();
    let begins = directory.first().is_some_and(|first| is_of_name(first) && *first != b'-');
    begins && !directory.ends_with(b" ") && directory.iter().all(is_of_directory) && is_whole
}

/// Whether a word is a path by the name of a directory: `.venv/bin/python`.
fn has_program_directory(word: &[u8]) -> bool {
    word.rsplit(|byte| *byte == b'/').skip(1).any(is_of_programs)
}

fn is_of_programs(directory: &[u8]) -> bool {
    PROGRAM_DIRECTORIES.contains(&directory)
}

fn first_word(text: &[u8]) -> &[u8] {
    text.split(is_blank).next().unwrap_or_default()
}

/// Whether a byte parts words. Titles have tabs and newlines, too.
pub(super) fn is_blank(byte: &u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

fn behind_blank(text: &[u8]) -> Option<&[u8]> {
    text.split_first().filter(|(first, _)| is_blank(first)).map(|(_, rest)| rest)
}

/// Whether comm must tell where the path ends, if this follows its first possible end.
fn is_doubtful(rest: &[u8]) -> bool {
    let is_certain = |word: &[u8]| word.starts_with(b"--") || word.starts_with(b"/");
    rest.contains(&b'/') && !behind_blank(rest).is_some_and(is_certain)
}

/// Whether the word is `PROGRAM/PART` and comm says PROGRAM or the same.
fn is_part_of_program(word: &[u8], comm: &[u8]) -> bool {
    let mut parts = word.split(|byte| *byte == b'/');
    let (program, part) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let is_file = !comm.is_empty() && part.starts_with(comm);
    let program = &program[..program.len().min(COMM_MAX)];
    let more = comm.strip_prefix(program);
    !is_file && more.is_some_and(|more| more.is_empty() || more[0] == b'/')
}

/// The place where the path ends and text or arguments begin; `None`: nowhere.
fn end_of_path(argv0: &[u8], kind: TitleKind, is_alone: bool) -> Option<usize> {
    (0..argv0.len()).find(|at| {
        let rest = &argv0[*at..];
        is_alone && is_argument(rest)
            || kind != TitleKind::DosPath
                && is_text(rest)
                && (is_alone || rest[0] == b':')
                && !closes_before_slash(rest)
    })
}

/// Whether text of a program begins here, as in `prog: text`, `prog [text]`, `prog (text)`.
fn is_text(rest: &[u8]) -> bool {
    match rest {
        [b':', blank, ..] | [blank, b'[' | b'(', ..] => is_blank(blank),
        _ => false,
    }
}

/// Whether an argument begins here. A lone dash is none: `/opt/My App - beta/app`.
pub(super) fn is_argument(rest: &[u8]) -> bool {
    let Some(word) = behind_blank(rest) else { return false };
    let option = word.strip_prefix(b"--").or_else(|| word.strip_prefix(b"-"));
    let is_option = option.and_then(<[u8]>::first).is_some_and(u8::is_ascii_alphabetic);
    is_option || word.starts_with(b"/")
}

/// Whether the bracket that opens here closes before a `/`, as in `/opt/Program Files (x86)/app`.
fn closes_before_slash(rest: &[u8]) -> bool {
    let closing = match rest.get(1) {
        Some(b'[') => b"]/",
        Some(b'(') => b")/",
        _ => return false,
    };
    let close = rest.iter().position(|byte| *byte == closing[0]);
    close.is_some_and(|close| rest[close..].starts_with(closing))
}

/// The place of the name that comm confirms: a part of the path, which ends before `path_max`, that
/// begins with it, with the text behind it. The last such part, unless a colon follows an earlier
/// one.
fn confirmed(argv0: &[u8], path_max: usize, comm: &[u8]) -> Option<Range<usize>> {
    // Perl writes the beginning of a title, which can be a path, into comm as well.
    let (comm, is_cut) = (last_part(comm), comm.len() >= COMM_MAX);
    if comm.is_empty() {
        return None;
    }
    let room = &argv0[..path_max];
    let parts = (0..room.len()).filter(|at| *at == 0 || room[*at - 1] == b'/');
    let mut last = None;
    for begin in parts.filter(|begin| room[*begin..].starts_with(comm)) {
        let mut end = begin + comm.len();
        if is_cut {
            let rest = &room[end..];
            let is_part_end = |byte: &u8| is_blank(byte) || *byte == b'/';
            let is_end = |at: &usize| is_part_end(&rest[*at]) || is_text(&rest[*at..]);
            end += (0..rest.len()).find(is_end).unwrap_or(rest.len());
        }
        let rest = &room[end..];
        if !rest.is_empty() && !is_blank(&rest[0]) && rest != b":" && !is_text(rest) {
            continue;
        }
        last = Some((begin, end));
        if rest.starts_with(b":") {
            break;
        }
    }
    let (begin, end) = last?;
    Some(begin..end + kept_len(&argv0[end..]))
}

/// The length of the text behind a program that its name keeps: none of it if it has a `/`.
fn kept_len(rest: &[u8]) -> usize {
    let cut = (0..rest.len()).find(|at| is_argument(&rest[*at..])).unwrap_or(rest.len());
    match rest {
        _ if is_text(rest) => rest.len(),
        _ if rest[..cut].contains(&b'/') => 0,
        _ => cut,
    }
}

/// The place of the name if `argv0` begins with the path of the binary.
fn whole_path(argv0: &[u8], exe: &[u8]) -> Option<Range<usize>> {
    let rest = argv0.strip_prefix(exe).filter(|_| !exe.is_empty())?;
    let is_whole = rest.is_empty() || is_blank(&rest[0]) || is_text(rest);
    let begin = exe.len() - last_part(exe).len();
    is_whole.then(|| begin..exe.len() + kept_len(rest))
}

/// The place of the name if the first blank ends the path, as it does without a proof in front of
/// a word in lower case, or behind a directory of programs; unless such a directory follows.
fn begin_of_text(argv0: &[u8], first: usize) -> Option<Range<usize>> {
    let (path, rest) = argv0.split_at(first);
    let word = first_word(behind_blank(rest)?);
    let is_word = !word.is_empty() && word.iter().all(u8::is_ascii_lowercase);
    let begin = path.iter().rposition(|byte| *byte == b'/')? + 1;
    let has_directory = || path.rsplit(|byte| *byte == b'/').nth(1).is_some_and(is_of_programs);
    let is_end = begin < first && (is_word || has_directory()) && !has_program_directory(rest);
    is_end.then(|| begin..first + kept_len(rest))
}

/// Whether a path is a link of `/proc` whose own name says nothing: `/proc/self/exe`,
/// `/proc/7/task/8/exe`, `/proc/self/fd/3`, `/dev/fd/3`.
pub(super) fn is_magic_link(path: &[u8]) -> bool {
    let is_id = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let mut parts = path.rsplit(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    let mut next = || parts.next().unwrap_or_default();
    let is_descriptor = match next() {
        b"exe" => false,
        last if is_id(last) && next() == b"fd" => true,
        _ => return false,
    };
    let (mut process, mut parent) = (next(), next());
    if is_descriptor && process == b"dev" {
        return parent.is_empty();
    }
    if is_id(process) && parent == b"task" {
        (process, parent) = (next(), next());
    }
    (is_id(process) || process == b"self" || process == b"thread-self") && parent == b"proc"
}

/// Cuts `/usr/sbin/nginx` to `nginx`, and `C:\windows\explorer.exe` to `explorer.exe`.
pub(super) fn last_part(path: &[u8]) -> &[u8] {
    let is_dos = is_dos_path(path);
    let is_slash = |byte: &u8| *byte == b'/' || is_dos && *byte == b'\\';
    let trimmed = path.len() - path.iter().rev().take_while(|byte| is_slash(byte)).count();
    match path[..trimmed].iter().rposition(is_slash) {
        Some(slash) => &path[slash + 1..trimmed],
        None if trimmed == 0 => path,
        None => &path[..trimmed],
    }
}

/// Whether a path is one of DOS, as Wine shows it. One of its own kind is `\\?\unix\home\x`.
fn is_dos_path(path: &[u8]) -> bool {
    let has_drive = matches!(path, [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic());
    has_drive || path.starts_with(br"\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magic_links() {
        for path in [
            "/proc/self/exe",
            "/proc/42/exe",
            "/proc/thread-self/exe",
            "/proc/42/task/43/exe",
            "/proc/self/fd/7",
            "/proc/42/fd/7",
            "/proc/thread-self/fd/7",
            "/proc/self/task/43/fd/7",
            "/dev/fd/7",
            "/host/proc/42/exe",
            "/proc//self/exe",
            "/proc/self/./exe",
            "//proc/42//task/43/./exe",
            "/dev/./fd//7",
        ] {
            assert!(is_magic_link(path.as_bytes()), "{path}");
        }
        for path in [
            "/opt/exe",
            "/proc/self/cwd/app",
            "/proc/self/root/usr/bin/app",
            "/srv/fd/7",
            "/srv/dev/fd/7",
            "/proc/self/exe/x",
            "/proc/fd/7",
            "/proc/self/fd/x",
            "exe",
            "/",
            "",
        ] {
            assert!(!is_magic_link(path.as_bytes()), "{path}");
        }
    }
}
