//! `--stats`: what it says, and that it changes nothing in the report.

use crate::support::run;

#[test]
fn stats_name_every_fact() {
    for engine in ["sync", "threads", "auto"] {
        let ran = run(["--proc-root", "kernel-threads", "--stats", "--engine", engine]);
        let text = ran.stderr();
        for key in
            ["engine", "workers", "source", "processes", "operations", "time", "CPU", "peak memory"]
        {
            assert!(
                text.lines().any(|line| line.starts_with(key)),
                "{engine}: no {key} in\n{text}"
            );
        }
        let processes = "7 listed: 3 measured, 3 kernel threads, 1 zombie,";
        assert!(text.contains(processes), "{engine}:\n{text}");
        let plain = run(["--proc-root", "kernel-threads", "--engine", engine]);
        assert_eq!(ran.stdout, plain.stdout, "--stats changes nothing in the report");
        assert_eq!(plain.stderr(), "", "nothing was left out, so nothing is said");
    }
}
