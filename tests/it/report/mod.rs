//! Reports: third-party programs read the formats, and all formats have the same numbers.
//!
//! - `csv`         properties of CSV
//! - `diff`        the formats of `psm-uring diff`
//! - `formats`     properties common to all formats
//! - `host`        the memory of the host
//! - `json`        the schema, and fields on request
//! - `openmetrics` the checker of Prometheus
//! - `table`       on terminals

mod csv;
mod diff;
mod formats;
mod host;
mod json;
mod openmetrics;
mod table;

use crate::support::{TREES, run};

/// Every fixture with a report, with options that fill every part of it.
fn calls() -> Vec<String> {
    let mut calls: Vec<String> = Vec::new();
    for tree in TREES.into_iter().filter(|tree| !["empty", "hollow"].contains(tree)) {
        for rest in
            ["", "--by pid", "-n 2 --summary", "--heap", "--source smaps -s name -r", "--total"]
        {
            // A recorded fixture has no meminfo.
            let rest =
                if tree == "recorded" { rest.replace(" --summary", "") } else { rest.into() };
            if tree == "no-smaps" && rest == "--total" {
                continue; // Its total is unknown, which is an error.
            }
            calls.push(format!("--proc-root {tree} {rest}").trim_end().to_owned());
        }
    }
    calls.push("--proc-root ordinary -f no-such-name".to_owned());
    calls.push("--proc-root malformed -p 402,403".to_owned());
    calls.push("--proc-root grouped --by user".to_owned());
    calls
}

/// Standard output of a call in a format, and its standard error.
fn print(call: &str, format: &str) -> (String, String) {
    let ran = run(call.split(' ').chain(["--output", format]));
    assert_eq!(ran.code, Some(0), "{call} {format}: {}", ran.stderr());
    (ran.stdout(), ran.stderr())
}
