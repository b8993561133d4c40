//! `--stats`: its output, and that it changes nothing in the report.

use crate::support::failures::{Failures, check, check_eq};
use crate::support::run;

#[test]
fn stats_name_every_fact() {
    let mut failures = Failures::new();
    for engine in ["sync", "threads", "auto"] {
        let ran = run(["--proc-root", "kernel-threads", "--stats", "--engine", engine]);
        let text = ran.stderr();
        for key in
            ["engine", "workers", "source", "processes", "operations", "time", "CPU", "peak memory"]
        {
            check!(
                failures,
                text.lines().any(|line| line.starts_with(key)),
                "{engine}: no {key} in\n{text}"
            );
        }
        // Only the ring has processes in flight.
        check_eq!(failures, text.contains("depth"), text.contains("engine      uring"), "{text}");
        let processes = "7 listed: 3 measured, 3 kernel threads, 1 zombie,";
        check!(failures, text.contains(processes), "{engine}:\n{text}");
        let plain = run(["--proc-root", "kernel-threads", "--engine", engine]);
        check_eq!(failures, ran.stdout, plain.stdout, "--stats changes nothing in the report");
        check_eq!(failures, plain.stderr(), "", "nothing was left out, so nothing is said");
    }
}
