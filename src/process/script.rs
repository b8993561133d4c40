//! From the arguments of an interpreter to the script, module, jar or class that it runs.
//!
//! The table lists the options that take a value, because the value is not the script. An option
//! that is missing there and takes the next argument makes its value the name: a wrong name, but
//! never a wrong figure.

use std::ops::ControlFlow::{self, Break, Continue};

use self::Effect::{Code, Module, Next, Rest, Script, Value};

/// The effect of an option. A value is the rest of the argument, behind a letter or behind `=`, or
/// else the next argument.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// It takes a value.
    Value,
    /// It takes the rest of the argument, which may be empty.
    Rest,
    /// It takes the next argument; the rest of the argument is more letters.
    Next,
    /// Its value is a module, jar or class by name.
    Module,
    /// Its value is the path of the script.
    Script,
    /// No script follows: the program is in the argument or on standard input.
    Code,
}

/// An effect, the letters that have it, and the words that have it, with blanks between. Letters
/// can follow each other in one argument.
type ScriptOptions = (Effect, &'static str, &'static str);

struct Interpreter {
    /// Names of the program without a version, with blanks between.
    names: &'static str,
    /// The bytes that an option begins with.
    signs: &'static [u8],
    /// The options with an effect. All others are switches.
    options: &'static [ScriptOptions],
}

/// Options of all interpreters, unless their own say otherwise.
const COMMON: [ScriptOptions; 2] = [(Script, "", "--"), (Code, "", "-")];

const INTERPRETERS: [Interpreter; 7] = [
    Interpreter {
        names: "python pypy",
        signs: b"-",
        options: &[
            (Code, "c", ""),
            (Module, "m", ""),
            (Value, "WX", "--check-hash-based-pycs --jit"),
        ],
    },
    Interpreter {
        names: "node nodejs",
        signs: b"-",
        options: &[
            (Code, "ep", "--eval --print --run"),
            (
                Value,
                "rC",
                "--conditions --diagnostic-dir --disable-warning --dns-result-order --env-file \
                 --env-file-if-exists --experimental-loader --icu-data-dir --import --input-type \
                 --inspect-port --loader --openssl-config --redirect-warnings --require --title \
                 --trace-event-categories --unhandled-rejections --watch-path",
            ),
        ],
    },
    Interpreter {
        names: "java",
        // `@file` has more arguments, which are not read.
        signs: b"-@",
        options: &[
            (Script, "", "-jar"),
            (Module, "", "-m --module"),
            (
                Value,
                "",
                "-cp -classpath --class-path -p --module-path --upgrade-module-path --add-exports \
                 --add-modules --add-opens --add-reads --enable-native-access --limit-modules \
                 --patch-module -d --describe-module --source --finalization",
            ),
        ],
    },
    Interpreter {
        names: "ruby",
        signs: b"-",
        options: &[
            (Code, "e", ""),
            (Rest, "FKTWix", ""),
            (
                Value,
                "CEIXr",
                "--disable --enable --encoding --external-encoding --internal-encoding",
            ),
        ],
    },
    Interpreter {
        names: "perl",
        signs: b"-",
        options: &[(Code, "eE", ""), (Rest, "CDFMVdimx", ""), (Value, "I", "")],
    },
    Interpreter {
        names: "php",
        signs: b"-",
        options: &[
            (Code, "BERr", "--process-begin --process-code --process-end --run"),
            (Script, "Ff", ""),
            (Value, "Scdtz", "--define --docroot --php-ini --server --zend-extension"),
        ],
    },
    Interpreter {
        names: "sh bash dash ash ksh mksh zsh",
        signs: b"-+",
        options: &[
            (Code, "cs", ""),
            (Script, "", "-"),
            (Next, "Oo", ""),
            (Value, "", "--init-file --rcfile"),
        ],
    },
];

/// The name of the script that an argument list runs; `None` for a program that is not an
/// interpreter or runs no script. `is_whole` is false if the text was cut: its last word is
/// ignored.
pub(super) fn script(cmdline: &[u8], is_whole: bool) -> Option<&[u8]> {
    let end = if is_whole {
        cmdline.strip_suffix(b"\0").map_or(cmdline.len(), <[u8]>::len)
    } else {
        cmdline.iter().rposition(|byte| *byte == 0)?
    };
    let mut arguments = cmdline[..end].split(|byte| *byte == 0);
    let program = last_part(arguments.next()?);
    let interpreter = INTERPRETERS.iter().find(|interpreter| interpreter.is(program))?;
    while let Some(argument) = arguments.next() {
        if let Break(name) = interpreter.read(argument, &mut arguments) {
            return name.filter(|name| !name.is_empty());
        }
    }
    None
}

impl Interpreter {
    /// Whether this is the interpreter: `python`, `python3`, `python3.12`, `python3.13t`.
    fn is(&self, program: &[u8]) -> bool {
        self.names.split(' ').any(|name| {
            program.strip_prefix(name.as_bytes()).is_some_and(|version| {
                let number = version.strip_suffix(b"t").or(version.strip_suffix(b"d"));
                let number = number.unwrap_or(version);
                let is_bare = number.is_empty() && !version.is_empty();
                !is_bare && number.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
            })
        })
    }

    /// Reads one argument, and its value from the next one. Breaks with the name, or with `None` if
    /// there is no script.
    fn read<'a>(
        &self,
        argument: &'a [u8],
        next: &mut impl Iterator<Item = &'a [u8]>,
    ) -> ControlFlow<Option<&'a [u8]>> {
        if !argument.first().is_some_and(|first| self.signs.contains(first)) {
            return Break(name_of_file(argument));
        }
        let mut parts = argument.splitn(2, |byte| *byte == b'=');
        let word = parts.next().unwrap_or_default();
        let has_word = |words: &str| words.split(' ').any(|known| known.as_bytes() == word);
        if let Some(effect) = self.effect(|(_, _, words)| has_word(words)) {
            return effect.apply(parts.next(), next);
        }
        if argument.starts_with(b"--") {
            return Continue(());
        }
        for (n, letter) in argument.iter().enumerate().skip(1) {
            let has_letter = |(_, letters, _): &ScriptOptions| letters.as_bytes().contains(letter);
            let Some(effect) = self.effect(has_letter) else { continue };
            let rest = Some(&argument[n + 1..]).filter(|rest| !rest.is_empty());
            effect.apply(rest, next)?;
            if effect != Next {
                break;
            }
        }
        Continue(())
    }

    fn effect(&self, has: impl Fn(&ScriptOptions) -> bool) -> Option<Effect> {
        self.options.iter().chain(&COMMON).find(|options| has(options)).map(|options| options.0)
    }
}

impl Effect {
    fn apply<'a>(
        self,
        value: Option<&'a [u8]>,
        next: &mut impl Iterator<Item = &'a [u8]>,
    ) -> ControlFlow<Option<&'a [u8]>> {
        let value = match self {
            Next => next.next(),
            Rest | Code => value,
            Value | Module | Script => value.or_else(|| next.next()),
        };
        match self {
            Value | Rest | Next => Continue(()),
            Module => Break(value),
            Script => Break(value.and_then(name_of_file)),
            Code => Break(None),
        }
    }
}

/// The name of a script. A script from a pipe (`bash <(...)`) or from standard input has none.
fn name_of_file(path: &[u8]) -> Option<&[u8]> {
    let is_in = |dir: &[u8]| path.starts_with(dir);
    let is_descriptor = is_in(b"/dev/fd/") || is_in(b"/proc/self/fd/") || path == b"/dev/stdin";
    (!is_descriptor).then(|| last_part(path))
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
