//! `--watch` and a stuck process.

use super::{ENGINES, Tree};
use crate::support::{TempDir, copy_dir, output, program, tree};

/// Every report counts a stuck process, but not every report retries it.
#[test]
fn stuck_processes_are_skipped_for_a_while() {
    let two = Tree(TempDir::new("watch-stuck"));
    for pid in ["101", "110"] {
        copy_dir(&tree("ordinary").join(pid), &two.0.path().join(pid));
    }
    two.silence("101/smaps_rollup");
    for engine in ENGINES {
        let mut command = program();
        command.args(["--watch", "100ms", "--count", "5", "-o", "ndjson", "--engine", engine]);
        command.args(["--stuck-after", "600ms", "--proc-root"]).arg(two.0.path());
        let ran = output(command);
        let took = |line: &str| {
            let document: serde_json::Value = serde_json::from_str(line).expect("a document");
            assert_eq!(document["coverage"]["timed_out"], 1, "{line}");
            assert_eq!(document["coverage"]["measured"], 1, "{line}");
            document["run"]["duration_seconds"].as_f64().expect("a time") >= 0.6
        };
        let waited: Vec<bool> = ran.stdout().lines().map(took).collect();
        // A busy machine may lengthen a short report.
        assert!(waited[0] && waited[2], "{engine}: {waited:?}");
        assert!(waited.iter().filter(|waited| **waited).count() <= 3, "{engine}: {waited:?}");
    }
}

/// Also if the deadline comes before the time after which a process counts as stuck: else each
/// report would lose a thread, or a slot of the ring.
#[test]
fn processes_that_the_deadline_cuts_off_are_skipped_for_a_while() {
    let one = Tree(TempDir::new("watch-cut"));
    for pid in ["101", "110"] {
        copy_dir(&tree("ordinary").join(pid), &one.0.path().join(pid));
    }
    one.silence("101/smaps_rollup");
    for engine in ENGINES {
        let mut command = program();
        command.args(["--watch", "100ms", "--count", "8", "-o", "ndjson", "--engine", engine]);
        command.args(["--deadline", "600ms", "--proc-root"]).arg(one.0.path());
        let ran = output(command);
        let took = |line: &str| {
            let document: serde_json::Value = serde_json::from_str(line).expect("a document");
            // On a busy machine no worker may have taken it up.
            let [late, queued] = ["timed_out", "not_asked"].map(|of| &document["coverage"][of]);
            assert!(late != 0 || queued != 0, "{line}");
            document["run"]["duration_seconds"].as_f64().expect("a time") >= 0.6
        };
        let waited: Vec<bool> = ran.stdout().lines().map(took).collect();
        // Asked are the first, second, fourth and seventh; a busy machine lengthens others.
        assert_eq!(waited.len(), 8, "{engine}: {}", ran.stderr());
        assert!(waited[0] && waited[1], "{engine}: {waited:?}");
        assert!(waited.iter().filter(|waited| **waited).count() <= 6, "{engine}: {waited:?}");
    }
}
