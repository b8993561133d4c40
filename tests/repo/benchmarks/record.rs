//! The records under `benches/record`, and the figures that the document takes from them.

use std::fmt::Write;

use psm_uring::commands::bench::record::{self, Figure, Run, Spread};

use super::path;

/// One record under `benches/record`.
pub(super) struct Record(pub(super) record::Record);

impl Record {
    pub(super) fn load(name: &str) -> Record {
        let path = path("benches/record").join(name).with_extension("json");
        Record(record::Record::load(&path).unwrap_or_else(|error| panic!("{error}")))
    }

    pub(super) fn about(&self, key: &str) -> String {
        let value = &self.0.about[key];
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    }

    pub(super) fn run(&self, name: &str) -> &Run {
        let run = self.0.runs.iter().find(|run| run.name == name);
        run.unwrap_or_else(|| panic!("no run {name}"))
    }

    pub(super) fn ratio(&self, name: &str, of: &str) -> f64 {
        wall(self.run(name)) / wall(self.run(of))
    }
}

/// A required figure of the record.
pub(super) fn spread(run: &Run, figure: Figure) -> &Spread {
    run.figures.get(&figure).unwrap_or_else(|| panic!("{}: no {figure:?}", run.name))
}

pub(super) fn median(run: &Run, figure: Figure) -> f64 {
    spread(run, figure).median as f64
}

/// The median time in milliseconds.
pub(super) fn wall(run: &Run) -> f64 {
    median(run, Figure::WallNs) / 1e6
}

/// The shortest and the longest time in milliseconds.
pub(super) fn range(run: &Run) -> String {
    let Spread { min, max, .. } = spread(run, Figure::WallNs);
    format!("{} .. {}", ms(*min as f64 / 1e6), ms(*max as f64 / 1e6))
}

/// The mean CPU time in milliseconds.
pub(super) fn cpu(run: &Run) -> f64 {
    let all = &spread(run, Figure::CpuNs).all;
    all.iter().sum::<u64>() as f64 / all.len() as f64 / 1e6
}

/// The share of the CPU time in user space, in per cent.
pub(super) fn user_part(run: &Run) -> f64 {
    run.user_part().expect("CPU time") * 100.0
}

pub(super) fn per_process(run: &Run, figure: Figure) -> f64 {
    median(run, figure) / median(run, Figure::Measured)
}

pub(super) fn us_per_process(run: &Run) -> f64 {
    per_process(run, Figure::WallNs) / 1e3
}

pub(super) fn ms(ms: f64) -> String {
    if ms < 10.0 { format!("{ms:.2}") } else { format!("{ms:.1}") }
}

/// A table with text in the first column and numbers in the others.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = format!("| {} |\n|---|", heads.join(" | "));
    text.extend(heads[1..].iter().map(|_| "---:|"));
    for row in rows {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n| {} |", row.join(" | "));
    }
    text + "\n"
}
