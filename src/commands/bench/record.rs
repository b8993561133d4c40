//! The record of a benchmark: its JSON form, its table, and the limits that it must keep.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::Error;
use crate::sys::{file, this_process, threads};

/// Changes when keys change their meaning.
const SCHEMA: &str = "psm-uring.bench.v3";
/// The action in messages about the file of a record.
const KIND: &str = "read as a record of bench";

/// One figure of a measurement. A new figure is one line here and one where it is measured; a
/// column of a table is one more, in the list of columns of that table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Elapsed time.
    WallNs,
    /// CPU time of all threads, workers of the ring included.
    CpuNs,
    /// The part of it in user space.
    UserNs,
    /// Times that a thread waited: for a lock, a disk, a completion.
    VoluntarySwitches,
    /// Times that a thread wanted to go on and lost its CPU to another.
    InvoluntarySwitches,
    /// Listed processes.
    Listed,
    /// Measured processes.
    Measured,
    /// Processes whose memory should have been measured and was not.
    Unknown,
    /// Requests to the kernel: system calls, or entries of the submission queue.
    Operations,
    /// Calls of `io_uring_enter(2)`.
    Enters,
    /// Answered reads.
    Reads,
    /// Bytes that were read.
    Bytes,
    /// `VmHWM` at the end.
    PeakKib,
    /// `ru_maxrss`, which begins with the resident pages of the parent.
    MaxRssKib,
    /// The sum of memory that a command prints.
    TotalKib,
    /// Times that a measured process took for an `mmap`, a write to it and an `munmap`: one of 100
    /// is longer.
    MmapP99Ns,
    /// One of 1,000 is longer.
    MmapP999Ns,
    /// One of 10,000 is longer.
    MmapP9999Ns,
    /// The longest.
    MmapMaxNs,
}

/// One measurement.
pub type Sample = BTreeMap<Figure, u64>;

/// A time as a [`Sample`] holds it.
pub fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// One figure over all rounds.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Spread {
    /// The middle one, the upper one of an even number.
    pub median: u64,
    /// The least.
    pub min: u64,
    /// The most.
    pub max: u64,
    /// Every round, in order.
    pub all: Vec<u64>,
}

impl Spread {
    fn of(all: Vec<u64>) -> Spread {
        let mut sorted = all.clone();
        sorted.sort_unstable();
        let at = |place: usize| sorted.get(place).copied().unwrap_or(0);
        Spread { median: at(sorted.len() / 2), min: at(0), max: at(sorted.len() - 1), all }
    }
}

/// All measurements of one candidate.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Run {
    /// The engine, the build or the tool.
    pub name: String,
    /// Threads that read at once.
    pub workers: Option<usize>,
    /// Processes in flight; `uring` only.
    pub depth: Option<usize>,
    /// The command line, of a whole command.
    pub command: String,
    /// The version that the command prints.
    pub version: String,
    /// The figures that were measured.
    #[serde(flatten)]
    pub figures: BTreeMap<Figure, Spread>,
}

impl Run {
    /// A run without figures.
    pub fn new(name: &str) -> Run {
        Run { name: name.to_owned(), ..Run::default() }
    }

    /// The same with the figures of these rounds.
    pub fn with(mut self, rounds: &[Sample]) -> Run {
        let mut all: BTreeMap<Figure, Vec<u64>> = BTreeMap::new();
        for (figure, value) in rounds.iter().flatten() {
            all.entry(*figure).or_default().push(*value);
        }
        self.figures.extend(all.into_iter().map(|(figure, all)| (figure, Spread::of(all))));
        self
    }

    /// The name with the parameters, which identifies the run in other records.
    pub fn label(&self) -> String {
        let depth = self.depth.map_or_else(String::new, |depth| format!(", depth {depth}"));
        let workers = self.workers.map(|workers| format!(" ({workers} workers{depth})"));
        self.name.clone() + &workers.unwrap_or_default()
    }

    /// The median of a figure, if it was measured.
    pub fn median(&self, figure: Figure) -> Option<f64> {
        Some(self.figures.get(&figure)?.median as f64)
    }

    /// A median divided by that of another run.
    pub fn ratio(&self, figure: Figure, to: Option<&Run>) -> Option<f64> {
        quotient(self.median(figure)?, to?.median(figure)?)
    }

    /// A median divided by the number of measured processes.
    pub fn per_process(&self, figure: Figure) -> Option<f64> {
        quotient(self.median(figure)?, self.median(Figure::Measured)?)
    }

    /// The part of the CPU time in user space, over all rounds: the kernel counts in ticks that are
    /// longer than the time of one round.
    pub fn user_part(&self) -> Option<f64> {
        let sum = |figure| Some(self.figures.get(&figure)?.all.iter().sum::<u64>() as f64);
        quotient(sum(Figure::UserNs)?, sum(Figure::CpuNs)?)
    }
}

fn quotient(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

/// The host and the version, for the head of a record. A caller that knows them fills in the
/// commit and the date.
pub fn about() -> Value {
    let (host, kernel) = this_process::name_and_kernel();
    json!({
        "host": host, "kernel": kernel, "machine": std::env::consts::ARCH,
        "cpus": threads::cpus(), "version": env!("CARGO_PKG_VERSION"), "commit": "", "date": "",
    })
}

/// One benchmark.
#[derive(Debug, Deserialize)]
pub struct Record {
    /// The place and the time: see [`about`].
    pub about: Value,
    /// The input of all runs: a crowd, a source, a text.
    pub of: Value,
    /// The candidates, in their order.
    pub runs: Vec<Run>,
}

impl Record {
    /// A JSON document with one run on each line, for line-by-line comparison.
    pub fn to_json(&self) -> String {
        let runs: Vec<String> = self.runs.iter().map(to_json).collect();
        let (about, of, runs) = (&self.about, &self.of, runs.join(",\n"));
        format!(
            "{{\n\"schema\": \"{SCHEMA}\",\n\"about\": {about},\n\"of\": {of},\n\
             \"runs\": [\n{runs}\n]\n}}\n"
        )
    }

    /// Writes the JSON document to a file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        std::fs::write(path, self.to_json()).map_err(|why| Error::refused("write", path, why))
    }

    /// Reads a saved record.
    ///
    /// # Errors
    /// The file cannot be read, or is not a record of this schema.
    pub fn load(path: &Path) -> Result<Record, Error> {
        let text = file::read(path).map_err(|why| Error::refused("read", path, why))?;
        let wrong = |error: serde_json::Error| Error::file(KIND, path, &error);
        let record: Value = serde_json::from_slice(&text).map_err(wrong)?;
        if record["schema"] != SCHEMA {
            let found =
                format!("its schema is {}, this version reads {SCHEMA:?}", record["schema"]);
            return Err(Error::file(KIND, path, &found));
        }
        serde_json::from_value(record).map_err(wrong)
    }
}

/// Strings and numbers as JSON.
pub(super) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// A run beside the two that its ratios refer to, where there are any.
#[derive(Clone, Copy)]
pub struct Compared<'a> {
    /// The run.
    pub run: &'a Run,
    /// The run that its ratios refer to.
    pub base: Option<&'a Run>,
    /// The bare cost in the kernel.
    pub floor: Option<&'a Run>,
}

impl Compared<'_> {
    /// A median time in milliseconds.
    pub fn ms(&self, figure: Figure) -> Option<String> {
        Some(format!("{:.1} ms", self.run.median(figure)? / 1e6))
    }

    /// The shortest and the longest time in milliseconds.
    pub fn range(&self, figure: Figure) -> Option<String> {
        let Spread { min, max, .. } = self.run.figures.get(&figure)?;
        Some(format!("{:.1} .. {:.1}", *min as f64 / 1e6, *max as f64 / 1e6))
    }

    /// The ratio to the base.
    pub fn times(&self, figure: Figure) -> Option<String> {
        Some(format!("{:.2}", self.run.ratio(figure, self.base)?))
    }
}

/// A column of a table: its head, its width, its text.
pub type TableColumn = (&'static str, usize, fn(&Compared<'_>) -> Option<String>);

/// The heads and a line for each run. The first column is on the left. A dash is an unknown figure;
/// lines end behind the last known one.
pub fn table(columns: &[TableColumn], runs: &[Compared<'_>]) -> String {
    let line = |text_of: &dyn Fn(&TableColumn) -> Option<String>| {
        let cell = |(place, column): (usize, &TableColumn)| {
            let (text, width) = (text_of(column).unwrap_or_else(|| "-".to_owned()), column.1);
            if place == 0 { format!("{text:<width$}") } else { format!("{text:>width$}") }
        };
        let line: String = columns.iter().enumerate().map(cell).collect();
        line.trim_end_matches([' ', '-']).to_owned() + "\n"
    };
    let lines = runs.iter().map(|run| line(&|column| column.2(run)));
    line(&|column| Some(column.0.to_owned())) + &lines.collect::<String>()
}

/// A figure that must not grow: its name, the difference that is noise, and its value.
pub type Limit = (&'static str, f64, fn(&Compared<'_>) -> Option<f64>);

/// A later run and an earlier one.
pub type Pair<'a> = (Compared<'a>, Compared<'a>);

/// A line for each figure that both runs have; the later value, the earlier one, and the noise.
fn figures<'a>(
    pairs: &'a [Pair<'a>],
    limits: &'a [Limit],
) -> impl Iterator<Item = (String, [f64; 3])> {
    pairs.iter().flat_map(move |(now, then)| {
        limits.iter().filter_map(move |(what, noise, of)| {
            let (label, is, was) = (now.run.label(), of(now)?, of(then)?);
            let times = is / was;
            let line = format!("{label}: {is:.2} {what}, was {was:.2}: {times:.2} times");
            Some((line, [is, was, *noise]))
        })
    })
}

/// A line for each compared figure, worse or not.
pub fn ratios(pairs: &[Pair<'_>], limits: &[Limit]) -> String {
    figures(pairs, limits).map(|(line, _)| line + "\n").collect()
}

/// One line for every figure that is more than `max_ratio` times the earlier one.
pub fn exceeded(pairs: &[Pair<'_>], limits: &[Limit], max_ratio: f64) -> Vec<String> {
    let is_worse = |[is, was, noise]: [f64; 3]| is > was * max_ratio && is - was > noise;
    let worse = figures(pairs, limits).filter(|(_, values)| is_worse(*values));
    worse.map(|(line, _)| format!("{line}, allowed {max_ratio:.2}")).collect()
}
