//! What the run has to say about itself, for standard error.

use std::fmt::Write;
use std::time::Duration;

use super::escape;
use crate::process::Coverage;
use crate::program::TimedOut;
use crate::units::Kib;

/// The facts that `--stats` prints.
#[derive(Clone, Debug)]
pub struct RunStats {
    /// The engine that was used.
    pub engine: &'static str,
    /// Why it was not the one wished for.
    pub fallback: Option<String>,
    /// Threads that read at once.
    pub workers: usize,
    /// Processes in flight.
    pub depth: usize,
    /// The memory file that was wished for.
    pub source: &'static str,
    /// What became of the processes.
    pub coverage: Coverage,
    /// Requests to the kernel, calls of `io_uring_enter(2)`, reads and their bytes.
    pub io: [u64; 4],
    /// Time of each phase, in order.
    pub phases: [(&'static str, Duration); 4],
    /// CPU time in user space and in the kernel.
    pub cpu: (Duration, Duration),
    /// The most memory this process had resident.
    pub peak_rss: Option<Kib>,
}

/// The most processes that are named one by one.
const NAMED_MAX: usize = 5;

/// One line when something that belongs into the report is not in it; else nothing.
pub fn coverage(
    coverage: &Coverage,
    timed_out: &[TimedOut],
    is_privileged: bool,
) -> Option<String> {
    let Coverage { measured, gone, changed, denied, malformed, failed, .. } = *coverage;
    if gone + coverage.unknown() == 0 {
        return None;
    }
    let of = measured + gone + coverage.unknown();
    let mut text = format!("measured {measured} of {of} processes");
    let mut reason = |count: usize, what: &str| {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    };
    reason(timed_out.len(), &format!("timed out ({})", named(timed_out)));
    reason(denied, &denial(coverage, is_privileged));
    reason(changed, "exec'ed while it was read");
    reason(malformed, "not understood");
    reason(failed, "failed");
    if let Some((pid, errno)) = coverage.first_failure {
        let _ = write!(text, " (PID {pid}: {errno})");
    }
    let mut besides = |count: usize, what: &str| {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    };
    besides(gone, "gone while it was read");
    let Coverage { kernel_threads, zombies, not_selected, .. } = *coverage;
    let mut separator = "; besides ";
    for (count, what) in
        [(kernel_threads, "kernel threads"), (zombies, "zombies"), (not_selected, "not selected")]
    {
        if count > 0 {
            let _ = write!(text, "{separator}{count} {what}");
            separator = ", ";
        }
    }
    Some(text)
}

/// What would help against being denied.
fn denial(coverage: &Coverage, is_privileged: bool) -> String {
    match (coverage.first_denied, is_privileged) {
        (Some(pid), true) => format!("denied (PID {pid}; even with CAP_SYS_PTRACE)"),
        _ => "denied (not yours; needs CAP_SYS_PTRACE, or CAP_PERFMON since Linux 6.15: \
              try as root)"
            .to_owned(),
    }
}

/// The first few by id, name and state.
fn named(timed_out: &[TimedOut]) -> String {
    let mut text = String::new();
    for TimedOut { pid, glimpse } in timed_out.iter().take(NAMED_MAX) {
        let state = glimpse.state.map_or_else(String::new, |state| format!(" in state {state}"));
        let _ = write!(text, "PID {pid} {}{state}, ", escape::name(&glimpse.comm));
    }
    match timed_out.len().saturating_sub(NAMED_MAX) {
        0 => text.truncate(text.len().saturating_sub(2)),
        more => {
            let _ = write!(text, "and {more} more");
        }
    }
    text
}

/// The lines of `--stats`.
pub fn stats(stats: &RunStats) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: String| {
        let _ = writeln!(text, "{key:<12}{value}");
    };
    let because = stats.fallback.as_ref().map(|why| format!(" (uring: {why})"));
    line("engine", format!("{}{}", stats.engine, because.unwrap_or_default()));
    line("workers", format!("{}, depth {}", stats.workers, stats.depth));
    line("source", stats.source.to_owned());
    let Coverage { measured, kernel_threads, zombies, not_selected, .. } = stats.coverage;
    let Coverage { gone, changed, denied, timed_out, malformed, failed, .. } = stats.coverage;
    line(
        "processes",
        format!(
            "{} listed: {measured} measured, {kernel_threads} kernel threads, {zombies} zombies, \
             {not_selected} not selected, {gone} gone, {changed} changed, {denied} denied, \
             {timed_out} timed out, {malformed} not understood, {failed} failed",
            stats.coverage.listed()
        ),
    );
    let [operations, enters, reads, bytes] = stats.io;
    line("operations", format!("{operations} in {enters} enters, {reads} reads, {bytes} bytes"));
    let phases = stats.phases.map(|(name, time)| format!("{name} {}", milliseconds(time)));
    line("time", phases.join(", "));
    let (user, system) = stats.cpu;
    line("CPU", format!("user {}, system {}", milliseconds(user), milliseconds(system)));
    let peak = stats.peak_rss.map_or("-".to_owned(), |peak| format!("{} KiB", peak.0));
    line("peak memory", peak);
    text
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
