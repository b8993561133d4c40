//! A record under `benches/record`, and the figures that it holds.

use std::fmt::Write;
use std::fs::read_to_string;

use serde_json::Value;

use super::path;

/// One record under `benches/record`.
pub(super) struct Record(pub(super) Value);

/// All runs of one command.
pub(super) struct Run<'a>(pub(super) &'a Value);

impl Record {
    pub(super) fn load(name: &str) -> Record {
        let path = path("benches/record").join(name).with_extension("json");
        let text = read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        Record(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}")))
    }

    pub(super) fn about(&self, key: &str) -> String {
        let value = &self.0["about"][key];
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = Run<'_>> {
        self.0["runs"].as_array().expect("runs").iter().map(Run)
    }

    pub(super) fn run(&self, name: &str) -> Run<'_> {
        self.runs().find(|run| run.name() == name).unwrap_or_else(|| panic!("no run {name}"))
    }

    pub(super) fn ratio(&self, name: &str, of: &str) -> f64 {
        self.run(name).wall() / self.run(of).wall()
    }
}

impl Run<'_> {
    pub(super) fn name(&self) -> &str {
        self.0["name"].as_str().expect("a name")
    }

    /// All rounds, sorted.
    pub(super) fn all(&self, key: &str) -> Vec<u64> {
        let values = self.0[key].as_array().unwrap_or_else(|| panic!("no {key}"));
        let mut values: Vec<u64> = values.iter().filter_map(Value::as_u64).collect();
        values.sort_unstable();
        values
    }

    pub(super) fn median(&self, key: &str) -> f64 {
        let all = self.all(key);
        all[all.len() / 2] as f64
    }

    /// In milliseconds.
    pub(super) fn wall(&self) -> f64 {
        self.median("wall_us") / 1e3
    }

    pub(super) fn cpu(&self) -> f64 {
        let [user, system] = ["user_us", "system_us"].map(|key| self.all(key));
        (user.iter().sum::<u64>() + system.iter().sum::<u64>()) as f64 / user.len() as f64 / 1e3
    }

    /// In per cent of all CPU time.
    pub(super) fn user_part(&self) -> f64 {
        let user = self.all("user_us");
        user.iter().sum::<u64>() as f64 / user.len() as f64 / 1e3 / self.cpu() * 100.0
    }

    pub(super) fn work(&self, key: &str) -> f64 {
        self.0["work"][key].as_f64().unwrap_or_else(|| panic!("no {key}"))
    }

    pub(super) fn per_process(&self, key: &str) -> f64 {
        self.work(key) / self.work("measured")
    }

    pub(super) fn spread(&self) -> String {
        let all = self.all("wall_us");
        format!("{} .. {}", ms(all[0] as f64 / 1e3), ms(all[all.len() - 1] as f64 / 1e3))
    }

    pub(super) fn us_per_process(&self) -> f64 {
        self.wall() * 1e3 / self.work("measured")
    }
}

pub(super) fn ms(ms: f64) -> String {
    if ms < 10.0 { format!("{ms:.2}") } else { format!("{ms:.1}") }
}

/// A table of which the first column is text and the others are numbers.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = format!("| {} |\n|---|", heads.join(" | "));
    text.extend(heads[1..].iter().map(|_| "---:|"));
    for row in rows {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n| {} |", row.join(" | "));
    }
    text + "\n"
}
