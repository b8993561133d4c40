//! Where and when something was measured, for records: nothing of the host but its kernel, its CPUs
//! and its memory.

use clap::Args;
use serde::Serialize;

/// What the caller knows of a record.
#[derive(Args, Clone, Debug)]
pub struct Labels {
    /// For the record: what was built
    #[arg(long, default_value = "")]
    commit: String,

    /// For the record: today
    #[arg(long, default_value = "")]
    date: String,
}

/// The head of a record.
#[derive(Serialize)]
pub struct About {
    schema: &'static str,
    /// The release, without what a distributor added.
    kernel: String,
    machine: &'static str,
    cpus: usize,
    memory_mib: u64,
    version: &'static str,
    commit: String,
    date: String,
    /// A peak of this size or less cannot be seen: a command begins with what its parent has.
    peak_floor_kib: u64,
}

impl About {
    /// This host, now.
    pub fn this(schema: &'static str, labels: &Labels) -> About {
        let (_, release) = psm_uring::sys::this_process::name_and_kernel();
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        About {
            schema,
            kernel: release.split(|c| !is_number(c)).next().unwrap_or_default().to_owned(),
            machine: std::env::consts::ARCH,
            cpus: psm_uring::sys::threads::cpus(),
            memory_mib: rustix::system::sysinfo().totalram as u64 >> 20,
            version: env!("CARGO_PKG_VERSION"),
            commit: labels.commit.clone(),
            date: labels.date.clone(),
            peak_floor_kib: psm_uring::sys::this_process::peak_rss().map_or(0, |peak| peak.0),
        }
    }
}

/// A record: its head, what was measured, and one run a line, so that a person can compare two.
pub fn to_json<R: Serialize>(about: &About, what: &impl Serialize, runs: &[R]) -> String {
    // Plain numbers and strings: there is nothing in them that JSON cannot hold.
    let json = |error| panic!("a record: {error}");
    let runs: Vec<String> =
        runs.iter().map(|run| serde_json::to_string(run).unwrap_or_else(json)).collect();
    format!(
        "{{\n\"about\": {},\n\"of\": {},\n\"runs\": [\n{}\n]\n}}\n",
        serde_json::to_string(about).unwrap_or_else(json),
        serde_json::to_string(what).unwrap_or_else(json),
        runs.join(",\n")
    )
}
