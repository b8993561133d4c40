//! From an argument list to the script, module, jar or class that an interpreter runs, and to the
//! program that an emulator or a loader runs. `interpreters` has the table.

use std::ops::ControlFlow::{self, Break, Continue};

use super::interpreters::Effect::{
    self, Code, File, Label, Module, Next, Program, Rest, Script, Switch, Value,
};
use super::interpreters::{
    COMMON, INTERPRETERS, Interpreter, SCRIPT_END_MAX, SCRIPT_ENDS, ScriptOptions,
};
use super::title::{is_argument, is_blank, is_magic_link, last_part};

/// The outcome of a search through the arguments of an interpreter.
enum Found<'a> {
    /// The name of a script, or nothing with a name.
    Name(Option<&'a [u8]>),
    /// A name for want of a script.
    Label(&'a [u8]),
    /// A program by its path: its own arguments follow.
    Program(&'a [u8]),
    /// The arguments that follow are those of another interpreter.
    Switch(&'static Interpreter),
}

/// The arguments that follow.
type Arguments<'a, 'i> = &'i mut dyn Iterator<Item = &'a [u8]>;

/// The name of the script or program that an argument list runs; `None` for a program that is no
/// interpreter or runs no script. `is_whole` is false if the text was cut: its last word is
/// ignored.
pub(super) fn script(cmdline: &[u8], is_whole: bool) -> Option<&[u8]> {
    let mut arguments = arguments(cmdline, is_whole)?;
    let argv0 = arguments.next()?;
    match interpreter(last_part(argv0)) {
        Some(interpreter) => run(interpreter, &mut arguments, false),
        // Some programs write the whole command line to `argv[0]`: `node /srv/server.js`.
        None if arguments.all(<[u8]>::is_empty) => one_string(argv0),
        None => None,
    }
}

/// The name of the script in an argument list that begins with a magic link to this interpreter.
pub(super) fn script_of_link(id: InterpreterId, cmdline: &[u8], is_whole: bool) -> Option<&[u8]> {
    let interpreter = &INTERPRETERS[id.0];
    let mut arguments = arguments(cmdline, is_whole)?;
    let argv0 = arguments.next()?;
    if is_magic_link(argv0) {
        return run(interpreter, &mut arguments, false);
    }
    let blank = argv0.iter().position(is_blank)?;
    let is_alone = is_magic_link(&argv0[..blank]) && arguments.all(<[u8]>::is_empty);
    let mut words = LineWords { rest: &argv0[blank..], searched: 0 };
    is_alone.then(|| run(interpreter, &mut words, true))?
}

/// The arguments, without a last one that was cut.
fn arguments(cmdline: &[u8], is_whole: bool) -> Option<impl Iterator<Item = &[u8]>> {
    let end = if is_whole {
        cmdline.strip_suffix(b"\0").map_or(cmdline.len(), <[u8]>::len)
    } else {
        cmdline.iter().rposition(|byte| *byte == 0)?
    };
    Some(cmdline[..end].split(|byte| *byte == 0))
}

/// The name of the script in a command line of one string. A word without a slash and a dot is
/// text of a program: `node worker`.
fn one_string(line: &[u8]) -> Option<&[u8]> {
    let blank = line.iter().position(is_blank)?;
    let argument = (0..line.len()).find(|at| is_argument(&line[*at..]));
    let ends = [Some(blank), argument].into_iter().flatten();
    let found = |end: usize| Some((interpreter(last_part(&line[..end]))?, end));
    let (interpreter, end) = ends.filter_map(found).next()?;
    run(interpreter, &mut LineWords { rest: &line[end..], searched: 0 }, true)
}

/// The length up to which a path may have blanks.
const BLANKS_WITHIN: usize = 1024;

/// The words of a command line of one string. An absolute path with blanks is one word if it
/// ends as scripts do.
struct LineWords<'a> {
    rest: &'a [u8],
    /// The length of the beginning in which no path with blanks ends. It is searched once: a search
    /// for each path in a text of 64 KiB would take seconds.
    searched: usize,
}

impl<'a> Iterator for LineWords<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let blanks = self.rest.len() - self.rest.trim_ascii_start().len();
        self.advance(blanks);
        let text = self.rest;
        if text.is_empty() {
            return None;
        }
        let mut end = text.iter().position(is_blank).unwrap_or(text.len());
        if text.starts_with(b"/") {
            match script_end(text, self.searched) {
                Ok(_) if interpreter(last_part(&text[..end])).is_some() => {}
                Ok(script_end) => end = script_end,
                Err(searched) => self.searched = searched,
            }
        }
        self.advance(end);
        Some(&text[..end])
    }
}

impl LineWords<'_> {
    fn advance(&mut self, len: usize) {
        self.rest = &self.rest[len..];
        self.searched = self.searched.saturating_sub(len);
    }
}

/// The end of a path at the start of a text, with or without blanks, if it ends as scripts do. The
/// search begins at `searched`. Without an end: the length that is searched now.
fn script_end(text: &[u8], searched: usize) -> Result<usize, usize> {
    let longest = text.len().min(BLANKS_WITHIN);
    let path_end = (searched..longest).find(|at| is_argument(&text[*at..])).unwrap_or(longest);
    let is_blank = |at: &usize| text.get(*at).is_none_or(is_blank);
    let is_script = |at: &usize| {
        let dot = memchr::memrchr(b'.', &text[at.saturating_sub(SCRIPT_END_MAX)..*at]);
        dot.is_some() && has_script_end(&text[..*at])
    };
    (searched.max(1)..=path_end).find(|at| is_blank(at) && is_script(at)).ok_or(path_end)
}

/// Whether a name ends as those of scripts do.
pub(super) fn has_script_end(name: &[u8]) -> bool {
    SCRIPT_ENDS.split(' ').any(|end| name.ends_with(end.as_bytes()))
}

/// The place of an interpreter in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InterpreterId(usize);

pub(super) fn interpreter_id(program: &[u8]) -> Option<InterpreterId> {
    let bare = bare_name(program);
    INTERPRETERS.iter().position(|one| one.is(program, bare)).map(InterpreterId)
}

/// The interpreter of this name.
fn interpreter(program: &[u8]) -> Option<&'static Interpreter> {
    interpreter_id(program).map(|id| &INTERPRETERS[id.0])
}

/// The name of a program without the marks of builds: `python3-dbg`, `perl5.36-x86_64-linux-gnu`.
fn bare_name(program: &[u8]) -> &[u8] {
    let ends = [&b".exe"[..], b"-static", b"-dbg", b"-debug"].into_iter();
    let bare = ends.filter_map(|end| program.strip_suffix(end)).next().unwrap_or(program);
    let system = memchr::memmem::find(bare, b"-linux-");
    let machine = system.and_then(|system| memchr::memrchr(b'-', &bare[..system]));
    let bare = &bare[..machine.unwrap_or(bare.len())];
    bare.strip_prefix(b"buildkit-").unwrap_or(bare)
}

/// The name of the script or program that an interpreter runs with these arguments.
fn run<'a>(
    mut interpreter: &'static Interpreter,
    arguments: Arguments<'a, '_>,
    is_one_string: bool,
) -> Option<&'a [u8]> {
    let mut label = None;
    // Emulators repeat the name of their program: `rosetta /usr/bin/node node app.js`.
    let mut repeated = None;
    while let Some(argument) = arguments.next() {
        if repeated.take() == Some(last_part(argument)) {
            continue;
        }
        match interpreter.read(argument, arguments, is_one_string) {
            Continue(()) => {}
            Break(Found::Name(name)) => return name.filter(|name| !name.is_empty()).or(label),
            Break(Found::Label(name)) => label = Some(name),
            Break(Found::Switch(other)) => interpreter = other,
            Break(Found::Program(path)) if is_magic_link(path) => return label,
            Break(Found::Program(path)) => {
                let name = last_part(path);
                label = Some(name).filter(|name| !name.is_empty()).or(label);
                match self::interpreter(name) {
                    Some(inner) => interpreter = inner,
                    None => return label,
                }
                repeated = Some(name);
            }
        }
    }
    label
}

impl Interpreter {
    /// Whether this is the interpreter: `python`, `python3`, `python3.12`, `python3.13t`.
    fn is(&self, program: &[u8], bare: &[u8]) -> bool {
        self.names.split(' ').any(|name| match name.split_once('*') {
            Some((start, end)) => {
                let rest = program.strip_prefix(start.as_bytes());
                rest.is_some_and(|rest| memchr::memmem::find(rest, end.as_bytes()).is_some())
            }
            None => bare.strip_prefix(name.as_bytes()).is_some_and(is_version),
        })
    }

    /// Reads one argument, and its value from the next one.
    fn read<'a>(
        &self,
        argument: &'a [u8],
        next: Arguments<'a, '_>,
        is_one_string: bool,
    ) -> ControlFlow<Found<'a>> {
        let mut parts = argument.splitn(2, |byte| *byte == b'=');
        let word = parts.next().unwrap_or_default();
        let has_word = |words: &str| words.split(' ').any(|known| known.as_bytes() == word);
        if let Some(effect) = self.effect(|(_, _, words)| has_word(words)) {
            return effect.apply(argument, parts.next(), next);
        }
        if !argument.first().is_some_and(|first| self.signs.contains(first)) {
            let is_script = self.operand == Script && is_one_string;
            let operand = if is_script { File } else { self.operand };
            return operand.apply(argument, Some(argument), next);
        }
        if argument.starts_with(b"--") {
            return Continue(());
        }
        for (n, letter) in argument.iter().enumerate().skip(1) {
            let has_letter = |(_, letters, _): &ScriptOptions| letters.as_bytes().contains(letter);
            let Some(effect) = self.effect(has_letter) else { continue };
            let rest = Some(&argument[n + 1..]).filter(|rest| !rest.is_empty());
            effect.apply(argument, rest, next)?;
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

/// Whether the rest of a name, behind that of an interpreter, is empty or a version.
fn is_version(version: &[u8]) -> bool {
    let number = version.strip_suffix(b"t").or(version.strip_suffix(b"d")).unwrap_or(version);
    let number = number.strip_prefix(b"-").unwrap_or(number);
    let is_bare = number.is_empty() && !version.is_empty();
    !is_bare && number.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
}

impl Effect {
    fn apply<'a>(
        self,
        argument: &'a [u8],
        value: Option<&'a [u8]>,
        next: Arguments<'a, '_>,
    ) -> ControlFlow<Found<'a>> {
        let value = match self {
            Next => next.next(),
            Rest | Code | Effect::Nothing | File | Switch => value,
            Value | Module | Script | Label | Program => value.or_else(|| next.next()),
        };
        match (self, value) {
            (Value | Rest | Next | Effect::Nothing, _) => Continue(()),
            // `-s elixir` and `-run escript` only start what follows.
            (Module, Some(module)) if interpreter(module).is_some() => Continue(()),
            (Module, _) => Break(Found::Name(value)),
            (File, Some(word)) if !word.iter().any(|byte| b"/.".contains(byte)) => {
                Break(Found::Name(None))
            }
            // `python3 /usr/bin/ipython3 app.py`, `sh /usr/bin/wine setup.exe`
            (Script | File, Some(path)) if interpreter(last_part(path)).is_some() => {
                Break(Found::Program(path))
            }
            (Script | File, _) => Break(Found::Name(value.and_then(name_of_file))),
            (Code, _) => Break(Found::Name(None)),
            (Switch, _) => {
                interpreter(argument).map_or(Continue(()), |one| Break(Found::Switch(one)))
            }
            (Program, Some(path)) => Break(Found::Program(path)),
            (Label, Some(name)) => Break(Found::Label(before_at(name))),
            (Program | Label, None) => Continue(()),
        }
    }
}

/// The name of an Erlang node without its host.
fn before_at(name: &[u8]) -> &[u8] {
    name.split(|byte| *byte == b'@').next().unwrap_or_default()
}

/// The name of a script. A script from a pipe (`bash <(...)`) or from standard input has none, and
/// the current directory (`node .`) says none.
fn name_of_file(path: &[u8]) -> Option<&[u8]> {
    let name = last_part(path);
    let is_nothing = path == b"/dev/stdin" || matches!(name, b"." | b"..");
    (!is_nothing && !is_magic_link(path)).then_some(name)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::time::{ClockId, clock_gettime};

    use super::script;

    /// Any user can give a process such a text, and one thread reads those of all processes.
    #[test]
    fn long_texts_take_little_time() {
        for word in ["a ", "/a ", "-a "] {
            let line = format!("R {}", word.repeat(64 * 1024 / word.len()));
            let began = cpu_time();
            script(line.as_bytes(), true);
            let took = cpu_time() - began;
            assert!(took < Duration::from_millis(500), "{word}: {took:?}");
        }
    }

    /// CPU time of this thread: excludes other load on the machine.
    fn cpu_time() -> Duration {
        clock_gettime(ClockId::ThreadCPUTime).try_into().expect("time since the thread began")
    }
}
