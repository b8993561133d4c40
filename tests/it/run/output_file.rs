//! `--output-file`: the program replaces the file as a whole, or leaves it unchanged.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use crate::support::{Ran, TempDir, make_fifo, output, program, run};

fn write(path: &Path, words: &str) -> Ran {
    let mut command = program();
    command.args(words.split(' ')).arg("--output-file").arg(path);
    output(command)
}

fn entries(dir: &Path) -> Vec<String> {
    let entries =
        std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry"));
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

#[test]
fn the_file_is_replaced_as_a_whole() {
    let dir = TempDir::new("replaced");
    let path = dir.path().join("psm.prom");
    for format in ["table", "json", "csv", "openmetrics"] {
        let words = format!("--proc-root ordinary --engine sync -o {format} --color always");
        std::fs::write(&path, "old").expect("a file");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("ours");
        let old = std::fs::metadata(&path).expect("a file").ino();
        let ran = write(&path, &words);
        assert_eq!((ran.code, ran.stdout().as_str(), ran.stderr().as_str()), (Some(0), "", ""));
        let file = std::fs::metadata(&path).expect("a file");
        assert_eq!(file.mode() & 0o7777, 0o644, "everybody may read it");
        assert_ne!(file.ino(), old, "who has the old one open reads it to its end");
        assert_eq!(entries(dir.path()), ["psm.prom"], "nothing is left beside it");
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        let expected = run(words.split(' ')).stdout();
        let is_same = |(a, b): &(&str, &str)| a == b || a.contains("_at") || a.contains("seconds");
        let lines: Vec<_> = text.lines().zip(expected.lines()).collect();
        assert!(lines.iter().all(is_same) && lines.len() == text.lines().count(), "{text}");
    }
    // The output is no terminal, so the report has no colour and no truncated name.
    let ran = write(&path, "--proc-root ordinary");
    assert_eq!(ran.code, Some(0));
    let text = std::fs::read_to_string(&path).expect("UTF-8");
    assert_eq!(text, run(["--proc-root", "ordinary"]).stdout());
}

#[test]
fn a_failure_leaves_the_old_file() {
    let dir = TempDir::new("kept");
    let path = dir.path().join("report.json");
    std::fs::write(&path, "old").expect("a file");
    let program = env!("CARGO_BIN_EXE_psm-uring");
    let mut command = std::process::Command::new("sh");
    command.current_dir(crate::support::data("procfs"));
    let line = "ulimit -f 0; exec \"$0\" --proc-root ordinary --json --output-file \"$1\"";
    command.args(["-c", line, program]).arg(&path);
    let ran = output(command);
    assert!(ran.stderr().contains("cannot write the report: "), "{}", ran.stderr());
    assert!(ran.stderr().contains("File too large"), "{}", ran.stderr());
    assert_eq!((ran.code, ran.stderr().matches('\n').count()), (Some(1), 1), "{}", ran.stderr());
    assert_eq!(entries(dir.path()), ["report.json"]);
    // A call without a report writes no file.
    let ran = write(&path, "--proc-root malformed -p 402 --total");
    assert_eq!(ran.code, Some(1));
    assert_eq!(std::fs::read_to_string(&path).expect("a file"), "old");
    assert_eq!(entries(dir.path()), ["report.json"]);
}

/// A name of the maximum length leaves no room for a longer temporary name.
#[test]
fn a_long_name_is_a_name() {
    let dir = TempDir::new("long-name");
    let name = "n".repeat(255);
    let ran = write(&dir.path().join(&name), "--proc-root ordinary --json");
    assert_eq!((ran.code, ran.stderr().as_str()), (Some(0), ""));
    assert_eq!(entries(dir.path()), [name]);
}

/// Root could replace `/dev/null`.
#[test]
fn only_a_regular_file_is_replaced() {
    let dir = TempDir::new("irregular");
    let (link, fifo, aim) =
        (dir.path().join("link"), dir.path().join("fifo"), dir.path().join("aim"));
    std::fs::write(&aim, "old").expect("a file");
    symlink(&aim, &link).expect("a link");
    make_fifo(&fifo);
    for path in [&link, &fifo, &dir.path().to_owned()] {
        let ran = write(path, "--proc-root ordinary");
        assert!(ran.stderr().contains("exists but is not a regular file"), "{}", ran.stderr());
        assert_eq!(ran.code, Some(1), "{path:?}");
    }
    assert_eq!(std::fs::read_to_string(&aim).expect("a file"), "old");
    for path in ["no/such/directory", "..", ""] {
        let code = write(Path::new(path), "--proc-root ordinary").code;
        assert!(matches!(code, Some(1 | 2)), "{path:?}: {code:?}");
    }
}

/// A report of processes that sleep forever: one is stuck, one is not.
pub(crate) fn stuck_report() -> String {
    let root = TempDir::new("formats-stuck");
    for pid in ["1", "2", "3"] {
        let dir = root.path().join(pid);
        std::fs::create_dir_all(&dir).expect("a directory");
        std::fs::write(dir.join("cmdline"), "stuck\0").expect("cmdline");
        std::fs::write(dir.join("comm"), format!("stuck{pid}\n")).expect("comm");
        let status = format!(
            "Name:\tstuck{pid}\nState:\tD\nUid:\t5\t7\t7\t7\nVmSize:\t9 kB\nVmRSS:\t4 kB\n"
        );
        std::fs::write(dir.join("status"), status).expect("status");
        make_fifo(&dir.join("smaps_rollup"));
    }
    let mut command = program();
    command.args(["--stuck-after", "100ms", "-o", "ndjson", "-n", "1", "--columns", "user"]);
    command.arg("--proc-root");
    command.arg(root.path());
    let ran = output(command);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr());
    let value: serde_json::Value = serde_json::from_str(&ran.stdout()).expect("JSON");
    assert_eq!(value["total"], serde_json::Value::Null, "missing is never 0");
    assert_eq!(value["unknown"][0]["rss"], 4096);
    assert_eq!(value["unknown"][0]["user"], "7");
    assert_eq!(value["unknown_rest"]["rows"], 2);
    assert_eq!(value["missing"][0]["fate"], "timed_out");
    assert_eq!(value["missing"][0]["state"], "D");
    assert_eq!(value["run"]["complete"], false);
    ran.stdout()
}
