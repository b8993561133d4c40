//! Processes whose files never answer, in a fake `/proc`: a FIFO that nobody writes to stands for
//! the memory, and its open sleeps for ever.
//!
//! - `report` every other process is measured, the stuck ones are counted, and the program leaves
//! - `rows`   what the report says of the stuck
//! - `watch`  how often `--watch` asks for them

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Ran, TempDir, copy_dir, make_fifo, output, tree};

mod report;
mod rows;
mod watch;

const ENGINES: [&str; 3] = ["sync", "threads", "auto"];
/// Far more than the program waits here, far less than for ever.
const SOON: Duration = Duration::from_secs(5);

/// A copy of a fixture in which some processes are stuck.
struct Tree(TempDir);

impl Tree {
    fn with_stuck(name: &str, stuck: &[u32]) -> Tree {
        let copy = TempDir::new(name);
        copy_dir(&tree("ordinary"), copy.path());
        let copy = Tree(copy);
        stuck.iter().for_each(|pid| copy.silence(&format!("{pid}/smaps_rollup")));
        copy
    }

    /// Puts a FIFO where a file or a directory is.
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
