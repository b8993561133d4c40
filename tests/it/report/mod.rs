//! Reports: formats read by programs that others wrote, all of them with the same numbers.
//!
//! - `csv`         what is CSV's own
//! - `diff`        the formats of `psm-uring diff`
//! - `formats`     what all formats have in common
//! - `host`        the memory of the host
//! - `json`        the schema, and what is told to who asks
//! - `openmetrics` what Prometheus takes
//! - `table`       on terminals

mod csv;
mod diff;
mod formats;
mod host;
mod json;
mod openmetrics;
mod table;

use crate::support::{TREES, run};

/// Every fixture that has a report, in ways that fill every part of one.
fn calls() -> Vec<String> {
    let mut calls: Vec<String> = Vec::new();
    for tree in TREES.into_iter().filter(|tree| !["empty", "hollow"].contains(tree)) {
        for rest in
            ["", "--by pid", "-n 2 --summary", "--heap", "--source smaps -s name -r", "--total"]
        {
            // What was recorded of processes has no meminfo.
            let rest =
                if tree == "recorded" { rest.replace(" --summary", "") } else { rest.into() };
            calls.push(format!("--proc-root {tree} {rest}").trim_end().to_owned());
        }
    }
    calls.push("--proc-root ordinary -f no-such-name".to_owned());
    calls.push("--proc-root malformed -p 402,403".to_owned());
    calls.push("--proc-root grouped --by user".to_owned());
    calls
}

/// Standard output of a call in a format, and what else it said.
fn print(call: &str, format: &str) -> (String, String) {
    let ran = run(call.split(' ').chain(["--output", format]));
    assert_eq!(ran.code, Some(0), "{call} {format}: {}", ran.stderr());
    (ran.stdout(), ran.stderr())
}
