//! Who is measured: builds of psm-uring, and the tools that people use today. Knows how each is
//! called, and where in its output the sum over all processes stands.

use std::path::Path;
use std::process::Command;

use serde::Serialize;
use serde_json::Value;

use super::usage::{Ran, run};

/// Where a tool prints the sum.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    /// psm-uring: `#    731.9   134.2  TOTAL USED BY PROCESSES`, in MiB.
    Table,
    /// metop: JSON without a sum, `pss.pss_kb` for each process.
    Metop,
    /// ps_mem: a line that is an amount with its unit, the last one.
    PsMem,
    /// smem: the last line is count, users, swap, USS, PSS, RSS, in kB.
    Smem,
    /// smemstat: a line `Total` with amounts and units: swap, USS, PSS, RSS.
    Smemstat,
}

/// One command.
pub(crate) struct Candidate {
    pub(crate) name: String,
    /// As one would type it.
    pub(crate) typed: String,
    words: Vec<String>,
    python_path: Option<String>,
    output: Output,
}

/// The rivals: name, words, how the sum is printed. `DIR` is where they were installed.
const RIVALS: [(&str, &[&str], Output); 4] = [
    ("metop", &["DIR/metop/bin/metop", "--json"], Output::Metop),
    ("ps_mem", &["python3", "DIR/ps_mem/bin/ps_mem"], Output::PsMem),
    ("smemstat", &["smemstat"], Output::Smemstat),
    ("smem", &["smem", "-t"], Output::Smem),
];

impl Candidate {
    /// A build of psm-uring from `NAME=PROGRAM WORDS`.
    pub(crate) fn parse(text: &str) -> Result<Candidate, String> {
        let (name, words) = text.split_once('=').ok_or("NAME=PROGRAM WORDS is wanted")?;
        let words: Vec<String> = words.split_ascii_whitespace().map(str::to_owned).collect();
        if name.is_empty() || words.is_empty() {
            return Err("NAME=PROGRAM WORDS is wanted".to_owned());
        }
        let typed = format!("psm-uring {}", words[1..].join(" ")).trim_end().to_owned();
        Ok(Candidate {
            name: name.to_owned(),
            typed,
            words,
            python_path: None,
            output: Output::Table,
        })
    }

    /// All rivals, installed in this directory or by the host's packages.
    pub(crate) fn rivals(dir: &Path) -> Vec<Candidate> {
        let rival = |(name, words, output): &(&str, &[&str], Output)| {
            let dir = dir.display().to_string();
            let last = |word: &&str| word.rsplit('/').next().unwrap_or(word).to_owned();
            let typed: Vec<String> =
                words.iter().filter(|word| **word != "python3").map(last).collect();
            Candidate {
                name: (*name).to_owned(),
                typed: typed.join(" "),
                words: words.iter().map(|word| word.replace("DIR", &dir)).collect(),
                python_path: Some(format!("{dir}/ps_mem")).filter(|_| *output == Output::PsMem),
                output: *output,
            }
        };
        RIVALS.iter().map(rival).collect()
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.output == Output::Table
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).args(more);
        if let Some(path) = &self.python_path {
            command.env("PYTHONPATH", path);
        }
        command
    }

    /// One run, and the sum that it printed, in KiB.
    ///
    /// # Errors
    /// It could not be started, failed, or printed no sum.
    pub(crate) fn run(&self) -> Result<(Ran, f64), String> {
        let ran = run(&mut self.command(&[]))?;
        let said = |what: &str| format!("{}: {what}: {}", self.name, ran.stderr.trim());
        if !ran.is_success {
            return Err(said("it failed"));
        }
        let total = total_kib(self.output, &ran.stdout).ok_or_else(|| said("it prints no sum"))?;
        Ok((ran, total))
    }

    /// What `--stats` says of one more run; `None` for others than psm-uring, and for builds that
    /// say something else.
    pub(crate) fn work(&self) -> Option<Work> {
        let ran = self.is_ours().then(|| run(&mut self.command(&["--stats"])))?.ok()?;
        Work::from_stats(&ran.stderr)
    }

    /// The version it says it has; the first line, because some say more.
    pub(crate) fn version(&self) -> String {
        let words = if self.output == Output::Smemstat { ["-h"] } else { ["--version"] };
        let said = match self.output {
            // It knows no such option.
            Output::Smem => return String::new(),
            _ => run(&mut self.command(&words)),
        };
        let lines = said.map(|ran| ran.stdout + &ran.stderr).unwrap_or_default();
        let line = lines.lines().find(|line| line.contains(|c: char| c.is_ascii_digit()));
        line.unwrap_or_default().trim().to_owned()
    }
}

/// Work that was counted.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Work {
    pub(crate) operations: u64,
    pub(crate) enters: u64,
    pub(crate) reads: u64,
    pub(crate) bytes: u64,
    /// `VmHWM` at the end of the run.
    pub(crate) peak_kib: u64,
    pub(crate) measured: u64,
}

impl Work {
    fn from_stats(text: &str) -> Option<Work> {
        let numbers = |key: &str| -> Option<Vec<u64>> {
            let line = text.lines().find_map(|line| line.strip_prefix(key))?;
            let words = line.split(|c: char| !c.is_ascii_digit());
            Some(words.filter_map(|word| word.parse().ok()).collect())
        };
        let [operations, enters, reads, bytes] = numbers("operations ")?[..] else { return None };
        let peak_kib = *numbers("peak memory ")?.first()?;
        let measured = *numbers("processes ")?.get(1)?;
        Some(Work { operations, enters, reads, bytes, peak_kib, measured })
    }
}

fn total_kib(output: Output, text: &str) -> Option<f64> {
    let line_of = |start: &str| text.lines().rev().find_map(|line| line.strip_prefix(start));
    let word = |line: &str, n: usize| line.split_ascii_whitespace().nth(n)?.parse::<f64>().ok();
    match output {
        Output::Table => Some(word(line_of("#")?, 0)? * 1024.0),
        Output::PsMem => text.lines().rev().find_map(amount_kib),
        Output::Smem => word(text.lines().last()?, 4),
        Output::Smemstat => {
            let words: Vec<&str> = line_of("Total")?.split_ascii_whitespace().collect();
            amount_kib(&words.get(4..6)?.join(" "))
        }
        Output::Metop => {
            let json: Value = serde_json::from_str(text).ok()?;
            let pss = |process: &Value| process["pss"]["pss_kb"].as_u64();
            Some(json["procs"].as_array()?.iter().filter_map(pss).sum::<u64>() as f64)
        }
    }
}

/// `928.3 MiB` or `928.3 M`, and nothing else.
fn amount_kib(text: &str) -> Option<f64> {
    let (number, unit) = text.trim().split_once(' ')?;
    let kib = match unit {
        "B" => 1.0 / 1024.0,
        "K" | "KiB" => 1.0,
        "M" | "MiB" => 1024.0,
        "G" | "GiB" => 1024.0 * 1024.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * kib)
}

/// Sums are found where each tool prints them: for the run with the tests, where no rival is there.
pub(crate) fn check_outputs() {
    for (output, text, kib) in [
        (
            Output::Table,
            "   MiB RAM  PROCESS\n     1.5    sh (1)\n#     2.5   TOTAL\n",
            Some(2560.0),
        ),
        (Output::PsMem, "--------\n   928.3 KiB\n========\n", Some(928.3)),
        (Output::PsMem, "--------\n     1.5 GiB\n========\n", Some(1_572_864.0)),
        (
            Output::Smem,
            "PID User Swap USS PSS RSS\n----\n50 1 0 698777 863027 1363148\n",
            Some(863_027.0),
        ),
        (
            Output::Smemstat,
            "PID Swap USS PSS RSS\nTotal  0.0 B  864.8 M  2.0 M  3.0 M\n\n",
            Some(2048.0),
        ),
        (Output::Metop, r#"{"procs":[{"pss":{"pss_kb":7}},{"pss":null}]}"#, Some(7.0)),
        (Output::Table, "no table", None),
        (Output::Metop, "{", None),
    ] {
        assert_eq!(total_kib(output, text), kib, "{text}");
    }
}
