//! From the arguments of an interpreter to the program that it runs: the first script, module, jar
//! or class. Which options take a value is known here, since the word behind one is no script.
//!
//! Knows the options of today's python, node, java, ruby, perl, php and shells. An option of
//! tomorrow that takes a value in the next argument makes that value the name: a wrong name, and
//! no wrong figure.

/// The options of an interpreter that decide where its script stands. Letters can stand together
/// behind one dash.
struct Interpreter {
    /// What it is called, but for its version.
    names: &'static [&'static str],
    /// Letters that take the rest of their argument, or the next one.
    values: &'static [u8],
    /// Letters that take the rest of their argument, if there is any.
    rests: &'static [u8],
    /// Letters that take the next argument.
    nexts: &'static [u8],
    /// Letters after which there is no script: code, or standard input.
    code: &'static [u8],
    /// Letters that take a module.
    module: &'static [u8],
    /// Letters that take the script itself.
    file: &'static [u8],
    /// Words behind two dashes that take the next argument, unless they have a `=`.
    long_values: &'static [&'static str],
    /// Words that take code.
    long_code: &'static [&'static str],
    /// `+` begins an option, and a dash alone ends them.
    is_shell: bool,
}

const PLAIN: Interpreter = Interpreter {
    names: &[],
    values: b"",
    rests: b"",
    nexts: b"",
    code: b"",
    module: b"",
    file: b"",
    long_values: &[],
    long_code: &[],
    is_shell: false,
};

const INTERPRETERS: [Interpreter; 6] = [
    Interpreter {
        names: &["python", "pypy"],
        values: b"WX",
        code: b"c",
        module: b"m",
        long_values: &["check-hash-based-pycs", "jit"],
        ..PLAIN
    },
    Interpreter {
        names: &["node", "nodejs"],
        values: b"rC",
        code: b"ep",
        long_values: &[
            "conditions",
            "diagnostic-dir",
            "disable-warning",
            "dns-result-order",
            "env-file",
            "env-file-if-exists",
            "experimental-loader",
            "icu-data-dir",
            "import",
            "input-type",
            "inspect-port",
            "loader",
            "openssl-config",
            "redirect-warnings",
            "require",
            "title",
            "trace-event-categories",
            "unhandled-rejections",
            "watch-path",
        ],
        long_code: &["eval", "print", "run"],
        ..PLAIN
    },
    Interpreter {
        names: &["ruby"],
        values: b"CEIXr",
        rests: b"FKTWix",
        code: b"e",
        long_values: &["disable", "enable", "encoding", "external-encoding", "internal-encoding"],
        ..PLAIN
    },
    Interpreter { names: &["perl"], values: b"I", rests: b"CDFMVdimx", code: b"eE", ..PLAIN },
    Interpreter {
        names: &["php"],
        values: b"Scdtz",
        code: b"BERr",
        file: b"Ff",
        long_values: &["define", "docroot", "php-ini", "server", "zend-extension"],
        long_code: &["process-begin", "process-code", "process-end", "run"],
        ..PLAIN
    },
    Interpreter {
        names: &["sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"],
        nexts: b"Oo",
        code: b"cs",
        long_values: &["init-file", "rcfile"],
        is_shell: true,
        ..PLAIN
    },
];

/// Options of java that take the next argument.
const JAVA_VALUES: [&str; 17] = [
    "-cp",
    "-classpath",
    "--class-path",
    "-p",
    "--module-path",
    "--upgrade-module-path",
    "--add-exports",
    "--add-modules",
    "--add-opens",
    "--add-reads",
    "--enable-native-access",
    "--limit-modules",
    "--patch-module",
    "-d",
    "--describe-module",
    "--source",
    "--finalization",
];

/// What an option leads to.
enum ScriptArg<'a> {
    /// Look on.
    Nothing,
    /// A name, as it is; or none, for what runs is no script.
    Name(Option<&'a [u8]>),
    /// The path of a script.
    File(Option<&'a [u8]>),
}

/// The name of the script that an argument list runs; none for what is no interpreter, or runs
/// none. `is_whole` is false when the end of the text was cut, and its last word with it.
pub(super) fn script(cmdline: &[u8], is_whole: bool) -> Option<&[u8]> {
    let end = if is_whole {
        cmdline.strip_suffix(b"\0").map_or(cmdline.len(), <[u8]>::len)
    } else {
        cmdline.iter().rposition(|byte| *byte == 0)?
    };
    let mut arguments = cmdline[..end].split(|byte| *byte == 0);
    let program = last_part(arguments.next()?);
    let found = if is_called(program, "java") {
        java(&mut arguments)
    } else {
        let is_it = |one: &&Interpreter| one.names.iter().any(|name| is_called(program, name));
        INTERPRETERS.iter().find(is_it)?.script(&mut arguments)
    };
    let name = match found {
        ScriptArg::Nothing => None,
        ScriptArg::Name(name) => name,
        ScriptArg::File(path) => path.filter(|path| !is_descriptor(path)).map(last_part),
    };
    name.filter(|name| !name.is_empty())
}

/// A script from a pipe, as `bash <(...)` runs it, has a number and no name.
fn is_descriptor(path: &[u8]) -> bool {
    let begins = [&b"/dev/fd/"[..], b"/proc/self/fd/"].iter().any(|dir| path.starts_with(dir));
    begins || path == b"/dev/stdin"
}

/// `python`, `python3`, `python3.12`, `python3.13t`: a name and perhaps a version.
fn is_called(program: &[u8], name: &str) -> bool {
    let version = program.strip_prefix(name.as_bytes());
    version.is_some_and(|version| {
        let build = version.strip_suffix(b"t").or(version.strip_suffix(b"d")).unwrap_or(version);
        let is_bare = build.is_empty() && !version.is_empty();
        !is_bare && build.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
    })
}

impl Interpreter {
    fn script<'a>(&self, arguments: &mut impl Iterator<Item = &'a [u8]>) -> ScriptArg<'a> {
        while let Some(argument) = arguments.next() {
            let found = match argument {
                b"--" => return ScriptArg::File(arguments.next()),
                b"-" if self.is_shell => return ScriptArg::File(arguments.next()),
                b"-" => return ScriptArg::Name(None),
                [b'-', b'-', word @ ..] => self.word(word, arguments),
                [b'-', letters @ ..] => self.letters(letters, arguments),
                [b'+', letters @ ..] if self.is_shell => self.letters(letters, arguments),
                path => return ScriptArg::File(Some(path)),
            };
            if !matches!(found, ScriptArg::Nothing) {
                return found;
            }
        }
        ScriptArg::Nothing
    }

    fn word<'a>(
        &self,
        word: &'a [u8],
        arguments: &mut impl Iterator<Item = &'a [u8]>,
    ) -> ScriptArg<'a> {
        let name = word.split(|byte| *byte == b'=').next().unwrap_or_default();
        let is_in = |words: &[&str]| words.iter().any(|known| known.as_bytes() == name);
        if is_in(self.long_code) {
            return ScriptArg::Name(None);
        }
        if name.len() == word.len() && is_in(self.long_values) {
            arguments.next();
        }
        ScriptArg::Nothing
    }

    fn letters<'a>(
        &self,
        letters: &'a [u8],
        arguments: &mut impl Iterator<Item = &'a [u8]>,
    ) -> ScriptArg<'a> {
        for (n, letter) in letters.iter().enumerate() {
            let rest = Some(&letters[n + 1..]).filter(|rest| !rest.is_empty());
            if self.code.contains(letter) {
                return ScriptArg::Name(None);
            } else if self.module.contains(letter) {
                return ScriptArg::Name(rest.or_else(|| arguments.next()));
            } else if self.file.contains(letter) {
                return ScriptArg::File(rest.or_else(|| arguments.next()));
            } else if self.values.contains(letter) {
                if rest.is_none() {
                    arguments.next();
                }
                return ScriptArg::Nothing;
            } else if self.rests.contains(letter) {
                return ScriptArg::Nothing;
            } else if self.nexts.contains(letter) {
                arguments.next();
            }
        }
        ScriptArg::Nothing
    }
}

/// Options of java are words, and `@file` stands for more of them, which are not read.
fn java<'a>(arguments: &mut impl Iterator<Item = &'a [u8]>) -> ScriptArg<'a> {
    while let Some(argument) = arguments.next() {
        match argument {
            b"-jar" => return ScriptArg::File(arguments.next()),
            b"-m" | b"--module" => return ScriptArg::Name(arguments.next()),
            [b'@', ..] => {}
            [b'-', ..] => {
                if let Some(module) = argument.strip_prefix(b"--module=") {
                    return ScriptArg::Name(Some(module));
                }
                if JAVA_VALUES.iter().any(|option| option.as_bytes() == argument) {
                    arguments.next();
                }
            }
            // A class has no slash, a source file may have some.
            class => return ScriptArg::File(Some(class)),
        }
    }
    ScriptArg::Nothing
}

/// Cuts `/usr/sbin/nginx` to `nginx`.
pub(super) fn last_part(path: &[u8]) -> &[u8] {
    let trimmed = path.len() - path.iter().rev().take_while(|byte| **byte == b'/').count();
    match path[..trimmed].iter().rposition(|byte| *byte == b'/') {
        Some(slash) => &path[slash + 1..trimmed],
        None if trimmed == 0 => path,
        None => &path[..trimmed],
    }
}
