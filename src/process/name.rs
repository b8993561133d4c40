//! The name of a program, from the files of its process.
//!
//! A name is a claim: a process can choose any bytes. They are kept raw here and escaped by the
//! report.

use super::script::{self, last_part};
use super::{ProcFile, status};
use crate::units::labels;

/// The rule that names a program by its process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameRule {
    /// `argv[0]` as the process shows it, a path cut to its last part; `[comm]` if it is empty.
    /// Titles set with `setproctitle(3)` appear unchanged.
    #[default]
    Title,
    /// The kernel's name of the leading thread, at most 15 bytes. Its read never touches the memory
    /// of the process.
    Comm,
    /// The last part of the binary's path, with ` (deleted)` if the file was removed or replaced;
    /// comm if the kernel refuses the link.
    Exe,
    /// The script, module, jar or class that an interpreter runs (python, node, java, ruby, perl,
    /// php, a shell); the title for other programs and without a script.
    Script,
    /// The whole argument list, with blanks between, at most [`NAME_MAX`] bytes; `[comm]` if empty.
    Cmdline,
}

labels!(NameRule {
    Title => "title", "argv[0] as the process shows it, paths cut to the last part";
    Comm => "comm", "the kernel's name of the thread, at most 15 bytes";
    Exe => "exe", "the last part of the binary's path";
    Script => "script", "what an interpreter runs: script, module, class; else as title";
    Cmdline => "cmdline", "the whole argument list";
});

/// The maximum length of a name in bytes. Longer names are cut.
pub const NAME_MAX: usize = 4096;

/// Appends the name from the text of a file, by a rule; nothing if the argument list is empty.
pub(super) fn take(rule: NameRule, file: ProcFile, text: &[u8], name: &mut Vec<u8>) {
    match file {
        ProcFile::Comm => by_comm(rule, name, |name| name.extend_from_slice(comm(text))),
        ProcFile::Status => by_comm(rule, name, |name| status::comm(text, name)),
        ProcFile::Exe => name.extend_from_slice(exe(text)),
        ProcFile::Arguments => {
            let script = script::script(text, text.len() < file.text_max());
            // The title must be the same as by the rule `title`, which reads less.
            let head = &text[..text.len().min(NAME_MAX)];
            name.extend_from_slice(script.unwrap_or_else(|| title(head)));
            name.truncate(NAME_MAX);
        }
        _ if rule == NameRule::Cmdline => arguments(text, name),
        _ => name.extend_from_slice(title(text)),
    }
}

/// Appends comm, in brackets if it replaces an empty argument list.
fn by_comm(rule: NameRule, name: &mut Vec<u8>, append: impl FnOnce(&mut Vec<u8>)) {
    let is_title = matches!(rule, NameRule::Title | NameRule::Script | NameRule::Cmdline);
    name.extend(is_title.then_some(b'['));
    append(name);
    // The kernel's comm is short. One in a directory that replaces `/proc` may not be.
    name.truncate(NAME_MAX - 1);
    name.extend(is_title.then_some(b']'));
}

/// The title: `argv[0]`, cut to its last part if it is a path.
fn title(cmdline: &[u8]) -> &[u8] {
    let end = cmdline.iter().position(|byte| *byte == 0).unwrap_or(cmdline.len());
    let (argv0, others) = cmdline.split_at(end);
    let is_path = [&b"/"[..], b"./", b"../"].iter().any(|start| argv0.starts_with(start));
    // `postgres: /data` and `sshd: user@pts/0` are titles, not paths.
    if !is_path {
        return argv0;
    }
    // Some programs write their whole command line to `argv[0]` and clear the other arguments.
    let is_all = others.iter().all(|byte| *byte == 0);
    last_part(if is_all { without_options(argv0) } else { argv0 })
}

/// Cuts a command line before its first option, whose slashes would hide the name of the program. A
/// lone dash is not an option: `/opt/My App - beta/app`.
fn without_options(line: &[u8]) -> &[u8] {
    let is_option = |rest: &[u8]| {
        let word = rest.strip_prefix(b" --").or_else(|| rest.strip_prefix(b" -"));
        word.and_then(<[u8]>::first).is_some_and(u8::is_ascii_alphabetic)
    };
    let begin = (0..line.len()).find(|begin| is_option(&line[*begin..]));
    &line[..begin.unwrap_or(line.len())]
}

/// The arguments with blanks between them. The terminating NULs are dropped.
fn arguments(cmdline: &[u8], name: &mut Vec<u8>) {
    let ends = cmdline.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    name.extend(cmdline[..ends].iter().map(|byte| if *byte == 0 { b' ' } else { *byte }));
}

/// The last part of the link's target.
fn exe(target: &[u8]) -> &[u8] {
    let slash = target.iter().rposition(|byte| *byte == b'/');
    slash.map_or(target, |slash| &target[slash + 1..])
}

/// comm without its newline. Newlines inside it are part of the name.
fn comm(text: &[u8]) -> &[u8] {
    text.strip_suffix(b"\n").unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles() {
        for (cmdline, expected) in [
            (&b"/usr/sbin/nginx\0-g\0daemon off;\0"[..], &b"nginx"[..]),
            (b"nginx: worker process\0\0\0\0", b"nginx: worker process"),
            (
                b"[celeryd@default:MainProcess] -active- (worker)",
                b"[celeryd@default:MainProcess] -active- (worker)",
            ),
            (b"postgres: writer   ", b"postgres: writer   "),
            (b"sshd: root@pts/0\0", b"sshd: root@pts/0"),
            (b"-bash\0", b"-bash"),
            (b"./server\0x", b"server"),
            (b"../bin/server\0", b"server"),
            (b"/opt/My App/app\0", b"app"),
            (b"/opt/chrome/chrome --type=renderer --dir=/a/b", b"chrome"),
            (b"/opt/chrome/chrome --type=renderer --dir=/a/b\0\0\0", b"chrome"),
            (b"/opt/tool -I/usr/include", b"tool"),
            // Blank and dash in a path: a dash alone, or followed by arguments of their own.
            (b"/opt/My App - beta/bin/prog\0", b"prog"),
            (b"/opt/My App - beta/bin/prog -v /x", b"prog"),
            (b"/opt/My App -beta/bin/prog\0-v\0", b"prog"),
            (b"/opt/tool -\0", b"tool -"),
            (b"/opt/tool/\0", b"tool"),
            (b"/\0", b"/"),
            (b"//\0", b"//"),
            (b"\0\0\0", b""),
            (b"\0second\0", b""),
            (b"", b""),
            (b"\xff\xfe\0", b"\xff\xfe"),
        ] {
            assert_eq!(title(cmdline), expected, "{}", cmdline.escape_ascii());
        }
    }

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
