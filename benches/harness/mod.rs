//! The parts of a bench that `psm-uring bench` does not need: a tiny run with the tests, and the
//! commit in a record. Rounds, records and tables are those of `psm_uring::commands::bench`.

#![allow(dead_code, unreachable_pub)] // Each bench uses its part.

use clap::Args;
use psm_uring::commands::bench::record::about;
use serde_json::Value;

/// Whether this is `cargo test`, which runs each bench once, tiny, so that it stays in working
/// order. `cargo bench` passes `--bench`.
pub fn is_test() -> bool {
    !std::env::args().any(|arg| arg == "--bench")
}

/// The facts about a record that only its caller knows.
#[derive(Args, Clone, Debug)]
pub struct Labels {
    /// For the record: the commit that was built
    #[arg(long, default_value = "")]
    commit: String,

    /// For the record: the day
    #[arg(long, default_value = "")]
    date: String,
}

impl Labels {
    /// The head of a record that is published: without the name of the host and the suffix of the
    /// distributor's kernel.
    pub fn about(&self) -> Value {
        let mut about = about();
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let release =
            about["kernel"].as_str().and_then(|release| release.split(|c| !is_number(c)).next());
        about["kernel"] = release.into();
        about["host"] = "".into();
        about["commit"] = self.commit.as_str().into();
        about["date"] = self.date.as_str().into();
        about["memory_mib"] = (rustix::system::sysinfo().totalram as u64 >> 20).into();
        about
    }
}
