//! The style of this project, run instead of remembered: floors, the fence around `unsafe`,
//! lengths, words that do not belong on main, flags that are documented, files that are on the map.
//!
//! Every failure names file, line, rule and remedy. When a reviewer says something twice, it is
//! added here.

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use regex::Regex;

/// Which modules a module may import: only from floors below its own.
const FLOORS: [(&str, &[&str]); 11] = [
    ("units", &[]),
    ("error", &["units"]),
    ("smaps", &["units"]),
    ("process", &["smaps", "units"]),
    ("sys", &["process", "units"]),
    ("program", &["process", "smaps", "units"]),
    ("report", &["error", "process", "program", "smaps", "units"]),
    ("engine", &["error", "process", "smaps", "sys", "units"]),
    ("cli", &["engine", "error", "process", "program", "report", "sys", "units"]),
    ("run", &["cli", "engine", "error", "process", "program", "report", "smaps", "sys", "units"]),
    ("bench", &["cli", "engine", "error", "process", "run", "smaps", "sys", "units"]),
];

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;
const COLUMNS_MAX: usize = 100;

/// Where `unsafe` may stand: one floor of the program, the crowd of the benches, and the
/// processes that tests start.
const UNSAFE: [&str; 3] = ["src/sys/", "benches/crowd", "tests/support/child.rs"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A text file of the project, with its path from the top.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// Lines with their numbers.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(n, line)| (n + 1, line))
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn is_program(&self) -> bool {
        self.path.starts_with("src/")
    }
}

/// All sources of ours below these directories; one that is missing has none.
fn sources(dirs: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    let mut waiting: Vec<PathBuf> = dirs.iter().map(|dir| root().join(dir)).collect();
    while let Some(path) = waiting.pop() {
        if let Ok(entries) = std::fs::read_dir(&path) {
            waiting.extend(entries.map(|entry| entry.expect("a directory entry").path()));
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            let path = path.strip_prefix(root()).expect("below the root");
            found.push(Source { path: path.display().to_string(), text });
        }
    }
    // Fixtures are other people's texts.
    let fixtures = ["tests/corpus", "tests/procfs", "tests/golden", "benches/record"];
    found.retain(|source| !fixtures.iter().any(|dir| source.path.starts_with(dir)));
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn rust() -> Vec<Source> {
    let mut rust = sources(&["src", "tests", "benches"]);
    rust.retain(Source::is_rust);
    assert!(rust.iter().filter(|source| source.is_program()).count() > 20, "src is missing");
    rust
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A line without its comment and without what stands between quotation marks.
fn code(line: &str) -> String {
    let mut code = String::new();
    let mut in_string = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if in_string => drop(chars.next()),
            // A quotation mark as a character is none.
            '\'' if !in_string && chars.peek() == Some(&'"') => drop(chars.next()),
            '"' => in_string = !in_string,
            '/' if !in_string && chars.peek() == Some(&'/') => break,
            _ if !in_string => code.push(c),
            _ => {}
        }
    }
    code
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a regular expression")
}

fn fail_if_any(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} faults\n{}", wrong.len(), wrong.join("\n"));
}

/// The module on the first level that a file belongs to.
fn module(path: &str) -> &str {
    let inner = path.strip_prefix("src/").unwrap_or(path);
    inner.split('/').next().unwrap_or(inner).trim_end_matches(".rs")
}

/// Names of modules that a text reaches through `crate::`, with their lines.
fn imports(source: &Source) -> Vec<(usize, String)> {
    let single = regex(r"\bcrate::([a-z_]+)");
    let group = regex(r"(?s)\bcrate::\{(.*?)\};");
    let member = regex(r"(?:^|[,{])\s*([a-z_]+)");
    let text: String = source.lines().map(|(_, line)| code(line) + "\n").collect();
    let line_of = |at: usize| text[..at].matches('\n').count() + 1;
    let mut imports: Vec<(usize, String)> = single
        .captures_iter(&text)
        .map(|found| (line_of(found.get(0).map_or(0, |m| m.start())), found[1].to_owned()))
        .collect();
    for found in group.captures_iter(&text) {
        let line = line_of(found.get(0).map_or(0, |m| m.start()));
        // Only the first level inside the braces names modules of the crate.
        let flat = regex(r"\{[^{}]*\}").replace_all(&found[1], "").into_owned();
        imports.extend(member.captures_iter(&flat).map(|found| (line, found[1].to_owned())));
    }
    imports
}

#[test]
fn imports_go_down_the_floors() {
    let mut wrong = Vec::new();
    for source in rust().iter().filter(|source| source.is_program()) {
        let Source { path, .. } = source;
        let module = module(path);
        if ["lib", "main"].contains(&module) {
            continue;
        }
        let Some((_, allowed)) = FLOORS.iter().find(|floor| floor.0 == module) else {
            wrong.push(format!("{path}:1: module `{module}` has no floor: add it to FLOORS"));
            continue;
        };
        for (line, import) in imports(source) {
            if import != module && !allowed.contains(&import.as_str()) {
                wrong.push(format!(
                    "{path}:{line}: `{module}` imports `{import}`, which is no floor below: move \
                     what both need down, or hand it over from above (docs/ARCHITECTURE.md)"
                ));
            }
        }
        let is_top = path.matches('/').count() == 1 || path.ends_with(&format!("{module}/mod.rs"));
        let climb = regex(if is_top { r"\bsuper::[a-zA-Z]" } else { r"\bsuper::super::super" });
        let climbs = source.lines().filter(|(_, line)| climb.is_match(&code(line)));
        wrong.extend(climbs.map(|(line, _)| {
            format!(
                "{path}:{line}: leaves its module by `super`: write `crate::`, which is checked"
            )
        }));
    }
    fail_if_any(&wrong);
}

#[test]
fn unsafe_stays_behind_the_fence() {
    let word = regex(r"\bunsafe\b|\b(allow|expect)\(.*unsafe_code");
    let mut wrong = Vec::new();
    for source in rust() {
        let path = &source.path;
        if UNSAFE.iter().any(|fence| path.starts_with(fence)) {
            continue;
        }
        let hits = source.lines().filter(|(_, line)| word.is_match(&code(line)));
        wrong.extend(hits.map(|(line, _)| {
            format!("{path}:{line}: `unsafe` outside of {UNSAFE:?}: give src/sys a safe function")
        }));
        let is_pure = source.text.contains("#![forbid(unsafe_code)]");
        let is_top = path.matches('/').count() == 1 || path.ends_with("/mod.rs");
        if source.is_program() && is_top && !is_pure && path != "src/lib.rs" {
            wrong.push(format!("{path}:1: open the module with `#![forbid(unsafe_code)]`"));
        }
    }
    fail_if_any(&wrong);
}

#[test]
fn files_lines_and_functions_are_short() {
    let mut wrong = Vec::new();
    for source in rust() {
        let path = &source.path;
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            wrong.push(format!(
                "{path}:{lines}: {lines} lines, at most {FILE_LINES_MAX}: a file holds one noun, \
                 find the second one and give it its own"
            ));
        }
        for (line, text) in source.lines() {
            let columns = text.chars().count();
            if columns > COLUMNS_MAX {
                let found = format!("{columns} columns, at most {COLUMNS_MAX}");
                wrong.push(format!("{path}:{line}: {found}: break the line (cargo fmt)"));
            }
        }
        for (line, length) in functions(&source) {
            if length > FUNCTION_LINES_MAX {
                wrong.push(format!(
                    "{path}:{line}: a function of {length} lines, at most {FUNCTION_LINES_MAX}: \
                     branch in the caller, compute in the callee"
                ));
            }
        }
    }
    fail_if_any(&wrong);
}

/// Where functions begin, and how many lines they have. Relies on `cargo fmt`: a function ends
/// with a brace in the column it began in.
fn functions(source: &Source) -> Vec<(usize, usize)> {
    let head = regex(r#"^( *)(pub(\([a-z ]+\))? )?(const |unsafe |async |extern "C" )*fn "#);
    let lines: Vec<&str> = source.text.lines().collect();
    let mut functions = Vec::new();
    for (begin, line) in lines.iter().enumerate() {
        let Some(found) = head.captures(line) else { continue };
        let end_line = format!("{}}}", &found[1]);
        let body = lines[begin..].iter().position(|line| line.ends_with(['{', '}', ';']));
        let opened = begin + body.unwrap_or(0);
        let is_short = !lines[opened].ends_with('{');
        let end = lines[opened..].iter().position(|line| *line == end_line);
        let end = if is_short { opened } else { opened + end.unwrap_or(0) };
        functions.push((begin + 1, end - begin + 1));
    }
    functions
}

#[test]
fn nothing_is_left_to_be_done() {
    // In two parts, so that this line is none of them.
    let words =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];
    let banned = regex(&format!(r"\b({})\b", words.join("|")));
    let mut wrong = Vec::new();
    for source in sources(&["src", "tests", "benches", "scripts", "docs", "README.md"]) {
        let hits = source.lines().filter(|(_, line)| banned.is_match(line));
        wrong.extend(hits.map(|(line, text)| {
            let (path, text) = (&source.path, text.trim());
            format!("{path}:{line}: `{text}`: do it, or write it down in docs/DECISIONS.md")
        }));
    }
    fail_if_any(&wrong);
}

#[test]
fn output_has_one_door() {
    let print = regex(r"\b(e?print(ln)?|dbg)!");
    let mut wrong = Vec::new();
    for source in rust().iter().filter(|source| source.is_program()) {
        let hits = source.lines().filter(|(_, line)| print.is_match(&code(line)));
        wrong.extend(hits.map(|(line, _)| {
            let path = &source.path;
            format!("{path}:{line}: prints past `sys::stdio`, which tells every error: use that")
        }));
    }
    fail_if_any(&wrong);
}

/// Flags in a text: `--filter` and `-f`, where they stand as words of their own.
fn flags(text: &str) -> BTreeSet<String> {
    let flag = regex(r"(?:^|[\s`(,|\[/])(--[a-z][a-z-]*|-[a-zA-Z])(?:$|[^a-zA-Z0-9_-])");
    let mut found = BTreeSet::new();
    for line in text.lines() {
        let mut from = 0;
        // Each match may end with the character that begins the next one.
        while let Some(captures) = flag.captures_at(line, from) {
            let word = captures.get(1).expect("the group is not optional");
            found.insert(word.as_str().to_owned());
            from = word.end();
        }
    }
    found
}

#[test]
fn every_flag_is_in_help_and_readme() {
    let help = support::run(["--help"]).stdout();
    let in_help = flags(&help);
    assert!(in_help.contains("--filter") && in_help.contains("-f"), "help was not understood");
    // Flags of other commands are not ours.
    let others = regex(r"\b(cargo|rustup|apt|apt-get|git|sudo|setcap|strace|rustc|perf|nginx)\b.*");
    let readme = read("README.md");
    let in_readme = flags(&others.replace_all(&readme, ""));
    let missing = in_help.difference(&in_readme);
    let invented = in_readme.difference(&in_help);
    let line_of = |flag: &String| {
        readme.lines().position(|line| line.contains(flag.as_str())).map_or(1, |n| n + 1)
    };
    let wrong: Vec<String> = missing
        .map(|flag| format!("README.md:1: `{flag}` of --help is not documented: add it"))
        .chain(invented.map(|flag| {
            let line = line_of(flag);
            format!(
                "README.md:{line}: `{flag}` is not in --help: remove it, or add it to src/cli.rs"
            )
        }))
        .collect();
    fail_if_any(&wrong);
}

/// The names a file's map lists: lines of its head that begin with a name between back quotes.
fn map_of(text: &str) -> BTreeSet<String> {
    let entry = regex(r"^//! - `([a-z_]+)`");
    text.lines().filter_map(|line| Some(entry.captures(line)?[1].to_owned())).collect()
}

#[test]
fn every_file_is_on_a_map() {
    let sources = rust();
    let mut wrong = Vec::new();
    for map in sources.iter().filter(|source| {
        source.is_program() && (source.path == "src/lib.rs" || source.path.ends_with("/mod.rs"))
    }) {
        let dir = map.path.rsplit_once('/').map_or("", |(dir, _)| dir);
        let children: BTreeSet<String> = sources
            .iter()
            .filter_map(|source| source.path.strip_prefix(&format!("{dir}/")))
            .map(|below| below.strip_suffix("/mod.rs").unwrap_or(below).trim_end_matches(".rs"))
            .filter(|child| !child.contains('/') && !["mod", "lib", "main"].contains(child))
            .map(str::to_owned)
            .collect();
        let (listed, path) = (map_of(&map.text), &map.path);
        wrong.extend(children.difference(&listed).map(|child| {
            format!("{path}:1: no line `//! - `{child}` ...` in its head: say what the file is")
        }));
        wrong.extend(listed.difference(&children).map(|child| {
            format!("{path}:1: its head lists `{child}`, which is not there: remove the line")
        }));
    }
    fail_if_any(&wrong);
}

#[test]
fn documents_have_one_title() {
    let mut wrong = Vec::new();
    let documents = sources(&["docs", "README.md"]);
    for document in documents.iter().filter(|document| document.path.ends_with(".md")) {
        let mut in_code = false;
        let mut titles = Vec::new();
        for (line, text) in document.lines() {
            in_code ^= text.trim_start().starts_with("```");
            if !in_code && text.starts_with("# ") {
                titles.push(line);
            }
        }
        if titles != [1] {
            let path = &document.path;
            wrong.push(format!("{path}:1: titles (`# `) on lines {titles:?}: one, on the first"));
        }
    }
    assert!(!documents.is_empty(), "README.md is missing");
    fail_if_any(&wrong);
}

#[test]
fn every_dependency_has_a_reason() {
    let decisions = read("docs/DECISIONS.md");
    let mut is_list = false;
    let mut wrong = Vec::new();
    for (n, line) in read("Cargo.toml").lines().enumerate() {
        if line.starts_with('[') {
            is_list = line.ends_with("dependencies]");
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| is_list) {
            let is_told = decisions.lines().any(|line| line.contains(&format!("`{name}`")));
            let line = n + 1;
            let told = "has no line in docs/DECISIONS.md: say there what code it saves us";
            wrong.extend((!is_told).then(|| format!("Cargo.toml:{line}: `{name}` {told}")));
        }
    }
    fail_if_any(&wrong);
}
