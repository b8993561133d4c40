//! The name of a program, from the files of its process.
//!
//! A name is a claim: a process can choose any bytes. They are kept raw here and escaped by the
//! report.

use super::script::{self, InterpreterId};
use super::title::{Clue, Title, is_endless, title};
use super::{ProcFile, status};
use crate::units::labels;

/// The rule that names a program by its process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameRule {
    /// `argv[0]` as the process shows it, a path cut to its last part; `[comm]` if it is empty; the
    /// binary if it is a magic link. Titles set with `setproctitle(3)` appear unchanged.
    #[default]
    Title,
    /// The kernel's name of the leading thread, at most 15 bytes. Its read never touches the memory
    /// of the process.
    Comm,
    /// The last part of the binary's path, with ` (deleted)` if the file was removed or replaced;
    /// all of a target that is no path; comm if the kernel refuses the link.
    Exe,
    /// The script, module, jar or class that an interpreter runs, and the program that an emulator
    /// or a loader runs; the title for other programs and without a script.
    Script,
    /// The whole argument list, with blanks between, at most [`NAME_MAX`] bytes; `[comm]` if empty.
    Cmdline,
}

labels!(NameRule {
    Title => "title", "argv[0] as the process shows it, paths cut to the last part";
    Comm => "comm", "the kernel's name of the thread, at most 15 bytes";
    Exe => "exe", "the last part of the binary's path";
    Script => "script", "the script, module or class that an interpreter runs; else as title";
    Cmdline => "cmdline", "the whole argument list";
});

/// The maximum length of a name in bytes. Longer names are cut.
pub const NAME_MAX: usize = 4096;

/// The origin of a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum NameSource {
    /// The file of the rule.
    #[default]
    Rule,
    /// The binary: `argv[0]` is a magic link or a path without an end, or comm is empty.
    Exe,
    /// The binary in place of a magic link. If it is an interpreter, its script has the name.
    LinkedExe,
    /// The arguments of this interpreter, which a magic link runs.
    Interpreted(InterpreterId),
    /// comm: the binary is unknown.
    Comm,
    /// comm in brackets: the argument list is empty.
    BracketedComm,
}

/// The text that a name still needs after the read of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum NameNeed {
    /// Nothing: the name is known.
    #[default]
    Nothing,
    /// comm, and then perhaps the binary, tell where a path in `argv[0]` ends. The name is all of
    /// `argv[0]` until then.
    Doubt {
        /// There are no further arguments.
        is_alone: bool,
    },
    /// Another text has the name.
    Other(NameSource),
}

/// Appends the name from the text of a file, by a rule; nothing if another text has it.
pub(super) fn take(
    rule: NameRule,
    source: NameSource,
    file: ProcFile,
    text: &[u8],
    name: &mut Vec<u8>,
) -> NameNeed {
    let need = match file {
        ProcFile::Comm => by_comm(source, name, |name| name.extend_from_slice(comm(text))),
        ProcFile::Status => by_comm(source, name, |name| status::comm(text, name)),
        ProcFile::Exe if matches!(source, NameSource::Exe | NameSource::LinkedExe) => {
            let exe = exe(text);
            let exe = exe.strip_suffix(DELETED).unwrap_or(exe);
            let id = script::interpreter_id(exe).filter(|_| source == NameSource::LinkedExe);
            if let Some(id) = id {
                return NameNeed::Other(NameSource::Interpreted(id));
            }
            name.extend_from_slice(exe);
            NameNeed::Nothing
        }
        ProcFile::Exe => {
            name.extend_from_slice(exe(text));
            NameNeed::Nothing
        }
        ProcFile::Arguments => by_script(source, text, text.len() < file.text_max(), name),
        _ if rule == NameRule::Cmdline => {
            arguments(text, name);
            NameNeed::Nothing
        }
        _ => by_title(text, name),
    };
    name.truncate(NAME_MAX);
    match (need, source) {
        (NameNeed::Nothing, NameSource::Exe | NameSource::LinkedExe) if name.is_empty() => {
            NameNeed::Other(NameSource::Comm)
        }
        (NameNeed::Nothing, NameSource::Rule) if name.is_empty() => {
            let is_binary = matches!(rule, NameRule::Comm | NameRule::Exe);
            let comm = if is_binary { NameSource::Comm } else { NameSource::BracketedComm };
            NameNeed::Other(comm)
        }
        _ => need,
    }
}

/// Cuts a name in doubt, all of `argv[0]`, with the help of comm or of the binary, whose text may
/// be empty. Returns the doubt that comm leaves.
pub(super) fn settle(name: &mut Vec<u8>, is_alone: bool, file: ProcFile, text: &[u8]) -> NameNeed {
    let clue = match file {
        ProcFile::Exe => Clue::Exe(text.strip_suffix(DELETED).unwrap_or(text)),
        _ => Clue::Comm(comm(text)),
    };
    match title(name, is_alone, clue) {
        Title::Shown(shown) => {
            let shown = shown.to_vec();
            name.clear();
            name.extend_from_slice(&shown);
            NameNeed::Nothing
        }
        Title::Doubtful => NameNeed::Doubt { is_alone },
        Title::MagicLink => NameNeed::Nothing,
    }
}

/// The name of a process whose comm and binary say nothing.
pub(super) const NAMELESS: &[u8] = b"[]";

/// Appends comm, in brackets if it replaces an empty argument list. The binary replaces an empty
/// comm, unless the binary is unknown.
fn by_comm(source: NameSource, name: &mut Vec<u8>, append: impl FnOnce(&mut Vec<u8>)) -> NameNeed {
    let begin = name.len();
    append(name);
    if name.len() == begin {
        if source != NameSource::Comm {
            return NameNeed::Other(NameSource::Exe);
        }
        name.extend_from_slice(NAMELESS);
    } else if source == NameSource::BracketedComm {
        // The kernel's comm is short. One in a directory that replaces `/proc` may not be.
        name.truncate(NAME_MAX - 2);
        name.insert(begin, b'[');
        name.push(b']');
    }
    NameNeed::Nothing
}

/// Appends the name of the script, else the title.
fn by_script(source: NameSource, text: &[u8], is_whole: bool, name: &mut Vec<u8>) -> NameNeed {
    let script = match source {
        NameSource::Interpreted(id) => script::script_of_link(id, text, is_whole),
        _ => script::script(text, is_whole),
    };
    if let Some(script) = script {
        name.extend_from_slice(script);
        return NameNeed::Nothing;
    }
    // The title must be the same as by the rule `title`, which reads less.
    match by_title(&text[..text.len().min(NAME_MAX)], name) {
        NameNeed::Other(_) if source == NameSource::Rule => NameNeed::Other(NameSource::LinkedExe),
        need => need,
    }
}

/// Appends the title, or all of `argv[0]` if it is in doubt. A path that is cut at [`NAME_MAX`]
/// bytes has lost its last part.
fn by_title(cmdline: &[u8], name: &mut Vec<u8>) -> NameNeed {
    let end = cmdline.iter().position(|byte| *byte == 0).unwrap_or(cmdline.len());
    let (argv0, others) = cmdline.split_at(end);
    // Some programs write their whole command line to `argv[0]` and clear the other arguments.
    let is_alone = others.iter().all(|byte| *byte == 0);
    if argv0.len() == NAME_MAX && is_endless(argv0) {
        return NameNeed::Other(NameSource::Exe);
    }
    match title(argv0, is_alone, Clue::Nothing) {
        Title::Shown(shown) => {
            name.extend_from_slice(shown);
            NameNeed::Nothing
        }
        Title::Doubtful => {
            name.extend_from_slice(argv0);
            NameNeed::Doubt { is_alone }
        }
        Title::MagicLink => NameNeed::Other(NameSource::Exe),
    }
}

/// The arguments with blanks between them. The terminating NULs are dropped.
fn arguments(cmdline: &[u8], name: &mut Vec<u8>) {
    let ends = cmdline.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    name.extend(cmdline[..ends].iter().map(|byte| if *byte == 0 { b' ' } else { *byte }));
}

/// The words that the kernel adds to the path of a file that was removed.
pub(super) const DELETED: &[u8] = b" (deleted)";

/// The binary from the target of its link. A memfd and an anonymous inode have no path: the name is
/// all of it.
fn exe(target: &[u8]) -> &[u8] {
    let memfd = target.strip_prefix(b"/").filter(|name| name.starts_with(b"memfd:"));
    // A memfd is always marked as removed.
    if let Some(name) = memfd.and_then(|name| name.strip_suffix(DELETED)) {
        return name;
    }
    // `anon_inode:[eventfd]`, `pipe:[4026]`
    let mark = target.iter().find(|byte| b"/:".contains(byte));
    let slash = target.iter().rposition(|byte| *byte == b'/');
    slash.filter(|_| mark != Some(&b':')).map_or(target, |slash| &target[slash + 1..])
}

/// comm without its newline. Newlines inside it are part of the name.
fn comm(text: &[u8]) -> &[u8] {
    text.strip_suffix(b"\n").unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn argument_lists() {
        for (cmdline, expected) in [
            (&b"/bin/sh\0-c\0echo  a\0"[..], &b"/bin/sh -c echo  a"[..]),
            (b"a\0\0b\0\0\0", b"a  b"),
            (b"\0\0", b""),
        ] {
            let mut name = Vec::new();
            arguments(cmdline, &mut name);
            assert_eq!(name, expected);
        }
    }

    #[test]
    fn binaries_and_comms() {
        assert_eq!(exe(b"/usr/bin/nginx (deleted)"), b"nginx (deleted)");
        assert_eq!(exe(b"nginx"), b"nginx");
        assert_eq!(comm(b"a\nb\n"), b"a\nb");
        assert_eq!(comm(b""), b"");
    }
}
