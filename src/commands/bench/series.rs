//! `psm-uring bench --watch`: repeated surveys as a watch makes them, beside surveys that open
//! every file each time.

use std::num::NonZeroU32;

use serde_json::json;

use super::harness::{Candidate, interleave};
use super::record::{self, Compared, Figure, Record, Run, Sample, TableColumn, about};
use super::{Target, text};
use crate::engine::{EngineKind, Surveyor, Tuning};
use crate::error::Error;
use crate::process::Plan;
use crate::run::ProgressLine;
use crate::units::Labelled;

/// A way to survey again: its name, whether files stay open, and the number of surveys for each
/// read of a name.
type Way = (&'static str, bool, u32);

/// The first is the base of the ratios. The last is that of `--watch` with its usual interval.
const WAYS: [Way; 3] = [("opens", false, 1), ("names", true, 1), ("watch", true, 4)];
/// The first survey sees the processes, the second one opens what stays open.
const SURVEYS_BEFORE: usize = 2;

const COLUMNS: [TableColumn; 8] = [
    ("engine", 15, |one| Some(one.run.name.clone())),
    ("median", 10, |one| one.ms(Figure::WallNs)),
    ("min .. max", 20, |one| one.range(Figure::WallNs)),
    ("per process", 13, |one| {
        Some(format!("{:.1} us", one.run.per_process(Figure::WallNs)? / 1e3))
    }),
    ("x opens", 9, |one| one.times(Figure::WallNs)),
    ("CPU", 11, |one| one.ms(Figure::CpuNs)),
    ("x opens", 9, |one| one.times(Figure::CpuNs)),
    ("requests", 10, |one| Some(format!("{:.2}", one.run.per_process(Figure::Operations)?))),
];

/// Measures every engine in every way, in turn. Engines stay set up, as in a watch.
pub(super) fn measure(
    target: &Target,
    engines: &[EngineKind],
    rounds: usize,
) -> Result<Record, Error> {
    let mut candidates = Vec::new();
    for kind in engines {
        for way in &WAYS {
            candidates.push(candidate(target, *kind, way)?);
        }
    }
    let mut progress = ProgressLine::new();
    let runs = interleave(candidates, rounds, |round, run| {
        progress.show(|| format!("round {round} of {rounds}: {}", run.label()));
        Ok(())
    })?;
    let of = json!({ "source": target.source.label(), "rounds": rounds, "watch": true });
    Ok(Record { about: about(), of, runs })
}

fn candidate<'a>(
    target: &'a Target,
    kind: EngineKind,
    &(name, keeps_files, surveys_per_name): &Way,
) -> Result<Candidate<'a>, Error> {
    let workers = (kind == EngineKind::Sync).then_some(1);
    let tuning = Tuning { keeps_files, ..Tuning::new(workers, None, target.source) };
    let surveys_per_name = NonZeroU32::new(surveys_per_name);
    let plan = Plan { source: target.source, surveys_per_name, ..Plan::default() };
    let mut surveyor = Surveyor::open(kind, &target.root, tuning)?;
    for _ in 0..SURVEYS_BEFORE {
        target.sample(&mut surveyor, &plan)?;
    }
    // Never dropped: a drop would wait for requests to stuck processes.
    let surveyor = Box::leak(Box::new(surveyor));
    let measure = move || -> Result<Sample, Error> { target.sample(surveyor, &plan) };
    Ok((Run::new(&format!("{}, {name}", kind.label())), Box::new(measure)))
}

/// The table, with ratios to the way that opens every file.
pub(super) fn table(record: &Record) -> String {
    let Record { about, of, runs } = record;
    let rows = runs.iter().enumerate().map(|(place, run)| {
        let base = runs.get(place - place % WAYS.len());
        Compared { run, base, floor: None }
    });
    let rows: Vec<_> = rows.collect();
    format!(
        "surveys of a watch, {}, {} rounds; kernel {}, {} CPUs, psm-uring {}\n{}",
        text(&of["source"]),
        of["rounds"],
        text(&about["kernel"]),
        about["cpus"],
        text(&about["version"]),
        record::table(&COLUMNS, &rows)
    )
}
