//! What was measured, for people: medians, spread, and ratios to the first command.

use std::fmt::Write;

use super::crowd::Spec;
use super::record::Run;

/// A difference of fewer microseconds is noise, whatever the ratio.
const NOISE_US: f64 = 500.0;

/// The middle one; of an even number the upper.
pub(crate) fn median(values: &[u64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_unstable();
    values.get(values.len() / 2).map_or(f64::NAN, |value| *value as f64)
}

const HEAD: &str = "\
command           wall          min .. max   ratio        CPU   ratio   user       peak  \
operations   ratio  enters";

/// A line for each command; ratios are those to the first one.
pub(crate) fn table(spec: Option<&Spec>, runs: &[Run]) -> String {
    let around = spec.map_or_else(
        || "the host as it is".to_owned(),
        |spec| format!("crowd {}, {} processes", spec.kind.word(), spec.processes),
    );
    let rounds = runs.first().map_or(0, |run| run.wall_us.len());
    let lines: Vec<String> = runs.iter().map(|run| line(run, &runs[0])).collect();
    let head = format!("{around}; whole commands, medians of {rounds} rounds in turn");
    format!("{head}\n{HEAD}\n{}\n", lines.join("\n"))
}

fn line(run: &Run, first: &Run) -> String {
    let ms = |us: f64| format!("{:.1} ms", us / 1e3);
    let edge = |edge: Option<&u64>| edge.map_or(f64::NAN, |us| *us as f64 / 1e3);
    let [shortest, longest] = [run.wall_us.iter().min(), run.wall_us.iter().max()].map(edge);
    let spread = format!("{shortest:.1} .. {longest:.1}");
    let (wall, cpu) = (median(&run.wall_us), median(&run.cpu_us()));
    let mut line = format!(
        "{:<12}{:>10}{spread:>20}{:>8.2}{:>11}{:>8.2}{:>6.1}%{:>8.1}MiB",
        run.name,
        ms(wall),
        wall / median(&first.wall_us),
        ms(cpu),
        cpu / median(&first.cpu_us()),
        run.user_part() * 100.0,
        run.peak_kib() as f64 / 1024.0,
    );
    if let (Some(work), Some(base)) = (run.work, first.work) {
        let ratio = work.operations as f64 / base.operations as f64;
        // Writing to a String cannot fail.
        let _ = write!(line, "{:>12}{ratio:>8.2}{:>8}", work.operations, work.enters);
    }
    line
}

/// One line for every figure that is more than `max_ratio` times that of the first command.
pub(crate) fn worse(runs: &[Run], max_ratio: f64) -> Vec<String> {
    let Some((first, others)) = runs.split_first() else { return Vec::new() };
    let figures = |run: &Run| {
        let work = |count: fn(&super::candidate::Work) -> u64| {
            run.work.as_ref().map_or(f64::NAN, |work| count(work) as f64)
        };
        [
            ("wall time in us", median(&run.wall_us), NOISE_US),
            ("CPU time in us", median(&run.cpu_us()), NOISE_US),
            ("operations", work(|work| work.operations), 0.0),
            ("reads", work(|work| work.reads), 0.0),
            ("bytes", work(|work| work.bytes), 0.0),
            ("peak memory in KiB", work(|work| work.peak_kib), 0.0),
        ]
    };
    let mut lines = Vec::new();
    for run in others {
        for ((what, is, noise), (_, was, _)) in figures(run).into_iter().zip(figures(first)) {
            if is > was * max_ratio && is - was > noise {
                lines.push(format!(
                    "{} took {:.2} times the {what} of {}: {is:.0}, {was:.0}; at most {max_ratio}",
                    run.name,
                    is / was,
                    first.name
                ));
            }
        }
    }
    lines
}
