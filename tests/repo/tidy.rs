//! Automated style checks of this project: floors, the fence around `unsafe`, lengths, words that
//! are banned on main, files that are on the map. `documents` checks the documents.
//!
//! Every failure names file, line, rule and remedy. A repeated review comment becomes a check here.

use std::collections::BTreeSet;

use crate::support::sources::{Source, fail_if_any, regex, root, rust, sources};

/// The modules that a module may import: only those of floors below its own.
const FLOORS: [(&str, &[&str]); 12] = [
    ("units", &[]),
    ("error", &["units"]),
    ("smaps", &["units"]),
    ("host", &["units"]),
    ("process", &["smaps", "units"]),
    ("sys", &["host", "process", "units"]),
    ("program", &["host", "process", "smaps", "units"]),
    ("report", &["error", "host", "process", "program", "smaps", "units"]),
    ("engine", &["error", "process", "smaps", "sys", "units"]),
    ("cli", &["engine", "error", "process", "program", "report", "sys", "units"]),
    (
        "run",
        &[
            "cli", "engine", "error", "host", "process", "program", "report", "smaps", "sys",
            "units",
        ],
    ),
    (
        "commands",
        &["cli", "engine", "error", "process", "program", "report", "run", "smaps", "sys", "units"],
    ),
];

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
const COLUMNS_MAX: usize = 100;

/// The places that may contain `unsafe`: one floor of the program, the crowd of the benches and the
/// commands that they wait for, the processes that tests start and manipulate, and the allocator
/// that counts.
const UNSAFE: [&str; 7] = [
    "src/sys/",
    "benches/crowd",
    "benches/commands/usage.rs",
    "tests/support/child.rs",
    "tests/support/counting.rs",
    "tests/hostile/sys.rs",
    "tests/pagemap/sys.rs",
];

/// A line without its comment and its string contents.
fn code(line: &str) -> String {
    let mut code = String::new();
    let mut in_string = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if in_string => drop(chars.next()),
            // A quotation mark as a character literal does not count.
            '\'' if !in_string && chars.peek() == Some(&'"') => drop(chars.next()),
            '"' => in_string = !in_string,
            '/' if !in_string && chars.peek() == Some(&'/') => break,
            _ if !in_string => code.push(c),
            _ => {}
        }
    }
    code
}

/// The top-level module of a file.
fn module(path: &str) -> &str {
    let inner = path.strip_prefix("src/").unwrap_or(path);
    inner.split('/').next().unwrap_or(inner).trim_end_matches(".rs")
}

/// Names of modules that a text uses through `crate::`, with their lines.
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

/// Tables, code and generated texts have the lines that they need.
#[test]
fn prose_has_short_lines() {
    let mut wrong = Vec::new();
    let mut documents = sources(&["docs", "README.md", "CHANGELOG.md"]);
    documents.retain(|source| source.path.ends_with(".md"));
    assert!(documents.len() > 10, "documents are missing");
    for source in &documents {
        let (mut is_code, mut is_generated) = (false, false);
        for (line, text) in source.lines() {
            is_code ^= text.starts_with("```");
            is_generated =
                (is_generated || text.starts_with("<!-- begin")) && !text.starts_with("<!-- end");
            let is_prose = !is_code && !is_generated && !text.starts_with(['|', '<']);
            if is_prose && text.chars().count() > COLUMNS_MAX {
                let path = &source.path;
                wrong.push(format!("{path}:{line}: more than {COLUMNS_MAX} columns: break it"));
            }
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

/// The first lines of functions, and their line counts. Relies on `cargo fmt`: a function ends with
/// a brace in its first column.
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

/// Without comments, blank lines and unit tests.
#[test]
fn the_privileged_part_is_short() {
    const FOLDER: &str = "src/sys/keeper/";
    const LINES_MAX: usize = 400;
    let lines_of_code = |source: &Source| {
        let lines = source.text.lines().take_while(|line| *line != "#[cfg(test)]");
        lines.filter(|line| !code(line).trim().is_empty()).count()
    };
    let folder = rust().into_iter().filter(|source| source.path.starts_with(FOLDER));
    let lines: usize = folder.map(|source| lines_of_code(&source)).sum();
    assert!((1..=LINES_MAX).contains(&lines), "{FOLDER}: {lines} lines, at most {LINES_MAX}");
}

#[test]
fn nothing_is_left_to_be_done() {
    // Split in two, so that this line does not match.
    let words =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];
    let banned = regex(&format!(r"\b({})\b", words.join("|")));
    let mut wrong = Vec::new();
    let dirs = [
        "src",
        "tests",
        "benches",
        "fuzz/src",
        "fuzz/fuzz_targets",
        "scripts",
        "packaging",
        "docs",
    ];
    for source in sources(&[&dirs[..], &["README.md"]].concat()) {
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

/// Paths and words that this file hard-codes exist.
#[test]
fn fenced_paths_exist() {
    let rust = rust();
    for fence in UNSAFE {
        let inside: Vec<_> = rust.iter().filter(|one| one.path.starts_with(fence)).collect();
        let is_used = inside.iter().any(|one| regex(r"\bunsafe\b").is_match(&one.text));
        assert!(is_used, "tests/repo/tidy.rs: no `unsafe` below {fence:?}: take it out of UNSAFE");
    }
    for (module, allowed) in FLOORS {
        for module in allowed.iter().chain([&module]) {
            let is_there =
                rust.iter().any(|one| one.is_program() && self::module(&one.path) == *module);
            assert!(is_there, "tests/repo/tidy.rs: no module {module:?}: take it out of FLOORS");
        }
    }
    for word in ["src/cli", "docs/ARCHITECTURE.md", "docs/DECISIONS.md"] {
        assert!(
            root().join(word).exists(),
            "tests/repo/tidy.rs: a remedy names {word}, which is gone"
        );
    }
}

/// The names in a file's map: header lines that begin with a name in backquotes.
fn map_of(text: &str) -> BTreeSet<String> {
    let entry = regex(r"^//! - `([a-z_]+)`");
    text.lines().filter_map(|line| Some(entry.captures(line)?[1].to_owned())).collect()
}

#[test]
fn every_file_is_on_a_map() {
    let sources = rust();
    let mut wrong = Vec::new();
    for Source { path, .. } in sources.iter().filter(|source| source.is_program()) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let map =
            if folder == "src" { "src/lib.rs".to_owned() } else { format!("{folder}/mod.rs") };
        if !sources.iter().any(|source| source.path == map) {
            wrong.push(format!("{path}:1: its folder has no mod.rs, whose head is the map"));
        }
    }
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
