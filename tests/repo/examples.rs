//! The examples of README.md and docs: each block marked `console` runs, and prints what it shows.
//!
//! The second word of the mark names the fake host, `ordinary` by default. The test derives
//! `stuck`, `monday`, `gpu`, and `family`, which has parents and scores, from `ordinary`. All
//! blocks run in one directory, in order, because one saves a report that a later one reads; it has
//! `noon.json` and, an hour of page faults later, `later.json` of `family`. Runs with the column
//! `charged` have the control groups of tests/data/cgroups/v2.txt.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::gpu;
use crate::support::groups::lay_out;

const PROGRAM: &str = env!("CARGO_BIN_EXE_psm-uring");
const TREE: &str = env!("CARGO_MANIFEST_DIR");
/// Workers whose memory never arrives on the host `stuck`.
const STUCK: [&str; 2] = ["102", "103"];
/// Clients of GPUs: process, descriptor and fixture.
const GPU: [(u32, u32, &str); 3] = [(120, 5, "i915"), (150, 5, "xe"), (151, 5, "xe")];
/// Processes that did not run on Monday.
const LATER: [&str; 2] = ["103", "110"];

/// A command of a document, and the output that the document shows.
struct Example {
    place: String,
    host: String,
    command: String,
    shown: String,
}

fn examples(document: &str) -> Vec<Example> {
    let text = fs::read_to_string(Path::new(TREE).join(document)).expect("a document");
    let mut examples: Vec<Example> = Vec::new();
    let mut host = None;
    for (n, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            let mark = line.strip_prefix("```console");
            host = mark.map(|host| host.trim().to_owned()).filter(|_| host.is_none());
        } else if let Some(host) = &host {
            if let Some(command) = line.strip_prefix("$ ") {
                examples.push(Example {
                    place: format!("{document}:{}", n + 1),
                    host: if host.is_empty() { "ordinary".to_owned() } else { host.clone() },
                    command: command.to_owned(),
                    shown: String::new(),
                });
            } else {
                let example = examples.last_mut().expect("a command before its output");
                example.shown += &format!("{line}\n");
            }
        }
    }
    examples
}

fn sh(script: &str, directory: &Path) -> Output {
    let path = format!("{}:/usr/bin:/bin", directory.join("bin").display());
    let mut command = Command::new("sh");
    command.args(["-ec", script]).current_dir(directory).env("PATH", path);
    command.output().expect("sh")
}

/// A directory with the fake hosts, and a `psm-uring` that reads the one in `$HOST`.
fn hosts() -> PathBuf {
    let directory = std::env::temp_dir().join(format!("psm-examples-{}", std::process::id()));
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(directory.join("bin")).expect("a directory");
    let wrapper = format!(
        "#!/bin/sh\ncase $1 in\ndiff) exec {PROGRAM} \"$@\";;\n\
         maps) shift; exec {PROGRAM} maps --proc-root \"$HOST\" \"$@\";; esac\n\
         case $* in *charged*) set -- --cgroup-root cgroups \"$@\";; esac\n\
         exec {PROGRAM} --proc-root \"$HOST\" \"$@\"\n"
    );
    fs::write(directory.join("bin/psm-uring"), wrapper).expect("a script");
    lay_out("v2.txt", &directory.join("cgroups"));
    let fixtures = Path::new(TREE).join("tests/data/procfs");
    let made = sh(
        &format!(
            "chmod +x bin/psm-uring\n\
             cp -a {fixtures}/ordinary {fixtures}/grouped {fixtures}/mappings .\n\
             cp -a ordinary stuck; cp -a ordinary monday; cp -a ordinary family\n\
             cp -a ordinary gpu\n\
             for pid in family/1*; do\n\
               parent=$(sed -n 's/^PPid:[^0-9]*//p' $pid/status)\n\
               stat=\"${{pid#*/}} (x) S $parent 0 0 0 0 0 0 0 9 0 0 0 0 0 0 0 1 0\"\n\
               echo \"$stat ${{pid#*/}}\" >$pid/stat\n\
               echo 667 >$pid/oom_score; echo 0 >$pid/oom_score_adj\n\
             done\n\
             echo 766 >family/110/oom_score; echo 150 >family/110/oom_score_adj\n\
             for pid in {}; do rm stuck/$pid/smaps_rollup; mkfifo stuck/$pid/smaps_rollup; done\n\
             cp monday/111/smaps_rollup monday/120/smaps_rollup\n\
             cp -a family busy\n\
             sed -i 's/ 9 / 36009 /' busy/110/stat; sed -i 's/ 9 / 729 /' busy/120/stat\n\
             save() {{ {PROGRAM} --proc-root $1 --by pid --columns faults --json 2>errors |\n\
               sed \"s/\\(started_at\\W*\\)[^\\\"]*/\\12026-11-30T$3:00:00Z/\" >$2; }}\n\
             save family noon.json 12; save busy later.json 13\n\
             for pid in {}; do rm -r monday/$pid; done\n",
            STUCK.join(" "),
            LATER.join(" "),
            fixtures = fixtures.display(),
        ),
        &directory,
    );
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    gpu::lay_out(&directory.join("gpu"), &GPU);
    directory
}

#[test]
fn examples_print_the_output_they_show() {
    let directory = hosts();
    let documents =
        ["README.md", "docs/CAUSES.md", "docs/COLUMNS.md", "docs/HOST.md", "docs/MAPS.md"];
    let all: Vec<Example> = documents.into_iter().flat_map(examples).collect();
    assert!(all.len() >= 11, "{} examples", all.len());
    let mut wrong = String::new();
    for Example { place, host, command, shown } in all {
        let ran = sh(&format!("HOST={host}; export HOST\n{command}"), &directory);
        let printed = String::from_utf8_lossy(&ran.stdout);
        if !ran.status.success() || printed != shown {
            let error = String::from_utf8_lossy(&ran.stderr);
            wrong += &format!("{place}: {command}: {}\n{printed}{error}", ran.status);
        }
    }
    let _ = fs::remove_dir_all(&directory);
    assert!(wrong.is_empty(), "the output of examples differs:\n{wrong}");
}
