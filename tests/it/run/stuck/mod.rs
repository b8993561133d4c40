//! Processes whose files never answer, in a fake `/proc`: a FIFO without a writer replaces the
//! memory file, and its open blocks forever.
//!
//! - `report` measures every other process, counts the stuck ones, and exits
//! - `rows`   rows of stuck processes
//! - `watch`  how often `--watch` retries them

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Ran, TempDir, copy_dir, make_fifo, output, tree};

mod report;
mod rows;
mod watch;

const ENGINES: [&str; 3] = ["sync", "threads", "auto"];
/// Far more than the program waits here, far less than forever.
const SOON: Duration = Duration::from_secs(5);

/// A copy of a fixture with some stuck processes.
struct Tree(TempDir);

impl Tree {
    fn with_stuck(name: &str, stuck: &[u32]) -> Tree {
        let copy = TempDir::new(name);
        copy_dir(&tree("ordinary"), copy.path());
        let copy = Tree(copy);
        stuck.iter().for_each(|pid| copy.silence(&format!("{pid}/smaps_rollup")));
        copy
    }

    /// Replaces a file or a directory with a FIFO.
    fn silence(&self, file: &str) {
        let file = self.0.path().join(file);
        let is_dir = file.is_dir();
        let removed =
            if is_dir { std::fs::remove_dir_all(&file) } else { std::fs::remove_file(&file) };
        removed.expect("it was copied");
        make_fifo(&file);
    }

    fn run(&self, mut command: Command, arguments: &[&str]) -> Ran {
        command.arg("--proc-root").arg(self.0.path()).args(arguments);
        let began = Instant::now();
        let ran = output(command);
        assert!(began.elapsed() < SOON, "{arguments:?} took {:?}", began.elapsed());
        ran
    }
}
