//! The checks of the answers: every member of the crowd, its memory, and the same sum from every
//! tool.

use std::collections::BTreeMap;

use psm_uring::commands::bench::record::{Figure, Run, Spread};
use psm_uring::units::Pid;
use serde_json::Value;

use super::crowd::{Kind, Spec};
use super::say;
use super::tool::Tool;

/// The part of a sum that is noise: pages of libraries are shared with programs that start and end.
const NOISE: f64 = 0.01;
/// The same between tools: they round differently and count themselves.
const NEAR: f64 = 0.05;
/// The same for memory that the kernel swaps meanwhile.
const MOVING: f64 = 0.10;
/// The forms of reports whose rows are checked: those of this build and of older ones.
const SCHEMAS: [&str; 2] = ["psm-uring.report.v2", "psm-uring.report.v1"];

/// The sums over all members in KiB: Pss, Uss, SwapPss.
type Sums = [u64; 3];
const NAMES: [&str; 3] = ["Pss", "Uss", "SwapPss"];

/// The members of a crowd and the figures that a tool must find.
#[derive(Default)]
pub(crate) struct Expected {
    pids: Vec<Pid>,
    sums: Sums,
    /// The private memory that the crowd promises.
    private_kib: u64,
    /// Whether pages move between memory and swap all the time.
    is_moving: bool,
}

impl Expected {
    /// Reads the files of all members in the plainest way, with no code of the program. Names come
    /// first, because reading a name brings its page back from swap.
    pub(crate) fn read(spec: &Spec, pids: &[Pid]) -> Result<Expected, String> {
        let mut sums = Sums::default();
        for pid in pids {
            let _ = std::fs::read(format!("/proc/{pid}/cmdline"));
            let path = format!("/proc/{pid}/smaps_rollup");
            let text = std::fs::read_to_string(&path);
            for line in text.map_err(|error| format!("{path}: {error}"))?.lines() {
                let mut words = line.split_ascii_whitespace();
                let (key, kib) = (words.next(), words.next().and_then(|kib| kib.parse().ok()));
                match (key, kib) {
                    (Some("Pss:"), Some::<u64>(kib)) => sums[0] += kib,
                    (Some("Private_Clean:" | "Private_Dirty:"), Some(kib)) => sums[1] += kib,
                    (Some("SwapPss:"), Some(kib)) => sums[2] += kib,
                    _ => {}
                }
            }
        }
        let private_kib = match spec.kind {
            Kind::Swapped | Kind::Thrash => 0,
            _ => (spec.processes as u64 * spec.private as u64) << 2,
        };
        let is_moving = spec.kind == Kind::Thrash;
        Ok(Expected { pids: pids.to_vec(), sums, private_kib, is_moving })
    }

    /// The sums that stay the same while tools read. A page is either in memory or in swap.
    fn lasting(&self, sums: Sums) -> Vec<(&'static str, u64)> {
        let [pss, _, swap] = sums;
        if self.is_moving {
            return vec![("Pss + SwapPss", pss + swap)];
        }
        NAMES.into_iter().zip(sums).collect()
    }

    /// A build of psm-uring lists every member, with the memory that its files show.
    pub(crate) fn check_rows(&self, tool: &Tool) -> Result<(), String> {
        if tool.has_no_rows() {
            say(&format!("SKIPPED the rows of {}: it prints the sum alone", tool.name));
            return Ok(());
        }
        let ran = tool.run(&["--by", "pid", "--json"])?;
        let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
        if !SCHEMAS.iter().any(|schema| report["schema"] == *schema) {
            say(&format!("SKIPPED the rows of {}: no JSON report of {}", tool.name, SCHEMAS[0]));
            return Ok(());
        }
        let number = |row: &Value, key: &str| row[key].as_u64().unwrap_or(0);
        let rows = report["programs"].as_array().into_iter().flatten();
        let rows: BTreeMap<u64, &Value> = rows.map(|row| (number(row, "pid"), row)).collect();
        let mut sums = Sums::default();
        for pid in &self.pids {
            let row = rows.get(&u64::from(pid.0));
            let row = row.ok_or_else(|| format!("{} does not list member {pid}", tool.name))?;
            for (sum, key) in sums.iter_mut().zip(["ram", "uss", "swap"]) {
                *sum += number(row, key) >> 10;
            }
        }
        let expected = self.lasting(self.sums);
        for ((name, found), (_, expected)) in self.lasting(sums).into_iter().zip(expected) {
            if found.abs_diff(expected) as f64 > expected as f64 * NOISE {
                return Err(format!(
                    "{}: {name} is {found} KiB, the files say {expected} KiB",
                    tool.name
                ));
            }
        }
        Ok(())
    }

    /// Every command counted every member, if it prints a count, and printed a sum that holds their
    /// memory.
    pub(crate) fn check_runs(&self, tools: &[Tool], runs: &[Run]) -> Result<(), String> {
        let members = self.pids.len() as u64;
        for (tool, run) in tools.iter().zip(runs) {
            let least = |figure| run.figures.get(&figure).map(|Spread { min, .. }| *min);
            let measured = least(Figure::Measured).unwrap_or(members);
            let noise = if tool.is_ours() { NOISE } else { NEAR };
            let noise = if self.is_moving { MOVING } else { noise };
            let promised = (self.sums[0] as f64 * (1.0 - noise)).max(self.private_kib as f64);
            let total = least(Figure::TotalKib).unwrap_or(0);
            if measured < members || (total as f64) < promised {
                return Err(format!(
                    "{} measured {measured} of {members} members, {total} of {promised} KiB",
                    run.name
                ));
            }
        }
        check_sums(tools, runs, if self.is_moving { MOVING } else { NEAR })
    }
}

/// A tool that prints another sum than psm-uring did not do the same work. Medians, because other
/// programs start and end.
fn check_sums(tools: &[Tool], runs: &[Run], near: f64) -> Result<(), String> {
    let total = |run: &Run| run.median(Figure::TotalKib).unwrap_or(0.0);
    let rivals = tools.iter().zip(runs).filter(|(tool, _)| !tool.is_ours());
    for (_, run) in rivals {
        let (ours, theirs) = (total(&runs[0]), total(run));
        if (theirs - ours).abs() > ours * near {
            return Err(format!(
                "{} says {theirs} KiB, {} says {ours}: one is wrong, or the host is not quiet",
                run.name, runs[0].name
            ));
        }
    }
    Ok(())
}
