//! The progress line on a terminal: it appears after a second, counts processes, and leaves no
//! trace.

use std::process::{Command, Stdio};

use crate::support::sources::regex;
use crate::support::{TempDir, make_fifo, output, skip};

/// Erases a line.
const WIPE: &str = "\r\u{1b}[K";
const HEALTHY: usize = 1200;

/// Healthy processes, and two whose memory file blocks forever on open.
fn tree(name: &str) -> TempDir {
    let root = TempDir::new(name);
    for pid in 1..=HEALTHY + 2 {
        let dir = root.path().join(pid.to_string());
        std::fs::create_dir_all(&dir).expect("a directory");
        let write = |file: &str, text: &str| std::fs::write(dir.join(file), text).expect(file);
        write("cmdline", "/opt/one\0");
        write("comm", "one\n");
        write("status", "Name:\tone\nState:\tS\nVmSize:\t9 kB\nVmRSS:\t4 kB\n");
        let rollup = dir.join("smaps_rollup");
        if pid > HEALTHY {
            make_fifo(&rollup);
        } else {
            write("smaps_rollup", "0-1 ---p 0 0:0 0 [rollup]\nRss: 4 kB\nPss: 4 kB\n");
        }
    }
    root
}

/// The bytes that a run writes to a terminal, or `None` without script(1).
fn on_terminal(tree: &TempDir, arguments: &str, term: &str) -> Option<String> {
    if Command::new("script").arg("--version").output().is_err() {
        skip("progress", "script (util-linux) is missing");
        return None;
    }
    let (program, root) = (env!("CARGO_BIN_EXE_psm-uring"), tree.path().display());
    let line = format!("exec {program} --proc-root {root} {arguments}");
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null());
    command.env("TERM", term).env("NO_COLOR", "1");
    Some(output(command).stdout().replace("\r\n", "\n"))
}

#[test]
fn progress_leaves_no_trace() {
    let tree = tree("progress");
    for engine in ["uring", "threads", "sync"] {
        let arguments = format!("--engine {engine} --stuck-after 1500ms --no-header");
        let Some(shown) = on_terminal(&tree, &arguments, "xterm") else { return };
        let pieces: Vec<&str> = shown.split(WIPE).collect();
        let [before, lines @ .., report] = &pieces[..] else { panic!("{engine}: {shown:?}") };
        assert_eq!(*before, "", "{engine}: nothing that is not wiped out");
        // One line per tenth of a second, during the last half second.
        assert!((1..=30).contains(&lines.len()), "{engine}: {} {lines:?}", lines.len());
        let line = regex("^(?:(1,200|1,201) of 1,202, [12] slow|1,202 of 1,202)$");
        assert!(lines.iter().all(|text| line.is_match(text)), "{engine}: {lines:?}");
        assert!(report.starts_with("         -         -         -  one (2) timed"), "{report}");
    }
}

/// No progress line where the program could not erase it. (A test in `run/progress.rs` checks the
/// timing with its own clock.)
#[test]
fn progress_appears_after_a_second() {
    let tree = tree("no-progress");
    for (arguments, term) in
        [("--stuck-after 1300ms", "dumb"), ("--stuck-after 1300ms 2>/dev/null", "xterm")]
    {
        let Some(shown) = on_terminal(&tree, arguments, term) else { return };
        assert!(shown.contains("TOTAL") && !shown.contains(WIPE), "{arguments}: {shown:?}");
    }
}
