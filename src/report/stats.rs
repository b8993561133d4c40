//! The statistics of a run (`--stats`), for standard error.

use std::fmt::Write;
use std::time::Duration;

use super::plural;
use crate::process::Coverage;
use crate::units::Kib;

/// The statistics of a run.
#[derive(Clone, Debug)]
pub struct RunStats {
    /// The engine of the run.
    pub engine: &'static str,
    /// The reason why it is not the engine that was asked for.
    pub fallback: Option<String>,
    /// Threads that read in parallel.
    pub workers: usize,
    /// Processes in flight.
    pub depth: Option<usize>,
    /// The memory file that was asked for.
    pub source: &'static str,
    /// The number of processes by fate.
    pub coverage: Coverage,
    /// Requests to the kernel, calls of `io_uring_enter(2)`, reads, and bytes read.
    pub io: [u64; 4],
    /// The time of each phase, in order.
    pub phases: Vec<(&'static str, Duration)>,
    /// CPU time in user space and in the kernel.
    pub cpu: (Duration, Duration),
    /// The peak of resident memory.
    pub peak_rss: Option<Kib>,
}

/// The lines of `--stats`.
pub fn stats(stats: &RunStats) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: String| {
        let _ = writeln!(text, "{key:<12}{value}");
    };
    let because = stats.fallback.as_ref().map(|why| format!(" (uring: {why})"));
    line("engine", format!("{}{}", stats.engine, because.unwrap_or_default()));
    let depth = stats.depth.map_or_else(String::new, |depth| format!(", depth {depth}"));
    line("workers", format!("{}{depth}", stats.workers));
    line("source", stats.source.to_owned());
    line("processes", processes(&stats.coverage));
    let [operations, enters, reads, bytes] = stats.io;
    line("operations", format!("{operations} in {enters} enters, {reads} reads, {bytes} bytes"));
    let phase = |(name, time): &(_, _)| format!("{name} {}", milliseconds(*time));
    line("time", stats.phases.iter().map(phase).collect::<Vec<_>>().join(", "));
    let (user, system) = stats.cpu;
    line("CPU", format!("user {}, system {}", milliseconds(user), milliseconds(system)));
    let peak = stats.peak_rss.map_or("-".to_owned(), |peak| format!("{} KiB", peak.0));
    line("peak memory", peak);
    text
}

fn processes(coverage: &Coverage) -> String {
    let Coverage { measured, kernel_threads, zombies, not_selected, gone, changed, .. } = *coverage;
    let Coverage { denied, timed_out, left_out, not_asked, malformed, failed, .. } = *coverage;
    format!(
        "{} listed: {measured} measured, {}, {}, {not_selected} not selected, {gone} gone, \
         {changed} changed, {denied} denied, {timed_out} timed out, {left_out} left out, \
         {not_asked} not asked, \
         {malformed} not understood, {failed} failed",
        coverage.listed(),
        plural(kernel_threads, "kernel thread"),
        plural(zombies, "zombie"),
    )
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
