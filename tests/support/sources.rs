//! The sources of this project as texts, for the tests that read them.

use std::path::{Path, PathBuf};

use regex::Regex;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A text file of the project, with its path from the root.
pub struct Source {
    pub path: String,
    pub text: String,
}

impl Source {
    /// Lines with their numbers.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(n, line)| (n + 1, line))
    }

    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    pub fn is_program(&self) -> bool {
        self.path.starts_with("src/")
    }
}

/// All project sources below these directories; a missing directory yields none.
pub fn sources(dirs: &[&str]) -> Vec<Source> {
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
    // Fixtures are third-party texts.
    let fixtures = ["tests/data", "benches/record"];
    found.retain(|source| !fixtures.iter().any(|dir| source.path.starts_with(dir)));
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

pub fn rust() -> Vec<Source> {
    let mut rust = sources(&["src", "tests", "benches", "fuzz/src", "fuzz/fuzz_targets"]);
    rust.retain(Source::is_rust);
    assert!(rust.iter().filter(|source| source.is_program()).count() > 20, "src is missing");
    rust
}

pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a regular expression")
}

pub fn fail_if_any(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} faults\n{}", wrong.len(), wrong.join("\n"));
}
