//! Reports of fixtures that the program saves, for comparison.

use std::path::PathBuf;

use super::{TempDir, copy_dir, output, program, tree};

/// Saved reports of fixtures.
pub struct Reports(TempDir);

impl Reports {
    pub fn new(name: &str) -> Reports {
        Reports(TempDir::new(name))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Saves one report, made with these arguments.
    pub fn save(&self, name: &str, words: &str) -> PathBuf {
        let path = self.path(name);
        let mut command = program();
        command.arg("--json").args(words.split(' ')).arg("--output-file").arg(&path);
        let ran = output(command);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr());
        path
    }

    /// A report of some processes of the usual tree; the first grows by a MiB on request.
    pub fn save_of(&self, name: &str, pids: &[&str], has_grown: bool) -> PathBuf {
        let copy = self.path(&format!("{name}-tree"));
        for (place, pid) in pids.iter().enumerate() {
            copy_dir(&tree("ordinary").join(pid), &copy.join(pid));
            let file = copy.join(pid).join("smaps_rollup");
            let text = std::fs::read_to_string(&file).expect("a rollup");
            let pss = text.lines().find(|line| line.starts_with("Pss:")).expect("Pss");
            let kib: u64 = pss.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect(pss);
            let more = if has_grown && place == 0 { 1024 } else { 0 };
            let text = text.replace(pss, &format!("Pss: {} kB", kib + more));
            std::fs::write(file, text).expect("a file of ours");
        }
        self.save(name, &format!("--proc-root {}", copy.display()))
    }
}
