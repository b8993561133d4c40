//! The naive twin of `src/process/title.rs`, from the rules of docs/GROUPING.md: strings of one
//! character per byte, and no care for time.

use std::sync::LazyLock;

use regex::Regex;

/// Blanks part words.
const BLANKS: [char; 6] = [' ', '\t', '\n', '\x0b', '\x0c', '\r'];

/// The title of a process; `None` if its binary names it.
pub fn title(argv0: &[u8], is_alone: bool, comm: &[u8], exe: &[u8]) -> Option<Vec<u8>> {
    let text = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
    let (argv0, comm, exe) = (text(argv0), text(comm), text(exe));
    let word = argv0.split(BLANKS).next().unwrap_or_default();
    let is_rooted = ["/", "./", "../"].iter().any(|root| argv0.starts_with(root));
    let title = if is_rooted || is_dos(&argv0) {
        of_path(&argv0, is_alone, &comm, &exe)
    } else if !word.trim_end_matches(':').contains('/') {
        Some(if may_be_path(&argv0, is_alone) {
            of_blank_path(&argv0, is_alone, &comm, &exe)
        } else {
            &*argv0
        })
    } else if is_no_path(word) {
        Some(&*argv0)
    } else if word.rsplit('/').skip(1).any(|dir| ["bin", "sbin", ".bin", "libexec"].contains(&dir))
    {
        of_path(&argv0, is_alone, &comm, &exe)
    } else {
        of_relative(&argv0, is_alone, word.strip_suffix(':').unwrap_or(word), &comm, &exe)
    };
    title.map(|title| title.chars().filter_map(|byte| u8::try_from(byte).ok()).collect())
}

fn is_dos(text: &str) -> bool {
    let mut begin = text.chars();
    let [drive, colon, slash] =
        [begin.next(), begin.next(), begin.next()].map(Option::unwrap_or_default);
    drive.is_ascii_alphabetic() && colon == ':' && "\\/".contains(slash) && slash != '\0'
        || text.starts_with(r"\\")
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._+-~".contains(c) || !c.is_ascii()
}

/// Whether the first words, which have blanks between, may be a directory.
fn may_be_path(argv0: &str, is_alone: bool) -> bool {
    let Some((directory, _)) = argv0.split_once('/') else { return false };
    let is_end = |rest: &str| {
        let is_kept = is_text(rest) && !is_in_path(rest) && (is_alone || rest.starts_with(':'));
        is_kept || is_alone && is_argument(rest)
    };
    let with_slash = &argv0[..=directory.len()];
    let is_of_directory = |c: char| is_of_name(c) || " '(),[]&".contains(c);
    directory.starts_with(|c: char| is_of_name(c) && c != '-')
        && directory.chars().all(is_of_directory)
        && !directory.ends_with(' ')
        && !places(with_slash).any(|(_, rest)| is_end(rest))
}

/// Whether a word with a slash is text.
fn is_no_path(word: &str) -> bool {
    let Some((first, rest)) = word.strip_suffix(':').unwrap_or(word).split_once('/') else {
        return true;
    };
    let is_dovecot = first == "dovecot" || first.starts_with("dovecot-");
    first.is_empty()
        || first.starts_with('-')
        || !first.chars().all(is_of_name)
        || is_dovecot
        || rest.contains(':')
}

fn is_magic_link(path: &str) -> bool {
    static LINK: LazyLock<Regex> = LazyLock::new(|| {
        let process = "(self|thread-self|[0-9]+)(/task/[0-9]+)?";
        let link = format!("(?s)(^|/)proc/{process}/(exe|fd/[0-9]+)$|^dev/fd/[0-9]+$");
        Regex::new(&link).expect("a pattern")
    });
    let parts: Vec<&str> = path.split('/').filter(|part| !["", "."].contains(part)).collect();
    LINK.is_match(&parts.join("/"))
}

/// Text behind a program.
fn is_text(rest: &str) -> bool {
    let behind = rest.strip_prefix(BLANKS);
    rest.strip_prefix(':').is_some_and(|rest| rest.starts_with(BLANKS))
        || behind.is_some_and(|rest| rest.starts_with(['[', '(']))
}

/// An argument behind a program.
fn is_argument(rest: &str) -> bool {
    let Some(rest) = rest.strip_prefix(BLANKS) else { return false };
    let word = rest.strip_prefix("--").or(rest.strip_prefix("-"));
    rest.starts_with('/')
        || word.is_some_and(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// A bracket that is part of a path: `/opt/Program Files (x86)/app`.
fn is_in_path(rest: &str) -> bool {
    let Some(rest) = rest.strip_prefix(BLANKS) else { return false };
    [('[', ']'), ('(', ')')].into_iter().any(|(open, close)| {
        let behind = rest.strip_prefix(open).and_then(|rest| rest.split_once(close));
        behind.is_some_and(|(_, behind)| behind.starts_with('/'))
    })
}

/// All places of a text, with what follows.
fn places(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.char_indices().map(|(at, _)| (at, &text[at..]))
}

fn of_path<'a>(argv0: &'a str, is_alone: bool, comm: &str, exe: &str) -> Option<&'a str> {
    let is_end = |rest: &str| {
        let is_kept = is_text(rest) && !is_in_path(rest) && (is_alone || rest.starts_with(':'));
        is_alone && is_argument(rest) || is_kept && !is_dos(argv0)
    };
    let end = places(argv0).find(|(_, rest)| is_end(rest)).map_or(argv0.len(), |(at, _)| at);
    let blank = argv0.find(BLANKS).filter(|_| is_alone).unwrap_or(argv0.len());
    let (path, rest) = argv0.split_at(end.min(blank));
    if is_magic_link(path) {
        return None;
    }
    let is_end = |word: &str| word.starts_with("--") || word.starts_with('/');
    let is_certain = rest.strip_prefix(BLANKS).is_some_and(is_end) || !rest.contains('/');
    if !is_certain && !is_dos(argv0) {
        let is_root = |rest: &str| rest.strip_prefix(BLANKS).is_some_and(|r| r.starts_with('/'));
        let root = places(argv0).find(|(_, rest)| is_root(rest)).filter(|_| is_alone);
        let room = root.map_or(argv0.len(), |(at, _)| at);
        let by_comm = confirmed(argv0, room, comm);
        let by_exe = || of_binary(argv0, exe).or_else(|| confirmed(argv0, room, last_part(exe)));
        let without_comm = || by_exe().or_else(|| without_proof(path, rest, argv0));
        let found = by_comm.or_else(|| if is_text(rest) { None } else { without_comm() });
        if found.is_some() {
            return found;
        }
    }
    let (path, rest) = argv0.split_at(end);
    let begin = path.rfind('/').map_or(0, |slash| slash + 1);
    Some(if is_text(rest) { &argv0[begin..] } else { last_part(path) })
}

/// The name if the title begins with the path of the binary.
fn of_binary<'a>(argv0: &'a str, exe: &str) -> Option<&'a str> {
    let rest = argv0.strip_prefix(exe).filter(|_| !exe.is_empty())?;
    let is_whole = rest.is_empty() || rest.starts_with(BLANKS) || is_text(rest);
    let begin = exe.len() - last_part(exe).len();
    is_whole.then(|| &argv0[begin..exe.len() + kept(rest)])
}

/// The name if the first blank ends the path though nothing proves it.
fn without_proof<'a>(path: &'a str, rest: &str, argv0: &'a str) -> Option<&'a str> {
    let dirs = ["bin", "sbin", ".bin", "libexec"];
    let word = rest.strip_prefix(BLANKS)?.split(BLANKS).next().unwrap_or_default();
    let is_word = !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase());
    let (dir, name) = path.rsplit_once('/')?;
    let is_in_dir = dirs.contains(&last_part(dir)) && dir.ends_with(last_part(dir));
    let mut later = rest.rsplit('/').skip(1);
    let is_end = !name.is_empty() && (is_word || is_in_dir) && !later.any(|d| dirs.contains(&d));
    is_end.then(|| &argv0[dir.len() + 1..path.len() + kept(rest)])
}

fn of_relative<'a>(
    argv0: &'a str,
    is_alone: bool,
    word: &str,
    comm: &str,
    exe: &str,
) -> Option<&'a str> {
    if is_magic_link(word) {
        return None;
    }
    let room = argv0.find(BLANKS).unwrap_or(argv0.len());
    let mut parts = word.split('/');
    let (program, part) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let program: String = program.chars().take(15).collect();
    let names_part = !comm.is_empty() && part.starts_with(comm);
    if !names_part && (comm == program || comm.starts_with(&(program + "/"))) {
        return Some(argv0);
    }
    let end = end_of_relative(argv0, is_alone);
    let by_comm = confirmed(argv0, if comm.contains(BLANKS) { end } else { room }, comm);
    let paths = [argv0, if is_text(&argv0[end..]) { argv0 } else { &argv0[..end] }];
    let file = || paths.into_iter().find(|path| exe.ends_with(&format!("/{path}"))).map(last_part);
    let last = last_part(word);
    let by_exe = || {
        let version = last_part(exe).strip_prefix(last)?;
        let is_version = version.chars().all(|c| c.is_ascii_digit() || ".-".contains(c));
        is_version.then(|| confirmed(argv0, room, last)).flatten()
    };
    by_comm.or_else(file).or_else(by_exe).or(Some(argv0))
}

/// The end of a path that is no path of DOS.
fn end_of_relative(argv0: &str, is_alone: bool) -> usize {
    let is_end = |rest: &str| {
        let is_kept = is_text(rest) && !is_in_path(rest) && (is_alone || rest.starts_with(':'));
        is_kept || is_alone && is_argument(rest)
    };
    places(argv0).find(|(_, rest)| is_end(rest)).map_or(argv0.len(), |(at, _)| at)
}

fn of_blank_path<'a>(argv0: &'a str, is_alone: bool, comm: &str, exe: &str) -> &'a str {
    let end = end_of_relative(argv0, is_alone);
    let begins = |name: &str| !name.is_empty() && argv0.starts_with(name);
    if begins(last_part(comm)) {
        return argv0;
    }
    if let Some(name) = confirmed(argv0, end, comm) {
        return name;
    }
    let binary = last_part(exe);
    if let Some(name) = confirmed(argv0, end, binary) {
        let directory = &argv0[..name.as_ptr() as usize - argv0.as_ptr() as usize];
        if name.starts_with(binary) && exe.ends_with(&format!("/{directory}{binary}")) {
            return name;
        }
    }
    let last = last_part(&argv0[..end]).split(BLANKS).next().unwrap_or_default();
    let version = binary.strip_prefix(last);
    let is_version = |v: &str| v.chars().all(|c| c.is_ascii_digit() || ".-".contains(c));
    let name = confirmed(argv0, end, last).filter(|_| version.is_some_and(is_version));
    name.filter(|_| !begins(last)).unwrap_or(argv0)
}

/// The last part of the path that is comm or, if comm is full, begins with it; with text behind it.
fn confirmed<'a>(argv0: &'a str, room: usize, comm: &str) -> Option<&'a str> {
    let (comm, is_full) = (last_part(comm), comm.chars().count() >= 15);
    let path = &argv0[..room];
    let is_begin = |at: usize| at == 0 || path[..at].ends_with('/');
    let end_of = |begin: usize| {
        let more = path[begin..].strip_prefix(comm).filter(|_| !comm.is_empty())?;
        let is_end = |r: &str| r.starts_with(BLANKS) || r.starts_with('/') || is_text(r);
        let long = places(more).find(|(_, rest)| is_end(rest)).map_or(more.len(), |(at, _)| at);
        let more = &more[if is_full { long } else { 0 }..];
        let is_whole = ["", ":"].contains(&more) || more.starts_with(BLANKS) || is_text(more);
        is_whole.then_some(room - more.len())
    };
    let begins = places(path).map(|(at, _)| at).filter(|at| is_begin(*at));
    let all: Vec<(usize, usize)> = begins.filter_map(|at| Some((at, end_of(at)?))).collect();
    let has_colon = |found: &&(usize, usize)| path[found.1..].starts_with(':');
    let (begin, end) = *all.iter().find(has_colon).or(all.last())?;
    Some(&argv0[begin..end + kept(&argv0[end..])])
}

/// The length of the text that stays behind a program.
fn kept(rest: &str) -> usize {
    let end = places(rest).find(|(_, rest)| is_argument(rest)).map_or(rest.len(), |(at, _)| at);
    match rest {
        _ if is_text(rest) => rest.len(),
        _ if rest[..end].contains('/') => 0,
        _ => end,
    }
}

/// What follows the last slash before the end.
fn last_part(path: &str) -> &str {
    let slashes: &[char] = if is_dos(path) { &['/', '\\'] } else { &['/'] };
    let trimmed = path.trim_end_matches(slashes);
    match trimmed.rsplit(slashes).next() {
        Some("") | None => path,
        Some(last) => last,
    }
}
