//! The measured commands: builds of psm-uring, and other tools. Knows the command line of each, and
//! where it prints the sum over all processes.

use std::path::Path;
use std::process::Command;

use psm_uring::commands::bench::record::{Figure, Run, Sample};
use serde_json::Value;

use super::usage::{Ran, run};

/// The place of the sum in the output of a tool.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    /// psm-uring: `#    731.9   134.2  TOTAL USED BY PROCESSES`, in MiB; with `--total` one number,
    /// in bytes.
    Table,
    /// metop: JSON without a sum, `pss.pss_kb` for each process.
    Metop,
    /// ps_mem: the last line that is an amount with its unit.
    PsMem,
    /// smem: the last line is count, users, swap, USS, PSS, RSS, in kB.
    Smem,
    /// smemstat: a line `Total` with amounts and units: swap, USS, PSS, RSS.
    Smemstat,
}

/// One command.
pub(crate) struct Tool {
    pub(crate) name: String,
    /// The command line as a user types it.
    typed: String,
    words: Vec<String>,
    python_path: Option<String>,
    output: Output,
}

/// Other tools: name, words, form of the output. `DIR` is the directory of the installed ones.
const RIVALS: [(&str, &[&str], Output); 4] = [
    ("metop", &["DIR/metop/bin/metop", "--json"], Output::Metop),
    ("ps_mem", &["python3", "DIR/ps_mem/bin/ps_mem"], Output::PsMem),
    ("smemstat", &["smemstat"], Output::Smemstat),
    ("smem", &["smem", "-t"], Output::Smem),
];

/// The words that choose among other tools.
pub(crate) fn rival_names() -> [&'static str; 4] {
    RIVALS.map(|(name, ..)| name)
}

impl Tool {
    /// A build of psm-uring from `NAME=PROGRAM WORDS`.
    pub(crate) fn build(text: &str) -> Result<Tool, String> {
        let (name, words) = text.split_once('=').unwrap_or_default();
        let words: Vec<String> = words.split_ascii_whitespace().map(str::to_owned).collect();
        if name.is_empty() || words.is_empty() {
            return Err(format!("--run {text}: it must have the form NAME=PROGRAM WORDS"));
        }
        let typed = format!("psm-uring {}", words[1..].join(" ")).trim_end().to_owned();
        let name = name.to_owned();
        Ok(Tool { name, typed, words, python_path: None, output: Output::Table })
    }

    /// All other tools, installed in this directory or by the host's packages.
    pub(crate) fn rivals(dir: &Path) -> Vec<Tool> {
        let rival = |(name, words, output): &(&str, &[&str], Output)| {
            let dir = dir.display().to_string();
            let last = |word: &&str| word.rsplit('/').next().unwrap_or(word).to_owned();
            let typed: Vec<String> =
                words.iter().filter(|word| **word != "python3").map(last).collect();
            Tool {
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

    /// Whether it prints the sum alone.
    pub(crate) fn has_no_rows(&self) -> bool {
        self.words.iter().any(|word| matches!(word.as_str(), "-t" | "--total"))
    }

    /// Its name and version, without figures.
    pub(crate) fn named(&self) -> Run {
        let (command, version) = (self.typed.clone(), self.version());
        Run { command, version, ..Run::new(&self.name) }
    }

    /// Runs it with more words.
    pub(crate) fn run(&self, more: &[&str]) -> Result<Ran, String> {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).args(more);
        if let Some(path) = &self.python_path {
            command.env("PYTHONPATH", path);
        }
        run(&mut command)
    }

    /// One measurement, with the sum that it printed.
    ///
    /// # Errors
    /// It could not be started, failed, or printed no sum.
    pub(crate) fn measure(&self) -> Result<Sample, String> {
        let ran = self.run(&[]).map_err(|error| format!("{}: {error}", self.name))?;
        let Ran { stdout, stderr, is_success, mut usage } = ran;
        let failed = |what: &str| format!("{}: {what}: {}", self.name, stderr.trim());
        if !is_success {
            return Err(failed("it failed"));
        }
        let total = total_kib(self.output, &stdout).ok_or_else(|| failed("it prints no sum"))?;
        usage.insert(Figure::TotalKib, total);
        Ok(usage)
    }

    /// The counts that `--stats` prints in one more run; empty for other tools, and for builds that
    /// print other lines.
    pub(crate) fn work(&self) -> Sample {
        let ran = self.is_ours().then(|| self.run(&["--stats"]));
        let stats = ran.and_then(Result::ok).and_then(|ran| work(&ran.stderr));
        stats.unwrap_or_default()
    }

    /// The version that it prints; the first line with a digit, because some print more.
    fn version(&self) -> String {
        let word = match self.output {
            // It has no such option.
            Output::Smem => return String::new(),
            Output::Smemstat => "-h",
            _ => "--version",
        };
        let lines = self.run(&[word]).map(|ran| ran.stdout + &ran.stderr).unwrap_or_default();
        let line = lines.lines().find(|line| line.contains(|c: char| c.is_ascii_digit()));
        line.unwrap_or_default().trim().to_owned()
    }
}

/// The counts in the text of `--stats`.
fn work(text: &str) -> Option<Sample> {
    let numbers = |key: &str| -> Option<Vec<u64>> {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        let words = line.split(|c: char| !c.is_ascii_digit());
        Some(words.filter_map(|word| word.parse().ok()).collect())
    };
    let [operations, enters, reads, bytes] = numbers("operations ")?[..] else { return None };
    Some(Sample::from([
        (Figure::Operations, operations),
        (Figure::Enters, enters),
        (Figure::Reads, reads),
        (Figure::Bytes, bytes),
        (Figure::PeakKib, *numbers("peak memory ")?.first()?),
        (Figure::Measured, *numbers("processes ")?.get(1)?),
    ]))
}

fn total_kib(output: Output, text: &str) -> Option<u64> {
    let line_of = |start: &str| text.lines().rev().find_map(|line| line.strip_prefix(start));
    let word = |line: &str, n: usize| line.split_ascii_whitespace().nth(n)?.parse::<f64>().ok();
    let kib = match output {
        Output::Table => match line_of("#") {
            Some(total) => word(total, 0)? * 1024.0,
            None => text.trim().parse::<f64>().ok()? / 1024.0,
        },
        Output::PsMem => text.lines().rev().find_map(amount_kib)?,
        Output::Smem => word(text.lines().last()?, 4)?,
        Output::Smemstat => {
            let words: Vec<&str> = line_of("Total")?.split_ascii_whitespace().collect();
            amount_kib(&words.get(4..6)?.join(" "))?
        }
        Output::Metop => {
            let json: Value = serde_json::from_str(text).ok()?;
            let pss = |process: &Value| process["pss"]["pss_kb"].as_u64();
            return Some(json["procs"].as_array()?.iter().filter_map(pss).sum());
        }
    };
    // The standard library converts no float to an integer with a check.
    Some(std::time::Duration::try_from_secs_f64(kib).ok()?.as_secs())
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

/// Finds the sum in the output of each tool: for the run with the tests, where none is installed.
pub(crate) fn check_outputs() {
    for (output, text, kib) in [
        (Output::Table, "   MiB RAM  PROCESS\n     1.5    sh (1)\n#     2.5   TOTAL\n", Some(2560)),
        (Output::Table, "2621440\n", Some(2560)),
        (Output::PsMem, "--------\n   928.3 KiB\n========\n", Some(928)),
        (Output::PsMem, "--------\n     1.5 GiB\n========\n", Some(1_572_864)),
        (
            Output::Smem,
            "PID User Swap USS PSS RSS\n----\n50 1 0 698777 863027 1363148\n",
            Some(863_027),
        ),
        (
            Output::Smemstat,
            "PID Swap USS PSS RSS\nTotal  0.0 B  864.8 M  2.0 M  3.0 M\n\n",
            Some(2048),
        ),
        (Output::Metop, r#"{"procs":[{"pss":{"pss_kb":7}},{"pss":null}]}"#, Some(7)),
        (Output::Table, "no table", None),
        (Output::Metop, "{", None),
    ] {
        assert_eq!(total_kib(output, text), kib, "{text}");
    }
}
